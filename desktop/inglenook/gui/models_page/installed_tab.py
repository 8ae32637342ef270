"""The Installed tab: use, show in folder, remove, import."""

from collections.abc import Iterable
from pathlib import Path

from PySide6.QtCore import Qt, QUrl, Signal
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QFrame, QHBoxLayout, QVBoxLayout, QWidget

from inglenook.app import App
from inglenook.base.records import InstalledModel, ModelDefaults
from inglenook.gui.dialogs import ask
from inglenook.gui.formats import (
    format_bytes,
    format_context,
    format_licence,
    format_parameters,
    format_path,
)
from inglenook.gui.found import FoundModels
from inglenook.gui.installed import InstalledModels
from inglenook.gui.models_page.duplicates_view import DuplicatesView
from inglenook.gui.models_page.found_section import FoundSection
from inglenook.gui.models_page.import_bar import ImportBar
from inglenook.gui.models_page.model_forecast import ModelForecast
from inglenook.gui.models_page.updates_view import UpdatesView
from inglenook.gui.sidebar.rows import Translate
from inglenook.gui.tasks import Tasks
from inglenook.gui.theme import Theme
from inglenook.gui.widgets import (
    ElidedLabel,
    Pill,
    clear_layout,
    make_button,
    make_label,
    make_line,
    make_scroll,
)
from inglenook.models.adopted.candidates import name_app


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
        self._forecasts: dict[str, ModelForecast] = {}
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
        for part in (self.found, self.import_bar, self.duplicates, self.updates):
            part.said.connect(self.said)
        whole.addWidget(self.import_bar)
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
        self.show_models()

    def show_models(self) -> None:
        """Make the cards anew."""
        clear_layout(self._column)
        self._forecasts.clear()
        for model in self._models.models:
            self._column.addWidget(self._make_card(model))
        self.tell_forecasts()
        total = self.tr("{size} on this disk")
        self._total.setText(total.replace("{size}", format_bytes(self._models.size_bytes)))

    def tell_forecasts(self) -> None:
        """Work out anew how each model runs here, off the window's thread."""
        for model in self._models.models:
            shown = self._forecasts.get(model.id)
            if shown is not None and not model.problem:
                shown.ask(self._app, self._tasks, model)

    def offer_files(self, paths: Iterable[Path]) -> None:
        """Ask what to do with model files, at the top, where it is seen."""
        self._scroll.verticalScrollBar().setValue(0)
        self.import_bar.offer(paths)

    def ask_to_remove(self, model: InstalledModel) -> None:
        """Say what removing frees, then remove."""
        action = self._name_removal(model)
        heading = f"{action} {model.name}?"
        if model.origin == "file":
            text = self.tr("Inglenook forgets it. The file stays where it is: {path}")
            if _is_of_app(model):
                text = self.tr("Inglenook forgets it. {app} keeps the file: {path}")
            text = text.replace("{path}", model.path).replace("{app}", name_app(model.source))
        else:
            text = self.tr(
                "This deletes its file and frees {size}. Conversations held with it stay."
            ).replace("{size}", format_bytes(model.size_bytes))
        ask(self._theme, self, heading, text, action, lambda: self._remove(model))

    def _name_removal(self, model: InstalledModel) -> str:
        """A file that is not ours is only forgotten, and the word says so."""
        return self.tr("Forget") if model.origin == "file" else self.tr("Remove")

    def _remove(self, model: InstalledModel) -> None:
        def done(freed_bytes: int) -> None:
            text = self.tr("{name} was removed.")
            if _is_of_app(model):
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

    def _make_head(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setContentsMargins(28, 16, 28, 12)
        row.setSpacing(12)
        button = make_button(self.tr("Import a file…"))
        button.clicked.connect(self.import_requested)
        row.addWidget(button)
        folder = make_button(self.tr("Add a folder…"))
        folder.setToolTip(self.tr("The models in it are found, and used where they lie."))
        folder.clicked.connect(self.folder_requested)
        row.addWidget(folder)
        hint = self.tr("or drop a .gguf file on the window")
        row.addWidget(make_label(hint, "small"))
        row.addStretch(1)
        updates = make_button(self.tr("Look for newer files"), "link")
        updates.clicked.connect(self._find_updates)
        row.addWidget(updates)
        duplicates = make_button(self.tr("Find duplicates"), "link")
        duplicates.clicked.connect(self._find_duplicates)
        row.addWidget(duplicates)
        self._total = make_label("", "quiet")
        row.addWidget(self._total)
        return row

    def _find_updates(self) -> None:
        self._scroll.verticalScrollBar().setValue(0)
        self.updates.look()

    def _find_duplicates(self) -> None:
        self._scroll.verticalScrollBar().setValue(0)
        self.duplicates.look()

    def _make_card(self, model: InstalledModel) -> QFrame:
        card = QFrame()
        card.setProperty("surface", "card")
        card.setAccessibleName(model.name)
        column = QVBoxLayout(card)
        column.setContentsMargins(16, 12, 16, 12)
        column.setSpacing(6)
        head = QHBoxLayout()
        head.setSpacing(10)
        head.addWidget(make_label(model.name, "heading"))
        head.addWidget(make_label(" · ".join(_list_facts(model)), "quiet"))
        if model.origin == "builtin":
            head.addWidget(Pill(self._theme, self.tr("built in"), "quiet"))
        elif model.origin in {"file", "copy"}:
            where = name_app(model.source) if model.source else self.tr("imported")
            head.addWidget(Pill(self._theme, where, "quiet"))
        forecast = ModelForecast(self._theme)
        self._forecasts[model.id] = forecast
        head.addWidget(forecast.pill)
        head.addStretch(1)
        head.addWidget(make_label(_describe_more(model), "quiet"))
        column.addLayout(head)
        column.addWidget(forecast)
        if model.problem:
            column.addWidget(make_label(model.problem, "bad", wraps=True))
        if told := " ".join((*model.notes, describe_defaults(model.defaults, self.tr))).strip():
            column.addWidget(make_label(told, "small", wraps=True))
        column.addWidget(make_line())
        column.addLayout(self._make_buttons(model))
        return card

    def _make_buttons(self, model: InstalledModel) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setContentsMargins(0, 4, 0, 0)
        row.setSpacing(8)
        is_ours = model.origin == "builtin"
        where = self.tr("comes with Inglenook") if is_ours else format_path(model.path)
        path = ElidedLabel(where, "small")
        path.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        path.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        row.addWidget(path, 1)
        folder = make_button(self.tr("Show in folder"), "flat")
        folder.clicked.connect(lambda: _show_folder(model.path))
        row.addWidget(folder)
        if model.origin != "builtin":
            action = self._name_removal(model)
            remove = make_button(action, "danger")
            remove.setAccessibleName(f"{action} {model.name}")
            remove.clicked.connect(lambda: self.ask_to_remove(model))
            row.addWidget(remove)
        text = self.tr("Try again") if model.problem else self.tr("Use")
        use = make_button(text, "" if model.problem else "primary")
        use.setAccessibleName(f"{text}: {model.name}")
        use.clicked.connect(lambda: self._use(model))
        row.addWidget(use)
        return row


def _is_of_app(model: InstalledModel) -> bool:
    return model.source not in {"", "folder"}


def describe_defaults(defaults: ModelDefaults, translate: Translate) -> str:
    """The values that came with a model, in one sentence; "" for none."""
    values = (
        (translate("temperature {value}"), defaults.temperature),
        (translate("top-k {value}"), defaults.top_k),
        (translate("top-p {value}"), defaults.top_p),
        (translate("min-p {value}"), defaults.min_p),
        (translate("repeat penalty {value}"), defaults.repeat_penalty),
        (translate("seed {value}"), defaults.seed),
        (translate("at most {value} tokens"), defaults.max_tokens),
        (translate("context {value}"), defaults.n_ctx),
    )
    parts = [text.replace("{value}", f"{n:,.10g}") for text, n in values if n is not None]
    if defaults.stop:
        parts.append(translate("its own stop texts"))
    if defaults.system_prompt:
        parts.append(translate("its own system prompt"))
    told = translate("It comes with {values}, which hold where you chose nothing else.")
    return told.replace("{values}", ", ".join(parts)) if parts else ""


def _list_facts(model: InstalledModel) -> list[str]:
    facts = (
        model.quantisation,
        format_bytes(model.size_bytes) if model.size_bytes else "",
        format_licence(model.licence),
    )
    return [fact for fact in facts if fact]


def _describe_more(model: InstalledModel) -> str:
    parts = (
        model.architecture,
        format_parameters(model.n_params),
        f"{format_context(model.n_ctx_train)} context" if model.n_ctx_train else "",
    )
    return " · ".join(part for part in parts if part)


def _show_folder(path: str) -> None:
    QDesktopServices.openUrl(QUrl.fromLocalFile(str(Path(path).parent)))
