"""A table: thin lines between rows, the header in quiet ink; scrolls sideways when it is wide."""

from dataclasses import replace
from typing import override

from PySide6.QtCore import Qt
from PySide6.QtGui import (
    QBrush,
    QFont,
    QTextBlockFormat,
    QTextCursor,
    QTextFrameFormat,
    QTextLength,
    QTextTable,
    QTextTableCellFormat,
    QTextTableFormat,
    QWheelEvent,
)
from PySide6.QtWidgets import QWidget

from inglenook.gui.formats import format_count
from inglenook.gui.theme import LINE_HEIGHT
from inglenook.gui.transcript.blocks import Alignment, Span, Spans, Table
from inglenook.gui.transcript.formats import Formats
from inglenook.gui.transcript.text_view import TextView

_ALIGNMENTS: dict[Alignment, Qt.AlignmentFlag] = {
    "left": Qt.AlignmentFlag.AlignLeft,
    "center": Qt.AlignmentFlag.AlignHCenter,
    "right": Qt.AlignmentFlag.AlignRight,
}
_QUIET = Span("", is_quiet=True)
_COLUMN_PX = 90
"""Below so much room for each column the table scrolls sideways instead."""

CELL_LIMIT = 700
"""Most cells of one table that are laid out."""


def limit_cells(table: Table) -> Table:
    """The table with as many rows as can be laid out without a stall."""
    most = max(8, CELL_LIMIT // max(1, len(table.header)))
    n_more = len(table.rows) - most
    if n_more <= 0:
        return table
    return replace(table, rows=table.rows[:most], n_left_out=table.n_left_out + n_more)


class TableView(TextView):
    """One table, as a table of Qt's text layout."""

    def __init__(self, formats: Formats, parent: QWidget | None = None) -> None:
        super().__init__(formats.theme, parent)
        self._formats = formats
        self._table = Table((), (), ())
        self._shown: QTextTable | None = None
        self.setAccessibleName(self.tr("Table"))

    def set_table(self, table: Table) -> None:
        """Show a table, or the next state of the one that is shown: only new rows are laid out."""
        table = limit_cells(table)
        old = self._table
        if table == old:
            return
        self._table = table
        is_same_head = self._shown is not None and old.header == table.header
        if not is_same_head or len(table.rows) < len(old.rows):
            self._rebuild()
            return
        same = 0
        for first, second in zip(old.rows, table.rows, strict=False):
            if first is not second and first != second:
                break
            same += 1
        if same < len(table.rows):
            cursor = QTextCursor(self.document())
            cursor.beginEditBlock()
            self._fill_from(same)
            cursor.endEditBlock()
        self._show_note()

    def _rebuild(self) -> None:
        self.document().clear()
        cursor = QTextCursor(self.document())
        cursor.beginEditBlock()
        columns = max(1, len(self._table.header))
        n_rows = 1 + len(self._table.rows)
        self._shown = cursor.insertTable(n_rows, columns, self._table_format())
        self._fill_row(0, self._table.header, is_header=True)
        self._fill_from(0)
        cursor.endEditBlock()
        # Qt keeps an empty paragraph on both sides of a table; it must take no room.
        for edge in (self.document().begin(), self.document().lastBlock()):
            self._flatten(QTextCursor(edge))
        self._show_note()

    @staticmethod
    def _flatten(cursor: QTextCursor) -> None:
        flat = QTextBlockFormat()
        flat.setLineHeight(1, QTextBlockFormat.LineHeightTypes.FixedHeight.value)
        cursor.setBlockFormat(flat)

    def _show_note(self) -> None:
        """Say below the table how many rows are not shown."""
        if not self._table.n_left_out:
            return
        cursor = QTextCursor(self.document())
        cursor.movePosition(QTextCursor.MoveOperation.End)
        cursor.movePosition(QTextCursor.MoveOperation.StartOfBlock, QTextCursor.MoveMode.KeepAnchor)
        block = QTextBlockFormat()
        block.setTopMargin(self._theme.px(6))
        cursor.setBlockFormat(block)
        note = self.tr("{n} more rows are not shown; Copy has them all.")
        text = note.format(n=format_count(self._table.n_left_out))
        cursor.insertText(text, self._formats.char(_QUIET))

    @staticmethod
    def _table_format() -> QTextTableFormat:
        made = QTextTableFormat()
        made.setBorder(0)
        made.setBorderStyle(QTextFrameFormat.BorderStyle.BorderStyle_None)
        made.setCellPadding(0)
        made.setCellSpacing(0)
        made.setBorderCollapse(True)
        made.setHeaderRowCount(1)
        made.setWidth(QTextLength(QTextLength.Type.PercentageLength, 100))
        return made

    def _fill_from(self, start: int) -> None:
        assert self._shown is not None
        missing = 1 + len(self._table.rows) - self._shown.rows()
        if missing > 0:
            self._shown.appendRows(missing)
        for index in range(start, len(self._table.rows)):
            self._fill_row(index + 1, self._table.rows[index], is_header=False)

    def _fill_row(self, row: int, cells: tuple[Spans, ...], *, is_header: bool) -> None:
        assert self._shown is not None
        cell_format = self._cell_format(is_header=is_header)
        for column in range(self._shown.columns()):
            cell = self._shown.cellAt(row, column)
            cell.setFormat(cell_format)
            cursor = cell.firstCursorPosition()
            cursor.setPosition(
                cell.lastCursorPosition().position(), QTextCursor.MoveMode.KeepAnchor
            )
            cursor.removeSelectedText()
            cursor.setBlockFormat(self._cell_block(column))
            for span in cells[column] if column < len(cells) else ():
                char = self._formats.char(span)
                if is_header:
                    char = type(char)(char)
                    char.setFontWeight(QFont.Weight.DemiBold)
                text = span.text
                if span.is_image:
                    text = self.tr("[picture: {text}]").format(text=text)
                cursor.insertText(text, char)

    def _cell_block(self, column: int) -> QTextBlockFormat:
        made = QTextBlockFormat()
        alignments = self._table.alignments
        which: Alignment = alignments[column] if column < len(alignments) else "left"
        made.setAlignment(_ALIGNMENTS[which])
        fixed = QTextBlockFormat.LineHeightTypes.FixedHeight
        made.setLineHeight(self._theme.px(15 * LINE_HEIGHT) - 1, fixed.value)
        return made

    def _cell_format(self, *, is_header: bool) -> QTextTableCellFormat:
        made = QTextTableCellFormat()
        px = self._theme.px
        made.setTopPadding(px(6))
        made.setBottomPadding(px(6))
        made.setLeftPadding(px(2))
        made.setRightPadding(px(16))
        made.setBottomBorder(1.5 if is_header else 1)
        made.setBottomBorderStyle(QTextFrameFormat.BorderStyle.BorderStyle_Solid)
        colours = self._theme.colours
        made.setBottomBorderBrush(QBrush(colours.colour("line")))
        made.setVerticalAlignment(made.VerticalAlignment.AlignTop)
        return made

    @override
    def fit(self, width: int) -> int:
        needed = len(self._table.header) * self._theme.px(_COLUMN_PX)
        is_wide = needed > width
        policy = Qt.ScrollBarPolicy
        self.setHorizontalScrollBarPolicy(
            policy.ScrollBarAsNeeded if is_wide else policy.ScrollBarAlwaysOff
        )
        height = super().fit(max(width, needed))
        return height + (self.horizontalScrollBar().sizeHint().height() if is_wide else 0)

    @override
    def wheelEvent(self, event: QWheelEvent) -> None:
        delta = event.angleDelta()
        bar = self.horizontalScrollBar()
        if abs(delta.x()) > abs(delta.y()) and bar.maximum() > 0:
            bar.setValue(bar.value() - delta.x() // 2)
            event.accept()
            return
        event.ignore()
