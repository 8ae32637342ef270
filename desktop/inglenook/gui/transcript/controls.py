"""Small controls that the transcript and the composer share; they draw themselves by role.

They take nothing from the application's style sheet. All run on the window's thread.
"""

import re
from typing import Final, Literal, override

from PySide6.QtCore import QPointF, QRectF, QSize, Qt, QTimer
from PySide6.QtGui import (
    QColor,
    QFont,
    QFontMetrics,
    QKeySequence,
    QPainter,
    QPaintEvent,
    QPen,
    QResizeEvent,
    QTextDocument,
)
from PySide6.QtWidgets import QLabel, QPushButton, QWidget

from inglenook.gui.theme import RADIUS_CONTROL, SMALL_PX, Theme
from inglenook.gui.widgets import make_plain_tooltip

type Look = Literal["quiet", "outline", "primary"]

BUTTON_PAD: Final = 6
"""Pixels beside the word of a quiet button."""
_PADDING: Final[dict[Look, tuple[int, int]]] = {
    "quiet": (BUTTON_PAD, 4),
    "outline": (12, 7),
    "primary": (14, 7),
}
_DONE_MS: Final = 1400
_LONG_WORD: Final = re.compile(r"\S{40}")


def escape_mnemonic(text: str) -> str:
    """Text for a button, with ampersands shown instead of making shortcuts."""
    return text.replace("&", "&&")


def set_plain(document: QTextDocument) -> None:
    """Settings that all our documents share: no undo, no margin, no loading of anything."""
    document.setUndoRedoEnabled(False)
    document.setDocumentMargin(0)


def paint_focus(
    painter: QPainter, theme: Theme, area: QRectF, radius: float, *, role: str = "ember"
) -> None:
    """The focus ring around a control."""
    painter.setPen(QPen(theme.colours.colour(role), 2))
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.drawRoundedRect(area.adjusted(1, 1, -1, -1), radius, radius)


def has_keyboard_focus(widget: QWidget) -> bool:
    """True when a widget has the focus and should show it."""
    return widget.hasFocus() and widget.testAttribute(Qt.WidgetAttribute.WA_KeyboardFocusChange)


class TextButton(QPushButton):
    """A button that is a word; "quiet" in a footer, "outline" and "primary" in cards."""

    def __init__(
        self, theme: Theme, text: str, parent: QWidget | None = None, *, look: Look = "quiet"
    ) -> None:
        super().__init__(escape_mnemonic(text), parent)
        self._theme = theme
        self._look = look
        self._size_px = SMALL_PX if look == "quiet" else 13
        self._done_timer = QTimer(self, singleShot=True, interval=_DONE_MS)
        self._done_timer.timeout.connect(self._on_done_shown)
        self._usual_text = ""
        self._is_faint = False
        self.setShortcut(QKeySequence())
        self.setAccessibleName(text)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setAttribute(Qt.WidgetAttribute.WA_Hover)

    def show_done(self, text: str) -> None:
        """Say for a moment that it was done, for example "Copied"."""
        if not self._done_timer.isActive():
            self._usual_text = self.text()
        self.setText(text)
        self._done_timer.start()

    def set_is_faint(self, is_faint: bool) -> None:
        """Leave its ink out until it is wanted; the keyboard and screen readers still find it."""
        if is_faint != self._is_faint:
            self._is_faint = is_faint
            self.update()

    def label_font(self) -> QFont:
        """The font of the word."""
        weight = QFont.Weight.Normal if self._look == "quiet" else QFont.Weight.Medium
        return self._theme.font(self._size_px, weight=weight)

    def _on_done_shown(self) -> None:
        self.setText(self._usual_text)

    def _ink(self) -> QColor:
        colours = self._theme.colours
        if not self.isEnabled():
            faded = colours.colour("quiet")
            faded.setAlpha(110)
            return faded
        if self._look == "primary":
            return colours.colour("on_ember")
        is_strong = self._look == "outline" or self.underMouse() or self.isDown()
        return colours.colour("ink" if is_strong or self.isChecked() else "quiet")

    def _paint_ground(self, painter: QPainter, area: QRectF) -> None:
        colours = self._theme.colours
        is_warm = self.underMouse() and self.isEnabled()
        if self._look == "primary":
            ground = colours.colour("ember")
            painter.setBrush(ground.lighter(108) if is_warm else ground)
            painter.setPen(Qt.PenStyle.NoPen)
        elif self._look == "outline":
            painter.setBrush(colours.colour("user_card" if is_warm else "raised"))
            painter.setPen(QPen(colours.colour("line"), 1))
        elif is_warm or self.isChecked():
            painter.setBrush(colours.colour("user_card"))
            painter.setPen(Qt.PenStyle.NoPen)
        else:
            return
        painter.drawRoundedRect(area, RADIUS_CONTROL, RADIUS_CONTROL)

    @override
    def sizeHint(self) -> QSize:
        across, along = _PADDING[self._look]
        metrics = QFontMetrics(self.label_font())
        width = metrics.horizontalAdvance(self.text().replace("&&", "&"))
        return QSize(width + 2 * across, metrics.height() + 2 * along)

    @override
    def minimumSizeHint(self) -> QSize:
        return self.sizeHint()

    @override
    def paintEvent(self, event: QPaintEvent) -> None:
        if self._is_faint and not self.hasFocus() and not self._done_timer.isActive():
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        area = QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5)
        self._paint_ground(painter, area)
        painter.setFont(self.label_font())
        painter.setPen(self._ink())
        painter.drawText(
            self.rect(), int(Qt.AlignmentFlag.AlignCenter), self.text().replace("&&", "&")
        )
        if self.hasFocus():
            paint_focus(painter, self._theme, area, RADIUS_CONTROL)


