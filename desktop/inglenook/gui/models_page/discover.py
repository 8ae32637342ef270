"""The Discover tab: the catalogue, what a search of the hub finds, and one repository at a time.

Without words the built-in catalogue is shown, and nothing is asked of anybody. Words are looked for
in it and, after a pause, on the hub.
"""

from dataclasses import replace

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QStackedWidget, QVBoxLayout, QWidget

from inglenook.app import App
from inglenook.base.errors import UserError
from inglenook.gui.formats import format_bytes
from inglenook.gui.installed import InstalledModels
from inglenook.gui.models_page.card import ModelCard
from inglenook.gui.models_page.catalogue_view import CatalogueView
from inglenook.gui.models_page.file_row import FileRow
from inglenook.gui.models_page.filters import Filters
from inglenook.gui.models_page.forecaster import Forecaster
from inglenook.gui.models_page.hub_results import HubResults
from inglenook.gui.models_page.offers import CardFacts, make_cards
from inglenook.gui.models_page.repo_view import RepoView
from inglenook.gui.models_page.results_model import ResultsModel, State
from inglenook.gui.models_page.results_rows import (
    ResultRow,
    make_entry_row,
    make_result_row,
)
from inglenook.gui.models_page.results_view import ResultsView
from inglenook.gui.tasks import Tasks
from inglenook.gui.theme import Theme
from inglenook.gui.transfers import Transfers
from inglenook.models.fit import Machine
from inglenook.models.hub_names import is_address
from inglenook.models.hub_search import Query, RepoSummary
from inglenook.models.predict.ranking import rank

MAX_ENTRIES = 6
"""So many suggestions of the catalogue stand above what the hub has."""
MAX_MADE_ROWS = 4000


