"""Reads Markdown (CommonMark, tables, strikethrough, task lists) into our records. No Qt here.

Raw HTML is text, pictures become their description, links that may not be opened become text
with their target beside them. Called by `stream` on the window's thread, always with little text.
"""

import re
from collections.abc import Iterator, MutableMapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Final, override

from markdown_it import MarkdownIt
from markdown_it.token import Token

from inglenook.gui.transcript.blocks import (
    BOX_DONE,
    BOX_OPEN,
    BULLET,
    Alignment,
    Code,
    Container,
    Gap,
    Line,
    Piece,
    Span,
    Spans,
    Table,
)
from inglenook.gui.transcript.cleaning import RUN_LIMIT, split_long
from inglenook.gui.transcript.links import find_addresses, is_openable

ROW_LIMIT: Final = 100
COLUMN_LIMIT: Final = 24
CELL_LIMIT: Final = 600
"""Characters of one table cell that are shown."""
NESTING_LIMIT: Final = 60
BRACKET_LIMIT: Final = 6

_DEEP: Final = re.compile(
    r"^(?:[ \t]*(?:>|[-+*][ \t]|\d{1,9}[.)][ \t])){12}|^[ \t]{60}", re.MULTILINE
)
_BRACKET: Final = re.compile(r"(?<!\\)[\[\]]")


@dataclass(frozen=True, slots=True)
class Parsed:
    """Pieces of a text, and the line at which its last top-level block starts."""

    pieces: tuple[Piece, ...]
    stable_pieces: int
    """How many of the pieces come before the last top-level block."""
    last_line: int


class _Reader(MarkdownIt):
    """Leaves it to us which addresses may be opened: none is dropped while it reads."""

    @override
    def validateLink(self, url: str) -> bool:
        return True


class Parser:
    """A Markdown reader; holds the link definitions seen so far in one reply."""

    def __init__(self) -> None:
        self._full = _make_reader()
        self._without_links = _make_reader()
        self._without_links.disable(["link", "image"])
        self._environment: MutableMapping[str, Any] = {}

    def parse(self, text: str) -> Parsed:
        """Read a text from a top-level block's start to its end."""
        if _DEEP.search(text):
            return Parsed(tuple(read_plain(text)), 0, 0)
        reader = self._without_links if count_open(text) > BRACKET_LIMIT else self._full
        tokens = reader.parse(text, self._environment)
        last = 0
        for index, token in enumerate(tokens):
            if token.level == 0 and token.nesting >= 0:
                last = index
        walker = _Walker()
        before = [*walker.walk(tokens[:last])]
        after = [*walker.walk(tokens[last:])]
        lines = tokens[last].map if tokens else None
        last_line = lines[0] if lines else 0
        return Parsed((*before, *after), len(before), last_line)


def _make_reader() -> MarkdownIt:
    reader = _Reader("commonmark", {"html": False, "maxNesting": NESTING_LIMIT})
    reader.enable(["table", "strikethrough"])
    reader.disable(["html_block", "html_inline"])
    return reader


def count_open(text: str) -> int:
    """The most square brackets that stand open at one place; each doubles the parser's cost."""
    depth = most = 0
    for bracket in _BRACKET.findall(text):
        depth = depth + 1 if bracket == "[" else max(0, depth - 1)
        most = max(most, depth)
    return most


def read_plain(text: str) -> Iterator[Piece]:
    """A text as it stands, one line per line: for what is nested beyond reason."""
    for index, line in enumerate(text.strip("\n").split("\n")):
        for part, piece in enumerate(split_long(line)):
            yield Line((Span(piece),), gap="none" if index or part else "block", continues=part > 0)


class _Walker:
    """Turns markdown-it's tokens into pieces, keeping track of the lists and quotes around."""

    def __init__(self) -> None:
        self._containers: list[Container] = []
        self._counters: list[int | None] = []
        self._marker = ""
        self._gap: Gap = "block"

    def walk(self, tokens: Sequence[Token]) -> Iterator[Piece]:
        stream = iter(tokens)
        for token in stream:
            match token.type:
                case "paragraph_open" | "heading_open":
                    yield from self._read_text(token, next(stream))
                case "fence" | "code_block":
                    language = token.info.strip().split()[0] if token.info.strip() else ""
                    yield from self._place_marker()
                    yield Code(language[:40], token.content.removesuffix("\n"),
                               depth=len(self._containers))  # fmt: skip
                case "hr":
                    yield Line((), style="rule", containers=tuple(self._containers))
                case "table_open":
                    yield from self._place_marker()
                    yield _read_table(stream)
                case _:
                    yield from self._enter_or_leave(token)

    def _enter_or_leave(self, token: Token) -> Iterator[Piece]:
        match token.type:
            case "bullet_list_open" | "ordered_list_open":
                start = token.attrGet("start")
                is_ordered = token.type == "ordered_list_open"
                self._counters.append((1 if start is None else int(start)) if is_ordered else None)
                self._containers.append("list")
                self._gap = "block" if len(self._counters) == 1 else "item"
            case "list_item_open":
                count = self._counters[-1]
                self._marker = BULLET if count is None else f"{count}{token.markup or '.'}"
                if count is not None:
                    self._counters[-1] = count + 1
            case "list_item_close":
                yield from self._place_marker()
                self._gap = "item"
            case "bullet_list_close" | "ordered_list_close":
                self._counters.pop()
                self._containers.pop()
                self._gap = "item" if self._counters else "block"
            case "blockquote_open":
                self._containers.append("quote")
            case "blockquote_close":
                self._containers.pop()
            case _:
                pass

    def _place_marker(self) -> Iterator[Piece]:
        """An item that holds no text of its own still shows its marker."""
        if self._marker:
            yield Line((), containers=tuple(self._containers), marker=self._take_marker())

    def _take_marker(self) -> str:
        marker, self._marker = self._marker, ""
        return marker

    def _read_text(self, opening: Token, inline: Token) -> Iterator[Line]:
        spans = read_spans(inline.children or [])
        marker = self._take_marker()
        if marker:
            marker, spans = _read_box(marker, spans)
        is_heading = opening.type == "heading_open"
        gap: Gap = self._gap if marker else "block"
        if self._counters and not marker:
            gap = "item"
        line = Line(
            spans,
            style="heading" if is_heading else "text",
            level=int(opening.tag[1]) if is_heading else 0,
            containers=tuple(self._containers),
            marker=marker,
            gap=gap,
        )
        yield from split_line(line)


