"""A thin typed face on llama.cpp's C calls: the only file that imports `llama_cpp`.

`Library` maps the native code; `Model`, `Context`, `Batch` and `Sampler` own native memory and free
it in `close()`. All calls come from the worker thread, but for `Vocab` (read-only, any thread) and
`Context.interrupt` (any thread). A NULL from native code becomes `NativeError`, never a crash.

Source of what the calls do: llama.h and ggml-backend.h of llama.cpp.
"""

import ctypes
import importlib.util
import re
import sys
import types
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from inglenook.engine.protocol import Device, KvType


def _skip_high_level_class() -> None:
    """Keep `llama_cpp/__init__` from running: it imports NumPy and more, 0.4 s for nothing here."""
    spec = importlib.util.find_spec("llama_cpp")
    if "llama_cpp" in sys.modules or spec is None:
        return
    package = types.ModuleType("llama_cpp")
    package.__path__ = list(spec.submodule_search_locations or ())
    package.__spec__ = spec
    sys.modules["llama_cpp"] = package


_skip_high_level_class()

from llama_cpp import llama_cpp as native  # noqa: E402

LOG_LEVELS: Final = {1: "debug", 2: "info", 3: "warning", 4: "error"}
_CONTINUED: Final = 5
_DEVICE_KINDS: Final = {0: "cpu", 1: "gpu", 2: "igpu"}
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
_ATTR_UNKNOWN: Final = 1
_ATTR_CONTROL: Final = 8

_FILE_TYPE_WORDS: Final = (
    (" - Medium", "_M"),
    (" - Small", "_S"),
    (" - Large", "_L"),
    ("all ", ""),
    ("(guessed)", ""),
)
_SIZE: Final = ctypes.c_size_t
_GGML_CALLS: Final[dict[str, tuple[Any, list[Any]]]] = {
    "ggml_backend_reg_count": (_SIZE, []),
    "ggml_backend_reg_get": (ctypes.c_void_p, [_SIZE]),
    "ggml_backend_reg_name": (ctypes.c_char_p, [ctypes.c_void_p]),
    "ggml_backend_dev_count": (_SIZE, []),
    "ggml_backend_dev_get": (ctypes.c_void_p, [_SIZE]),
    "ggml_backend_dev_name": (ctypes.c_char_p, [ctypes.c_void_p]),
    "ggml_backend_dev_description": (ctypes.c_char_p, [ctypes.c_void_p]),
    "ggml_backend_dev_type": (ctypes.c_int, [ctypes.c_void_p]),
    "ggml_backend_dev_memory": (
        None,
        [ctypes.c_void_p, ctypes.POINTER(_SIZE), ctypes.POINTER(_SIZE)],
    ),
    "ggml_set_abort_callback": (ctypes.c_void_p, [ctypes.c_void_p]),
}

type LogLine = Callable[[str, str], None]


class NativeError(Exception):
    """The library refused: what was asked, for the log; the library's own lines say why."""


class Decoded(Enum):
    """How a decode ended: what `llama_decode` returns, by name."""

    DONE = 0
    NO_SPACE = 1
    INTERRUPTED = 2
    FAILED = 3


