"""A read-only stretch of text that is as tall as its text: base of all text in the transcript.

It never loads a resource, whatever the text names. Selection and Ctrl+C work within one view.
"""

from typing import Any, override

from PySide6.QtCore import QMimeData, QPoint, QRectF, QSize, Qt, QUrl, Signal
from PySide6.QtGui import (
    QContextMenuEvent,
    QImage,
    QKeyEvent,
    QKeySequence,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QTextCursor,
    QTextDocument,
    QTextOption,
    QWheelEvent,
)
from PySide6.QtWidgets import QApplication, QFrame, QTextEdit, QToolTip, QWidget

from inglenook.gui.theme import Theme
from inglenook.gui.transcript.controls import set_plain
from inglenook.gui.transcript.links import is_openable
from inglenook.gui.widgets import make_plain_tooltip

_CURSOR_RADIUS = 2.0


class InertDocument(QTextDocument):
    """A document that answers every request for a resource with an empty picture.

    A null answer would make Qt go on and open the file or address itself.
    """

    @override
    def loadResource(self, type: int, name: QUrl | str) -> Any:
        empty = QImage(1, 1, QImage.Format.Format_ARGB32)
        empty.fill(0)
        return empty


class TextView(QTextEdit):
    """Text that can be selected and copied, drawn by formats alone.

    Signals: `link_clicked(str)` with the address of a link that may be opened.
    """

    link_clicked = Signal(str)

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._shows_cursor = False
        self._pressed_at: QPoint | None = None
        document = InertDocument(self)
        set_plain(document)
        self.setDocument(document)
        self.setReadOnly(True)
        self.setAcceptDrops(False)  # What is dropped here is for the conversation.
        self.setAcceptRichText(False)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.viewport().setAutoFillBackground(False)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWordWrapMode(QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere)
        self.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse
            | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )
        self.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self.setMouseTracking(True)

    def fit(self, width: int) -> int:
        """Lay the text out for a width; the height that it takes."""
        self.set_width(width)
        return max(1, round(self.document().size().height()))

    def set_width(self, width: int) -> None:
        """Lay the text out for a width from now on.

        A fixed width spares a second layout of everything when the widget itself is resized.
        """
        if self.lineWrapMode() != self.LineWrapMode.FixedPixelWidth:
            self.setLineWrapMode(self.LineWrapMode.FixedPixelWidth)
        if self.lineWrapColumnOrWidth() != width:
            self.setLineWrapColumnOrWidth(width)

    def set_shows_cursor(self, shows: bool) -> None:
        """Show or hide the soft block at the end of a text that still grows."""
        if shows != self._shows_cursor:
            self._shows_cursor = shows
            self.viewport().update()

    def paint_under(self, painter: QPainter, area: QRectF) -> None:
        """Drawn below the text; for grounds, bars and markers."""

    def copied_text(self, cursor: QTextCursor) -> str:
        """What a selection gives to the clipboard."""
        return cursor.selectedText().replace("\u2029", "\n").replace("\u2028", "\n")

    def _paint_cursor(self, painter: QPainter) -> None:
        end = QTextCursor(self.document())
        end.movePosition(QTextCursor.MoveOperation.End)
        place = self.cursorRect(end)
        width, height = self._theme.px(8), self._theme.px(16)
        is_tight = place.left() + 3 + width > self.viewport().width()
        left = place.left() - width if is_tight else place.left() + 3
        middle = place.top() + place.height() / 2
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self._theme.colours.colour("ember"))
        painter.drawRoundedRect(
            QRectF(left, middle - height / 2, width, height), _CURSOR_RADIUS, _CURSOR_RADIUS
        )

    def _address_at(self, position: QPoint) -> str:
        address = self.anchorAt(position)
        return address if is_openable(address) else ""

    @override
    def createMimeDataFromSelection(self) -> QMimeData:
        data = QMimeData()
        data.setText(self.copied_text(self.textCursor()))
        return data

    @override
    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self.viewport())
        self.paint_under(painter, QRectF(event.rect()))
        painter.end()
        super().paintEvent(event)
        if self._shows_cursor:
            painter = QPainter(self.viewport())
            self._paint_cursor(painter)
            painter.end()

    @override
    def mousePressEvent(self, event: QMouseEvent) -> None:
        self._pressed_at = event.position().toPoint()
        super().mousePressEvent(event)

    @override
    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        super().mouseMoveEvent(event)
        if event.buttons():
            return
        address = self._address_at(event.position().toPoint())
        shape = Qt.CursorShape.PointingHandCursor if address else Qt.CursorShape.IBeamCursor
        if self.viewport().cursor().shape() != shape:
            self.viewport().setCursor(shape)
        if address:
            QToolTip.showText(event.globalPosition().toPoint(), make_plain_tooltip(address), self)
        elif not self.toolTip():
            QToolTip.hideText()

    @override
    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        super().mouseReleaseEvent(event)
        pressed, self._pressed_at = self._pressed_at, None
        if pressed is None or event.button() != Qt.MouseButton.LeftButton:
            return
        place = event.position().toPoint()
        is_click = (place - pressed).manhattanLength() < QApplication.startDragDistance()
        address = self._address_at(place)
        if is_click and address and not self.textCursor().hasSelection():
            self.link_clicked.emit(address)

    @override
    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        menu = self.createStandardContextMenu()
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.popup(event.globalPos())

    @override
    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.matches(QKeySequence.StandardKey.Copy) and not self.textCursor().hasSelection():
            event.ignore()
            return
        is_scrolling = event.key() in {
            Qt.Key.Key_PageUp, Qt.Key.Key_PageDown, Qt.Key.Key_Up, Qt.Key.Key_Down,
            Qt.Key.Key_Home, Qt.Key.Key_End, Qt.Key.Key_Space, Qt.Key.Key_Escape,
        }  # fmt: skip
        if is_scrolling and not event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
            event.ignore()
            return
        super().keyPressEvent(event)

    @override
    def wheelEvent(self, event: QWheelEvent) -> None:
        event.ignore()

    @override
    def sizeHint(self) -> QSize:
        return QSize(self.width(), self.height())
