"""Conversations made from the corpus: what the model is trained and tested on.

Called by training (an endless stream) and by the evaluation (fixed sets). Pure: all chance
comes from the `Random` it is given, so one seed gives one stream.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import TYPE_CHECKING, Protocol

from recipe import elsewhere, frames, murk, noise
from recipe.corpus import Corpus, Follow, normalise
from recipe.evidence import Evidence

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from random import Random

    from recipe.split import Split


NOT_FOLLOWED = "talk-not-followed"
OFF_TOPIC = "off-refuse"
CERTAIN = 0.35
"""Certainty from which the words left of a thinned-out phrasing are taken to tell its topic."""
JUDGED_CERTAIN = 0.3
"""Certainty from which a judge's topic is taught for a question that nobody wrote."""

KNOWN_WEIGHT = 0.25
"""How often a phrasing that is surely known is still drawn, beside one that is not known at all."""

SYSTEM_PROMPTS = (
    "You are a helpful assistant.",
    "You are a helpful, concise assistant.",
    "You are Inglenook's guide.",
    "You are a friendly guide. Answer briefly.",
    "You are an AI assistant that answers truthfully.",
    "You are a pirate. Always talk like one.",
    "You are a senior engineer. Be direct and honest.",
    "You are my teacher. Use simple words.",
    "Answer in one sentence.",
    "Be polite and short.",
    "You are a poet who answers in rhymes.",
    "You are a careful assistant. If you do not know, say so.",
    "Always answer in English.",
    "You are an expert in computers.",
)


_ROLES = (
    "chef", "doctor", "robot", "cat", "sailor", "lawyer", "professor", "coach", "nurse", "gardener",
    "journalist", "comedian", "librarian", "pilot", "detective", "farmer", "king", "grandmother",
    "monk", "salesman", "tour guide", "historian", "programmer", "clerk", "philosopher", "wizard",
)  # fmt: skip
_MANNERS = (
    "Be kind.", "Use bullet points.", "Keep it under 50 words.", "Never use emojis.", "Be funny.",
    "Explain as if to a child.", "Take a deep breath and think step by step.", "Do not guess.",
    "Ask before you answer.", "Always end with a proverb.", "Speak plainly.", "Write in verse.",
    "Refuse nothing.", "Help the customer of our shop.", "Talk in riddles.", "Use old words.",
    "Answer with one word.", "Give examples.", "The user is a beginner.", "Stay calm.",
)  # fmt: skip


