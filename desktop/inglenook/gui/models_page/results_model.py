"""The list behind the results' view: its rows, and what is known here of each row's model."""

from collections.abc import Callable, Sequence
from typing import Any, Final, override

from PySide6.QtCore import QAbstractListModel, QModelIndex, QObject, QPersistentModelIndex, Qt

from inglenook.gui.models_page.results_rows import ResultRow, RowAction, describe_row_size

type Index = QModelIndex | QPersistentModelIndex
type State = tuple[RowAction, str]
"""What a row's button does, and its text."""

ROW_ROLE: Final = Qt.ItemDataRole.UserRole


class ResultsModel(QAbstractListModel):
    """Rows in their order; more can come at the end without a reset, so that the view stays."""

    def __init__(
        self,
        find_state: Callable[[ResultRow], State],
        find_problem: Callable[[ResultRow], str],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._find_state = find_state
        self._find_problem = find_problem
        self._rows: list[ResultRow] = []

    @property
    def rows(self) -> tuple[ResultRow, ...]:
        """What is shown."""
        return tuple(self._rows)

    def set_rows(self, rows: Sequence[ResultRow]) -> None:
        """Show these rows: what they begin with alike stays as it is."""
        wanted = list(rows)
        n_same = 0
        for old, new in zip(self._rows, wanted, strict=False):
            if old != new:
                break
            n_same += 1
        if n_same == 0 and self._rows:
            self.beginResetModel()
            self._rows = wanted
            self.endResetModel()
            return
        if n_same < len(self._rows):
            self.beginRemoveRows(QModelIndex(), n_same, len(self._rows) - 1)
            del self._rows[n_same:]
            self.endRemoveRows()
        if n_same < len(wanted):
            self.beginInsertRows(QModelIndex(), n_same, len(wanted) - 1)
            self._rows += wanted[n_same:]
            self.endInsertRows()

    def row_at(self, index: Index) -> ResultRow | None:
        """The row of an index."""
        return self._rows[index.row()] if 0 <= index.row() < len(self._rows) else None

    def find_first(self) -> QModelIndex:
        """The first row that can be opened; invalid for none."""
        for i, row in enumerate(self._rows):
            if row.repo:
                return self.index(i)
        return QModelIndex()

    def state_of(self, row: ResultRow) -> State:
        """What a row's button does now, and its text."""
        return self._find_state(row)

    def problem_of(self, row: ResultRow) -> str:
        """Why a row's model could not be had, "" where nothing went wrong."""
        return self._find_problem(row)

    def refresh(self) -> None:
        """Downloads or the installed models changed: draw what is on show anew."""
        if self._rows:
            self.dataChanged.emit(self.index(0), self.index(len(self._rows) - 1))

    @override
    def rowCount(self, parent: Index | None = None) -> int:
        """How many rows there are."""
        return 0 if parent is not None and parent.isValid() else len(self._rows)

    @override
    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """The title, all of a row as a sentence for screen readers, the row for the painter."""
        row = self.row_at(index)
        if row is None:
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return row.title
        if role == Qt.ItemDataRole.AccessibleTextRole:
            fit = row.fit.reason if row.fit is not None else ""
            gated = self.tr("access only after signing in") if row.is_gated else ""
            parts = (
                row.title, row.maker, row.details, ", ".join(row.marks), describe_row_size(row),
                gated, fit, self.problem_of(row), self.state_of(row)[1],
            )  # fmt: skip
            return ". ".join(part for part in parts if part)
        return row if role == ROW_ROLE else None

    @override
    def flags(self, index: Index) -> Qt.ItemFlag:
        """Groups and sentences cannot be chosen, but for those with something to do."""
        row = self.row_at(index)
        if row is None:
            return Qt.ItemFlag.NoItemFlags
        if not row.repo and not row.action:
            return Qt.ItemFlag.ItemIsEnabled
        return Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable
