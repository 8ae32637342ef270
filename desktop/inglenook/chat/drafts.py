"""Several drafts of one reply: how many, and how each is drawn so that they differ. No state."""

from typing import Final

import msgspec

from inglenook.base.errors import UsageError
from inglenook.chat.options import ReplyOptions
from inglenook.engine.protocol import Sampling

DRAFTS_LIMIT: Final = 8
"""Most drafts of one prompt; the engine writes as many at once as it has sequences."""
_N_SEEDS: Final = 4_294_967_295


def check_drafts(n_drafts: int, options: ReplyOptions) -> None:
    """Refuse what cannot be drafted: too few, too many, or asked to be all alike."""
    if not 1 <= n_drafts <= DRAFTS_LIMIT:
        raise UsageError(f"Between 1 and {DRAFTS_LIMIT} drafts can be asked for.", code="n_drafts")
    if n_drafts > 1 and options.temperature == 0:
        raise UsageError(
            "At temperature 0 all drafts are alike.",
            "Leave the temperature out, or choose one above 0.",
            code="drafts_alike",
        )


def spread_sampling(sampling: Sampling, n: int) -> tuple[Sampling, ...]:
    """How each of `n` replies to one prompt is drawn.

    A chosen seed is counted on from, so that the drafts differ and can be had again. A chosen
    temperature of 0, at which they could not differ, gives way to the model's own; whoever shows
    the drafts says so (`is_freer`).
    """
    if n == 1:
        return (sampling,)
    if is_freer(sampling, n):
        sampling = msgspec.structs.replace(sampling, temperature=None)
    if sampling.seed is None:
        return (sampling,) * n
    return tuple(
        msgspec.structs.replace(sampling, seed=(sampling.seed + i) % _N_SEEDS) for i in range(n)
    )


def is_freer(sampling: Sampling, n: int) -> bool:
    """Whether `n` replies are drawn at the model's own temperature instead of the chosen 0."""
    return n > 1 and sampling.temperature == 0
