"""The questions of the evaluation, made from what training never saw; the same every time.

Called by `evaluate`. Standard library only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING

from recipe import frames, murk, noise
from recipe.conversations import NOT_FOLLOWED, OFF_TOPIC, put_in_frame, roughen
from recipe.corpus import Corpus, CorpusError

if TYPE_CHECKING:
    from pathlib import Path

    from recipe.split import Split

UNTRAINED_SYSTEM_PROMPTS = (
    "You are a wise owl.",
    "You are a support agent of a bank. Be formal.",
    "Reply in the style of Shakespeare.",
    "You are a translator.",
)


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, after what, and which topics' words are a right answer."""

    ask: str
    right: frozenset[str]
    turns: tuple[tuple[str, str], ...] = ()
    system: str | None = None


@dataclass(frozen=True, slots=True)
class Exam:
    """A set of questions of one kind."""

    name: str
    told: str
    questions: list[Question] = field(default_factory=list)


def make_exams(corpus: Corpus, split: Split, blind: Path | None, size: int = 500) -> list[Exam]:
    """All exams; each has its own seed, so that one can change without the others."""
    maker = _Maker(corpus, split, size)
    exams = [
        maker.make_framed(),
        maker.make_unseen(),
        maker.make_typos(),
        maker.make_follows(trained=True),
        maker.make_follows(trained=False),
        maker.make_off_topic(),
        maker.make_murk(),
        maker.make_system(),
    ]
    if blind is not None and blind.exists():
        exams.append(Exam("blind", "questions by someone who had not seen the corpus",
                          read_blind(blind, corpus)))  # fmt: skip
    return exams


def read_blind(path: Path, corpus: Corpus) -> list[Question]:
    """Lines `question -> topic-id | other-id`; `#` opens a comment."""
    return [
        read_question(line, corpus, f"{path}:{number}")
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if line.strip() and not line.startswith("#")
    ]


def read_question(line: str, corpus: Corpus, where: str) -> Question:
    """One line `question -> topic-id | other-id`."""
    ask, arrow, wanted = line.rpartition("->")
    ids = [part.strip() for part in wanted.split("|")]
    unknown = [topic_id for topic_id in ids if topic_id not in corpus.topics]
    if not arrow or unknown:
        raise CorpusError(f"{where}: {unknown or line!r}")
    return Question(ask.strip(), frozenset(map(corpus.answer_of, ids)))


def read_dialogues(path: Path, corpus: Corpus) -> list[list[Question]]:
    """Conversations one after the other, a blank line between; lines as in `read_blind`."""
    dialogues: list[list[Question]] = []
    for block in re.split(r"\n\s*\n", path.read_text("utf-8")):
        questions = [
            read_question(line, corpus, str(path))
            for line in block.splitlines()
            if line.strip() and not line.startswith("#")
        ]
        if questions:
            dialogues.append(questions)
    return dialogues


class _Maker:
    def __init__(self, corpus: Corpus, split: Split, size: int) -> None:
        self.corpus, self.split, self.size = corpus, split, size
        special = (OFF_TOPIC, NOT_FOLLOWED)
        self.known = [
            (ask, topic_id)
            for topic_id, asks in split.train.items()
            if corpus.answer_of(topic_id) not in special
            for ask in asks
        ]

    def _ask(
        self,
        ask: str,
        topic_id: str,
        turns: tuple[tuple[str, str], ...] = (),
        system: str | None = None,
    ) -> Question:
        return Question(ask, frozenset({self.corpus.answer_of(topic_id)}), turns, system)

    def make_framed(self) -> Exam:
        rng = Random("frame")
        questions = [
            self._ask(put_in_frame(ask, rng.choice(frames.HELD_OUT)), topic_id)
            for ask, topic_id in rng.sample(self.known, min(self.size, len(self.known)))
        ]
        return Exam("unseen frame", "a known phrasing inside words never trained", questions)

    def make_unseen(self) -> Exam:
        questions = [
            self._ask(ask, topic_id)
            for topic_id, asks in self.split.report.items()
            if self.corpus.answer_of(topic_id) not in (OFF_TOPIC, NOT_FOLLOWED)
            for ask in asks
        ]
        return Exam("unseen phrasing", "phrasings kept back from training", questions)

    def make_typos(self) -> Exam:
        rng = Random("typos")
        questions = []
        for ask, topic_id in rng.sample(self.known, min(self.size, len(self.known))):
            text = noise.add_typos(ask, rng)
            text = noise.change_case(text, rng) if rng.random() < 0.5 else text
            questions.append(self._ask(text, topic_id))
        return Exam("typos and capitals", "known phrasings with slips and capitals", questions)

    def make_follows(self, *, trained: bool) -> Exam:
        rng = Random("follow")
        source = self.split.train_follows if trained else self.split.report_follows
        pairs = [
            (topic_id, follow)
            for topic_id, follows in source.items()
            for follow in follows
            if self.split.train[topic_id]
        ]
        if trained:
            pairs = rng.sample(pairs, min(self.size, len(pairs)))
        questions = []
        for topic_id, follow in pairs:
            first = roughen(rng.choice(self.split.train[topic_id]), rng)
            turns = [(first, self.corpus.says_of(topic_id)[0])]
            if rng.random() < 0.25:
                ask, before = rng.choice(self.known)
                turns.insert(0, (ask, self.corpus.says_of(before)[0]))
            ask = noise.add_typos(follow.text, rng) if rng.random() < 0.2 else follow.text
            ask = noise.change_case(ask, rng) if rng.random() < 0.3 else ask
            questions.append(self._ask(ask, follow.target, turns=tuple(turns)))
        if trained:
            return Exam("follow-up", "a follow-up after its topic", questions)
        return Exam("unseen follow-up", "follow-up wordings kept back", questions)

    def make_off_topic(self) -> Exam:
        both = frozenset({OFF_TOPIC, NOT_FOLLOWED})
        questions = [
            Question(ask, both)
            for topic_id, asks in self.split.report.items()
            if self.corpus.answer_of(topic_id) == OFF_TOPIC
            for ask in asks
        ]
        return Exam("off topic refused", "unseen questions about other things", questions)

    def make_murk(self) -> Exam:
        rng = Random("murk")
        asks = [*self.split.report[NOT_FOLLOWED]]
        real = [ask for ask, _ in self.known]
        asks += [murk.make_murk(rng, real) for _ in range(150)]
        both = frozenset({OFF_TOPIC, NOT_FOLLOWED})
        questions = [Question(ask, both) for ask in asks]
        return Exam("not to be followed", "mashed keys and lost ends", questions)

    def make_system(self) -> Exam:
        rng = Random("system")
        questions = [
            self._ask(ask, topic_id, system=rng.choice(UNTRAINED_SYSTEM_PROMPTS))
            for ask, topic_id in rng.sample(self.known, min(200, len(self.known)))
        ]
        return Exam("system prompt", "known phrasings under an untrained system prompt", questions)
