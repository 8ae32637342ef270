"""Tells when a window has been painted for the first time and the loop has its turn again.

What is slow at a start waits for that, so that the window is there first. On the window's thread.
"""

from typing import Final, override

from PySide6.QtCore import QEvent, QObject, QTimer, Signal
from PySide6.QtWidgets import QWidget

HIDDEN_WAIT_MS: Final = 1000
"""A window that starts minimised is not painted: after this long the start goes on without."""


class FirstPaint(QObject):
    """Watches one window until it was painted.

    Signals: `answered(bool)` once, when the loop turns after the first paint; False without one.
    """

    answered = Signal(bool)

    def __init__(self, window: QWidget, parent: QObject) -> None:
        super().__init__(parent)
        self._window = window
        self._is_over = False
        self._hidden = QTimer(self, singleShot=True, interval=HIDDEN_WAIT_MS)
        self._hidden.timeout.connect(lambda: self._end(is_painted=False))
        self._hidden.start()
        self._turned = QTimer(self, singleShot=True, interval=0)
        self._turned.timeout.connect(lambda: self._end(is_painted=True))
        window.installEventFilter(self)

    def _end(self, *, is_painted: bool) -> None:
        if self._is_over:
            return
        self._is_over = True
        self._hidden.stop()
        self._window.removeEventFilter(self)
        self.answered.emit(is_painted)

    @override
    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Paint:
            # The event stands at the beginning of the paint, which is over when the loop turns.
            self._turned.start()
        return super().eventFilter(watched, event)
