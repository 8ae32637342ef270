"""A reply of the model: its text, the live line or the summary, what became of it, its buttons.

Text is shown at the pace of `pace`. Window's thread.
"""

from typing import TYPE_CHECKING

from PySide6.QtCore import Signal
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QStyle, QWidget

from inglenook.gui.transcript.controls import BUTTON_PAD
from inglenook.gui.transcript.footer import ReplyFooter
from inglenook.gui.transcript.formats import Formats
from inglenook.gui.transcript.meter_row import LiveLine
from inglenook.gui.transcript.outcome import Outcome, OutcomeBar, judge_outcome, judge_stuck
from inglenook.gui.transcript.pace import TICK_MS, Pacer
from inglenook.gui.transcript.reasoning import ReasoningView
from inglenook.gui.transcript.thread import Entry
from inglenook.gui.transcript.ticker import Ticker

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
        self._ticker = Ticker(TICK_MS, self)
        self._ticker.ticked.connect(self._on_tick)
        self.reasoning = ReasoningView(formats, entry, self)
        self.reasoning.toggled.connect(self.height_changed)
        self.reasoning.toggled.connect(self.unfolded)
        self.reasoning.height_changed.connect(self.height_changed)
        self.reasoning.link_clicked.connect(self.link_clicked)
        self.body = _make_body(formats, self)
        self.body.height_changed.connect(self.height_changed)
        self.body.link_clicked.connect(self.link_clicked)
        self._live_line: LiveLine | None = None
        self._outcome_bar: OutcomeBar | None = None
        self._footer: ReplyFooter | None = None
        self.update_entry()

    # --- its parts: each is made when it has something to show ---

    @property
    def live(self) -> LiveLine:
        """The line of numbers while it is written."""
        if self._live_line is None:
            self._live_line = LiveLine(self._theme, self)
        return self._live_line

    @property
    def outcome_bar(self) -> OutcomeBar:
        """The bar that says how it ended, and what can be done."""
        if self._outcome_bar is None:
            bar = self._outcome_bar = OutcomeBar(self._theme, self)
            bar.continued.connect(lambda: self.continued.emit(self._entry.message.id))
            bar.retried.connect(lambda: self.retried.emit(self._entry.message.id))
            bar.helped.connect(lambda name: self.helped.emit(self._entry.message.id, name))
        return self._outcome_bar

    @property
    def footer(self) -> ReplyFooter:
        """The line of numbers and buttons once it is done."""
        if self._footer is None:
            footer = self._footer = ReplyFooter(self._theme, self, is_draft=self._is_draft)
            footer.copied.connect(self._on_copy)
            footer.retried.connect(lambda: self.retried.emit(self._entry.message.id))
            footer.drafts_wanted.connect(lambda: self.drafts_wanted.emit(self._entry.message.id))
            footer.version_chosen.connect(self.version_chosen)
        return self._footer

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
        self._ticker.start()

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
            self._show_outcome(judge_stuck(self) if self._entry.is_stuck else Outcome())

    def show_unsaved(self) -> None:
        """Show or take away the mark that the text is not on the disk yet."""
        is_unsaved = self._entry.is_unsaved
        shows = is_unsaved or not self._is_writing()
        if shows or self._footer is not None:
            self.footer.show_unsaved(is_unsaved)
            self.footer.setVisible(shows)

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
        for part, gap in ((self._live_line, 8), (self._outcome_bar, 12), (self._footer, 8)):
            if part is None or part.isHidden():
                continue
            wide = width + (BUTTON_PAD if part is self._footer else 0)
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

    def _on_tick(self, tick_s: float) -> None:
        piece = self._pacer.take(tick_s)
        if piece:
            self.body.append(piece)
            self.height_changed.emit()
        if self._pacer.n_waiting == 0:
            self._ticker.stop()
            if not self._is_live:
                self._show_state()
                self.height_changed.emit()

    def _show_state(self) -> None:
        message = self._entry.message
        writing = self._is_live
        if not writing:
            self._ticker.stop()
            self.body.set_text(message.content, is_last=True)
        self.body.set_shows_cursor(writing and not self._entry.is_thinking)
        if writing:
            self.show_live()
            self.live.show()
            self.show_stuck()
        else:
            if self._live_line is not None:
                self._live_line.hide()
            outcome = judge_outcome(message, self)
            self._show_outcome(outcome)
            self.footer.show_message(message, can_retry=not outcome.can_retry)  # One is enough.
        self.show_unsaved()
        if not writing:
            self.finished.emit()

    def _show_outcome(self, outcome: Outcome) -> None:
        if outcome.sentence or self._outcome_bar is not None:
            self.outcome_bar.show_outcome(outcome)

    def _on_copy(self) -> None:
        QGuiApplication.clipboard().setText(self._entry.text)
        self.footer.show_copied()


def prepare_views() -> None:
    """Import what the first reply needs, on any thread: the reading of Markdown takes its time."""
    import inglenook.gui.transcript.body  # noqa: F401


def prepare_colours() -> None:
    """Load what colours the commonest language, on any thread: while text comes in, it would stall.

    Python's imports hold the interpreter, and with it the window.
    """
    from inglenook.gui.transcript.highlight import Colourist

    Colourist().load("python")


def _make_body(formats: Formats, parent: QWidget) -> "ReplyBody":
    from inglenook.gui.transcript.body import ReplyBody

    return ReplyBody(formats, parent)
