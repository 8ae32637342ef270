"""What a model file's header holds, to read and to copy. Window's thread."""

from typing import TYPE_CHECKING, Any, Final, override

from PySide6.QtCore import QModelIndex, QSortFilterProxyModel, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import (
    QAbstractItemView,
    QDialog,
    QHBoxLayout,
    QLineEdit,
    QPlainTextEdit,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from inglenook.gui.tables import Index, RecordTable, make_table_view
from inglenook.gui.theme import RADIUS_CONTROL, Theme
from inglenook.gui.widgets import ElidedLabel, make_button, make_label

if TYPE_CHECKING:
    from inglenook.models.metadata import Entry

LINE_CHARS: Final = 160


class HeaderTable(RecordTable["Entry"]):
    """Key and value, one line each; the whole value under `UserRole`."""

    @override
    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """The text of one cell."""
        if index.row() >= len(self.records):
            return None
        entry = self.records[index.row()]
        if role == Qt.ItemDataRole.UserRole:
            return entry.value
        if role != Qt.ItemDataRole.DisplayRole:
            return None
        line = " ".join(entry.value[: 2 * LINE_CHARS].split())
        is_cut = len(line) > LINE_CHARS or len(entry.value) > 2 * LINE_CHARS
        return (entry.key, f"{line[:LINE_CHARS]}…" if is_cut else line)[index.column()]


class HeaderView(QDialog):
    """A table that can be searched, and the whole of the chosen value; Esc closes it."""

    def __init__(
        self, theme: Theme, name: str, entries: "tuple[Entry, ...]", parent: QWidget
    ) -> None:
        super().__init__(parent)
        self._entries = entries
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle(self.tr("Details"))
        self.resize(theme.px(760), theme.px(600))
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 20, 24, 16)
        column.setSpacing(8)
        column.addWidget(ElidedLabel(name, "heading"))
        column.addWidget(make_label(self.tr("What the file says of itself"), "small"))
        self.field = QLineEdit()
        self.field.setPlaceholderText(self.tr("Search keys and values"))
        self.field.setAccessibleName(self.tr("Search keys and values"))
        self.field.setClearButtonEnabled(True)
        column.addWidget(self.field)
        self.rows = QSortFilterProxyModel(self)
        self.rows.setSourceModel(HeaderTable((self.tr("Key"), self.tr("Value")), self, entries))
        self.rows.setFilterCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        self.rows.setFilterKeyColumn(-1)
        self.field.textChanged.connect(self.rows.setFilterFixedString)
        self.table = self._make_table()
        column.addWidget(self.table, 3)
        self.value = QPlainTextEdit()
        self.value.setObjectName("headerValue")
        self.value.setReadOnly(True)
        self.value.setUndoRedoEnabled(False)
        colours = theme.colours
        self.value.setStyleSheet(
            f"#headerValue{{font-family:'{theme.code_font().family()}';font-size:{theme.px(13)}px;"
            f"background:{colours.code_ground};border:1px solid {colours.line};"
            f"border-radius:{RADIUS_CONTROL}px;padding:{theme.px(6)}px}}"
        )
        self.value.setPlaceholderText(self.tr("Choose a line to see all of its value."))
        self.value.setAccessibleName(self.tr("The whole value"))
        column.addWidget(self.value, 2)
        column.addLayout(self._make_buttons())

    def _make_table(self) -> QTableView:
        table = make_table_view(self.rows, self.tr("The keys of the header"), 1)
        table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        table.setWordWrap(False)
        table.setTabKeyNavigation(False)
        table.selectionModel().currentRowChanged.connect(self._on_row)
        return table

    def _make_buttons(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.addStretch(1)
        copy = make_button(self.tr("Copy all"))
        copy.clicked.connect(self._copy)
        close = make_button(self.tr("Close"))
        close.clicked.connect(self.accept)
        for button in (copy, close):
            button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
            button.setAutoDefault(False)
            row.addWidget(button)
        return row

    def _on_row(self, current: QModelIndex) -> None:
        value = self.rows.data(current, Qt.ItemDataRole.UserRole) if current.isValid() else ""
        self.value.setPlainText(str(value))

    def _copy(self) -> None:
        text = "\n".join(f"{entry.key}\t{entry.value}" for entry in self._entries)
        QGuiApplication.clipboard().setText(text)
