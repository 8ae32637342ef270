"""GBNF, llama.cpp's way to write grammars: from text to rules, or one sentence on what is wrong.

The format is that of grammars/README.md in llama.cpp, without its references to tokens. Nothing
here is native: what a person wrote is understood whole before any reply begins, and native code
never sees it. Pure; called on the prompt thread.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NoReturn

from inglenook.base.errors import EngineError

ROOT: Final = "root"
LIMIT_CHARACTERS: Final = 256 * 1024
LIMIT_REPETITIONS: Final = 65_536
LIMIT_DEPTH: Final = 32
_LIMIT_SIGNS: Final = 3
LAST_CODE_POINT: Final = 0x10FFFF

_SPACE = re.compile(r"(?:[ \t]|#[^\r\n]*)*")
_SPACE_AND_LINES = re.compile(r"(?:[ \t\r\n]|#[^\r\n]*)*")
_NAME = re.compile(r"[A-Za-z0-9_-]+")
_LITERAL = re.compile(r'"((?:[^"\\]|\\[\s\S])*)"')
_CLASS = re.compile(r"\[(\^?)((?:[^\]\\]|\\[\s\S])*)\]")
_COUNTS = re.compile(r"\{\s*(\d{1,9})\s*(?:(,)\s*(\d{0,9})\s*)?\}")
_CHARACTER = re.compile(r"\\(?:x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|([\s\S]))")
_LINE_END = re.compile(r"\r\n?|\n")
_ESCAPES: Final = {
    "t": "\t",
    "r": "\r",
    "n": "\n",
    "\\": "\\",
    '"': '"',
    "[": "[",
    "]": "]",
    "-": "-",
}
_SURROGATES: Final = (0xD800, 0xDFFF)

type Ranges = tuple[tuple[int, int], ...]
type Item = Literal | CharClass | Reference | Series | Choice | Repeat


@dataclass(frozen=True, slots=True)
class Literal:
    """This very text; it may be empty."""

    text: str


@dataclass(frozen=True, slots=True)
class CharClass:
    """One character of these ranges of code points: sorted, apart, none negated."""

    ranges: Ranges


@dataclass(frozen=True, slots=True)
class Reference:
    """What the rule of this name says."""

    name: str
    line: int


@dataclass(frozen=True, slots=True)
class Series:
    """One after the other."""

    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """One of these."""

    options: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """An item `low` to `high` times; `high` None is without end."""

    item: Item
    low: int
    high: int | None


@dataclass(frozen=True, slots=True)
class Rule:
    """A named rule and the line on which it begins."""

    name: str
    line: int
    body: Item


def parse_grammar(text: str, *, limit_characters: int = LIMIT_CHARACTERS) -> dict[str, Rule]:
    """All rules by name; `root` is among them and each name that is used is defined.

    Raises `EngineError` (bad_request) that names the line and the rule.
    """
    if len(text) > limit_characters:
        _refuse(f"The grammar is too long: {limit_characters:,} characters are the most.")
    if any(_SURROGATES[0] <= ord(c) <= _SURROGATES[1] for c in set(text)):
        _refuse("The grammar holds half a character, which no text can.")
    if not text.strip():
        _refuse("The grammar is empty.")
    rules = _Parser(text).parse()
    if ROOT not in rules:
        _refuse("The grammar has no rule named root, where a reply would begin.")
    for rule in rules.values():
        for reference in _list_references(rule.body):
            if reference.name not in rules:
                _refuse(
                    f'Line {reference.line} of the grammar: rule "{_short(rule.name)}" uses '
                    f'"{_short(reference.name)}", which is not defined.'
                )
    return rules


def merge_ranges(ranges: list[tuple[int, int]]) -> Ranges:
    """Sort ranges of code points and join those that touch."""
    merged: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], high))
        else:
            merged.append((low, high))
    return tuple(merged)


def negate_ranges(ranges: Ranges, *, first: int = 1) -> Ranges:
    """All other characters from `first` on; NUL is never meant, and surrogates are none."""
    others: list[tuple[int, int]] = []
    for low, high in merge_ranges([*ranges, _SURROGATES]):
        if low > first:
            others.append((first, low - 1))
        first = max(first, high + 1)
    if first <= LAST_CODE_POINT:
        others.append((first, LAST_CODE_POINT))
    return tuple(others)


class _Parser:
    """Reads one grammar from its beginning to its end."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._rule = ""
        self._line_of = (0, 1)

    def parse(self) -> dict[str, Rule]:
        rules: dict[str, Rule] = {}
        self._skip(lines=True)
        while self._at < len(self._text):
            rule = self._parse_rule()
            if rule.name in rules:
                self._fail(f"it was defined on line {rules[rule.name].line} already", rule.line)
            rules[rule.name] = rule
        return rules

    def _parse_rule(self) -> Rule:
        line = self._line()
        name = self._take(_NAME)
        if name is None:
            _refuse(
                f"Line {line} of the grammar: the name of a rule is expected, "
                f"but {self._describe_next()} stands there."
            )
        self._rule = name[0]
        self._skip(lines=False)
        if not self._text.startswith("::=", self._at):
            self._fail(f"::= is expected after the name, but {self._describe_next()} stands there")
        self._at += 3
        self._skip(lines=True)
        body = self._parse_choice(0)
        if self._at < len(self._text) and not self._take(_LINE_END):
            self._fail(f"{self._describe_next()} is not expected there")
        self._skip(lines=True)
        return Rule(name[0], line, body)

    def _parse_choice(self, depth: int) -> Item:
        options = [self._parse_series(depth)]
        while self._next() == "|":
            self._at += 1
            self._skip(lines=True)
            options.append(self._parse_series(depth))
        return options[0] if len(options) == 1 else Choice(tuple(options))

    def _parse_series(self, depth: int) -> Item:
        items: list[Item] = []
        n_signs = 0
        while True:
            character = self._next()
            if character in {"*", "+", "?", "{"}:
                if not items:
                    self._fail(f"{character} follows nothing that it could repeat")
                if n_signs == _LIMIT_SIGNS:
                    self._fail("too many signs of repetition follow each other")
                n_signs += 1
                items.append(self._parse_repeat(items.pop()))
            else:
                n_signs = 0
                item = self._parse_item(character, depth)
                if item is None:
                    return items[0] if len(items) == 1 else Series(tuple(items))
                items.append(item)
            self._skip(lines=depth > 0)

    def _parse_item(self, character: str, depth: int) -> Item | None:
        if character == '"':
            found = self._take(_LITERAL)
            if found is None:
                self._fail("a text in quotes does not end")
            text = "".join(chr(code) for code, _ in self._read_characters(found[1]))
            if "\0" in text:
                self._fail("NUL can be no part of a reply")
            return Literal(text)
        if character == "[":
            return self._parse_class()
        if character == ".":
            self._at += 1
            return CharClass(negate_ranges(()))
        if character == "(":
            return self._parse_group(depth)
        if character in {"<", "!"}:
            self._fail("references to tokens are not supported")
        line = self._line()
        name = self._take(_NAME)
        return None if name is None else Reference(name[0], line)

    def _parse_group(self, depth: int) -> Item:
        if depth >= LIMIT_DEPTH:
            self._fail(f"brackets may be nested {LIMIT_DEPTH} deep")
        self._at += 1
        self._skip(lines=True)
        item = self._parse_choice(depth + 1)
        if self._next() != ")":
            self._fail(f") is expected, but {self._describe_next()} stands there")
        self._at += 1
        # A group of one literal is repeated as a whole.
        return Series((item,))

    def _parse_class(self) -> Item:
        found = self._take(_CLASS)
        if found is None:
            self._fail("a class of characters in [ ] does not end")
        characters = list(self._read_characters(found[2]))
        ranges: list[tuple[int, int]] = []
        i = 0
        while i < len(characters):
            low = high = characters[i][0]
            if characters[i + 1 : i + 2] == [(ord("-"), False)] and i + 2 < len(characters):
                high = characters[i + 2][0]
                i += 2
            if low > high:
                self._fail(f"the range from {chr(low)!r} to {chr(high)!r} is the wrong way round")
            ranges.append((low, high))
            i += 1
        merged = merge_ranges(ranges)
        others = negate_ranges(merged)
        allowed = others if found[1] else negate_ranges(others)
        if not ranges or not allowed:
            self._fail("a class of characters in [ ] holds none")
        return CharClass(allowed)

    def _parse_repeat(self, item: Item) -> Item:
        character = self._next()
        if character != "{":
            self._at += 1
            return Repeat(item, int(character == "+"), 1 if character == "?" else None)
        found = self._take(_COUNTS)
        if found is None:
            self._fail("{ is expected to hold one number, or two with a comma between")
        low = int(found[1])
        high = low if found[2] is None else int(found[3]) if found[3] else None
        if max(low, high or 0) > LIMIT_REPETITIONS:
            self._fail(f"{LIMIT_REPETITIONS:,} repetitions are the most")
        if high is not None and high < low:
            self._fail(f"{low} to {high} repetitions are the wrong way round")
        return Repeat(item, low, high)

    def _read_characters(self, text: str) -> Iterator[tuple[int, bool]]:
        """Code points, and whether each was written as an escape."""
        at = 0
        while at < len(text):
            if text[at] != "\\":
                code, is_escaped, at = ord(text[at]), False, at + 1
            else:
                found = _CHARACTER.match(text, at)
                digits = found and (found[1] or found[2] or found[3])
                plain = found and found[4]
                if plain and plain not in _ESCAPES:
                    self._fail(f"the escape \\{plain} is not known")
                code = int(digits, 16) if digits else ord(_ESCAPES[plain or "\\"])
                is_escaped, at = True, found.end() if found else at + 1
            if code > LAST_CODE_POINT or _SURROGATES[0] <= code <= _SURROGATES[1]:
                self._fail(f"there is no character U+{code:04X} in a text")
            yield code, is_escaped

    # --- where it stands ---

    def _next(self) -> str:
        return self._text[self._at : self._at + 1]

    def _take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        found = pattern.match(self._text, self._at)
        if found is not None:
            self._at = found.end()
        return found

    def _skip(self, *, lines: bool) -> None:
        self._take(_SPACE_AND_LINES if lines else _SPACE)

    def _line(self) -> int:
        at, line = self._line_of
        line += self._text.count("\n", at, self._at)
        self._line_of = (self._at, line)
        return line

    def _describe_next(self) -> str:
        character = self._next()
        if not character:
            return "the end"
        return "the end of the line" if character in "\r\n" else repr(character)

    def _fail(self, problem: str, line: int = 0) -> NoReturn:
        _refuse(
            f'Line {line or self._line()} of the grammar, rule "{_short(self._rule)}": {problem}.'
        )


def _list_references(item: Item) -> Iterator[Reference]:
    todo = [item]
    while todo:
        match todo.pop():
            case Reference() as reference:
                yield reference
            case Series(items) | Choice(items):
                todo.extend(items)
            case Repeat(inner, _, _):
                todo.append(inner)
            case _:
                pass


def _short(name: str) -> str:
    return name if len(name) <= 40 else f"{name[:40]}..."


def _refuse(message: str) -> NoReturn:
    raise EngineError(message, "Correct the grammar.", code="bad_request")
