"""Python's cyclic garbage is collected on the window's thread, and nowhere else.

A worker thread that happened to collect a forgotten widget would destroy it there, and Qt would end
the process. So automatic collection rests while a window is open, and is made up for between turns
of the event loop, by the same thresholds. A look at everything takes tens of milliseconds: what a
start leaves for good is not looked at, and nothing is looked at whole while replies are written.
"""

import gc
import time
from typing import Final

from PySide6.QtCore import QAbstractEventDispatcher, QObject

_FULL_EVERY_S: Final = 20.0
"""A full collection looks at everything, so it comes no more often than this."""


class Collector(QObject):
    """Collects from `start` to `close`."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._was_automatic = False
        self._is_started = False
        self._is_busy = False
        self._full_at_s = time.monotonic()
        self._dispatcher = QAbstractEventDispatcher.instance()

    def start(self) -> None:
        """Take the collection over."""
        if self._is_started or self._dispatcher is None:
            return
        self._is_started = True
        self._was_automatic = gc.isenabled()
        gc.disable()
        gc.freeze()
        self._dispatcher.awake.connect(self.collect)

    def close(self) -> None:
        """Leave it to Python again."""
        if not self._is_started or self._dispatcher is None:
            return
        self._is_started = False
        self._dispatcher.awake.disconnect(self.collect)
        gc.unfreeze()
        if self._was_automatic:
            gc.enable()

    def set_busy(self, is_busy: bool) -> None:
        """Full collections rest while replies are written."""
        self._is_busy = is_busy

    def collect(self) -> None:
        """Collect what is due."""
        young, middle, old = gc.get_count()
        young_limit, middle_limit, old_limit = gc.get_threshold()
        if young <= young_limit:
            return
        if middle <= middle_limit:
            gc.collect(0)
        elif old > old_limit and self._may_look_at_all():
            gc.collect(2)
            self._full_at_s = time.monotonic()
        else:
            gc.collect(1)

    def _may_look_at_all(self) -> bool:
        return not self._is_busy and time.monotonic() - self._full_at_s >= _FULL_EVERY_S
