"""Newer files of installed models: looked for when a person asks, taken one by one."""

from typing import TYPE_CHECKING

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from inglenook.app import App
from inglenook.base.errors import UserError
from inglenook.gui.formats import format_bytes
from inglenook.gui.tasks import Tasks
from inglenook.gui.widgets import ElidedLabel, clear_layout, make_button, make_label, make_line

if TYPE_CHECKING:
    from inglenook.models.updates import Update


class UpdatesView(QFrame):
    """Hidden until asked; then that the hub is asked, then what it has.

    Signals: `said(text, surface)` for the notice, `update_requested(name)`.
    """

    said = Signal(str, str)
    update_requested = Signal(str)

    def __init__(self, app: App, tasks: Tasks, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._app = app
        self._tasks = tasks
        self._is_asking = False
        self.buttons: list[QPushButton] = []
        self.setProperty("surface", "card")
        self.setAccessibleName(self.tr("Newer files"))
        column = QVBoxLayout(self)
        column.setContentsMargins(16, 10, 16, 10)
        column.setSpacing(6)
        head = QHBoxLayout()
        self.label = make_label("", "strong")
        head.addWidget(self.label)
        head.addStretch(1)
        self.close_button = make_button(self.tr("Close"))
        self.close_button.clicked.connect(self.hide)
        head.addWidget(self.close_button)
        column.addLayout(head)
        self._rows = QVBoxLayout()
        self._rows.setSpacing(6)
        column.addLayout(self._rows)
        self.hide()

    def look(self) -> None:
        """Ask the hub about every model that came from it."""
        if self._is_asking:
            return
        self._is_asking = True
        self.buttons.clear()
        clear_layout(self._rows)
        self.label.setText(self.tr("Asking the hub for newer files"))
        self.close_button.hide()
        self.show()

        def work() -> "tuple[Update, ...]":
            return self._app.updates.look()

        self._tasks.run(work, self._on_found, self._on_failed, owner=self)

    def _on_found(self, updates: "tuple[Update, ...]") -> None:
        self._is_asking = False
        if not updates:
            self.hide()
            self.said.emit(self.tr("No installed model has a newer file on the hub."), "bar")
            return
        text = self.tr("1 model has a newer file on the hub")
        if len(updates) > 1:
            text = self.tr("{n} models have newer files on the hub")
        self.label.setText(text.replace("{n}", str(len(updates))))
        self.close_button.show()
        for update in updates:
            self._rows.addWidget(make_line())
            self._rows.addLayout(self._make_row(update))

    def _make_row(self, update: "Update") -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(10)
        row.addWidget(ElidedLabel(update.name), 1)
        row.addWidget(make_label(format_bytes(update.size_bytes), "quiet"))
        button = make_button(self.tr("Update"), "primary")
        button.setAccessibleName(
            self.tr("Take the newer file of {name}").replace("{name}", update.name)
        )
        button.clicked.connect(lambda: self._take(update, button))
        self.buttons.append(button)
        row.addWidget(button)
        return row

    def _take(self, update: "Update", button: QPushButton) -> None:
        button.setEnabled(False)
        self.update_requested.emit(update.name)

    def _on_failed(self, error: UserError) -> None:
        self._is_asking = False
        self.hide()
        self.said.emit(str(error), "bad")
