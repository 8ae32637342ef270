"""Models that are on this computer more than once: looked for and shared when a person asks."""

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from inglenook.app import App
from inglenook.base.errors import UserError
from inglenook.gui.formats import format_bytes, format_path
from inglenook.gui.long_work import LongWork, Told, find_share
from inglenook.gui.tasks import Tasks
from inglenook.gui.widgets import ElidedLabel, clear_layout, make_button, make_label, make_line

if TYPE_CHECKING:
    from inglenook.models.duplicates import Copy, Group

MAX_GROUPS: Final = 40


class DuplicatesView(QFrame):
    """Hidden until asked; then how far the comparison is, then what is here twice.

    Signals: `said(text, surface)` for the notice.
    """

    said = Signal(str, str)

    def __init__(self, app: App, tasks: Tasks, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._app = app
        self._work = LongWork(tasks, self)
        self._work.moved.connect(self._show_progress)
        self.buttons: list[QPushButton] = []
        self.setProperty("surface", "card")
        self.setAccessibleName(self.tr("Duplicates"))
        column = QVBoxLayout(self)
        column.setContentsMargins(16, 10, 16, 10)
        column.setSpacing(6)
        head = QHBoxLayout()
        self.label = make_label("", "strong")
        head.addWidget(self.label)
        head.addStretch(1)
        self.stop = make_button("")
        self.stop.clicked.connect(self._on_stop)
        head.addWidget(self.stop)
        column.addLayout(head)
        self._rows = QVBoxLayout()
        self._rows.setSpacing(6)
        column.addLayout(self._rows)
        self.hide()

    def look(self) -> None:
        """Compare the files; what is known of them is not read again."""
        if self._work.is_working:
            return
        self._show_is_working()
        clear_layout(self._rows)

        def work(tell: Callable[[Told], None], stop: threading.Event) -> "tuple[Group, ...]":
            return self._app.duplicates.find(tell, stop)  # Named on the worker thread: it is slow.

        self._work.begin(work, self._on_found, self._on_failed)

    def _show_is_working(self) -> None:
        for button in self.buttons:
            button.setEnabled(False)
        self.stop.setText(self.tr("Stop"))
        self.show()

    def _show_progress(self, told: Told | None) -> None:
        text = self.tr("Comparing files, {percent}")
        percent = f"{find_share(told):.0%}".replace("%", " %")
        self.label.setText(text.replace("{percent}", percent))

    def _on_found(self, groups: "tuple[Group, ...] | None") -> None:
        if not groups:
            self.hide()
            if groups is not None:
                self.said.emit(self.tr("No model is here twice."), "bar")
            return
        text = self.tr("1 model is here more than once")
        if len(groups) > 1:
            text = self.tr("{n} models are here more than once").replace("{n}", str(len(groups)))
        self.label.setText(text)
        self.stop.setText(self.tr("Close"))
        self.buttons.clear()
        for group in groups[:MAX_GROUPS]:
            self._rows.addWidget(make_line())
            self._add_group(group)

    def _add_group(self, group: "Group") -> None:
        for copy in group.copies:
            row = QWidget()
            layout = QHBoxLayout(row)
            layout.setContentsMargins(0, 0, 0, 0)
            layout.setSpacing(10)
            layout.addWidget(make_label(format_bytes(group.size_bytes), "quiet"))
            layout.addWidget(ElidedLabel(format_path(copy.path)), 1)
            if copy in group.shareable:
                layout.addWidget(self._make_share(group, copy))
            self._rows.addWidget(row)

    def _make_share(self, group: "Group", copy: "Copy") -> QPushButton:
        text = self.tr("Free {size}").replace("{size}", format_bytes(group.size_bytes))
        button = make_button(text)
        button.setAccessibleName(f"{text}: {copy.name}")
        button.setToolTip(self.tr("Both names stay, and point to one file on the disk."))
        button.clicked.connect(lambda: self._share(group, copy))
        self.buttons.append(button)
        return button

    def _share(self, group: "Group", copy: "Copy") -> None:
        def done(freed_bytes: int | None) -> None:
            if freed_bytes:
                text = self.tr("{size} are free again.").replace(
                    "{size}", format_bytes(freed_bytes)
                )
                self.said.emit(text, "bar")
            self.look()

        self._show_is_working()
        self._work.begin(
            lambda tell, stop: self._app.duplicates.share(group, copy, tell, stop),
            done,
            self._on_failed,
        )

    def _on_failed(self, error: UserError) -> None:
        self.hide()
        self.said.emit(str(error), "bad")

    def _on_stop(self) -> None:
        if self._work.is_working:
            self._work.stop()
        else:
            self.hide()