class Library:
    """The native library, once per process: backends, devices, log."""

    def __init__(self, on_log: LogLine) -> None:
        """Map the library; its lines go to `on_log(level, text)`, debug ones are dropped."""
        self._last_level = "info"

        def take_line(level: int, text: bytes | None, _data: object) -> None:
            name = self._last_level if level == _CONTINUED else LOG_LEVELS.get(level, "debug")
            self._last_level = name
            if name != "debug" and text and text.strip(b". \n"):
                on_log(name, text.decode("utf-8", "replace").rstrip("\n"))

        def take_abort(text: bytes | None) -> None:
            on_log("fatal", (text or b"").decode("utf-8", "replace"))

        # Both must outlive every native call.
        self._take_line = native.llama_log_callback(take_line)
        self._take_abort = ctypes.CFUNCTYPE(None, ctypes.c_char_p)(take_abort)
        native.llama_log_set(self._take_line, None)
        native.llama_backend_init()
        self._ggml = _bind_ggml()
        self._ggml.ggml_set_abort_callback(self._take_abort)

    @property
    def version(self) -> str:
        """The llama.cpp version, as the library tells it."""
        return _text(native.llama_version())

    @property
    def system_info(self) -> str:
        """Processor features in use, as the library prints them."""
        return _text(native.llama_print_system_info()).strip()

    @property
    def can_offload(self) -> bool:
        """Whether a backend with a GPU device is registered."""
        return bool(native.llama_supports_gpu_offload())

    @property
    def backends(self) -> tuple[str, ...]:
        """Names of the registered backends."""
        return _list_backends(self._ggml)

    @property
    def devices(self) -> tuple[Device, ...]:
        """Every compute device with its memory, as the backends report it now."""
        ggml = self._ggml
        found = []
        for i in range(ggml.ggml_backend_dev_count()):
            device = ggml.ggml_backend_dev_get(i)
            free, total = ctypes.c_size_t(), ctypes.c_size_t()
            ggml.ggml_backend_dev_memory(device, ctypes.byref(free), ctypes.byref(total))
            kind: Any = _DEVICE_KINDS.get(ggml.ggml_backend_dev_type(device), "accelerator")
            found.append(
                Device(
                    name=_text(ggml.ggml_backend_dev_name(device)),
                    description=_text(ggml.ggml_backend_dev_description(device)),
                    kind=kind,
                    memory_total_bytes=total.value,
                    memory_free_bytes=free.value,
                )
            )
        return tuple(found)


class Vocab:
    """A model's vocabulary: read-only, usable from any thread while its `Model` is open."""

    def __init__(self, handle: Any) -> None:
        self.handle = handle
        self.n_tokens: int = native.llama_vocab_n_tokens(handle)
        self.adds_bos: bool = native.llama_vocab_get_add_bos(handle)
        kind = native.llama_vocab_type(handle)
        self.is_spm: bool = kind == native.LLAMA_VOCAB_TYPE_SPM
        self.is_usable: bool = kind != native.LLAMA_VOCAB_TYPE_NONE
        """Without a tokenizer in the file, the library ends the process over the first text."""
        self.bos: int = native.llama_vocab_bos(handle)
        self.eos: int = native.llama_vocab_eos(handle)
        self._room = ctypes.create_string_buffer(256)

    def tokenize(self, text: bytes, *, add_special: bool, parse_special: bool) -> list[int]:
        """Text to token ids. With `parse_special`, text of control tokens becomes those tokens."""
        room = len(text) + 8
        while True:
            tokens = (native.llama_token * room)()
            n_tokens: int = native.llama_tokenize(
                self.handle, text, len(text), tokens, room, add_special, parse_special
            )
            if n_tokens >= 0:
                ids: list[int] = tokens[:n_tokens]
                return ids
            if -n_tokens <= room:
                raise NativeError("tokenize")
            room = -n_tokens

    def piece(self, token: int) -> bytes:
        """The bytes of one token; empty for control tokens. Called by the worker thread alone."""
        n_bytes = native.llama_token_to_piece(
            self.handle, token, self._room, len(self._room), 0, False
        )
        if n_bytes < 0:
            self._room = ctypes.create_string_buffer(-n_bytes)
            return self.piece(token)
        return self._room.raw[:n_bytes]

    def list_pieces(self) -> list[bytes]:
        """The bytes of every token, as `piece` gives them. Any thread."""
        handle, piece_of, size = self.handle, native.llama_token_to_piece, 256
        room = ctypes.create_string_buffer(size)
        pieces = []
        for token in range(self.n_tokens):
            n_bytes = piece_of(handle, token, room, size, 0, False)
            if n_bytes < 0:
                size = -n_bytes
                room = ctypes.create_string_buffer(size)
                n_bytes = piece_of(handle, token, room, size, 0, False)
            pieces.append(ctypes.string_at(room, n_bytes))
        return pieces

    def is_end(self, token: int) -> bool:
        """Whether the model ends its turn with this token."""
        return bool(native.llama_vocab_is_eog(self.handle, token))

    def text(self, token: int) -> str:
        """A token as the file spells it; empty for "no such token" (-1)."""
        return _text(native.llama_vocab_get_text(self.handle, token)) if token >= 0 else ""

    def find_control_texts(self) -> tuple[str, ...]:
        """The spellings that `parse_special` would turn into control tokens."""
        handle, attr_of = self.handle, native.llama_vocab_get_attr
        wanted = _ATTR_CONTROL | _ATTR_UNKNOWN
        found = (self.text(i) for i in range(self.n_tokens) if attr_of(handle, i) & wanted)
        return tuple(text for text in found if text)


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """How `Model` maps a file; `n_gpu_layers` -1 is all, over all GPUs by their free memory.

    With 0 no GPU takes part at all: otherwise the library would still have it read prompts.

    With `only_measures` no memory is taken: the library's lines tell what would be.
    """

    n_gpu_layers: int = 0
    use_mmap: bool = True
    use_mlock: bool = False
    only_measures: bool = False
    device: str = ""
    """The name of the one device that takes part; empty leaves it to the library."""


