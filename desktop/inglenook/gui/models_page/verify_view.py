"""Whether a model's file is as it was downloaded, or a chosen file is the missing one.

Read when a person asks, one at a time.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QProgressBar, QVBoxLayout, QWidget

from inglenook.app import App
from inglenook.base.errors import UserError
from inglenook.base.records import InstalledModel
from inglenook.gui.formats import format_bytes
from inglenook.gui.long_work import STEPS, LongWork, Told, find_share
from inglenook.gui.tasks import Tasks
from inglenook.gui.widgets import make_button, make_label, set_tone

if TYPE_CHECKING:
    from inglenook.models.verifying import Verdict


@dataclass(frozen=True, slots=True)
class _Reading:
    done_bytes: int
    size_bytes: int


class VerifyView(QFrame):
    """Hidden until asked; then how far the reading is, then what it found.

    Signals: `said(text, surface)` for the notice, when a file cannot be read at all.
    """

    said = Signal(str, str)

    def __init__(self, app: App, tasks: Tasks, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._app = app
        self._work = LongWork(tasks, self)
        self._work.moved.connect(self._show_progress)
        self._title = ""
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
        self.hide()

    @property
    def is_working(self) -> bool:
        """Whether a file is being read."""
        return self._work.is_working

    def check(self, model: InstalledModel) -> None:
        """Read a model's files and compare; one check after the other."""
        if self._begin(self.tr("Checking {name}").replace("{name}", model.name)):
            self._work.begin(
                lambda tell, stop: self._app.verifier.verify(model.id, tell, stop),
                self._on_found,
                self._on_failed,
            )

    def compare(self, model: InstalledModel, path: Path) -> None:
        """Read a chosen file, and take it for a model's missing one where it is the same."""

        def work(tell: Callable[[Told], None], stop: threading.Event) -> InstalledModel:
            n_read = 0

            def count(n_bytes: int) -> None:
                nonlocal n_read
                n_read = min(n_read + n_bytes, model.size_bytes)
                tell(_Reading(n_read, model.size_bytes))

            return self._app.relocation.find_by_hand(model.id, path, count, stop)

        def done(found: InstalledModel | None) -> None:
            self._end()
            self.hide()
            if found is not None:
                text = self.tr("{name} is found again, and can be used.")
                self.said.emit(text.replace("{name}", found.name), "bar")

        if self._begin(self.tr("Comparing {name}").replace("{name}", path.name)):
            self._work.begin(work, done, self._on_failed)

    def _begin(self, title: str) -> bool:
        """Show that files are read now; False where others still are."""
        if self._work.is_working:
            self.said.emit(self.tr("Another file is being read. Wait, or stop it."), "bar")
            return False
        self._title = title
        set_tone(self.label, "strong")
        self.button.setText(self.tr("Stop"))
        self.bar.show()
        self.detail.show()
        self.show()
        return True

    def _show_progress(self, told: Told | None) -> None:
        self.label.setText(self._title)
        self.bar.setValue(round(STEPS * find_share(told)))
        if told is None or not told.size_bytes:
            self.detail.setText(self.tr("Every byte is read and compared."))
            return
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
        self.bar.hide()

    def _on_button(self) -> None:
        if self._work.is_working:
            self._work.stop()
        else:
            self.hide()
