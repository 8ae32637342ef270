"""Quick measure of a model in training: how often it opens the right reply when phrasings are new.

Called by training at intervals. Only the opening of the reply is generated, in one batch, and
matched with the openings of all authored replies.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from recipe.conversations import NOT_FOLLOWED, OFF_TOPIC

if TYPE_CHECKING:
    from recipe.corpus import Corpus
    from recipe.model import Llama
    from recipe.tokens import Encoder

OPENING = 7
"""Tokens generated; replies of different topics differ within them or are told apart later."""


@dataclass(frozen=True, slots=True)
class Score:
    """Shares of the questions asked."""

    right: float
    """The right topic's opening."""
    head_right: float
    """The right topic by the training head."""
    confidently_wrong: float
    """Another topic's opening, where neither is a refusal."""
    wrong: list[tuple[str, str, str]]
    """(question, wanted, got) of each miss."""


class Openings:
    """Finds the topic whose authored reply begins like a generated one."""

    def __init__(self, corpus: Corpus, encoder: Encoder) -> None:
        self._known = [
            (encoder.encode(say)[:OPENING], topic_id)
            for topic_id in corpus.answer_ids()
            for say in corpus.topics[topic_id].says
        ]

    def find(self, ids: list[int]) -> str:
        """The topic with the longest common beginning."""
        return max(self._known, key=lambda known: count_common(known[0], ids))[1]


def count_common(first: list[int], second: list[int]) -> int:
    """How many leading ids two lists share."""
    count = 0
    for left, right in zip(first, second, strict=False):
        if left != right:
            break
        count += 1
    return count


@torch.no_grad()
def open_replies(
    model: Llama, prompts: list[list[int]], n_tokens: int
) -> tuple[list[list[int]], Tensor]:
    """Greedy openings for all prompts at once, and the head's topic for each."""
    lengths = torch.tensor([len(prompt) for prompt in prompts])
    ids = torch.zeros((len(prompts), int(lengths.max()) + n_tokens), dtype=torch.long)
    for row, prompt in enumerate(prompts):
        ids[row, : len(prompt)] = torch.tensor(prompt)
    rows = torch.arange(len(prompts))
    topics = torch.zeros(len(prompts), dtype=torch.long)
    for step in range(n_tokens):
        hidden = model(ids[:, : int(lengths.max()) + step])[rows, lengths + step - 1]
        if step == 0:
            topics = model.topic_head(hidden).argmax(-1)
        ids[rows, lengths + step] = model.score_tokens(hidden).argmax(-1)
    return [ids[r, lengths[r] : lengths[r] + n_tokens].tolist() for r in rows], topics


@torch.no_grad()
def judge_all(
    model: Llama, encoder: Encoder, asks: list[str], topics: list[str], topic_ids: list[str]
) -> list[float]:
    """How sure the topic head is of each question's topic, asked without any earlier turn."""
    model.eval()
    index = {topic: at for at, topic in enumerate(topic_ids)}
    prompts = [encoder.lay_out_prompt(None, [], ask) for ask in asks]
    chances = [0.0] * len(asks)
    order = sorted(range(len(asks)), key=lambda at: len(prompts[at]))
    for begin in range(0, len(order), 64):
        part = order[begin : begin + 64]
        length = len(prompts[part[-1]])
        ids = torch.tensor([prompts[at] + [0] * (length - len(prompts[at])) for at in part])
        ends = torch.tensor([len(prompts[at]) - 1 for at in part])
        hidden = model(ids, ends)
        wanted = torch.tensor([index[topics[at]] for at in part])
        found = model.topic_head(hidden).softmax(-1).gather(1, wanted[:, None])[:, 0]
        for at, chance in zip(part, found.tolist(), strict=True):
            chances[at] = chance
    model.train()
    return chances


def probe(
    model: Llama,
    encoder: Encoder,
    corpus: Corpus,
    questions: list[tuple[str, str]],
    topic_ids: list[str],
) -> Score:
    """Ask (question, topic) pairs without any earlier turn."""
    model.eval()
    openings = Openings(corpus, encoder)
    right = head_right = confident = 0
    wrong: list[tuple[str, str, str]] = []
    questions = sorted(questions, key=lambda q: len(q[0]))
    for begin in range(0, len(questions), 96):
        part = questions[begin : begin + 96]
        prompts = [encoder.lay_out_prompt(None, [], ask) for ask, _ in part]
        replies, heads = open_replies(model, prompts, OPENING)
        for (ask, topic), reply, head in zip(part, replies, heads.tolist(), strict=True):
            wanted, got = corpus.answer_of(topic), openings.find(reply)
            head_right += topic_ids[head] == wanted
            right += got == wanted
            if got != wanted:
                confident += got not in (NOT_FOLLOWED, OFF_TOPIC)
                wrong.append((ask, wanted, got))
    n = max(1, len(questions))
    model.train()
    return Score(right / n, head_right / n, confident / n, wrong)
