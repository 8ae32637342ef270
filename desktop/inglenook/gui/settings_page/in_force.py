"""What is in force for the loaded model, in words: what automatic has chosen. No Qt here."""

from collections.abc import Callable
from typing import Final

from inglenook.engine.protocol import Loaded

_SHOWN: Final[dict[str, Callable[[Loaded], str]]] = {
    "engine.context_length": lambda m: f"{m.n_ctx:,}",
    "engine.threads": lambda m: str(m.n_threads),
    "engine.threads_batch": lambda m: str(m.n_threads),
    "engine.gpu_layers": lambda m: f"{m.n_layers_gpu} / {m.n_layers + 1}",
    "engine.batch": lambda m: f"{m.n_batch:,}",
    "engine.ubatch": lambda m: f"{m.n_ubatch:,}" if m.n_ubatch else "",
    "engine.flash_attention": lambda m: "on" if m.flash_attention else "off",
    "engine.kv_type": lambda m: m.kv_type,
}


def describe_in_force(key: str, loaded: Loaded | None) -> str:
    """What the loaded model has for a setting; empty where there is none or it tells nothing."""
    if loaded is None or key not in _SHOWN:
        return ""
    return _SHOWN[key](loaded)
