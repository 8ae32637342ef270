"""A repository's card as text: its Markdown without what only a browser would do.

Pure; called by `hub.py` on worker threads. What comes out is still a stranger's text: whoever shows
it reads no markup from it but Markdown, and loads nothing. HTML is dropped here for the eye's sake,
not for safety.
"""

import re
from typing import Final

MAX_BYTES: Final = 400_000
"""So much of a card is fetched; the longest that people write are half of that."""

_TAG: Final = re.compile(r"</?([A-Za-z][A-Za-z0-9]{0,20})(?:\s[^<>]{0,4000})?/?>")
_FENCE: Final = re.compile(r"^ {0,3}(`{3,}|~{3,})", re.MULTILINE)
_BREAKING: Final = frozenset(
    {
        "address", "article", "blockquote", "br", "center", "details", "div", "figure", "footer",
        "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "li", "ol", "p", "pre", "section",
        "summary", "table", "tr", "ul",
    }
)  # fmt: skip
_HIDDEN: Final = ("script", "style", "svg", "iframe", "template", "noscript")
_BLANKS: Final = re.compile(r"\n[ \t]*(?:\n[ \t]*){2,}")


def make_card_text(data: bytes) -> str:
    """A card's README as Markdown: without front matter, comments and HTML.

    `data` is at most `MAX_BYTES`; bytes that are no UTF-8 become U+FFFD.
    """
    text = data.decode("utf-8-sig", "replace").replace("\r\n", "\n").replace("\r", "\n")
    text = _drop_front_matter(text)
    pieces = []
    for piece, is_code in _split_fences(text):
        pieces.append(piece if is_code else _drop_html(piece))
    return _BLANKS.sub("\n\n", "".join(pieces)).strip()


def _drop_front_matter(text: str) -> str:
    """The YAML between two lines of dashes is for the hub, not for people."""
    if not text.startswith("---\n"):
        return text
    end = text.find("\n---", 3)
    if end < 0:
        return text
    line_end = text.find("\n", end + 1)
    return text[line_end + 1 :] if line_end >= 0 else ""


def _split_fences(text: str) -> list[tuple[str, bool]]:
    """The text in pieces, code blocks apart: what looks like HTML in them is meant to be seen."""
    pieces: list[tuple[str, bool]] = []
    begin, opened = 0, ""
    for match in _FENCE.finditer(text):
        mark = match[1]
        if not opened:
            pieces.append((text[begin : match.start()], False))
            begin, opened = match.start(), mark
        elif mark[0] == opened[0] and len(mark) >= len(opened):
            end = text.find("\n", match.end())
            end = len(text) if end < 0 else end
            pieces.append((text[begin:end], True))
            begin, opened = end, ""
    pieces.append((text[begin:], bool(opened)))
    return pieces


def _drop_html(text: str) -> str:
    if "<" in text:
        text = _cut_out(text, "<!--", "-->")
        for name in _HIDDEN:
            text = _cut_out(text, f"<{name}", f"</{name}>")
        text = _TAG.sub(_replace_tag, text)
    return text


def _cut_out(text: str, opening: str, closing: str) -> str:
    """Drop all from an opening to its closing; in one pass, whatever the text."""
    lower = text.lower()
    kept, begin = [], 0
    while (start := lower.find(opening, begin)) >= 0:
        kept.append(text[begin:start])
        end = lower.find(closing, start)
        if end < 0:
            begin = start
            break
        begin = end + len(closing)
    kept.append(text[begin:])
    return "".join(kept)


def _replace_tag(match: re.Match[str]) -> str:
    name, is_end = match[1].lower(), match[0].startswith("</")
    if name in {"b", "strong"}:
        return "**"
    if name in {"td", "th"}:
        return "" if not is_end else " · "
    if name == "code":
        return "`"
    if name == "li" and not is_end:
        return "\n- "
    if len(name) == 2 and name[0] == "h" and name[1].isdigit():
        return "\n\n" if is_end else f"\n\n{'#' * int(name[1])} "
    return "\n\n" if name in _BREAKING else ""
