"""Which phrasings are trained on and which are kept back, the same on every machine.

Called by training and by evaluation. A phrasing's place is decided by a hash of its own words
and its topic, so that adding phrasings moves none of the others. Standard library only.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recipe.corpus import Corpus, Follow

CHOOSE_SHARE = 0.06
"""Share of a topic's phrasings kept back to choose the best checkpoint."""
REPORT_SHARE = 0.08
"""Share of a topic's phrasings kept back for the figures, never looked at before."""
FOLLOW_REPORT_SHARE = 0.10


@dataclass(frozen=True, slots=True)
class Split:
    """Phrasings by topic id, and follow-ups by the id of the answer before them."""

    train: dict[str, tuple[str, ...]]
    choose: dict[str, tuple[str, ...]]
    report: dict[str, tuple[str, ...]]
    train_follows: dict[str, tuple[Follow, ...]]
    report_follows: dict[str, tuple[Follow, ...]]


def place_of(*parts: str) -> float:
    """A number in 0..1 that depends on the words alone."""
    digest = hashlib.sha256("\0".join(parts).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def split_corpus(corpus: Corpus) -> Split:
    """Keep some phrasings of each topic back, and some follow-ups over all topics."""
    train: dict[str, tuple[str, ...]] = {}
    choose: dict[str, tuple[str, ...]] = {}
    report: dict[str, tuple[str, ...]] = {}
    train_follows: dict[str, tuple[Follow, ...]] = {}
    report_follows: dict[str, tuple[Follow, ...]] = {}
    for topic in corpus.topics.values():
        places = {ask: place_of(topic.id, ask) for ask in topic.asks}
        report[topic.id] = tuple(a for a, place in places.items() if place < REPORT_SHARE)
        choose[topic.id] = tuple(
            a for a, place in places.items() if 0 <= place - REPORT_SHARE < CHOOSE_SHARE
        )
        held = {*report[topic.id], *choose[topic.id]}
        train[topic.id] = tuple(ask for ask in topic.asks if ask not in held)
    for answer_id in corpus.answer_ids():
        report_follows[answer_id] = train_follows[answer_id] = ()
        for follow in corpus.followers_of(answer_id):
            is_kept = place_of("follow", answer_id, follow.text) < FOLLOW_REPORT_SHARE
            side = report_follows if is_kept else train_follows
            side[answer_id] += (follow,)
    return Split(train, choose, report, train_follows, report_follows)
