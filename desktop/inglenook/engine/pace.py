"""How many threads each step gets: re-chosen while running, from measured step times.

llama.cpp with a thread on every core collapses when anything else runs, for its threads wait for
each other at every layer; with one thread too few it is slow on a quiet machine. Nobody can know
beforehand, so now and then a few steps are tried with one count more or less, and the faster stays.
What trying costs is kept below a fixed share of the time. Used by the scheduler on the worker's
thread alone; no native code here.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Final

_GAIN: Final = 0.94
"""Another count must need less than this share of the time to take over: noise must not switch."""
_SHARE: Final = 0.015
"""What trying may cost, as a share of the time."""
_FIRST_TRY_S: Final = 0.4
_MIN_PAUSE_S: Final = 0.25
_MAX_PAUSE_S: Final = 3.0
_MAX_HOPELESS_PAUSE_S: Final = 12.0
"""Where fewer threads are far slower, the machine is quiet; that it is no more, steps tell."""
_ALARM: Final = 1.3
"""Steps slower than this, against when the count was chosen, say that the machine changed."""
_HOPELESS: Final = 1.4
_UNCHANGED: Final = 0.05
"""Steps as fast as when fewer threads lost, but for this share, say that they would lose again."""
_LONG_STEP_S: Final = 0.01
"""In a step this long, the beginning and ending of threads does not count."""
_N_KEPT: Final = 7
_N_ALARM: Final = 3


def list_counts(most: int) -> tuple[int, ...]:
    """The thread counts worth trying: every one up to four, then steps of about a quarter."""
    counts = [1]
    while counts[-1] < most:
        counts.append(min(most, max(counts[-1] + 1, counts[-1] * 5 // 4)))
    return tuple(counts)


@dataclass(slots=True)
class _Trial:
    """A few steps with another count; the first, in which threads begin or end, is not measured."""

    index: int
    n_left: int
    times: list[float] = field(default_factory=list)
    cost_s: float = 0.0


class Pace:
    """The thread count of one kind of step. `n_tried` steps make a trial."""

    def __init__(
        self, counts: Sequence[int], *, n_tried: int = 3, skips_first: bool = True
    ) -> None:
        self._counts = tuple(counts)
        self._best = len(self._counts) - 1
        self._n_tried = n_tried
        self._skips_first = skips_first
        self._times: deque[float] = deque(maxlen=_N_KEPT)
        self._calm_s = 0.0
        self._now_s = 0.0
        self._next_try_s = _FIRST_TRY_S
        self._goes_down = True
        self._stride = 1
        self._trial: _Trial | None = None
        self._pause_s = _MIN_PAUSE_S
        self._fewer_lost_at_s = 0.0

    @property
    def n_threads(self) -> int:
        """The count to take for the next step."""
        return self._counts[self._trial.index if self._trial is not None else self._best]

    @property
    def chosen(self) -> int:
        """The count that is in force, trials aside."""
        return self._counts[self._best]

    @property
    def is_trying(self) -> bool:
        """Whether the next step is part of a trial."""
        return self._trial is not None

    def note(self, seconds: float, work: float = 1.0) -> None:
        """Learn how long the step took that was just done, and how much work it was."""
        if len(self._counts) == 1 or seconds <= 0.0 or work <= 0.0:
            return
        self._now_s += seconds
        if self._trial is not None:
            self._note_trial(self._trial, seconds, work)
            return
        self._times.append(seconds / work)
        if not self._calm_s and len(self._times) >= _N_ALARM:
            self._calm_s = median(self._times)
        is_due = self._now_s >= self._next_try_s and not self._would_lose_again()
        if len(self._times) >= _N_ALARM and (is_due or self._is_alarmed()):
            self._begin_trial()

    def _is_alarmed(self) -> bool:
        recent = median(list(self._times)[-_N_ALARM:])
        is_slow = bool(self._calm_s) and recent > _ALARM * self._calm_s
        if is_slow:
            self._calm_s = recent  # This slow is the new usual, until something is faster.
            self._pause_s = _MIN_PAUSE_S
        return is_slow

    def _would_lose_again(self) -> bool:
        """Whether fewer threads are all that could be tried, and nothing changed since they lost.

        A neighbour that leaves speeds up only those who shared with it; one that comes shows.
        """
        if self._best < len(self._counts) - 1 or not self._fewer_lost_at_s:
            return False
        return abs(median(self._times) / self._fewer_lost_at_s - 1.0) < _UNCHANGED

    def _begin_trial(self) -> None:
        last = len(self._counts) - 1
        goes_up = self._best == 0 or (not self._goes_down and self._best < last)
        step = self._stride if goes_up else -self._stride
        index = min(last, max(0, self._best + step))
        self._goes_down = goes_up
        n_steps = self._n_tried + (1 if self._skips_first else 0)
        self._trial = _Trial(index, n_steps)

    def _note_trial(self, trial: _Trial, seconds: float, work: float) -> None:
        usual = median(self._times)
        is_first = trial.n_left == self._n_tried + 1 and self._skips_first
        trial.n_left -= 1
        trial.cost_s += max(0.0, seconds - usual * work)
        if not is_first or seconds > _LONG_STEP_S:
            trial.times.append(seconds / work)
        # One look is enough where the trial is far slower: the rest would only cost.
        is_hopeless = bool(trial.times) and min(trial.times) > _HOPELESS * usual
        if trial.n_left > 0 and not is_hopeless:
            return
        self._trial = None
        if median(trial.times) < _GAIN * usual:
            # Go on in the direction that helped, and faster.
            self._goes_down = trial.index < self._best
            self._stride = min(self._stride * 2, len(self._counts))
            self._best = trial.index
            self._times.clear()
            self._times.extend(trial.times)
            self._calm_s = 0.0
            self._pause_s = _MIN_PAUSE_S
        else:
            self._stride = 1
            if trial.index < self._best:
                self._fewer_lost_at_s = usual
            is_far_below = is_hopeless and trial.index < self._best
            longest_s = _MAX_HOPELESS_PAUSE_S if is_far_below else _MAX_PAUSE_S
            self._pause_s = min(longest_s, self._pause_s * (3.0 if is_far_below else 1.5))
        self._next_try_s = self._now_s + max(self._pause_s, trial.cost_s / _SHARE)


class Paces:
    """The paces of one context: one for reading prompts, one for each size of a writing step."""

    def __init__(self, n_decode: int | None, n_prefill: int | None, most: int) -> None:
        """A count that a person chose stays as it is; None is found out, up to `most`."""
        self._decode_counts = (n_decode,) if n_decode else list_counts(most)
        prefill_counts = (n_prefill or n_decode,) if n_prefill or n_decode else list_counts(most)
        self.prefill = Pace([n for n in prefill_counts if n], n_tried=1, skips_first=False)
        self._by_size: dict[int, Pace] = {}

    def for_decode(self, n_tokens: int) -> Pace:
        """The pace of steps that write so many tokens at a time."""
        size = n_tokens.bit_length()
        if size not in self._by_size:
            self._by_size[size] = Pace(self._decode_counts)
        return self._by_size[size]
