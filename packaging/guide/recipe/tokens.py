"""The tokenizer: byte-level BPE trained on the corpus, with GPT-2's way of cutting words.

Called by training, conversion and verification.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from recipe.chatml import CONTROL_TOKENS, END, START

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from recipe.conversations import Conversation

OPENING = 4
"""Tokens at the head of a reply, where the topic is decided; the rest is known by heart."""
OPENING_WEIGHT = 3.0


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

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        tokenizer.encode_special_tokens = True  # control tokens in content stay text
        self.start = tokenizer.token_to_id(START)
        self.end = tokenizer.token_to_id(END)
        self._known: dict[str, list[int]] = {}
        self._newline = self.encode("\n")

    @classmethod
    def load(cls, path: Path) -> Encoder:
        """Read a tokenizer from its JSON file."""
        return cls(Tokenizer.from_file(str(path)))

    @property
    def size(self) -> int:
        """How many token ids there are."""
        return int(self._tokenizer.get_vocab_size())

    def encode(self, text: str) -> list[int]:
        """Ids of content."""
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def decode(self, ids: list[int]) -> str:
        """Text of ids, control tokens left out."""
        return str(self._tokenizer.decode(ids))

    def open_turn(self, role: str) -> list[int]:
        """`<|im_start|>role` and the line's end."""
        return [self.start, *self._encode_known(role + "\n")]

    def close_turn(self) -> list[int]:
        """`<|im_end|>` and the line's end."""
        return [self.end, *self._newline]

    def lay_out(self, conversation: Conversation, cut_tokens: int = 6) -> Sequence:
        """Ids of a whole conversation, marked for learning."""
        ids: list[int] = []
        taught: list[float] = []
        decisions: list[tuple[int, str]] = []
        questions: list[tuple[list[int], str]] = []
        if conversation.system is not None:
            ids += self.open_turn("system") + self._encode_known(conversation.system)
            ids += self.close_turn()
        taught += [0.0] * len(ids)
        for exchange in conversation.exchanges:
            content = self.encode(exchange.user)
            if content and not exchange.is_follow:
                questions.append((content, exchange.topic_id))
            prompt = self.lay_out_question(content)
            ids += prompt
            taught += [0.0] * len(prompt)
            decisions.append((len(ids) - 1, exchange.topic_id))
            reply = [*self._encode_known(exchange.reply), self.end]
            is_cut = conversation.is_cut and len(reply) > cut_tokens
            reply = reply[:cut_tokens] if is_cut else reply
            ids += reply
            taught += [OPENING_WEIGHT] * min(OPENING, len(reply)) + [1.0] * (len(reply) - OPENING)
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
