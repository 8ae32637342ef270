"""How fast arrived text is shown: a burst over about a third of a second, a trickle at once.

A tick brings so much text at most as is laid out in some milliseconds. No Qt here; `reply` asks at
each tick how much to show.
"""

from math import ceil
from typing import Final

TICK_MS: Final = 30
SETTLE_S: Final = 0.1
"""Time constant: after this long about two thirds of a burst are shown."""
AT_ONCE: Final = 48
"""Waiting text this short is shown at once, so that a slow model is never held up."""

MOST: Final = 600
"""Characters of a tick, unless far more wait: two tables and a code block already take long."""
_BACKLOG: Final = 12
"""Of what waits at least the twelfth part is shown: a model faster than the eye is caught up."""


def choose_amount(n_waiting: int, tick_s: float = TICK_MS / 1000) -> int:
    """How many of the waiting characters to show in this tick, the last one `tick_s` ago."""
    if n_waiting <= AT_ONCE:
        return n_waiting
    most = max(MOST, n_waiting // _BACKLOG)
    return min(n_waiting, most, max(AT_ONCE // 2, ceil(n_waiting * tick_s / SETTLE_S)))


class Pacer:
    """Text that has arrived and is not shown yet."""

    def __init__(self) -> None:
        self._waiting = ""

    @property
    def n_waiting(self) -> int:
        """Characters that are not shown yet."""
        return len(self._waiting)

    def add(self, piece: str) -> None:
        """Text has arrived."""
        self._waiting += piece

    def take(self, tick_s: float = TICK_MS / 1000) -> str:
        """The text to show in this tick, the last one `tick_s` ago."""
        amount = choose_amount(len(self._waiting), tick_s)
        shown, self._waiting = self._waiting[:amount], self._waiting[amount:]
        return shown

    def take_all(self) -> str:
        """All that waits."""
        shown, self._waiting = self._waiting, ""
        return shown
