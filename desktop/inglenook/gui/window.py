"""The window: a frame of panes, pages, menus and shortcuts. What it shows is done by controllers.

On the window's thread. `application` makes it, shows it, and calls `start` after the first paint.
"""

from typing import TYPE_CHECKING, override

from PySide6.QtCore import QByteArray, Qt, QTimer, Signal
from PySide6.QtGui import QCloseEvent
from PySide6.QtWidgets import QMainWindow, QSplitter, QStackedWidget, QWidget

from inglenook.app import App
from inglenook.base.errors import UserError
from inglenook.base.settings import SettingChanged
from inglenook.chat.forecast_events import ForecastChanged
from inglenook.gui.bridge import Bridge
from inglenook.gui.chat_controller import ChatController
from inglenook.gui.chat_page import ChatPage
from inglenook.gui.file_drops import FileDrops
from inglenook.gui.found import FoundModels
from inglenook.gui.icons import make_icon
from inglenook.gui.inspector import Inspector
from inglenook.gui.installed import InstalledModels
from inglenook.gui.live import LiveRuns
from inglenook.gui.meter import MeterController
from inglenook.gui.model_chooser import ModelChooser
from inglenook.gui.model_drops import ModelDrops
from inglenook.gui.placement import Placement, load_placement, save_placement
from inglenook.gui.shortcuts import make_actions
from inglenook.gui.sidebar import Sidebar
from inglenook.gui.sidebar.controller import SidebarController
from inglenook.gui.tasks import Tasks
from inglenook.gui.theme import Theme
from inglenook.gui.think_switch import ThinkSwitch
from inglenook.gui.transcript import prepare_colours, prepare_views
from inglenook.gui.transfers import Transfers
from inglenook.gui.widgets import make_menu

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from inglenook.gui.models_page import ModelsPage
    from inglenook.gui.settings_page import SettingsPage

TITLE = "Inglenook"
SIDEBAR_PX = 264
INSPECTOR_PX = 296
RESUME_AFTER_MS = 1500
LOOK_AFTER_MS = 4000
ZOOMS = (0.7, 0.8, 0.9, 1.0, 1.1, 1.25, 1.4, 1.6, 1.8, 2.0, 2.25, 2.5)


def _prepare_pages() -> None:
    """Import what the models page needs, on a worker thread: it takes longer than showing it."""
    import inglenook.gui.models_page  # noqa: F401


