"""The Discover tab: the built-in catalogue as cards, and the files of a repository one names."""

from typing import Final

from PySide6.QtCore import QTimer, Signal
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from inglenook.app import App
from inglenook.base.errors import UserError
from inglenook.gui.formats import format_bytes
from inglenook.gui.installed import InstalledModels
from inglenook.gui.models_page.card import ModelCard
from inglenook.gui.models_page.file_row import FileRow
from inglenook.gui.models_page.offers import CardFacts, make_cards, make_repo_card, parse_repo
from inglenook.gui.models_page.transfers import Transfers
from inglenook.gui.tasks import Tasks
from inglenook.gui.theme import Theme
from inglenook.gui.widgets import NoticeBar, make_button, make_label, make_scroll
from inglenook.models.fit import Machine, find_machine

CARDS_PER_STEP: Final = 3
"""Cards made at one go, so that no step blocks the window for long."""


class Discover(QWidget):
    """Cards, a filter, and the machine that they are measured against.

    Signals: `model_chosen(model_id)` when "Use" was pressed.
    """

    model_chosen = Signal(str)

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
        self._waiting: list[CardFacts] = []
        self._cards: list[tuple[CardFacts, ModelCard]] = []
        self._repo_card: ModelCard | None = None
        self._errors: dict[str, str] = {}
        self._filter = ""
        self._wanted_repo = ""
        self._timer = QTimer(self)
        self._timer.setInterval(0)
        self._timer.timeout.connect(self._make_some)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addLayout(self._make_filters())
        self._notice = NoticeBar(theme)
        self._notice.setContentsMargins(0, 0, 0, 0)
        self._notice.acted.connect(lambda: self.list_repo(self._wanted_repo))
        notice_row = QHBoxLayout()
        notice_row.setContentsMargins(28, 0, 28, 8)
        notice_row.addWidget(self._notice)
        column.addLayout(notice_row)
        column.addWidget(self._make_scroll(), 1)
        transfers.changed.connect(self.update_rows)
        transfers.refused.connect(self._on_refused)
        models.changed.connect(self.update_rows)
        self._load()

    def set_filter(self, text: str) -> None:
        """Show the cards that hold all the words typed."""
        self._filter = text.strip().casefold()
        self._apply_filter()

    def list_repo(self, text: str) -> bool:
        """List the GGUF files of the repository in `text`; False when there is none in it."""
        repo = parse_repo(text)
        if repo is None:
            return False
        self._wanted_repo = repo
        self._notice.set_surface("bar")
        self._notice.show_notice(self.tr("Asking the hub about {repo}").replace("{repo}", repo))
        machine = self._machine

        def work() -> CardFacts:
            return make_repo_card(repo, self._app.hub_client.find_files(repo), machine)

        def failed(error: UserError) -> None:
            if self._wanted_repo == repo:
                self._notice.set_surface("bad")
                self._notice.show_notice(str(error), self.tr("Try again"))

        def done(facts: CardFacts) -> None:
            if self._wanted_repo == repo:
                self._show_repo(facts)

        self._tasks.run(work, done, failed, owner=self)
        return True

    def update_rows(self) -> None:
        """Let every row show its state anew."""
        for _, card in self._cards:
            card.update_rows(self._update_row)
        if self._repo_card is not None:
            self._repo_card.update_rows(self._update_row)

    def cards(self) -> tuple[ModelCard, ...]:
        """The cards that were made so far."""
        return tuple(card for _, card in self._cards)

    # --- parts ---

    def _make_filters(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setContentsMargins(28, 16, 28, 12)
        row.setSpacing(8)
        self.fits = make_button(self.tr("Fits this machine"), "filter")
        self.fits.setCheckable(True)
        self.fits.setChecked(True)
        self.fits.toggled.connect(self._apply_filter)
        self._count = make_label("", "small")
        self._facts = make_label("", "quiet")
        row.addWidget(self.fits)
        row.addWidget(self._count)
        row.addStretch(1)
        row.addWidget(self._facts)
        return row

    def _make_scroll(self) -> QWidget:
        content = QWidget()
        self._column = QVBoxLayout(content)
        self._column.setContentsMargins(28, 0, 28, 24)
        self._column.setSpacing(12)
        self._nothing = make_label(self.tr("No model in the list fits these words."), "quiet")
        self._nothing.hide()
        self._column.addWidget(self._nothing)
        self._column.addStretch(1)
        return make_scroll(content, self.tr("Models to download"))

    def _load(self) -> None:
        ready = self._app.engine.state.ready
        devices = ready.devices if ready is not None else ()
        gpus = [device for device in devices if device.kind in {"gpu", "igpu"}]
        gpu_bytes = sum(d.memory_total_bytes for d in gpus if d.kind == "gpu")
        gpu_name = gpus[0].description or gpus[0].name if gpus else ""

        def work() -> tuple[Machine, tuple[CardFacts, ...]]:
            machine = find_machine(gpu_bytes)
            return machine, make_cards(self._app.catalogue, machine)

        def done(answer: tuple[Machine, tuple[CardFacts, ...]]) -> None:
            self._machine, cards = answer
            memory = self.tr("{size} memory")
            facts = [memory.replace("{size}", format_bytes(self._machine.memory_bytes))]
            if gpu_name:
                facts.insert(0, " ".join((gpu_name, format_bytes(gpu_bytes) if gpu_bytes else "")))
            self._facts.setText(" · ".join(facts))
            self._waiting = list(cards)
            self._timer.start()

        def failed(error: UserError) -> None:
            self._notice.set_surface("bad")
            self._notice.show_notice(str(error))

        self._tasks.run(work, done, failed, owner=self)

    # --- cards ---

    def _make_some(self) -> None:
        for _ in range(min(CARDS_PER_STEP, len(self._waiting))):
            facts = self._waiting.pop(0)
            card = self._make_card(facts, n_open=1)
            self._cards.append((facts, card))
            self._column.insertWidget(self._column.count() - 1, card)
            card.setVisible(self._is_wanted(facts))
        if not self._waiting:
            self._timer.stop()
            self._apply_filter()

    def _make_card(self, facts: CardFacts, n_open: int) -> ModelCard:
        card = ModelCard(
            self._theme, facts.title, facts.subtitle, facts.facts, facts.purpose, facts.offers
        )
        card.row_made.connect(self._on_row_made)
        card.open_rows(n_open)
        return card

    def _show_repo(self, facts: CardFacts) -> None:
        self._notice.hide()
        if self._repo_card is not None:
            self._repo_card.hide()
            self._repo_card.deleteLater()
            self._repo_card = None
        if not facts.offers:
            text = self.tr("{repo} has no GGUF file that could be used.")
            self._notice.set_surface("warn")
            self._notice.show_notice(text.replace("{repo}", facts.title))
            return
        self._repo_card = self._make_card(facts, n_open=12)
        self._column.insertWidget(0, self._repo_card)

    def _on_row_made(self, row: FileRow) -> None:
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
            is_installed=self._find_installed(row) is not None,
            is_starting=self._transfers.is_starting(offer.name),
            error=self._errors.get(offer.name, ""),
        )

    def _find_installed(self, row: FileRow) -> str | None:
        for model in self._models.models:
            if model.repo == row.offer.repo and row.offer.is_file(model.filename):
                return model.id
        return None

    def _on_download_requested(self, name: str) -> None:
        self._errors.pop(name, None)
        self._transfers.start(name)

    def _on_use_requested(self, row: FileRow) -> None:
        if (model_id := self._find_installed(row)) is not None:
            self.model_chosen.emit(model_id)

    def _on_refused(self, name: str, error: UserError) -> None:
        self._errors[name] = str(error)
        self.update_rows()

    # --- the filter ---

    def _is_wanted(self, facts: CardFacts) -> bool:
        if self.fits.isChecked() and not facts.can_run:
            return False
        return all(word in facts.words for word in self._filter.split())

    def _apply_filter(self) -> None:
        n_shown = 0
        for facts, card in self._cards:
            is_wanted = self._is_wanted(facts)
            n_shown += is_wanted
            card.setVisible(is_wanted)
        is_done = not self._waiting and bool(self._cards)
        self._nothing.setVisible(is_done and n_shown == 0)
        count = self.tr("{n} of {all} models").replace("{n}", str(n_shown))
        self._count.setText(count.replace("{all}", str(len(self._cards))) if is_done else "")
