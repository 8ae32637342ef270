"""The exams, sat by the GGUF file through llama.cpp: `python -m recipe.evaluate`.

Run by `run.sh` in an environment that has llama-cpp-python. Prints a table, writes the figures
as JSON for the card, and lists each miss, so that the corpus can grow where it is thin.
"""

from __future__ import annotations

import argparse
import difflib
import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path

from recipe.baseline import NearestPhrasing
from recipe.conversations import NOT_FOLLOWED, OFF_TOPIC
from recipe.corpus import Corpus, read_corpus
from recipe.exams import Exam, Question, make_exams, read_dialogues
from recipe.llama import GgufModel
from recipe.split import Split, split_corpus

REFUSALS = (OFF_TOPIC, NOT_FOLLOWED)
N_COMPARED = 6
"""Authored answers that a reply which is none word for word is held against, letter by letter."""


@dataclass(frozen=True, slots=True)
class Figure:
    """What one exam came to, as shares of its questions."""

    name: str
    told: str
    n_questions: int
    right: float
    confidently_wrong: float
    """Answered with another topic's words, not a refusal."""
    verbatim: float
    """Replies that are an authored answer word for word."""
    baseline: float | None
    """Right by the nearest phrasing; none where earlier turns decide."""


@dataclass(frozen=True, slots=True)
class Miss:
    """A question answered with another topic's words."""

    exam: str
    ask: str
    wanted: str
    got: str


def _share_words(first: Counter[str], second: Counter[str]) -> float:
    """Words in common as a share of all words."""
    return (first & second).total() / max(1, (first | second).total())


class Answers:
    """Tells which topic's words a reply is made of."""

    def __init__(self, corpus: Corpus) -> None:
        self._exact = {
            say: topic_id
            for topic_id in corpus.answer_ids()
            for say in corpus.topics[topic_id].says
        }
        self._words = {say: Counter(say.split()) for say in self._exact}

    def find(self, reply: str) -> tuple[str, bool]:
        """The topic, and whether the reply is word for word."""
        if reply in self._exact:
            return self._exact[reply], True
        words = Counter(reply.split())
        likely = sorted(self._exact, key=lambda say: -_share_words(words, self._words[say]))
        near = difflib.get_close_matches(reply, likely[:N_COMPARED], n=1, cutoff=0.0)
        return (self._exact[near[0]] if near else NOT_FOLLOWED), False


@dataclass(slots=True)
class Marks:
    """Counts of one exam while it is sat."""

    n: int = 0
    right: int = 0
    confident: int = 0
    verbatim: int = 0
    nearest: int = 0
    misses: list[Miss] = field(default_factory=list)

    def add(self, exam: str, question: Question, got: str, *, is_exact: bool) -> None:
        """Mark one reply."""
        self.n += 1
        self.verbatim += is_exact
        if got in question.right:
            self.right += 1
            return
        self.confident += got not in REFUSALS
        self.misses.append(Miss(exam, question.ask, "|".join(sorted(question.right)), got))

    def sum_up(self, name: str, told: str, *, has_turns: bool) -> Figure:
        """Counts as shares."""
        n = max(1, self.n)
        nearest = None if has_turns else self.nearest / n
        shares = (self.right / n, self.confident / n, self.verbatim / n, nearest)
        return Figure(name, told, self.n, *shares)


def sit(
    model: GgufModel, answers: Answers, exam: Exam, nearest: NearestPhrasing
) -> tuple[Figure, list[Miss]]:
    """Ask all questions of one exam."""
    prompts = [model.lay_out(q.system, list(q.turns), q.ask) for q in exam.questions]
    replies = [model.detokenize(ids) for ids in model.answer_all(prompts)]
    marks = Marks()
    for question, reply in zip(exam.questions, replies, strict=True):
        got, is_exact = answers.find(reply)
        marks.nearest += (nearest.find(question.ask) or NOT_FOLLOWED) in question.right
        marks.add(exam.name, question, got, is_exact=is_exact)
    has_turns = any(question.turns for question in exam.questions)
    return marks.sum_up(exam.name, exam.told, has_turns=has_turns), marks.misses


def sit_dialogues(
    model: GgufModel, answers: Answers, dialogues: list[list[Question]]
) -> tuple[Figure, list[Miss]]:
    """Hold whole conversations, the model's own replies as the earlier turns."""
    turns: list[list[tuple[str, str]]] = [[] for _ in dialogues]
    marks = Marks()
    for step in range(max(map(len, dialogues), default=0)):
        live = [i for i, dialogue in enumerate(dialogues) if len(dialogue) > step]
        prompts = [model.lay_out(None, turns[i], dialogues[i][step].ask) for i in live]
        for i, ids in zip(live, model.answer_all(prompts), strict=True):
            question, reply = dialogues[i][step], model.detokenize(ids)
            got, is_exact = answers.find(reply)
            turns[i].append((question.ask, reply))
            marks.add("dialogues", question, got, is_exact=is_exact)
    told = "turns of conversations by someone who had not seen the corpus"
    return marks.sum_up("dialogues", told, has_turns=True), marks.misses


def evaluate(
    gguf: Path, corpus: Corpus, split: Split, heldout: Path, n_threads: int
) -> tuple[list[Figure], list[Miss]]:
    """All exams, printed as they are done."""
    model = GgufModel(gguf, n_threads)
    answers = Answers(corpus)
    nearest = NearestPhrasing(
        (ask, corpus.answer_of(topic_id)) for topic_id, asks in split.train.items() for ask in asks
    )
    figures, misses = [], []
    for exam in make_exams(corpus, split, heldout / "blind.txt"):
        figure, missed = sit(model, answers, exam, nearest)
        print(tell(figure), flush=True)
        figures.append(figure)
        misses += missed
    if (heldout / "dialogues.txt").exists():
        figure, missed = sit_dialogues(
            model, answers, read_dialogues(heldout / "dialogues.txt", corpus)
        )
        print(tell(figure), flush=True)
        figures.append(figure)
        misses += missed
    model.close()
    return figures, misses


def tell(figure: Figure) -> str:
    """One line for the terminal."""
    baseline = "   -" if figure.baseline is None else f"{figure.baseline:.2f}"
    return (
        f"{figure.name:20s} {figure.n_questions:5d} asked  {figure.right:.3f} right  "
        f"{figure.confidently_wrong:.3f} confidently wrong  {figure.verbatim:.2f} word for word  "
        f"nearest phrasing {baseline}"
    )


def main() -> None:
    """Evaluate a file and write figures and misses."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gguf", type=Path, required=True)
    parser.add_argument("--corpus", type=Path, default=Path("corpus"))
    parser.add_argument("--heldout", type=Path, default=Path("heldout"))
    parser.add_argument("--work", type=Path, default=Path("work"))
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    corpus = read_corpus(options.corpus)
    figures, misses = evaluate(
        options.gguf, corpus, split_corpus(corpus), options.heldout, options.threads
    )
    report = {"figures": [asdict(f) for f in figures], "misses": [asdict(m) for m in misses]}
    (options.work / "figures.json").write_text(json.dumps(report, indent=1, ensure_ascii=False))
    pairs = Counter((miss.wanted, miss.got) for miss in misses)
    print("most often mistaken:")
    for (wanted, got), count in pairs.most_common(15):
        print(f"  {count:3d}  {wanted} answered as {got}")


if __name__ == "__main__":
    main()
