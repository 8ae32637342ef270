"""A reply of the model: its text, the live line or the summary, what became of it, its buttons.

Text is shown at the pace of `pace`. Window's thread.
"""

from typing import TYPE_CHECKING

from PySide6.QtCore import QPoint, Qt, QTimer, Signal
from PySide6.QtGui import QFont, QGuiApplication
from PySide6.QtWidgets import QStyle, QWidget

from inglenook.gui.transcript.controls import BUTTON_PAD, DropButton, Figure, Row, TextButton
from inglenook.gui.transcript.formats import Formats
from inglenook.gui.transcript.meter_row import LiveLine, SummaryLine
from inglenook.gui.transcript.outcome import Outcome, OutcomeBar, judge_outcome, judge_stuck
from inglenook.gui.transcript.pace import TICK_MS, Pacer
from inglenook.gui.transcript.reasoning import ReasoningView
from inglenook.gui.transcript.thread import Entry
from inglenook.gui.transcript.versions import VersionArrows
from inglenook.gui.widgets import make_menu

if TYPE_CHECKING:
    from inglenook.gui.transcript.body import ReplyBody


class ReplyView(QWidget):
    """One reply.

    Signals: `height_changed()`; `retried(str)`, `drafts_wanted(str)`, `continued(str)`,
    `version_chosen(str)` with message ids; `link_clicked(str)`; `finished()` when its last text is
    shown; `unfolded()` when its reasoning was opened or closed.
    """

    height_changed = Signal()
    retried = Signal(str)
    drafts_wanted = Signal(str)
    continued = Signal(str)
    helped = Signal(str, str)
    version_chosen = Signal(str)
    link_clicked = Signal(str)
    finished = Signal()
    unfolded = Signal()

    def __init__(
        self,
        formats: Formats,
        entry: Entry,
        parent: QWidget | None = None,
        *,
        is_draft: bool = False,
    ) -> None:
        super().__init__(parent)
        self._theme = formats.theme
        self._entry = entry
        self._is_draft = is_draft
        self._pacer = Pacer()
        self._is_live = False
        self.was_streaming = False
        self._timer = QTimer(self, interval=TICK_MS)
        self._timer.timeout.connect(self._on_tick)
        self.reasoning = ReasoningView(formats, entry, self)
        self.reasoning.toggled.connect(self.height_changed)
        self.reasoning.toggled.connect(self.unfolded)
        self.reasoning.height_changed.connect(self.height_changed)
        self.reasoning.link_clicked.connect(self.link_clicked)
        self.body = _make_body(formats, self)
        self.body.height_changed.connect(self.height_changed)
        self.body.link_clicked.connect(self.link_clicked)
        self.live = LiveLine(self._theme, self)
        self._outcome_bar = OutcomeBar(self._theme, self)
        self._outcome_bar.continued.connect(lambda: self.continued.emit(self._entry.message.id))
        self._outcome_bar.retried.connect(lambda: self.retried.emit(self._entry.message.id))
        self._outcome_bar.helped.connect(
            lambda name: self.helped.emit(self._entry.message.id, name)
        )
        self._build_footer()
        self.update_entry()

    def _build_footer(self) -> None:
        self.footer = Row(self, gap=8)
        self.summary = SummaryLine(self._theme)
        self._unsaved = Figure(self._theme, role="brick", weight=QFont.Weight.Medium)
        self._versions = VersionArrows(self._theme)
        self._versions.chosen.connect(self.version_chosen)
        self.copy_button = TextButton(self._theme, self.tr("Copy"))
        self.copy_button.setAccessibleName(self.tr("Copy the reply"))
        self.copy_button.clicked.connect(self._on_copy)
        self.retry_button = TextButton(self._theme, self.tr("Retry"))
        self.retry_button.setAccessibleName(self.tr("Write another reply"))
        self.retry_button.clicked.connect(lambda: self.retried.emit(self._entry.message.id))
        self.footer.add_left(self.summary, self._unsaved)
        self.more_button = DropButton(self._theme)
        self.more_button.setAccessibleName(self.tr("More ways to retry"))
        self.more_button.setToolTip(self.tr("More ways to retry"))
        self.more_button.clicked.connect(self._on_more)
        self.footer.add_right(self._versions, self.copy_button, self.retry_button, self.more_button)

    # --- what the transcript calls ---

    @property
    def is_thinking(self) -> bool:
        """Whether its reasoning goes on now."""
        return self._entry.is_thinking

    def update_entry(self) -> None:
        """Show the entry's record: a new state, a final text."""
        message = self._entry.message
        self.reasoning.refresh()
        is_streaming = message.status == "streaming"
        if is_streaming and not self._is_live:
            self._pacer.take_all()
            self.body.set_text(self._entry.text, is_last=False)
        elif not is_streaming and (self._pacer.n_waiting == 0 or message.status != "complete"):
            self._pacer.take_all()
        self._is_live = is_streaming
        self._entry.is_stuck = self._entry.is_stuck and is_streaming
        self.was_streaming = self.was_streaming or is_streaming
        if self._pacer.n_waiting == 0:
            self._show_state()

    def append(self, piece: str) -> None:
        """Take text that arrived."""
        self.reasoning.refresh()
        self._pacer.add(piece)
        if not self._theme_moves():
            self.body.append(self._pacer.take_all())
            return
        if not self._timer.isActive():
            self._timer.start()
            self._on_tick()

    def think(self) -> None:
        """Show reasoning that arrived; the entry holds it."""
        was_hidden = self.reasoning.isHidden()
        self.reasoning.refresh()
        self.body.set_shows_cursor(not self._entry.is_thinking)
        if was_hidden or self.reasoning.is_open:
            self.height_changed.emit()

    def show_live(self) -> None:
        """Show the entry's live numbers or what it waits for."""
        if self._entry.progress:
            self.live.show_progress(self._entry.progress)
        else:
            self.live.show_numbers(self._entry.meter, self._entry.n_tokens)
        self.live.fit(self.live.width())

    def show_stuck(self) -> None:
        """Show or take away the word that the engine does not get on, while this is written."""
        if self._is_live:
            is_stuck = self._entry.is_stuck
            self._outcome_bar.show_outcome(judge_stuck(self) if is_stuck else Outcome())

    def show_unsaved(self) -> None:
        """Show or take away the mark that the text is not on the disk yet."""
        self._unsaved.show_figure(
            self.tr("Not saved yet") if self._entry.is_unsaved else "",
            self.tr("The text is in memory only; it is saved as soon as the disk takes it."),
        )
        self.footer.setVisible(self._entry.is_unsaved or not self._is_writing())

    def fit(self, width: int) -> int:
        """Place everything for a width; the height that it takes."""
        px = self._theme.px
        y = 0
        if not self.reasoning.isHidden():
            y = self.reasoning.fit(width)
            self.reasoning.setGeometry(0, 0, width, y)
        has_body = not y or bool(self.body.text)  # Nothing is said yet while it thinks.
        body_height = self.body.fit(width) if has_body else 0
        top = y + px(6) if y and has_body else y
        self.body.setGeometry(0, top, width, max(1, body_height))
        y = top + body_height
        for part, gap in ((self.live, 8), (self._outcome_bar, 12), (self.footer, 8)):
            if part.isHidden():
                continue
            wide = width + (BUTTON_PAD if part is self.footer else 0)
            height = part.fit(wide)
            y += px(gap) if y else 0
            part.setGeometry(0, y, wide, height)
            y += height
        return max(1, y)

    # --- inner ---

    def _is_writing(self) -> bool:
        return self._is_live or self._pacer.n_waiting > 0

    def _theme_moves(self) -> bool:
        """False when the desktop asks for reduced motion."""
        hint = QStyle.StyleHint.SH_Widget_Animation_Duration
        return self.style().styleHint(hint, None, self) > 0

    def _on_tick(self) -> None:
        piece = self._pacer.take()
        if piece:
            self.body.append(piece)
            self.height_changed.emit()
        if self._pacer.n_waiting == 0:
            self._timer.stop()
            if not self._is_live:
                self._show_state()
                self.height_changed.emit()

    def _show_state(self) -> None:
        message = self._entry.message
        writing = self._is_live
        if not writing:
            self._timer.stop()
            self.body.set_text(message.content, is_last=True)
        self.body.set_shows_cursor(writing and not self._entry.is_thinking)
        self.live.setVisible(writing)
        if writing:
            self.show_live()
        outcome = Outcome() if writing else judge_outcome(message, self)
        self._outcome_bar.show_outcome(outcome)
        self.show_stuck()
        self.retry_button.setVisible(not outcome.can_retry and not self._is_draft)  # one is enough
        self.more_button.setVisible(not self._is_draft)
        self.summary.show_statistics(message.statistics)
        self._versions.set_versions(() if self._is_draft else message.sibling_ids, message.id)
        self.copy_button.setVisible(bool(message.content))
        self.show_unsaved()
        if not writing:
            self.finished.emit()

    def _on_more(self) -> None:
        menu = make_menu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        retry = menu.addAction(self.tr("Another reply"))
        retry.triggered.connect(lambda: self.retried.emit(self._entry.message.id))
        drafts = menu.addAction(self.tr("Three drafts"))
        drafts.triggered.connect(lambda: self.drafts_wanted.emit(self._entry.message.id))
        menu.popup(self.more_button.mapToGlobal(QPoint(0, self.more_button.height())))

    def _on_copy(self) -> None:
        QGuiApplication.clipboard().setText(self._entry.text)
        self.copy_button.show_done(self.tr("Copied"))
        self.footer.fit(self.footer.width())


def prepare_views() -> None:
    """Import what the first reply needs, on any thread: the reading of Markdown takes its time."""
    import inglenook.gui.transcript.body  # noqa: F401


def _make_body(formats: Formats, parent: QWidget) -> "ReplyBody":
    from inglenook.gui.transcript.body import ReplyBody

    return ReplyBody(formats, parent)
