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
    from collections.abc import Sequence

    from recipe.corpus import Corpus
    from recipe.model import Llama
    from recipe.tokens import Encoder

N_JUDGED = 256
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
    device = model.embedding.weight.device
    longest = max(len(prompt) for prompt in prompts)
    padded = [prompt + [0] * (longest + n_tokens - len(prompt)) for prompt in prompts]
    ids = torch.tensor(padded, device=device)
    lengths = torch.tensor([len(prompt) for prompt in prompts], device=device)
    rows = torch.arange(len(prompts), device=device)
    topics = torch.zeros(len(prompts), dtype=torch.long)
    for step in range(n_tokens):
        hidden = model(ids[:, : longest + step])[rows, lengths + step - 1]
        if step == 0:
            topics = model.topic_head(hidden).argmax(-1)
        ids[rows, lengths + step] = model.score_tokens(hidden).argmax(-1)
    found = ids.tolist()
    return [found[r][len(p) : len(p) + n_tokens] for r, p in enumerate(prompts)], topics


@torch.no_grad()
def judge_all(model: Llama, prompts: Sequence[tuple[list[int], int]]) -> list[float]:
    """How sure the topic head is of the right topic at the end of each (prompt, topic)."""
    model.eval()
    device = model.embedding.weight.device
    chances = [0.0] * len(prompts)
    order = sorted(range(len(prompts)), key=lambda at: len(prompts[at][0]))
    for begin in range(0, len(order), N_JUDGED):
        part = order[begin : begin + N_JUDGED]
        length = len(prompts[part[-1]][0])
        padded = [prompts[at][0] + [0] * (length - len(prompts[at][0])) for at in part]
        ends = torch.tensor([len(prompts[at][0]) - 1 for at in part], device=device)
        hidden = model(torch.tensor(padded, device=device), ends)
        wanted = torch.tensor([prompts[at][1] for at in part], device=device)
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
