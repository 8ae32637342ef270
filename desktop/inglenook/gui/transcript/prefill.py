"""How long reading the prompt will still take, from how fast it went so far. No Qt here."""

from time import monotonic

_SURE_AFTER_S = 0.6
"""No guess before this: the first batches say little."""


class PrefillClock:
    """Times one prompt's reading."""

    def __init__(self) -> None:
        self._started_s: float | None = None
        self._started_at = 0

    def tell(
        self, n_done: int, n_prompt: int, n_cached: int, now_s: float | None = None
    ) -> float | None:
        """Seconds left when `n_done` of `n_prompt` tokens are read; None while nobody can say."""
        now = monotonic() if now_s is None else now_s
        if self._started_s is None:
            self._started_s, self._started_at = now, max(n_done, n_cached)
            return None
        elapsed = now - self._started_s
        read = n_done - self._started_at
        if elapsed < _SURE_AFTER_S or read <= 0:
            return None
        return max(0.0, (n_prompt - n_done) * elapsed / read)