class SwitchButton(QPushButton):
    """A word with a small switch before it, whose knob stands at the right when it is on."""

    def __init__(self, theme: Theme, text: str, parent: QWidget | None = None) -> None:
        super().__init__(escape_mnemonic(text), parent)
        self._theme = theme
        self.setShortcut(QKeySequence())
        self.setCheckable(True)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setAttribute(Qt.WidgetAttribute.WA_Hover)

    def _track(self) -> QRectF:
        width, height = self._theme.px(22), self._theme.px(12)
        return QRectF(BUTTON_PAD, (self.height() - height) / 2, width, height)

    @override
    def sizeHint(self) -> QSize:
        metrics = QFontMetrics(self._theme.font(SMALL_PX))
        width = metrics.horizontalAdvance(self.text()) + self._theme.px(22 + 6)
        return QSize(width + 2 * BUTTON_PAD, metrics.height() + 8)

    @override
    def minimumSizeHint(self) -> QSize:
        return self.sizeHint()

    @override
    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        colours, is_on, track = self._theme.colours, self.isChecked(), self._track()
        painter.setPen(QPen(colours.colour("ember" if is_on else "quiet"), 1))
        painter.setBrush(colours.colour("ember" if is_on else "raised"))
        painter.drawRoundedRect(track, track.height() / 2, track.height() / 2)
        radius = track.height() / 2 - self._theme.px(2.5)
        middle = track.right() if is_on else track.left()
        reach = -track.height() / 2 if is_on else track.height() / 2
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colours.colour("on_ember" if is_on else "quiet"))
        painter.drawEllipse(QPointF(middle + reach, track.center().y()), radius, radius)
        painter.setFont(self._theme.font(SMALL_PX))
        painter.setPen(colours.colour("ink" if is_on or self.underMouse() else "quiet"))
        words = self.rect().adjusted(round(track.right()) + self._theme.px(6), 0, 0, 0)
        flags = int(Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft)
        painter.drawText(words, flags, self.text().replace("&&", "&"))
        if self.hasFocus():
            area = QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5)
            paint_focus(painter, self._theme, area, RADIUS_CONTROL)


