"""A fold: a line that opens and closes what is below it. On the window's thread."""

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from inglenook.gui.icons import make_icon
from inglenook.gui.theme import Theme
from inglenook.gui.widgets import make_button, make_label


class Fold(QWidget):
    """A button with an arrow, a quiet note beside it, and rows that it shows or hides.

    Signals: `toggled(is_open)`.
    """

    toggled = Signal(bool)

    def __init__(self, theme: Theme, title: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._title = title
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        self.button = make_button(title, "fold")
        self.button.setCheckable(True)
        self.button.toggled.connect(self._on_toggled)
        self._note = make_label("", "small")
        head = QHBoxLayout()
        head.setContentsMargins(0, 8, 0, 4)
        head.setSpacing(8)
        head.addWidget(self.button)
        head.addWidget(self._note)
        head.addStretch(1)
        column.addLayout(head)
        self._content = QWidget()
        self._content.setProperty("surface", "none")
        self.rows = QVBoxLayout(self._content)
        self.rows.setContentsMargins(0, 0, 0, 0)
        self.rows.setSpacing(0)
        column.addWidget(self._content)
        self._content.hide()
        theme.changed.connect(self._draw_arrow)
        self._draw_arrow()

    @property
    def is_open(self) -> bool:
        """Whether the rows are on show."""
        return self.button.isChecked()

    def set_open(self, is_open: bool) -> None:
        """Show or hide the rows."""
        self.button.setChecked(is_open)

    def set_note(self, note: str) -> None:
        """A few words beside the button."""
        self._note.setText(note)
        self.button.setAccessibleName(f"{self._title}, {note}" if note else self._title)

    def _on_toggled(self, is_open: bool) -> None:
        self._content.setVisible(is_open)
        self._draw_arrow()
        self.toggled.emit(is_open)

    def _draw_arrow(self) -> None:
        name = "chevron-down" if self.is_open else "chevron-right"
        self.button.setIcon(make_icon(self._theme, name, size_px=16))
