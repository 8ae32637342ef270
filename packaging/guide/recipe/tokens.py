"""The tokenizer: byte-level BPE trained on the corpus, with GPT-2's way of cutting words.

Called by training, conversion and verification.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from recipe.chatml import CONTROL_TOKENS, END, START

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from random import Random

    from recipe.conversations import Conversation

OPENING_WEIGHTS = (8.0, 2.0, 1.0)
REST_WEIGHT = 0.4
"""How much the tokens at the head of a reply count, where the topic is decided, and the rest,
which is known by heart."""
SPACE = "\u0120"
"""How byte-level BPE writes a space."""
COMMON = 12
"""So often a token stands in the questions for it to have twins in capitals."""
LOOSE_SHARE = 0.25
"""Share of the questions in training whose words are cut into smaller pieces by chance."""
LOOSE_DROPOUT = 0.15
"""Chance that a merge of pieces is left out there (BPE dropout, Provilkov et al. 2020)."""


def train_tokenizer(texts: Iterable[str], n_tokens: int) -> Tokenizer:
    """Learn `n_tokens` pieces, control tokens and the 256 bytes among them."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=n_tokens,
        special_tokens=list(CONTROL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def add_words(tokenizer: Tokenizer, words: Iterable[str]) -> Tokenizer:
    """The same tokenizer with these words as tokens of their own, after all that it learnt.

    A reply that opens with a token of its topic's own is decided in one step.
    """
    facts = json.loads(tokenizer.to_str())
    vocabulary, merges = facts["model"]["vocab"], facts["model"]["merges"]
    known = {tuple(merge) for merge in merges}
    for word in words:
        pieces = tokenizer.encode(word).tokens
        while len(pieces) > 1:
            merge = pieces[0], pieces[1]
            pieces = ["".join(merge), *pieces[2:]]
            vocabulary.setdefault(pieces[0], len(vocabulary))
            if merge not in known:
                known.add(merge)
                merges.append(list(merge))
    return Tokenizer.from_str(json.dumps(facts))


def add_cases(
    tokenizer: Tokenizer, replies: Iterable[str], asks: Iterable[str]
) -> tuple[Tokenizer, int]:
    """The same tokenizer with twins `Delete` and `DELETE` of what is common in questions.

    Each merge of small letters is followed by its twins, so that a word is cut alike however it
    is typed. Also returns the number of tokens that have weights of their own: twins that stand in
    a reply count among them, for there capitals mean something; the others follow at the end.
    """
    facts = json.loads(tokenizer.to_str())
    own = sorted(facts["model"]["vocab"], key=facts["model"]["vocab"].__getitem__)
    small = [(first, second) for first, second in facts["model"]["merges"]]
    merges = _add_twins(small, set(own))

    def number(tokens: Iterable[str]) -> Tokenizer:
        names = dict.fromkeys(tokens)
        kept = [merge for merge in merges if names.keys() >= {*merge, "".join(merge)}]
        facts["model"]["merges"] = [list(merge) for merge in kept]
        facts["model"]["vocab"] = {token: index for index, token in enumerate(names)}
        return Tokenizer.from_str(json.dumps(facts))

    twins = [name for merge in merges if (name := "".join(merge)) not in set(own)]
    used = {t for e in number([*own, *twins]).encode_batch(list(replies)) for t in e.tokens}
    own += sorted(used.difference(own))
    counts = Counter(t for e in tokenizer.encode_batch(list(asks)) for t in e.tokens)
    kept = {name for name in twins if counts[find_small(name)] >= COMMON}.union(own)
    for merge in reversed(merges):  # what a twin is made of comes with it
        if "".join(merge) in kept:
            kept.update(merge)
    return number([*own, *(name for name in twins if name in kept)]), len(own)


def _add_twins(merges: Iterable[tuple[str, str]], known: set[str]) -> dict[tuple[str, str], None]:
    """The merges, each followed by its twins as far as what those are made of is there."""
    with_twins: dict[tuple[str, str], None] = {}
    for first, second in merges:
        with_twins.setdefault((first, second))
        for twin in _list_twins(first, second):
            if twin[0] in known and twin[1] in known:
                known.add("".join(twin))
                with_twins.setdefault(twin)
    return with_twins


def save_tokenizer(tokenizer: Tokenizer, size: int, path: Path) -> None:
    """Write a tokenizer and the number of its tokens that have weights of their own."""
    saved = {"size": size, "tokenizer": json.loads(tokenizer.to_str())}
    path.write_text(json.dumps(saved, ensure_ascii=False), "utf-8")


def _list_twins(first: str, second: str) -> list[tuple[str, str]]:
    """A merge of small letters with all letters or only the first one as capitals."""
    bare = first.lstrip(SPACE)
    whole = bare + second
    if not whole.isascii() or whole != whole.lower() or whole == whole.upper():
        return []
    space = first[: len(first) - len(bare)]
    upper = space + bare.upper(), second.upper()
    if bare:
        title = space + bare[:1].upper() + bare[1:], second
    else:
        title = space, second[:1].upper() + second[1:]
    return [upper] if upper == title else [upper, title]


def find_small(token: str) -> str:
    """The token of small letters whose capital twin this one is."""
    bare = token.lstrip(SPACE)
    return token[: len(token) - len(bare)] + bare.lower()


@dataclass(frozen=True, slots=True)
class Sequence:
    """Token ids of a conversation and what is learnt from them."""

    ids: list[int]
    taught: list[float]
    """How much the token at this place counts in the loss; nought for what is not learnt."""
    decisions: list[tuple[int, str]]
    """Places whose next token opens a reply, with the topic that must be known there."""
    questions: list[tuple[list[int], str]]
    """Ids of each question that stands by itself, with its topic."""


class Encoder:
    """Lays conversations out as token ids; content never yields control tokens."""

    def __init__(self, tokenizer: Tokenizer, size: int | None = None) -> None:
        """`size` is the number of its own tokens, where capital twins follow them."""
        self._tokenizer = tokenizer
        tokenizer.encode_special_tokens = True  # control tokens in content stay text
        vocabulary = tokenizer.get_vocab()
        self.size = size or len(vocabulary)
        """How many token ids there are, capital twins left out."""
        self.small_of = list(range(self.size)) + [0] * (len(vocabulary) - self.size)
        """For each id that of its small letters: itself, but for capital twins."""
        for token, index in vocabulary.items():
            if index >= self.size:
                self.small_of[index] = vocabulary[find_small(token)]
        self._loose = Tokenizer.from_str(tokenizer.to_str())
        self._loose.encode_special_tokens = True
        self._loose.model.dropout = LOOSE_DROPOUT
        self.start = tokenizer.token_to_id(START)
        self.end = tokenizer.token_to_id(END)
        self._known: dict[str, list[int]] = {}
        self._newline = self.encode("\n")

    @classmethod
    def load(cls, path: Path) -> Encoder:
        """Read what `save_tokenizer` wrote."""
        saved = json.loads(path.read_text("utf-8"))
        return cls(Tokenizer.from_str(json.dumps(saved["tokenizer"])), saved["size"])

    def encode(self, text: str) -> list[int]:
        """Ids of content, capital twins as their small letters."""
        return [self.small_of[i] for i in self.encode_cased(text)]

    def encode_cased(self, text: str) -> list[int]:
        """Ids of content as the shipped file cuts it, capital twins among them."""
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def decode(self, ids: list[int]) -> str:
        """Text of ids, control tokens left out."""
        return str(self._tokenizer.decode(ids))

    def list_template_ids(self) -> list[int]:
        """Ids that lay a conversation out."""
        turns = self.lay_out_question([]) + self.open_turn("system")
        return sorted({*turns, *self.close_turn()})

    def open_turn(self, role: str) -> list[int]:
        """`<|im_start|>role` and the line's end."""
        return [self.start, *self._encode_known(role + "\n")]

    def close_turn(self) -> list[int]:
        """`<|im_end|>` and the line's end."""
        return [self.end, *self._newline]

    def encode_loosely(self, text: str) -> list[int]:
        """Ids of content in smaller pieces than usual, as words with slips in them come."""
        ids = self._loose.encode(text, add_special_tokens=False).ids
        return [self.small_of[i] for i in ids]

    def lay_out(
        self, conversation: Conversation, cut_tokens: int = 1, rng: Random | None = None
    ) -> Sequence:
        """Ids of a whole conversation, marked for learning; with `rng`, some cut loosely."""
        ids: list[int] = []
        taught: list[float] = []
        decisions: list[tuple[int, str]] = []
        questions: list[tuple[list[int], str]] = []
        if conversation.system is not None:
            ids += self.open_turn("system") + self._encode_known(conversation.system)
            ids += self.close_turn()
        taught += [0.0] * len(ids)
        for exchange in conversation.exchanges:
            is_loose = rng is not None and rng.random() < LOOSE_SHARE
            content = (self.encode_loosely if is_loose else self.encode)(exchange.user)
            if content and not exchange.is_follow:
                questions.append((content, exchange.topic_id))
            prompt = self.lay_out_question(content)
            ids += prompt
            taught += [0.0] * len(prompt)
            decisions.append((len(ids) - 1, exchange.topic_id))
            reply = [*self._encode_known(exchange.reply), self.end]
            is_last = exchange is conversation.exchanges[-1]
            is_cut = conversation.is_cut and is_last and len(reply) > cut_tokens
            reply = reply[:cut_tokens] if is_cut else reply
            ids += reply
            taught += [*OPENING_WEIGHTS, *[REST_WEIGHT] * len(reply)][: len(reply)]
            if not is_cut:
                ids += self._newline
                taught += [0.0] * len(self._newline)
        return Sequence(ids, taught, decisions, questions)

    def lay_out_question(self, content: list[int]) -> list[int]:
        """Ids of one user turn and the opening of the reply."""
        question = self.open_turn("user") + content
        return question + self.close_turn() + self.open_turn("assistant")

    def lay_out_prompt(
        self, system: str | None, turns: list[tuple[str, str]], ask: str
    ) -> list[int]:
        """Ids of earlier (question, reply) turns and a last question, ready to be answered."""
        ids: list[int] = []
        if system is not None:
            ids += self.open_turn("system") + self.encode(system) + self.close_turn()
        for user, reply in turns:
            ids += self.lay_out_question(self.encode(user))
            ids += self.encode(reply) + self.close_turn()
        return ids + self.lay_out_question(self.encode(ask))

    def _encode_known(self, text: str) -> list[int]:
        ids = self._known.get(text)
        if ids is None:
            ids = self._known[text] = self.encode(text)
        return ids
