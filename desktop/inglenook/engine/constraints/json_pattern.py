"""Regular expressions of JSON schemas as grammars of what stands inside a JSON string.

The part of ECMA-262's expressions that a grammar can hold to: characters, classes, groups,
alternatives, repetitions, and anchors around it all. Pure; called by `json_schema`.
"""

import re
from typing import Final, NoReturn

from inglenook.engine.constraints.grammar import Ranges, merge_ranges, negate_ranges

LIMIT_CHARACTERS: Final = 4096
_LIMIT_DEPTH: Final = 16
_LIMIT_REPETITIONS: Final = 4096

_COUNTS = re.compile(r"\{(\d{1,6})(?:(,)(\d{0,6}))?\}")
_CODE = re.compile(r"x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|u\{([0-9A-Fa-f]{1,6})\}")
_GROUP_NAME = re.compile(r"\?<[A-Za-z_]\w*>")
_DIGITS: Final = ((0x30, 0x39),)
_WORD: Final = ((0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A))
_SPACE: Final = ((0x09, 0x0D), (0x20, 0x20), (0xA0, 0xA0), (0x2028, 0x2029), (0x3000, 0x3000))
_LINE_ENDS: Final = ((0x0A, 0x0A), (0x0D, 0x0D), (0x2028, 0x2029))
_SHORTHANDS: Final[dict[str, Ranges]] = {
    "d": _DIGITS,
    "D": negate_ranges(_DIGITS),
    "w": _WORD,
    "W": negate_ranges(_WORD),
    "s": _SPACE,
    "S": negate_ranges(_SPACE),
}
_NAMED: Final = {"t": 0x09, "n": 0x0A, "v": 0x0B, "f": 0x0C, "r": 0x0D}
_ESCAPED: Final = {0x08: "\\b", 0x09: "\\t", 0x0A: "\\n", 0x0C: "\\f", 0x0D: "\\r"} | {
    0x22: '\\"',
    0x5C: "\\\\",
}
"""What JSON writes with a backslash."""


class PatternError(Exception):
    """What a grammar cannot hold to; the text says what."""


def write_pattern(pattern: object) -> str:
    """The grammar's expression; raises `PatternError`."""
    if not isinstance(pattern, str):
        raise PatternError("it must be a text")
    if len(pattern) > LIMIT_CHARACTERS:
        raise PatternError(f"it is too long, {LIMIT_CHARACTERS:,} characters are the most")
    return _Reader(pattern).read()


def quote(text: str) -> str:
    """A text as a literal of a grammar."""
    for plain, escaped in (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("\r", "\\r")):
        text = text.replace(plain, escaped)
    return f'"{text}"'


