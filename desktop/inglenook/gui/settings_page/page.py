"""The settings page's frame: the list of sections on the left, one section on the right."""

from typing import TYPE_CHECKING, Final, override

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLineEdit,
    QListWidget,
    QScrollArea,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from inglenook.app import App
from inglenook.base.declarations import SETTINGS
from inglenook.base.errors import UserError
from inglenook.base.settings import SettingChanged
from inglenook.engine.protocol import Loaded, Loading
from inglenook.gui.bridge import Bridge
from inglenook.gui.installed import InstalledModels
from inglenook.gui.settings_page.about import About
from inglenook.gui.settings_page.conversations import DeletedConversations
from inglenook.gui.settings_page.fold import Fold
from inglenook.gui.settings_page.in_force import describe_in_force
from inglenook.gui.settings_page.ledger import Ledger
from inglenook.gui.settings_page.models_folder import ModelsFolderRow
from inglenook.gui.settings_page.reload_bar import ReloadBar
from inglenook.gui.settings_page.rows import ModelRow, SettingRow, make_row
from inglenook.gui.settings_page.token_row import TokenRow
from inglenook.gui.shortcuts import PLACE_KEYS, WINDOW_KEYS, make_key_table
from inglenook.gui.tasks import Tasks
from inglenook.gui.theme import Theme
from inglenook.gui.widgets import (
    make_label,
    make_line,
    make_scroll,
    make_surface,
)

if TYPE_CHECKING:
    from collections.abc import Callable

SECTIONS: Final = (
    "appearance", "conversations", "replies", "engine", "models", "network", "privacy",
    "shortcuts", "about",
)  # fmt: skip
CONTENT_PX: Final = 680


