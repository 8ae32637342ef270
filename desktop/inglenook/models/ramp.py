"""How many connections pay for one download, and how fast all downloads together may be.

`Ramp` belongs to the thread of one transfer; `Throttle` is shared by the connections of all.
"""

import threading
import time
from collections.abc import Callable
from typing import Final

MOST_CONNECTIONS: Final = 8
_STEPS: Final = (1, 2, 3, 4, 6, 8)
_SETTLE_S: Final = 1.0
_MEASURE_S: Final = 2.0
_PAYS: Final = 1.15
_REST_S: Final = 60.0
_LONGEST_REST_S: Final = 960.0
_WORTH_S: Final = 8.0
_PIECE_S: Final = 4.0
_BURST_S: Final = 0.2


class Ramp:
    """Starts with one connection, and tries more as long as the total rate rises by a seventh.

    Rates are measured over two seconds, a second after each change. Where more did not pay, it goes
    back and tries again after a minute, then two, and so on; a server that refuses a further
    connection is not asked for one again.
    """

    def __init__(
        self, fixed: int | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._fixed = fixed
        self._most = MOST_CONNECTIONS
        self._before: tuple[int, float] | None = None
        self._changed_at = clock()
        self._measured: tuple[float, int] | None = None
        self._rest_s = _REST_S
        self._resting_until = 0.0
        self.wanted = fixed or 1
        self.bytes_per_s = 0.0

    def step_back(self, n_working: int, *, is_final: bool) -> None:
        """A further connection failed: these are left; `is_final` where more are not borne."""
        self._fixed = self._before = None
        self.wanted = max(1, n_working)
        if is_final:
            self._most = self.wanted
        self._resting_until = self._clock() + self._rest_s
        self._restart()

    def look(self, n_done: int, n_left: int, *, is_limited: bool = False) -> int:
        """How many connections there should be now; asked several times a second."""
        now = self._clock()
        if self._fixed or now - self._changed_at < _SETTLE_S:
            self._note_fixed(now, n_done)
            return self.wanted
        if self._measured is None:
            self._measured = (now, n_done)
            return self.wanted
        then, before = self._measured
        if now - then < _MEASURE_S:
            return self.wanted
        self.bytes_per_s = (n_done - before) / (now - then)
        self._measured = (now, n_done)
        if self._before is not None:
            self._judge(now)
        elif not is_limited and now >= self._resting_until and self._is_worth_it(n_left):
            self._try_more()
        return self.wanted

    def choose_piece(self, least_bytes: int, most_bytes: int) -> int | None:
        """How long a piece should be for one of several connections; None: all that is left."""
        if self.wanted == 1:
            return None
        each = self.bytes_per_s * _PIECE_S / self.wanted
        return round(min(max(each, least_bytes), most_bytes))

    def _note_fixed(self, now: float, n_done: int) -> None:
        if not self._fixed:
            return
        then, before = self._measured or (now, n_done)
        if self._measured is None or now - then >= _MEASURE_S:
            self._measured = (now, n_done)
            if now > then:
                self.bytes_per_s = (n_done - before) / (now - then)

    def _is_worth_it(self, n_left: int) -> bool:
        return self.bytes_per_s > 0 and n_left / self.bytes_per_s > _WORTH_S

    def _try_more(self) -> None:
        more = next((n for n in _STEPS if self.wanted < n <= self._most), None)
        if more is not None:
            self._before = (self.wanted, self.bytes_per_s)
            self.wanted = more
            self._restart()

    def _judge(self, now: float) -> None:
        assert self._before is not None
        fewer, rate = self._before
        self._before = None
        if self.bytes_per_s >= rate * _PAYS:
            self._rest_s = _REST_S
            return
        self.wanted = fewer
        self._resting_until = now + self._rest_s
        self._rest_s = min(2 * self._rest_s, _LONGEST_REST_S)
        self._restart()

    def _restart(self) -> None:
        self._changed_at = self._clock()
        self._measured = None


class Throttle:
    """Holds all downloads together to a rate, which may change at any moment; None is no limit."""

    def __init__(
        self,
        find_limit: Callable[[], float | None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._find_limit = find_limit
        self._clock = clock
        self._lock = threading.Lock()
        self._paid_until = 0.0

    @property
    def is_on(self) -> bool:
        """Whether there is a limit now."""
        return self._find_limit() is not None

    def take(self, n_bytes: int, stopped: threading.Event) -> None:
        """Wait until so many bytes may have come; returns at once where there is no limit."""
        limit = self._find_limit()
        if limit is None:
            return
        with self._lock:
            now = self._clock()
            begin = max(self._paid_until, now - _BURST_S)
            self._paid_until = begin + n_bytes / max(limit, 1.0)
            wait_s = self._paid_until - now
        # In short steps, so that a limit that is taken off is felt soon.
        end = self._clock() + wait_s
        while (left_s := end - self._clock()) > 0 and self._find_limit() is not None:
            if stopped.wait(min(left_s, 0.25)):
                return