def _read_box(marker: str, spans: Spans) -> tuple[str, Spans]:
    if spans and spans[0].text[:4].lower() in {"[ ] ", "[x] "}:
        box = BOX_OPEN if spans[0].text[1] == " " else BOX_DONE
        return box, (replace(spans[0], text=spans[0].text[4:]), *spans[1:])
    return marker, spans


def split_line(line: Line, limit: int = RUN_LIMIT) -> Iterator[Line]:
    """The line in parts that Qt lays out quickly."""
    if len(line.text) <= limit:
        yield line
        return
    current: list[Span] = []
    room = limit
    is_first = True
    for span in line.spans:
        for text in _cut(span.text, room, limit):
            if len(text) > room:
                yield _part(line, current, is_first=is_first)
                is_first, current, room = False, [], limit
            current.append(replace(span, text=text))
            room -= len(text)
    yield _part(line, current, is_first=is_first)


def _cut(text: str, room: int, limit: int) -> Iterator[str]:
    head = split_long(text, room)[0] if room > 0 else ""
    if head:
        yield head
    rest = text[len(head) :]
    if rest:
        yield from split_long(rest, limit)


def _part(line: Line, spans: list[Span], *, is_first: bool) -> Line:
    if is_first:
        return replace(line, spans=tuple(spans))
    return replace(line, spans=tuple(spans), marker="", gap="none", continues=True)


def read_spans(tokens: Sequence[Token]) -> Spans:
    """Inline tokens as spans; neighbours of one style are joined."""
    spans: list[Span] = []
    style = Span("")
    target = ""
    for token in tokens:
        match token.type:
            case "strong_open" | "strong_close":
                style = replace(style, is_bold=token.nesting > 0)
            case "em_open" | "em_close":
                style = replace(style, is_italic=token.nesting > 0)
            case "s_open" | "s_close":
                style = replace(style, is_struck=token.nesting > 0)
            case "link_open":
                target = str(token.attrGet("href") or "")
                style = replace(style, href=target if is_openable(target) else "")
            case "link_close":
                if target and not style.href:
                    spans.append(replace(style, text=f" ({target[:200]})", is_quiet=True))
                style, target = replace(style, href=""), ""
            case "code_inline":
                spans.append(replace(style, text=token.content, is_code=True))
            case "image":
                spans.append(replace(style, text=token.content, is_image=True, href=""))
            case "softbreak":
                spans.append(replace(style, text=" "))
            case "hardbreak":
                spans.append(replace(style, text="\u2028"))
            case _:
                spans.extend(_link_addresses(replace(style, text=token.content), bool(target)))
    return tuple(_join(spans))


def _link_addresses(span: Span, is_inside_link: bool) -> Iterator[Span]:
    """A text span with the bare web addresses in it made links."""
    start = 0
    found = [] if is_inside_link or "://" not in span.text else find_addresses(span.text)
    for begin, end in found:
        yield replace(span, text=span.text[start:begin])
        yield replace(span, text=span.text[begin:end], href=span.text[begin:end])
        start = end
    yield replace(span, text=span.text[start:])


def _join(spans: Sequence[Span]) -> Iterator[Span]:
    pending: Span | None = None
    for span in spans:
        if not span.text and not span.is_image:
            continue
        if pending is not None and replace(pending, text="") == replace(span, text=""):
            pending = replace(pending, text=pending.text + span.text)
            continue
        if pending is not None:
            yield pending
        pending = span
    if pending is not None:
        yield pending


def _read_table(stream: Iterator[Token]) -> Table:
    rows: list[tuple[Spans, ...]] = []
    cells: list[Spans] = []
    alignments: list[Alignment] = []
    n_rows = 0
    for token in stream:
        match token.type:
            case "table_close":
                break
            case "tr_open":
                cells = []
            case "tr_close":
                n_rows += 1
                if len(rows) <= ROW_LIMIT:
                    rows.append(tuple(islice(cells, COLUMN_LIMIT)))
            case "th_open":
                alignments.append(_read_alignment(str(token.attrGet("style") or "")))
            case "inline":
                cells.append(_shorten(read_spans(token.children or [])))
            case _:
                pass
    header = rows[0] if rows else ()
    return Table(header, tuple(rows[1:]), tuple(alignments[: len(header)]), n_rows - len(rows))


def _read_alignment(style: str) -> Alignment:
    if "center" in style:
        return "center"
    return "right" if "right" in style else "left"


def _shorten(spans: Spans) -> Spans:
    room = CELL_LIMIT
    kept: list[Span] = []
    for span in spans:
        if len(span.text) > room:
            kept.append(replace(span, text=span.text[:room] + "…"))
            break
        kept.append(span)
        room -= len(span.text)
    return tuple(kept)