class Model:
    """The weights and the vocabulary of one GGUF file."""

    def __init__(
        self, path: str, options: ModelOptions, on_progress: Callable[[float], bool]
    ) -> None:
        """Load a file; `on_progress(fraction)` is called on this thread and stops it by False.

        Raises `NativeError` when the library refuses the file or the load was stopped.
        """
        params = native.llama_model_default_params()
        params.n_gpu_layers = options.n_gpu_layers
        no_devices = (ctypes.c_void_p * 1)(None)
        if options.n_gpu_layers == 0:
            params.devices = ctypes.addressof(no_devices)
        elif options.device:
            only = (ctypes.c_void_p * 2)(_find_device(options.device), None)
            params.devices = ctypes.addressof(only)
        if b"AMX_INT8 = 1" in native.llama_print_system_info():
            # WORKAROUND: some virtual machines announce AMX and then fault on its first
            # instruction (ldtilecfg in ggml_backend_amx_mul_mat), which ends the process.
            params.use_extra_bufts = False
        params.load_mode = (native.LLAMA_LOAD_MODE_MMAP if options.use_mmap else 0) | (
            native.LLAMA_LOAD_MODE_MLOCK if options.use_mlock else 0
        )
        if options.only_measures:
            params.no_alloc = True
            params.load_mode = native.LLAMA_LOAD_MODE_NONE
        callback = native.llama_progress_callback(lambda done, _data: on_progress(done))
        params.progress_callback = callback
        handle = native.llama_model_load_from_file(path.encode("utf-8", "surrogateescape"), params)
        if not handle:
            raise NativeError("load model")
        self.handle = handle
        self.is_on_gpu = bool(options.n_gpu_layers and native.llama_supports_gpu_offload())
        self.vocab = Vocab(native.llama_model_get_vocab(handle))
        self.n_params: int = native.llama_model_n_params(handle)
        self.size_bytes: int = native.llama_model_size(handle)
        self.n_ctx_train: int = native.llama_model_n_ctx_train(handle)
        self.n_layers: int = native.llama_model_n_layer(handle)
        self.n_heads: int = native.llama_model_n_head(handle)
        self.n_swa: int = native.llama_model_n_swa(handle)
        self.is_recurrent = bool(
            native.llama_model_is_recurrent(handle) or native.llama_model_is_hybrid(handle)
        )
        self.pooling = self._find_pooling()
        looks_both_ways = self._looks_both_ways()
        is_usual = bool(
            self.vocab.is_usable
            and native.llama_model_has_decoder(handle)
            and not native.llama_model_has_encoder(handle)
            and not native.llama_model_is_diffusion(handle)
        )
        self.writes = is_usual and not looks_both_ways
        """Whether it writes text."""
        ranks = self.pooling == native.LLAMA_POOLING_TYPE_RANK
        self.is_encoder = is_usual and looks_both_ways and not ranks
        """Whether it only makes vectors: each token is seen by all, so a text is read at once."""

    def _find_pooling(self) -> int:
        """How its file says that tokens become one vector; 0 for not at all."""
        told = self.metadata(f"{self.metadata('general.architecture')}.pooling_type") or ""
        return int(told) if told.isdecimal() else native.LLAMA_POOLING_TYPE_NONE

    def _looks_both_ways(self) -> bool:
        """Whether a token sees those after it, too."""
        architecture = self.metadata("general.architecture")
        # The file of this one does not say so; the library knows it by its name.
        return (
            architecture == "gemma-embedding"
            or self.metadata(f"{architecture}.attention.causal") == "false"
        )

    @property
    def description(self) -> str:
        """The library's own short description, for example "llama 1B Q4_K - Medium"."""
        room = ctypes.create_string_buffer(256)
        native.llama_model_desc(self.handle, room, len(room))
        return room.value.decode("utf-8", "replace")

    @property
    def quantisation(self) -> str:
        """The file type by its usual name, for example "Q4_K_M"; empty where unknown."""
        name = _text(native.llama_ftype_name(native.llama_model_ftype(self.handle)))
        for long, short in _FILE_TYPE_WORDS:
            name = name.replace(long, short)
        name = re.sub(r" - [\d.]+ bpw", "", name)
        return "" if "unknown" in name.lower() else name.strip()

    @property
    def chat_template(self) -> str | None:
        """The chat template in the file, if any."""
        template = native.llama_model_chat_template(self.handle, None)
        return None if template is None else _text(template)

    def metadata(self, key: str) -> str | None:
        """A metadata value as text, or None; arrays are not given."""
        room = ctypes.create_string_buffer(1024)
        n_bytes = native.llama_model_meta_val_str(self.handle, key.encode(), room, len(room))
        return None if n_bytes < 0 else room.value.decode("utf-8", "replace")

    def close(self) -> None:
        """Free the weights; contexts of this model must be closed before."""
        if self.handle is not None:
            native.llama_model_free(self.handle)
            self.handle = None


