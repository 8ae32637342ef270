"""Asks in place what to do with model files that were dropped or chosen, and does it."""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QProgressBar, QVBoxLayout, QWidget

from inglenook.app import App
from inglenook.base.errors import UserError
from inglenook.base.records import InstalledModel
from inglenook.gui.formats import format_bytes
from inglenook.gui.icons import IconButton
from inglenook.gui.long_work import STEPS, LongWork, Told, find_share
from inglenook.gui.tasks import Tasks
from inglenook.gui.theme import Theme
from inglenook.gui.widgets import ElidedLabel, make_button, make_label

if TYPE_CHECKING:
    import threading

    from inglenook.models.intake import Way

MAX_FILES: Final = 100


@dataclass(frozen=True, slots=True)
class Offered:
    """A model file that may be brought in; `owner` is the app that it belongs to."""

    path: Path
    size_bytes: int
    owner: str


class ImportBar(QFrame):
    """Use in place, copy, move; then how far it is. One file after the other.

    Signals: `said(text, surface)`, `imported(InstalledModel)`.
    """

    said = Signal(str, str)
    imported = Signal(object)

    def __init__(self, app: App, theme: Theme, tasks: Tasks, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._app = app
        self._tasks = tasks
        self._waiting: deque[Path] = deque()
        self._offered: Offered | None = None
        self._work = LongWork(tasks, self)
        self._work.moved.connect(self._show_progress)
        self.setProperty("surface", "bar")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        column = QVBoxLayout(self)
        column.setContentsMargins(12, 8, 8, 8)
        column.setSpacing(4)
        row = QHBoxLayout()
        row.setSpacing(8)
        self.label = ElidedLabel("", "strong")
        self.in_place = make_button(self.tr("Use it where it is"), "primary")
        self.copy = make_button(self.tr("Copy"))
        self.move_button = make_button(self.tr("Move"))
        self.stop = make_button(self.tr("Stop"))
        self.close_button = IconButton(theme, "close", self.tr("Leave it"), size_px=14)
        self.copy.setAccessibleName(self.tr("Copy it into Inglenook's models folder"))
        self.move_button.setAccessibleName(self.tr("Move it into Inglenook's models folder"))
        row.addWidget(self.label, 1)
        for part in (self.in_place, self.copy, self.move_button, self.stop, self.close_button):
            row.addWidget(part)
        column.addLayout(row)
        self.note = make_label("", "small", wraps=True)
        column.addWidget(self.note)
        self.bar = QProgressBar()
        self.bar.setRange(0, STEPS)
        self.bar.setTextVisible(False)
        column.addWidget(self.bar)
        self.in_place.clicked.connect(lambda: self._bring("in_place"))
        self.copy.clicked.connect(lambda: self._bring("copy"))
        self.move_button.clicked.connect(lambda: self._bring("move"))
        self.stop.clicked.connect(self._work.stop)
        self.close_button.clicked.connect(self._leave)
        self.hide()

    def offer(self, paths: Iterable[Path]) -> None:
        """Ask about each of these files, one after the other."""
        self._waiting.extend(list(paths)[:MAX_FILES])
        if self._offered is None:
            self._ask_next()

    def _ask_next(self) -> None:
        self._offered = None
        if not self._waiting:
            self.hide()
            return
        path = self._waiting.popleft()

        def work() -> Offered:
            from inglenook.models.inspection import inspect_model

            inspection = inspect_model(path)
            return Offered(path, inspection.size_bytes, self._app.find_owner(path))

        def failed(error: UserError) -> None:
            self.said.emit(str(error), "bad")
            self._ask_next()

        self._tasks.run(work, self._ask, failed, owner=self)

    def _ask(self, offered: Offered) -> None:
        from inglenook.models.adopted.candidates import name_app

        self._offered = offered
        text = f"{offered.path.name} · {format_bytes(offered.size_bytes)}"
        self.label.set_full_text(text)
        self.setAccessibleName(self.tr("Import {name}").replace("{name}", offered.path.name))
        if offered.owner:
            note = self.tr("It belongs to {app}: it is used where it is, or copied, never moved.")
            note = note.replace("{app}", name_app(offered.owner))
        else:
            note = self.tr(
                "Where it is, it costs no space. Copy and Move put it into Inglenook's own folder."
            )
        self.note.setText(note)
        self._show_phase(is_working=False)
        self.show()

    def _show_phase(self, *, is_working: bool) -> None:
        is_theirs = self._offered is not None and bool(self._offered.owner)
        for button in (self.in_place, self.copy, self.close_button):
            button.setVisible(not is_working)
        self.move_button.setVisible(not is_working and not is_theirs)
        self.stop.setVisible(is_working)
        self.bar.setVisible(is_working)
        self.note.setVisible(True)

    def _bring(self, way: "Way") -> None:
        offered = self._offered
        if offered is None:
            return
        if way != "in_place":
            self._show_phase(is_working=True)

        def work(
            tell: Callable[[Told], None], stop: "threading.Event"
        ) -> tuple[InstalledModel, str]:
            from inglenook.chat.template_trial import find_template_problem

            model = self._app.intake.bring_in(offered.path, way, tell, stop)
            return model, find_template_problem(model.path)

        self._work.begin(work, self._on_done, self._on_failed)

    def _show_progress(self, told: Told | None) -> None:
        if self.bar.isHidden():
            return
        share = find_share(told)
        self.bar.setValue(round(share * STEPS))
        self.bar.setAccessibleName(self.tr("Copied"))
        text = self.tr("Copying, {percent}").replace("{percent}", f"{share:.0%}".replace("%", " %"))
        self.note.setText(text)

    def _on_done(self, brought: tuple[InstalledModel, str] | None) -> None:
        if brought is not None:
            model, problem = brought
            text = self.tr("{name} can be used now.").replace("{name}", model.name)
            self.said.emit(f"{text} {problem}".rstrip(), "bar")
            self.imported.emit(model)
        self._ask_next()

    def _on_failed(self, error: UserError) -> None:
        self.said.emit(str(error), "bad")
        self._ask_next()

    def _leave(self) -> None:
        self._waiting.clear()
        self._ask_next()
