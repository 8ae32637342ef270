"""Training: `python -m recipe.train --minutes 6`. Resumes where it was stopped.

Run by `run.sh`. Writes the tokenizer, the newest state (to resume from) and the averaged weights to
the work folder.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional

from recipe.corpus import Corpus, find_faults, find_opening_word, read_corpus
from recipe.model import TWIN_LENGTH, Llama, Shape
from recipe.muon import Muon
from recipe.probe import judge_all, probe
from recipe.split import Split, place_of, split_corpus
from recipe.stream import Stream, count_workers
from recipe.teacher import Teacher
from recipe.tokens import Encoder, add_cases, add_words, save_tokenizer, train_tokenizer

if TYPE_CHECKING:
    from recipe.batches import Batch
SEED = 20_260
N_PROBED = 300
"""Questions asked at each probe, the same each time."""
SWEEP_REST = 12
"""Training goes on at least so many times as long as a probe took: without a GPU that is long."""
WARM_RATE = 8e-3
WARM_SCALE = 0.05
"""Standard deviation of the embeddings after the warm-up; their directions are what was learnt."""
QUESTIONS, TALKS = 0, 1
"""The kinds of batches."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run is asked for; the defaults are what the shipped file was trained with."""

    minutes: float = 5.4
    device: str = "auto"
    n_workers: int = 0
    """Processes that make batches; 0: as many as there are processors but one."""
    n_question_tokens: int = 16_384
    n_talk_tokens: int = 8_192
    begin: str = ""
    """A file of weights to go on from, say after a small change of the corpus; no warm-up then."""
    n_vocabulary: int = 4096
    width: int = 384
    n_layers: int = 2
    n_heads: int = 4
    feed_forward: int = 1280
    dropout: float = 0.1
    peak_rate: float = 2.5e-3
    weight_decay: float = 0.1
    head_weight: float = 0.5
    bag_weight: float = 0.5
    talk_weight: float = 0.5
    warm_steps: int = 400
    ema: float = 0.998
    sweep_minutes: float = 0.4
    """Between two probes, at which what is not known yet is found out too."""


class Averaged:
    """A running mean of the weights, steadier than the newest ones."""

    def __init__(self, model: Llama, decay: float) -> None:
        self.decay = decay
        self.steps = 0
        self.weights = {name: value.detach().clone() for name, value in model.named_parameters()}

    @torch.no_grad()
    def update(self, model: Llama) -> None:
        """Move towards the newest weights."""
        self.steps += 1
        keep = min(self.decay, self.steps / (self.steps + 10))
        named = list(model.named_parameters())
        torch._foreach_lerp_([self.weights[n] for n, _ in named], [v for _, v in named], 1 - keep)

    @torch.no_grad()
    def swap(self, model: Llama) -> None:
        """Exchange the model's weights with the mean; call again to put them back."""
        for name, value in model.named_parameters():
            kept = value.detach().clone()
            value.copy_(self.weights[name])
            self.weights[name].copy_(kept)


