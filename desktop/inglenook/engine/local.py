"""The engine in the calling process: the same worker thread, without a child around it.

For tests, the bench and a debugger. A crash of native code ends the whole process, so the app uses
`client.ChildEngine`.
"""

import threading

from inglenook.engine.protocol import Command, Event, Shutdown
from inglenook.engine.seam import EngineState, Publish, StateKeeper
from inglenook.engine.worker import Worker

_LIMIT_CLOSE_S = 10.0


class LocalEngine:
    """An `Engine` whose worker thread runs here."""

    def __init__(self, publish: Publish) -> None:
        self._publish = publish
        self._keeper = StateKeeper()
        self._lock = threading.Lock()
        self._worker: Worker | None = None
        self._is_closed = False

    @property
    def state(self) -> EngineState:
        """A frozen snapshot; never waits."""
        return self._keeper.state

    def submit(self, command: Command) -> None:
        """Hand over a command; the worker starts with the first."""
        with self._lock:
            if self._is_closed:
                return
            if self._worker is None:
                self._worker = Worker(self._take_event)
                self._keeper.set_starting(None)
                self._worker.start()
            worker = self._worker
        worker.submit(command)

    def close(self) -> None:
        """Cancel all, unload, join; idempotent."""
        with self._lock:
            self._is_closed = True
            worker = self._worker
        if worker is not None:
            worker.submit(Shutdown())
            worker.join(_LIMIT_CLOSE_S)
            self._keeper.set_off()

    def _take_event(self, event: Event) -> None:
        self._keeper.apply(event)
        self._publish(event)
