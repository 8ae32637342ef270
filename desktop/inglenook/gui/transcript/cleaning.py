"""Makes any text safe to lay out and honest to look at, before Qt sees it. No Qt here.

Called for every text that a model or a person wrote, on the window's thread.
"""

import re
from typing import Final

RUN_LIMIT: Final = 2000
"""Longest run without a break that is laid out as one; Qt's layout cost grows with its square."""

_CONTROLS: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufdd0\ufdd1\ufffc\ufffe\uffff]"
)
_HIDDEN: Final = re.compile("[\u202a-\u202e\u2066-\u2069\u2060-\u2064\ufeff\u061c]")
_TAGS: Final = re.compile("(?<![\U0001f3f4\U000e0020-\U000e007f])[\U000e0000-\U000e007f]+")
_MARKS: Final = re.compile(
    "([\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u20d0-\u20f0]{8})[\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u20d0-\u20f0]+"
)
_LONG_RUN: Final = re.compile(rf"[^\n\u2028]{{{RUN_LIMIT + 1}}}")


def clean_text(text: str) -> str:
    """The text with line ends unified and everything invisible made visible.

    Control characters become U+FFFD. Characters that reorder or hide text (bidirectional
    overrides, tags outside flags) become their code point in angles, so that what is shown is
    what would be copied. More than eight stacked accents are cut.
    """
    if text.isascii() and text.isprintable():
        return text
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\u2029", "\n")
    text = _CONTROLS.sub("\ufffd", text)
    if text.isascii():
        return text
    text = _HIDDEN.sub(lambda match: f"\u2039U+{ord(match.group()):04X}\u203a", text)
    text = _TAGS.sub(lambda match: f"\u2039{len(match.group())} hidden characters\u203a", text)
    return _MARKS.sub(r"\1", text)


def split_long(text: str, limit: int = RUN_LIMIT) -> list[str]:
    """Pieces of at most `limit` characters, cut at a space where there is one near the end."""
    if len(text) <= limit:
        return [text]
    pieces = []
    start = 0
    while len(text) - start > limit:
        end = start + limit
        space = text.rfind(" ", start + limit // 2, end)
        end = space + 1 if space >= 0 else end
        pieces.append(text[start:end])
        start = end
    pieces.append(text[start:])
    return pieces


def break_lines(text: str) -> tuple[list[str], set[int]]:
    """Lines that are short enough to lay out, and the indices of those that only continue."""
    if not _LONG_RUN.search(text):
        return text.split("\n"), set()
    lines: list[str] = []
    continued: set[int] = set()
    for line in text.split("\n"):
        pieces = split_long(line)
        continued.update(range(len(lines) + 1, len(lines) + len(pieces)))
        lines.extend(pieces)
    return lines, continued
