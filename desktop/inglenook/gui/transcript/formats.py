"""Text and block formats by role, for the documents that the transcript builds itself.

Made anew when the theme or the zoom changes; used on the window's thread.
"""

from typing import Final

from PySide6.QtCore import Qt
from PySide6.QtGui import QFont, QTextBlockFormat, QTextCharFormat

from inglenook.gui.theme import LINE_HEIGHT, TRANSCRIPT_PX, Theme
from inglenook.gui.transcript.blocks import Line, Span
from inglenook.gui.transcript.highlight import Colourist

HEADING_PX: Final = {1: 22, 2: 19, 3: 17, 4: 15, 5: 15, 6: 15}
QUIET_PX: Final = 14
CODE_PX: Final = 13
CODE_LINE_PX: Final = 20
LIST_INDENT: Final = 26
QUOTE_INDENT: Final = 18
CODE_PAD: Final = 4
"""Pixels by which the ground of inline code is wider than its text, on either side."""


class Formats:
    """The formats of one theme at one zoom."""

    def __init__(
        self,
        theme: Theme,
        colourist: Colourist,
        *,
        ink: str = "ink",
        text_px: int = TRANSCRIPT_PX,
    ) -> None:
        self.theme = theme
        self.colourist = colourist
        self._ink = ink
        self._text_px = text_px
        self._chars: dict[tuple[Span, int], QTextCharFormat] = {}
        self._code_chars: dict[str, QTextCharFormat] = {}

    def quieten(self) -> "Formats":
        """The same for text beside the matter: a little smaller, in quiet ink."""
        return Formats(self.theme, self.colourist, ink="quiet", text_px=QUIET_PX)

    def char(self, span: Span, level: int = 0) -> QTextCharFormat:
        """The format of a span's characters, in a heading of a level or in text (0)."""
        key = (Span("", span.is_bold, span.is_italic, span.is_struck, span.is_code,
                    span.is_quiet, span.is_image, span.href), level)  # fmt: skip
        if key not in self._chars:
            if len(self._chars) > 400:
                self._chars.clear()
            self._chars[key] = self._make_char(*key)
        return self._chars[key]

    def _make_char(self, span: Span, level: int) -> QTextCharFormat:
        colours = self.theme.colours
        size = self._find_size(level)
        made = QTextCharFormat()
        if span.is_code:
            made.setFont(self.theme.code_font(round(size * CODE_PX / TRANSCRIPT_PX)))
        else:
            made.setFont(self.theme.font(size))
        if level or span.is_bold:
            made.setFontWeight(QFont.Weight.DemiBold)
        made.setFontItalic(span.is_italic)
        made.setFontStrikeOut(span.is_struck)
        is_soft = span.is_quiet or span.is_image
        made.setForeground(colours.colour("quiet" if is_soft else self._ink))
        if span.href:
            made.setAnchor(True)
            made.setAnchorHref(span.href)
            made.setForeground(colours.colour("ember"))
            made.setUnderlineStyle(QTextCharFormat.UnderlineStyle.SingleUnderline)
        return made

    def spaced(self, span: Span, level: int = 0) -> QTextCharFormat:
        """The format of the last character before the edge of inline code."""
        made = QTextCharFormat(self.char(span, level))
        made.setFontLetterSpacingType(QFont.SpacingType.AbsoluteSpacing)
        made.setFontLetterSpacing(self.theme.px(CODE_PAD))
        return made

    def block(self, line: Line, *, is_first: bool) -> QTextBlockFormat:
        """The format of a line's paragraph."""
        made = QTextBlockFormat()
        made.setLeftMargin(self.indent(line))
        made.setTopMargin(0 if is_first else self.gap_above(line))
        fixed = QTextBlockFormat.LineHeightTypes.FixedHeight
        made.setLineHeight(self.line_height(line), fixed.value)
        return made

    def indent(self, line: Line) -> int:
        """Pixels from the left edge to a line's text."""
        return sum(
            self.theme.px(LIST_INDENT if container == "list" else QUOTE_INDENT)
            for container in line.containers
        )

    def gap_above(self, line: Line) -> int:
        """Pixels between a line and the one above it."""
        if line.gap == "none":
            return 0
        if line.style == "heading":
            return self.theme.px(22 if line.level <= 2 else 18)
        return self.theme.px(5 if line.gap == "item" else 12)

    def line_height(self, line: Line) -> int:
        """Pixels from one base line to the next."""
        if line.style == "rule":
            return self.theme.px(9)
        if line.style == "heading":
            return self.theme.px(self._find_size(line.level) * 1.35)
        return self.theme.px(self._text_px * LINE_HEIGHT)

    def _find_size(self, level: int) -> int:
        """Pixels of a heading's or the text's characters; quiet headings are only bold."""
        return self._text_px if self._ink == "quiet" else HEADING_PX.get(level, self._text_px)

    def code_char(self, role: str = "") -> QTextCharFormat:
        """The format of characters in a code block."""
        role = role or self._ink
        if role not in self._code_chars:
            made = QTextCharFormat()
            made.setFont(self.theme.code_font(CODE_PX))
            made.setForeground(self.theme.colours.colour(role))
            self._code_chars[role] = made
        return self._code_chars[role]

    def code_block(self) -> QTextBlockFormat:
        """The format of a line in a code block."""
        made = QTextBlockFormat()
        fixed = QTextBlockFormat.LineHeightTypes.FixedHeight
        made.setLineHeight(self.theme.px(CODE_LINE_PX), fixed.value)
        made.setNonBreakableLines(False)
        made.setAlignment(Qt.AlignmentFlag.AlignLeft)
        return made
