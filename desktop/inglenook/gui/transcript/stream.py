"""Markdown that arrives piece by piece: what is settled is never read again. No Qt here.

Only the last top-level block is parsed anew for each piece. A long list, paragraph or table is cut
where that changes nothing that one sees, so the cost of a piece does not grow with the reply.
Used by a reply's body on the window's thread.
"""

import re
from dataclasses import dataclass, replace
from typing import Final

from inglenook.gui.transcript.blocks import Code, Gap, Line, Piece, Table
from inglenook.gui.transcript.cleaning import clean_text
from inglenook.gui.transcript.healing import heal, hold_back
from inglenook.gui.transcript.parse import ROW_LIMIT, Parsed, Parser

TAIL_LIMIT: Final = 3600
"""Characters of an unsettled block beyond which it is cut; few paragraphs are as long."""
ITEMS_LIMIT: Final = 1500
"""The same for lists and tables, which can be cut without a trace."""
WINDOW_LIMIT: Final = 4400
LINES_LIMIT: Final = 250
"""Characters and lines that are read at a time."""

_FENCE: Final = re.compile(
    r"(?P<indent> {0,3})(?P<mark>`{3,}(?=[^`\n]*\n)|~{3,})(?P<info>[^\n]*)\n"
)
_BLANK: Final = re.compile(r"(?:[ \t]*\n)+")
_ITEM: Final = re.compile(r"^(?:[-+*]|\d{1,9}[.)])[ \t]", re.MULTILINE)
_WORD: Final = re.compile(r"[ \n](?=[^\W\d_])")
_HALF_FENCE: Final = re.compile(r"(?:\A|\n) {0,3}(?:`+|~+)[ \t]*\Z")


@dataclass(frozen=True, slots=True)
class _Resume:
    """How the next block goes on from one that was cut."""

    gap: Gap = "none"
    continues: bool = False
    ordinal: int | None = None
    table: Table | None = None


class MarkdownStream:
    """A reply's Markdown: `settled` pieces never change again, `tail` is the last block."""

    def __init__(self) -> None:
        self.settled: list[Piece] = []
        self.tail: tuple[Piece, ...] = ()
        self._parser = Parser()
        self._text = ""
        self._fence: re.Match[str] | None = None
        self._searched = 0
        self._resume: _Resume | None = None
        self._carriage_return = ""

    def feed(self, text: str, *, is_last: bool = False, more_follows: bool = False) -> None:
        """Take more of the text; with `is_last` nothing is held back any more.

        When `more_follows` at once, the tail is left as it was: nobody will see it.
        """
        text = self._carriage_return + text
        self._carriage_return = ""
        if text.endswith("\r") and not is_last:
            text, self._carriage_return = text[:-1], "\r"
        self._text += clean_text(text)
        while True:
            if self._fence is None:
                self._find_fence()
            if self._fence is not None:
                if not self._settle_fence(self._fence, is_last=is_last):
                    return
            else:
                parsed = self._settle_blocks()
                if parsed is not None:
                    if not more_follows:
                        self._read_tail(parsed, is_last=is_last)
                    return

    # --- fenced code, read line by line without the parser ---

    def _find_fence(self) -> None:
        blank = _BLANK.match(self._text)
        if blank:
            self._text = self._text[blank.end() :]
        self._fence = _FENCE.match(self._text)
        self._searched = self._fence.end() if self._fence else 0

    def _settle_fence(self, fence: re.Match[str], *, is_last: bool) -> bool:
        mark = fence["mark"]
        closing = re.compile(
            rf"^ {{0,3}}{re.escape(mark[0])}{{{len(mark)},}}[ \t]*(?:\n|\Z)", re.MULTILINE
        )
        found = closing.search(self._text, self._searched)
        if found is None or not (is_last or found.group().endswith("\n")):
            self._searched = max(fence.end(), self._text.rfind("\n") + 1)
            body = self._text[fence.end() :]
            self.tail = (
                _make_code(fence, body if is_last else _HALF_FENCE.sub("", body), is_last),
            )
            return False
        self.settled.append(_make_code(fence, self._text[fence.end() : found.start()], True))
        self._text = self._text[found.end() :]
        self._fence, self._resume, self.tail = None, None, ()
        return True

    # --- all other blocks ---

    def _settle_blocks(self) -> Parsed | None:
        """Move complete blocks over; the parsed rest when nothing more can be settled."""
        self._skip_rows()
        window = self._take_window()
        parsed = self._parser.parse(window)
        if parsed.last_line > 0:
            self._settle(parsed.pieces[: parsed.stable_pieces], None)
            self._text = self._text[_line_start(window, parsed.last_line) :]
            return None
        is_part = len(window) < len(self._text)
        if (is_part or len(window) > ITEMS_LIMIT) and self._cut(window, parsed):
            return None
        return parsed

    def _take_window(self) -> str:
        """As much of the text as is read at a time, in whole lines where there are any."""
        text = self._text
        if len(text) > WINDOW_LIMIT:
            end = text.rfind("\n", 0, WINDOW_LIMIT) + 1
            text = text[: end or WINDOW_LIMIT]
        if text.count("\n") > LINES_LIMIT:
            text = text[: _line_start(text, LINES_LIMIT)]
        return text

    def _settle(self, pieces: tuple[Piece, ...], resume: _Resume | None) -> None:
        self.settled.extend(_go_on(pieces, self._resume))
        self._resume = resume
        self.tail = ()

    def _cut(self, window: str, parsed: Parsed) -> bool:
        """Settle the first part of one long block; False when it has no good place to cut."""
        is_table = bool(parsed.pieces) and isinstance(parsed.pieces[0], Table)
        if is_table and self._cut_table(window, parsed):
            return True
        if _ITEM.match(window):
            starts = [found.start() for found in _ITEM.finditer(window)]
            if starts[-1] > 0:
                self._cut_list(window[: starts[-1]])
                return True
        if len(window) <= TAIL_LIMIT and len(window) == len(self._text):
            return False
        limit = min(TAIL_LIMIT, len(window))
        lines_only = window.lstrip(" ").startswith((">", "    "))
        words = [] if lines_only else [found.end() for found in _WORD.finditer(window, 0, limit)]
        end = words[-1] if words else (window.rfind("\n", 0, limit) + 1 or limit)
        part = self._parser.parse(window[:end]).pieces
        self._settle(part, _Resume(continues=True))
        self._text = self._text[end:]
        return True

    def _cut_list(self, head: str) -> None:
        pieces = _go_on(self._parser.parse(head).pieces, self._resume)
        numbers = [
            int(piece.marker[:-1])
            for piece in pieces
            if isinstance(piece, Line) and len(piece.containers) == 1 and piece.marker[:1].isdigit()
        ]
        self.settled.extend(pieces)
        self._resume = _Resume(gap="item", ordinal=numbers[-1] + 1 if numbers else None)
        self._text = self._text[len(head) :]

    def _cut_table(self, window: str, parsed: Parsed) -> bool:
        """Keep the rows so far; the header stays in front of those to come."""
        header_end = _line_start(window, 2)
        end = window.rfind("\n") + 1
        if end <= header_end:
            return False
        if end < len(window):
            parsed = self._parser.parse(window[:end])
        pieces = _go_on(parsed.pieces, self._resume)
        if not isinstance(pieces[0], Table):
            return False
        self._resume = _Resume(table=pieces[0])
        self._text = self._text[:header_end] + self._text[end:]
        return True

    def _skip_rows(self) -> None:
        """Only count the rows of a table that has as many as are shown."""
        table = self._resume.table if self._resume else None
        if table is None or len(table.rows) < ROW_LIMIT:
            return
        start = end = _line_start(self._text, 2)
        n_rows = 0
        while (stop := self._text.find("\n", end)) >= 0 and "|" in self._text[end:stop]:
            end = stop + 1
            n_rows += 1
        self._text = self._text[:start] + self._text[end:]
        self._resume = _Resume(table=replace(table, n_left_out=table.n_left_out + n_rows))

    def _read_tail(self, parsed: Parsed, *, is_last: bool) -> None:
        if not is_last:
            calm = heal(hold_back(self._text))
            if calm != self._text:
                parsed = self._parser.parse(calm)
        self.tail = _go_on(parsed.pieces, self._resume)


