"""What the model must beat: the nearest known phrasing by TF-IDF. Standard library only.

Called by the evaluation.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING

from recipe.corpus import normalise

if TYPE_CHECKING:
    from collections.abc import Iterable


def list_features(text: str) -> list[str]:
    """Words and pairs of words."""
    words = normalise(text).split()
    return words + [f"{a} {b}" for a, b in pairwise(words)]


class NearestPhrasing:
    """Known phrasings as TF-IDF vectors, looked up by cosine."""

    def __init__(self, phrasings: Iterable[tuple[str, str]]) -> None:
        known = [(Counter(list_features(ask)), topic) for ask, topic in phrasings]
        counts = Counter(feature for features, _ in known for feature in features)
        self._weight = {f: math.log((1 + len(known)) / (1 + n)) + 1 for f, n in counts.items()}
        self._topics = [topic for _, topic in known]
        self._holders: dict[str, list[tuple[int, float]]] = defaultdict(list)
        for index, (features, _) in enumerate(known):
            for feature, value in self._scale(features).items():
                self._holders[feature].append((index, value))

    def _scale(self, features: Counter[str]) -> dict[str, float]:
        vector = {f: n * self._weight[f] for f, n in features.items() if f in self._weight}
        length = math.sqrt(sum(value * value for value in vector.values()))
        return {f: value / length for f, value in vector.items()} if length else {}

    def find(self, text: str) -> str | None:
        """The topic of the nearest phrasing; none where no word is known."""
        scores: dict[int, float] = defaultdict(float)
        for feature, value in self._scale(Counter(list_features(text))).items():
            for index, weight in self._holders[feature]:
                scores[index] += value * weight
        return self._topics[max(scores, key=scores.__getitem__)] if scores else None
