"""Whether a model's file is as it was downloaded: checked when a person asks, one at a time."""

import threading
from typing import TYPE_CHECKING, Final

from PySide6.QtCore import QTimer, Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QProgressBar, QVBoxLayout, QWidget

from inglenook.app import App
from inglenook.base.errors import UserError
from inglenook.base.records import InstalledModel
from inglenook.gui.formats import format_bytes
from inglenook.gui.tasks import Tasks
from inglenook.gui.widgets import make_button, make_label, set_tone

if TYPE_CHECKING:
    from inglenook.models.verifying import Checking, Verdict

POLL_MS: Final = 150
STEPS: Final = 1000


class VerifyView(QFrame):
    """Hidden until asked; then how far the reading is, then what it found.

    Signals: `said(text, surface)` for the notice, when a file cannot be read at all.
    """

    said = Signal(str, str)

    def __init__(self, app: App, tasks: Tasks, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._app = app
        self._tasks = tasks
        self._stop = threading.Event()
        self._told: Checking | None = None
        self._name = ""
        self.is_working = False
        self.setProperty("surface", "card")
        self.setAccessibleName(self.tr("Verify"))
        column = QVBoxLayout(self)
        column.setContentsMargins(16, 10, 16, 10)
        column.setSpacing(6)
        head = QHBoxLayout()
        head.setSpacing(12)
        self.label = make_label("", "strong", wraps=True)
        head.addWidget(self.label, 1)
        self.button = make_button("")
        self.button.clicked.connect(self._on_button)
        head.addWidget(self.button)
        column.addLayout(head)
        self.bar = QProgressBar()
        self.bar.setRange(0, STEPS)
        self.bar.setTextVisible(False)
        column.addWidget(self.bar)
        self.detail = make_label("", "small", wraps=True)
        column.addWidget(self.detail)
        self._timer = QTimer(self)
        self._timer.setInterval(POLL_MS)
        self._timer.timeout.connect(self._show_progress)
        self.destroyed.connect(self._stop.set)
        self.hide()

    def check(self, model: InstalledModel) -> None:
        """Read a model's files and compare; one check after the other."""
        if self.is_working:
            self.said.emit(self.tr("Another model is being checked. Wait, or stop it."), "bar")
            return
        self._begin(model)
        stop = self._stop

        def work() -> "Verdict | None":
            from inglenook.models.hashing import StoppedWorkError

            try:
                return self._app.verifier.verify(model.id, self._tell, stop)
            except StoppedWorkError:
                return None

        self._tasks.run(work, self._on_found, self._on_failed, owner=self)

    def _begin(self, model: InstalledModel) -> None:
        self._stop = threading.Event()
        self.destroyed.connect(self._stop.set)
        self._told = None
        self._name = model.name
        self.is_working = True
        set_tone(self.label, "strong")
        self.button.setText(self.tr("Stop"))
        self.bar.show()
        self._show_progress()
        self._timer.start()
        self.show()

    def _tell(self, checking: "Checking") -> None:
        """Any thread: how far it is; shown by the timer."""
        self._told = checking

    def _show_progress(self) -> None:
        self.label.setText(self.tr("Checking {name}").replace("{name}", self._name))
        told = self._told
        if told is None or not told.size_bytes:
            self.bar.setValue(0)
            self.detail.setText(self.tr("Every byte is read and compared."))
            return
        self.bar.setValue(STEPS * told.done_bytes // told.size_bytes)
        text = self.tr("{done} of {size}").replace("{done}", format_bytes(told.done_bytes))
        self.detail.setText(text.replace("{size}", format_bytes(told.size_bytes)))

    def _on_found(self, verdict: "Verdict | None") -> None:
        self._end()
        if verdict is None:
            self.hide()
            return
        set_tone(self.label, "bad" if verdict.outcome == "damaged" else "strong")
        self.label.setText(verdict.message)
        self.detail.setText("\n".join(f"SHA-256 {sha256}" for sha256 in verdict.sha256))
        self.detail.setVisible(bool(verdict.sha256))
        self.button.setText(self.tr("Close"))

    def _on_failed(self, error: UserError) -> None:
        self._end()
        self.hide()
        self.said.emit(str(error), "bad")

    def _end(self) -> None:
        self.is_working = False
        self._timer.stop()
        self.bar.hide()

    def _on_button(self) -> None:
        if self.is_working:
            self._stop.set()
        else:
            self.hide()
