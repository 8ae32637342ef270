"""Prompt lookup: guesses what comes next where a reply repeats earlier text, and when to bet on it.

A reply that copies (code, quotes, a list said again) runs along text that is in its context
already. `Lookup` follows that text with a cursor, so a guess costs nothing; `Bets` says how many
guessed tokens are worth checking in one decode, from what steps of each size were measured to take
and from how often guesses came true. Guesses are checked by drawing at each place as always, so the
reply is what it would have been. Used by the scheduler on the worker's thread; no native code here.
"""

from collections import deque
from collections.abc import Sequence
from statistics import median
from typing import Final

N_GRAM: Final = 3
"""So many tokens must have stood together before, for the text after them to be a guess."""
SIZES: Final = (4, 6, 16, 32)
"""Tokens in a step that checks guesses: few sizes, so that each is measured often."""
MAX_GUESSES: Final = SIZES[-1] - 1
MIN_GAIN: Final = 1.05

_MAX_LENGTH: Final = 32
_USUAL_COSTS: Final = {1: 1.0, 4: 2.3, 6: 3.2, 16: 6.7, 32: 12.0}
"""What a step of each size takes on a processor, in steps of one token, until it is measured."""
_BUCKETS: Final = (4, 5, 7, 10, 16, 32)
_USUAL_CHANCES: Final = (0.4, 0.5, 0.6, 0.7, 0.85, 0.93, 0.97)
"""How often a guess comes true after so long a match, until it is known."""
_CHANGED_BUCKETS: Final = (1, 2, 5, 10, 16, 32)
_USUAL_CHANGED_CHANCES: Final = (0.6, 0.85, 0.9, 0.93, 0.95, 0.97, 0.97)
"""The same after so many tokens since a change that was stepped over."""
_TRUST: Final = 4.0
"""How many seen guesses the usual chance counts for."""
_RESUMES_FROM: Final = 8
"""A text that was followed for so long is not given up at the first change in it."""
_RESUMES_WITHIN: Final = 4
"""So many tokens may be other ones, or left out, before the text goes on."""
_MEMORY: Final = 0.95
_N_TIMES: Final = 7
_KNOWN_FOR_S: Final = 30.0
"""So much time in steps later, a size that was not taken since is worth another try."""


