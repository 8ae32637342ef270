"""Finds out how a model reasons: its marks, whether a switch turns it off, how a prompt ends.

All of it is read from the chat template, from what the template renders, and from the vocabulary;
nothing is known by a model's name. Used by `prompt` when a model was loaded and for every prompt;
`parts` then splits the reply.

Sources of the marks: the chat templates that llama.cpp keeps in `models/templates`, and OpenAI's
description of the harmony format.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Literal

from inglenook.engine.llama import Vocab
from inglenook.engine.parts import Begins, Marks, wrap_control

type Variables = tuple[tuple[str, bool | int | str], ...]
"""What a template is told beside the messages: names with values."""
type RenderWith = Callable[[Variables], str | None]
"""Renders one short question with variables; None where the template refuses."""
type Kind = Literal["none", "always", "switchable"]


@dataclass(frozen=True, slots=True)
class Family:
    """The marks of one kind of template, as a reply spells them.

    `openings` and `closings` as in `Marks`, canonical ones first. `opens`, `closes` and `answers`
    are what is put into a prompt: to begin reasoning, to go from there to the answer, and to begin
    an answer without reasoning.
    """

    openings: tuple[str, ...]
    closings: tuple[str, ...]
    opens: str
    closes: str
    answers: str = ""
    answer_openings: tuple[str, ...] = ()
    answer_closings: tuple[str, ...] = ()
    reopens: bool = False


def _make_channels(start: str) -> Family:
    """OpenAI's harmony: a reply is a row of messages, each in a channel."""
    reasoning, final = "<|channel|>analysis<|message|>", "<|channel|>final<|message|>"
    preamble = "<|channel|>commentary<|message|>"
    return Family(
        openings=(reasoning, start + reasoning),
        closings=("<|end|>",),
        opens=reasoning,
        closes=f"<|end|>{start}{final}",
        answers=final,
        answer_openings=(final, start + final, preamble, start + preamble),
        reopens=True,
    )


_HARMONY: Final = _make_channels("<|start|>assistant")
_SOLAR: Final = Family(
    openings=("<|think|>", "<|begin|>assistant<|think|>"),
    closings=("<|end|>",),
    opens="<|think|>",
    closes="<|end|><|begin|>assistant<|content|>",
    answers="<|content|>",
    answer_openings=("<|content|>", "<|begin|>assistant<|content|>"),
)
_GEMMA: Final = Family(
    openings=("<|channel>thought",),
    closings=("<channel|>",),
    opens="<|channel>thought\n",
    closes="\n<channel|>",
)
_FINAL_RESPONSE: Final = Family(
    openings=("Here are my reasoning steps:",),
    closings=("[BEGIN FINAL RESPONSE]",),
    opens="Here are my reasoning steps:\n",
    closes="\n[BEGIN FINAL RESPONSE]\n",
    answer_closings=("[END FINAL RESPONSE]",),
)
_PAIRS: Final = (
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("[THINK]", "[/THINK]"),
    ("<|inner_prefix|>", "<|inner_suffix|>"),
)
_SPELLED: Final = (
    ("<|channel|>analysis<|message|>", _HARMONY),
    ("<|begin|>assistant<|think|>", _SOLAR),
    ("<|channel>thought", _GEMMA),
    ("[BEGIN FINAL RESPONSE]", _FINAL_RESPONSE),
)
_TAG: Final = re.compile(r"</?((?:[\w.-]+:)?think(?:ing)?(?::[\w.-]+)?)>")
_RESPONSE: Final = "<response></response>"

_SWITCHES: Final[tuple[tuple[str, bool | int | str, bool | int | str], ...]] = (
    ("enable_thinking", True, False),
    ("thinking", True, False),
    ("thinking_mode", "enabled", "disabled"),
    ("thinking_budget", -1, 0),
    ("reasoning_effort", "high", "none"),
    ("reasoning_effort", "high", "no_think"),
    ("reasoning_effort", "high", "minimal"),
)
"""Variables by which templates turn reasoning on and off, in the order in which they are tried."""


@dataclass(frozen=True, slots=True)
class Reasoning:
    """How one loaded model reasons; `family` is None where nothing says that it does.

    `is_usual` says whether it does so where nothing is said; `on` and `off` are the variables that
    turn it on and off, empty where nothing does.
    """

    kind: Kind = "none"
    is_usual: bool = False
    family: Family | None = None
    marks: Marks | None = None
    on: Variables = ()
    off: Variables = ()
    closing_tokens: tuple[int, ...] = ()

    def choose_variables(self, thinks: bool | None) -> Variables:
        """What the template is told when a reply shall, or shall not, begin with reasoning."""
        if thinks is None:
            return ()
        return self.on if thinks else self.off

    def judge_end(self, prompt: str) -> Begins:
        """Whether a rendered prompt has opened the reasoning; "answer" means that it closed it."""
        end = prompt.rstrip()
        if self.family is not None and end.endswith(self.family.openings):
            return "reasoning"
        if self.family is not None and end.endswith(self.family.closings):
            return "answer"
        return "unknown"

    def find_end(self, prompt: str) -> str:
        """The marks at a rendered prompt's end, which a later prompt will not hold there."""
        if self.family is None or self.judge_end(prompt) == "unknown":
            return ""
        opening, closing = map(re.escape, (self.family.openings[0], self.family.closings[0]))
        found = re.search(rf"(?:{opening}\s*)?(?:{closing}\s*)?$", prompt)
        return found[0] if found is not None else ""

    def join_reply(self, prompt: str, thought: str, said: str) -> str:
        """What follows a rendered prompt when a reply goes on: what it holds, with its marks."""
        family, end = self.family, self.judge_end(prompt)
        if family is None:
            return said
        if thought and end != "answer":
            opens = "" if end == "reasoning" else family.opens
            return opens + thought + (family.closes + said if said else "")
        if not said:
            return ""
        return (family.closes if end == "reasoning" else family.answers) + said


