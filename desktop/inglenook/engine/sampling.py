"""From `Sampling` values to a chain of native samplers.

Called by the scheduler on the worker thread. The order is llama.cpp's own: bias, penalties, DRY,
then the cuts, temperature, and the draw.
"""

import math
import secrets
from typing import Final

from inglenook.base.errors import EngineError
from inglenook.engine.llama import Sampler, Vocab
from inglenook.engine.protocol import Sampling

DEFAULT_TEMPERATURE: Final = 0.8
SEED_LIMIT: Final = 2**32 - 1
"""Seeds are below this; the library takes this very number as "draw one"."""

_LIMIT_LOOKBACK: Final = 1_000_000
_RANGES: Final[dict[str, tuple[float, float]]] = {
    "temperature": (0.0, 100.0),
    "top_k": (-1, 2**31 - 1),
    "top_p": (0.0, 1.0),
    "min_p": (0.0, 1.0),
    "typical_p": (0.0, 1.0),
    "top_n_sigma": (-1.0, 1000.0),
    "repeat_last_n": (-1, _LIMIT_LOOKBACK),
    "repeat_penalty": (0.01, 100.0),
    "frequency_penalty": (-100.0, 100.0),
    "presence_penalty": (-100.0, 100.0),
    "dry_multiplier": (0.0, 100.0),
    "dry_base": (0.0, 100.0),
    "dry_allowed_length": (0, 1_000_000),
    "dry_penalty_last_n": (-1, _LIMIT_LOOKBACK),
    "xtc_probability": (0.0, 1.0),
    "xtc_threshold": (0.0, 1.0),
    "mirostat_tau": (0.0, 1000.0),
    "mirostat_eta": (0.0, 1000.0),
    "seed": (0, SEED_LIMIT - 1),
}


def check_sampling(sampling: Sampling, n_vocab: int) -> None:
    """Raise `EngineError` (bad_request) for a value that the native samplers must not see."""
    for name, (low, high) in _RANGES.items():
        value = getattr(sampling, name)
        if value is not None and not low <= value <= high:
            raise EngineError(
                f"The sampling value {name} must be from {low:g} to {high:g}.", code="bad_request"
            )
    for token, bias in sampling.logit_bias:
        if not 0 <= token < n_vocab or math.isnan(bias):
            raise EngineError(
                f"The logit bias of token {token} cannot be used: the model has {n_vocab:,} tokens "
                "and a bias is a number.",
                code="bad_request",
            )


def draw_seed(sampling: Sampling) -> int:
    """The seed that was asked for, else a random one."""
    return secrets.randbelow(SEED_LIMIT) if sampling.seed is None else sampling.seed


def choose_temperature(sampling: Sampling, recommended: str | None) -> float:
    """The temperature asked for, else the model's own, else 0.8."""
    if sampling.temperature is not None:
        return sampling.temperature
    try:
        value = float(recommended or "")
    except ValueError:
        return DEFAULT_TEMPERATURE
    return value if 0.0 <= value <= 10.0 else DEFAULT_TEMPERATURE


def count_lookback(sampling: Sampling, n_ctx: int) -> int:
    """How many tokens of the prompt the penalties look back on; 0 when none is active."""
    reach = [0]
    if _has_penalties(sampling):
        reach.append(n_ctx if sampling.repeat_last_n < 0 else sampling.repeat_last_n)
    if sampling.dry_multiplier > 0.0:
        reach.append(n_ctx if sampling.dry_penalty_last_n < 0 else sampling.dry_penalty_last_n)
    return min(max(reach), n_ctx)


def count_needed(sampling: Sampling, temperature: float) -> int:
    """How many of the likeliest tokens a draw looks at; 0 where it may look at all of them.

    Penalties that only lower let no more tokens rise than they have lowered.
    """
    s = sampling
    only_lowers = s.repeat_penalty >= 1.0 and s.frequency_penalty >= 0.0 <= s.presence_penalty
    if s.logit_bias or s.dry_multiplier > 0.0 or not only_lowers:
        return 0
    n_lowered = s.repeat_last_n if _has_penalties(s) else 0
    if temperature <= 0.0:
        n_drawn = 1
    else:
        n_drawn = 0 if s.mirostat or s.top_n_sigma > 0.0 else max(0, s.top_k)
    return n_drawn + n_lowered if n_drawn and n_lowered >= 0 else 0


def make_sampler(
    sampling: Sampling, vocab: Vocab, *, temperature: float, seed: int, n_ctx: int
) -> Sampler:
    """Build the chain; the caller closes it. Raises `NativeError` when the library refuses."""
    sampler = Sampler()
    try:
        _add_penalties(sampler, sampling, vocab, n_ctx)
        if temperature <= 0.0:
            sampler.add("greedy")
        elif sampling.mirostat:
            _add_mirostat(sampler, sampling, vocab, temperature, seed)
        else:
            _add_draw(sampler, sampling, temperature, seed)
    except BaseException:
        sampler.close()
        raise
    return sampler


def _list_penalties(sampling: Sampling) -> tuple[float, float, float]:
    return sampling.repeat_penalty, sampling.frequency_penalty, sampling.presence_penalty


def _has_penalties(sampling: Sampling) -> bool:
    return _list_penalties(sampling) != (1.0, 0.0, 0.0)


def _add_penalties(sampler: Sampler, sampling: Sampling, vocab: Vocab, n_ctx: int) -> None:
    if sampling.logit_bias:
        sampler.add_logit_bias(vocab.n_tokens, sampling.logit_bias)
    if _has_penalties(sampling):
        last_n = n_ctx if sampling.repeat_last_n < 0 else sampling.repeat_last_n
        sampler.add("penalties", vocab.n_tokens, last_n, *_list_penalties(sampling))
    if sampling.dry_multiplier > 0.0:
        last_n = n_ctx if sampling.dry_penalty_last_n < 0 else sampling.dry_penalty_last_n
        sampler.add_dry(
            vocab,
            (sampling.dry_multiplier, sampling.dry_base, sampling.dry_allowed_length, last_n),
        )


def _add_mirostat(
    sampler: Sampler, sampling: Sampling, vocab: Vocab, temperature: float, seed: int
) -> None:
    sampler.add("temp", temperature)
    goal = (sampling.mirostat_tau, sampling.mirostat_eta)
    if sampling.mirostat == 1:
        sampler.add("mirostat", vocab.n_tokens, seed, *goal, 100)
    else:
        sampler.add("mirostat_v2", seed, *goal)


def _add_draw(sampler: Sampler, sampling: Sampling, temperature: float, seed: int) -> None:
    if sampling.top_n_sigma > 0.0:
        sampler.add("top_n_sigma", sampling.top_n_sigma)
    if sampling.top_k > 0:
        sampler.add("top_k", sampling.top_k)
    if sampling.typical_p < 1.0:
        sampler.add("typical", sampling.typical_p, 1)
    if sampling.top_p < 1.0:
        sampler.add("top_p", sampling.top_p, 1)
    if sampling.min_p > 0.0:
        sampler.add("min_p", sampling.min_p, 1)
    if sampling.xtc_probability > 0.0:
        sampler.add("xtc", sampling.xtc_probability, sampling.xtc_threshold, 1, seed)
    sampler.add("temp", temperature)
    sampler.add("dist", seed)
