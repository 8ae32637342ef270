"""Waiting for what other processes do: for a condition, never for a time."""

import time
from collections.abc import Callable
from typing import Final

WAIT_S: Final = 60.0
"""For all that has to happen: the machine may be busy with other things."""


def wait_for[T](look: Callable[[], T | None], what: str, wait_s: float = WAIT_S) -> T:
    """What `look` gives as soon as it is something true; fails the test after a while."""
    deadline = time.monotonic() + wait_s
    while not (found := look()):
        assert time.monotonic() < deadline, f"did not happen: {what}"
        time.sleep(0.005)
    return found
