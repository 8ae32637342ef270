"""The sidebar's widgets. It shows rows and tells what was asked for; `controller` does it."""

from typing import override

from PySide6.QtCore import QEvent, QModelIndex, QObject, QPoint, Qt, QTimer, Signal
from PySide6.QtGui import QAction, QKeyEvent, QKeySequence
from PySide6.QtWidgets import (
    QAbstractItemView,
    QFrame,
    QHBoxLayout,
    QLineEdit,
    QListView,
    QMenu,
    QVBoxLayout,
    QWidget,
)

from inglenook.gui.download_tray import DownloadTray
from inglenook.gui.icons import make_icon
from inglenook.gui.sidebar.model import ConversationList, RowPainter
from inglenook.gui.sidebar.rows import Row
from inglenook.gui.theme import Theme
from inglenook.gui.widgets import (
    NavEntry,
    NoticeBar,
    make_button,
    make_label,
    make_line,
    make_menu,
)
from inglenook.store.records import Conversation

UNDO_MS = 10_000
SEARCH_PAUSE_MS = 120


class Sidebar(QFrame):
    """Search field, list and foot.

    Signals: `search_changed(text)`, `conversation_chosen(id)`, `hit_chosen(id, message_id)`,
    `new_requested()`, `renamed(id, title)`, `pin_requested(id, is_pinned)`,
    `delete_requested(id)`, `undo_requested(id)`, `page_requested(page)` with
    "models", "downloads", "settings" or "ledger".
    """

    search_changed = Signal(str)
    conversation_chosen = Signal(str)
    hit_chosen = Signal(str, str)
    new_requested = Signal()
    renamed = Signal(str, str)
    pin_requested = Signal(str, bool)
    delete_requested = Signal(str)
    undo_requested = Signal(str)
    page_requested = Signal(str)

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._undo_id = ""
        self.setProperty("surface", "sidebar")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.setMinimumWidth(200)
        self.setAccessibleName(self.tr("Conversations"))
        self._pause = QTimer(self)
        self._pause.setSingleShot(True)
        self._pause.setInterval(SEARCH_PAUSE_MS)
        self._pause.timeout.connect(lambda: self.search_changed.emit(self.search.text().strip()))
        self._undo_timer = QTimer(self)
        self._undo_timer.setSingleShot(True)
        self._undo_timer.setInterval(UNDO_MS)
        column = QVBoxLayout(self)
        column.setContentsMargins(12, 14, 12, 10)
        column.setSpacing(0)
        column.addWidget(self._make_search())
        column.addSpacing(10)
        column.addWidget(self._make_new_button())
        column.addWidget(self._make_list(), 1)
        column.addWidget(self._make_undo())
        column.addSpacing(8)
        column.addWidget(make_line())
        column.addSpacing(8)
        self._make_foot(column)
        theme.changed.connect(self._on_theme_changed)

    # --- what it shows ---

    def set_rows(self, rows: tuple[Row, ...]) -> None:
        """Show these rows."""
        self.list.set_rows(rows)

    def set_open(self, conversation_id: str | None) -> None:
        """Mark the conversation on show."""
        self.list.set_open(conversation_id)
        index = self.list.find(conversation_id) if conversation_id else QModelIndex()
        if index.isValid():
            self.view.setCurrentIndex(index)
        else:
            self.view.setCurrentIndex(QModelIndex())

    def set_page(self, page: str) -> None:
        """Mark the foot's entry of the page on show."""
        self.models_entry.setChecked(page == "models")
        self.settings_entry.setChecked(page == "settings")

    def set_lamp(self, is_offline: bool, n_connections: int) -> None:
        """Say whether the app works offline, else how many connections it opened."""
        if is_offline:
            text, role = self.tr("Offline"), "moss"
        else:
            count = self.tr("1 connection") if n_connections == 1 else self.tr("{n} connections")
            text = count.replace("{n}", str(n_connections))
            role = "moss" if n_connections == 0 else "amber"
        self.lamp.setText(text)
        self.lamp.setAccessibleName(self.tr("Privacy: {state}").replace("{state}", text))
        self.lamp.set_lamp(role)

    def offer_undo(self, conversation: Conversation) -> None:
        """Show the bar that brings a deleted conversation back."""
        self._undo_id = conversation.id
        self.undo.show_notice(self.tr("Conversation deleted"), self.tr("Undo"))
        self._undo_timer.start()

    def focus_search(self) -> None:
        """Put the cursor into the search field."""
        self.search.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self.search.selectAll()

    def clear_search(self) -> None:
        """Empty the search field and show all conversations again."""
        self.search.clear()

    def rename_current(self) -> None:
        """Open the field for a new name over the current row."""
        index = self.view.currentIndex()
        if index.isValid():
            self.view.setFocus()
            self.view.edit(index)

    # --- its parts ---

    def _make_search(self) -> QWidget:
        self.search = QLineEdit()
        self.search.setPlaceholderText(self.tr("Search everything"))
        self.search.setAccessibleName(self.tr("Search conversations"))
        self.search.setClearButtonEnabled(False)
        self.search.textChanged.connect(self._on_typed)
        self.search.returnPressed.connect(self._on_search_entered)
        self.search.installEventFilter(self)
        row = QHBoxLayout(self.search)
        row.setContentsMargins(0, 0, 10, 0)
        keys = QKeySequence(QKeySequence.StandardKey.Find)
        self._search_hint = make_label(
            keys.toString(QKeySequence.SequenceFormat.NativeText).replace("+", " "), "small"
        )
        self._search_hint.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        row.addStretch(1)
        row.addWidget(self._search_hint)
        return self.search

    def _make_new_button(self) -> QWidget:
        self.new_button = make_button(self.tr("New conversation"), "flat")
        self.new_button.setStyleSheet("text-align: left; padding-left: 8px;")
        self.new_button.setToolTip("Ctrl+N")
        self.new_button.clicked.connect(self.new_requested)
        self._draw_new_icon()
        return self.new_button

    def _make_list(self) -> QWidget:
        self.list = ConversationList(self)
        self.list.renamed.connect(self.renamed)
        self.view = QListView()
        self.view.setAccessibleName(self.tr("Conversations"))
        self.view.setModel(self.list)
        self.view.setItemDelegate(RowPainter(self._theme, self.list, self.view))
        self.view.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.view.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.view.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.view.setLayoutMode(QListView.LayoutMode.Batched)
        self.view.setBatchSize(200)
        self.view.setMouseTracking(True)
        self.view.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.view.customContextMenuRequested.connect(self._on_menu_requested)
        self.view.clicked.connect(self._on_index_chosen)
        self.view.installEventFilter(self)
        return self.view

    def _make_undo(self) -> QWidget:
        self.undo = NoticeBar(self._theme)
        self.undo.acted.connect(self._on_undo)
        self._undo_timer.timeout.connect(self.undo.hide)
        return self.undo

    def _make_foot(self, column: QVBoxLayout) -> None:
        self.downloads = DownloadTray(self._theme)
        self.downloads.clicked.connect(lambda: self.page_requested.emit("downloads"))
        column.addWidget(self.downloads)
        self.models_entry = NavEntry(self._theme, self.tr("Models"))
        self.models_entry.setToolTip("Ctrl+M")
        self.settings_entry = NavEntry(self._theme, self.tr("Settings"))
        self.settings_entry.setToolTip("Ctrl+,")
        self.lamp = NavEntry(self._theme, "")
        self.lamp.setCheckable(False)
        self.lamp.setToolTip(self.tr("What was connected to, when and why"))
        for entry, page in (
            (self.models_entry, "models"),
            (self.settings_entry, "settings"),
            (self.lamp, "ledger"),
        ):
            entry.clicked.connect(lambda _checked=False, page=page: self.page_requested.emit(page))
            column.addWidget(entry)
        self.set_lamp(False, 0)

    # --- what happens to it ---

    def _on_typed(self, text: str) -> None:
        self._search_hint.setVisible(not text)
        self._pause.start()

    def _on_search_entered(self) -> None:
        index = self.list.first()
        if self.search.text().strip() and index.isValid():
            self._on_index_chosen(index)

    def _on_index_chosen(self, index: QModelIndex) -> None:
        row = self.list.row_at(index)
        if row is None or row.conversation is None:
            return
        if row.message_id is not None:
            self.hit_chosen.emit(row.conversation.id, row.message_id)
        else:
            self.conversation_chosen.emit(row.conversation.id)

    def _on_undo(self) -> None:
        self.undo.hide()
        self._undo_timer.stop()
        if self._undo_id:
            self.undo_requested.emit(self._undo_id)

    def _on_menu_requested(self, point: QPoint) -> None:
        index = self.view.indexAt(point)
        if self._row_of(index) is None:
            return
        self.view.setCurrentIndex(index)
        self.make_row_menu(index).popup(self.view.viewport().mapToGlobal(point))

    def make_row_menu(self, index: QModelIndex) -> QMenu:
        """The menu of one conversation."""
        conversation = self._row_of(index)
        menu = make_menu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        if conversation is None:
            return menu
        key, is_pinned = conversation.id, conversation.is_pinned
        rename = QAction(self.tr("Rename"), menu)
        rename.setShortcut("F2")
        rename.triggered.connect(self.rename_current)
        pin = QAction(self.tr("Unpin") if is_pinned else self.tr("Pin"), menu)
        pin.triggered.connect(lambda: self.pin_requested.emit(key, not is_pinned))
        delete = QAction(self.tr("Delete"), menu)
        delete.setShortcut("Del")
        delete.triggered.connect(lambda: self.delete_requested.emit(key))
        for action, icon in ((rename, "edit"), (pin, "pin"), (delete, "trash")):
            action.setIcon(make_icon(self._theme, icon, size_px=16))
            action.setShortcutContext(Qt.ShortcutContext.WidgetShortcut)
            menu.addAction(action)
        return menu

    def _row_of(self, index: QModelIndex) -> Conversation | None:
        row = self.list.row_at(index) if index.isValid() else None
        return row.conversation if row is not None else None

    def _on_theme_changed(self) -> None:
        self._draw_new_icon()
        self.view.doItemsLayout()

    def _draw_new_icon(self) -> None:
        self.new_button.setIcon(make_icon(self._theme, "plus", "ink", 16))

    @override
    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Keys of the list and the way from the search field into it."""
        if event.type() == QEvent.Type.KeyPress and isinstance(event, QKeyEvent):
            if watched is self.search:
                return self._handle_search_key(event)
            if watched is self.view:
                return self._handle_list_key(event)
        return super().eventFilter(watched, event)

    def _handle_search_key(self, event: QKeyEvent) -> bool:
        if event.key() == Qt.Key.Key_Down and self.list.first().isValid():
            self.view.setFocus(Qt.FocusReason.TabFocusReason)
            self.view.setCurrentIndex(self.list.first())
            return True
        if event.key() == Qt.Key.Key_Escape and self.search.text():
            self.clear_search()
            return True
        return False

    def _handle_list_key(self, event: QKeyEvent) -> bool:
        conversation = self._row_of(self.view.currentIndex())
        if conversation is None:
            return False
        match event.key():
            case Qt.Key.Key_Return | Qt.Key.Key_Enter | Qt.Key.Key_Space:
                self._on_index_chosen(self.view.currentIndex())
            case Qt.Key.Key_F2:
                self.rename_current()
            case Qt.Key.Key_Delete:
                self.delete_requested.emit(conversation.id)
            case Qt.Key.Key_Menu:
                area = self.view.visualRect(self.view.currentIndex())
                self._on_menu_requested(area.center())
            case _:
                return False
        return True