class SettingsPage(QFrame):
    """All sections; what is declared in `SETTINGS` makes its rows by itself.

    Signals: `restored(conversation_id)`, `token_changed()`, `link_requested(address)`.
    """

    restored = Signal(str)
    token_changed = Signal()
    link_requested = Signal(str)

    def __init__(
        self,
        app: App,
        theme: Theme,
        tasks: Tasks,
        bridge: Bridge,
        models: InstalledModels,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._app = app
        self._theme = theme
        self._tasks = tasks
        self._models = models
        self.rows: dict[str, SettingRow] = {}
        self.folds: dict[str, Fold] = {}
        self.reload_bar: ReloadBar | None = None
        self._lines: dict[str, QWidget] = {}
        self._waiting_keys: set[str] = set()
        self.setProperty("surface", "paper")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self.setAccessibleName(self.tr("Settings"))
        self._stack = QStackedWidget()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self._make_header())
        body = QHBoxLayout()
        body.setContentsMargins(20, 16, 0, 0)
        body.setSpacing(24)
        body.addWidget(self._make_rail())
        body.addWidget(self._stack, 1)
        column.addLayout(body, 1)
        self._places = [QWidget() for _ in SECTIONS]
        for place in self._places:
            self._stack.addWidget(place)
        self._waiting = list(range(len(SECTIONS)))
        self._filler = QTimer(self, interval=0)
        self._filler.timeout.connect(self._fill_next)
        models.changed.connect(self._offer_models)
        bridge.happened.connect(self._on_event)
        bridge.engine_changed.connect(self._on_engine_changed)
        self._rail.setCurrentRow(0)
        self._filler.start()

    @property
    def is_complete(self) -> bool:
        """Whether every section has been made: the one on show first, the others when idle."""
        return not self._waiting

    def show_section(self, name: str) -> None:
        """Show one of the sections."""
        self._rail.setCurrentRow(SECTIONS.index(name))

    def take_all(self) -> None:
        """Take what was typed a moment ago: the window closes."""
        for row in self.rows.values():
            if row.is_being_edited:
                row.take_now()

    def ask_for_token(self) -> None:
        """Lead to the field for the hub's access token."""
        self.show_section("models")
        self.token.field.setFocus(Qt.FocusReason.OtherFocusReason)

    # --- parts ---

    def _make_header(self) -> QWidget:
        header = make_surface("header")
        header.setMinimumHeight(56)
        row = QHBoxLayout(header)
        row.setContentsMargins(20, 8, 20, 8)
        row.addWidget(make_label(self.tr("Settings"), "heading"))
        row.addStretch(1)
        self.search = QLineEdit()
        self.search.setPlaceholderText(self.tr("Find a setting"))
        self.search.setAccessibleName(self.tr("Find a setting"))
        self.search.setClearButtonEnabled(True)
        self.search.setFixedWidth(self._theme.px(220))
        self.search.textChanged.connect(self._on_searched)
        row.addWidget(self.search)
        return header

    def _make_rail(self) -> QListWidget:
        names = {
            "appearance": self.tr("Appearance"),
            "conversations": self.tr("Conversations"),
            "replies": self.tr("Replies"),
            "engine": self.tr("Engine"),
            "models": self.tr("Models"),
            "network": self.tr("Network"),
            "privacy": self.tr("Privacy"),
            "shortcuts": self.tr("Keyboard"),
            "about": self.tr("About"),
        }
        self._rail = QListWidget()
        self._rail.setProperty("kind", "rail")
        self._rail.setAccessibleName(self.tr("Sections"))
        self._rail.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self._rail.setFixedWidth(self._theme.px(160))
        for name in SECTIONS:
            self._rail.addItem(names[name])
        self._rail.currentRowChanged.connect(self._on_section_changed)
        return self._rail

    def _make_section(self, name: str) -> QScrollArea:
        content = QWidget()
        content.setMaximumWidth(self._theme.px(CONTENT_PX))
        column = QVBoxLayout(content)
        column.setContentsMargins(0, 0, 24, 24)
        column.setSpacing(0)
        declared = [s for s in SETTINGS.values() if s.section == name]
        self._add_rows(column, [s.key for s in declared if not s.advanced])
        if advanced := [s.key for s in declared if s.advanced]:
            fold = self.folds[name] = Fold(self._theme, self.tr("Advanced"))
            column.addWidget(make_line())
            column.addWidget(fold)
            self._add_rows(fold.rows, advanced)
            self._count_chosen(name)
        makers: dict[str, Callable[[QVBoxLayout], None]] = {
            "conversations": self._add_conversations,
            "engine": self._add_reload_bar,
            "models": self._add_models_folder,
            "privacy": self._add_ledger,
            "shortcuts": self._add_shortcuts,
            "about": self._add_about,
        }
        if name in makers:
            makers[name](column)
        column.addStretch(1)
        return make_scroll(content, self._rail.item(SECTIONS.index(name)).text())

    def _add_rows(self, column: QVBoxLayout, keys: list[str]) -> None:
        for i, key in enumerate(keys):
            if i:
                line = self._lines[key] = make_line()
                column.addWidget(line)
            column.addWidget(self._make_row(key))

    def _make_row(self, key: str) -> SettingRow:
        row = make_row(self._theme, SETTINGS[key])
        row.chosen.connect(self._on_chosen)
        settings = self._app.settings
        row.show_value(settings.get(key), is_chosen=settings.is_chosen(key))
        row.show_is_chosen(settings.is_chosen(key))
        self.rows[key] = row
        self._show_now(key)
        return row

    def _add_conversations(self, column: QVBoxLayout) -> None:
        self.deleted = DeletedConversations(self._app, self._theme, self._tasks)
        self.deleted.restored.connect(self.restored)
        column.addWidget(self.deleted)

    def _add_reload_bar(self, column: QVBoxLayout) -> None:
        column.addWidget(make_line())
        self.reload_bar = ReloadBar()
        self.reload_bar.wanted.connect(self._load_again)
        column.addWidget(self.reload_bar)
        self._show_reload()

    def _add_models_folder(self, column: QVBoxLayout) -> None:
        column.addWidget(make_line())
        self.token = TokenRow(self._app, self._theme, self._tasks)
        self.token.changed.connect(self.token_changed)
        self.token.link_requested.connect(self.link_requested)
        column.addWidget(self.token)
        column.addWidget(make_line())
        self.models_folder = ModelsFolderRow(self._app, self._tasks)
        column.addWidget(self.models_folder)

    def _add_ledger(self, column: QVBoxLayout) -> None:
        column.addWidget(make_line())
        self.ledger = Ledger(self._app.network)
        column.addWidget(self.ledger)

    def _add_shortcuts(self, column: QVBoxLayout) -> None:
        column.setSpacing(10)
        column.addWidget(make_label(self.tr("In the whole window"), "strong"))
        column.addWidget(make_key_table(WINDOW_KEYS))
        column.addSpacing(12)
        column.addWidget(make_label(self.tr("In one place"), "strong"))
        column.addWidget(make_key_table(PLACE_KEYS))

    def _add_about(self, column: QVBoxLayout) -> None:
        self.about = About(self._app)
        column.addWidget(self.about)

    # --- what happens ---

    def _fill_next(self) -> None:
        if self._waiting:
            self._fill(self._waiting[0])
        else:
            self._filler.stop()

    def _fill(self, index: int) -> None:
        """Make a section in the place that is kept for it."""
        if index not in self._waiting:
            return
        self._waiting.remove(index)
        place = self._places[index]
        self._stack.insertWidget(index, self._make_section(SECTIONS[index]))
        self._stack.removeWidget(place)
        place.deleteLater()
        if SECTIONS[index] == "models":
            self._offer_models()

    def _on_section_changed(self, index: int) -> None:
        self._fill(index)
        self._stack.setCurrentIndex(index)
        self._refresh()

    def _refresh(self) -> None:
        match SECTIONS[self._rail.currentRow()]:
            case "conversations":
                self.deleted.reload()
            case "about":
                self.about.reload()
            case _:
                pass

    def _offer_models(self) -> None:
        row = self.rows.get("models.default")
        if isinstance(row, ModelRow):
            row.set_models([(model.id, model.name) for model in self._models.models])

    def _on_chosen(self, key: str, value: object) -> None:
        settings, row = self._app.settings, self.rows[key]
        if settings.get(key) == value:
            return

        def failed(error: UserError) -> None:
            row.show_error(str(error))

        self._tasks.run(lambda: settings.set(key, value), None, failed, owner=self, in_order=True)

    def _on_event(self, event: object) -> None:
        if not isinstance(event, SettingChanged):
            return
        if SETTINGS[event.key].needs_load and self._app.engine.state.loaded is not None:
            self._waiting_keys.add(event.key)
            self._show_reload()
        if event.key in self.rows:
            row = self.rows[event.key]
            is_chosen = self._app.settings.is_chosen(event.key)
            row.show_is_chosen(is_chosen)
            if not row.is_being_edited:
                row.show_value(event.value, is_chosen=is_chosen)
            self._show_now(event.key)
            self._count_chosen(SETTINGS[event.key].section)

    # --- what is in force ---

    def _on_engine_changed(self, event: object) -> None:
        if isinstance(event, Loading):
            return
        if isinstance(event, Loaded):
            self._waiting_keys.clear()
        for key in self.rows:
            self._show_now(key)
        self._show_reload()

    def _show_now(self, key: str) -> None:
        """Say what automatic has chosen for the loaded model, or that a change waits for a load."""
        text = ""
        if key in self._waiting_keys:
            text = self.tr("applies at the next load")
        elif not self._app.settings.is_chosen(key):
            now = describe_in_force(key, self._app.engine.state.loaded)
            text = self.tr("now {value}").replace("{value}", now) if now else ""
        self.rows[key].show_now(text)

    def _show_reload(self) -> None:
        if self.reload_bar is not None:
            is_loaded = self._app.engine.state.loaded is not None
            self.reload_bar.show_state(n_waiting=len(self._waiting_keys), is_loaded=is_loaded)

    def _count_chosen(self, section: str) -> None:
        """Say beside a fold how many of its settings a person has chosen."""
        if section not in self.folds:
            return
        settings = self._app.settings
        n_chosen = sum(
            s.section == section and s.advanced and settings.is_chosen(s.key)
            for s in SETTINGS.values()
        )
        text = self.tr("{n} changed").replace("{n}", str(n_chosen)) if n_chosen else ""
        self.folds[section].set_note(text)

    def _load_again(self) -> None:
        loaded, bar = self._app.engine.state.loaded, self.reload_bar
        if loaded is None or bar is None:
            return
        model_id = loaded.model_id
        self._tasks.run(
            lambda: self._app.chat.load_again(model_id),
            None,
            lambda error: bar.show_error(str(error)),
            owner=self,
        )

    # --- the search ---

    def _on_searched(self, words: str) -> None:
        """Show only rows that match, here or in the first section that has one."""
        while self._waiting:
            self._fill(self._waiting[0])
        found = {key for key, row in self.rows.items() if row.matches(words)}
        for key, row in self.rows.items():
            row.setVisible(key in found)
        for key, line in self._lines.items():
            line.setVisible(not words.strip() and key in self.rows)
        for name, fold in self.folds.items():
            has_hit = any(SETTINGS[k].section == name and SETTINGS[k].advanced for k in found)
            fold.setVisible(has_hit)
            if words.strip() and has_hit:
                fold.set_open(True)
        sections = [SETTINGS[key].section for key in self.rows if key in found]
        here = SECTIONS[self._rail.currentRow()]
        if words.strip() and sections and here not in sections:
            self.show_section(sections[0])

    @override
    def showEvent(self, event: QShowEvent) -> None:
        """Ask anew for what may have changed."""
        super().showEvent(event)
        self._refresh()
