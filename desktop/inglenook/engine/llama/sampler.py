"""Chains of native samplers, and the candidates that they act on."""

import ctypes
from array import array
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from inglenook.engine.llama.native import NativeError, native
from inglenook.engine.llama.vocab import Vocab

if TYPE_CHECKING:
    from inglenook.engine.llama.context import Context


class Candidates:
    """Tokens with their logits, for samplers to act on: one array, filled again for each draw."""

    def __init__(self, capacity: int) -> None:
        size = ctypes.sizeof(native.llama_token_data)
        self._room = (ctypes.c_uint8 * (size * capacity))()
        view = memoryview(self._room).cast("B")
        self._ids = view.cast("i")[0::3]
        self._logits = view.cast("f")[1::3]
        self._chances = view.cast("f")[2::3]
        self._ids[:] = memoryview(array("i", range(capacity)))
        self._all_ids = bytes(self._room)
        data = ctypes.cast(self._room, native.llama_token_data_p)
        self._array = native.llama_token_data_array(data, 0, -1, False)

    def fill(self, logits: "memoryview[float]") -> None:
        """Take every token of the vocabulary; `logits` in order of the ids."""
        ctypes.memmove(self._room, self._all_ids, len(self._all_ids))
        self._logits[:] = logits
        self._array.size, self._array.selected, self._array.sorted = len(logits), -1, False

    def fill_some(self, tokens: "array[int]", logits: "memoryview[float]") -> None:
        """Take these tokens alone."""
        n_tokens = len(tokens)
        self._ids[:n_tokens] = memoryview(tokens)
        self._logits[:n_tokens] = memoryview(array("f", map(logits.__getitem__, tokens)))
        self._array.size, self._array.selected, self._array.sorted = n_tokens, -1, False

    def apply(self, sampler: "Sampler") -> None:
        """Let a chain act on what is left; it may reorder, drop, and select."""
        native.llama_sampler_apply(sampler.handle, ctypes.byref(self._array))

    def list_ids(self, n_tokens: int) -> list[int]:
        """The first tokens in their present order, not more than are left."""
        return self._ids[: min(n_tokens, self._array.size)].tolist()

    def get_selected(self) -> int | None:
        """The token that the last chain selected, if it did."""
        place = int(self._array.selected)
        return int(self._ids[place]) if 0 <= place < self._array.size else None

    def first_chance(self) -> float:
        """The probability of the first token, as the last chain worked it out."""
        return float(self._chances[0])


class Sampler:
    """A chain of native samplers; `add` takes them in the order in which they act."""

    def __init__(self) -> None:
        params = native.llama_sampler_chain_default_params()
        params.no_perf = True
        self.handle = native.llama_sampler_chain_init(params)
        if not self.handle:
            raise NativeError("make sampler chain")
        self.has_memory = False
        """Whether what was accepted changes what is drawn later."""

    def add(self, name: str, *values: Any) -> None:
        """Append `llama_sampler_init_<name>(*values)`; NULL would crash later, so it raises."""
        self.has_memory = self.has_memory or name in {"penalties", "dry"}
        link = getattr(native, f"llama_sampler_init_{name}")(*values)
        if not link:
            raise NativeError(f"make sampler {name}")
        native.llama_sampler_chain_add(self.handle, link)

    def add_dry(self, vocab: Vocab, numbers: tuple[float, float, int, int]) -> None:
        """Append DRY: multiplier, base, allowed length, tokens looked at."""
        breakers = [b"\n", b":", b'"', b"*"]
        array = (ctypes.c_char_p * len(breakers))(*breakers)
        self.add("dry", vocab.handle, *numbers, array, len(breakers))

    def add_logit_bias(self, n_vocab: int, pairs: Sequence[tuple[int, float]]) -> None:
        """Append fixed additions to the logits of some tokens."""
        array = (native.llama_logit_bias * len(pairs))()
        for i, (token, bias) in enumerate(pairs):
            array[i].token, array[i].bias = token, bias
        self.add("logit_bias", n_vocab, len(pairs), array)

    def clone(self) -> "Sampler":
        """Another chain in the same state."""
        twin = object.__new__(Sampler)
        twin.handle = native.llama_sampler_clone(self.handle)
        if not twin.handle:
            raise NativeError("clone sampler chain")
        twin.has_memory = self.has_memory
        return twin

    def sample(self, context: "Context", index: int) -> int:
        """Draw and accept the token after the batch's token at `index`."""
        return int(native.llama_sampler_sample(self.handle, context.handle, index))

    def accept(self, tokens: Sequence[int]) -> None:
        """Tell the chain of tokens that it did not draw, for the penalties."""
        for token in tokens:
            native.llama_sampler_accept(self.handle, token)

    def close(self) -> None:
        """Free the chain and all in it."""
        if self.handle is not None:
            native.llama_sampler_free(self.handle)
            self.handle = None
