"""A recogniser of first questions, and how it becomes a layer of the model.

Run by `run.sh` after `train`: `python -m recipe.recogniser --work work`. It takes the mean of the
embeddings of all that was typed and lets one feed-forward layer name the topic (a deep averaging
network, Iyyer et al. 2015). A question costs a thirtieth of what it costs the whole network, so
that it sees each phrasing far more often and knows it in more disguises.

What it learnt is then put in front of the trained network as one more layer, in columns of its
own: its attention weighs all tokens alike, its feed-forward layer is open at line ends only, and
what it found is read by the last norm alone. The other layers do not see it; the likelihoods of the
topics' opening words are those of both. After the first turn it is silent, and so are its columns.
"""

from __future__ import annotations

import argparse
import time
from collections import deque
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from recipe.conversations import LIGHT, Generator, Mix, Pool, roughen
from recipe.corpus import read_corpus
from recipe.join import CODE_WIDTH, GAIN, READ_WIDTH, join
from recipe.split import split_corpus
from recipe.tokens import Encoder
from recipe.train import load_weights, prepare_teacher, save_weights

if TYPE_CHECKING:
    from recipe.corpus import Corpus
    from recipe.model import Llama

SEED = 20_261
MIX = Mix(multi_turn=0.05, long=0.003, cut=0.98)
BATCH = 256
RATE = 4e-3
DROPOUT = 0.1
N_REPEATS, N_RECENT = 2, 300
"""Each batch is followed by so many of the newest ones: to make them takes longer than to learn."""
SILENCE_WEIGHT = 0.3
LOUDNESSES = (1.0, 2.0, 3.0)
"""Weights of the recogniser's scores beside those of the trained network, to choose from."""


@dataclass(frozen=True, slots=True)
class Task:
    """Prompts up to a line end; `topics` has -1 where nothing is to be said."""

    ids: Tensor
    starts: Tensor
    topics: Tensor


class Recogniser(nn.Module):
    """Mean of embeddings, one gated feed-forward layer, a code for each topic."""

    def __init__(self, n_tokens: int, n_topics: int, n_hidden: int) -> None:
        super().__init__()
        read = READ_WIDTH - 2
        self.table = nn.Embedding(n_tokens, read)
        self.gate = nn.Linear(read, n_hidden, bias=False)
        self.up = nn.Linear(read, n_hidden, bias=False)
        self.down = nn.Linear(n_hidden, CODE_WIDTH, bias=False)
        self.line = nn.Linear(read, CODE_WIDTH, bias=False)
        self.codes = nn.Parameter(torch.randn(n_topics, CODE_WIDTH) * 0.5)
        nn.init.normal_(self.table.weight, std=0.3)
        for layer in (self.gate, self.up):
            nn.init.normal_(layer.weight, std=read**-0.5)

    def forward(self, ids: Tensor, starts: Tensor) -> Tensor:
        """Scores of the topics, (prompts, topics), about nought on average."""
        x = GAIN * functional.embedding_bag(ids, self.table.weight, starts, mode="mean")
        x = functional.dropout(x, DROPOUT, self.training)
        hidden = functional.silu(self.gate(x)) * self.up(x)
        code = self.down(functional.dropout(hidden, DROPOUT, self.training)) + self.line(x)
        return code @ self.centre_codes().T

    def centre_codes(self) -> Tensor:
        """The codes of the topics, nought on average."""
        return self.codes - self.codes.mean(0)


class Course:
    """One training of a recogniser."""

    def __init__(self, corpus: Corpus, work: Path, n_hidden: int) -> None:
        split = split_corpus(corpus)
        self.corpus, self.topic_ids = corpus, corpus.answer_ids()
        self.index = {topic: at for at, topic in enumerate(self.topic_ids)}
        self.encoder = Encoder.load(work / "tokenizer.json")
        self.line_end = self.encoder.encode("\n")[0]
        teacher = prepare_teacher(corpus, split, work, self.topic_ids)
        self.generator = Generator(corpus, split, Random(SEED), MIX, teacher)
        torch.manual_seed(SEED)
        self.model = Recogniser(self.encoder.size, len(self.topic_ids), n_hidden)
        self.chosen = [(a, corpus.answer_of(t)) for t, asks in split.choose.items() for a in asks]

    def draw(self) -> Task:
        """Line ends of some conversations."""
        prompts: list[tuple[list[int], int]] = []
        while len(prompts) < BATCH:
            sequence = self.encoder.lay_out(self.generator.draw(), rng=self.generator.rng)
            first, topic = sequence.decisions[0]
            prompts.append((sequence.ids[: first + 1], self.index[topic]))
            later = [
                at
                for at in range(first + 1, len(sequence.ids))
                if sequence.ids[at] == self.line_end
            ]
            later = self.generator.rng.sample(later, min(2, len(later)))
            prompts += [(sequence.ids[: at + 1], -1) for at in later]
        return collect(prompts)

    def run(self, minutes: float) -> None:
        """Train until the minutes are spent."""
        optimiser = torch.optim.AdamW(
            self.model.parameters(), lr=RATE, betas=(0.9, 0.98), weight_decay=0.02, fused=True
        )
        begin, favoured, n = time.monotonic(), 0.0, 0
        recent: deque[Task] = deque(maxlen=N_RECENT)
        self.model.train()
        while (progress := (time.monotonic() - begin) / (60 * minutes)) < 1:
            if progress - favoured > 0.1:
                favoured = progress
                self.favour_unknown(n)
            optimiser.param_groups[0]["lr"] = RATE * min(1 - progress, (n + 1) / 10_000)
            recent.append(self.draw())
            for task in [recent[-1], *self.generator.rng.choices(recent, k=N_REPEATS)]:
                loss = compute_loss(self.model(task.ids, task.starts), task.topics)
                optimiser.zero_grad(set_to_none=True)
                loss.backward()
                optimiser.step()
                n += len(task.topics)
        self.favour_unknown(n)

    def favour_unknown(self, n: int) -> None:
        """Go through all phrasings and draw those that fail more often."""
        told = []
        for pool, is_off_topic in ((self.generator.known, False), (self.generator.off_topic, True)):
            told.append(self._favour(pool, is_off_topic=is_off_topic))
        chances = self.judge(self.chosen)
        told.append(sum(chance > 0.5 for chance in chances) / len(chances))
        print(f"{n} prompts: known {told[0]:.3f}, off topic {told[1]:.3f}, unseen {told[2]:.3f}",
              flush=True)  # fmt: skip

    def _favour(self, pool: Pool, *, is_off_topic: bool) -> float:
        rng = self.generator.rng
        asks = [
            (roughen(ask, rng, LIGHT, is_off_topic=is_off_topic), self.corpus.answer_of(topic))
            for ask, topic in pool.phrasings
        ]
        chances = self.judge(asks)
        pool.favour(chances)
        return sum(chance > 0.5 for chance in chances) / max(1, len(chances))

    @torch.no_grad()
    def judge(self, asks: list[tuple[str, str]]) -> list[float]:
        """How likely the right topic of each question is held to be."""
        self.model.eval()
        task = collect(
            [(self.encoder.lay_out_prompt(None, [], ask), self.index[t]) for ask, t in asks]
        )
        chances = self.model(task.ids, task.starts).softmax(-1)
        self.model.train()
        return chances.gather(1, task.topics[:, None])[:, 0].tolist()


