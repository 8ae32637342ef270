"""Where the models are: opened, or moved to another place, with how far that is."""

from pathlib import Path

from PySide6.QtCore import Qt, QUrl
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QFileDialog, QHBoxLayout, QProgressBar, QVBoxLayout, QWidget

from inglenook.app import App
from inglenook.base.errors import UserError
from inglenook.gui.formats import format_bytes
from inglenook.gui.long_work import STEPS, LongWork, Told, find_share
from inglenook.gui.tasks import Tasks
from inglenook.gui.widgets import ElidedLabel, make_button, make_label, set_tone


class ModelsFolderRow(QWidget):
    """The path of the models folder, Open and Move; below it, a move that is under way."""

    def __init__(self, app: App, tasks: Tasks, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._app = app
        self.work = LongWork(tasks, self)
        self.work.moved.connect(self._show_progress)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 10, 0, 10)
        column.setSpacing(6)
        column.addLayout(self._make_head())
        self.bar = QProgressBar()
        self.bar.setRange(0, STEPS)
        self.bar.setTextVisible(False)
        self.bar.setAccessibleName(self.tr("Moved"))
        self.bar.hide()
        column.addWidget(self.bar)
        self.note = make_label("", "small", wraps=True)
        self.note.hide()
        column.addWidget(self.note)
        self._show_unfinished()

    def _make_head(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(8)
        texts = QVBoxLayout()
        texts.setSpacing(2)
        texts.addWidget(make_label(self.tr("Models folder"), "strong"))
        self.path = ElidedLabel(str(self._app.profile.models), "small")
        texts.addWidget(self.path)
        row.addLayout(texts, 1)
        self.open_button = make_button(self.tr("Open"))
        self.open_button.setAccessibleName(self.tr("Open the models folder"))
        self.open_button.clicked.connect(self._open)
        self.move_button = make_button(self.tr("Move…"))
        self.move_button.setAccessibleName(self.tr("Move the models to another folder"))
        self.move_button.clicked.connect(self._choose)
        self.continue_button = make_button(self.tr("Continue"))
        self.continue_button.setAccessibleName(self.tr("Go on with the move of the models"))
        self.continue_button.clicked.connect(self._go_on)
        self.stop_button = make_button(self.tr("Stop"))
        self.stop_button.setAccessibleName(self.tr("Stop the move of the models"))
        self.stop_button.clicked.connect(self.work.stop)
        self.stop_button.hide()
        for button in (
            self.open_button,
            self.continue_button,
            self.move_button,
            self.stop_button,
        ):
            row.addWidget(button, 0, Qt.AlignmentFlag.AlignTop)
        return row

    def move_to(self, folder: Path) -> None:
        """Move the models there."""
        self._show_is_moving(True)
        self.work.begin(
            lambda tell, stop: self._app.move_models(folder, tell, stop),
            self._on_done,
            self._on_failed,
        )

    def _open(self) -> None:
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(self._app.profile.models)))

    def _choose(self) -> None:
        chosen = QFileDialog.getExistingDirectory(
            self, self.tr("Where should the models be?"), str(self._app.profile.models.parent)
        )
        if chosen:
            self.move_to(self._make_own(Path(chosen)))

    def _go_on(self) -> None:
        if target := self._app.models_folder.target:
            self.move_to(Path(target))

    def _make_own(self, chosen: Path) -> Path:
        """A folder of its own within one that holds other things: a disk's top, for example."""
        is_own = chosen == self._app.profile.own_models or not any(chosen.iterdir())
        is_begun = str(chosen) == self._app.models_folder.target
        return chosen if is_own or is_begun else chosen / "Inglenook models"

    def _show_is_moving(self, is_moving: bool) -> None:
        self.stop_button.setVisible(is_moving)
        self.bar.setVisible(is_moving)
        self.open_button.setVisible(not is_moving)
        self.move_button.setVisible(not is_moving)
        self.continue_button.hide()

    def _show_progress(self, told: Told | None) -> None:
        self.bar.setValue(round(STEPS * find_share(told)))
        if told is None or not told.size_bytes:
            text = self.tr("Every file is copied and verified before the old one goes.")
        else:
            text = self.tr("{done} of {size}; conversations go on meanwhile")
            text = text.replace("{done}", format_bytes(told.done_bytes))
            text = text.replace("{size}", format_bytes(told.size_bytes))
        self._say(text)

    def _say(self, text: str, tone: str = "small") -> None:
        set_tone(self.note, tone)
        self.note.setText(text)
        self.note.setVisible(bool(text))

    def _show_unfinished(self) -> None:
        """Offer to go on with a move that was broken off."""
        target = self._app.models_folder.target
        self.continue_button.setVisible(bool(target))
        if target:
            text = self.tr("A move to {folder} is not finished. Nothing has changed yet.")
            self._say(text.replace("{folder}", target))

    def _on_done(self, place: Path | None) -> None:
        self._show_is_moving(False)
        self.path.set_full_text(str(self._app.profile.models))
        if place is not None:
            self._say(self.tr("The models are at their new place."))
        else:
            self._show_unfinished()

    def _on_failed(self, error: UserError) -> None:
        self._show_is_moving(False)
        self._show_unfinished()
        self._say(str(error), "bad")
