"""The progress of a long compile on a terminal or in a log.

Called by `native` from the main thread with each line that the build writes.
"""

import re
import time
from collections.abc import Callable
from typing import TextIO

_STEP = re.compile(r"^\[(\d+)/(\d+)\]")
# A log gets a line this often; a terminal's single line is rewritten with every step.
_LOG_EVERY_S = 15.0


class CompileProgress:
    """Turns Ninja's numbered steps into "step 12 of 79, 0:21 so far, about 1:55 left"."""

    def __init__(
        self, label: str, stream: TextIO, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Start the clock; `label` stands at the start of each line."""
        self._label = label
        self._stream = stream
        self._clock = clock
        self._is_terminal = stream.isatty()
        self._started_s = clock()
        self._last_shown_s = self._started_s
        self._first_step: tuple[int, float] | None = None

    def feed(self, line: str) -> None:
        """Show the step that a line of build output reports, if it reports one."""
        match = _STEP.match(line)
        if match is None:
            return
        step, total = int(match[1]), int(match[2])
        now_s = self._clock()
        if self._first_step is None:
            self._first_step = (step, now_s)
        is_due = now_s - self._last_shown_s >= _LOG_EVERY_S or step == total
        if self._is_terminal or is_due:
            self._last_shown_s = now_s
            self._show(self._describe(step, total, now_s))

    def close(self) -> float:
        """End the line that is being rewritten; returns the seconds since the start."""
        if self._is_terminal:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
        return self._clock() - self._started_s

    def _describe(self, step: int, total: int, now_s: float) -> str:
        text = (
            f"{self._label}: step {step} of {total}, {format_time(now_s - self._started_s)} so far"
        )
        first_step, first_s = self._first_step or (step, now_s)
        if step - first_step < 3 or step == total:
            return text
        left_s = (now_s - first_s) / (step - first_step) * (total - step)
        return f"{text}, about {format_time(left_s)} left"

    def _show(self, text: str) -> None:
        self._stream.write(f"\r\x1b[K{text}" if self._is_terminal else f"{text}\n")
        self._stream.flush()


def format_time(seconds: float) -> str:
    """Minutes and seconds, such as 1:05."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"
