"""Splits a reply, token by token, into its reasoning and its answer.

`ReplyStream` follows the marks of the model's template (`reasoning`). Marks may be control tokens,
whose bytes are empty, or plain text spread over tokens; so a control token that belongs to a mark
is written into the text between two lone surrogates, which no model's bytes can spell, and both
kinds are then found in one text. A mark opens reasoning only where the reply begins: what an answer
shows as code stays answer.

Used by the scheduler on the worker's thread; pure.
"""

import codecs
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from inglenook.engine.protocol import Part
from inglenook.engine.text import StopFilter, count_overlap

type Begins = Literal["unknown", "reasoning", "answer"]
"""What the first token of a reply belongs to, as far as its prompt decides that."""

_WRAPPED: Final = re.compile("\ud800[^\udbff]*\udbff")


def wrap_control(text: str) -> str:
    """Write a control token so that no plain text can be taken for it."""
    return f"\ud800{text}\udbff"


@dataclass(frozen=True, slots=True)
class Marks:
    """What reasoning stands between in a model's replies; control tokens are wrapped.

    `controls` are the control tokens of the marks by their ids. `answer_openings` may stand before
    the answer and `answer_closings` after it. With `reopens`, reasoning may come again after it was
    closed, and after the answer was: the reply is a row of messages.
    """

    openings: tuple[str, ...]
    closings: tuple[str, ...]
    answer_openings: tuple[str, ...] = ()
    answer_closings: tuple[str, ...] = ()
    reopens: bool = False
    controls: Mapping[int, str] = field(default_factory=dict)


_NO_MARKS: Final = Marks((), ())


