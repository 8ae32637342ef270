"""The line at the end of the engine's settings: what waits for the next load, and a button for it.

On the window's thread.
"""

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from inglenook.gui.widgets import make_button, make_label, set_tone


class ReloadBar(QWidget):
    """A sentence and "Load again".

    Signals: `wanted()`.
    """

    wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 10, 0, 10)
        row = QHBoxLayout()
        row.setSpacing(16)
        self._note = make_label("", "small", wraps=True)
        self.button = make_button(self.tr("Load again"))
        self.button.setAccessibleName(self.tr("Load the model again"))
        self.button.clicked.connect(self.wanted)
        row.addWidget(self._note, 1)
        row.addWidget(self.button)
        outer.addLayout(row)
        self.show_state(n_waiting=0, is_loaded=False)

    def show_state(self, *, n_waiting: int, is_loaded: bool) -> None:
        """Say how many changes wait for the model to be loaded again."""
        set_tone(self._note, "small")
        if n_waiting and is_loaded:
            text = self.tr("1 change waits") if n_waiting == 1 else self.tr("{n} changes wait")
            text += self.tr(" for the next load, which comes with the next message.")
            text = text.replace("{n}", str(n_waiting))
        else:
            text = self.tr("Most of this takes effect when a model is loaded.")
        self._note.setText(text)
        self.button.setEnabled(is_loaded)

    def show_error(self, text: str) -> None:
        """Say why it cannot be loaded now."""
        set_tone(self._note, "bad")
        self._note.setText(text)
