"""The KV memory of sequences, what decodes into it, and what its state is saved as."""

import ctypes
import sys
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from inglenook.engine.llama.batch import Batch
from inglenook.engine.llama.library import list_backends
from inglenook.engine.llama.model import Adapter, Model
from inglenook.engine.llama.native import NativeError, native
from inglenook.engine.llama.sampler import Sampler
from inglenook.engine.protocol import KvType

_KV_TYPES: Final[dict[KvType, int]] = {
    "f32": native.GGML_TYPE_F32,
    "f16": native.GGML_TYPE_F16,
    "bf16": 30,  # GGML_TYPE_BF16, which the bindings leave out.
    "q8_0": native.GGML_TYPE_Q8_0,
    "q5_1": native.GGML_TYPE_Q5_1,
    "q5_0": native.GGML_TYPE_Q5_0,
    "q4_1": native.GGML_TYPE_Q4_1,
    "q4_0": native.GGML_TYPE_Q4_0,
}
_ROPE_SCALINGS: Final = {
    "none": native.LLAMA_ROPE_SCALING_TYPE_NONE,
    "linear": native.LLAMA_ROPE_SCALING_TYPE_LINEAR,
    "yarn": native.LLAMA_ROPE_SCALING_TYPE_YARN,
}


class Decoded(Enum):
    """How a decode ended: what `llama_decode` returns, by name."""

    DONE = 0
    NO_SPACE = 1
    INTERRUPTED = 2
    FAILED = 3


@dataclass(frozen=True, slots=True)
class ContextOptions:
    """The shape of a context; counts in tokens. `flash_attention` None lets the library choose."""

    n_ctx: int
    n_batch: int
    n_ubatch: int
    n_seq_max: int
    n_outputs: int
    n_threads: int
    n_threads_batch: int
    flash_attention: bool | None = None
    kv_type: KvType = "f16"
    rope_scaling: str | None = None
    rope_freq_base: float | None = None
    rope_freq_scale: float | None = None
    pools: bool = False
    """Whether it makes vectors of texts instead of writing replies."""


