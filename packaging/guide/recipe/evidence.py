"""How much the words of a question tell about its topic, judged by other phrasings alone.

Called by the conversation generator to find thinned-out phrasings that no longer tell their
topic: those are taught as "I did not follow", so that the model learns to say so rather than
guess. Naive Bayes with each phrasing's own words left out of the counts. Standard library only.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from recipe.corpus import normalise

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SMOOTHING = 0.05


class Evidence:
    """Word counts per topic, and what they say of a text."""

    def __init__(self, phrasings: Mapping[str, Sequence[str]]) -> None:
        self._topics = list(phrasings)
        self._index = {topic: at for at, topic in enumerate(self._topics)}
        self._counts: dict[str, Counter[int]] = defaultdict(Counter)
        totals = Counter[int]()
        for topic, asks in phrasings.items():
            for ask in asks:
                for word in set(normalise(ask).split()):
                    self._counts[word][self._index[topic]] += 1
                    totals[self._index[topic]] += 1
        n_words = len(self._counts)
        self._log_totals = [
            math.log(totals[at] + SMOOTHING * n_words) for at in range(len(self._topics))
        ]

    def judge(self, text: str, topic: str, known: str) -> tuple[float, bool]:
        """Certainty of the likeliest topic, and whether it is `topic`; `known` is not counted."""
        words = set(normalise(text).split()) & self._counts.keys()
        own = set(normalise(known).split())
        at = self._index[topic]
        base = math.log(SMOOTHING)
        scores = [-len(words) * total for total in self._log_totals]
        for word in words:
            for holder, count in self._counts[word].items():
                seen = count - 1 if holder == at and word in own else count
                if seen > 0:
                    scores[holder] += math.log(seen + SMOOTHING) - base
        best = max(range(len(scores)), key=scores.__getitem__)
        top = scores[best]
        return 1 / sum(math.exp(score - top) for score in scores), best == at