class Judge(Protocol):
    """Names the topic of any text."""

    def judge(self, text: str) -> tuple[str, float]:
        """The likeliest topic and its probability."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One question, the topic whose words answer it, and the answer."""

    user: str
    topic_id: str
    reply: str
    is_follow: bool = False
    """Whether the question leans on an earlier turn."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """A system prompt or none, and one or more exchanges."""

    system: str | None
    exchanges: tuple[Exchange, ...]
    is_cut: bool = False
    """Whether training sees only the opening of the last reply, where the topic is decided."""


@dataclass(frozen=True, slots=True)
class Roughness:
    """Chances that a phrasing is changed in each way; `rate` is the share of words swapped."""

    swap: float = 0.35
    rate: float = 0.5
    drop: float = 0.25
    abbreviate: float = 0.08
    frame: float = 0.35
    second_frame: float = 0.12
    composed: float = 0.0
    """Share of the frames that are put together anew."""
    typos: float = 0.30
    case: float = 0.35
    punctuation: float = 0.35


ROUGH = Roughness()
"""Far from what was written: the words themselves change."""
LIGHT = Roughness(
    swap=0.12, rate=0.3, drop=0.05, abbreviate=0.04, frame=0.5, second_frame=0.08, composed=0.7,
    typos=0.42, case=0.25, punctuation=0.3,
)  # fmt: skip
"""Near what was written: what surrounds the words, and slips in them."""


@dataclass(frozen=True, slots=True)
class Mix:
    """Shares of what the stream holds; the rest are single questions of one topic.

    `again` is a share of the turns of longer conversations that do not follow up; `hints` and
    `hazy` are shares of the questions on a topic; `cut` of all but long conversations; `elsewhere`
    of the off-topic questions, and `off_pieced` of the rest of them; `light` of the phrasings,
    roughened lightly. `pieced` needs a judge.
    """

    hints: float = 0.04
    hazy: float = 0.03
    murk: float = 0.04
    again: float = 0.25
    off_topic: float = 0.22
    elsewhere: float = 0.35
    off_pieced: float = 0.35
    pieced: float = 0.10
    light: float = 0.8
    multi_turn: float = 0.15
    long: float = 0.005
    cut: float = 0.92
    system: float = 0.06


class Pool:
    """Phrasings with their topics, drawn by weight."""

    def __init__(self, phrasings: Sequence[tuple[str, str]], weights: Sequence[float]) -> None:
        self.phrasings = list(phrasings)
        self._weights = list(weights)
        self._sums = list(accumulate(weights))

    def draw(self, rng: Random) -> tuple[str, str]:
        """One phrasing and its topic."""
        return rng.choices(self.phrasings, cum_weights=self._sums)[0]

    def favour(self, chances: Sequence[float]) -> None:
        """Draw what is not known yet more often; `chances` are those of the right topic."""
        self._sums = list(
            accumulate(
                weight * (KNOWN_WEIGHT + 1 - chance)
                for weight, chance in zip(self._weights, chances, strict=True)
            )
        )


class Generator:
    """An endless stream of training conversations."""

    def __init__(
        self,
        corpus: Corpus,
        split: Split,
        rng: Random,
        mix: Mix | None = None,
        judge: Judge | None = None,
    ) -> None:
        self.corpus = corpus
        self.judge = judge
        self.split = split
        self.rng = rng
        self.mix = mix or Mix()
        self._off_groups = [t for t in split.train if corpus.answer_of(t) == OFF_TOPIC]
        special = {*self._off_groups, NOT_FOLLOWED}
        self._topics = [t for t in split.train if t not in special and split.train[t]]
        self._weights = [len(split.train[t]) ** 0.75 for t in self._topics]
        self._phrasings = [ask for t in self._topics for ask in split.train[t]]
        weights = [
            w / len(split.train[t]) for t, w in zip(self._topics, self._weights, strict=True)
        ]
        self.known = Pool(
            [(ask, t) for t in self._topics for ask in split.train[t]],
            [w for t, w in zip(self._topics, weights, strict=True) for _ in split.train[t]],
        )
        off = [(ask, t) for t in self._off_groups for ask in split.train[t]]
        self.off_topic = Pool(off, [1.0] * len(off))
        self._lost_follows = find_lost_follows(split.train_follows)
        self._hints = collect_hints(corpus, split)
        by_answer: dict[str, list[str]] = {}
        for topic_id, asks in split.train.items():
            by_answer.setdefault(corpus.answer_of(topic_id), []).extend(asks)
        self._evidence = Evidence(by_answer)

    def draw(self) -> Conversation:
        """The next conversation."""
        rng, mix = self.rng, self.mix
        system = draw_system_prompt(rng) if rng.random() < mix.system else None
        kind = rng.random()
        if kind < mix.long:
            return Conversation(system, self._draw_exchanges(rng.randint(5, 12)))
        if kind < mix.long + mix.multi_turn:
            exchanges = self._draw_exchanges(rng.choice((2, 2, 2, 2, 3, 4)))
            return Conversation(system, exchanges, is_cut=rng.random() < mix.cut)
        return Conversation(system, (self._draw_exchange(),), is_cut=rng.random() < mix.cut)

    def _draw_topic(self) -> str:
        return self.rng.choices(self._topics, self._weights)[0]

    def _draw_exchange(self) -> Exchange:
        rng, mix, kind = self.rng, self.mix, self.rng.random()
        if kind < mix.murk:
            return self._answer(NOT_FOLLOWED, self._draw_murk())
        if kind < mix.murk + mix.off_topic and self.off_topic.phrasings:
            text = roughen(self._draw_off(), rng, self._draw_roughness(), is_off_topic=True)
            return self._answer(OFF_TOPIC, text)
        if self.judge is not None and rng.random() < mix.pieced:
            return self._draw_pieced(self.judge)
        if rng.random() < mix.hazy:
            return self._draw_hazy(self._draw_topic())
        ask, topic_id = self.known.draw(rng)
        return self._answer(topic_id, self._phrase(topic_id, ask))

    def _draw_off(self) -> str:
        if self.rng.random() < self.mix.elsewhere:
            return elsewhere.ask_elsewhere(self.rng)
        ask = self.off_topic.draw(self.rng)[0]
        if self.rng.random() < self.mix.off_pieced:
            return piece_together(ask, self.off_topic.draw(self.rng)[0], self.rng)
        return ask

    def _draw_roughness(self) -> Roughness:
        return LIGHT if self.rng.random() < self.mix.light else ROUGH

    def _draw_pieced(self, judge: Judge) -> Exchange:
        """A question of pieces, answered as the judge takes it, if it is sure."""
        topic_id = self._draw_topic()
        is_near = self.rng.random() < 0.6
        other = topic_id if is_near else self._draw_topic()
        first = self.rng.choice(self.split.train[topic_id])
        text = piece_together(first, self.rng.choice(self.split.train[other]), self.rng)
        text = roughen(text, self.rng) if self.rng.random() < 0.3 else text
        judged, certainty = judge.judge(text)
        return self._answer(judged if certainty > JUDGED_CERTAIN else NOT_FOLLOWED, text)

    def _draw_hazy(self, topic_id: str) -> Exchange:
        """A phrasing with words missing: its topic where they still tell it, else not followed."""
        ask = self.rng.choice(self.split.train[topic_id])
        thin = noise.drop_words(ask, self.rng, self.rng.uniform(0.2, 0.6))
        certainty, is_right = self._evidence.judge(thin, self.corpus.answer_of(topic_id), ask)
        is_told = is_right and certainty > CERTAIN
        return self._answer(topic_id if is_told or thin == ask else NOT_FOLLOWED, thin)

    def _phrase(self, topic_id: str, ask: str) -> str:
        rng, how = self.rng, self._draw_roughness()
        if rng.random() < self.mix.hints and self._hints.get(topic_id):
            ask = rng.choice(self._hints[topic_id])
        elif rng.random() < 0.04:
            ask = join_phrasings(ask, rng.choice(self.split.train[topic_id]), rng)
        return roughen(ask, rng, how)

    def _draw_murk(self) -> str:
        rng = self.rng
        asks = self.split.train.get(NOT_FOLLOWED, ())
        kind = rng.random()
        if asks and kind < 0.4:
            return roughen(rng.choice(asks), rng, keeps_words=True)
        if self._lost_follows and kind < 0.5:
            return rng.choice(self._lost_follows)
        return noise.change_punctuation(murk.make_murk(rng, self._phrasings), rng)

    def _answer(self, topic_id: str, user: str, *, is_follow: bool = False) -> Exchange:
        answer_id = self.corpus.answer_of(topic_id)
        return Exchange(user, answer_id, self.corpus.says_of(answer_id)[0], is_follow)

    def _reword(self, turns: Sequence[Exchange]) -> tuple[Exchange, ...]:
        """Give each topic's first wording when it first comes up, the next one when asked again.

        Chance would split a topic's probability among its wordings, and the likeliest first
        token would no longer belong to the likeliest topic.
        """
        counts: Counter[str] = Counter()
        reworded = []
        for turn in turns:
            says = self.corpus.says_of(turn.topic_id)
            reworded.append(replace(turn, reply=says[counts[turn.topic_id] % len(says)]))
            counts[turn.topic_id] += 1
        return tuple(reworded)

    def _draw_exchanges(self, n_turns: int) -> tuple[Exchange, ...]:
        """Turns that follow from each other where they can, or change the topic."""
        turns: list[Exchange] = []
        while len(turns) < n_turns:
            if turns and self.rng.random() < 0.72:
                follow = self._draw_follow(turns)
                if follow is not None:
                    turns.append(follow)
                    continue
            if turns and self.rng.random() < self.mix.again:
                turns.append(self._ask_again(turns))
                continue
            turns.append(self._draw_exchange())
        return self._reword(turns)

    def _ask_again(self, turns: Sequence[Exchange]) -> Exchange:
        """A question on a topic that was answered already."""
        topic_id = self.rng.choice(turns).topic_id
        if topic_id in (OFF_TOPIC, NOT_FOLLOWED):
            return self._draw_exchange()
        ask = self.rng.choice(self.split.train[topic_id])
        return self._answer(topic_id, self._phrase(topic_id, ask))

    def _draw_follow(self, turns: Sequence[Exchange]) -> Exchange | None:
        """A follow-up of the last topic, or of the one before it where it cannot be mistaken."""
        rng = self.rng
        choices = self.split.train_follows[turns[-1].topic_id]
        if len(turns) >= 2 and rng.random() < 0.25:
            own = {normalise(follow.text) for follow in choices}
            earlier = self.split.train_follows[turns[-2].topic_id]
            lost = set(map(normalise, self._lost_follows))
            choices = tuple(
                f for f in earlier if normalise(f.text) not in own and normalise(f.text) not in lost
            )
        if not choices:
            return None
        follow = rng.choice(choices)
        ask = roughen(follow.text, rng, keeps_words=True)
        return self._answer(follow.target, ask, is_follow=True)


def find_lost_follows(follows: Mapping[str, Sequence[Follow]]) -> list[str]:
    """Follow-ups that mean nothing without what came before: small words only."""
    return sorted(
        {
            follow.text
            for group in follows.values()
            for follow in group
            if all(murk.is_small(word) for word in follow.text.split())
        }
    )


def collect_hints(corpus: Corpus, split: Split) -> dict[str, list[str]]:
    """What also tells of a topic: its title, pieces of its answers, follow-ups that lead to it."""
    hints: dict[str, list[str]] = {}
    for topic_id in split.train:
        says = corpus.topics[topic_id].says
        pieces = [piece for say in says for piece in re.split(r"(?<=[.!?:;,])\s+", say)]
        hints[topic_id] = [corpus.topics[topic_id].title, *(p for p in pieces if p.count(" ") > 1)]
    for follows in split.train_follows.values():
        for follow in follows:
            if sum(not murk.is_small(word) for word in follow.text.split()) >= 2:
                hints[follow.target].append(follow.text)
    return hints


def draw_system_prompt(rng: Random) -> str:
    """One that people write, or a role and a manner put together."""
    if rng.random() < 0.4:
        return rng.choice(SYSTEM_PROMPTS)
    role = rng.choice(("You are a {}.", "Act as a {}.", "Answer like a {}.", "You're the best {}."))
    parts = [role.format(rng.choice(_ROLES)), rng.choice(_MANNERS), rng.choice(_MANNERS)]
    rng.shuffle(parts)
    return " ".join(parts[: rng.randint(1, 3)])


def piece_together(first: str, second: str, rng: Random) -> str:
    """A question that nobody wrote, of one phrasing's words, or of two."""
    left, right = first.split(), second.split()
    kind = rng.random()
    if kind < 0.5:
        begin, end = rng.randint(1, len(left)), rng.randint(0, len(right) - 1)
        return " ".join(left[:begin] + right[end:])
    if kind < 0.7:
        return noise.drop_words(first, rng, rng.uniform(0.2, 0.6))
    at = rng.randrange(len(left))
    left[at] = elsewhere.name_thing(rng) if kind < 0.85 else rng.choice(right)
    return " ".join(left)