class Lookup:
    """Where in its own earlier text a reply seems to be.

    Where a copy differs by a few tokens (a name, a corrected word), the cursor steps over them.
    """

    def __init__(self, tokens: Sequence[int]) -> None:
        """`tokens` is the reply's own growing list, prompt first; it is read and never changed."""
        self._tokens = tokens
        self._places: dict[tuple[int, ...], int] = {}
        self._n_indexed = 0
        self._n_seen = 0
        self._cursor = 0
        self._length = 0
        self._n_since_change: int | None = None
        self._lost_at = 0
        self._lost_length = 0
        self._n_since_lost = 0
        chances = (*_USUAL_CHANCES, *_USUAL_CHANGED_CHANCES)
        self._hits = [chance * _TRUST for chance in chances]
        self._counts = [_TRUST] * len(chances)

    @property
    def length(self) -> int:
        """How many tokens before the end also stand before the cursor; 0 where it is lost."""
        return self._length

    def follow(self) -> None:
        """Take in the tokens that came since the last call: check the guess, find a new place."""
        tokens = self._tokens
        if not self._n_seen:
            self._n_seen = len(tokens)
            self._find()
            return
        while self._n_seen < len(tokens):
            token = tokens[self._n_seen]
            self._n_seen += 1
            if self._length:
                self._check(token)
            if not self._length:
                self._find()
            if not self._length:
                self._resume(token)

    def guess(self, n_tokens: int) -> list[int]:
        """The next tokens, if the reply goes on along the same text; round and round in a loop."""
        tokens, period = self._tokens, len(self._tokens) - self._cursor
        if not self._length:
            return []
        return [tokens[self._cursor + i % period] for i in range(n_tokens)]

    def expect(self, n_guesses: int) -> float:
        """How many tokens a step with so many guesses should give, the sure one included."""
        total, reached = 1.0, 1.0
        for i in range(n_guesses):
            bucket = self._find_bucket(i)
            reached *= self._hits[bucket] / self._counts[bucket]
            total += reached
        return total

    def _check(self, token: int) -> None:
        """Go on with the cursor, or lose it, by what came where it stands."""
        is_true = self._tokens[self._cursor] == token
        if not is_true and self._n_since_change != 0 and self._length >= _RESUMES_FROM:
            self._lost_at, self._lost_length, self._n_since_lost = self._cursor, self._length, 0
        bucket = self._find_bucket(0)
        self._hits[bucket] = self._hits[bucket] * _MEMORY + is_true
        self._counts[bucket] = self._counts[bucket] * _MEMORY + 1.0
        self._length = min(self._length + 1, _MAX_LENGTH) if is_true else 0
        self._cursor += 1
        if self._n_since_change is not None:
            self._n_since_change = self._n_since_change + 1 if is_true else None

    def _resume(self, token: int) -> None:
        """Go on in the text that was followed last, as if only a little had been changed in it."""
        self._n_since_lost += 1
        if not self._lost_length or self._n_since_lost > _RESUMES_WITHIN:
            return
        begin, end = self._lost_at, min(self._lost_at + _RESUMES_WITHIN + 1, self._n_seen - 1)
        if token in self._tokens[begin:end]:
            self._cursor = self._tokens.index(token, begin, end) + 1
        elif self._n_since_lost == 1 and begin < end:
            self._cursor = begin + 1
        else:
            return
        self._length, self._n_since_change = self._lost_length, 0

    def _find_bucket(self, n_ahead: int) -> int:
        """Where it is counted how often the guess comes true that is `n_ahead` after the next."""
        if self._n_since_change is not None:
            since = self._n_since_change + n_ahead
            return len(_USUAL_CHANCES) + sum(since >= edge for edge in _CHANGED_BUCKETS)
        length = self._length + n_ahead
        return sum(length >= edge for edge in _BUCKETS)

    def _find(self) -> None:
        """Look for the newest earlier place that ends like the text seen so far."""
        tokens, end = self._tokens, self._n_seen
        for i in range(max(self._n_indexed, N_GRAM), end):
            self._places[tuple(tokens[i - N_GRAM : i])] = i
        self._n_indexed = max(self._n_indexed, end)
        at = self._places.get(tuple(tokens[end - N_GRAM : end])) if end > N_GRAM else None
        if at is None:
            return
        length = N_GRAM
        while length < min(at, _MAX_LENGTH) and tokens[at - length - 1] == tokens[end - length - 1]:
            length += 1
        self._cursor, self._length = at, length


class Bets:
    """What steps of each size take, and so how many guesses are worth a step."""

    def __init__(self) -> None:
        self._times = {size: deque[float](maxlen=_N_TIMES) for size in (1, *SIZES)}
        self._taken_at = dict.fromkeys(self._times, 0.0)
        self._now_s = 0.0

    def note(self, size: int, seconds: float) -> None:
        """Learn how long a step of so many tokens of one reply took."""
        if size not in self._times or seconds <= 0.0:
            return
        self._now_s += seconds
        if self._now_s - self._taken_at[size] > _KNOWN_FOR_S:
            self._times[size].clear()
        self._times[size].append(seconds)
        self._taken_at[size] = self._now_s

    def choose(self, lookup: Lookup, limit: int) -> int:
        """How many guesses to check in the next step; 0 where none are expected to pay."""
        if not lookup.length:
            return 0
        best, chosen = MIN_GAIN, 0
        for size in SIZES:
            if size - 1 > limit:
                break
            gain = lookup.expect(size - 1) / self._cost(size)
            if gain > best:
                best, chosen = gain, size - 1
        return chosen

    def _cost(self, size: int) -> float:
        """The time of a step in steps of one token: measured, else as usual."""
        single, times = self._times[1], self._times[size]
        is_old = self._now_s - self._taken_at[size] > _KNOWN_FOR_S
        if not single or not times or is_old:
            return _USUAL_COSTS[size]
        return median(times) / median(single)
