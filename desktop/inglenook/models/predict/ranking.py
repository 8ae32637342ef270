"""Which of several models or files is the best for this machine. Pure."""

from collections.abc import Sequence
from typing import Final

from inglenook.models.fit import Fit

PLEASANT_TPS: Final = 8.0
"""As fast as a person reads."""
BEARABLE_TPS: Final = 3.0


def rank(fit: Fit | None, n_params: int) -> tuple[int, float]:
    """A key that sorts the best for this machine first.

    What runs pleasantly comes first, the most capable (largest) of it before others; then what is
    bearable, what leaves little memory, what is slow (the fastest first), and what does not fit.
    """
    if fit is None:
        return 5, -float(n_params)
    if fit.verdict == "too_large":
        return 4, float(fit.needs_bytes)
    if fit.verdict == "fits" and (not fit.write_tps or fit.write_tps >= PLEASANT_TPS):
        return 0, -float(n_params)
    if fit.verdict == "fits" and fit.write_tps >= BEARABLE_TPS:
        return 1, -float(n_params)
    return (2 if fit.write_tps >= BEARABLE_TPS else 3), -fit.write_tps


def choose_file(fits: Sequence[Fit | None], suggested: int) -> int:
    """Which of a model's files, smallest first, to recommend here.

    The one that is suggested to everybody (`suggested`, its place) where it runs well; where it
    does not, the largest below it that fits better, if there is one.
    """
    if not 0 <= suggested < len(fits) or _is_good(fits[suggested]):
        return suggested
    for place in reversed(range(suggested)):
        if _is_good(fits[place]):
            return place
    for place in reversed(range(suggested + 1)):
        fit = fits[place]
        if fit is not None and fit.verdict != "too_large":
            return place
    return suggested


def _is_good(fit: Fit | None) -> bool:
    return fit is None or (
        fit.verdict == "fits" and (not fit.write_tps or fit.write_tps >= BEARABLE_TPS)
    )
