"""What is shown of a text that matches a search: a few words around the match. Pure functions."""

import re
import unicodedata
from functools import lru_cache
from typing import Final

BEFORE: Final = 32
LENGTH: Final = 110
_WORD: Final = re.compile(r"[^\W_]+")

type Spans = tuple[tuple[int, int], ...]


def list_words(needle: str) -> tuple[str, ...]:
    """List the words of a search, as the index takes text apart."""
    return tuple(_WORD.findall(needle))


def fold(text: str) -> str:
    """Fold case and accents, one character for one, so that places stay where they are."""
    return "".join(map(_fold_character, text))


def cut_around_words(content: str, words: tuple[str, ...]) -> tuple[str, Spans]:
    """Cut a snippet around the first word that begins as searched; spans are whole words."""
    beginnings = "|".join(sorted(map(re.escape, {fold(w) for w in words}), key=len, reverse=True))
    return _cut(content, re.compile(rf"(?<![^\W_])(?:{beginnings})[^\W_]*"))


def cut_around_part(content: str, needle: str) -> tuple[str, Spans]:
    """Cut a snippet around the first place that holds the needle."""
    return _cut(content, re.compile(re.escape(fold(needle))))


def find_spans(shown: str, needle: str) -> Spans:
    """Find all places of the needle in a short text."""
    return _list_spans(fold(shown), re.compile(re.escape(fold(needle))))


def _cut(content: str, pattern: re.Pattern[str]) -> tuple[str, Spans]:
    folded = fold(content)
    found = pattern.search(folded)
    at = found.start() if found is not None else 0
    start = max(0, at - BEFORE)
    if start > 0:
        space = content.find(" ", start, at)
        start = start if space < 0 else space + 1
    end = min(len(content), start + LENGTH)
    head = "…" if start > 0 else ""
    tail = "…" if end < len(content) else ""
    shown = "".join(" " if c.isspace() else c for c in content[start:end])
    spans = _list_spans(folded[start:end], pattern)
    offset = len(head)
    return head + shown + tail, tuple((a + offset, b + offset) for a, b in spans)


def _list_spans(folded: str, pattern: re.Pattern[str]) -> Spans:
    return tuple((m.start(), m.end()) for m in pattern.finditer(folded) if m.end() > m.start())


@lru_cache(maxsize=4096)
def _fold_character(character: str) -> str:
    return unicodedata.normalize("NFD", character)[0].casefold()[0]
