"""Settings, Privacy: every connection of this session, in a table."""

from typing import Any, override

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QHideEvent, QShowEvent
from PySide6.QtWidgets import QVBoxLayout, QWidget

from inglenook.base.network import Connection, Network
from inglenook.gui.formats import format_bytes, format_moment
from inglenook.gui.tables import Index, RecordTable, make_table_view
from inglenook.gui.widgets import make_label

REFRESH_MS = 1000


class LedgerTable(RecordTable[Connection]):
    """When, where to, why, how much came back; newest first."""

    def __init__(self, parent: QWidget) -> None:
        heads = (self.tr("When"), self.tr("Where to"), self.tr("Why"), self.tr("Received"))
        super().__init__(heads, parent, numbers=(3,))

    def set_lines(self, lines: tuple[Connection, ...]) -> None:
        """Show these lines, given oldest first."""
        newest_first = lines[::-1]
        if newest_first == self.records:
            return
        if len(newest_first) != len(self.records):
            self.beginResetModel()
            self.records = newest_first
            self.endResetModel()
            return
        self.records = newest_first
        self.dataChanged.emit(self.index(0, 0), self.index(len(self.records) - 1, 3))

    @override
    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """The text of one cell."""
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return self.align(index.column())
        if role != Qt.ItemDataRole.DisplayRole or index.row() >= len(self.records):
            return None
        line = self.records[index.row()]
        host = line.host
        if line.proxy:
            host = self.tr("{host} via {proxy}").replace("{host}", host)
            host = host.replace("{proxy}", line.proxy)
        cells = (format_moment(line.time), host, line.purpose, format_bytes(line.n_bytes))
        return cells[index.column()]


class Ledger(QWidget):
    """The table, or one sentence while it is empty; refreshed while it is visible."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self._network = network
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 8, 0, 0)
        column.setSpacing(8)
        column.addWidget(make_label(self.tr("Connections of this session"), "strong"))
        note = self.tr(
            "Inglenook connects only when you search for models or ask for one. Conversations "
            "never leave this machine."
        )
        column.addWidget(make_label(note, "small", wraps=True))
        self._empty = make_label(self.tr("None so far."), "quiet")
        column.addWidget(self._empty)
        self.table = LedgerTable(self)
        self._view = make_table_view(self.table, self.tr("Connections of this session"), 2)
        self._view.setMinimumHeight(220)
        column.addWidget(self._view)
        self._timer = QTimer(self)
        self._timer.setInterval(REFRESH_MS)
        self._timer.timeout.connect(self.reload)
        self.reload()

    def reload(self) -> None:
        """Read the ledger, which is kept in memory."""
        lines = self._network.ledger()
        self.table.set_lines(lines)
        self._view.setVisible(bool(lines))
        self._empty.setVisible(not lines)

    @override
    def showEvent(self, event: QShowEvent) -> None:
        """Refresh while visible."""
        super().showEvent(event)
        self.reload()
        self._timer.start()

    @override
    def hideEvent(self, event: QHideEvent) -> None:
        """Rest while hidden."""
        super().hideEvent(event)
        self._timer.stop()