class _Reader:
    """Reads one expression from its beginning to its end."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0

    def read(self) -> str:
        options = []
        anything = f"({_write_ranges(negate_ranges(()))})*"
        while True:
            before = "" if self._skip("^") else anything
            body = self._read_series(0)
            after = "" if self._skip("$") else anything
            options.append(f"{before} {body} {after}")
            if not self._skip("|"):
                break
        if self._at < len(self._pattern):
            self._fail(f"{self._pattern[self._at]!r} is not expected there")
        return " | ".join(options)

    def _read_choice(self, depth: int) -> str:
        options = [self._read_series(depth)]
        while self._skip("|"):
            options.append(self._read_series(depth))
        return " | ".join(option or '""' for option in options)

    def _read_series(self, depth: int) -> str:
        items = []
        while self._at < len(self._pattern) and self._pattern[self._at] not in "|)":
            if self._pattern[self._at] == "$" and self._pattern[self._at + 1 :][:1] in {"", "|"}:
                if not depth:
                    break
                self._fail("$ can only stand at its end")
            items.append(self._read_item(depth))
        return " ".join(items) or '""'

    def _read_item(self, depth: int) -> str:
        character = self._take()
        match character:
            case "(":
                item = self._read_group(depth)
            case "[":
                item = _write_ranges(self._read_class())
            case ".":
                item = _write_ranges(negate_ranges(_LINE_ENDS))
            case "\\":
                item = _write_ranges(self._read_escape(is_in_class=False))
            case "^" | "$":
                self._fail(f"{character} can only stand at its beginning or end")
            case "*" | "+" | "?":
                self._fail(f"{character} follows nothing that it could repeat")
            case _:
                item = _write_ranges(((ord(character), ord(character)),))
        return self._read_repetition(item)

    def _read_group(self, depth: int) -> str:
        if depth >= _LIMIT_DEPTH:
            self._fail(f"groups may be nested {_LIMIT_DEPTH} deep")
        found = _GROUP_NAME.match(self._pattern, self._at)
        if found is not None:
            self._at = found.end()
        elif self._skip("?") and not self._skip(":"):
            self._fail("looking ahead or behind is not supported")
        body = self._read_choice(depth + 1)
        if not self._skip(")"):
            self._fail("a group does not end")
        return f"({body})"

    def _read_repetition(self, item: str) -> str:
        sign = self._pattern[self._at : self._at + 1]
        found = _COUNTS.match(self._pattern, self._at)
        if found is not None:
            self._at = found.end()
            if max(int(found[1]), int(found[3] or 0)) > _LIMIT_REPETITIONS:
                self._fail(f"{_LIMIT_REPETITIONS:,} repetitions are the most")
            sign = found[0]
        elif sign and sign in "*+?":
            self._at += 1
        else:
            return item
        self._skip("?")  # How eagerly it repeats makes no difference here.
        if self._pattern[self._at : self._at + 1] in {"*", "+", "{"}:
            self._fail("signs of repetition follow each other")
        return f"{item}{sign}"

    def _read_class(self) -> Ranges:
        is_negated = self._skip("^")
        ranges: list[tuple[int, int]] = []
        while not self._skip("]"):
            part = self._read_class_part()
            is_single = len(part) == 1 and part[0][0] == part[0][1]
            rest = self._pattern[self._at : self._at + 2]
            if is_single and len(rest) == 2 and rest[0] == "-" and rest[1] != "]":
                self._at += 1
                last = self._read_class_part()[0][1]
                if last < part[0][0]:
                    self._fail("a range is the wrong way round")
                part = ((part[0][0], last),)
            ranges += part
        merged = merge_ranges(ranges)
        return negate_ranges(merged) if is_negated else merged

    def _read_class_part(self) -> Ranges:
        character = self._take()
        if character == "\\":
            return self._read_escape(is_in_class=True)
        return ((ord(character), ord(character)),)

    def _read_escape(self, *, is_in_class: bool) -> Ranges:
        found = _CODE.match(self._pattern, self._at)
        if found is not None:
            self._at = found.end()
            code = int(found[1] or found[2] or found[3], 16)
            if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
                self._fail("it names half a character")
            return ((code, code),)
        character = self._take()
        if character in _SHORTHANDS:
            return _SHORTHANDS[character]
        code = 0x08 if character == "b" and is_in_class else _NAMED.get(character, ord(character))
        if character.isalnum() and code == ord(character):
            self._fail(f"\\{character} is not supported")
        return ((code, code),)

    def _take(self) -> str:
        if self._at >= len(self._pattern):
            self._fail("it ends too early")
        self._at += 1
        return self._pattern[self._at - 1]

    def _skip(self, text: str) -> bool:
        if not self._pattern.startswith(text, self._at):
            return False
        self._at += len(text)
        return True

    def _fail(self, problem: str) -> NoReturn:
        raise PatternError(f"at character {self._at}, {problem}")


def _write_ranges(ranges: Ranges) -> str:
    """Characters as JSON writes them: as they are, or with a backslash."""
    escaped = [text for code, text in _ESCAPED.items() if any(a <= code <= b for a, b in ranges)]
    never_plain = merge_ranges([(0, 0x1F), (0x22, 0x22), (0x5C, 0x5C)])
    plain = negate_ranges(merge_ranges([*negate_ranges(ranges), *never_plain]))
    options = [quote(text) for text in escaped]
    if plain:
        options.append(f"[{''.join(f'\\U{a:08X}-\\U{b:08X}' for a, b in plain)}]")
    if not options:
        raise PatternError("it asks for a character that no JSON text can hold plainly")
    return options[0] if len(options) == 1 else f"({' | '.join(options)})"
