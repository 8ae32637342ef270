"""One card of the Installed tab: what a model is, where it comes from, what can be done with it."""

from typing import Final

from PySide6.QtCore import Qt, Signal, SignalInstance
from PySide6.QtWidgets import QFrame, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from inglenook.base.records import InstalledModel, ModelDefaults
from inglenook.gui.formats import (
    format_bytes,
    format_context,
    format_licence,
    format_moment,
    format_parameters,
    format_path,
)
from inglenook.gui.models_page.model_forecast import ModelForecast
from inglenook.gui.sidebar.rows import Translate
from inglenook.gui.theme import Theme
from inglenook.gui.widgets import ElidedLabel, Pill, make_button, make_label, make_line
from inglenook.models.adopted.candidates import name_app

SEPARATOR: Final = " · "


class InstalledCard(QFrame):
    """A model on this disk.

    Signals: `use_requested()`, `removal_requested()`, `verify_requested()`, `find_requested()` for
    a file that is not where it was, `folder_requested()`, `header_requested()`.
    """

    use_requested = Signal()
    removal_requested = Signal()
    verify_requested = Signal()
    find_requested = Signal()
    folder_requested = Signal()
    header_requested = Signal()

    def __init__(
        self,
        theme: Theme,
        model: InstalledModel,
        *,
        is_missing: bool = False,
        freed_bytes: int = 0,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._theme = theme
        self.model = model
        self.is_missing = is_missing
        self._freed_bytes = freed_bytes
        self.buttons: dict[str, QPushButton] = {}
        self.setProperty("surface", "card")
        self.setAccessibleName(model.name)
        column = QVBoxLayout(self)
        column.setContentsMargins(16, 12, 16, 12)
        column.setSpacing(6)
        self.forecast = ModelForecast(theme)
        column.addLayout(self._make_head())
        column.addWidget(make_label(describe_past(model, self.tr), "small", wraps=True))
        column.addWidget(self.forecast)
        if model.problem:
            column.addWidget(make_label(model.problem, "bad", wraps=True))
        if told := " ".join((*model.notes, describe_defaults(model.defaults, self.tr))).strip():
            column.addWidget(make_label(told, "small", wraps=True))
        column.addWidget(make_line())
        column.addLayout(self._make_buttons())

    def _make_head(self) -> QHBoxLayout:
        model = self.model
        head = QHBoxLayout()
        head.setSpacing(10)
        head.addWidget(make_label(model.name, "heading"))
        head.addWidget(make_label(SEPARATOR.join(_list_facts(model)), "quiet"))
        if model.origin == "builtin":
            head.addWidget(Pill(self._theme, self.tr("built in"), "quiet"))
        elif model.origin in {"file", "copy"}:
            where = name_app(model.source) if model.source else self.tr("imported")
            head.addWidget(Pill(self._theme, where, "quiet"))
        head.addWidget(self.forecast.pill)
        more = ElidedLabel(_describe_more(model), "quiet")
        more.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        head.addWidget(more, 1)
        return head

    def _make_buttons(self) -> QHBoxLayout:
        model = self.model
        row = QHBoxLayout()
        row.setContentsMargins(0, 4, 0, 0)
        row.setSpacing(8)
        is_builtin = model.origin == "builtin"
        # Where the program keeps its own model is nobody's concern.
        shown = "" if model.origin == "builtin" else format_path(model.path)
        path = ElidedLabel(shown, "small")
        path.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        path.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        row.addWidget(path, 1)
        if self.is_missing:
            find = self._add(row, "find", self.tr("Find it…"), "primary", self.find_requested)
            find.setToolTip(self.tr("Say where the file is now. Nothing is moved or copied."))
        else:
            self._add(row, "header", self.tr("Details"), "flat", self.header_requested)
            verify = self._add(row, "verify", self.tr("Verify"), "flat", self.verify_requested)
            verify.setToolTip(self.tr("Read the whole file, and see whether it is undamaged."))
        self._add(row, "folder", self.tr("Show in folder"), "flat", self.folder_requested)
        if not is_builtin:
            remove = name_removal(model, self.tr)
            button = self._add(row, "remove", remove, "danger", self.removal_requested)
            if self._freed_bytes:
                text = self.tr("Frees {size}").replace("{size}", format_bytes(self._freed_bytes))
                button.setToolTip(text)
        if not self.is_missing:
            text = self.tr("Try again") if model.problem else self.tr("Use")
            self._add(row, "use", text, "" if model.problem else "primary", self.use_requested)
        return row

    def _add(
        self, row: QHBoxLayout, key: str, text: str, kind: str, signal: SignalInstance
    ) -> QPushButton:
        button = make_button(text, kind)
        button.setAccessibleName(f"{text}: {self.model.name}")
        button.clicked.connect(signal.emit)
        row.addWidget(button)
        self.buttons[key] = button
        return button


def is_of_app(model: InstalledModel) -> bool:
    """Whether another app keeps a model's file."""
    return model.source not in {"", "folder"}


def name_removal(model: InstalledModel, translate: Translate) -> str:
    """A file that is not ours is only forgotten, and the word says so."""
    return translate("Forget") if model.origin == "file" else translate("Remove")


def describe_past(model: InstalledModel, translate: Translate) -> str:
    """Where a model comes from, and when it was used last."""
    if model.origin == "builtin":
        return translate("Comes with Inglenook")
    if is_of_app(model):
        origin = translate("Kept by {app}").replace("{app}", name_app(model.source))
    elif model.repo:
        origin = translate("From {repo}").replace("{repo}", model.repo)
    elif model.origin == "copy":
        origin = translate("Brought in from a file")
    else:
        origin = translate("Your own file, used where it is")
    added = translate("added {when}").replace("{when}", format_moment(model.added_at))
    used = translate("not used yet")
    if model.last_used_at is not None:
        used = translate("last used {when}").replace("{when}", format_moment(model.last_used_at))
    return SEPARATOR.join((origin, added, used))


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
    return SEPARATOR.join(part for part in parts if part)
