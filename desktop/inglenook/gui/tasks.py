"""Blocking work off the window's thread: `run(fn, done, failed)`.

Called on the window's thread; `fn` runs on a worker thread, `done` and `failed` come back on the
window's thread. An error of the world (`UserError`) goes to `failed`, anything else is a bug and
goes to the exception hook, which shows the crash dialog.
"""

import contextlib
import sys
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, Final

import shiboken6
from PySide6.QtCore import QObject, Qt, Signal

from inglenook.base.errors import UserError

N_WORKERS: Final = 4
JOIN_S: Final = 1.0


@dataclass(slots=True)
class _Job:
    work: Callable[[], Any]
    done: Callable[[Any], None] | None
    failed: Callable[[UserError], None] | None
    owner: QObject | None


class Tasks(QObject):
    """Two sets of threads: several for what may overlap, and one lane that keeps its order.

    Signals: `failed(UserError)` for failures that nobody asked to hear of.
    """

    failed = Signal(object)
    _woken = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._ordered: SimpleQueue[_Job | None] = SimpleQueue()
        self._answers: deque[Callable[[], None]] = deque()
        self._threads: list[threading.Thread] = []
        self._is_closed = False
        self._woken.connect(self._deliver, Qt.ConnectionType.QueuedConnection)

    def run[T](
        self,
        work: Callable[[], T],
        done: Callable[[T], None] | None = None,
        failed: Callable[[UserError], None] | None = None,
        *,
        owner: QObject | None = None,
        in_order: bool = False,
    ) -> None:
        """Run `work` on a worker thread.

        With `in_order`, after all earlier work that asked for order. When `owner` is given and
        gone by then, the answer is dropped.
        """
        if self._is_closed:
            return
        if not self._threads:
            self._start()
        (self._ordered if in_order else self._jobs).put(_Job(work, done, failed, owner))

    def close(self) -> None:
        """Take no more work and join the threads; one that hangs in a network call is left."""
        self._is_closed = True
        for thread in self._threads[1:]:
            del thread
            self._jobs.put(None)
        self._ordered.put(None)
        for thread in self._threads:
            thread.join(timeout=JOIN_S)
        self._threads.clear()
        self._answers.clear()

    def _start(self) -> None:
        lanes = [self._ordered, *(self._jobs for _ in range(N_WORKERS))]
        for i, lane in enumerate(lanes):
            name = f"window-task-{i}" if i else "window-order"
            thread = threading.Thread(target=self._serve, args=(lane,), name=name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, lane: "SimpleQueue[_Job | None]") -> None:
        while (job := lane.get()) is not None:
            answer = self._perform(job)
            self._answers.append(answer)
            # The window may be gone while a slow task still ran.
            with contextlib.suppress(RuntimeError):
                self._woken.emit()

    def _perform(self, job: _Job) -> Callable[[], None]:
        try:
            result = job.work()
        except UserError as error:
            tell = job.failed or self.failed.emit
            return _bind(tell, error, job.owner)
        except Exception as error:  # noqa: BLE001  a border: a bug goes to the hook
            return _bind(_report_bug, error, None)
        return _bind(job.done, result, job.owner)

    def _deliver(self) -> None:
        while self._answers:
            answer = self._answers.popleft()
            if not self._is_closed:
                answer()


def _bind(
    tell: Callable[[Any], None] | None, value: Any, owner: QObject | None
) -> Callable[[], None]:
    def answer() -> None:
        if tell is not None and (owner is None or shiboken6.isValid(owner)):
            tell(value)

    return answer


def _report_bug(error: Exception) -> None:
    sys.excepthook(type(error), error, error.__traceback__)
