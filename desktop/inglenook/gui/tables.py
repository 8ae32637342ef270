"""Tables to read: rows of records under named columns, and the view that shows them."""

from collections.abc import Sequence
from typing import Any, Final, override

from PySide6.QtCore import (
    QAbstractItemModel,
    QAbstractTableModel,
    QModelIndex,
    QPersistentModelIndex,
    Qt,
)
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QTableView, QWidget

type Index = QModelIndex | QPersistentModelIndex
_FLUSH_RIGHT: Final = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter


class RecordTable[Record](QAbstractTableModel):
    """One row for each record; whoever derives from it says what stands in a cell.

    Columns in `numbers` are flush right, their names too.
    """

    def __init__(
        self,
        heads: Sequence[str],
        parent: QWidget,
        records: Sequence[Record] = (),
        *,
        numbers: Sequence[int] = (),
    ) -> None:
        super().__init__(parent)
        self._heads = tuple(heads)
        self._numbers = frozenset(numbers)
        self.records = tuple(records)

    @override
    def rowCount(self, parent: Index | None = None) -> int:
        """One row for each record."""
        return 0 if parent is not None and parent.isValid() else len(self.records)

    @override
    def columnCount(self, parent: Index | None = None) -> int:
        """One column for each head."""
        return 0 if parent is not None and parent.isValid() else len(self._heads)

    @override
    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        """The columns' names, above what stands in them."""
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return self.align(section)
        if role == Qt.ItemDataRole.DisplayRole and orientation == Qt.Orientation.Horizontal:
            return self._heads[section]
        return None

    def align(self, column: int) -> Qt.AlignmentFlag | None:
        """Where the text of a column stands; None where it begins at the left."""
        return _FLUSH_RIGHT if column in self._numbers else None


def make_table_view(model: QAbstractItemModel, name: str, stretched: int) -> QTableView:
    """Rows without lines between them, columns as wide as their text but for the stretched one."""
    view = QTableView()
    view.setModel(model)
    view.setAccessibleName(name)
    view.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
    view.setShowGrid(False)
    view.verticalHeader().hide()
    header = view.horizontalHeader()
    header.setHighlightSections(False)
    header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
    header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
    header.setSectionResizeMode(stretched, QHeaderView.ResizeMode.Stretch)
    return view
