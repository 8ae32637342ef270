"""Batches of similar length from the stream of conversations.

Called by training. A pool of conversations is sorted by length and cut into batches of about
`n_tokens` tokens, which are then shuffled: little padding, and no order to learn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from recipe.model import CONTEXT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

    from recipe.conversations import Generator
    from recipe.tokens import Encoder, Sequence

POOL_BATCHES = 6
"""Batches whose sequences are sorted together."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Ids, (batch, length), and where in the flattened batch something is learnt."""

    ids: Tensor
    taught_at: Tensor
    """Flat places whose next token is learnt."""
    targets: Tensor
    weights: Tensor
    """How much each counts, in the order of `targets`."""
    decided_at: Tensor
    """Flat places where the topic must be known."""
    topics: Tensor
    bag_ids: Tensor
    """Ids of all questions that stand by themselves, one after the other."""
    bag_starts: Tensor
    bag_topics: Tensor
    n_tokens: int
    ends: Tensor | None
    """The one place of each row where anything is learnt, if there is but one in all of them."""


def make_batch(sequences: list[Sequence], topic_index: dict[str, int]) -> Batch:
    """Pad to the longest and collect what is learnt."""
    length = max(len(sequence.ids) for sequence in sequences) - 1  # the last is only foretold
    rows, taught_at, targets, weights, decided_at, topics = [], [], [], [], [], []
    bag_ids: list[int] = []
    bag_starts, bag_topics = [], []
    for row, sequence in enumerate(sequences):
        rows.append(sequence.ids[:-1] + [0] * (length + 1 - len(sequence.ids)))
        for place in range(1, len(sequence.ids)):
            if sequence.taught[place]:
                taught_at.append(row * length + place - 1)
                targets.append(sequence.ids[place])
                weights.append(sequence.taught[place])
        for place, topic in sequence.decisions:
            decided_at.append(row * length + place)
            topics.append(topic_index[topic])
        for content, topic in sequence.questions:
            bag_starts.append(len(bag_ids))
            bag_topics.append(topic_index[topic])
            bag_ids += content
    ends = [place % length for place in decided_at]
    is_single = taught_at == decided_at and len(ends) == len(sequences)
    return Batch(
        ids=torch.tensor(rows),
        taught_at=torch.tensor(taught_at),
        targets=torch.tensor(targets),
        weights=torch.tensor(weights),
        decided_at=torch.tensor(decided_at),
        topics=torch.tensor(topics),
        bag_ids=torch.tensor(bag_ids, dtype=torch.long),
        bag_starts=torch.tensor(bag_starts, dtype=torch.long),
        bag_topics=torch.tensor(bag_topics, dtype=torch.long),
        n_tokens=sum(len(sequence.ids) for sequence in sequences),
        ends=torch.tensor(ends) if is_single else None,
    )


def stream_batches(
    generator: Generator, encoder: Encoder, topic_index: dict[str, int], n_tokens: int
) -> Iterator[Batch]:
    """Batches of at most `n_tokens` without end; one long conversation can make a larger one."""
    rng: Random = generator.rng
    while True:
        pool: list[Sequence] = []
        missing = POOL_BATCHES * n_tokens
        while missing > 0:
            pool.append(encoder.lay_out(generator.draw(), rng=rng))
            missing -= len(pool[-1].ids)
        pool = sorted((s for s in pool if len(s.ids) <= CONTEXT), key=lambda s: len(s.ids))
        groups: list[list[Sequence]] = [[]]
        for sequence in pool:
            if (len(groups[-1]) + 1) * len(sequence.ids) > n_tokens and groups[-1]:
                groups.append([])
            groups[-1].append(sequence)
        rng.shuffle(groups)
        for group in groups:
            yield make_batch(group, topic_index)
