"""Tables of records: what their columns are called, and where that stands."""

from datetime import UTC, datetime

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from inglenook.base.network import Connection
from inglenook.gui.settings_page.ledger import LedgerTable

ALIGNMENT = Qt.ItemDataRole.TextAlignmentRole


def test_a_column_of_numbers_and_its_name_are_flush_right(qtbot: QtBot) -> None:
    parent = QWidget()
    qtbot.addWidget(parent)
    table = LedgerTable(parent)
    table.set_lines((Connection(datetime.now(UTC), "localhost", "a test", 1_000),))
    for column in range(table.columnCount()):
        cell = table.data(table.index(0, column), ALIGNMENT)
        assert cell == table.headerData(column, Qt.Orientation.Horizontal, ALIGNMENT)
        is_right = cell is not None and bool(cell & Qt.AlignmentFlag.AlignRight)
        assert is_right == (column == 3)
