"""The list behind the sidebar's view, and the delegate that paints its rows."""

from collections.abc import Sequence
from typing import Any, Final, override

from PySide6.QtCore import (
    QAbstractItemModel,
    QAbstractListModel,
    QEvent,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QPointF,
    QRectF,
    QSize,
    Qt,
    Signal,
)
from PySide6.QtGui import (
    QColor,
    QFont,
    QFontMetricsF,
    QPainter,
    QTextCharFormat,
    QTextLayout,
)
from PySide6.QtWidgets import (
    QLineEdit,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QWidget,
)

from inglenook.gui.sidebar.rows import Row
from inglenook.gui.theme import SMALL_PX, TEXT_PX, Theme
from inglenook.gui.widgets import draw_focus_ring, draw_row_ground

type Index = QModelIndex | QPersistentModelIndex

ROW_ROLE: Final = Qt.ItemDataRole.UserRole
_MIDDLE: Final = Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft


class ConversationList(QAbstractListModel):
    """The rows that are shown, which conversation is open and which ones are running.

    Signals: `renamed(conversation_id, title)`.
    """

    renamed = Signal(str, str)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._rows: tuple[Row, ...] = ()
        self._running: frozenset[str] = frozenset()
        self._open_id: str | None = None

    def set_rows(self, rows: Sequence[Row]) -> None:
        """Show these rows; the view keeps its place when they are the same as before."""
        if tuple(rows) == self._rows:
            return
        self.beginResetModel()
        self._rows = tuple(rows)
        self.endResetModel()

    def set_running(self, conversation_ids: frozenset[str]) -> None:
        """Mark the conversations whose reply is being written."""
        if conversation_ids != self._running:
            self._running = conversation_ids
            self._repaint()

    def set_open(self, conversation_id: str | None) -> None:
        """Mark the conversation that the window shows."""
        if conversation_id != self._open_id:
            self._open_id = conversation_id
            self._repaint()

    def is_running(self, row: Row) -> bool:
        """Whether this row's conversation has a live reply."""
        return row.conversation is not None and row.conversation.id in self._running

    def is_open(self, row: Row) -> bool:
        """Whether this row's conversation is the one on show."""
        return row.conversation is not None and row.conversation.id == self._open_id

    def row_at(self, index: Index) -> Row | None:
        """The row of an index."""
        return self._rows[index.row()] if 0 <= index.row() < len(self._rows) else None

    def find(self, conversation_id: str) -> QModelIndex:
        """The first index of a conversation, invalid when it is not listed."""
        for i, row in enumerate(self._rows):
            if row.conversation is not None and row.conversation.id == conversation_id:
                return self.index(i)
        return QModelIndex()

    def first(self) -> QModelIndex:
        """The first index that can be chosen."""
        for i, row in enumerate(self._rows):
            if row.conversation is not None:
                return self.index(i)
        return QModelIndex()

    @property
    def rows(self) -> tuple[Row, ...]:
        """What is shown."""
        return self._rows

    def _repaint(self) -> None:
        if self._rows:
            self.dataChanged.emit(self.index(0), self.index(len(self._rows) - 1))

    @override
    def rowCount(self, parent: Index | None = None) -> int:
        """How many rows there are."""
        return 0 if parent is not None and parent.isValid() else len(self._rows)

    @override
    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """The title for screen readers and the editor, the row for the delegate."""
        row = self.row_at(index)
        if row is None:
            return None
        if role in {Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.EditRole}:
            return row.text
        if role == Qt.ItemDataRole.AccessibleTextRole:
            state = self.tr(", a reply is being written") if self.is_running(row) else ""
            return f"{row.text}{state} {row.snippet}".strip()
        return row if role == ROW_ROLE else None

    @override
    def setData(self, index: Index, value: Any, role: int = Qt.ItemDataRole.EditRole) -> bool:
        """Take a new title from the editor."""
        row = self.row_at(index)
        title = " ".join(str(value).split())
        if role != Qt.ItemDataRole.EditRole or row is None or row.conversation is None:
            return False
        if title and title != row.text:
            self.renamed.emit(row.conversation.id, title)
        return True

    @override
    def flags(self, index: Index) -> Qt.ItemFlag:
        """Groups and notes cannot be chosen."""
        row = self.row_at(index)
        if row is None or row.conversation is None:
            return Qt.ItemFlag.ItemIsEnabled if row is not None else Qt.ItemFlag.NoItemFlags
        return Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable | Qt.ItemFlag.ItemIsEditable


