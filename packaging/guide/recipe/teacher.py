"""A linear judge of questions, by their words and the letters in them; it teaches the model.

Trained first, in minutes, on the same phrasings. It then names the topic of questions that nobody
wrote, put together from pieces of written ones, and says how sure it is: the model learns from
endless new questions what each word is worth, rather than the written ones by heart, and to say
that it did not follow where the words tell too little. Called by training alone.
"""

from __future__ import annotations

import re
import zlib
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from recipe import elsewhere, murk
from recipe.conversations import NOT_FOLLOWED, OFF_TOPIC, roughen

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from random import Random

    from recipe.corpus import Corpus
    from recipe.split import Split

N_BUCKETS = 2**18
N_PASSES = 10
BATCH = 192
FEATURE_DROPOUT = 0.2
RATE = 0.02
LETTERS = (3, 4, 5)
"""Lengths of the pieces of words."""


def list_features(text: str) -> list[int]:
    """Buckets of a text's words, pairs of words and pieces of words."""
    words = re.findall(r"[a-z0-9']+|[?+<>/,.=-]", text.lower())
    features = [f"w {word}" for word in words]
    features += [f"p {a} {b}" for a, b in pairwise(words)]
    for word in words:
        edged = f"^{word}$"
        for length in LETTERS:
            features += [edged[at : at + length] for at in range(len(edged) - length + 1)]
    return list({zlib.crc32(feature.encode()) % N_BUCKETS for feature in features}) or [0]


class Teacher:
    """Softmax regression over hashed features."""

    def __init__(self, topic_ids: Sequence[str]) -> None:
        self.topic_ids = list(topic_ids)
        self.table = nn.EmbeddingBag(N_BUCKETS, len(self.topic_ids), mode="sum", sparse=True)
        nn.init.zeros_(self.table.weight)

    def score(self, features: Sequence[list[int]]) -> Tensor:
        """Logits, (texts, topics)."""
        flat = [bucket for each in features for bucket in each]
        starts, scale = [], []
        at = 0
        for each in features:
            starts.append(at)
            at += len(each)
            scale += [len(each) ** -0.5] * len(each)
        return self.table(
            torch.tensor(flat), torch.tensor(starts), per_sample_weights=torch.tensor(scale)
        )

    @torch.no_grad()
    def judge(self, text: str) -> tuple[str, float]:
        """The likeliest topic and its probability."""
        chances = self.score([list_features(text)])[0].softmax(-1)
        best = int(chances.argmax())
        return self.topic_ids[best], float(chances[best])

    def learn(self, corpus: Corpus, split: Split, rng: Random) -> None:
        """Passes over all phrasings trained on, roughened anew in each."""
        index = {topic: at for at, topic in enumerate(self.topic_ids)}
        optimiser = torch.optim.SparseAdam(self.table.parameters(), lr=RATE)
        batches_done = 0
        for number in range(N_PASSES):
            examples = list_examples(corpus, split, rng)
            n_batches = N_PASSES * (len(examples) // BATCH + 1)
            for begin in range(0, len(examples), BATCH):
                part = examples[begin : begin + BATCH]
                features = [drop_features(list_features(text), rng) for text, _ in part]
                targets = torch.tensor([index[topic] for _, topic in part])
                loss = functional.cross_entropy(self.score(features), targets, label_smoothing=0.1)
                optimiser.param_groups[0]["lr"] = RATE * max(0.05, 1 - batches_done / n_batches)
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                batches_done += 1
            print(f"teacher: pass {number + 1} of {N_PASSES}, loss {loss.item():.3f}", flush=True)

    def save(self, path: Path) -> None:
        """Keep it for a training that is resumed."""
        torch.save({"topics": self.topic_ids, "table": self.table.weight.detach().half()}, path)

    def load(self, path: Path) -> bool:
        """Take what was kept, if it is of the same topics."""
        if not path.exists():
            return False
        saved = torch.load(path, weights_only=True)
        if saved["topics"] != self.topic_ids:
            return False
        self.table.weight.data.copy_(saved["table"])
        return True


def drop_features(features: list[int], rng: Random) -> list[int]:
    """Some features left out by chance."""
    return [f for f in features if rng.random() >= FEATURE_DROPOUT] or features


def list_examples(corpus: Corpus, split: Split, rng: Random) -> list[tuple[str, str]]:
    """Each phrasing once, half of them roughened, and questions that have no topic; shuffled."""
    examples = []
    for topic_id, asks in split.train.items():
        answer_id = corpus.answer_of(topic_id)
        for ask in asks:
            is_rough = rng.random() < 0.5
            text = roughen(ask, rng, is_off_topic=answer_id == OFF_TOPIC) if is_rough else ask
            examples.append((text, answer_id))
    real = [text for text, _ in examples]
    examples += [(elsewhere.ask_elsewhere(rng), OFF_TOPIC) for _ in range(len(real) // 10)]
    examples += [(murk.make_murk(rng, real), NOT_FOLLOWED) for _ in range(len(real) // 20)]
    rng.shuffle(examples)
    return examples
