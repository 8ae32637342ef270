"""Keeps half-arrived Markdown calm: what is undecided waits, what is open is closed. No Qt here.

Without it a reply flickers: a dash turns the line above into a heading until the list item's text
arrives, and two stars show until their partners come.
"""

import re
from typing import Final

_UNDECIDED: Final = re.compile(
    r"(?:\A|\n)(?:[ \t>]*(?:[-+*=#>_~`|\[\]: \t]{1,8}|\d{1,9}[.)]?[ \t]*)"
    r"| {0,3}(?:`{3,}|~{3,})[^\n]*)\Z"
)
_TABLE_START: Final = re.compile(r"(?:\A|\n)[ \t]*\|[^\n]*(?:\n[|\-: \t]*)?\Z")
_DELIMITER_ROW: Final = re.compile(
    r"^[ \t]*\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*\n", re.MULTILINE
)
_HALF_LINK: Final = re.compile(r"!?\[([^\[\]\n]{0,300})\]\([^()\n]{0,2000}\Z")
_LONE_MARK: Final = re.compile(r"(?:(?<=\s)|\A)[*_~`]{1,3}\Z")
_MARK: Final = re.compile(r"(?<!\\)(?:`+|\*\*|~~)")


def hold_back(text: str) -> str:
    """The text without a last line whose meaning the next characters decide."""
    if "|" in text and not _DELIMITER_ROW.search(text):
        text = _TABLE_START.sub("", text)
    return _UNDECIDED.sub("", text)


def heal(text: str) -> str:
    """The text with the emphasis, code or link that its last paragraph leaves open, closed."""
    start = text.rfind("\n\n") + 1
    last = _LONE_MARK.sub("", _HALF_LINK.sub(r"\1", text[start:]))
    if last.count("\n    ") or "```" in last:
        return text
    return text[:start] + _close_marks(last)


def _close_marks(text: str) -> str:
    open_marks: list[tuple[str, int]] = []
    for match in _MARK.finditer(text):
        mark = match.group()
        in_code = bool(open_marks) and open_marks[-1][0][0] == "`"
        if open_marks and open_marks[-1][0] == mark:
            open_marks.pop()
        elif not in_code:
            open_marks.append((mark, match.start()))
    if open_marks and open_marks[-1][0] in {"**", "~~"} and text[-1:] == open_marks[-1][0][0]:
        is_half = not text.endswith(open_marks[-1][0])
        text = text[:-1] if is_half else text
    for mark, position in reversed(open_marks):
        content = text[position + len(mark) :]
        if not content.strip():
            text = text[:position].rstrip(" ")
        elif mark[0] == "`" or not content[0].isspace():
            text = text.rstrip(" ") + mark
    return text
