"""Chips for attached files: a name and a size each, above the composer's field or in a message.

Click or Enter opens one; where they can be removed, its cross or Del does. Window's thread.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Final, override

from PySide6.QtCore import QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QFontMetrics, QKeyEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QPushButton, QWidget

from inglenook.chat.attachments import count_bytes
from inglenook.gui.formats import format_bytes
from inglenook.gui.icons import IconButton, draw_pixmap
from inglenook.gui.theme import RADIUS_CONTROL, SMALL_PX, Theme
from inglenook.gui.transcript.cleaning import clean_text
from inglenook.gui.transcript.controls import paint_focus
from inglenook.gui.widgets import make_plain_tooltip
from inglenook.store.records import Attachment

_HEIGHT_PX: Final = 28
_ICON_PX: Final = 15
_PAD_PX: Final = 8
_NAME_PX: Final = 230
"""Widest name; a longer one is shortened in its middle."""
_GAP_PX: Final = 6
_CROSS_PX: Final = 20
_DELETE: Final = frozenset({Qt.Key.Key_Delete, Qt.Key.Key_Backspace})


class FileChip(QPushButton):
    """One attached file.

    Signals: `removed()`.
    """

    removed = Signal()

    def __init__(
        self, theme: Theme, file: Attachment, parent: QWidget | None = None, *, can_remove: bool
    ) -> None:
        super().__init__(parent)
        self._theme = theme
        self.file = file
        self._name = clean_text(file.name)
        self._size = format_bytes(count_bytes(file))
        self._is_too_large = False
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setAttribute(Qt.WidgetAttribute.WA_Hover)
        self.cross: IconButton | None = None
        if can_remove:
            label = self.tr("Remove {name}").format(name=self._name)
            self.cross = IconButton(theme, "close", label, self, size_px=16)
            self.cross.setToolTip(make_plain_tooltip(label))
            self.cross.clicked.connect(self.removed)
        self._describe()

    def set_size(self, text: str, *, is_too_large: bool = False) -> None:
        """Say how large it is, for example "1,040 tokens"."""
        if (text, is_too_large) != (self._size, self._is_too_large):
            self._size, self._is_too_large = text, is_too_large
            self._describe()
            self.updateGeometry()
            self.update()

    @property
    def size_text(self) -> str:
        """How large it says it is."""
        return self._size

    def _describe(self) -> None:
        self.setAccessibleName(
            self.tr("Attached: {name}, {size}").format(name=self._name, size=self._size)
        )
        self.setToolTip(make_plain_tooltip(f"{self._name}\n{self._size}"))

    def _measure(self) -> tuple[str, int, int]:
        """The name as it is shown, its width and that of the size."""
        metrics = QFontMetrics(self._theme.font(SMALL_PX))
        middle = Qt.TextElideMode.ElideMiddle
        name = metrics.elidedText(self._name, middle, self._theme.px(_NAME_PX))
        return name, metrics.horizontalAdvance(name) + 1, metrics.horizontalAdvance(self._size) + 1

    @override
    def sizeHint(self) -> QSize:
        px = self._theme.px
        _, name_width, size_width = self._measure()
        width = 2 * px(_PAD_PX) + px(_ICON_PX) + px(6) + name_width + px(8) + size_width
        if self.cross is not None:
            width += px(_CROSS_PX) - px(3)
        return QSize(width, px(_HEIGHT_PX))

    @override
    def minimumSizeHint(self) -> QSize:
        return QSize(self._theme.px(60), self._theme.px(_HEIGHT_PX))

    def has_focus(self) -> bool:
        """Whether the keyboard is on it or on its cross."""
        return self.hasFocus() or (self.cross is not None and self.cross.hasFocus())

    def place(self, area: QRect) -> None:
        """Take a place, and put the cross at its end."""
        self.setGeometry(area)
        if self.cross is not None:
            side = self._theme.px(_CROSS_PX)
            right = area.width() - side - self._theme.px(4)
            self.cross.setGeometry(right, (area.height() - side) // 2, side, side)

    @override
    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in {Qt.Key.Key_Return, Qt.Key.Key_Enter}:
            self.click()
        elif self.cross is not None and event.key() in _DELETE:
            self.removed.emit()
        else:
            super().keyPressEvent(event)

    @override
    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        colours, px = self._theme.colours, self._theme.px
        area = QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5)
        painter.setPen(QPen(colours.colour("brick" if self._is_too_large else "line"), 1))
        painter.setBrush(colours.colour("user_card" if self.underMouse() else "paper"))
        painter.drawRoundedRect(area, RADIUS_CONTROL, RADIUS_CONTROL)
        icon = draw_pixmap("file", colours.colour("quiet"), px(_ICON_PX), self.devicePixelRatioF())
        left = px(_PAD_PX)
        painter.drawPixmap(left, (self.height() - px(_ICON_PX)) // 2, icon)
        left += px(_ICON_PX) + px(6)
        name, name_width, size_width = self._measure()
        painter.setFont(self._theme.font(SMALL_PX))
        middle = int(Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft)
        painter.setPen(colours.colour("ink"))
        painter.drawText(QRect(left, 0, name_width, self.height()), middle, name)
        left += name_width + px(8)
        painter.setPen(colours.colour("brick" if self._is_too_large else "quiet"))
        painter.drawText(QRect(left, 0, size_width, self.height()), middle, self._size)
        if self.hasFocus():
            paint_focus(painter, self._theme, area, RADIUS_CONTROL)


class FileChips(QWidget):
    """Chips side by side, in as many lines as they need.

    Signals: `opened(Attachment)`; `changed()` when one was removed.
    """

    opened = Signal(object)
    changed = Signal()

    def __init__(
        self, theme: Theme, parent: QWidget | None = None, *, can_remove: bool = False
    ) -> None:
        super().__init__(parent)
        self._theme = theme
        self._can_remove = can_remove
        self.chips: list[FileChip] = []
        self.setAccessibleName(self.tr("Attached files"))
        self.hide()

    @property
    def files(self) -> tuple[Attachment, ...]:
        """The files, in their order."""
        return tuple(chip.file for chip in self.chips)

    def set_files(self, files: tuple[Attachment, ...], *, can_remove: bool | None = None) -> None:
        """Show these; chips of files that stay are kept. Nothing is signalled."""
        if can_remove is not None and can_remove != self._can_remove:
            self._can_remove = can_remove
            self._drop(self.chips)
            self.chips = []
        kept = {chip.file: chip for chip in self.chips}
        self.chips = [kept.pop(file) if file in kept else self._make(file) for file in files]
        self._drop(kept.values())
        self.setVisible(bool(files))

    def show_sizes(
        self, sizes: Mapping[Attachment, str], too_large: Collection[Attachment] = ()
    ) -> None:
        """Say how large the files are, and mark those that are too large."""
        for chip in self.chips:
            if chip.file in sizes:
                chip.set_size(sizes[chip.file], is_too_large=chip.file in too_large)

    def _make(self, file: Attachment) -> FileChip:
        chip = FileChip(self._theme, file, self, can_remove=self._can_remove)
        chip.clicked.connect(_bind(self.opened.emit, file))
        chip.removed.connect(_bind(self._remove, file))
        chip.show()
        return chip

    @staticmethod
    def _drop(chips: Iterable[FileChip]) -> None:
        for chip in list(chips):
            chip.hide()
            chip.deleteLater()

    def _remove(self, file: Attachment) -> None:
        place = self.files.index(file)
        had_focus = any(chip.has_focus() for chip in self.chips)
        self.set_files(tuple(other for other in self.files if other is not file))
        if had_focus and self.chips:
            self.chips[min(place, len(self.chips) - 1)].setFocus(Qt.FocusReason.OtherFocusReason)
        self.changed.emit()

    def natural_width(self, limit: int) -> int:
        """The width that all of them take in one line, at most `limit`."""
        gap = self._theme.px(_GAP_PX)
        width = sum(chip.sizeHint().width() + gap for chip in self.chips) - gap
        return max(0, min(limit, width))

    def fit(self, width: int) -> int:
        """Place the chips for a width; the height that they take."""
        gap, height = self._theme.px(_GAP_PX), self._theme.px(_HEIGHT_PX)
        left = top = 0
        for chip in self.chips:
            chip_width = min(chip.sizeHint().width(), width)
            if left and left + chip_width > width:
                left, top = 0, top + height + gap
            chip.place(QRect(left, top, chip_width, height))
            left += chip_width + gap
        return top + height if self.chips else 0


def _bind(act: Callable[[Attachment], object], file: Attachment) -> Callable[..., None]:
    def slot(*_: object) -> None:
        act(file)

    return slot
