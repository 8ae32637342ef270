"""A thin typed face on llama.cpp's C calls: the only package that imports `llama_cpp`.

`Library` maps the native code; `Model`, `Adapter`, `Context` and `Sampler` own native memory and
free it in `close()`. All calls come from the worker thread, but for `Vocab` (read-only, any thread)
and `Context.interrupt` (any thread). A NULL from native code becomes `NativeError`, never a crash.

Source of what the calls do: llama.h and ggml-backend.h of llama.cpp.
"""

from inglenook.engine.llama.batch import Batch
from inglenook.engine.llama.context import Context, ContextOptions, Decoded
from inglenook.engine.llama.library import Library
from inglenook.engine.llama.model import Adapter, Model, ModelOptions
from inglenook.engine.llama.native import NativeError
from inglenook.engine.llama.sampler import Candidates, Sampler
from inglenook.engine.llama.vocab import Vocab

__all__ = [
    "Adapter",
    "Batch",
    "Candidates",
    "Context",
    "ContextOptions",
    "Decoded",
    "Library",
    "Model",
    "ModelOptions",
    "NativeError",
    "Sampler",
    "Vocab",
]