class Context:
    """The KV memory of up to `n_seq_max` sequences, in one shared buffer, and what decodes."""

    def __init__(self, model: Model, options: ContextOptions) -> None:
        """Allocate; raises `NativeError` when it does not fit."""
        params = native.llama_context_default_params()
        params.n_ctx = options.n_ctx
        params.n_batch = options.n_batch
        params.n_ubatch = options.n_ubatch
        params.n_seq_max = options.n_seq_max
        params.n_outputs_max = max(options.n_seq_max, options.n_outputs)
        params.n_outputs_max_per_seq = options.n_outputs
        params.n_threads = options.n_threads
        params.n_threads_batch = options.n_threads_batch
        params.kv_unified = True
        params.swa_full = False
        params.no_perf = True
        if options.flash_attention is not None:
            params.flash_attn_type = int(options.flash_attention)
        params.type_k = params.type_v = _KV_TYPES[options.kv_type]
        if options.rope_scaling is not None:
            params.rope_scaling_type = _ROPE_SCALINGS[options.rope_scaling]
        params.rope_freq_base = options.rope_freq_base or 0.0
        params.rope_freq_scale = options.rope_freq_scale or 0.0
        if options.pools:
            params.embeddings = True
            # WORKAROUND: the library ends the process where sequences cannot share a step evenly.
            n_step = -(-options.n_ubatch // options.n_seq_max) * options.n_seq_max
            params.n_ubatch, params.n_batch = n_step, max(options.n_batch, n_step)
            params.n_outputs_max = params.n_outputs_max_per_seq = params.n_batch
            if model.pooling in {native.LLAMA_POOLING_TYPE_NONE, native.LLAMA_POOLING_TYPE_RANK}:
                params.pooling_type = native.LLAMA_POOLING_TYPE_MEAN
        # The abort callback is asked before each graph node, so it must cost nothing: libc's own
        # strlen over two bytes of ours returns 0 (go on) or 1 (stop) without entering Python.
        self._flag = ctypes.create_string_buffer(2)
        self._strlen = ctypes.cast(_find_strlen(), native.ggml_abort_callback)
        params.abort_callback = self._strlen
        params.abort_callback_data = ctypes.cast(self._flag, ctypes.c_void_p)
        self.handle = native.llama_init_from_model(model.handle, params)
        if not self.handle:
            raise NativeError("make context")
        self._n_vocab = model.vocab.n_tokens
        self._n_embd: int = native.llama_model_n_embd_out(model.handle)
        self.can_interrupt = not model.is_on_gpu
        self.reads_all = options.flash_attention is False
        """Whether each step goes through the cells of all sequences: plain attention does."""
        self._memory = native.llama_get_memory(self.handle)  # None for an encoder; calls allow it.
        self.n_ctx: int = native.llama_n_ctx(self.handle)
        self.n_batch: int = native.llama_n_batch(self.handle)
        self.n_ubatch: int = native.llama_n_ubatch(self.handle)
        self.n_seq_max: int = native.llama_n_seq_max(self.handle)
        self.n_threads: int = native.llama_n_threads(self.handle)
        # WORKAROUND: Vulkan's `top_k` ends the process on Mesa's software device; CUDA's is sound.
        self.can_filter = model.is_on_gpu and "CUDA" in list_backends()
        """Whether the device can be told to hand over only the likeliest tokens."""
        self._filters: dict[int, tuple[int, Sampler]] = {}

    def apply(self, adapters: Sequence[tuple[Adapter, float]]) -> None:
        """Let LoRA adapters of this model, each with its scale, take part from now on.

        Raises `NativeError`.
        """
        handles = (native.llama_adapter_lora_p_ctypes * len(adapters))(
            *(a.handle for a, _ in adapters)
        )
        scales = (ctypes.c_float * len(adapters))(*(scale for _, scale in adapters))
        if native.llama_set_adapters_lora(self.handle, handles, len(adapters), scales):
            raise NativeError("apply adapters")

    def decode(self, batch: Batch, meanwhile: Callable[[], None] = lambda: None) -> Decoded:
        """Run the batch through the model; on INTERRUPTED nothing of it stays in memory.

        A GPU computes by itself: `meanwhile` is called as soon as it has begun.
        """
        code: int = native.llama_decode(self.handle, batch.native)
        meanwhile()
        if code == 0:
            native.llama_synchronize(self.handle)
        return Decoded(code) if 0 <= code <= Decoded.INTERRUPTED.value else Decoded.FAILED

    def read_logits(self, index: int) -> "memoryview[float]":
        """The raw logits after the batch's token at `index`, as floats; valid until a decode."""
        start = ctypes.cast(native.llama_get_logits_ith(self.handle, index), ctypes.c_void_p).value
        if not start:
            raise NativeError("read logits")
        n_bytes = self._n_vocab * ctypes.sizeof(ctypes.c_float)
        return memoryview((ctypes.c_uint8 * n_bytes).from_address(start)).cast("B").cast("f")

    def hand_over(self, seq_id: int, n_best: int) -> None:
        """Have the device keep but so many of the likeliest tokens of a sequence; 0 keeps all.

        `Sampler.sample` then draws from those, and `read_logits` has nothing to read. The next
        decode after a change takes some milliseconds more. Between decodes only.
        """
        n_best = n_best if n_best < self._n_vocab else 0
        n_before, before = self._filters.pop(seq_id, (0, None))
        if n_best == n_before:
            if before is not None:
                self._filters[seq_id] = n_before, before
            return
        chain = Sampler() if n_best else None
        if chain is not None:
            chain.add("top_k", n_best)
        is_taken = native.llama_set_sampler(self.handle, seq_id, chain.handle if chain else None)
        if chain is not None and is_taken:
            self._filters[seq_id] = n_best, chain
        elif chain is not None:
            chain.close()
        if before is not None:
            before.close()

    @property
    def pools_by_mean(self) -> bool:
        """Whether a text's vector is the mean over its tokens, and not that of one of them."""
        return bool(native.llama_pooling_type(self.handle) == native.LLAMA_POOLING_TYPE_MEAN)

    def read_pooled(self, seq_id: int) -> "array[float]":
        """What the last batch's tokens of a sequence were pooled to; a context that pools."""
        pooled = native.llama_get_embeddings_seq(self.handle, seq_id)
        if not pooled:
            raise NativeError("read pooled")
        return array("f", pooled[: self._n_embd])

    def set_threads(self, n_threads: int) -> None:
        """Let the next decode use so many processor threads. Between decodes only."""
        if n_threads != self.n_threads:
            native.llama_set_n_threads(self.handle, n_threads, n_threads)
            self.n_threads = n_threads

    def interrupt(self) -> None:
        """Make a running decode stop at its next graph node, or on a GPU not at all. Any thread."""
        self._flag[0] = b"\x01"

    def allow(self) -> None:
        """Take back an `interrupt`."""
        self._flag[0] = b"\x00"

    def warm_up(self, token: int) -> None:
        """Run one token so that the first real one does not pay for setting up."""
        native.llama_set_warmup(self.handle, True)
        batch = Batch(1)
        batch.add(token, 0, 0, wants_logits=True)
        self.decode(batch)
        self.clear()
        native.llama_set_warmup(self.handle, False)

    def remove(self, seq_id: int, start: int) -> bool:
        """Forget a sequence from position `start`; False when this model's memory cannot."""
        return bool(native.llama_memory_seq_rm(self._memory, seq_id, start, -1))

    def copy(self, source: int, target: int, end: int) -> None:
        """Let `target` share `source`'s memory up to position `end`."""
        native.llama_memory_seq_cp(self._memory, source, target, 0, end)

    def count_state_bytes(self, seq_id: int) -> int:
        """How large the state of a sequence is."""
        return int(native.llama_state_seq_get_size(self.handle, seq_id))

    def save_state(self, seq_id: int) -> memoryview:
        """The state of a sequence, to be given to `load_state` of such a context of this model."""
        room = (ctypes.c_uint8 * self.count_state_bytes(seq_id))()
        n_bytes = native.llama_state_seq_get_data(self.handle, room, len(room), seq_id)
        return memoryview(room).cast("B")[:n_bytes]

    def load_state(self, seq_id: int, data: bytearray) -> bool:
        """Put a state in place of a sequence; False, and the sequence is empty, if it is no fit."""
        view = (ctypes.c_uint8 * len(data)).from_buffer(data)
        if native.llama_state_seq_set_data(self.handle, view, len(data), seq_id):
            return True
        self.remove(seq_id, 0)
        return False

    def save_partial(self, seq_id: int) -> memoryview:
        """The part of a sequence's state that cannot be cut: of recurrent and windowed layers."""
        flags = native.LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY
        room = (ctypes.c_uint8 * native.llama_state_seq_get_size_ext(self.handle, seq_id, flags))()
        n_bytes = native.llama_state_seq_get_data_ext(self.handle, room, len(room), seq_id, flags)
        return memoryview(room).cast("B")[:n_bytes]

    def load_partial(self, seq_id: int, data: memoryview) -> bool:
        """Put such a part back, beside what the other layers hold; False when it is no fit."""
        view = (ctypes.c_uint8 * len(data)).from_buffer(data)
        flags = native.LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY
        return bool(
            native.llama_state_seq_set_data_ext(self.handle, view, len(data), seq_id, flags)
        )

    def clear(self) -> None:
        """Forget all sequences."""
        native.llama_memory_clear(self._memory, False)

    def first_position(self, seq_id: int) -> int:
        """The lowest position still in memory, -1 for none."""
        return int(native.llama_memory_seq_pos_min(self._memory, seq_id))

    def last_position(self, seq_id: int) -> int:
        """The highest position in memory, -1 for none."""
        return int(native.llama_memory_seq_pos_max(self._memory, seq_id))

    def close(self) -> None:
        """Free the memory. No decode may be running."""
        if self.handle is not None:
            native.llama_free(self.handle)
            self.handle = None
            for _, chain in self._filters.values():
                chain.close()
            self._filters.clear()


def _find_strlen() -> Any:
    return (ctypes.cdll.msvcrt if sys.platform == "win32" else ctypes.CDLL(None)).strlen
