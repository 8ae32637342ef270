"""The prompt thread: renders and tokenises, so that the worker thread only decodes.

Owned by the worker. One job at a time, in order; results come back through `on_ready`, on this
thread. The jobs use the loaded model's vocabulary, so the worker calls `drain` before it frees it.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable

from inglenook.base.errors import EngineError

log = logging.getLogger(__name__)

type Job = Callable[[], None]


class Preparer:
    """A thread that runs jobs one after the other."""

    def __init__(self) -> None:
        self._jobs: deque[Job] = deque()
        self._changed = threading.Condition()
        self._is_working = False
        self._is_closed = False
        self._thread = threading.Thread(target=self._serve, name="engine-prompt", daemon=True)
        self._thread.start()

    def put(self, job: Job) -> None:
        """Queue a job; it must not raise."""
        with self._changed:
            self._jobs.append(job)
            self._changed.notify_all()

    def drain(self) -> None:
        """Drop the jobs that have not begun and wait for the one that has."""
        with self._changed:
            self._jobs.clear()
            self._changed.wait_for(lambda: not self._is_working)

    def close(self) -> None:
        """Drop what has not begun, end the thread."""
        with self._changed:
            self._jobs.clear()
            self._is_closed = True
            self._changed.notify_all()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._jobs) or self._is_closed)
                if self._is_closed:
                    return
                job = self._jobs.popleft()
                self._is_working = True
            try:
                job()
            except Exception:
                log.exception("a prompt job failed")
            with self._changed:
                self._is_working = False
                self._changed.notify_all()


def explain_bug(error: Exception) -> EngineError:
    """An error of ours as a sentence; the log has the rest."""
    return EngineError(
        f"Something went wrong inside the engine ({type(error).__name__}).",
        "Retry; if it happens again, please report it.",
        code="internal",
    )
