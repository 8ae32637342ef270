"""The part of the Installed tab that lists what other apps have on this computer."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QFont, QFontMetrics
from PySide6.QtWidgets import QFrame, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from inglenook.app import App
from inglenook.base.errors import UserError
from inglenook.base.records import InstalledModel
from inglenook.gui.formats import format_bytes, format_licence
from inglenook.gui.found import FoundModels
from inglenook.gui.models_page.fit_pill import make_fit_pill
from inglenook.gui.tasks import Tasks
from inglenook.gui.theme import Theme
from inglenook.gui.widgets import (
    ElidedLabel,
    Pill,
    clear_layout,
    make_button,
    make_label,
    make_line,
    make_plain_tooltip,
)
from inglenook.models.adopted.candidates import name_app
from inglenook.models.fit import DEFAULT_CTX, Machine, judge_fit

if TYPE_CHECKING:
    from inglenook.models.adopt import Findings
    from inglenook.models.adopted.found import FoundModel

MAX_ROWS: Final = 40
"""Rows that are made at first; the others wait behind a button."""
ROWS_PER_STEP: Final = 4
"""Rows made at one go, so that no step blocks the window for long."""
MAX_NAME_PX: Final = 300


class FoundSection(QWidget):
    """Hidden as long as nothing was found.

    Signals: `said(text, surface)` for the notice.
    """

    said = Signal(str, str)

    def __init__(
        self,
        app: App,
        theme: Theme,
        tasks: Tasks,
        found: FoundModels,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._app = app
        self._theme = theme
        self._tasks = tasks
        self._found = found
        self._machine = Machine(0)
        self._n_shown = MAX_ROWS
        self._n_more = 0
        self._name_px = 0
        self._waiting: list[FoundModel] = []
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(0)
        self._timer.timeout.connect(self._make_some)
        self._shows_unusable = False
        self.buttons: list[QPushButton] = []
        self.setAccessibleName(self.tr("Found on this computer"))
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 12, 0, 0)
        column.setSpacing(8)
        column.addLayout(self._make_head())
        self.card = QFrame()
        self.card.setProperty("surface", "card")
        self._rows = QVBoxLayout(self.card)
        self._rows.setContentsMargins(16, 6, 16, 6)
        self._rows.setSpacing(0)
        column.addWidget(self.card)
        self.unusable_button = make_button("", "link")
        self.unusable_button.clicked.connect(self._toggle_unusable)
        column.addWidget(self.unusable_button, 0, Qt.AlignmentFlag.AlignLeft)
        self._unusable = QVBoxLayout()
        self._unusable.setContentsMargins(4, 0, 0, 0)
        self._unusable.setSpacing(4)
        column.addLayout(self._unusable)
        self.hide()
        found.changed.connect(self.show_findings)

        def find_machine() -> Machine:
            return app.forecasts.find_machine()  # Its first use opens the store.

        self._tasks.run(find_machine, self._on_machine, owner=self)

    def show_findings(self) -> None:
        """Make the rows anew."""
        findings = self._found.findings
        self._timer.stop()
        clear_layout(self._rows)
        clear_layout(self._unusable)
        self.buttons.clear()
        is_anything = findings is not None and bool(findings.models or findings.unusable)
        self.setVisible(is_anything)
        if findings is None or not is_anything:
            return
        self._waiting = list(findings.models[: self._n_shown])
        metrics = QFontMetrics(self._theme.font(weight=QFont.Weight.DemiBold))
        widest = max((metrics.horizontalAdvance(m.name) for m in self._waiting), default=0)
        self._name_px = min(self._theme.px(MAX_NAME_PX), widest + 4)
        self._n_more = len(findings.models) - len(self._waiting)
        self._make_some()
        self.card.setVisible(bool(findings.models))
        self.use_all.setVisible(len(findings.models) > 1)
        self._show_unusable(findings)

    def _make_head(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(10)
        row.addWidget(make_label(self.tr("Found on this computer"), "heading"))
        hint = self.tr("used where they lie; nothing of another app is changed")
        row.addWidget(make_label(hint, "small"))
        row.addStretch(1)
        self.use_all = make_button(self.tr("Use all"))
        self.use_all.setAccessibleName(self.tr("Use all models that were found"))
        self.use_all.clicked.connect(self._use_all)
        row.addWidget(self.use_all)
        return row

    def _make_some(self) -> None:
        """Make a few rows; the window lives on between them."""
        for _ in range(min(ROWS_PER_STEP, len(self._waiting))):
            if self._rows.count():
                self._rows.addWidget(make_line())
            self._rows.addWidget(self._make_row(self._waiting.pop(0)))
        if self._waiting:
            self._timer.start()
        elif self._n_more:
            self._add_more(self._n_more)

    def _make_row(self, model: "FoundModel") -> QWidget:
        name = ElidedLabel(model.name, "strong")
        name.setFixedWidth(self._name_px)
        widget = QWidget()
        row = QHBoxLayout(widget)
        row.setContentsMargins(0, 8, 0, 8)
        row.setSpacing(10)
        name.setToolTip(make_plain_tooltip(model.path))
        row.addWidget(name)
        row.addWidget(Pill(self._theme, name_app(model.app), "quiet", "\n".join(model.notes)))
        facts = (
            model.quantisation,
            format_bytes(model.size_bytes),
            format_licence(model.licence),
        )
        row.addWidget(make_label(" · ".join(fact for fact in facts if fact), "quiet"))
        if self._machine.memory_bytes:
            fit = judge_fit(
                model.size_bytes,
                self._machine,
                kv_bytes=model.kv_bytes_per_token
                * min(model.n_ctx_train or DEFAULT_CTX, DEFAULT_CTX),
                n_params=model.n_params,
                quantisation=model.quantisation,
            )
            row.addWidget(make_fit_pill(self._theme, fit, self.tr))
        row.addStretch(1)
        use = make_button(self.tr("Use"))
        label = self.tr("Use {name} of {app}").replace("{name}", model.name)
        use.setAccessibleName(label.replace("{app}", name_app(model.app)))
        use.clicked.connect(lambda: self._use(model.id))
        self.buttons.append(use)
        row.addWidget(use)
        return widget

    def _add_more(self, n_more: int) -> None:
        more = make_button(self.tr("{n} more").replace("{n}", f"{n_more:,}"), "link")
        more.clicked.connect(self._show_more)
        self._rows.addWidget(more, 0, Qt.AlignmentFlag.AlignLeft)

    def _show_more(self) -> None:
        self._n_shown += MAX_ROWS
        self.show_findings()

    def _show_unusable(self, findings: "Findings") -> None:
        n_unusable = len(findings.unusable)
        text = (
            self.tr("1 more cannot be used")
            if n_unusable == 1
            else self.tr("{n} more cannot be used")
        )
        if not findings.models:
            text = text.replace(" more", "")
        self.unusable_button.setText(text.replace("{n}", f"{n_unusable:,}"))
        self.unusable_button.setVisible(n_unusable > 0)
        if not self._shows_unusable:
            return
        for model in findings.unusable[:MAX_ROWS]:
            is_named = Path(model.path).name in model.problem or model.name in model.problem
            whose = name_app(model.app) if is_named else f"{model.name} ({name_app(model.app)})"
            told = f"{whose}: {model.problem}"
            self._unusable.addWidget(make_label(told, "quiet", wraps=True))
        for remark in findings.remarks[:MAX_ROWS]:
            self._unusable.addWidget(make_label(remark, "quiet", wraps=True))

    def _toggle_unusable(self) -> None:
        self._shows_unusable = not self._shows_unusable
        self.show_findings()

    def _on_machine(self, machine: Machine) -> None:
        self._machine = machine
        self.show_findings()

    def _use(self, model_id: str) -> None:
        self._run(lambda: (self._app.neighbours.adopt(model_id),))

    def _use_all(self) -> None:
        self._run(lambda: tuple(self._app.neighbours.adopt_all()))

    def _run(self, work: Callable[[], tuple[InstalledModel, ...]]) -> None:
        for button in (*self.buttons, self.use_all):
            button.setEnabled(False)

        def done(models: tuple[InstalledModel, ...]) -> None:
            self._found.look()
            self.use_all.setEnabled(True)
            if len(models) == 1:
                text = self.tr("{name} can be used now, from where {app} keeps it.")
                text = text.replace("{name}", models[0].name)
                self.said.emit(text.replace("{app}", name_app(models[0].source)), "bar")
            elif models:
                text = self.tr("{n} models can be used now, from where they lie.")
                self.said.emit(text.replace("{n}", str(len(models))), "bar")

        def failed(error: UserError) -> None:
            self.said.emit(str(error), "bad")
            self.use_all.setEnabled(True)
            self.show_findings()
            self._found.look()

        self._tasks.run(work, done, failed, owner=self, in_order=True)
