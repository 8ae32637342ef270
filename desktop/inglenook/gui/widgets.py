"""Small parts that several pages share: labels with a tone, pills, segmented bars, a switch.

All on the window's thread. Each takes the `Theme` when it paints for itself.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, override

from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QEnterEvent,
    QFont,
    QFontMetricsF,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QResizeEvent,
)
from PySide6.QtWidgets import (
    QAbstractButton,
    QFrame,
    QHBoxLayout,
    QLabel,
    QLayout,
    QMenu,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QWidget,
)

from inglenook.gui.theme import SMALL_PX, TEXT_PX, Theme

type Tone = Literal[
    "normal", "quiet", "small", "group", "strong", "heading", "title", "bad", "good"
]
type PillTone = Literal["good", "warn", "bad", "accent", "quiet"]

PILL_ROLES: Final = {
    "good": ("moss", "moss_tint"),
    "warn": ("amber", "amber_tint"),
    "bad": ("brick", "brick_tint"),
    "accent": ("ember", "ember_tint"),
    "quiet": ("quiet", "user_card"),
}


def make_label(text: str = "", tone: Tone = "normal", *, wraps: bool = False) -> QLabel:
    """A label that shows its text as it is: no markup is read from it."""
    label = QLabel(text)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setProperty("tone", tone)
    label.setWordWrap(wraps)
    return label


def set_tone(widget: QWidget, tone: str) -> None:
    """Change the tone of a label that is already shown."""
    if widget.property("tone") != tone:
        widget.setProperty("tone", tone)
        widget.style().unpolish(widget)
        widget.style().polish(widget)


def make_button(text: str, kind: str = "", *, focus_by_click: bool = False) -> QPushButton:
    """A button of a kind that the style sheet knows; a click leaves the focus where it was."""
    button = QPushButton(text)
    button.setProperty("kind", kind)
    button.setCursor(Qt.CursorShape.PointingHandCursor)
    if not focus_by_click:
        button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    return button


def make_line() -> QFrame:
    """A hairline between parts."""
    line = QFrame()
    line.setProperty("surface", "line")
    line.setFixedHeight(1)
    return line


def make_surface(surface: str, parent: QWidget | None = None) -> QFrame:
    """A frame with one of the grounds that the style sheet knows."""
    frame = QFrame(parent)
    frame.setProperty("surface", surface)
    frame.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
    return frame


def make_scroll(content: QWidget, name: str) -> QScrollArea:
    """Room for more than fits: scrolls up and down, and takes the width that there is."""
    content.setProperty("surface", "none")
    scroll = QScrollArea()
    scroll.setAccessibleName(name)
    scroll.setWidgetResizable(True)
    scroll.setFrameShape(QFrame.Shape.NoFrame)
    scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    scroll.setWidget(content)
    return scroll


def make_menu(parent: QWidget) -> QMenu:
    """A menu with round corners."""
    menu = QMenu(parent)
    menu.setWindowFlag(Qt.WindowType.FramelessWindowHint)
    menu.setWindowFlag(Qt.WindowType.NoDropShadowWindowHint)
    menu.setAttribute(Qt.WidgetAttribute.WA_TranslucentBackground)
    return menu


def clear_layout(layout: QLayout) -> None:
    """Take everything out of a layout and let it go."""
    while (item := layout.takeAt(0)) is not None:
        widget = item.widget()
        if widget is not None:
            widget.hide()
            widget.deleteLater()
        elif (inner := item.layout()) is not None:
            clear_layout(inner)


class ElidedLabel(QLabel):
    """A label of one line that ends in an ellipsis where the room ends."""

    def __init__(self, text: str = "", tone: Tone = "normal") -> None:
        super().__init__()
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setProperty("tone", tone)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self._full = ""
        self.set_full_text(text)

    def set_full_text(self, text: str) -> None:
        """Set the text, of which as much as fits is shown."""
        self._full = " ".join(text.split())[:500]
        self.setAccessibleName(self._full)
        self._elide()

    def full_text(self) -> str:
        """The text before it was shortened."""
        return self._full

    @override
    def minimumSizeHint(self) -> QSize:
        """Any width will do."""
        return QSize(20, super().minimumSizeHint().height())

    @override
    def sizeHint(self) -> QSize:
        """As wide as the whole text."""
        width = self.fontMetrics().horizontalAdvance(self._full) + 2
        return QSize(width, super().sizeHint().height())

    @override
    def resizeEvent(self, event: QResizeEvent) -> None:
        """Shorten anew."""
        super().resizeEvent(event)
        self._elide()

    @override
    def changeEvent(self, event: QEvent) -> None:
        """Shorten anew when the font changes."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.FontChange:
            self._elide()

    def _elide(self) -> None:
        mode = Qt.TextElideMode.ElideRight
        shown = self.fontMetrics().elidedText(self._full, mode, max(20, self.width()))
        if shown != self.text():
            self.setText(shown)


