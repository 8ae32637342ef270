"""The library's lines of one load attempt, and what they say of a refusal.

Native code gives no reason but its log. Used by the loader, on the worker's thread.
"""

import re

from inglenook.base.errors import ModelError
from inglenook.engine.loading.room import MIN_CTX, NoRoomError
from inglenook.engine.protocol import LoadOptions

_REASON = re.compile(r"error loading model(?: \w+)*: (.*)")
_NO_MEMORY = re.compile(r"failed to allocate|out of memory|unable to allocate", re.IGNORECASE)
_ARCHITECTURE = re.compile(r"unknown model architecture: '(.*)'")
_KV_REFUSED = re.compile(r"([KV]) cache type|quantized V cache")
_ADAPTER_REASON = re.compile(r"failed to apply lora adapter: (.*)")


class Journal:
    """The library's lines of one load attempt."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._start = 0

    def take(self, _level: str, text: str) -> None:
        """Keep a line."""
        self.lines.append(text)

    @property
    def lacks_memory(self) -> bool:
        """Whether a line says that memory was refused."""
        return _NO_MEMORY.search("\n".join(self.lines)) is not None

    def begin_context(self) -> None:
        """From here on sums are those of another context."""
        self._start = len(self.lines)

    def find_last(self, pattern: re.Pattern[str]) -> str | None:
        """The first group of the last line that matches."""
        return next((m[1] for line in reversed(self.lines) if (m := pattern.search(line))), None)

    def sum_all(self, pattern: re.Pattern[str]) -> float:
        """The sum of the first groups of all lines that match."""
        lines = self.lines[self._start :]
        return sum(float(m[1]) for line in lines for m in pattern.finditer(line))


def explain_refusal(journal: Journal, options: LoadOptions, n_gpu_layers: int) -> ModelError:
    """Say why the library refused."""
    architecture = journal.find_last(_ARCHITECTURE)
    if architecture is not None:
        return ModelError(
            f"This model needs a newer engine: its architecture {architecture} is not known to "
            "the llama.cpp in this version.",
            "Update Inglenook, or choose another model.",
            code="unsupported_architecture",
        )
    text = "\n".join(journal.lines)
    reason = journal.find_last(_REASON)
    if _KV_REFUSED.search(text):
        return ModelError(
            f"This model's conversation memory cannot be stored as {options.kv_type}: its parts "
            "have another size.",
            "Choose f16 in Settings > Engine.",
            code="bad_request",
        )
    if _ADAPTER_REASON.search(text):
        why = (journal.find_last(_ADAPTER_REASON) or "it cannot be read").strip()
        return ModelError(
            f"A LoRA adapter does not fit this model: {why}.",
            "Take it out in Settings > Engine, or choose the model that it was made for.",
            code="bad_adapter",
        )
    if journal.lacks_memory or reason is None:
        return _explain_no_room(options, n_gpu_layers)
    return ModelError(
        f"The model file is damaged or of a kind that this engine cannot read: {reason.strip()}.",
        "Download it again, or choose another model.",
        code="damaged",
    )


def _explain_no_room(options: LoadOptions, n_gpu_layers: int) -> NoRoomError:
    """Say that memory is short, and what would fit."""
    where = "on the graphics card" if n_gpu_layers else "in memory"
    shorter = (options.n_ctx or 0) // 2
    return NoRoomError(
        f"There is not enough room {where} for this model and its context.",
        "Choose a smaller model or a shorter context"
        + (", or put fewer layers on the GPU." if n_gpu_layers else "."),
        fitting_n_ctx=shorter if shorter >= MIN_CTX else 0,
        fits_cpu=n_gpu_layers != 0,
    )
