"""The Installed tab: use, verify, find again, show in folder, remove, import."""

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, QUrl, Signal
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QFileDialog, QHBoxLayout, QVBoxLayout, QWidget

from inglenook.app import App
from inglenook.base.errors import UserError
from inglenook.base.records import InstalledModel
from inglenook.gui.dialogs import ask
from inglenook.gui.formats import format_bytes
from inglenook.gui.found import FoundModels
from inglenook.gui.installed import InstalledModels
from inglenook.gui.models_page.duplicates_view import DuplicatesView
from inglenook.gui.models_page.found_section import FoundSection
from inglenook.gui.models_page.header_view import HeaderView
from inglenook.gui.models_page.import_bar import ImportBar
from inglenook.gui.models_page.installed_card import InstalledCard, is_of_app, name_removal
from inglenook.gui.models_page.updates_view import UpdatesView
from inglenook.gui.models_page.verify_view import VerifyView
from inglenook.gui.tasks import Tasks
from inglenook.gui.theme import Theme
from inglenook.gui.widgets import clear_layout, make_button, make_label, make_scroll
from inglenook.models.adopted.candidates import name_app

if TYPE_CHECKING:
    from inglenook.models.metadata import Entry


class InstalledTab(QWidget):
    """One card for each model on this disk.

    Signals: `model_chosen(model_id)`, `import_requested()`, `folder_requested()`,
    `update_requested(name)` for a newer file, `said(text, surface)` for the notice.
    """

    model_chosen = Signal(str)
    import_requested = Signal()
    folder_requested = Signal()
    update_requested = Signal(str)
    said = Signal(str, str)

    def __init__(
        self,
        app: App,
        theme: Theme,
        tasks: Tasks,
        models: InstalledModels,
        found: FoundModels,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._app = app
        self._theme = theme
        self._tasks = tasks
        self._models = models
        self._looked_for: frozenset[str] = frozenset()
        self.cards: dict[str, InstalledCard] = {}
        content = QWidget()
        whole = QVBoxLayout(content)
        whole.setContentsMargins(28, 0, 28, 24)
        whole.setSpacing(12)
        self._column = QVBoxLayout()
        self._column.setSpacing(12)
        self.found = FoundSection(app, theme, tasks, found)
        self.import_bar = ImportBar(app, theme, tasks)
        self.duplicates = DuplicatesView(app, tasks)
        self.updates = UpdatesView(app, tasks)
        self.updates.update_requested.connect(self.update_requested)
        self.verify = VerifyView(app, tasks)
        for part in (self.found, self.import_bar, self.duplicates, self.updates, self.verify):
            part.said.connect(self.said)
        whole.addWidget(self.import_bar)
        whole.addWidget(self.verify)
        whole.addWidget(self.updates)
        whole.addWidget(self.duplicates)
        whole.addLayout(self._column)
        whole.addWidget(self.found)
        whole.addStretch(1)
        self._scroll = make_scroll(content, self.tr("Installed models"))
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addLayout(self._make_head())
        column.addWidget(self._scroll, 1)
        models.changed.connect(self.show_models)
        found.changed.connect(self._on_found_changed)
        self.show_models()

    def show_models(self) -> None:
        """Make the cards anew."""
        clear_layout(self._column)
        self.cards.clear()
        for model in self._models.models:
            self._column.addWidget(self._make_card(model))
        self.tell_forecasts()
        self._tell_space()
        self._look_for_missing()

    def tell_forecasts(self) -> None:
        """Work out anew how each model runs here, off the window's thread."""
        for model in self._models.models:
            card = self.cards.get(model.id)
            if card is not None and not model.problem:
                card.forecast.ask(self._app, self._tasks, model)

    def offer_files(self, paths: Iterable[Path]) -> None:
        """Ask what to do with model files, at the top, where it is seen."""
        self._scroll.verticalScrollBar().setValue(0)
        self.import_bar.offer(paths)

    def ask_to_remove(self, model: InstalledModel) -> None:
        """Say what removing frees, then remove."""
        action = name_removal(model, self.tr)
        heading = f"{action} {model.name}?"
        if model.origin == "file":
            text = self.tr("Inglenook forgets it. The file stays where it is: {path}")
            if is_of_app(model):
                text = self.tr("Inglenook forgets it. {app} keeps the file: {path}")
            text = text.replace("{path}", model.path).replace("{app}", name_app(model.source))
        elif model.id in self._models.missing:
            text = self.tr("Its file is not there any more, so no space is freed.")
        elif not self._models.freed.get(model.id, model.size_bytes):
            text = self.tr(
                "This deletes its file. Another file shares its space, so none is freed. "
                "Conversations held with it stay."
            )
        else:
            freed = self._models.freed.get(model.id, model.size_bytes)
            text = self.tr(
                "This deletes its file and frees {size}. Conversations held with it stay."
            ).replace("{size}", format_bytes(freed))
        ask(self._theme, self, heading, text, action, lambda: self._remove(model))

    def _remove(self, model: InstalledModel) -> None:
        def done(freed_bytes: int) -> None:
            text = self.tr("{name} was removed.")
            if is_of_app(model):
                text = self.tr("{name} was forgotten; its file stays with {app}.")
                text = text.replace("{app}", name_app(model.source))
            if freed_bytes:
                text = self.tr("{name} was removed; {size} are free again.")
            text = text.replace("{name}", model.name)
            self.said.emit(text.replace("{size}", format_bytes(freed_bytes)), "bar")

        self._tasks.run(
            lambda: self._app.library.remove(model.id),
            done,
            lambda error: self.said.emit(str(error), "bad"),
            owner=self,
            in_order=True,
        )

    def _use(self, model: InstalledModel) -> None:
        """Choose a model; one with a problem is looked at once more."""
        if not model.problem:
            self.model_chosen.emit(model.id)
            return

        def done(again: InstalledModel) -> None:
            if again.problem:
                self.said.emit(again.problem, "bad")
            else:
                self.model_chosen.emit(model.id)

        self._tasks.run(
            lambda: self._app.library.forgive(model.id),
            done,
            lambda error: self.said.emit(str(error), "bad"),
            owner=self,
            in_order=True,
        )

    def _make_head(self) -> QVBoxLayout:
        column = QVBoxLayout()
        column.setContentsMargins(28, 16, 28, 12)
        column.setSpacing(8)
        row = QHBoxLayout()
        row.setSpacing(12)
        button = make_button(self.tr("Import a file…"))
        button.clicked.connect(self.import_requested)
        row.addWidget(button)
        folder = make_button(self.tr("Add a folder…"))
        folder.setToolTip(self.tr("The models in it are found, and used where they lie."))
        folder.clicked.connect(self.folder_requested)
        row.addWidget(folder)
        row.addStretch(1)
        updates = make_button(self.tr("Look for newer files"), "link")
        updates.clicked.connect(self._find_updates)
        row.addWidget(updates)
        duplicates = make_button(self.tr("Find duplicates"), "link")
        duplicates.clicked.connect(self._find_duplicates)
        row.addWidget(duplicates)
        column.addLayout(row)
        below = QHBoxLayout()
        below.setSpacing(12)
        hint = self.tr("or drop a .gguf file on the window")
        below.addWidget(make_label(hint, "small"))
        below.addStretch(1)
        self.total = make_label("", "small")
        below.addWidget(self.total)
        column.addLayout(below)
        return column

    def _find_updates(self) -> None:
        self._scroll.verticalScrollBar().setValue(0)
        self.updates.look()

    def _find_duplicates(self) -> None:
        self._scroll.verticalScrollBar().setValue(0)
        self.duplicates.look()

    def _make_card(self, model: InstalledModel) -> InstalledCard:
        card = InstalledCard(
            self._theme,
            model,
            is_missing=model.id in self._models.missing,
            freed_bytes=self._models.freed.get(model.id, 0),
        )
        card.use_requested.connect(lambda: self._use(model))
        card.removal_requested.connect(lambda: self.ask_to_remove(model))
        card.verify_requested.connect(lambda: self._verify(model))
        card.find_requested.connect(lambda: self.choose_moved_file(model))
        card.folder_requested.connect(lambda: _show_folder(model.path))
        card.header_requested.connect(lambda: self.show_header(model))
        self.cards[model.id] = card
        return card

    def _verify(self, model: InstalledModel) -> None:
        self._scroll.verticalScrollBar().setValue(0)
        self.verify.check(model)

    def show_header(self, model: InstalledModel) -> None:
        """Show what a model's file says of itself."""

        def work() -> "tuple[Entry, ...]":
            from inglenook.chat.template_trial import describe_template
            from inglenook.models.metadata import read_metadata

            return read_metadata(model.path, describe_template)

        self._tasks.run(
            work,
            lambda entries: HeaderView(self._theme, model.name, entries, self).open(),
            lambda error: self.said.emit(str(error), "bad"),
            owner=self,
        )

    def choose_moved_file(self, model: InstalledModel) -> None:
        """Let the person say where a model's file is now."""
        title = self.tr("Find {name}").replace("{name}", model.name)
        dialog = QFileDialog(self, title, str(Path(model.path).name))
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
        dialog.setNameFilters([self.tr("GGUF models (*.gguf)"), self.tr("All files (*)")])
        dialog.fileSelected.connect(lambda name: self.take_moved_file(model, Path(name)))
        dialog.open()

    def take_moved_file(self, model: InstalledModel, path: Path) -> None:
        """Compare a chosen file with the missing one, and take it when it is the same."""
        self._scroll.verticalScrollBar().setValue(0)
        self.verify.compare(model, path)

    def _on_found_changed(self) -> None:
        """Other files lie about now: a missing one may be among them."""
        self._looked_for = frozenset()
        self._look_for_missing()

    def _look_for_missing(self) -> None:
        """Look for moved files, once for each set of missing ones."""
        missing = self._models.missing
        if not missing or missing == self._looked_for:
            return
        self._looked_for = missing

        def done(found: tuple[InstalledModel, ...]) -> None:
            if found:
                names = ", ".join(model.name for model in found)
                text = self.tr("Found again where it was moved to: {names}.")
                self.said.emit(text.replace("{names}", names), "bar")

        def failed(error: UserError) -> None:
            del error  # Nobody asked for this look; the cards say what is missing.

        def work() -> tuple[InstalledModel, ...]:
            # Named here, off the window's thread: its first use opens the store.
            return self._app.relocation.look()

        self._tasks.run(work, done, failed, owner=self)

    def _tell_space(self) -> None:
        """What the models take, and what is free on their disk, asked off the window's thread."""
        total = self.tr("{size} on this disk").replace(
            "{size}", format_bytes(self._models.size_bytes)
        )
        self.total.setText(total)
        folder = self._app.profile.models

        def show(free_bytes: int) -> None:
            if free_bytes >= 0:
                free = self.tr("{size} free").replace("{size}", format_bytes(free_bytes))
                self.total.setText(f"{total} · {free}")

        self._tasks.run(lambda: _measure_free(folder), show, owner=self)


def _measure_free(folder: Path) -> int:
    """Free bytes on the disk of a folder that may not be there yet; -1 where it cannot be said."""
    for place in (folder, *folder.parents):
        try:
            return shutil.disk_usage(place).free
        except OSError:
            continue
    return -1


def _show_folder(path: str) -> None:
    QDesktopServices.openUrl(QUrl.fromLocalFile(str(Path(path).parent)))