class Training:
    """One run: its data, model, optimiser and clock."""

    def __init__(self, corpus: Corpus, work: Path, plan: Plan) -> None:
        self.corpus, self.work, self.plan = corpus, work, plan
        self.split = split_corpus(corpus)
        self.topic_ids = corpus.answer_ids()
        self.device = choose_device(plan.device)
        # cuDNN's attention makes a plan for each new length, which takes far longer than to use it
        torch.backends.cuda.enable_cudnn_sdp(enabled=False)
        self.encoder = prepare_tokenizer(corpus, self.split, work, plan.n_vocabulary)
        self.twins = torch.tensor(self.encoder.small_of[self.encoder.size :], device=self.device)
        torch.manual_seed(SEED)
        shape = Shape(
            self.encoder.size, len(self.topic_ids), plan.width, plan.n_layers, plan.n_heads,
            plan.feed_forward,
        )  # fmt: skip
        self.model = Llama(shape, plan.dropout).to(self.device)
        if plan.begin:
            self.model.load_state_dict(load_weights(Path(plan.begin))[0].state_dict())
        self.mean = Averaged(self.model, plan.ema)
        self.optimiser = Optimisers(self.model, plan)
        self.step, self.n_tokens, self.spent_s, self.best = 0, 0, 0.0, -1.0
        questions = [(ask, t) for t, asks in self.split.choose.items() for ask in asks]
        self.questions = sorted(questions, key=lambda q: place_of("probe", *q))[:N_PROBED]

    def run(self, stream: Stream) -> None:
        """Train until the minutes are spent."""
        if self.step == 0 and not self.plan.begin:
            self.warm_up(stream)
        begin, swept_s = time.monotonic() - self.spent_s, self.spent_s
        pause_s = self.plan.sweep_minutes * 60
        self.model.train()
        while self.spent_s < self.plan.minutes * 60:
            losses = self.learn(
                stream.draw(QUESTIONS), stream.draw(TALKS), self.spent_s / (self.plan.minutes * 60)
            )
            self.spent_s = time.monotonic() - begin
            if self.spent_s - swept_s > pause_s:
                self.tell(losses, stream.n_made)
                self.judge_known(stream)
                self.keep()
                cost_s = time.monotonic() - begin - self.spent_s
                pause_s = max(self.plan.sweep_minutes * 60, SWEEP_REST * cost_s)
                swept_s = self.spent_s = time.monotonic() - begin
        self.keep()

    def warm_up(self, stream: Stream) -> None:
        """Let the embeddings learn the topics by themselves first: far cheaper a question."""
        heads = [self.model.embedding.weight, *self.model.bag_head.parameters()]
        optimiser = torch.optim.AdamW(heads, lr=WARM_RATE, betas=(0.9, 0.98), weight_decay=0.02)
        for step in range(self.plan.warm_steps):
            optimiser.param_groups[0]["lr"] = WARM_RATE * (1 - step / self.plan.warm_steps)
            loss = compute_bag_loss(self.model, stream.draw(QUESTIONS))
            loss.backward()
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        print(f"warmed up: bag loss {loss.item():.3f}", flush=True)
        with torch.no_grad():
            table = self.model.embedding.weight
            table.mul_(WARM_SCALE / table.std())
            table[self.encoder.list_template_ids()] *= 0.05
            self.model.begin_as_mean()
        self.mean = Averaged(self.model, self.plan.ema)

    def learn(self, questions: Batch, talks: Batch, progress: float) -> tuple[Tensor, ...]:
        """One step; returns the losses of the openings, the topics, the bags and the talks."""
        rate = self.plan.peak_rate * min(1.0, self.step / 100) * max(0.01, 1 - progress)
        is_gpu = self.device.type == "cuda"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=is_gpu):
            words, topics = compute_losses(self.model, questions, self.twins)
            bags = compute_bag_loss(self.model, questions)
            said, told = compute_losses(self.model, talks, self.twins)
        loss = words + self.plan.head_weight * topics + self.plan.bag_weight * bags
        loss = loss + self.plan.talk_weight * (said + self.plan.head_weight * told)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimiser.step(rate)
        self.mean.update(self.model)
        self.step += 1
        self.n_tokens += questions.n_tokens + talks.n_tokens
        return words, topics, bags, said

    def judge_known(self, stream: Stream) -> None:
        """Have phrasings that are not told yet drawn more often, all of them lightly roughened."""
        prompts = stream.take_roughened()
        if prompts is None:
            return
        self.mean.swap(self.model)
        chances = judge_all(self.model, prompts)
        self.mean.swap(self.model)
        stream.favour(chances)
        known = sum(chance > 0.5 for chance in chances) / max(1, len(chances))
        print(f"  known phrasings: {known:.3f} told", flush=True)

    def tell(self, losses: tuple[Tensor, ...], n_made: list[int]) -> None:
        """One line of progress."""
        left = self.plan.minutes - self.spent_s / 60
        speed = self.n_tokens / max(1e-9, self.spent_s)
        parts = zip(("openings", "topics", "bags", "talks"), losses, strict=True)
        told = "  ".join(f"{name} {loss.item():.3f}" for name, loss in parts)
        print(
            f"step {self.step:6d}  {self.n_tokens / 1e6:7.2f}M tokens  {speed:7.0f} tok/s  "
            f"{n_made[0]} and {n_made[1]} batches made  loss: {told}  {left:5.1f} min left",
            flush=True,
        )

    def keep(self) -> None:
        """Measure the averaged weights, and save them and the state."""
        self.mean.swap(self.model)
        score = probe(self.model, self.encoder, self.corpus, self.questions, self.topic_ids)
        print(
            f"  unseen phrasings: {score.right:.3f} right ({score.head_right:.3f} by the head), "
            f"{score.confidently_wrong:.3f} confidently wrong",
            flush=True,
        )
        self.best = max(self.best, score.right)
        facts = asdict(score) | {"step": self.step, "n_tokens": self.n_tokens}
        save_weights(self.model, self.work / "best.pt", facts)
        self.mean.swap(self.model)
        state = {
            "plan": asdict(self.plan), "model": self.model.state_dict(), "mean": self.mean.weights,
            "mean_steps": self.mean.steps, "optimiser": self.optimiser.state_dict(),
            "step": self.step, "n_tokens": self.n_tokens, "spent_s": self.spent_s,
            "best": self.best,
        }  # fmt: skip
        write_whole(state, self.work / "state.pt")

    def resume(self) -> None:
        """Go on from the saved state, where there is one of the same plan but its pace."""
        path = self.work / "state.pt"
        if not path.exists():
            return
        state = torch.load(path, weights_only=True)
        free = {"minutes", "sweep_minutes", "n_workers", "device", "begin"}
        if any(state["plan"].get(k) != v for k, v in asdict(self.plan).items() if k not in free):
            print("the saved state is of another plan: starting afresh")
            return
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.mean.weights, self.mean.steps = state["mean"], state["mean_steps"]
        self.step, self.n_tokens = state["step"], state["n_tokens"]
        self.spent_s, self.best = state["spent_s"], state["best"]
        print(f"resumed at step {self.step}, {self.spent_s / 60:.1f} min spent")


