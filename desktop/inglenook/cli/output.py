"""What commands print: results on stdout, everything else on stderr; on the main thread only."""

import sys
import unicodedata
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from inglenook.base.errors import UserError

_KEPT: Final = frozenset("\n\t")
_HIDDEN_CATEGORIES: Final = frozenset({"Cc", "Cf", "Cs"})
_JOINERS: Final = frozenset("\u200c\u200d")
"""Format characters that words and emoji need."""


def make_safe(text: str) -> str:
    """Drop what could command a terminal or hide text: control, bidi and invisible characters."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        c
        for c in text
        if c in _KEPT or c in _JOINERS or unicodedata.category(c) not in _HIDDEN_CATEGORIES
    )


class Output:
    """Where a command writes. `is_json` asks for one JSON document on stdout instead of prose."""

    def __init__(self, *, is_json: bool) -> None:
        self.is_json = is_json
        self.is_terminal = sys.stdout.isatty()

    def line(self, text: str = "") -> None:
        """One line of a result."""
        self.piece(text + "\n")

    def piece(self, text: str) -> None:
        """A piece of a result, shown at once; what could command a terminal is left out there."""
        sys.stdout.write(make_safe(text) if self.is_terminal else _encodable(text))
        sys.stdout.flush()

    def note(self, text: str) -> None:
        """Something beside the result: on stderr, dim in a terminal."""
        dim = sys.stderr.isatty()
        sys.stderr.write(f"\x1b[2m{make_safe(text)}\x1b[0m\n" if dim else make_safe(text) + "\n")
        sys.stderr.flush()

    def aside(self, text: str) -> None:
        """A piece of something beside the result, as it comes: on stderr, dim in a terminal."""
        safe = make_safe(text)
        sys.stderr.write(f"\x1b[2m{safe}\x1b[0m" if sys.stderr.isatty() else safe)
        sys.stderr.flush()

    def progress(self, text: str) -> None:
        """A line on stderr that the next one replaces; only where a person watches."""
        if sys.stderr.isatty():
            sys.stderr.write(f"\r\x1b[2K{make_safe(text)}")
            sys.stderr.flush()

    def document(self, value: Any) -> None:
        """The result as one JSON document."""
        text = msgspec.json.format(msgspec.json.encode(value, enc_hook=str), indent=2)
        sys.stdout.write(text.decode() + "\n")
        sys.stdout.flush()

    def error(self, error: UserError) -> None:
        """One line on stderr; with `--json` an object with `error` and `hint`."""
        if self.is_json:
            body = {"error": error.message, "hint": error.hint, "code": error.code}
            sys.stderr.write(msgspec.json.encode(body).decode() + "\n")
        else:
            sys.stderr.write(make_safe(" ".join(str(error).split())) + "\n")
        sys.stderr.flush()

    def table(self, rows: Sequence[tuple[str, ...]]) -> None:
        """Columns as wide as their widest cell; the first row is the heading."""
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        for row in rows:
            cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            self.line("  ".join(cells).rstrip())


def _encodable(text: str) -> str:
    encoding = sys.stdout.encoding or "utf-8"
    return text.encode(encoding, errors="replace").decode(encoding)


def describe_size(n_bytes: float) -> str:
    """A size as people read it, in decimal units: 4.9 GB."""
    for unit in ("B", "kB", "MB"):
        if n_bytes < 1000:
            return f"{n_bytes:.0f} {unit}" if unit == "B" else f"{n_bytes:.1f} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:.1f} GB"
