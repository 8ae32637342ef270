"""Draws a run of prose: paragraphs, headings, lists, quotes. One QTextBlock for each line.

While a reply streams, only lines that changed are laid out again; text that grew at its end is
added to, so that a selection in it stays.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import override

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QFontMetricsF, QPainter, QPen, QTextBlock, QTextCursor, QTextLayout
from PySide6.QtWidgets import QWidget

from inglenook.gui.theme import TRANSCRIPT_PX, Theme
from inglenook.gui.transcript.blocks import BOX_DONE, BOX_OPEN, BULLET, Line, Span, Spans
from inglenook.gui.transcript.formats import CODE_PAD, LIST_INDENT, QUOTE_INDENT, Formats
from inglenook.gui.transcript.sections import Run
from inglenook.gui.transcript.text_view import TextView


class RunView(TextView):
    """A run of prose."""

    def __init__(self, formats: Formats, parent: QWidget | None = None) -> None:
        super().__init__(formats.theme, parent)
        self._formats = formats
        self._lines: tuple[Line, ...] = ()

    @property
    def theme(self) -> Theme:
        """The theme that the text is drawn in."""
        return self._theme

    def set_run(self, run: Run) -> None:
        """Show these lines, changing as little as can be."""
        new, old = run.lines, self._lines
        same = 0
        for first, second in zip(old, new, strict=False):
            if first is not second and first != second:
                break
            same += 1
        if same == len(old) == len(new):
            return
        cursor = QTextCursor(self.document())
        cursor.beginEditBlock()
        if same < min(len(old), len(new)) and self._extend(cursor, same, old[same], new[same]):
            same += 1
        self._remove_from(cursor, same, len(old))
        for index in range(same, len(new)):
            self._append(cursor, index, new[index])
        cursor.endEditBlock()
        self._lines = new
        self.viewport().update()

    def _extend(self, cursor: QTextCursor, index: int, old: Line, new: Line) -> bool:
        """Add what a line has gained at its end; False when it changed otherwise."""
        if replace(old, spans=()) != replace(new, spans=()):
            return False
        added = find_added(old.spans, new.spans)
        if added is None:
            return False
        block = self.document().findBlockByNumber(index)
        cursor.setPosition(block.position() + block.length() - 1)
        self._insert(cursor, added, new)
        return True

    def _remove_from(self, cursor: QTextCursor, index: int, n_lines: int) -> None:
        if index >= n_lines:
            return
        block = self.document().findBlockByNumber(index)
        start = block.position() - (1 if index else 0)
        cursor.setPosition(start)
        cursor.movePosition(QTextCursor.MoveOperation.End, QTextCursor.MoveMode.KeepAnchor)
        cursor.removeSelectedText()

    def _append(self, cursor: QTextCursor, index: int, line: Line) -> None:
        cursor.movePosition(QTextCursor.MoveOperation.End)
        format_ = self._formats.block(line, is_first=index == 0)
        plain = self._formats.char(line.spans[0] if line.spans else Span(""), line.level)
        if index:
            cursor.insertBlock(format_, plain)
        else:
            cursor.setBlockFormat(format_)
            cursor.setBlockCharFormat(plain)
        self._insert(cursor, line.spans, line)

    def _insert(self, cursor: QTextCursor, spans: Spans, line: Line) -> None:
        for index, span in enumerate(spans):
            text = span.text
            if span.is_image:
                text = self.tr("[picture: {text}]").format(text=text or self.tr("no description"))
            plain = self._formats.char(span, line.level)
            is_beside_code = span.is_code or (index + 1 < len(spans) and spans[index + 1].is_code)
            if is_beside_code and text:
                # The ground of inline code is wider than its text; the room is made here.
                cursor.insertText(text[:-1], plain)
                cursor.insertText(text[-1], self._formats.spaced(span, line.level))
            else:
                cursor.insertText(text, plain)

    @override
    def copied_text(self, cursor: QTextCursor) -> str:
        """The selection with its bullets and numbers, and without the breaks that we added."""
        start, end = cursor.selectionStart(), cursor.selectionEnd()
        block = self.document().findBlock(start)
        parts: list[str] = []
        while block.isValid() and block.position() < end:
            line = self._lines[block.blockNumber()]
            begin = max(0, start - block.position())
            text = block.text()[begin : end - block.position()].replace("\u2028", "\n")
            marker = f"{line.marker} " if line.marker and begin == 0 else ""
            depth = max(0, line.containers.count("list") - 1)
            if parts and not line.continues:
                parts.append("\n" if line.gap == "item" else "\n\n")
            parts.append("  " * depth * (begin == 0) + marker + text)
            block = block.next()
        return "".join(parts)

    @override
    def paint_under(self, painter: QPainter, area: QRectF) -> None:
        layout = self.document().documentLayout()
        block = self.document().begin()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        previous_bars: list[tuple[int, float]] = []
        for line in self._lines:
            if not block.isValid():
                return
            place = layout.blockBoundingRect(block)
            if place.bottom() >= area.top() - 40 and place.top() <= area.bottom() + 40:
                previous_bars = self._paint_bars(painter, line, place, previous_bars)
                self._paint_codes(painter, line, block)
                if line.marker:
                    self._paint_marker(painter, line, block)
                if line.style == "rule":
                    self._paint_rule(painter, place)
            block = block.next()

    def _paint_bars(
        self, painter: QPainter, line: Line, place: QRectF, previous: list[tuple[int, float]]
    ) -> list[tuple[int, float]]:
        """The bars of quotes; they close the gap to the same quote's line above."""
        theme = self._theme
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.colours.colour("line"))
        bars: list[tuple[int, float]] = []
        left = 0
        for container in line.containers:
            if container == "quote":
                above = [bottom for where, bottom in previous if where == left]
                top = above[0] if above else place.top()
                painter.drawRect(QRectF(left, top, theme.px(3), place.bottom() - top))
                bars.append((left, place.bottom()))
            left += theme.px(LIST_INDENT if container == "list" else QUOTE_INDENT)
        return bars

    def _paint_codes(self, painter: QPainter, line: Line, block: QTextBlock) -> None:
        """Soft grounds under inline code."""
        if not any(span.is_code for span in line.spans):
            return
        position = 0
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self._theme.colours.colour("user_card"))
        for span in line.spans:
            end = position + utf16_length(span.text)
            if span.is_code:
                for area in self._find_areas(block.layout(), position, end):
                    painter.drawRoundedRect(area, 4, 4)
            position = end

    def _find_areas(self, layout: QTextLayout, start: int, end: int) -> Iterator[QRectF]:
        """Where a stretch of one paragraph stands, one area for each row."""
        px = self._theme.px
        for index in range(layout.lineCount()):
            row = layout.lineAt(index)
            first = max(start, row.textStart())
            last = min(end, row.textStart() + row.textLength())
            if first >= last:
                continue
            left, right = read_x(row.cursorToX(first)), read_x(row.cursorToX(last))
            base = layout.position().y() + row.y() + row.ascent()
            right -= px(CODE_PAD) if last == end else 0
            yield QRectF(
                layout.position().x() + left - px(CODE_PAD),
                base - px(14.5),
                right - left + 2 * px(CODE_PAD),
                px(19.5),
            )

    def _paint_marker(self, painter: QPainter, line: Line, block: QTextBlock) -> None:
        theme = self._theme
        layout = block.layout()
        right = self._formats.indent(line) - theme.px(10)
        if layout.lineCount():
            base = layout.position().y() + layout.lineAt(0).y() + layout.lineAt(0).ascent()
        else:
            base = layout.position().y() + self._formats.line_height(line) * 0.8
        metrics = QFontMetricsF(theme.font(TRANSCRIPT_PX))
        middle = base - metrics.xHeight() / 2
        if line.marker == BULLET:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(theme.colours.colour("quiet"))
            radius = theme.px(5) / 2
            painter.drawEllipse(QPointF(right - radius, middle), radius, radius)
        elif line.marker in {BOX_OPEN, BOX_DONE}:
            self._paint_box(painter, right, middle - 1, is_done=line.marker == BOX_DONE)
        else:
            painter.setFont(theme.font(TRANSCRIPT_PX))
            painter.setPen(theme.colours.colour("quiet"))
            width = metrics.horizontalAdvance(line.marker)
            painter.drawText(QPointF(right + theme.px(3) - width, base), line.marker)

    def _paint_box(self, painter: QPainter, right: float, middle: float, *, is_done: bool) -> None:
        theme = self._theme
        side = theme.px(13)
        box = QRectF(right - side + 3, middle - side / 2, side, side)
        colours = theme.colours
        painter.setPen(QPen(colours.colour("ember" if is_done else "quiet"), 1.3))
        painter.setBrush(colours.colour("ember") if is_done else Qt.BrushStyle.NoBrush)
        painter.drawRoundedRect(box, 3, 3)
        if is_done:
            painter.setPen(QPen(colours.colour("on_ember"), 1.6))
            low = QPointF(box.left() + side * 0.42, box.top() + side * 0.7)
            painter.drawLine(QPointF(box.left() + side * 0.22, box.top() + side * 0.5), low)
            painter.drawLine(low, QPointF(box.left() + side * 0.78, box.top() + side * 0.3))

    def _paint_rule(self, painter: QPainter, place: QRectF) -> None:
        painter.setPen(QPen(self._theme.colours.colour("line"), 1))
        y = round(place.bottom() - self._theme.px(4)) + 0.5
        painter.drawLine(QPointF(place.left(), y), QPointF(self.viewport().width(), y))


def find_added(old: Spans, new: Spans) -> Spans | None:
    """What `new` adds to the end of `old`; None when it is not an extension."""
    if not old:
        return new
    n_same = len(old) - 1
    if len(new) <= n_same or old[:n_same] != new[:n_same]:
        return None
    last, grown = old[n_same], new[n_same]
    comes_code = len(new) > n_same + 1 and new[n_same + 1].is_code
    if last.is_image or last.is_code or comes_code:
        return None
    if replace(last, text="") != replace(grown, text=""):
        return None
    if not grown.text.startswith(last.text):
        return None
    rest = grown.text[len(last.text) :]
    head: Spans = (replace(grown, text=rest),) if rest else ()
    return (*head, *new[n_same + 1 :])


def utf16_length(text: str) -> int:
    """Length in the units that Qt counts positions in."""
    return len(text) + sum(character > "\uffff" for character in text)


def read_x(answer: object) -> float:
    """The x of QTextLine.cursorToX, which the binding returns as a pair."""
    return float(answer[0] if isinstance(answer, tuple) else answer)  # type: ignore[arg-type]