class RowPainter(QStyledItemDelegate):
    """Paints groups, conversations and hits; makes the field for renaming in place."""

    def __init__(self, theme: Theme, rows: ConversationList, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._list = rows

    @override
    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        """A group has air above it, a hit has two lines."""
        del option
        row = self._list.row_at(index)
        if row is None:
            return QSize(0, 0)
        if row.kind == "group":
            return QSize(80, self._theme.px(37))
        return QSize(80, self._theme.px(54 if row.kind == "hit" else 35))

    @override
    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        """Paint one row."""
        row = self._list.row_at(index)
        if row is None:
            return
        area = QRectF(_rect(option))
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if row.kind in {"group", "note"}:
            self._paint_group(painter, area, row)
        else:
            self._paint_conversation(painter, option, area.adjusted(0.5, 1.5, -0.5, -1.5), row)
        painter.restore()

    def _paint_group(self, painter: QPainter, area: QRectF, row: Row) -> None:
        painter.setPen(self._theme.colours.colour("quiet"))
        painter.setFont(self._theme.font(SMALL_PX, weight=QFont.Weight.Medium))
        bottom = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignBottom
        painter.drawText(area.adjusted(10, 0, 0, -7), bottom, row.text)

    def _paint_conversation(
        self, painter: QPainter, option: QStyleOptionViewItem, area: QRectF, row: Row
    ) -> None:
        state = _state(option)
        is_open = self._list.is_open(row)
        is_hovered = bool(state & QStyle.StateFlag.State_MouseOver)
        draw_row_ground(painter, area, self._theme, is_chosen=is_open, is_hovered=is_hovered)
        has_focus = bool(state & QStyle.StateFlag.State_HasFocus)
        if has_focus:
            draw_focus_ring(painter, area.adjusted(-1, -1, 1, 1), 8, self._theme)
        inner = area.adjusted(10, 0, -10, 0)
        if self._list.is_running(row):
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(self._theme.colours.colour("ember"))
            painter.drawEllipse(QPointF(inner.right() - 4, area.top() + self._theme.px(16)), 4, 4)
            inner.adjust(0, 0, -16, 0)
        weight = QFont.Weight.Medium if is_open or row.kind == "hit" else QFont.Weight.Normal
        font = self._theme.font(TEXT_PX, weight=weight)
        title = inner
        if row.kind == "hit":
            title = QRectF(inner.left(), area.top() + 4, inner.width(), inner.height() / 2 - 2)
            below = QRectF(inner.left(), title.bottom(), inner.width(), title.height())
            self._paint_snippet(painter, below, row)
        painter.setFont(font)
        painter.setPen(self._theme.colours.colour("ink"))
        mode = Qt.TextElideMode.ElideRight
        shown = QFontMetricsF(font).elidedText(row.text, mode, title.width())
        painter.drawText(title, _MIDDLE | Qt.TextFlag.TextSingleLine, shown)

    def _paint_snippet(self, painter: QPainter, area: QRectF, row: Row) -> None:
        """One line of the text that matched, with what matched on a tint."""
        text, spans = fit_snippet(row.snippet, row.spans)
        layout = QTextLayout(text, self._theme.font(SMALL_PX))
        formats: list[QTextLayout.FormatRange] = []
        for start, end in spans:
            piece = QTextLayout.FormatRange()
            piece.start, piece.length = start, end - start
            look = QTextCharFormat()
            look.setBackground(self._theme.colours.colour("selection"))
            look.setForeground(self._theme.colours.colour("ink"))
            piece.format = look
            formats.append(piece)
        layout.setFormats(formats)
        layout.beginLayout()
        line = layout.createLine()
        line.setLineWidth(10_000)
        layout.endLayout()
        painter.setPen(QColor(self._theme.colours.quiet))
        painter.setClipRect(area)
        layout.draw(painter, QPointF(area.left(), area.top()))
        painter.setClipping(False)

    @override
    def createEditor(self, parent: QWidget, option: QStyleOptionViewItem, index: Index) -> QWidget:
        """A field over the title."""
        del option, index
        editor = QLineEdit(parent)
        editor.setProperty("kind", "rename")
        editor.setAccessibleName(self.tr("New name of the conversation"))
        editor.setMaxLength(200)
        return editor

    @override
    def updateEditorGeometry(
        self, editor: QWidget, option: QStyleOptionViewItem, index: Index
    ) -> None:
        """Cover the row."""
        del index
        editor.setGeometry(_rect(option).adjusted(1, 3, -1, -3))

    @override
    def setModelData(self, editor: QWidget, model: QAbstractItemModel, index: Index) -> None:
        """Hand the new title over."""
        if isinstance(editor, QLineEdit):
            model.setData(index, editor.text(), Qt.ItemDataRole.EditRole)

    @override
    def helpEvent(self, event: Any, view: Any, option: QStyleOptionViewItem, index: Index) -> bool:
        """No tooltip: the title is on show, and Qt would read markup in it."""
        del view, option, index
        return bool(event.type() == QEvent.Type.ToolTip)


def fit_snippet(
    text: str, spans: Sequence[tuple[int, int]], lead: int = 12
) -> tuple[str, tuple[tuple[int, int], ...]]:
    """Begin a snippet shortly before its first match, so that the match shows in a narrow row."""
    flat = "".join(" " if c.isspace() or not c.isprintable() else c for c in text)
    start = max(0, spans[0][0] - lead) if spans else 0
    mark = "…" if start else ""
    shift = len(mark) - start
    kept = tuple((a + shift, b + shift) for a, b in spans if a >= start and b <= len(flat))
    return mark + flat[start : start + 160], kept


def _rect(option: QStyleOptionViewItem) -> Any:
    return option.rect


def _state(option: QStyleOptionViewItem) -> Any:
    return option.state
