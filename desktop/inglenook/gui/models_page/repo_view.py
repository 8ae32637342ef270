"""One repository of the hub: what it is, its files by quantisation, its card, what it asks for."""

from collections.abc import Callable
from typing import Final

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QScrollArea, QVBoxLayout, QWidget

from inglenook.app import App
from inglenook.base.errors import UserError
from inglenook.gui.formats import format_bytes
from inglenook.gui.icons import make_icon
from inglenook.gui.models_page.card_text import CardText
from inglenook.gui.models_page.file_row import FileOffer, FileRow
from inglenook.gui.models_page.offers import RepoFacts, make_repo_facts
from inglenook.gui.models_page.results_rows import name_mark
from inglenook.gui.tasks import Tasks
from inglenook.gui.theme import Theme
from inglenook.gui.widgets import (
    ElidedLabel,
    NoticeBar,
    Pill,
    clear_layout,
    make_button,
    make_label,
    make_line,
    make_scroll,
)
from inglenook.models.fit import Machine, find_machine

ROWS_PER_STEP: Final = 2
"""Rows made at one go, so that no step blocks the window for long."""
GROUPS_OPEN: Final = 12
"""Up to so many files are all shown; of more, the suggested one and a fold."""


class RepoView(QWidget):
    """Shows the repository that it is told to; asks the hub for it.

    Signals: `back_requested()`, `link_requested(address)`, `maker_chosen(maker)`,
    `token_requested()`, `row_made(FileRow)`.
    """

    back_requested = Signal()
    link_requested = Signal(str)
    maker_chosen = Signal(str)
    token_requested = Signal()
    row_made = Signal(object)

    def __init__(self, app: App, theme: Theme, tasks: Tasks, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._app = app
        self._theme = theme
        self._tasks = tasks
        self._waiting: list[FileOffer | str] = []
        self.machine = Machine(0)
        self._is_below_row = False
        self.repo = ""
        self.facts: RepoFacts | None = None
        self.rows: list[FileRow] = []
        self._timer = QTimer(self)
        self._timer.setInterval(0)
        self._timer.timeout.connect(self._make_some)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addLayout(self._make_head())
        column.addWidget(self._make_body(), 1)

    # --- what it is told ---

    def show_repo(self, repo: str) -> None:
        """Ask for a repository and show it."""
        self.repo = repo
        self._clear()
        maker, _, name = repo.partition("/")
        self._title.set_full_text(name)
        self._maker.setText(self.tr("by {maker}").replace("{maker}", maker))
        self._maker.setAccessibleName(self.tr("More models by {maker}").replace("{maker}", maker))
        self.scroll_area.verticalScrollBar().setValue(0)
        self._ask()

    def refresh(self) -> None:
        """Ask anew: a token was given, or the network is back."""
        if self.repo and (self.facts is None or self.facts.details.gate != "open"):
            self._ask()

    def update_rows(self, update: Callable[[FileRow], None]) -> None:
        """Let every row show its state anew."""
        for row in self.rows:
            update(row)

    # --- parts ---

    def _make_head(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setContentsMargins(20, 4, 28, 8)
        row.setSpacing(8)
        self.back = make_button(self.tr("Back"), "link")
        self.back.setIcon(make_icon(self._theme, "chevron-left", "ember", 16))
        self.back.setShortcut("Alt+Left")
        self.back.clicked.connect(self.back_requested)
        self._title = ElidedLabel("", "heading")
        self._maker = make_button("", "link")
        self._maker.clicked.connect(lambda: self.maker_chosen.emit(self.repo.partition("/")[0]))
        self.page_button = make_button(self.tr("Its page on the hub"))
        self.page_button.clicked.connect(self._open_page)
        row.addWidget(self.back)
        row.addWidget(self._title, 1)
        row.addWidget(self._maker)
        row.addWidget(self.page_button)
        return row

    def _make_body(self) -> QScrollArea:
        content = QWidget()
        self._column = QVBoxLayout(content)
        self._column.setContentsMargins(28, 4, 28, 24)
        self._column.setSpacing(12)
        self.notice = NoticeBar(self._theme)
        self.notice.acted.connect(self._on_notice_acted)
        self._purpose = make_label("", wraps=True)
        self._facts = make_label("", "quiet", wraps=True)
        self._pills = QHBoxLayout()
        self._pills.setSpacing(6)
        self.card_of_files = QFrame()
        self.card_of_files.setProperty("surface", "card")
        self._files = QVBoxLayout(self.card_of_files)
        self._files.setContentsMargins(16, 6, 16, 6)
        self._files.setSpacing(0)
        self._side = make_label("", "small", wraps=True)
        self.card = CardText(self._theme)
        self.card.link_clicked.connect(self.link_requested)
        self._cut = make_label(self.tr("The card goes on; its page has all of it."), "small")
        above: tuple[QWidget, ...] = (self.notice, self._purpose, self._facts)
        below: tuple[QWidget, ...] = (self.card_of_files, self._side, self.card, self._cut)
        for part in above:
            self._column.addWidget(part)
        self._column.addLayout(self._pills)
        for part in below:
            self._column.addWidget(part)
        self._column.addStretch(1)
        self.scroll_area = make_scroll(content, self.tr("The model and its files"))
        self._clear()
        return self.scroll_area

    # --- what happens ---

    def _clear(self) -> None:
        self._timer.stop()
        self.facts = None
        self.rows.clear()
        self._waiting.clear()
        clear_layout(self._files)
        clear_layout(self._pills)
        self._is_below_row = False
        self.notice.hide()
        for part in (self._purpose, self._facts, self.card_of_files, self._side, self._cut):
            part.hide()
        self.card.set_text("")

    def _ask(self) -> None:
        repo, known = self.repo, self.machine
        self.notice.set_surface("bar")
        self.notice.show_notice(self.tr("Asking the hub about {repo}").replace("{repo}", repo))

        def work() -> RepoFacts:
            machine = known if known.memory_bytes else find_machine()
            return make_repo_facts(self._app.hub_client.describe(repo), machine, self.tr)

        def done(facts: RepoFacts) -> None:
            if repo == self.repo:
                self._show(facts)

        def failed(error: UserError) -> None:
            if repo == self.repo:
                self.notice.set_surface("bad")
                self.notice.show_notice(str(error), self.tr("Try again"))

        self._tasks.run(work, done, failed, owner=self)

    def _show(self, facts: RepoFacts) -> None:
        self._clear()
        self.facts = facts
        details = facts.details
        self._title.set_full_text(facts.title)
        self._purpose.setText(facts.purpose)
        self._purpose.setVisible(bool(facts.purpose))
        self._facts.setText(facts.facts)
        self._facts.setVisible(bool(facts.facts))
        for mark in details.summary.marks:
            self._pills.addWidget(Pill(self._theme, name_mark(mark, self.tr), "quiet"))
        self._pills.addStretch(1)
        self._show_gate()
        self._list_files()
        self._side.setText(self._describe_side(facts))
        self._side.setVisible(bool(self._side.text()))
        # In a turn of its own: rows and a long text together would hold the window up.
        QTimer.singleShot(0, self, self._show_card)
        self._cut.setVisible(details.is_card_cut)

    def _show_card(self) -> None:
        if self.facts is not None:
            self.card.set_text(self.facts.details.card)

    def _show_gate(self) -> None:
        """Say what is missing, and lead to it."""
        assert self.facts is not None
        details = self.facts.details
        repo = details.summary.repo
        page = (self.tr("Open its page"), self._open_page)
        match details.gate:
            case "no_token":
                text = self.tr(
                    "{repo} is given only to people who signed in and accepted its licence. "
                    "Accept it on its page, then give Inglenook an access token."
                )
                action = self.tr("Enter a token")
            case "no_access":
                text = self.tr(
                    "{repo} is not given to your account yet. Accept its licence on its page, then "
                    "try again; some makers let people wait."
                )
                action = self.tr("Try again")
            case "bad_token":
                text = self.tr("The hub does not know your access token. It may have run out.")
                action = self.tr("Enter a token")
            case _:
                if not details.files:
                    self.notice.set_surface("warn")
                    text = self.tr("{repo} has no GGUF file that could be used.")
                    self.notice.show_notice(text.replace("{repo}", repo))
                return
        self.notice.set_surface("warn")
        self.notice.show_notice(text.replace("{repo}", repo), action, (page,))

    def _on_notice_acted(self) -> None:
        gate = self.facts.details.gate if self.facts is not None else "open"
        if gate in {"no_token", "bad_token"}:
            self.token_requested.emit()
        else:
            self._ask()

    def _open_page(self) -> None:
        self.link_requested.emit(f"{self._app.hub_client.endpoint}/{self.repo}")

    def _describe_side(self, facts: RepoFacts) -> str:
        """What is in the repository beside models."""
        projectors = facts.details.projectors
        if not projectors:
            return ""
        text = self.tr(
            "An add-on for pictures belongs to it ({size}). Inglenook reads text only so far and "
            "does not download it."
        )
        return text.replace("{size}", format_bytes(projectors[0].size_bytes))

    # --- files ---

    def _list_files(self) -> None:
        assert self.facts is not None
        offers = self.facts.offers
        self.card_of_files.setVisible(bool(offers))
        if len(offers) <= GROUPS_OPEN:
            self._waiting = list(self.facts.list_by_bits())
        else:
            first = next((o for o in offers if o.is_recommended), offers[0])
            self._waiting = [first]
        self._timer.start()

    def unfold(self) -> None:
        """Show all files, grouped by their bits."""
        assert self.facts is not None
        clear_layout(self._files)
        self._is_below_row = False
        self.rows.clear()
        self._waiting = list(self.facts.list_by_bits())
        self._timer.start()

    def _make_some(self) -> None:
        for _ in range(min(ROWS_PER_STEP, len(self._waiting))):
            self._add(self._waiting.pop(0))
        if self._waiting:
            return
        self._timer.stop()
        n_folded = len(self.facts.offers) - len(self.rows) if self.facts is not None else 0
        if n_folded:
            text = self.tr("{n} other sizes").replace("{n}", str(n_folded))
            more = make_button(text, "link")
            more.clicked.connect(self.unfold)
            self._files.addWidget(more, 0, Qt.AlignmentFlag.AlignLeft)

    def _add(self, part: FileOffer | str) -> None:
        if isinstance(part, str):
            label = make_label(part, "group")
            label.setContentsMargins(0, 10, 0, 4)
            self._files.addWidget(label)
            self._is_below_row = False
            return
        if self._is_below_row:
            self._files.addWidget(make_line())
        self._is_below_row = True
        row = FileRow(self._theme, part)
        self.rows.append(row)
        self._files.addWidget(row)
        self.row_made.emit(row)
