"""What a model thought before its answer: one quiet line with its time, that opens on demand.

`reply` owns one above its text. The text is only laid out while it is open, for it may be long.
Window's thread.
"""

from typing import TYPE_CHECKING, Final, override

from PySide6.QtCore import QPointF, QRectF, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QFontMetrics, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QPushButton, QWidget

from inglenook.gui.formats import format_count, format_time_left
from inglenook.gui.theme import RADIUS_CONTROL, Theme
from inglenook.gui.transcript.controls import BUTTON_PAD, paint_focus
from inglenook.gui.transcript.formats import Formats
from inglenook.gui.transcript.thread import Entry
from inglenook.gui.widgets import make_plain_tooltip

if TYPE_CHECKING:
    from inglenook.gui.transcript.body import ReplyBody

_LINE_PX: Final = 13
_ARROW_PX: Final = 15
_INDENT_PX: Final = 16
_GAP_PX: Final = 6
_TICK_MS: Final = 500


class FoldLine(QPushButton):
    """An arrow and a few quiet words; checked is open."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self.setCheckable(True)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setAttribute(Qt.WidgetAttribute.WA_Hover)

    @override
    def sizeHint(self) -> QSize:
        metrics = QFontMetrics(self._theme.font(_LINE_PX))
        width = metrics.horizontalAdvance(self.text()) + self._theme.px(_ARROW_PX)
        return QSize(width + 2 * BUTTON_PAD, metrics.height() + 8)

    @override
    def minimumSizeHint(self) -> QSize:
        return self.sizeHint()

    @override
    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        colours, px = self._theme.colours, self._theme.px
        area = QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5)
        if self.underMouse():
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(colours.colour("user_card"))
            painter.drawRoundedRect(area, RADIUS_CONTROL, RADIUS_CONTROL)
        ink = colours.colour("ink" if self.underMouse() or self.isDown() else "quiet")
        painter.setPen(QPen(ink, 1.5, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap))
        self._paint_arrow(painter, QPointF(BUTTON_PAD + px(4), self.height() / 2))
        painter.setFont(self._theme.font(_LINE_PX))
        words = self.rect().adjusted(BUTTON_PAD + px(_ARROW_PX), 0, 0, 0)
        flags = int(Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft)
        painter.drawText(words, flags, self.text())
        if self.hasFocus():
            paint_focus(painter, self._theme, area, RADIUS_CONTROL)

    def _paint_arrow(self, painter: QPainter, centre: QPointF) -> None:
        reach = self._theme.px(3.4)
        if self.isChecked():
            tip = centre + QPointF(0, reach / 2)
            ends = (QPointF(-reach, -reach), QPointF(reach, -reach))
        else:
            tip = centre + QPointF(reach / 2, 0)
            ends = (QPointF(-reach, -reach), QPointF(-reach, reach))
        for end in ends:
            painter.drawLine(tip, tip + end)


class ReasoningView(QWidget):
    """The reasoning of one reply, folded until one wants to read it; hidden where there is none.

    Signals: `toggled()` when it was opened or closed; `height_changed()` when its text grew while
    it is open; `link_clicked(str)`.
    """

    toggled = Signal()
    height_changed = Signal()
    link_clicked = Signal(str)

    def __init__(self, formats: Formats, entry: Entry, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._formats = formats
        self._theme = formats.theme
        self._entry = entry
        self._body: ReplyBody | None = None
        self.line = FoldLine(self._theme, self)
        self.line.toggled.connect(self._on_toggled)
        self._timer = QTimer(self, interval=_TICK_MS)
        self._timer.timeout.connect(self._show_line)
        self.hide()

    @property
    def is_open(self) -> bool:
        """Whether the text is on show."""
        return self.line.isChecked()

    @property
    def body(self) -> "ReplyBody | None":
        """The text, once it was opened."""
        return self._body

    def refresh(self) -> None:
        """Show what the entry knows: its text, its time, and whether it still goes on."""
        entry = self._entry
        self.setVisible(bool(entry.reasoning))
        if entry.is_thinking and not self._timer.isActive():
            self._timer.start()
        elif not entry.is_thinking:
            self._timer.stop()
        self._show_line()
        if self._body is not None and self.is_open:
            self._body.set_text(entry.reasoning, is_last=not entry.is_thinking)
            self._body.set_shows_cursor(entry.is_thinking)

    def fit(self, width: int) -> int:
        """Place everything for a width; the height that it takes."""
        px = self._theme.px
        size = self.line.sizeHint()
        self.line.setGeometry(-BUTTON_PAD, 0, min(size.width(), width), size.height())
        if self._body is None or not self.is_open:
            return size.height()
        top = size.height() + px(_GAP_PX)
        indent = px(_INDENT_PX)
        height = self._body.fit(max(60, width - indent))
        self._body.setGeometry(indent, top, max(60, width - indent), max(1, height))
        return top + height + px(_GAP_PX)

    def _show_line(self) -> None:
        entry = self._entry
        seconds = entry.count_thinking_s()
        time = format_time_left(seconds)
        if entry.is_thinking:
            text = self.tr("Thinking… {time}").format(time=time)
        elif seconds >= 0.5:
            text = self.tr("Thought for {time}").format(time=time)
        elif seconds > 0.0:
            text = self.tr("Thought for a moment")
        else:
            text = self.tr("Reasoning")
        if text != self.line.text():
            self.line.setText(text)
            self.fit(self.width())
            self.line.update()
        fold = self.tr("fold it up") if self.is_open else self.tr("show what the model thought")
        self.line.setAccessibleName(f"{text}, {fold}")
        n_tokens = entry.message.statistics.reasoning_tokens
        tip = self.tr("What the model thought before it answered. It is not said to it again.")
        if n_tokens:
            tip += " " + self.tr("{n} tokens.").format(n=format_count(n_tokens))
        self.line.setToolTip(make_plain_tooltip(tip))

    def _on_toggled(self, is_open: bool) -> None:
        if is_open and self._body is None:
            self._body = self._make_body()
        if self._body is not None:
            self._body.setVisible(is_open)
        self.refresh()
        self.toggled.emit()

    def _make_body(self) -> "ReplyBody":
        from inglenook.gui.transcript.body import ReplyBody

        body = ReplyBody(self._formats.quieten(), self)
        body.setAccessibleName(self.tr("Reasoning"))
        body.height_changed.connect(self.height_changed)
        body.link_clicked.connect(self.link_clicked)
        return body

    @override
    def paintEvent(self, event: QPaintEvent) -> None:
        if self._body is None or not self.is_open:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self._theme.colours.colour("line"))
        area = self._body.geometry()
        painter.drawRoundedRect(QRectF(self._theme.px(3), area.y(), 2, area.height()), 1, 1)