class Adapter:
    """A LoRA adapter in memory. Freed after the contexts that it is applied to, before its model.

    Its file must have been looked at: the library ends the process over values of a wrong type.
    """

    def __init__(self, model: Model, path: str) -> None:
        """Read it for a model; raises `NativeError` when it does not fit this one."""
        name = path.encode("utf-8", "surrogateescape")
        self.handle = native.llama_adapter_lora_init(model.handle, name)
        if not self.handle:
            raise NativeError("read adapter")

    def close(self) -> None:
        """Free it; idempotent."""
        if self.handle:
            native.llama_adapter_lora_free(self.handle)
            self.handle = None


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
        self.can_filter = model.is_on_gpu and "CUDA" in _list_backends(_bind_ggml())
        """Whether the device can be told to hand over only the likeliest tokens."""
        self._filters: dict[int, tuple[int, Sampler]] = {}

    def apply(self, adapters: Sequence[tuple["Adapter", float]]) -> None:
        """Let LoRA adapters of this model, each with its scale, take part from now on.

        Raises `NativeError`.
        """
        handles = (native.llama_adapter_lora_p_ctypes * len(adapters))(
            *(a.handle for a, _ in adapters)
        )
        scales = (ctypes.c_float * len(adapters))(*(scale for _, scale in adapters))
        if native.llama_set_adapters_lora(self.handle, handles, len(adapters), scales):
            raise NativeError("apply adapters")

    def decode(self, batch: "Batch", meanwhile: Callable[[], None] = lambda: None) -> Decoded:
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

    def sample(self, context: Context, index: int) -> int:
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


def _bind_ggml() -> types.SimpleNamespace:
    """Bind the calls of the backend registry, which the bindings leave out."""
    libraries = [native._lib]
    if sys.platform == "win32":
        folder = native._base_path
        libraries += [ctypes.CDLL(str(folder / name)) for name in ("ggml.dll", "ggml-base.dll")]
    bound = types.SimpleNamespace()
    for name, (result, arguments) in _GGML_CALLS.items():
        home = next(library for library in libraries if hasattr(library, name))
        call = home[name]  # A fresh object: types set here change nobody else's.
        call.restype, call.argtypes = result, arguments
        setattr(bound, name, call)
    return bound


def _list_backends(ggml: types.SimpleNamespace) -> tuple[str, ...]:
    return tuple(
        _text(ggml.ggml_backend_reg_name(ggml.ggml_backend_reg_get(i)))
        for i in range(ggml.ggml_backend_reg_count())
    )


def _find_device(name: str) -> int:
    ggml = _bind_ggml()
    for i in range(ggml.ggml_backend_dev_count()):
        device = ggml.ggml_backend_dev_get(i)
        if _text(ggml.ggml_backend_dev_name(device)) == name:
            return int(device)
    raise NativeError("find device")


def _text(value: bytes | None) -> str:
    return (value or b"").decode("utf-8", "replace")


def _find_strlen() -> Any:
    return (ctypes.cdll.msvcrt if sys.platform == "win32" else ctypes.CDLL(None)).strlen
