"""What the native library says: to the log, to whoever follows a load, and kept for its faults.

Made by the worker; `take` is called on any native thread, the rest on the worker's.
"""

import logging
from collections import deque
from typing import Final

from inglenook.engine import gpu_faults
from inglenook.engine.loading.load_journal import Journal

native_log = logging.getLogger("inglenook.engine.native")
_N_LAST_ERRORS: Final = 12
_LEVELS: Final = {"error": logging.INFO, "fatal": logging.ERROR}


class NativeLog:
    """The library's lines; none holds prompt text at the levels that it is asked for."""

    def __init__(self) -> None:
        self._journal: Journal | None = None
        self._last_errors: deque[str] = deque(maxlen=_N_LAST_ERRORS)

    def follow(self, journal: Journal | None) -> None:
        """Show the lines to a load's journal from now on; to none by None."""
        self._journal = journal

    def take(self, level: str, text: str) -> None:
        """One line, as `Library` gives it."""
        journal = self._journal
        if journal is not None:
            journal.take(level, text)
        if level in _LEVELS:
            self._last_errors.append(text)
        native_log.log(_LEVELS.get(level, logging.DEBUG), "%s", text)

    def find_gpu_fault(self) -> gpu_faults.GpuFault | None:
        """The fault of a graphics card that the last lines speak of, by its code."""
        return gpu_faults.find_gpu_fault(self._last_errors)
