"""Topics as people wrote them: reads `corpus/<area>/<topic-id>.txt` and checks it.

Called by every other part of the recipe and by the tests. Standard library only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

TOPIC_ID = re.compile(r"^[a-z0-9]+(-[a-z0-9]+)*$")
SECTIONS = ("ask", "say", "follow")


class CorpusError(ValueError):
    """A corpus file breaks the format; the message names the file and what to mend."""


@dataclass(frozen=True, slots=True)
class Follow:
    """A short utterance that only makes sense after a topic, and the topic that answers it."""

    text: str
    target: str


@dataclass(frozen=True, slots=True)
class Topic:
    """One thing the guide can speak of: how people ask, what it says, what they ask next."""

    id: str
    area: str
    title: str
    asks: tuple[str, ...]
    says: tuple[str, ...]
    follows: tuple[Follow, ...]
    answers: str | None = None
    """Another topic whose words answer this one's questions (groups of off-topic questions)."""


@dataclass(frozen=True, slots=True)
class Corpus:
    """All topics by id, in the order of their ids."""

    topics: dict[str, Topic]

    def answer_of(self, topic_id: str) -> str:
        """The topic whose words answer this one's questions: itself, unless it points on."""
        seen = {topic_id}
        while (further := self.topics[topic_id].answers) in self.topics and further not in seen:
            topic_id = further
            seen.add(further)
        return topic_id

    def answer_ids(self) -> list[str]:
        """Ids of the topics that have words of their own."""
        return [topic.id for topic in self.topics.values() if topic.answers is None]

    def says_of(self, topic_id: str) -> tuple[str, ...]:
        """The wordings that answer a question of this topic."""
        return self.topics[self.answer_of(topic_id)].says

    def members_of(self, answer_id: str) -> list[Topic]:
        """The topics that this one's words answer, itself first."""
        others = [t for t in self.topics.values() if self.answer_of(t.id) == answer_id]
        return sorted(others, key=lambda topic: topic.id != answer_id)

    def followers_of(self, topic_id: str) -> tuple[Follow, ...]:
        """What people say next after this topic's answer, from all topics that share it.

        Where two of them send the same words to different answers, the first has it.
        """
        follows: dict[str, Follow] = {}
        for topic in self.members_of(self.answer_of(topic_id)):
            for follow in topic.follows:
                follows.setdefault(normalise(follow.text), follow)
        return tuple(follows.values())


@dataclass(slots=True)
class _Draft:
    headers: dict[str, str] = field(default_factory=dict)
    asks: list[str] = field(default_factory=list)
    says: list[list[str]] = field(default_factory=list)
    follows: list[str] = field(default_factory=list)
    section: str = ""


def normalise(text: str) -> str:
    """Lower case, words and the marks that name keys: what makes two phrasings the same."""
    return " ".join(re.findall(r"\w+|[?<>+\u2039\u203a]|(?<=[ +])[-,=./](?=$|\s)", text.lower()))


def find_opening_word(reply: str) -> str:
    """The first word of a reply, or the mark before it."""
    found = re.match(r"\w+|\S", reply)
    return found.group(0) if found else ""


def read_corpus(folder: Path) -> Corpus:
    """Read every topic below `folder`. Raises `CorpusError` for what cannot be read."""
    topics: dict[str, Topic] = {}
    for path in sorted(folder.glob("*/*.txt")):
        topic = read_topic(path)
        if topic.id in topics:
            raise CorpusError(f"{path}: the id {topic.id} is used twice")
        topics[topic.id] = topic
    if not topics:
        raise CorpusError(f"{folder}: no topics found")
    return Corpus(dict(sorted(topics.items())))


def read_topic(path: Path) -> Topic:
    """Read one topic file; its name is the topic's id, its folder the area."""
    if not TOPIC_ID.match(path.stem):
        raise CorpusError(f"{path}: topic ids are lower-case words joined by dashes")
    draft = _Draft()
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        _take_line(draft, line.rstrip(), f"{path}:{number}")
    if "title" not in draft.headers:
        raise CorpusError(f"{path}: has no title")
    return Topic(
        id=path.stem,
        area=path.parent.name,
        title=draft.headers["title"],
        asks=tuple(dict.fromkeys(draft.asks)),
        says=tuple(text for lines in draft.says if (text := "\n".join(lines).strip())),
        follows=tuple(_read_follow(line, path) for line in draft.follows),
        answers=draft.headers.get("answers"),
    )


def _take_line(draft: _Draft, line: str, where: str) -> None:
    if line.startswith("== "):
        draft.section = line[3:].strip()
        if draft.section not in SECTIONS:
            raise CorpusError(f"{where}: unknown section {draft.section!r}")
        if draft.section == "say":
            draft.says.append([])
    elif draft.section == "say":
        draft.says[-1].append(line)
    elif not line.strip():
        return
    elif draft.section == "ask":
        draft.asks.append(line.strip())
    elif draft.section == "follow":
        draft.follows.append(line)
    else:
        key, colon, value = line.partition(":")
        if not colon or key not in ("title", "answers"):
            raise CorpusError(f"{where}: expected 'title: ...' or 'answers: ...'")
        draft.headers[key] = value.strip()


def _read_follow(line: str, path: Path) -> Follow:
    text, arrow, target = line.rpartition("->")
    if not arrow or not text.strip() or not target.strip():
        raise CorpusError(f"{path}: a follow-up reads 'words -> topic-id', got {line!r}")
    return Follow(text.strip(), target.strip())


def find_faults(corpus: Corpus, min_asks: int = 0) -> list[str]:
    """What breaks the rules of the corpus, one sentence each; empty when all is well."""
    faults: list[str] = []
    owners: dict[str, str] = {}
    openings: dict[str, str] = {}
    for topic in corpus.topics.values():
        if len(topic.asks) < min_asks:
            faults.append(f"{topic.id}: {len(topic.asks)} phrasings, {min_asks} wanted")
        faults += _find_answer_faults(corpus, topic)
        word = find_opening_word(topic.says[0]) if topic.says else topic.id
        if openings.setdefault(word, topic.id) != topic.id:
            faults.append(
                f"{topic.id}: its answer opens with {word!r}, as that of {openings[word]}"
            )
        for ask in topic.asks:
            key = normalise(ask) or ask
            owner = owners.setdefault(key, topic.id)
            if corpus.answer_of(owner) != corpus.answer_of(topic.id):
                faults.append(f"{topic.id}: {ask!r} is also asked by {owner}")
    return faults


def _find_answer_faults(corpus: Corpus, topic: Topic) -> list[str]:
    faults = []
    if topic.answers is None and not topic.says:
        faults.append(f"{topic.id}: says nothing")
    last = corpus.topics[corpus.answer_of(topic.id)]
    if topic.answers in corpus.topics and last.answers in corpus.topics:
        faults.append(f"{topic.id}: its answer leads round in a circle")
    if topic.answers is not None and topic.answers not in corpus.topics:
        faults.append(f"{topic.id}: is answered by {topic.answers}, which does not exist")
    faults += [
        f"{topic.id}: {follow.text!r} leads to {follow.target}, which does not exist"
        for follow in topic.follows
        if follow.target not in corpus.topics
    ]
    return faults