def choose_device(name: str) -> torch.device:
    """The device that is named; `auto` is a GPU where there is one."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def compute_losses(model: Llama, batch: Batch, twins: Tensor) -> tuple[Tensor, Tensor]:
    """Mean loss of the taught tokens, and of the topic at each decision.

    `twins` are the small letters of all capital twins: as the file has it, those are choices too.
    """
    hidden = model(batch.ids, batch.ends)
    if batch.ends is None:
        hidden = hidden.flatten(0, 1)
        taught, decided = hidden[batch.taught_at], hidden[batch.decided_at]
    else:
        taught = decided = hidden
    table = model.embedding.weight
    table = torch.cat((table, TWIN_LENGTH * table.index_select(0, twins)))
    scores = functional.linear(taught, table).float()
    each = functional.cross_entropy(scores, batch.targets, reduction="none")
    words = (each * batch.weights).sum() / batch.weights.sum()
    topics = functional.cross_entropy(
        model.topic_head(decided).float(), batch.topics, label_smoothing=0.05
    )
    return words, topics


def compute_bag_loss(model: Llama, batch: Batch) -> Tensor:
    """Mean loss of the topics told by a question's words alone."""
    scores = model.judge_bag(batch.bag_ids, batch.bag_starts)
    return functional.cross_entropy(scores, batch.bag_topics, label_smoothing=0.05)


class Optimisers:
    """Muon for the matrices of the layers, AdamW for embeddings, heads and norms."""

    def __init__(self, model: Llama, plan: Plan) -> None:
        named = list(model.named_parameters())
        matrices = [p for n, p in named if p.dim() == 2 and n.startswith("blocks.")]
        tables = [p for n, p in named if p.dim() == 2 and not n.startswith("blocks.")]
        vectors = [p for n, p in named if p.dim() != 2]
        groups: list[dict[str, Any]] = [
            {"params": tables, "weight_decay": plan.weight_decay},
            {"params": vectors, "weight_decay": 0.0},
        ]
        self.parts: list[torch.optim.Optimizer] = [
            torch.optim.AdamW(groups, lr=plan.peak_rate, betas=(0.9, 0.98), fused=True),
            Muon(matrices, lr=plan.peak_rate, weight_decay=plan.weight_decay),
        ]

    def step(self, rate: float) -> None:
        """One step of both at this rate, and gradients cleared."""
        for part in self.parts:
            for group in part.param_groups:
                group["lr"] = rate
            part.step()
            part.zero_grad(set_to_none=True)

    def state_dict(self) -> list[dict[str, Any]]:
        """State to resume from."""
        return [part.state_dict() for part in self.parts]

    def load_state_dict(self, states: list[dict[str, Any]]) -> None:
        """Go on from a saved state."""
        for part, state in zip(self.parts, states, strict=True):
            part.load_state_dict(state)


