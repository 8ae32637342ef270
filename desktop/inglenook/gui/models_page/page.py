"""The models page's frame: tabs and a field in its header, import by file or by drop."""

from collections.abc import Iterable
from pathlib import Path
from typing import override

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QShowEvent
from PySide6.QtWidgets import (
    QButtonGroup,
    QFileDialog,
    QFrame,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from inglenook.app import App
from inglenook.base.errors import UserError
from inglenook.base.records import InstalledModel
from inglenook.base.settings import SettingChanged
from inglenook.chat.forecast_events import ForecastChanged, MachineMeasured
from inglenook.gui.bridge import Bridge
from inglenook.gui.formats import format_path
from inglenook.gui.found import FOLDERS, FoundModels
from inglenook.gui.installed import InstalledModels
from inglenook.gui.models_page.discover import Discover
from inglenook.gui.models_page.downloads_tab import DownloadsTab
from inglenook.gui.models_page.installed_tab import InstalledTab
from inglenook.gui.tasks import Tasks
from inglenook.gui.theme import Theme
from inglenook.gui.transfers import Transfers
from inglenook.gui.widgets import NoticeBar, make_button, make_label, make_surface

TABS = ("discover", "installed", "downloads")
FILTER_PAUSE_MS = 120
OFFLINE = "privacy.offline"


class ModelsPage(QFrame):
    """Discover, Installed, Downloads.

    Signals: `model_chosen(model_id)` to talk with a model, `link_requested(address)`,
    `token_requested()` where the hub gives something only to people it knows.
    """

    model_chosen = Signal(str)
    link_requested = Signal(str)
    token_requested = Signal()

    def __init__(
        self,
        app: App,
        theme: Theme,
        tasks: Tasks,
        bridge: Bridge,
        models: InstalledModels,
        found: FoundModels,
        transfers: Transfers,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._app = app
        self._found = found
        self._theme = theme
        self._tasks = tasks
        self._models = models
        self.setProperty("surface", "paper")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self.setAccessibleName(self.tr("Models"))
        self.setAcceptDrops(True)
        self.transfers = transfers
        # From the outside in: what gets another parent is styled anew with all below it.
        self._stack = QStackedWidget(self)
        self.discover = Discover(app, theme, tasks, models, self.transfers, self._stack)
        self._installed: InstalledTab | None = None
        self._downloads: DownloadsTab | None = None
        self._pause = QTimer(self)
        self._pause.setSingleShot(True)
        self._pause.setInterval(FILTER_PAUSE_MS)
        self._pause.timeout.connect(self._on_filter_paused)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self._make_header())
        self.notice = NoticeBar(theme)
        self.offline = NoticeBar(theme, "warn")
        for notice in (self.offline, self.notice):
            notice_row = QHBoxLayout()
            notice_row.setContentsMargins(28, 8, 28, 0)
            notice_row.addWidget(notice)
            column.addLayout(notice_row)
        self._stack.addWidget(self.discover)
        column.addWidget(self._stack, 1)
        self._connect()
        bridge.happened.connect(self._on_event)
        self._update_counts()
        self._show_offline()

    def show_tab(self, name: str) -> None:
        """Show one of the tabs: "discover", "installed" or "downloads"."""
        index = TABS.index(name)
        self._tabs[index].setChecked(True)
        self._stack.setCurrentWidget(self._find_tab(name))

    def _find_tab(self, name: str) -> QWidget:
        match name:
            case "installed":
                return self.installed
            case "downloads":
                return self.downloads
            case _:
                return self.discover

    @property
    def installed(self) -> InstalledTab:
        """The models on this disk; made when it is first asked for."""
        if self._installed is None:
            made = InstalledTab(
                self._app, self._theme, self._tasks, self._models, self._found, self._stack
            )
            made.model_chosen.connect(self.model_chosen)
            made.import_requested.connect(self.choose_file)
            made.folder_requested.connect(self.choose_folder)
            made.update_requested.connect(self._on_update_requested)
            made.said.connect(self._say)
            self._stack.addWidget(made)
            self._installed = made
        return self._installed

    @property
    def downloads(self) -> DownloadsTab:
        """The downloads; made when they are first asked for."""
        if self._downloads is None:
            self._downloads = DownloadsTab(self._theme, self.transfers, self._stack)
            self._stack.addWidget(self._downloads)
        return self._downloads

    def import_file(self, path: Path) -> None:
        """Check a GGUF file on this disk and use it where it lies."""

        def done(model: InstalledModel) -> None:
            self.show_tab("installed")
            text = self.tr("{name} can be used now.").replace("{name}", model.name)
            self._say(text, "bar")

        self._tasks.run(
            lambda: self._app.library.import_file(path),
            done,
            lambda error: self._say(str(error), "bad"),
            owner=self,
            in_order=True,
        )

    def offer_files(self, paths: Iterable[Path]) -> None:
        """Ask in place what to do with model files: use them where they are, copy, move."""
        self.show_tab("installed")
        self.installed.offer_files(paths)

    # --- parts ---

    def _make_header(self) -> QWidget:
        header = make_surface("header")
        header.setMinimumHeight(56)
        row = QHBoxLayout(header)
        row.setContentsMargins(20, 8, 20, 8)
        row.setSpacing(4)
        row.addWidget(make_label(self.tr("Models"), "heading"))
        row.addSpacing(10)
        self._group = QButtonGroup(self)
        self._tabs: list[QPushButton] = []
        for i, name in enumerate((self.tr("Discover"), self.tr("Installed"), self.tr("Downloads"))):
            tab = make_button(name, "tab")
            tab.setCheckable(True)
            self._group.addButton(tab, i)
            self._tabs.append(tab)
            row.addWidget(tab)
        self._tabs[0].setChecked(True)
        row.addStretch(1)
        self.field = QLineEdit()
        self.field.setPlaceholderText(self.tr("Search, or paste owner/repo or a page's address"))
        self.field.setAccessibleName(
            self.tr("Search for models, or paste owner/repo or a page's address")
        )
        self.field.setClearButtonEnabled(True)
        self.field.setMinimumWidth(self._theme.px(130))
        self.field.setMaximumWidth(self._theme.px(400))
        self.field.setMaxLength(500)
        row.addWidget(self.field, 2)
        # Whoever opens the page may type at once.
        self.setFocusProxy(self.field)
        return header

    def _connect(self) -> None:
        self._group.idClicked.connect(lambda index: self.show_tab(TABS[index]))
        self.field.textChanged.connect(lambda _: self._pause.start())
        self.field.returnPressed.connect(self._on_field_entered)
        self.discover.model_chosen.connect(self.model_chosen)
        self.discover.link_requested.connect(self.link_requested)
        self.discover.token_requested.connect(self.token_requested)
        self.transfers.changed.connect(self._update_counts)
        self.transfers.refused.connect(self._on_refused)
        self._models.changed.connect(self._update_counts)
        self.offline.acted.connect(self._go_online)

    def choose_file(self) -> None:
        """Let the person choose a file to import."""
        dialog = QFileDialog(self, self.tr("Import a model"))
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
        dialog.setNameFilters([self.tr("GGUF models (*.gguf)"), self.tr("All files (*)")])
        dialog.fileSelected.connect(lambda name: self.offer_files([Path(name)]))
        dialog.open()

    def choose_folder(self) -> None:
        """Let the person name a folder whose models are found from now on."""
        dialog = QFileDialog(self, self.tr("Add a folder with models"))
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setFileMode(QFileDialog.FileMode.Directory)
        dialog.fileSelected.connect(self.add_folder)
        dialog.open()

    def add_folder(self, name: str) -> None:
        """Look for models in a folder from now on; the setting `models.folders` lists it."""
        settings = self._app.settings

        def work() -> None:
            folders = str(settings.get(FOLDERS)).splitlines()
            settings.set(FOLDERS, "\n".join(dict.fromkeys((*folders, name))))

        def done(_: None) -> None:
            text = self.tr("The models in {name} are listed below as they are found.")
            self._say(text.replace("{name}", format_path(name)), "bar")

        failed = self._on_folder_refused
        self._tasks.run(work, done, failed, owner=self, in_order=True)

    def _on_folder_refused(self, error: UserError) -> None:
        self._say(str(error), "bad")

    # --- what happens ---

    def _on_filter_paused(self) -> None:
        if self.field.text().strip():
            self.show_tab("discover")
        self.discover.set_words(self.field.text())

    def _on_field_entered(self) -> None:
        self.show_tab("discover")
        self._pause.stop()
        if not self.discover.open_name(self.field.text()):
            self.discover.set_words(self.field.text(), at_once=True)

    def _on_update_requested(self, name: str) -> None:
        self.transfers.start(name, takes_update=True)

    def _on_refused(self, name: str, error: UserError) -> None:
        del name
        if self._stack.currentWidget() is not self.discover:
            self._say(str(error), "bad")

    def _say(self, text: str, surface: str) -> None:
        self.notice.set_surface(surface)
        self.notice.show_notice(text)

    def _on_event(self, event: object) -> None:
        if isinstance(event, ForecastChanged | MachineMeasured) and self._installed is not None:
            self._installed.tell_forecasts()
        if isinstance(event, SettingChanged) and event.key == OFFLINE:
            self._show_offline()

    def _show_offline(self) -> None:
        """Say what does not work now, and how to change that."""
        if self._app.settings.get(OFFLINE):
            text = self.tr(
                "You work offline: installed models can be used, but the hub is not searched and "
                "nothing is downloaded."
            )
            self.offline.show_notice(text, self.tr("Go online"))
        else:
            self.offline.hide()
            self.discover.refresh()

    def _go_online(self) -> None:
        settings = self._app.settings
        self._tasks.run(lambda: settings.set(OFFLINE, False), in_order=True)

    def _update_counts(self) -> None:
        n_models, n_downloads = len(self._models.models), self.transfers.n_open
        self._tabs[1].setText(f"{self.tr('Installed')} {n_models or ''}".rstrip())
        self._tabs[2].setText(f"{self.tr('Downloads')} {n_downloads or ''}".rstrip())

    @override
    def showEvent(self, event: QShowEvent) -> None:
        """Ask for the downloads, which may be from an earlier start, and look around."""
        super().showEvent(event)
        self.transfers.refresh()
        self._found.look()

    @override
    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Take files of this machine, nothing else."""
        if any(url.isLocalFile() for url in event.mimeData().urls()):
            event.acceptProposedAction()

    @override
    def dropEvent(self, event: QDropEvent) -> None:
        """Ask about what was dropped."""
        urls = event.mimeData().urls()
        self.offer_files(Path(url.toLocalFile()) for url in urls if url.isLocalFile())
        event.acceptProposedAction()
