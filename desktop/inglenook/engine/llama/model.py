"""The weights of one GGUF file, and what may be laid over them."""

import ctypes
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from inglenook.engine.llama.library import find_device
from inglenook.engine.llama.native import NativeError, native, read_text
from inglenook.engine.llama.vocab import Vocab

_FILE_TYPE_WORDS: Final = (
    (" - Medium", "_M"),
    (" - Small", "_S"),
    (" - Large", "_L"),
    ("all ", ""),
    ("(guessed)", ""),
)


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
            only = (ctypes.c_void_p * 2)(find_device(options.device), None)
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
        name = read_text(native.llama_ftype_name(native.llama_model_ftype(self.handle)))
        for long, short in _FILE_TYPE_WORDS:
            name = name.replace(long, short)
        name = re.sub(r" - [\d.]+ bpw", "", name)
        return "" if "unknown" in name.lower() else name.strip()

    @property
    def chat_template(self) -> str | None:
        """The chat template in the file, if any."""
        template = native.llama_model_chat_template(self.handle, None)
        return None if template is None else read_text(template)

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
