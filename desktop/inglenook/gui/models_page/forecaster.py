"""Tells the models page more exactly how models run here: measures this machine, reads headers.

On the window's thread; the work is done on worker threads. The machine is measured once, some
moments after the page was first shown. A file's header is asked of the hub when somebody rests the
pointer on its pill, and only then.
"""

from typing import TYPE_CHECKING, Final

from PySide6.QtCore import QObject, QTimer, Signal

from inglenook.app import App
from inglenook.base.errors import UserError
from inglenook.gui.tasks import Tasks
from inglenook.models.fit import Fit, fit_of

if TYPE_CHECKING:
    from inglenook.gui.models_page.file_row import FileRow

MEASURE_AFTER_MS: Final = 2500
REST_MS: Final = 350


class Forecaster(QObject):
    """Signals: `machine_changed()` when there is more to tell of every model."""

    machine_changed = Signal()

    def __init__(self, app: App, tasks: Tasks, parent: QObject) -> None:
        super().__init__(parent)
        self._app = app
        self._tasks = tasks
        self._is_asked = False
        self._wanted: FileRow | None = None
        self._known: dict[str, Fit] = {}
        self._pause = QTimer(self)
        self._pause.setSingleShot(True)
        self._pause.setInterval(REST_MS)
        self._pause.timeout.connect(self._read_wanted)
        self._start = QTimer(self)
        self._start.setSingleShot(True)
        self._start.setInterval(MEASURE_AFTER_MS)
        self._start.timeout.connect(self._measure)

    def begin(self) -> None:
        """The page is shown: soon this machine is measured, unless it was."""
        if not self._is_asked and not self._start.isActive():
            self._start.start()

    def stop(self) -> None:
        """The page is not shown any more: what has not begun is left for the next time."""
        self._start.stop()

    def watch(self, row: "FileRow") -> None:
        """Tell more of a file when somebody wants to know."""
        if row.pill is None:
            return
        known = self._known.get(row.offer.name)
        if known is not None:
            row.pill.show_fit(known)
        row.pill.asked.connect(lambda: self._want(row))

    def _want(self, row: "FileRow") -> None:
        if row.offer.name not in self._known:
            self._wanted = row
            self._pause.start()

    def _read_wanted(self) -> None:
        row, self._wanted = self._wanted, None
        if row is None or row.pill is None:
            return
        if not (row.pill.underMouse() or row.pill.hasFocus()):
            return
        pill, name, app = row.pill, row.offer.name, self._app

        def work() -> Fit | None:
            file = app.hub_client.resolve(name).file
            prediction = app.forecasts.predict_remote(file)
            return fit_of(prediction) if prediction is not None else None

        def done(fit: Fit | None) -> None:
            if fit is not None:
                self._known[name] = fit
                pill.show_fit(fit)

        def failed(error: UserError) -> None:
            pill.show_fit(pill.fit, error.message)

        self._tasks.run(work, done, failed, owner=pill)

    def _measure(self) -> None:
        """Measure, in an engine of its own; a reply that is being written has the machine first."""
        if self._app.engine.state.phase in {"starting", "loading"}:
            self._start.start()
            return
        self._is_asked = True

        def work() -> bool:
            forecasts = self._app.forecasts
            if forecasts.is_replying:
                return False
            forecasts.measure()
            return True

        def done(is_measured: bool) -> None:
            if not is_measured:
                self._is_asked = False
                self._start.start()
                return
            self._known.clear()
            self.machine_changed.emit()

        self._tasks.run(work, done, lambda _: None, owner=self)
