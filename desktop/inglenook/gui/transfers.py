"""Downloads as the window follows them: for its tray and the models page; polled while they run."""

from collections.abc import Callable
from typing import Final

from PySide6.QtCore import QObject, QTimer, Signal

from inglenook.app import App
from inglenook.base.errors import UserError
from inglenook.gui.bridge import Bridge
from inglenook.gui.tasks import Tasks
from inglenook.models.events import DownloadChanged
from inglenook.models.progress import DownloadState

POLL_MS: Final = 400
ENDED: Final = frozenset({"done", "failed", "paused", "cancelled"})


class Transfers(QObject):
    """Starts, pauses, resumes and cancels downloads, and keeps their states.

    `app.downloads` is only named on worker threads: its first use reads the disk and imports much.

    Signals: `changed()`, `refused(name, UserError)` when a download could not even begin.
    """

    changed = Signal()
    refused = Signal(str, object)

    def __init__(self, app: App, tasks: Tasks, bridge: Bridge, parent: QObject) -> None:
        super().__init__(parent)
        self._app = app
        self._tasks = tasks
        self._ids: dict[str, str] = {}
        self._starting: set[str] = set()
        self._is_asking = self._asks_again = False
        self.states: tuple[DownloadState, ...] = ()
        self._timer = QTimer(self)
        self._timer.setInterval(POLL_MS)
        self._timer.timeout.connect(self.refresh)
        bridge.happened.connect(self._on_event)

    def start(self, name: str, *, takes_update: bool = False) -> None:
        """Download `owner/repo:QUANT` or `owner/repo/file.gguf`, or a newer file of it."""
        if name in self._starting:
            return
        self._starting.add(name)
        self.changed.emit()

        def done(download_id: str) -> None:
            self._starting.discard(name)
            self._ids[name] = download_id
            self.refresh()

        def failed(error: UserError) -> None:
            self._starting.discard(name)
            self.refused.emit(name, error)
            self.changed.emit()

        def work() -> str:
            return self._app.downloads.start(name, takes_update=takes_update)

        self._tasks.run(work, done, failed, owner=self)

    def pause(self, download_id: str) -> None:
        """Pause; what is there stays."""
        self._do(lambda: self._app.downloads.pause(download_id))

    def resume(self, download_id: str) -> None:
        """Go on where it stopped, also after a failure."""
        self._do(lambda: self._app.downloads.resume(download_id))

    def cancel(self, download_id: str) -> None:
        """Give up, and delete what is there."""
        self._ids = {name: key for name, key in self._ids.items() if key != download_id}
        self._do(lambda: self._app.downloads.cancel(download_id))

    def move_up(self, download_id: str) -> None:
        """Let one that waits go before the one that waits before it."""
        self._do(lambda: self._app.downloads.move_up(download_id))

    def forget(self, download_id: str) -> None:
        """Take one that is over from the list."""
        self._do(lambda: self._app.downloads.forget(download_id))

    def is_starting(self, name: str) -> bool:
        """Whether a download was asked for and has no state yet."""
        return name in self._starting

    def find(self, name: str, repo: str, is_file: Callable[[str], bool]) -> DownloadState | None:
        """The download of a name, else the newest of a repository whose file fits."""
        wanted = self._ids.get(name)
        for state in reversed(self.states):
            if state.id == wanted:
                return state
        for state in reversed(self.states):
            if state.repo == repo and state.filename and is_file(state.filename):
                return state
        return None

    @property
    def n_open(self) -> int:
        """Downloads that are not done."""
        return sum(1 for state in self.states if state.phase not in {"done", "cancelled"})

    def refresh(self) -> None:
        """Ask for the states; never twice at a time, and once more for what came meanwhile."""
        self._asks_again = self._is_asking
        if self._is_asking:
            return
        self._is_asking = True

        def work() -> tuple[DownloadState, ...]:
            return self._app.downloads.list()

        self._tasks.run(work, self._on_listed, self._on_failed, owner=self)

    def _on_listed(self, states: tuple[DownloadState, ...]) -> None:
        self._is_asking = False
        is_running = any(state.phase not in ENDED for state in states)
        if is_running and not self._timer.isActive():
            self._timer.start()
        elif not is_running:
            self._timer.stop()
        if states != self.states:
            self.states = states
        self.changed.emit()
        if self._asks_again:
            self.refresh()

    def _on_failed(self, error: UserError) -> None:
        del error
        self._is_asking = False
        if self._asks_again:
            self.refresh()

    def _do(self, work: Callable[[], object]) -> None:
        self._tasks.run(work, lambda _: self.refresh(), owner=self)

    def _on_event(self, event: object) -> None:
        if isinstance(event, DownloadChanged):
            self.refresh()
