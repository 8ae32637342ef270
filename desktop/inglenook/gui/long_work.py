"""Work that reads many bytes: on a worker thread, with how far it is, and stopped when asked."""

import threading
from collections.abc import Callable
from typing import Any, Final, Protocol

from PySide6.QtCore import QObject, QTimer, Signal

from inglenook.base.errors import UserError
from inglenook.gui.tasks import Tasks

POLL_MS: Final = 150
STEPS: Final = 1000
"""How finely a progress bar shows it."""


class Told(Protocol):
    """How far work is, in bytes."""

    @property
    def done_bytes(self) -> int:
        """Bytes that are done."""
        ...

    @property
    def size_bytes(self) -> int:
        """Bytes in all; 0 while that is not known."""
        ...


class LongWork(QObject):
    """One piece of work at a time. Used on the window's thread.

    Signals: `moved(Told | None)` at the beginning, then a few times a second.
    """

    moved = Signal(object)

    def __init__(self, tasks: Tasks, parent: QObject) -> None:
        super().__init__(parent)
        self._tasks = tasks
        self._stop = threading.Event()
        self._told: Told | None = None
        self.is_working = False
        self._timer = QTimer(self)
        self._timer.setInterval(POLL_MS)
        self._timer.timeout.connect(lambda: self.moved.emit(self._told))
        self.destroyed.connect(self._stop.set)

    def begin[T](
        self,
        work: Callable[[Callable[[Told], None], threading.Event], T],
        done: Callable[[T | None], None],
        failed: Callable[[UserError], None],
    ) -> None:
        """Run `work(tell, stop)` on a worker thread; `done` is given None where it was stopped."""
        self._stop = stop = threading.Event()
        self.destroyed.connect(stop.set)
        self._told = None
        self.is_working = True

        def run() -> T | None:
            from inglenook.models.hashing import StoppedWorkError

            try:
                return work(self._tell, stop)
            except StoppedWorkError:
                return None

        def end(then: Callable[[Any], None], answer: object) -> None:
            self.is_working = False
            self._timer.stop()
            then(answer)

        self._timer.start()
        self.moved.emit(None)
        self._tasks.run(
            run, lambda answer: end(done, answer), lambda error: end(failed, error), owner=self
        )

    def stop(self) -> None:
        """Ask it to end."""
        self._stop.set()

    def _tell(self, told: Told) -> None:
        """Any thread: how far it is; handed on by the timer."""
        self._told = told


def find_share(told: Told | None) -> float:
    """How much is done, from 0 to 1."""
    return told.done_bytes / told.size_bytes if told is not None and told.size_bytes else 0.0