def collect(prompts: list[tuple[list[int], int]]) -> Task:
    """Prompts one after the other."""
    ids: list[int] = []
    starts = []
    for prompt, _ in prompts:
        starts.append(len(ids))
        ids += prompt
    topics = torch.tensor([topic for _, topic in prompts])
    return Task(torch.tensor(ids), torch.tensor(starts), topics)


def compute_loss(scores: Tensor, topics: Tensor) -> Tensor:
    """Loss of the topics of first questions; elsewhere all scores are to be nought."""
    is_first = topics >= 0
    loss = functional.cross_entropy(scores[is_first], topics[is_first], label_smoothing=0.05)
    if bool(is_first.all()):
        return loss
    return loss + SILENCE_WEIGHT * scores[~is_first].square().mean()


@torch.no_grad()
def choose_loudness(course: Course, old: Llama, openings: list[int]) -> tuple[Llama, float, float]:
    """Join with the weight that tells most phrasings, kept back for such choices and known ones.

    There are as many of both; the known ones are lightly roughened.
    """
    rng = Random(SEED)
    known = [
        (roughen(ask, rng, LIGHT), course.corpus.answer_of(topic))
        for ask, topic in rng.sample(course.generator.known.phrasings, len(course.chosen))
    ]
    best: tuple[Llama, float, float] | None = None
    for loudness in LOUDNESSES:
        model = join(old, course.model, openings, course.line_end, loudness)
        right = share_opened(model, course, [*course.chosen, *known], openings)
        print(f"recogniser at {loudness:g}: {right:.3f} of the phrasings opened right", flush=True)
        if best is None or right > best[2]:
            best = model, loudness, right
    if best is None:
        raise ValueError("no weights to choose from")
    return best


@torch.no_grad()
def share_opened(
    model: Llama, course: Course, asks: list[tuple[str, str]], openings: list[int]
) -> float:
    """Share of the questions whose reply opens with the right word."""
    right = 0
    asks = sorted(asks, key=lambda pair: len(pair[0]))
    for begin in range(0, len(asks), 64):
        part = asks[begin : begin + 64]
        prompts = [course.encoder.lay_out_prompt(None, [], ask) for ask, _ in part]
        length = max(map(len, prompts))
        ids = torch.tensor([prompt + [0] * (length - len(prompt)) for prompt in prompts])
        ends = torch.tensor([len(prompt) - 1 for prompt in prompts])
        tokens = model.score_tokens(model(ids, ends)).argmax(-1).tolist()
        wanted = [openings[course.index[topic]] for _, topic in part]
        right += sum(token == opening for token, opening in zip(tokens, wanted, strict=True))
    return right / max(1, len(asks))


def main() -> None:
    """Train a recogniser and join it with the best weights of the training."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, default=Path("corpus"))
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=18.0)
    options = parser.parse_args()
    corpus = read_corpus(options.corpus)
    old, facts = load_weights(options.work / "best.pt")
    kept = options.work / "recogniser.pt"
    course = Course(corpus, options.work, old.shape.feed_forward - 2 * CODE_WIDTH)
    if kept.exists():
        course.model.load_state_dict(torch.load(kept, weights_only=True))
    else:
        course.run(options.minutes)
        torch.save(course.model.state_dict(), kept)
    course.model.eval()
    openings = [course.encoder.encode(corpus.says_of(t)[0])[0] for t in course.topic_ids]
    model, loudness, right = choose_loudness(course, old, openings)
    facts |= {
        "loudness": loudness, "right": right, "n_old": old.count_weights(),
        "n_recogniser": sum(weight.numel() for weight in course.model.parameters()),
        "old_shape": asdict(old.shape), "wrong": [],
    }  # fmt: skip
    save_weights(model, options.work / "joined.pt", facts)


if __name__ == "__main__":
    main()
