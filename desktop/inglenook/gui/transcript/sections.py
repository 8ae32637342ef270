"""Groups a reply's pieces into what is drawn by one view each. No Qt here.

Neighbouring lines of prose become one run, so that a selection can reach over paragraphs; runs are
kept short enough that laying one out again is quick.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from inglenook.gui.transcript.blocks import Code, Line, Piece, Table

RUN_CHARS: Final = 6000
RUN_LINES: Final = 120


@dataclass(frozen=True, slots=True)
class Run:
    """Neighbouring lines of prose."""

    lines: tuple[Line, ...]


type Section = Run | Code | Table


class Sections:
    """The sections of a reply that grows at its end.

    Sections before `n_settled` never change again.
    """

    def __init__(self) -> None:
        self.all: list[Section] = []
        self.n_settled = 0
        self._settled: list[Section] = []
        self._n_pieces = 0

    def update(self, settled: Sequence[Piece], tail: Sequence[Piece]) -> int:
        """Take the pieces so far; the index of the first section that may have changed."""
        first_changed = max(0, len(self._settled) - 1)
        _group(self._settled, settled[self._n_pieces :])
        self._n_pieces = len(settled)
        self.all[first_changed:] = self._settled[first_changed:]
        _group(self.all, tail)
        self.n_settled = max(0, len(self._settled) - 1)
        return first_changed


def _group(sections: list[Section], pieces: Sequence[Piece]) -> None:
    """Add pieces at the end, into the last run where they fit."""
    lines: list[Line] = []
    n_chars = 0
    if sections and isinstance(sections[-1], Run) and pieces and isinstance(pieces[0], Line):
        lines = list(sections[-1].lines)
        n_chars = sum(len(line.text) for line in lines)
        sections.pop()
    for piece in pieces:
        is_line = isinstance(piece, Line)
        if lines and (not is_line or n_chars > RUN_CHARS or len(lines) >= RUN_LINES):
            sections.append(Run(tuple(lines)))
            lines, n_chars = [], 0
        if isinstance(piece, Line):
            lines.append(piece)
            n_chars += len(piece.text)
        else:
            sections.append(piece)
    if lines:
        sections.append(Run(tuple(lines)))
