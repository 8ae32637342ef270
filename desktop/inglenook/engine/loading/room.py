"""Whether a model and its context fit into memory, told before any of it is taken.

Called by the loader on the worker thread. The library itself does the sums: a load that takes no
memory tells in its lines how much one would. That costs as long as reading the vocabulary does, so
it is done only where a rough look at the file's size leaves a doubt.
"""

import re
from dataclasses import dataclass
from typing import Final

from inglenook.base.errors import ModelError
from inglenook.engine.protocol import KvType, LoadOptions

MIN_CTX: Final = 512
"""Shorter contexts are not offered: hardly a question and its answer fit."""
MEASURED_CTX: Final = 1 << 17
"""A longer one is measured at this length; what it takes grows with it."""
_MIB: Final = 1024 * 1024
_MARGIN_BYTES: Final = 200_000_000
_MARGIN_SHARE: Final = 0.03
_DOUBTFUL_FACTOR: Final = 2.5
_KV_BYTES: Final[dict[KvType, float]] = {"f32": 2.0, "f16": 1.0, "bf16": 1.0}
_USUAL_CTX: Final = 8192

STATE_TOTAL: Final = re.compile(r"(?:llama_kv_cache\w*|llama_memory_\w+): size =\s*([\d.]+) MiB")
COMPUTE_SIZE: Final = re.compile(r"compute buffer size =\s*([\d.]+) MiB")


class NoRoomError(ModelError):
    """There is not enough memory; what would help is told with it, as in `LoadFailed`."""

    def __init__(
        self, message: str, hint: str, *, fitting_n_ctx: int = 0, fits_cpu: bool = False
    ) -> None:
        super().__init__(message, hint, code="out_of_memory")
        self.fitting_n_ctx = fitting_n_ctx
        self.fits_cpu = fits_cpu


@dataclass(frozen=True, slots=True)
class Need:
    """What a model takes, in bytes: its weights, and at `n_ctx` tokens its state and its work."""

    weights: int
    state: int
    work: int
    n_ctx: int

    def count(self, n_ctx: int) -> int:
        """What it takes at another length, never told too small."""
        share = n_ctx / self.n_ctx
        margin = _MARGIN_BYTES + round(self.weights * _MARGIN_SHARE)
        return round(self.weights + self.state * share + self.work * max(1.0, share) + margin)

    def find_fitting(self, n_ctx: int, free_bytes: int) -> int:
        """The longest context, halving from `n_ctx`, that fits; 0 when none does."""
        while n_ctx >= MIN_CTX and self.count(n_ctx) > free_bytes:
            n_ctx //= 2
        return n_ctx if n_ctx >= MIN_CTX else 0


def is_doubtful(size_bytes: int, options: LoadOptions, free_bytes: int) -> bool:
    """Whether the file's size alone leaves a doubt that all will fit."""
    n_ctx = max(options.n_ctx or 0, _USUAL_CTX)
    kv_factor = _KV_BYTES.get(options.kv_type, 1.0)
    growth = max(1.0, kv_factor * n_ctx / _USUAL_CTX)
    rough = size_bytes + (_DOUBTFUL_FACTOR - 1) * size_bytes * growth + 2 * _MARGIN_BYTES
    return rough > free_bytes


def describe_bytes(n_bytes: int) -> str:
    """A size for a sentence."""
    if n_bytes < 995_000_000:
        return f"{max(1, round(n_bytes / 1e6))} MB"
    return f"{n_bytes / 1e9:.1f} GB"


def refuse_weights(need: Need, free_bytes: int) -> NoRoomError:
    """Not even a short context fits beside the weights."""
    least = describe_bytes(need.count(MIN_CTX))
    return NoRoomError(
        f"This model needs about {least} of memory, and {describe_bytes(free_bytes)} are free.",
        "Close other programs, or choose a smaller model.",
    )


def refuse_context(need: Need, n_ctx: int, fitting: int, free_bytes: int) -> NoRoomError:
    """The chosen context does not fit; a shorter one would."""
    whole = describe_bytes(need.count(n_ctx))
    return NoRoomError(
        f"A context of {n_ctx:,} tokens does not fit: with this model it needs about {whole}, and "
        f"{describe_bytes(free_bytes)} of memory are free.",
        f"A context of {fitting:,} tokens fits.",
        fitting_n_ctx=fitting,
    )
