"""What is known of a download at one moment, and the pace that it keeps.

`DownloadState` crosses to the window and the command line; `Pace` belongs to one download's thread
and is read under the downloads' lock.
"""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

type Phase = Literal[
    "queued", "asking", "downloading", "verifying", "paused", "done", "failed", "cancelled"
]

_OVER: Final = frozenset({"paused", "done", "failed", "cancelled"})
_SPAN_S: Final = 5.0
_SHOWN_AFTER_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class DownloadState:
    """One download as it is now. `size_bytes` is 0 until the hub has told it.

    `bytes_per_s` is a mean over about five seconds; `eta_s` is None until it means something.
    `error`, `hint` and `code` say why a download failed or stands still; `note` says why nothing
    comes just now. `place` counts those that wait, from 1; 0 for all others.
    """

    id: str
    name: str
    phase: Phase
    repo: str = ""
    filename: str = ""
    quantisation: str = ""
    size_bytes: int = 0
    done_bytes: int = 0
    bytes_per_s: float = 0.0
    eta_s: float | None = None
    error: str = ""
    hint: str = ""
    code: str = ""
    model_id: str = ""
    note: str = ""
    n_connections: int = 0
    place: int = 0

    @property
    def is_over(self) -> bool:
        """Whether nothing more happens by itself: done, failed, cancelled, or paused."""
        return self.phase in _OVER

    @property
    def fraction(self) -> float:
        """How much is there, 0.0 to 1.0."""
        return min(1.0, self.done_bytes / self.size_bytes) if self.size_bytes else 0.0


class Pace:
    """The speed of a transfer, from what was done over the last five seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._samples: deque[tuple[float, int]] = deque()
        self._began = clock()

    def restart(self, done_bytes: int) -> None:
        """Begin anew: the transfer starts or jumps."""
        self._began = self._clock()
        self._samples.clear()
        self._samples.append((self._began, done_bytes))

    def note(self, done_bytes: int) -> None:
        """Tell how much is done now."""
        now = self._clock()
        if self._samples and now - self._samples[-1][0] < 0.1:
            return
        self._samples.append((now, done_bytes))
        while len(self._samples) > 2 and now - self._samples[0][0] > _SPAN_S:
            self._samples.popleft()

    def measure(self, done_bytes: int, size_bytes: int) -> tuple[float, float | None]:
        """Bytes a second and seconds left; 0.0 and None while too little is known."""
        if not self._samples:
            return 0.0, None
        now = self._clock()
        then, before = self._samples[0]
        span = now - then
        if span <= 0 or now - self._began < _SHOWN_AFTER_S:
            return 0.0, None
        speed = max(0, done_bytes - before) / span
        left = max(0, size_bytes - done_bytes)
        return speed, left / speed if speed > 0 else None