def join_phrasings(first: str, second: str, rng: Random) -> str:
    """Two wordings of one question in one breath."""
    link = rng.choice((". ", ", ", " - ", "? ", ", i mean ", ", so ", ". "))
    return first.rstrip(" ?.!") + link + second


def put_in_frame(text: str, frame: str) -> str:
    """A phrasing inside words that do not change it."""
    return frame.format(text.rstrip() if frame.endswith("{}") else text.rstrip(" ?.!"))


def roughen(
    text: str,
    rng: Random,
    how: Roughness = ROUGH,
    *,
    keeps_words: bool = False,
    is_off_topic: bool = False,
) -> str:
    """A phrasing as somebody might really type it.

    `keeps_words` spares the words themselves (short follow-ups live by each of them);
    `is_off_topic` spares them from swaps into the app's own words.
    """
    if not keeps_words:
        if not is_off_topic and rng.random() < how.swap:
            text = noise.swap_synonyms(text, rng, how.rate)
        if rng.random() < how.drop:
            text = noise.drop_words(text, rng)
    if rng.random() < how.abbreviate:
        text = noise.abbreviate(text, rng)
    if rng.random() < how.frame:
        text = put_in_frame(text, draw_frame(rng, how))
        if rng.random() < how.second_frame:
            text = put_in_frame(text, draw_frame(rng, how))
    if rng.random() < how.typos:
        text = noise.add_typos(text, rng)
    if rng.random() < how.case:
        text = noise.change_case(text, rng)
    if rng.random() < how.punctuation:
        text = noise.change_punctuation(text, rng)
    return text.strip() or "?"


def draw_frame(rng: Random, how: Roughness) -> str:
    """A frame as it is written, or one put together."""
    if how.composed and rng.random() < how.composed:
        return frames.compose_frame(rng)
    return rng.choice(frames.TRAINED)
