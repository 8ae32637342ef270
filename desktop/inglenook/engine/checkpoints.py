"""States to go back to, for memory that cannot be cut: recurrent layers and sliding windows.

Such a memory holds what it is after its last token, not what it was before. To answer a message
anew, or another one in its place, the state at the end of each prompt is therefore kept aside: of
the layers that cannot be cut alone, the others are cut as always. Used by `Slots` on the worker's
thread alone.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

LIMIT_BYTES: Final = 128 * 1024 * 1024
"""All checkpoints of a context together; the oldest go first."""
MIN_TOKENS: Final = 64
"""Fewer than so many are as well read again."""
_MAX_PER_SEQUENCE: Final = 4


class PartialMemory(Protocol):
    """What keeps and restores the part of a sequence's memory that cannot be cut (`Context`)."""

    def save_partial(self, seq_id: int) -> memoryview:
        """That part, as bytes."""
        ...

    def load_partial(self, seq_id: int, data: memoryview) -> bool:
        """Put it back."""
        ...

    def remove(self, seq_id: int, start: int) -> bool:
        """Forget a sequence from position `start`."""
        ...

    def last_position(self, seq_id: int) -> int:
        """The highest position in memory, -1 for none."""
        ...


@dataclass(frozen=True, slots=True)
class _Checkpoint:
    """The state after `n_tokens` of a sequence."""

    seq_id: int
    n_tokens: int
    data: memoryview


class Checkpoints:
    """The checkpoints of all sequences of one context, oldest first."""

    def __init__(self, memory: PartialMemory, limit_bytes: int = LIMIT_BYTES) -> None:
        self._memory = memory
        self._limit_bytes = limit_bytes
        self._kept: deque[_Checkpoint] = deque()

    def keep(self, seq_id: int, n_tokens: int) -> None:
        """Keep the state of a sequence that has just taken in so many tokens."""
        if n_tokens < MIN_TOKENS:
            return
        self._drop(lambda c: c.seq_id == seq_id and c.n_tokens == n_tokens)
        data = self._memory.save_partial(seq_id)
        if not len(data) or len(data) > self._limit_bytes:
            return
        self._kept.append(_Checkpoint(seq_id, n_tokens, data))
        own = [c for c in self._kept if c.seq_id == seq_id]
        for old in own[:-_MAX_PER_SEQUENCE]:
            self._kept.remove(old)
        while sum(len(c.data) for c in self._kept) > self._limit_bytes:
            self._kept.popleft()

    def find(self, seq_id: int, n_most: int) -> int:
        """How many tokens of a sequence could be gone back to, within `n_most`."""
        fitting = (c.n_tokens for c in self._kept if c.seq_id == seq_id and c.n_tokens <= n_most)
        return max(fitting, default=0)

    def restore(self, seq_id: int, n_most: int) -> int:
        """Go back to the last checkpoint within `n_most` tokens; returns its tokens, 0 for none.

        After 0 the memory of the sequence must not be trusted.
        """
        self._drop(lambda c: c.seq_id == seq_id and c.n_tokens > n_most)
        n_tokens, memory = self.find(seq_id, n_most), self._memory
        found = next((c for c in self._kept if (c.seq_id, c.n_tokens) == (seq_id, n_tokens)), None)
        is_back = (
            found is not None
            and memory.load_partial(seq_id, found.data)
            and memory.remove(seq_id, n_tokens)
            and memory.last_position(seq_id) == n_tokens - 1
        )
        return n_tokens if is_back else 0

    def forget(self, seq_id: int, n_keep: int = 0) -> None:
        """Drop those of a sequence that lie after `n_keep` tokens."""
        self._drop(lambda c: c.seq_id == seq_id and c.n_tokens > n_keep)

    def forget_all(self) -> None:
        """Drop all."""
        self._kept.clear()

    def _drop(self, is_old: Callable[[_Checkpoint], bool]) -> None:
        self._kept = deque(c for c in self._kept if not is_old(c))