def _line_start(text: str, line: int) -> int:
    """Where a line starts, counted from 0; the text's end when it has fewer."""
    position = 0
    for _ in range(line):
        position = text.find("\n", position) + 1
        if position == 0:
            return len(text)
    return position


def _make_code(fence: re.Match[str], text: str, is_closed: bool) -> Code:
    if fence["indent"]:
        text = re.sub(rf"^ {{1,{len(fence['indent'])}}}", "", text, flags=re.MULTILINE)
    words = fence["info"].split()
    return Code(words[0][:40] if words else "", text.removesuffix("\n"), is_closed)


def _go_on(pieces: tuple[Piece, ...], resume: _Resume | None) -> tuple[Piece, ...]:
    """The pieces as the continuation of a block that was cut."""
    if resume is None:
        return pieces
    if resume.table is not None:
        first = pieces[0] if pieces else None
        if isinstance(first, Table):
            return (_join_tables(resume.table, first), *pieces[1:])
        return (resume.table, *pieces)
    joined = list(pieces)
    if joined and isinstance(joined[0], Line):
        joined[0] = replace(joined[0], gap=resume.gap, continues=resume.continues)
    return tuple(joined if resume.ordinal is None else _renumber(joined, resume.ordinal))


def _join_tables(first: Table, second: Table) -> Table:
    rows = (*first.rows, *second.rows)
    n_left_out = first.n_left_out + second.n_left_out + max(0, len(rows) - ROW_LIMIT)
    return replace(first, rows=rows[:ROW_LIMIT], n_left_out=n_left_out)


def _renumber(pieces: list[Piece], ordinal: int) -> list[Piece]:
    numbered: list[Piece] = []
    for index, piece in enumerate(pieces):
        if not isinstance(piece, Line):
            numbered.append(piece)
            continue
        if not piece.containers:
            return [*numbered, *pieces[index:]]
        if len(piece.containers) == 1 and piece.marker[:1].isdigit():
            piece = replace(piece, marker=f"{ordinal}{piece.marker[-1]}")  # noqa: PLW2901
            ordinal += 1
        numbered.append(piece)
    return numbered