def prepare_tokenizer(corpus: Corpus, split: Split, work: Path, n_tokens: int) -> Encoder:
    """Load the run's tokenizer, or learn it from the phrasings trained on and the replies."""
    path = work / "tokenizer.json"
    if not path.exists():
        asks = [ask for group in split.train.values() for ask in group]
        texts = [*asks, *(" " + ask for ask in asks)]
        replies = [say for topic in corpus.topics.values() for say in topic.says]
        texts += [*replies, *["user\n", "assistant\n", "system\n"] * 200]
        openings = [find_opening_word(corpus.says_of(t)[0]) for t in corpus.answer_ids()]
        learnt = add_words(train_tokenizer(texts, n_tokens), openings)
        save_tokenizer(*add_cases(learnt, replies, asks), path)
    return Encoder.load(path)


def prepare_teacher(corpus: Corpus, split: Split, work: Path, topic_ids: list[str]) -> Teacher:
    """Load the run's judge of questions, or train it."""
    path, teacher = work / "teacher.pt", Teacher(topic_ids)
    if not teacher.load(path):
        teacher.learn(corpus, split, Random(SEED))
        teacher.save(path)
    return teacher


def save_weights(model: Llama, path: Path, facts: dict[str, Any]) -> None:
    """Weights with the shape they need and the figures they reached."""
    weights = {name: value.detach().cpu() for name, value in model.named_parameters()}
    write_whole({"shape": asdict(model.shape), "weights": weights, "facts": facts}, path)


def load_weights(path: Path) -> tuple[Llama, dict[str, Any]]:
    """The model of `save_weights`, ready to answer."""
    saved = torch.load(path, weights_only=True)
    model = Llama(Shape(**saved["shape"]))
    model.load_state_dict(saved["weights"], strict=False)
    return model.eval(), saved["facts"]


def write_whole(value: object, path: Path) -> None:
    """Save beside, then rename: a reader never sees half a file."""
    beside = path.with_suffix(".tmp")
    torch.save(value, beside)
    beside.replace(path)


def parse_plan() -> tuple[Plan, Path, Path]:
    """The command line: one option per field of `Plan`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, default=Path("corpus"))
    parser.add_argument("--work", type=Path, default=Path("work"))
    for name, value in asdict(Plan()).items():
        parser.add_argument("--" + name.replace("_", "-"), type=type(value), default=value)
    options = vars(parser.parse_args())
    return Plan(**{k: options[k] for k in asdict(Plan())}), options["corpus"], options["work"]


def main() -> None:
    """Check the corpus, then train."""
    plan, corpus_folder, work = parse_plan()
    corpus = read_corpus(corpus_folder)
    faults = find_faults(corpus)
    if faults:
        raise SystemExit("the corpus needs mending:\n" + "\n".join(faults))
    work.mkdir(parents=True, exist_ok=True)
    training = Training(corpus, work, plan)
    n_asks = sum(len(topic.asks) for topic in corpus.topics.values())
    n_weights = training.model.count_weights()
    print(f"{len(corpus.topics)} topics, {n_asks} phrasings, {n_weights / 1e6:.2f}M weights, "
          f"{math.ceil(plan.minutes)} min")  # fmt: skip
    (work / "plan.json").write_text(json.dumps(asdict(plan), indent=1))
    prepare_teacher(corpus, training.split, work, training.topic_ids)
    stream = Stream(
        (corpus_folder, work), (plan.n_question_tokens, plan.n_talk_tokens),
        plan.n_workers or count_workers(), SEED, training.device,
    )  # fmt: skip
    training.resume()
    training.run(stream)
    stream.close()


if __name__ == "__main__":
    main()