class Discover(QWidget):
    """Filters above; below them cards, results or one repository.

    Signals: `model_chosen(model_id)` when "Use" was pressed, `link_requested(address)`,
    `token_requested()`.
    """

    model_chosen = Signal(str)
    link_requested = Signal(str)
    token_requested = Signal()

    def __init__(
        self,
        app: App,
        theme: Theme,
        tasks: Tasks,
        models: InstalledModels,
        transfers: Transfers,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._app = app
        self._theme = theme
        self._tasks = tasks
        self._models = models
        self._transfers = transfers
        self._machine = Machine(0)
        self._facts: tuple[CardFacts, ...] = ()
        self._errors: dict[str, str] = {}
        self._made_rows: dict[RepoSummary, ResultRow] = {}
        self._words = ""
        self._refusal = ""
        self._is_browsing = False
        # From the outside in: what gets another parent is styled anew with all below it.
        self.filters = Filters(theme, self)
        self.fits = self.filters.fits
        self._stack = QStackedWidget(self)
        self.catalogue = CatalogueView(theme, self._stack)
        self.results = ResultsModel(self._find_state, self._find_problem, self)
        self.view = ResultsView(theme, self.results, self._stack)
        self.repo_view = RepoView(app, theme, tasks, self._stack)
        self.forecaster = Forecaster(app, tasks, self)
        self.hub = HubResults(app, tasks, self)
        self.hub.is_wanted = self._is_result_wanted
        for page in (self.catalogue, self.view, self.repo_view):
            self._stack.addWidget(page)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.filters)
        column.addWidget(self._stack, 1)
        self._connect()
        self.filters.sort.hide()
        self._load()
        self.forecaster.begin()

    # --- what it is told ---

    def set_words(self, text: str, *, at_once: bool = False) -> None:
        """Look for words here and on the hub; a pasted address opens its repository."""
        self._words, self._refusal = text.strip(), ""
        if is_address(self._words):
            address, self._words = self._words, ""
            if self.open_name(address):
                return
            self._refusal = self.tr(
                "That is no address of a model's page on the hub. A file from elsewhere can be "
                "downloaded with a browser, then imported."
            )
        self._show_found(at_once=at_once)

    def open_name(self, text: str) -> bool:
        """Open the repository that a name or an address means; False when it means none."""
        repo = self._app.hub_client.find_repo(text)
        if repo is not None:
            self.open_repo(repo)
        return repo is not None

    def open_repo(self, repo: str) -> None:
        """Show one repository."""
        self.repo_view.machine = self._machine
        self.repo_view.show_repo(repo)
        self._show_page(self.repo_view)

    def update_rows(self) -> None:
        """Let every row show its state anew."""
        self.catalogue.update_rows(self._update_row)
        self.repo_view.update_rows(self._update_row)
        self.results.refresh()

    def refresh(self) -> None:
        """The network is back, or a token was given: what failed for its lack is asked again."""
        if self._stack.currentWidget() is self.repo_view:
            self.repo_view.refresh()
        self.hub.ask_again()

    def cards(self) -> tuple[ModelCard, ...]:
        """The cards of the catalogue that were made so far."""
        return self.catalogue.cards()

    # --- parts ---

    def _connect(self) -> None:
        self.filters.changed.connect(self._on_filters_changed)
        self.catalogue.row_made.connect(self._on_row_made)
        self.catalogue.browse_requested.connect(self._browse)
        self.catalogue.filled.connect(self._on_catalogue_filled)
        self.view.row_opened.connect(lambda row: self.open_repo(row.repo))
        self.view.button_pressed.connect(self._on_button_pressed)
        self.view.end_neared.connect(self.hub.ask_for_more)
        self.hub.changed.connect(self._show_rows)
        self.repo_view.row_made.connect(self._on_row_made)
        self.repo_view.back_requested.connect(self._go_back)
        self.repo_view.link_requested.connect(self.link_requested)
        self.repo_view.token_requested.connect(self.token_requested)
        self.repo_view.maker_chosen.connect(self._on_maker_chosen)
        self._transfers.changed.connect(self.update_rows)
        self._transfers.refused.connect(self._on_refused)
        self._models.changed.connect(self.update_rows)
        self.forecaster.machine_changed.connect(self._tell_fits)

    def _tell_fits(self) -> None:
        """This machine was measured: there is more to tell of every file."""

        def work() -> tuple[Machine, tuple[CardFacts, ...]]:
            machine = self._app.forecasts.find_machine()
            return machine, make_cards(self._app.catalogue, machine)

        def done(answer: tuple[Machine, tuple[CardFacts, ...]]) -> None:
            self._machine, self._facts = answer
            self._made_rows.clear()
            self.catalogue.tell_fits(self._facts)
            self.repo_view.machine = self._machine
            self._show_rows()

        self._tasks.run(work, done, owner=self)

    def _load(self) -> None:
        ready = self._app.engine.state.ready
        devices = ready.devices if ready is not None else ()
        gpus = [device for device in devices if device.kind in {"gpu", "igpu"}]
        gpu_bytes = sum(d.memory_total_bytes for d in gpus if d.kind == "gpu")
        gpu_name = gpus[0].description or gpus[0].name if gpus else ""

        def work() -> tuple[Machine, tuple[CardFacts, ...]]:
            machine = self._app.forecasts.find_machine()
            return machine, make_cards(self._app.catalogue, machine)

        def done(answer: tuple[Machine, tuple[CardFacts, ...]]) -> None:
            self._machine, self._facts = answer
            self._made_rows.clear()
            memory = self.tr("{size} memory")
            facts = [memory.replace("{size}", format_bytes(self._machine.memory_bytes))]
            if gpu_name:
                facts.insert(0, " ".join((gpu_name, format_bytes(gpu_bytes) if gpu_bytes else "")))
            self.fits.setToolTip(" · ".join(facts))
            self.catalogue.set_cards(self._facts)

        self._tasks.run(work, done, owner=self)

    # --- pages ---

    @property
    def _is_searching(self) -> bool:
        return bool(self._words or self._refusal) or self._is_browsing

    def _show_page(self, page: QWidget) -> None:
        self._stack.setCurrentWidget(page)
        self.filters.setVisible(page is not self.repo_view)

    def _show_found(self, *, at_once: bool = False) -> None:
        """Show cards or results, for the words and filters as they are now."""
        is_searching = self._is_searching
        self.filters.sort.setVisible(is_searching)
        if self._refusal:
            self.hub.clear()
            self._show_rows()
        elif is_searching:
            self.hub.ask(self._make_query(), at_once=at_once)
            self._show_rows()
        else:
            self.hub.clear()
            self._show_cards()
        self._show_page(self.view if is_searching else self.catalogue)

    def _show_cards(self) -> None:
        n_shown = self.catalogue.apply(self._is_card_wanted)
        count = self.tr("{n} of {all} models").replace("{n}", str(n_shown))
        self.filters.count.set_full_text(count.replace("{all}", str(len(self.catalogue.made))))

    def _on_catalogue_filled(self) -> None:
        if self._is_searching:
            self._show_rows()
        else:
            self._show_cards()

    def _go_back(self) -> None:
        self._show_page(self.view if self._is_searching else self.catalogue)
        (self.view if self._is_searching else self.catalogue).setFocus()

    def _browse(self) -> None:
        self._is_browsing = True
        self._show_found(at_once=True)

    def _on_filters_changed(self) -> None:
        self._show_found()

    def _on_maker_chosen(self, maker: str) -> None:
        self._is_browsing = True
        self._words = ""
        self.filters.set_maker(maker)
        self._show_found(at_once=True)

    # --- results ---

    def _make_query(self) -> Query:
        """Words as the hub looks for them; `maker/` before them is one maker's models."""
        query, words = self.filters.query, self._words
        maker, slash, rest = words.partition("/")
        if slash and maker and " " not in maker and not query.maker:
            return replace(query, maker=maker, words=rest)
        return replace(query, words=words)

    def _is_card_wanted(self, facts: CardFacts) -> bool:
        if self.fits.isChecked() and not facts.can_run:
            return False
        words = self._words.casefold().split()
        return facts.suits(self.filters.query) and all(word in facts.words for word in words)

    def _is_result_wanted(self, found: RepoSummary) -> bool:
        row = self._make_row(found)
        return not self.fits.isChecked() or row.fit is None or row.fit.verdict != "too_large"

    def _show_rows(self) -> None:
        """Suggestions first, then what the hub has, then what there is to say."""
        if self._refusal:
            self.results.set_rows([ResultRow("note", self._refusal)])
            self.filters.count.set_full_text("")
        if self._refusal or not self._is_searching:
            return
        rows: list[ResultRow] = []
        if self._words and not self.filters.query.maker:
            entries = [facts for facts in self._facts if self._is_card_wanted(facts)]
            if entries:
                rows.append(ResultRow("group", self.tr("Suggested")))
                rows += [make_entry_row(facts, self.tr) for facts in entries[:MAX_ENTRIES]]
        found = [self._make_row(one) for one in self.hub.found if self._is_result_wanted(one)]
        if self.filters.sorts_by_fit:
            found.sort(key=lambda row: rank(row.fit, row.size_bytes))
        rows.append(ResultRow("group", self.tr("On the hub")))
        rows += found
        if note := self._make_note(len(found)):
            rows.append(note)
        self.results.set_rows(rows)
        more = "+" if self.hub.has_more else ""
        count = self.tr("{n} on the hub").replace("{n}", f"{len(found):,}{more}")
        self.filters.count.set_full_text(count if found else "")

    def _make_row(self, found: RepoSummary) -> ResultRow:
        """The row of a result; made once, for each page shows all that came before."""
        row = self._made_rows.get(found)
        if row is None:
            if len(self._made_rows) > MAX_MADE_ROWS:
                self._made_rows.clear()
            row = self._made_rows[found] = make_result_row(found, self._machine, self.tr)
        return row

    def _make_note(self, n_found: int) -> ResultRow | None:
        hub = self.hub
        if hub.phase == "asking":
            text = self.tr("Searching for more") if n_found else self.tr("Searching the hub")
            return ResultRow("note", text)
        if hub.error is not None:
            if hub.error.code == "offline":
                text = self.tr(
                    "You work offline, so the hub is not searched. Suggestions and installed "
                    "models are there as ever."
                )
                return ResultRow("note", text)
            return ResultRow("note", str(hub.error), action=self.tr("Try again"), is_bad=True)
        n_hidden = len(hub.found) - n_found
        if n_found and not hub.has_more and n_hidden:
            text = self.tr("{n} more do not fit this machine.").replace("{n}", f"{n_hidden:,}")
            return ResultRow("note", text, action=self.tr("Show them"))
        if n_found or hub.phase != "done":
            return None
        if n_hidden:
            text = self.tr("None of {n} models fits this machine.").replace("{n}", f"{n_hidden:,}")
            return ResultRow("note", text, action=self.tr("Show them"))
        if self.filters.is_narrowed:
            text = self.tr("The hub has no GGUF model that suits these words and filters.")
            return ResultRow("note", text, action=self.tr("Clear filters"))
        text = self.tr(
            "The hub has no GGUF model of such a name. Try a part of it, or fewer words."
        )
        return ResultRow("note", text)

    def _find_state(self, row: ResultRow) -> State:
        """What a row's button does now, and its text."""
        if row.kind == "note":
            return ("download", row.action) if row.action else ("", "")
        if not row.repo:
            return "", ""
        if self._find_installed(row) is not None:
            return "use", self.tr("Use")
        state = self._transfers.find(row.wanted, row.repo, lambda _: True)
        if self._transfers.is_starting(row.wanted):
            return "wait", self.tr("Starting")
        if state is not None and state.phase not in {"done", "cancelled"}:
            return self._describe_download(state.phase, state.done_bytes, state.size_bytes)
        return ("download", self.tr("Download")) if row.can_be_had else ("", "")

    def _find_problem(self, row: ResultRow) -> str:
        """Why a row's download did not begin or stopped; "" where all is well."""
        if not row.wanted or self._find_installed(row) is not None:
            return ""
        if (error := self._errors.get(row.wanted)) is not None:
            return error
        state = self._transfers.find(row.wanted, row.repo, lambda _: True)
        if state is None or state.phase != "failed":
            return ""
        return f"{state.error} {state.hint}".strip()

    def _describe_download(self, phase: str, done_bytes: int, size_bytes: int) -> State:
        match phase:
            case "failed":
                return "download", self.tr("Retry")
            case "paused":
                return "download", self.tr("Resume")
            case "verifying":
                return "wait", self.tr("Checking")
            case "downloading" if size_bytes:
                return "wait", f"{done_bytes / size_bytes:.0%}"
            case _:
                return "wait", self.tr("Waiting")

    def _find_installed(self, row: ResultRow) -> str | None:
        for model in self._models.models:
            if model.repo == row.repo and not model.problem:
                return model.id
        return None

    def _on_button_pressed(self, row: ResultRow) -> None:
        if row.kind == "note":
            self._on_note_pressed()
            return
        model_id = self._find_installed(row)
        if model_id is not None:
            self.model_chosen.emit(model_id)
            return
        state = self._transfers.find(row.wanted, row.repo, lambda _: True)
        if state is not None and state.phase in {"failed", "paused"}:
            self._transfers.resume(state.id)
        else:
            self._on_download_requested(row.wanted)

    def _on_note_pressed(self) -> None:
        if self.hub.error is not None:
            self.hub.ask_again()
        elif self.hub.found:
            self.fits.setChecked(False)
        else:
            self.filters.clear()

    # --- file rows ---

    def _on_row_made(self, row: FileRow) -> None:
        self.forecaster.watch(row)
        transfers = self._transfers
        row.download_requested.connect(self._on_download_requested)
        row.pause_requested.connect(transfers.pause)
        row.resume_requested.connect(transfers.resume)
        row.cancel_requested.connect(transfers.cancel)
        row.use_requested.connect(lambda: self._on_use_requested(row))
        self._update_row(row)

    def _update_row(self, row: FileRow) -> None:
        offer = row.offer
        row.show_state(
            self._transfers.find(offer.name, offer.repo, offer.is_file),
            is_installed=self._find_installed_file(row) is not None,
            is_starting=self._transfers.is_starting(offer.name),
            error=self._errors.get(offer.name, ""),
        )

    def _find_installed_file(self, row: FileRow) -> str | None:
        for model in self._models.models:
            if model.repo == row.offer.repo and row.offer.is_file(model.filename):
                return model.id
        return None

    def _on_download_requested(self, name: str) -> None:
        self._errors.pop(name, None)
        self._transfers.start(name)

    def _on_use_requested(self, row: FileRow) -> None:
        if (model_id := self._find_installed_file(row)) is not None:
            self.model_chosen.emit(model_id)

    def _on_refused(self, name: str, error: UserError) -> None:
        self._errors[name] = str(error)
        self.update_rows()
