"""What other apps have on this computer, as the window knows it: looked for off its thread.

Looked at again when the window comes to the front, when a folder changes, and when a model is used
or forgotten here; never more often than every few seconds, and never while a look is under way.
"""

import time
from typing import TYPE_CHECKING, Final

from PySide6.QtCore import QFileSystemWatcher, QObject, Qt, QTimer, Signal
from PySide6.QtGui import QGuiApplication

from inglenook.app import App
from inglenook.base.errors import UserError
from inglenook.base.settings import SettingChanged
from inglenook.gui.bridge import Bridge
from inglenook.gui.tasks import Tasks
from inglenook.models.events import ModelsChanged

if TYPE_CHECKING:
    from inglenook.models.adopt import Findings

PAUSE_MS: Final = 1000
LEAST_S: Final = 5.0
MAX_WATCHED: Final = 200
FOLDERS: Final = "models.folders"


class FoundModels(QObject):
    """A kept copy of what `neighbours.look()` found last; None before the first look.

    Signals: `changed()` after each look that found something else than the one before.
    """

    changed = Signal()

    def __init__(self, app: App, tasks: Tasks, bridge: Bridge, parent: QObject) -> None:
        super().__init__(parent)
        self._app = app
        self._tasks = tasks
        self.findings: Findings | None = None
        self._is_looking = False
        self._is_stale = False
        self._looked_s = 0.0
        self._watcher: QFileSystemWatcher | None = None
        self._pause = QTimer(self)
        self._pause.setSingleShot(True)
        self._pause.setInterval(PAUSE_MS)
        self._pause.timeout.connect(self.look)
        bridge.happened.connect(self._on_event)
        instance = QGuiApplication.instance()
        if isinstance(instance, QGuiApplication):
            instance.applicationStateChanged.connect(self._on_state_changed)

    def look(self) -> None:
        """Look now; while a look is under way, once more after it."""
        if self._is_looking:
            self._is_stale = True
            return
        self._is_looking = True
        self._pause.stop()
        self._tasks.run(self._look_around, self._on_found, self._on_failed, owner=self)

    def _look_around(self) -> "Findings":
        # Named here, off the window's thread: its first use opens the store.
        return self._app.neighbours.look()

    def _on_found(self, findings: "Findings") -> None:
        self._end_look()
        is_new = findings != self.findings
        self.findings = findings
        if is_new:
            self._watch(findings.folders)
            self.changed.emit()

    def _on_failed(self, error: UserError) -> None:
        del error  # The next look may fare better; nobody asked for this one.
        self._end_look()

    def _end_look(self) -> None:
        self._is_looking = False
        self._looked_s = time.monotonic()
        if self._is_stale:
            self._is_stale = False
            self._pause.start()

    def _watch(self, folders: tuple[str, ...]) -> None:
        """Hear of changes in these folders, as far as the system can watch so many."""
        if self._watcher is None:
            self._watcher = QFileSystemWatcher(self)
            self._watcher.directoryChanged.connect(lambda _: self._pause.start())
        wanted = set(folders[:MAX_WATCHED])
        watched = set(self._watcher.directories())
        if gone := sorted(watched - wanted):
            self._watcher.removePaths(gone)
        if new := sorted(wanted - watched):
            self._watcher.addPaths(new)

    def _on_event(self, event: object) -> None:
        if isinstance(event, SettingChanged):
            is_about_this = event.key == FOLDERS
        else:
            is_about_this = isinstance(event, ModelsChanged)
        if is_about_this and self.findings is not None:
            self._pause.start(0)

    def _on_state_changed(self, state: Qt.ApplicationState) -> None:
        is_due = time.monotonic() - self._looked_s > LEAST_S
        if state == Qt.ApplicationState.ApplicationActive and self.findings is not None and is_due:
            self._pause.start()
