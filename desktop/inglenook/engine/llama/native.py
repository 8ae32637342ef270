"""The binding, `native`: ctypes functions of llama.h, and what all that calls them needs."""

import importlib.util
import sys
import types


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

__all__ = ["NativeError", "native", "read_text"]


class NativeError(Exception):
    """The library refused: what was asked, for the log; the library's own lines say why."""


def read_text(value: bytes | None) -> str:
    """The library's own text; empty for NULL."""
    return (value or b"").decode("utf-8", "replace")