class Pill(QWidget):
    """A short fact on a tinted ground; its reason is the tooltip."""

    def __init__(self, theme: Theme, text: str, tone: PillTone, reason: str = "") -> None:
        super().__init__()
        self._theme = theme
        self._text = text
        self._tone: PillTone = tone
        self.setToolTip(make_plain_tooltip(reason))
        self.setAccessibleName(f"{text}. {reason}" if reason else text)
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        theme.changed.connect(self.updateGeometry)

    def set_text(self, text: str, tone: PillTone) -> None:
        """Say something else."""
        self._text, self._tone = text, tone
        self.setAccessibleName(text)
        self.updateGeometry()
        self.update()

    def text(self) -> str:
        """What it says."""
        return self._text

    def _font(self) -> QFont:
        return self._theme.font(SMALL_PX, weight=QFont.Weight.Medium)

    @override
    def sizeHint(self) -> QSize:
        """The text with a margin."""
        metrics = QFontMetricsF(self._font())
        return QSize(round(metrics.horizontalAdvance(self._text)) + 18, round(metrics.height()) + 6)

    @override
    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the ground and the text."""
        del event
        ink, ground = PILL_ROLES[self._tone]
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self._theme.colours.colour(ground))
        radius = self.height() / 2
        painter.drawRoundedRect(QRectF(self.rect()), radius, radius)
        painter.setPen(self._theme.colours.colour(ink))
        painter.setFont(self._font())
        painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, self._text)


@dataclass(frozen=True, slots=True)
class Segment:
    """One part of a bar: its share (any unit), the role of its colour, and what it is."""

    share: float
    role: str
    name: str = ""


class SegmentedBar(QWidget):
    """Shares of a whole side by side, as in "where the time went"."""

    def __init__(self, theme: Theme, name: str, height_px: int = 10) -> None:
        super().__init__()
        self._theme = theme
        self._name = name
        self._segments: tuple[Segment, ...] = ()
        self._whole = 1.0
        self.setFixedHeight(height_px)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        theme.changed.connect(self.update)

    def set_segments(self, segments: Sequence[Segment], whole: float | None = None) -> None:
        """Show these parts of `whole` (their sum when None)."""
        self._segments = tuple(s for s in segments if s.share > 0)
        self._whole = whole or sum(s.share for s in self._segments) or 1.0
        parts = ", ".join(f"{s.name} {s.share / self._whole:.0%}" for s in self._segments if s.name)
        self.setAccessibleName(f"{self._name}: {parts}" if parts else self._name)
        self.update()

    @override
    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the track and the parts, each at least two pixels wide."""
        del event
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        area = QRectF(self.rect())
        radius = area.height() / 2
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self._theme.colours.colour("line"))
        painter.drawRoundedRect(area, radius, radius)
        painter.setClipRect(area)
        left = 0.0
        for i, segment in enumerate(self._segments):
            width = max(3.0, area.width() * segment.share / self._whole)
            box = QRectF(left, 0, min(width, area.width() - left), area.height())
            painter.setBrush(self._theme.colours.colour(segment.role))
            is_end = i == len(self._segments) - 1 and left + width >= area.width() - 1
            _draw_part(painter, box, radius, is_first=i == 0, is_last=is_end)
            left += width + 2


