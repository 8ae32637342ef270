"""Refuses load options that native code would answer by ending the process, or by nonsense.

Called by the loader before anything is opened.
"""

from typing import Final

from inglenook.base.errors import ModelError
from inglenook.engine.loading.adapter import check_adapter, read_architecture
from inglenook.engine.protocol import Load, LoadOptions

_MIN_CTX: Final = 16
_MAX_CTX: Final = 1 << 24
_MAX_SEQUENCES: Final = 64
_MAX_ADAPTERS: Final = 16
_QUANTISED_KV: Final = frozenset({"q8_0", "q5_1", "q5_0", "q4_1", "q4_0"})


def check_adapters(command: Load) -> None:
    """Raise `ModelError` for an adapter that is not there or of another architecture."""
    adapters = command.options.lora_adapters
    if not adapters:
        return
    architecture = read_architecture(command.path)
    for path, _ in adapters:
        check_adapter(path, architecture)


def check_options(options: LoadOptions) -> None:
    """Raise `ModelError` for a value that cannot be."""
    _check_ranges(options)
    _check_kinds(options)


def _check_kinds(options: LoadOptions) -> None:
    """Refuse what native code would answer by ending the process, or by nonsense."""
    if options.kv_type in _QUANTISED_KV and options.flash_attention is False:
        raise ModelError(
            f"Conversation memory of the kind {options.kv_type} needs flash attention, which is "
            "switched off.",
            "Switch flash attention on, or choose f16, in Settings > Engine.",
            code="bad_request",
        )
    numbers = {
        "RoPE base": options.rope_freq_base,
        "RoPE scale": options.rope_freq_scale,
    }
    for name, value in numbers.items():
        if value is not None and not 0.0 < value < 1e12:
            raise ModelError(
                f"The {name} must be above 0.",
                "Change it in Settings > Engine.",
                code="bad_request",
            )
    if len(options.lora_adapters) > _MAX_ADAPTERS or any(
        not -100.0 <= scale <= 100.0 for _, scale in options.lora_adapters
    ):
        raise ModelError(
            f"At most {_MAX_ADAPTERS} adapters can be applied, each with a scale from -100 to 100.",
            "Change them in Settings > Engine.",
            code="bad_request",
        )


def _check_ranges(options: LoadOptions) -> None:
    limits = (
        ("context length", options.n_ctx, _MIN_CTX, _MAX_CTX),
        ("number of GPU layers", options.n_gpu_layers, -1, 10_000),
        ("number of threads", options.n_threads, 1, 512),
        ("number of prompt threads", options.n_threads_batch, 1, 512),
        ("batch size", options.n_batch, 1, 1 << 20),
        ("physical batch size", options.n_ubatch, 1, 1 << 20),
        ("number of parallel replies", options.n_seq_max, 1, _MAX_SEQUENCES),
    )
    for name, value, low, high in limits:
        if value is not None and not low <= value <= high:
            raise ModelError(
                f"The {name} must be from {low:,} to {high:,}.",
                "Change it in Settings > Engine.",
                code="bad_request",
            )