class ReplyStream:
    """The text of one reply in its parts, each piece as soon as it is certain.

    Stop texts count in the answer alone. White space around reasoning belongs to the marks.
    `n_reasoning` counts the tokens of reasoning, marks included, and may begin above 0.
    """

    def __init__(
        self,
        stops: Sequence[str] = (),
        marks: Marks | None = None,
        *,
        begins: Begins = "unknown",
        n_reasoning: int = 0,
    ) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._filter = StopFilter(stops)
        self._marks = marks or _NO_MARKS
        self._phase: Literal["opening", "reasoning", "answer"] = "opening"
        if begins != "unknown" or marks is None:
            self._phase = "reasoning" if begins == "reasoning" else "answer"
        self._held = ""
        self._was_closed = False
        self._is_first = marks is not None and n_reasoning == 0
        self._n_told = {"reasoning": n_reasoning, "answer": 0}
        self._n_undecided = 0
        self.n_reasoning = n_reasoning

    @property
    def is_stopped(self) -> bool:
        """Whether a stop text came; nothing comes after it."""
        return self._filter.is_stopped

    @property
    def part(self) -> Part:
        """What the next token belongs to, as far as is known."""
        return "reasoning" if self._phase == "reasoning" else "answer"

    def opens_reasoning(self, token: int, piece: bytes) -> bool:
        """Whether this token would by itself open reasoning here, where the reply begins."""
        marks = self._marks
        if (
            self._phase != "opening"
            or self._held.strip()
            or (self._was_closed and not marks.reopens)
        ):
            return False
        mark = marks.controls.get(token)
        text = piece.decode("utf-8", "replace").strip() if mark is None else wrap_control(mark)
        return text in marks.openings

    @property
    def is_between_characters(self) -> bool:
        """Whether no character is half there."""
        return not self._decoder.getstate()[0]

    def feed(self, token: int, piece: bytes) -> list[tuple[Part, str]]:
        """Take the next token with its bytes; returns what is certain now, often nothing."""
        if self.is_stopped:
            return []
        was_reasoning, was_opening = self._phase == "reasoning", self._phase == "opening"
        mark = self._marks.controls.get(token)
        if mark is not None:
            text = self._decoder.decode(b"", final=True) + wrap_control(mark)
        else:
            text = self._decoder.decode(piece)
        told = self._split(text)
        self._count(was_reasoning=was_reasoning, was_opening=was_opening)
        return told

    def finish(self, *, is_whole: bool = True) -> list[tuple[Part, str]]:
        """The reply ended: what is left.

        What is cut in half, a character or a mark, is dropped unless the model ended there itself.
        """
        if self.is_stopped:
            return []
        told = self._split(self._decoder.decode(b"", final=True)) if is_whole else []
        rest, self._held = self._held, ""
        if self._phase == "reasoning":
            told += self._tell_reasoning(rest.rstrip() if is_whole else rest)
        elif is_whole or self._phase == "answer":
            told += self._tell_answer(rest.lstrip() if self._was_closed else rest)
        last = self._filter.finish()
        return [*told, ("answer", last)] if last else told

    # --- the phases ---

    def _split(self, text: str) -> list[tuple[Part, str]]:
        told: list[tuple[Part, str]] = []
        text, self._held = self._held + text, ""
        while text:
            match self._phase:
                case "opening":
                    text = self._open(text)
                case "reasoning":
                    text = self._reason(text, told)
                case "answer":
                    text = self._answer(text, told)
        return told

    def _open(self, text: str) -> str:
        """At a beginning: which part it is; returns the text that is left to look at."""
        marks, bare = self._marks, text.lstrip()
        openings = marks.openings if marks.reopens or not self._was_closed else ()
        for opening in openings:
            if bare.startswith(opening):
                self._phase, self._is_first = "reasoning", True
                return bare[len(opening) :]
        for opening in marks.answer_openings:
            if bare.startswith(opening):
                self._phase, self._is_first = "answer", True
                return bare[len(opening) :]
        if any(mark.startswith(bare) for mark in (*openings, *marks.answer_openings)) or not bare:
            self._held = text
            return ""
        self._phase, self._is_first = "answer", self._was_closed
        return text

    def _reason(self, text: str, told: list[tuple[Part, str]]) -> str:
        closings = self._marks.closings
        at, closing = _find_first(text, closings)
        if closing:
            told += self._tell_reasoning(text[:at].rstrip())
            self._phase, self._was_closed = "opening", True
            return text[at + len(closing) :]
        n_shown = len(text) - count_overlap(text, closings)
        n_shown = len(text[:n_shown].rstrip())
        told += self._tell_reasoning(text[:n_shown])
        self._held = text[n_shown:]
        return ""

    def _answer(self, text: str, told: list[tuple[Part, str]]) -> str:
        marks = self._marks
        ends = (*marks.answer_closings, *(marks.closings if marks.reopens else ()))
        at, end = _find_first(text, ends)
        if end:
            told += self._tell_answer(text[:at])
            if end in marks.closings:
                self._phase, self._was_closed = "opening", True
            return text[at + len(end) :]
        n_shown = len(text) - count_overlap(text, ends)
        told += self._tell_answer(text[:n_shown])
        self._held = text[n_shown:]
        return ""

    def _tell_reasoning(self, text: str) -> list[tuple[Part, str]]:
        text = self._begin("reasoning", text)
        return [("reasoning", text)] if text else []

    def _tell_answer(self, text: str) -> list[tuple[Part, str]]:
        text = self._filter.feed(self._begin("answer", text))
        return [("answer", text)] if text else []

    def _begin(self, part: Part, text: str) -> str:
        """Take marks out, and white space at a part's beginning; set parts of one kind apart."""
        if self._marks.controls:
            text = _WRAPPED.sub("", text)
        if self._is_first and (text := text.lstrip()):
            self._is_first = False
            text = f"\n\n{text}" if self._n_told[part] else text
        self._n_told[part] += len(text)
        return text

    def _count(self, *, was_reasoning: bool, was_opening: bool) -> None:
        if was_opening:
            self._n_undecided += 1
        if self._phase == "opening":
            # A closing mark that has just come is reasoning still.
            self.n_reasoning += was_reasoning
            return
        if was_reasoning or self._phase == "reasoning":
            self.n_reasoning += self._n_undecided if was_opening else 1
        self._n_undecided = 0


def _find_first(text: str, marks: Sequence[str]) -> tuple[int, str]:
    """Where the first of the marks stands, and which one it is; an empty mark where none does."""
    found = [(at, mark) for mark in marks if (at := text.find(mark)) >= 0]
    return min(found, key=lambda one: (one[0], -len(one[1])), default=(-1, ""))