class MainWindow(QMainWindow):
    """Sidebar, pages, inspector.

    Signals: `writing_changed(bool)` when replies begin to be written, and when none is any more.
    """

    writing_changed = Signal(bool)

    def __init__(self, app: App, theme: Theme, tasks: Tasks, bridge: Bridge) -> None:
        super().__init__()
        self.app = app
        self.theme = theme
        self._tasks = tasks
        self._bridge = bridge
        self._models_page: ModelsPage | None = None
        self._settings_page: SettingsPage | None = None
        self._wants_inspector = False
        self._is_started = False
        self._wants_pages = False
        self.setWindowTitle(TITLE)
        self.setMinimumSize(640, 420)
        self._placement_path = app.profile.data / "window.json"
        self._placement = load_placement(self._placement_path)
        self._make_panes()
        self._make_controllers()
        self._make_actions()
        self._connect()
        self._restore_placement()
        # No greeting where the last conversation takes its place a moment later.
        self.chat.open_new(greets=not self._placement.conversation_id)

    def start(self) -> None:
        """Fill what is shown; called once after the first paint."""
        self._is_started = True
        self.chooser.warm_up()  # first: the engine's process works beside all that follows
        self.sidebar_controller.reload()
        if self._placement.conversation_id:
            self.chat.open_last(self._placement.conversation_id)
        self.models.reload()
        self._tasks.run(lambda: self.app.store.remarks, self._show_remarks, lambda _: None)
        self._tasks.run(prepare_views)
        self._tasks.run(prepare_colours)
        self._fill_menu()
        QTimer.singleShot(RESUME_AFTER_MS, self, self._resume_downloads)

    # --- pages ---

    def show_chat(self) -> None:
        """Show the conversation."""
        self._show_page(self.chat_page, "chat")
        self.chat_page.composer.focus_input()

    def show_models(self, tab: str = "discover") -> None:
        """Show the models page, which is made when it is first asked for."""
        if self._models_page is None:
            from inglenook.gui.models_page import ModelsPage

            self._models_page = ModelsPage(
                self.app,
                self.theme,
                self._tasks,
                self._bridge,
                self.models,
                self.found,
                self.transfers,
                self._stack,
            )
            self._models_page.model_chosen.connect(self._on_model_chosen)
            self._models_page.link_requested.connect(self.open_link)
            self._models_page.token_requested.connect(self._ask_for_token)
            self._stack.addWidget(self._models_page)
        self._models_page.show_tab(tab)
        self._show_page(self._models_page, "models")
        self._models_page.setFocus(Qt.FocusReason.OtherFocusReason)

    def show_settings(self, section: str = "appearance") -> None:
        """Show the settings page, which is made when it is first asked for."""
        if self._settings_page is None:
            from inglenook.gui.settings_page import SettingsPage

            self._settings_page = SettingsPage(
                self.app, self.theme, self._tasks, self._bridge, self.models
            )
            self._settings_page.restored.connect(self._on_restored)
            self._settings_page.token_changed.connect(self._on_token_changed)
            self._settings_page.link_requested.connect(self.open_link)
            self._stack.addWidget(self._settings_page)
        self._settings_page.show_section(section)
        self._show_page(self._settings_page, "settings")
        self._settings_page.setFocus(Qt.FocusReason.OtherFocusReason)

    def show_shortcuts(self) -> None:
        """Show the list of keys."""
        from inglenook.gui.shortcuts import ShortcutList

        dialog = ShortcutList(self.theme, self)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.show()

    def open_link(self, address: str) -> None:
        """Ask, showing the real target, then hand it to the desktop's browser."""
        from inglenook.gui.links import ask_and_open

        ask_and_open(address, self.theme, self)

    def show_error(self, error: UserError) -> None:
        """Show an error of the world that no page asked to hear of."""
        self.chat_page.notice.set_surface("bad")
        self.chat_page.notice.show_notice(str(error))

    def come_to_front(self) -> None:
        """A second start of the app asks for this window."""
        self.setWindowState(self.windowState() & ~Qt.WindowState.WindowMinimized)
        self.show()
        self.raise_()
        self.activateWindow()

    # --- making ---

    def _make_panes(self) -> None:
        # From the outside in: a widget that gets another parent is styled anew with all below it.
        self._splitter = QSplitter(Qt.Orientation.Horizontal, self)
        self.setCentralWidget(self._splitter)
        self._splitter.setHandleWidth(1)
        self._splitter.setChildrenCollapsible(False)
        self.sidebar = Sidebar(self.theme, self._splitter)
        self._stack = QStackedWidget(self._splitter)
        self.chat_page = ChatPage(self.theme, self._stack)
        self._stack.addWidget(self.chat_page)
        self.inspector = Inspector(self.theme, self.app.settings, self._splitter)
        for pane in (self.sidebar, self._stack, self.inspector):
            self._splitter.addWidget(pane)
        self._splitter.setStretchFactor(1, 1)
        self._splitter.setSizes([SIDEBAR_PX, 800, INSPECTOR_PX])

    def _make_controllers(self) -> None:
        self.models = InstalledModels(self.app, self._tasks, self._bridge, self)
        self.found = FoundModels(self.app, self._tasks, self._bridge, self)
        self.transfers = Transfers(self.app, self._tasks, self._bridge, self)
        self.live = LiveRuns(self._bridge, self)
        self.sidebar_controller = SidebarController(
            self.app, self.sidebar, self._tasks, self._bridge, self
        )
        self.chat = ChatController(
            self.app, self.chat_page, self._tasks, self._bridge, self.live, self
        )
        self.meter = MeterController(
            self.app, self.inspector, self._bridge, self.live, self.chat, self
        )
        self.thinking = ThinkSwitch(self.app, self.chat_page, self._bridge, self.chat, self)
        self.chooser = ModelChooser(
            self.app,
            self.theme,
            self.chat_page,
            self.models,
            self._tasks,
            self._bridge,
            self.chat,
            self,
        )

    def _make_actions(self) -> None:
        handlers: dict[str, Callable[[], object]] = {
            "new": self._new_conversation,
            "search": self.sidebar.focus_search,
            "models": self.show_models,
            "settings": self.show_settings,
            "chat": self.show_chat,
            "attach": self._attach_files,
            "inspector": self._toggle_inspector,
            "rename": self._rename_open,
            "delete": self._delete_open,
            "zoom_in": lambda: self._zoom(1),
            "zoom_out": lambda: self._zoom(-1),
            "zoom_reset": lambda: self._zoom(0),
            "shortcuts": self.show_shortcuts,
            "quit": self.close,
        }
        self.actions_by_name = make_actions(self, handlers)
        self._menu = make_menu(self)
        self.chat_page.set_menu(self._menu)
        self.theme.changed.connect(self._fill_menu)

    def _fill_menu(self) -> None:
        self._menu.clear()
        icons = {
            "new": "plus", "rename": "edit", "delete": "trash", "inspector": "panel",
            "models": "cube", "settings": "sliders", "shortcuts": "keyboard",
        }  # fmt: skip
        groups = (
            ("new", "rename", "delete"),
            ("inspector", "zoom_in", "zoom_out", "zoom_reset"),
            ("models", "settings", "shortcuts"),
            ("quit",),
        )
        for i, group in enumerate(groups):
            if i:
                self._menu.addSeparator()
            for name in group:
                action = self.actions_by_name[name]
                if name in icons:
                    action.setIcon(make_icon(self.theme, icons[name], size_px=16))
                self._menu.addAction(action)

    def _connect(self) -> None:
        sidebar, chat = self.sidebar, self.chat
        sidebar.conversation_chosen.connect(self._on_conversation_chosen)
        sidebar.hit_chosen.connect(self._on_hit_chosen)
        sidebar.new_requested.connect(self._new_conversation)
        sidebar.page_requested.connect(self._on_page_requested)
        self.sidebar_controller.changed.connect(chat.on_conversation_changed)
        self.sidebar_controller.deleted.connect(chat.on_conversation_deleted)
        self.sidebar_controller.restored.connect(self._on_conversation_chosen)
        chat.opened.connect(self._on_opened)
        self.live.changed.connect(self._on_live_changed)
        self.transfers.changed.connect(
            lambda: self.sidebar.downloads.show_states(self.transfers.states)
        )
        self.models.changed.connect(self._on_models_changed)
        self.chat_page.transcript.link_requested.connect(self.open_link)
        self.chat_page.transcript.stronger_model_requested.connect(self.show_models)
        self.chat_page.inspector_button.clicked.connect(self._toggle_inspector)
        self.chooser.more_requested.connect(self.show_models)
        self._tasks.failed.connect(self.show_error)
        input_view = self.chat_page.composer.input.viewport()
        drops = ModelDrops((self, input_view), self)
        drops.dropped.connect(self._on_models_dropped)
        files = FileDrops((self, input_view), self.chat_page.isVisible, self)  # Asked first.
        files.dropped.connect(self.chat.writing.attach)
        files.hovered.connect(self.chat_page.composer.set_is_target)
        self._bridge.happened.connect(self._on_event)

    # --- what happens ---

    def _show_page(self, page: QWidget, name: str) -> None:
        self._stack.setCurrentWidget(page)
        self.inspector.setVisible(name == "chat" and self._wants_inspector)
        self.sidebar.set_page(name)
        self.sidebar_controller.set_open(self.chat.conversation_id if name == "chat" else None)

    def _new_conversation(self) -> None:
        self.chat.open_new()
        self.show_chat()

    def _on_conversation_chosen(self, conversation_id: str) -> None:
        self.show_chat()
        self.chat.open(conversation_id)

    def _on_hit_chosen(self, conversation_id: str, message_id: str) -> None:
        self.show_chat()
        self.chat.open(conversation_id, message_id)

    def _on_page_requested(self, page: str) -> None:
        match page:
            case "models":
                self.show_models()
            case "downloads":
                self.show_models("downloads")
            case "settings":
                self.show_settings()
            case _:
                self.show_settings("privacy")

    def _on_opened(self, conversation_id: str) -> None:
        is_on_chat = self._stack.currentWidget() is self.chat_page
        self.sidebar_controller.set_open((conversation_id or None) if is_on_chat else None)
        has_one = bool(conversation_id)
        self.actions_by_name["rename"].setEnabled(has_one)
        self.actions_by_name["delete"].setEnabled(has_one)
        if self._is_started:  # Also after a crash the next start shows what was open.
            placement = self._make_placement()
            self._tasks.run(lambda: save_placement(self._placement_path, placement), in_order=True)

    def _on_live_changed(self) -> None:
        running = self.live.conversation_ids
        self.sidebar_controller.set_running(running)
        self.writing_changed.emit(bool(running))
        self._prepare_at_rest()

    def _on_models_changed(self) -> None:
        from inglenook.gui.formats import format_bytes

        count = len(self.models.models)
        self.sidebar.models_entry.set_note(f"{count} · {format_bytes(self.models.size_bytes)}")

    def _on_model_chosen(self, model_id: str) -> None:
        self.show_chat()
        self.chat.choose_model(model_id)

    def _on_models_dropped(self, paths: "list[Path]") -> None:
        self.show_models("installed")
        if self._models_page is not None:
            self._models_page.offer_files(paths)

    def _on_restored(self, conversation_id: str) -> None:
        del conversation_id
        self.sidebar_controller.reload()

    def _ask_for_token(self) -> None:
        self.show_settings("models")
        if self._settings_page is not None:
            self._settings_page.ask_for_token()

    def _on_token_changed(self) -> None:
        if self._models_page is not None:
            self._models_page.discover.refresh()

    def _show_remarks(self, remarks: tuple[str, ...]) -> None:
        """Say what happened to the database when it was opened."""
        if remarks:
            self.chat_page.notice.set_surface("warn")
            self.chat_page.notice.show_notice(" ".join(remarks))

    def _resume_downloads(self) -> None:
        """Once the window is up and the model is on its way: nobody waits for these."""
        self._tasks.run(self.app.resume_downloads, self._on_resumed, lambda _: None)
        QTimer.singleShot(LOOK_AFTER_MS, self.found, self.found.look)
        self._wants_pages = True
        self._prepare_at_rest()

    def _prepare_at_rest(self) -> None:
        """Imports take the interpreter from the window: they wait while replies are written."""
        if self._wants_pages and not self.live.conversation_ids:
            self._wants_pages = False
            self._tasks.run(_prepare_pages)

    def _on_resumed(self, has_downloads: bool) -> None:
        if has_downloads:
            self.transfers.refresh()

    def _on_event(self, event: object) -> None:
        if isinstance(event, ForecastChanged):
            self.inspector.show_forecast(event.prediction, event.measured)
        if isinstance(event, SettingChanged) and event.key.startswith("appearance."):
            self.apply_theme()

    def apply_theme(self) -> None:
        """Put the chosen scheme and text size in force."""
        settings = self.app.settings
        self.theme.apply(settings.get("appearance.theme"), settings.get("appearance.zoom"))

    def _toggle_inspector(self) -> None:
        self._set_inspector(not self._wants_inspector)

    def _set_inspector(self, is_wanted: bool) -> None:
        """The inspector belongs to the conversation: other pages have the room for themselves."""
        self._wants_inspector = is_wanted
        self.inspector.setVisible(is_wanted and self._stack.currentWidget() is self.chat_page)
        self.chat_page.inspector_button.setChecked(is_wanted)

    def _attach_files(self) -> None:
        self.show_chat()
        self.chat.writing.choose_files()

    def _rename_open(self) -> None:
        if self.chat.conversation_id is not None:
            self.sidebar.clear_search()
            self.sidebar_controller.set_open(self.chat.conversation_id)
            self.sidebar.rename_current()

    def _delete_open(self) -> None:
        if self.chat.conversation_id is not None:
            self.sidebar_controller.delete(self.chat.conversation_id)

    def _zoom(self, step: int) -> None:
        now = float(self.app.settings.get("appearance.zoom"))
        nearest = min(range(len(ZOOMS)), key=lambda i: abs(ZOOMS[i] - now))
        wanted = ZOOMS[max(0, min(len(ZOOMS) - 1, nearest + step))] if step else 1.0
        settings = self.app.settings
        self._tasks.run(lambda: settings.set("appearance.zoom", wanted), in_order=True)

    def _restore_placement(self) -> None:
        kept = self._placement
        if not (kept.geometry and self.restoreGeometry(QByteArray(kept.geometry))):
            self.resize(1180, 800)
        if len(kept.pane_widths) == self._splitter.count() and any(kept.pane_widths):
            self._splitter.setSizes(list(kept.pane_widths))
        self._set_inspector(kept.has_inspector)

    def _make_placement(self) -> Placement:
        widths = self._splitter.sizes()
        if not self.inspector.isVisible():
            widths[-1] = INSPECTOR_PX
        return Placement(
            geometry=bytes(self.saveGeometry().data()),
            pane_widths=tuple(widths),
            has_inspector=self._wants_inspector,
            conversation_id=self.chat.conversation_id or "",
        )

    @override
    def closeEvent(self, event: QCloseEvent) -> None:
        """Keep the placement and what was written; the rest is closed by `application`."""
        save_placement(self._placement_path, self._make_placement())
        self.chat.close()
        if self._settings_page is not None:
            self._settings_page.take_all()
        super().closeEvent(event)