class ArrowButton(QPushButton):
    """A small arrow to the left or right, between the versions of a message."""

    def __init__(self, theme: Theme, *, points_right: bool, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._points_right = points_right
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setAttribute(Qt.WidgetAttribute.WA_Hover)

    @override
    def sizeHint(self) -> QSize:
        return QSize(self._theme.px(18), self._theme.px(22))

    @override
    def minimumSizeHint(self) -> QSize:
        return self.sizeHint()

    @override
    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        colours = self._theme.colours
        ink = colours.colour("ink" if self.underMouse() else "quiet")
        if not self.isEnabled():
            ink.setAlpha(80)
        painter.setPen(QPen(ink, 1.5, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap))
        centre = QPointF(self.width() / 2, self.height() / 2 + 0.5)
        reach = self._theme.px(3.4)
        towards = reach / 2 if self._points_right else -reach / 2
        tip = centre + QPointF(towards, 0)
        painter.drawLine(tip, centre + QPointF(-towards, -reach))
        painter.drawLine(tip, centre + QPointF(-towards, reach))
        if self.hasFocus():
            paint_focus(painter, self._theme, QRectF(self.rect()), RADIUS_CONTROL / 2)


class DropButton(ArrowButton):
    """A small arrow down beside a button: more ways to do the same."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(theme, points_right=True, parent=parent)

    @override
    def sizeHint(self) -> QSize:
        return QSize(self._theme.px(14), self._theme.px(22))

    @override
    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        ink = self._theme.colours.colour("ink" if self.underMouse() or self.isDown() else "quiet")
        painter.setPen(QPen(ink, 1.5, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap))
        tip = QPointF(self.width() / 2, self.height() / 2 + self._theme.px(2))
        reach = self._theme.px(3.4)
        painter.drawLine(tip, tip + QPointF(-reach, -reach))
        painter.drawLine(tip, tip + QPointF(reach, -reach))
        if self.hasFocus():
            paint_focus(painter, self._theme, QRectF(self.rect()), RADIUS_CONTROL / 2)


class Figure(QLabel):
    """A short line of plain text in a role's colour, with a sentence that explains it on hover."""

    def __init__(
        self,
        theme: Theme,
        text: str = "",
        parent: QWidget | None = None,
        *,
        role: str = "quiet",
        size_px: int = SMALL_PX,
        weight: QFont.Weight = QFont.Weight.Normal,
    ) -> None:
        super().__init__(parent)
        self._theme = theme
        self._role = role
        self._size_px = size_px
        self._weight = weight
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setText(text)

    def label_font(self) -> QFont:
        """The font at the present zoom."""
        return self._theme.font(self._size_px, weight=self._weight)

    def show_figure(self, text: str, tip: str = "") -> None:
        """Show a text, hidden when it is empty; `tip` explains it."""
        if text != self.text():
            self.setText(text)
            self.updateGeometry()
        if tip and tip != self.toolTip():
            self.setToolTip(make_plain_tooltip(tip))
            self.setAccessibleDescription(tip)
        self.setVisible(bool(text))

    def set_role(self, role: str) -> None:
        """Colour it by another role."""
        self._role = role
        self.update()

    @override
    def sizeHint(self) -> QSize:
        metrics = QFontMetrics(self.label_font())
        return QSize(metrics.horizontalAdvance(self.text()) + 1, metrics.height() + 2)

    @override
    def minimumSizeHint(self) -> QSize:
        return QSize(0, self.sizeHint().height())

    @override
    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        font = self.label_font()
        painter.setFont(font)
        painter.setPen(self._theme.colours.colour(self._role))
        shown = QFontMetrics(font).elidedText(
            self.text(), Qt.TextElideMode.ElideRight, self.width()
        )
        painter.drawText(
            self.rect(),
            int(self.alignment() | Qt.AlignmentFlag.AlignVCenter),
            shown,
        )


class Sentence(QLabel):
    """Plain text over as many lines as it needs, in a role's colour."""

    def __init__(self, theme: Theme, parent: QWidget | None = None, *, role: str = "ink") -> None:
        super().__init__(parent)
        self._theme = theme
        self._role = role
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setWordWrap(True)

    def set_sentence(self, text: str) -> None:
        """Show a text; long runs, such as paths, may break anywhere."""
        self.setText(_LONG_WORD.sub("\\g<0>\u200b", text))
        self.setAccessibleName(text)

    def set_role(self, role: str) -> None:
        """Colour it by another role."""
        self._role = role
        self.update()

    def fit(self, width: int) -> int:
        """The height that the text needs at a width."""
        area = QFontMetrics(self._theme.font(13)).boundingRect(
            0, 0, max(1, width), 10_000, self._flags(), self.text()
        )
        return area.height() + 2

    def natural_width(self) -> int:
        """The width that shows the text in one line."""
        return QFontMetrics(self._theme.font(13)).horizontalAdvance(self.text()) + 4

    @staticmethod
    def _flags() -> int:
        return int(Qt.TextFlag.TextWordWrap) | int(
            Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
        )

    @override
    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setFont(self._theme.font(13))
        painter.setPen(self._theme.colours.colour(self._role))
        painter.drawText(self.rect(), self._flags(), self.text())


class Row(QWidget):
    """Widgets side by side at their own sizes, some from the left and some from the right.

    What is hidden takes no room. The right side wins when there is too little; on the left, only
    the first is then shown in part, for half a number says nothing.
    """

    def __init__(self, parent: QWidget | None = None, *, gap: int = 12) -> None:
        super().__init__(parent)
        self._gap = gap
        self._left: list[QWidget] = []
        self._right: list[QWidget] = []

    def add_left(self, *widgets: QWidget) -> None:
        """Add widgets from the left."""
        self._left.extend(widgets)
        self._adopt(widgets)

    def add_right(self, *widgets: QWidget) -> None:
        """Add widgets at the right, in reading order."""
        self._right.extend(widgets)
        self._adopt(widgets)

    def _adopt(self, widgets: tuple[QWidget, ...]) -> None:
        for widget in widgets:
            widget.setParent(self)

    def fit(self, width: int) -> int:
        """Place everything for a width; the height it takes."""
        left_shown, right_shown = (
            [(widget, widget.sizeHint()) for widget in side if not widget.isHidden()]
            for side in (self._left, self._right)
        )
        height = max((size.height() for _, size in (*left_shown, *right_shown)), default=0)
        right = width
        for widget, size in reversed(right_shown):
            right -= size.width()
            widget.setGeometry(right, (height - size.height()) // 2, size.width(), size.height())
            right -= self._gap // 3
        left = 0
        for widget, size in left_shown:
            room = max(0, min(size.width(), right - left))
            room = room if not left or room == size.width() else 0
            widget.setGeometry(left, (height - size.height()) // 2, room, size.height())
            left += size.width() + self._gap
        return height

    @override
    def sizeHint(self) -> QSize:
        sizes = [
            widget.sizeHint() for widget in (*self._left, *self._right) if not widget.isHidden()
        ]
        width = sum(size.width() for size in sizes) + self._gap * max(0, len(sizes) - 1)
        return QSize(width, max((size.height() for size in sizes), default=0))

    @override
    def resizeEvent(self, event: QResizeEvent) -> None:
        self.fit(self.width())