def study_reasoning(template: str, vocab: Vocab, render: RenderWith) -> Reasoning:
    """Find out how a model with this template reasons. On the worker's thread."""
    plain = render(()) or ""
    on, off = _find_switch(template, render)
    texts = [template, plain, *(render(v) or "" for v in (on, off) if v)]
    family = _find_family("\n".join(texts))
    kind: Kind = "none"
    if family is not None:
        kind = "switchable" if on else "always"
        family = _learn_spacing(family, texts)
    elif _has_token(vocab, "<think>") and _has_token(vocab, "</think>"):
        family = _make_tag("think")
    if family is None:
        return Reasoning()
    made = Reasoning(
        kind=kind,
        family=family,
        marks=_make_marks(family, vocab),
        on=on,
        off=off,
        closing_tokens=tuple(_tokenize(vocab, family.closes)),
    )
    is_usual = kind == "always" or (
        kind == "switchable" and plain != render(off) and made.judge_end(plain) != "answer"
    )
    return replace(made, is_usual=is_usual)


# --- marks ---


def _find_family(text: str) -> Family | None:
    """Which marks a template and its renders spell."""
    for spelling, family in _SPELLED:
        if spelling in text:
            return family
    tags = _TAG.findall(text)
    if tags:
        # A template may name a tag in passing; the one that it works with stands there more often.
        family = _make_tag(max(sorted(set(tags)), key=tags.count))
        if _RESPONSE in text:
            return replace(
                family,
                answers="<response>",
                answer_openings=("<response>",),
                answer_closings=("</response>",),
            )
        return family
    for opening, closing in _PAIRS:
        if opening in text and closing in text:
            return Family((opening,), (closing,), opens=opening, closes=closing)
    return None


def _make_tag(name: str) -> Family:
    opening, closing = f"<{name}>", f"</{name}>"
    return Family((opening,), (closing,), f"{opening}\n", f"\n{closing}\n\n")


def _learn_spacing(family: Family, texts: list[str]) -> Family:
    """Put the marks as the template does: with the white space that it has around them."""
    opening, closing = re.escape(family.openings[0]), re.escape(family.closings[0])
    for text in texts[1:]:
        if found := re.search(rf"(?:{opening}(\s*))?{closing}(\s*)$", text):
            inner, after = found[1] or "", found[2]
            half = (len(inner) + 1) // 2  # With nothing between them, two line breaks may be one.
            opens = family.openings[0] + (inner[:half] or _find_space_after(opening, texts))
            closes = inner[len(inner) - half :] + family.closings[0] + after
            return replace(family, opens=opens, closes=closes)
    return family


def _find_space_after(opening: str, texts: list[str]) -> str:
    found = (re.search(rf"{opening}(\s*)$", text) for text in texts[1:])
    return next((match[1] for match in found if match), "")


def _make_marks(family: Family, vocab: Vocab) -> Marks:
    """The family's marks as the stream sees them, with their control tokens."""
    controls: dict[int, str] = {}

    def spell(text: str) -> str:
        spelled, data = "", b""
        for token in _tokenize(vocab, text):
            piece = vocab.piece(token)
            if piece:
                data += piece
                continue
            controls[token] = vocab.text(token)
            spelled += data.decode("utf-8", "replace") + wrap_control(vocab.text(token))
            data = b""
        return spelled + data.decode("utf-8", "replace")

    def spell_all(texts: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(map(spell, texts))

    return Marks(
        openings=spell_all(family.openings),
        closings=spell_all(family.closings),
        answer_openings=spell_all(family.answer_openings),
        answer_closings=spell_all(family.answer_closings),
        reopens=family.reopens,
        controls=controls,
    )


def _tokenize(vocab: Vocab, text: str) -> list[int]:
    """Tokens of marks; SentencePiece's space at a text's beginning is no part of them."""
    tokens = vocab.tokenize(text.encode(), add_special=False, parse_special=True)
    if vocab.is_spm and tokens:
        before = vocab.tokenize(b"\n", add_special=False, parse_special=True)
        longer = vocab.tokenize(b"\n" + text.encode(), add_special=False, parse_special=True)
        if longer[: len(before)] == before:
            return longer[len(before) :]
    return tokens


def _has_token(vocab: Vocab, text: str) -> bool:
    tokens = vocab.tokenize(text.encode(), add_special=False, parse_special=True)
    return len(tokens) == 1 and vocab.text(tokens[0]) == text


# --- the switch ---


def _find_switch(template: str, render: RenderWith) -> tuple[Variables, Variables]:
    """The variables that turn reasoning on and off; both empty where no render shows a difference.

    Several names are one switch in some templates, which want only one of them.
    """
    for name, value_on, value_off in _SWITCHES:
        if not re.search(rf"\b{name}\b", template):
            continue
        on, off = ((name, value_on),), ((name, value_off),)
        with_on, with_off = render(on), render(off)
        if with_on is None or with_off is None or with_on == with_off:
            continue
        if name == "reasoning_effort" and not _is_turned_off(with_on, with_off):
            continue  # A lower effort is not none.
        return on, off
    return (), ()


def _is_turned_off(with_on: str, with_off: str) -> bool:
    """Whether one prompt ends with reasoning that is closed already, and the other does not."""
    on, off = with_on.rstrip(), with_off.rstrip()
    family = _find_family(f"{on}\n{off}")
    return family is not None and off.endswith(family.closings) and not on.endswith(family.closings)