def _draw_part(
    painter: QPainter, box: QRectF, radius: float, *, is_first: bool, is_last: bool
) -> None:
    if box.width() <= 0:
        return
    if box.width() < 2 * radius or not (is_first or is_last):
        painter.drawRoundedRect(box, min(1.5, radius), min(1.5, radius))
        return
    painter.drawRoundedRect(box, radius, radius)
    if not is_last:
        painter.drawRect(box.adjusted(radius, 0, 0, 0))
    if not is_first:
        painter.drawRect(box.adjusted(0, 0, -radius, 0))


class Switch(QAbstractButton):
    """On or off, as a sliding knob; Space toggles it."""

    def __init__(self, theme: Theme, name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self.setCheckable(True)
        self.setAccessibleName(name)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        theme.changed.connect(self.updateGeometry)

    @override
    def sizeHint(self) -> QSize:
        """Twice as wide as high."""
        height = self._theme.px(22)
        return QSize(round(height * 1.75) + 4, height + 4)

    @override
    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the track, the knob, and a ring when focused."""
        del event
        colours = self._theme.colours
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        track = QRectF(self.rect()).adjusted(2.5, 2.5, -2.5, -2.5)
        is_on = self.isChecked()
        painter.setPen(QPen(colours.colour("ember" if is_on else "quiet"), 1))
        painter.setBrush(colours.colour("ember" if is_on else "line"))
        painter.drawRoundedRect(track, track.height() / 2, track.height() / 2)
        knob = track.height() - 5
        x = track.right() - knob - 2.5 if is_on else track.left() + 2.5
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colours.colour("on_ember" if is_on else "raised"))
        painter.drawEllipse(QRectF(x, track.top() + 2.5, knob, knob))
        if self.hasFocus():
            draw_focus_ring(painter, QRectF(self.rect()), track.height() / 2 + 2, self._theme)


class NavEntry(QAbstractButton):
    """A row of the sidebar's foot: name on the left, a quiet note on the right."""

    def __init__(self, theme: Theme, text: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._note = ""
        self._dot: str | None = None
        self._is_small = False
        self.setText(text)
        self.setAccessibleName(text)
        self.setCheckable(True)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setAttribute(Qt.WidgetAttribute.WA_Hover)
        theme.changed.connect(self.updateGeometry)

    def set_note(self, note: str) -> None:
        """Show a quiet note at the right end."""
        self._note = note
        self.setAccessibleDescription(note)
        self.update()

    def set_lamp(self, role: str) -> None:
        """Become a small quiet line with a lamp of a role's colour in front."""
        self._dot = role
        self._is_small = True
        self.updateGeometry()
        self.update()

    @override
    def sizeHint(self) -> QSize:
        """One row."""
        return QSize(120, self._theme.px(27 if self._is_small else 33))

    @override
    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the ground when chosen, then the text and the note."""
        del event
        colours = self._theme.colours
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        area = QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5)
        draw_row_ground(
            painter, area, self._theme, is_chosen=self.isChecked(), is_hovered=self.underMouse()
        )
        inner = area.adjusted(10, 0, -10, 0)
        if self._dot is not None:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(colours.colour(self._dot))
            painter.drawEllipse(QPointF(inner.left() + 4, inner.center().y()), 4, 4)
            inner.adjust(14, 0, 0, 0)
        weight = QFont.Weight.Medium if self.isChecked() else QFont.Weight.Normal
        painter.setFont(self._theme.font(SMALL_PX if self._is_small else TEXT_PX, weight=weight))
        painter.setPen(colours.colour("quiet" if self._is_small else "ink"))
        middle = Qt.AlignmentFlag.AlignVCenter
        painter.drawText(inner, middle | Qt.AlignmentFlag.AlignLeft, self.text())
        painter.setFont(self._theme.font(SMALL_PX))
        painter.setPen(colours.colour("quiet"))
        painter.drawText(inner, middle | Qt.AlignmentFlag.AlignRight, self._note)
        if self.hasFocus():
            draw_focus_ring(painter, QRectF(self.rect()), 8, self._theme)


def draw_row_ground(
    painter: QPainter, area: QRectF, theme: Theme, *, is_chosen: bool, is_hovered: bool
) -> None:
    """The ground of a row in the sidebar: raised when chosen, faint under the mouse."""
    if is_chosen:
        painter.setPen(QPen(theme.colours.colour("line"), 1))
        painter.setBrush(theme.colours.colour("raised"))
        painter.drawRoundedRect(area, 8, 8)
    elif is_hovered:
        painter.setPen(Qt.PenStyle.NoPen)
        tint = QColor(theme.colours.colour("ink"))
        tint.setAlphaF(0.05)
        painter.setBrush(tint)
        painter.drawRoundedRect(area, 8, 8)


def draw_focus_ring(painter: QPainter, area: QRectF, radius: float, theme: Theme) -> None:
    """The visible focus of a widget that paints for itself."""
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.setPen(QPen(theme.colours.colour("ember"), 1.5))
    painter.drawRoundedRect(area.adjusted(1, 1, -1, -1), radius, radius)


def make_plain_tooltip(text: str) -> str:
    """Text for a tooltip, which Qt would read as markup where it looks like markup."""
    from html import escape

    if not text:
        return ""
    return f"<span>{escape(text[:1000]).replace(chr(10), '<br>')}</span>"


class NoticeBar(QFrame):
    """A sentence in place with the action that helps: Undo, Retry, Try again.

    Signals: `acted()`, `closed()`, `shown(is_shown)`.
    """

    acted = Signal()
    closed = Signal()
    shown = Signal(bool)

    def __init__(self, theme: Theme, surface: str = "bar", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        from inglenook.gui.icons import IconButton

        self.setProperty("surface", surface)
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        row = QHBoxLayout(self)
        row.setContentsMargins(12, 6, 6, 6)
        row.setSpacing(8)
        self.label = make_label("", wraps=True)
        self.label.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self.button = make_button("", "link")
        self.button.clicked.connect(self.acted)
        close = IconButton(theme, "close", self.tr("Close"), size_px=14)
        close.clicked.connect(self._on_closed)
        row.addWidget(self.label, 1)
        self._others = QHBoxLayout()
        self._others.setSpacing(8)
        row.addLayout(self._others)
        row.addWidget(self.button)
        row.addWidget(close)
        self.hide()

    def show_notice(
        self,
        text: str,
        action: str = "",
        others: Sequence[tuple[str, Callable[[], object]]] = (),
    ) -> None:
        """Show a sentence, and a button when there is something to do.

        `others` are the words of further buttons, before it, with what each does.
        """
        clear_layout(self._others)
        for words, act in others:
            button = make_button(words, "link")
            button.clicked.connect(lambda _=False, act=act: act())
            self._others.addWidget(button)
        self.label.setText(text)
        self.setAccessibleName(text)
        self.button.setText(action)
        self.button.setVisible(bool(action))
        self.show()

    def set_surface(self, surface: str) -> None:
        """Change its ground: "bar", "warn" or "bad"."""
        self.setProperty("surface", surface)
        self.style().unpolish(self)
        self.style().polish(self)

    @override
    def setVisible(self, is_visible: bool) -> None:
        """Show or hide, and tell whoever keeps room for it."""
        super().setVisible(is_visible)
        self.shown.emit(is_visible)

    def _on_closed(self) -> None:
        self.hide()
        self.closed.emit()


class ClickableFrame(QFrame):
    """A frame that can be pressed, with the mouse or with Enter and Space.

    Signals: `pressed()`.
    """

    pressed = Signal()

    def __init__(self, name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName(name)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setAttribute(Qt.WidgetAttribute.WA_Hover)

    @override
    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Press by mouse."""
        if event.button() == Qt.MouseButton.LeftButton and self.rect().contains(event.pos()):
            self.pressed.emit()

    @override
    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Press by key."""
        if event.key() in {Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space}:
            self.pressed.emit()
        else:
            super().keyPressEvent(event)

    @override
    def enterEvent(self, event: QEnterEvent) -> None:
        """Show the hover."""
        super().enterEvent(event)
        self.update()
