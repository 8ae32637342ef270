"""The tokens that one decode takes in."""

import ctypes
from collections.abc import Sequence

from inglenook.engine.llama.native import native


class Batch:
    """The tokens of one decode, each with its position and its one sequence."""

    def __init__(self, capacity: int) -> None:
        self._tokens = (native.llama_token * capacity)()
        self._positions = (native.llama_pos * capacity)()
        self._counts = (ctypes.c_int32 * capacity)(*([1] * capacity))
        self._ids = (native.llama_seq_id * capacity)()
        pointer = ctypes.POINTER(native.llama_seq_id)
        size = ctypes.sizeof(native.llama_seq_id)
        base = ctypes.addressof(self._ids)
        self._id_pointers = (pointer * capacity)(
            *(ctypes.cast(base + i * size, pointer) for i in range(capacity))
        )
        self._logits = (ctypes.c_int8 * capacity)()
        self.capacity = capacity
        self.native = native.llama_batch(
            0,
            self._tokens,
            None,
            self._positions,
            self._counts,
            self._id_pointers,
            self._logits,
        )

    @property
    def n_tokens(self) -> int:
        """How many tokens are in it."""
        return int(self.native.n_tokens)

    def clear(self) -> None:
        """Empty it."""
        self.native.n_tokens = 0

    def add(self, token: int, position: int, seq_id: int, *, wants_logits: bool) -> int:
        """Put one token in; returns its index, which `Sampler.sample` asks for."""
        i = int(self.native.n_tokens)
        self._tokens[i] = token
        self._positions[i] = position
        self._ids[i] = seq_id
        self._logits[i] = wants_logits
        self.native.n_tokens = i + 1
        return i

    def add_chunk(self, tokens: Sequence[int], position: int, seq_id: int) -> None:
        """Put in a run of prompt tokens, none of which wants logits."""
        start, n_tokens = int(self.native.n_tokens), len(tokens)
        end = start + n_tokens
        self._tokens[start:end] = tokens
        self._positions[start:end] = range(position, position + n_tokens)
        self._ids[start:end] = [seq_id] * n_tokens
        self._logits[start:end] = [0] * n_tokens
        self.native.n_tokens = end
