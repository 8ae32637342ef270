"""What a reply is made of once its Markdown is read: frozen records, no Qt.

`parse` makes them, `sections` groups them, the views draw them. All offsets and lengths are in
characters.
"""

from dataclasses import dataclass
from typing import Literal

type Container = Literal["list", "quote"]
type Alignment = Literal["left", "center", "right"]
type Gap = Literal["block", "item", "none"]


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of text in one style; `href` is set only for links that may be opened."""

    text: str
    is_bold: bool = False
    is_italic: bool = False
    is_struck: bool = False
    is_code: bool = False
    is_quiet: bool = False
    is_image: bool = False
    """The text is a picture's description; the picture itself is never fetched or opened."""
    href: str = ""


type Spans = tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Line:
    """One paragraph of prose as it is laid out: a text, a heading or a rule.

    `containers` are the lists and quotes around it, outermost first. `marker` stands before a list
    item's first line: a bullet, a number with its dot, or a box. `gap` is the space above.
    """

    spans: Spans
    style: Literal["text", "heading", "rule"] = "text"
    level: int = 0
    containers: tuple[Container, ...] = ()
    marker: str = ""
    gap: Gap = "block"
    continues: bool = False
    """It goes on from the line above, which was only broken because it was too long."""

    @property
    def text(self) -> str:
        """The line's characters without their style."""
        return "".join(span.text for span in self.spans)


@dataclass(frozen=True, slots=True)
class Code:
    """A code block; `is_closed` is False while its end has not arrived."""

    language: str
    text: str
    is_closed: bool = True
    depth: int = 0
    """How many lists and quotes it stands in."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table; `n_left_out` rows were not read because there are too many to show."""

    header: tuple[Spans, ...]
    rows: tuple[tuple[Spans, ...], ...]
    alignments: tuple[Alignment, ...]
    n_left_out: int = 0


type Piece = Line | Code | Table

BULLET = "•"
BOX_OPEN = "☐"
BOX_DONE = "☑"
