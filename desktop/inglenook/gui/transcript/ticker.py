"""Ticks that leave the window as much time as the last one took.

A tick's work is seen only in part when it returns: what it changed is laid out and painted in the
turns after it. So the time until the event loop has nothing left to do is measured, and the window
rests at least as long. Window's thread.
"""

from time import monotonic

from PySide6.QtCore import QObject, QTimer, Signal


class Ticker(QObject):
    """Ticks from `start` to `stop`: every `interval_ms`, or less often where the window is slower.

    Signals: `ticked(float)` with the seconds since the tick before.
    """

    ticked = Signal(float)

    def __init__(self, interval_ms: int, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._interval_s = interval_ms / 1000
        self._ticked_at = 0.0
        self._is_on = False
        self._next = QTimer(self, singleShot=True)
        self._next.timeout.connect(self._tick)
        self._settled = QTimer(self, singleShot=True, interval=0)
        self._settled.timeout.connect(self._on_settled)

    def start(self) -> None:
        """Tick from now on, at once unless the window still rests from a tick before."""
        if self._is_on:
            return
        self._is_on = True
        if not (self._settled.isActive() or self._next.isActive()):
            self._ticked_at = monotonic() - self._interval_s
            self._tick()

    def stop(self) -> None:
        """Tick no more."""
        self._is_on = False

    def _tick(self) -> None:
        if not self._is_on:
            return
        now = monotonic()
        seconds, self._ticked_at = now - self._ticked_at, now
        self._settled.start()
        self.ticked.emit(seconds)

    def _on_settled(self) -> None:
        cost_s = monotonic() - self._ticked_at
        self._next.start(round(max(self._interval_s - cost_s, cost_s, 0.0) * 1000))
