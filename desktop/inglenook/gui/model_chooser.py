"""Joins the model chip with the engine's state and the installed models."""

import contextlib
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from inglenook.app import App
from inglenook.base.errors import UserError
from inglenook.base.records import InstalledModel
from inglenook.engine.protocol import EngineDied, Failed, Loaded, LoadFailed, Loading
from inglenook.gui.bridge import Bridge
from inglenook.gui.chat_controller import ChatController
from inglenook.gui.chat_page import ChatPage
from inglenook.gui.chip import ChipState, ModelChoice, ModelPopup
from inglenook.gui.formats import format_bytes, format_count, format_rate
from inglenook.gui.installed import InstalledModels
from inglenook.gui.tasks import Tasks
from inglenook.gui.theme import Theme

if TYPE_CHECKING:
    from inglenook.chat.forecasts import Speed

log = logging.getLogger(__name__)

DETAILS = " · "


class ModelChooser(QObject):
    """Keeps the chip true, opens its popup, and says in place when a model cannot be used.

    Signals: `more_requested()` for the models page.
    """

    more_requested = Signal()

    def __init__(
        self,
        app: App,
        theme: Theme,
        page: ChatPage,
        models: InstalledModels,
        tasks: Tasks,
        bridge: Bridge,
        chat: ChatController,
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self._app = app
        self._theme = theme
        self._page = page
        self._models = models
        self._tasks = tasks
        self._chat = chat
        self._problems: dict[str, LoadFailed] = {}
        self._popup: ModelPopup | None = None
        self._speeds: dict[str, Speed] = {}
        self._loading: Loading | None = None
        page.chip.clicked.connect(self.open_popup)
        page.notice.acted.connect(self.open_popup)
        models.changed.connect(self._on_models_changed)
        chat.model_wanted.connect(lambda _: self.show_chip())
        chat.opened.connect(lambda _: self.show_chip())
        chat.reply_shown.connect(lambda _: self._show_waiting())
        bridge.engine_changed.connect(self._on_engine_changed)
        bridge.run_ended.connect(self._on_run_ended)

    def warm_up(self) -> None:
        """Load the model that the next message will need, in the background."""
        model_id = self._chat.model_id
        self._tasks.run(lambda: self._app.warm_up(model_id), failed=lambda _: None)

    def show_chip(self) -> None:
        """Show the wanted model as the engine has it."""
        self._page.chip.show_state(self._make_state())

    def open_popup(self) -> None:
        """Show the installed models below the chip."""
        if self._popup is None:
            self._popup = ModelPopup(self._theme, self._page.window())
            self._popup.chosen.connect(self._on_chosen)
            self._popup.more_requested.connect(self.more_requested)
        current = self._chat.model_id
        choices = [self._make_choice(model, current) for model in self._models.models]
        self._popup.open_below(self._page.chip, choices)
        self._find_speeds()

    def _find_speeds(self) -> None:
        """Say how fast each model is, as far as that is known, while the popup is open."""
        models = tuple(model for model in self._models.models if not model.problem)

        def work() -> "dict[str, Speed]":
            found: dict[str, Speed] = {}
            for model in models:
                with contextlib.suppress(UserError):
                    if (speed := self._app.forecasts.find_speed(model)) is not None:
                        found[model.id] = speed
            return found

        def done(found: "dict[str, Speed]") -> None:
            self._speeds = found
            current = self._chat.model_id
            if self._popup is not None:
                self._popup.renew([self._make_choice(model, current) for model in models])

        self._tasks.run(work, done, lambda _: None, owner=self)

    def _make_state(self) -> ChipState:
        model_id = self._chat.model_id
        model = self._models.find(model_id)
        if model is None:
            name = model_id.rsplit("/", 1)[-1].removesuffix(".gguf")
            if model_id == "builtin/guide":
                name = "Inglenook Guide"
            problem = self.tr("This model is not installed.") if self._models.is_listed else ""
            return ChipState(name, "", "problem" if problem else "idle", problem=problem)
        state = self._app.engine.state
        loaded = state.loaded
        if loaded is not None and loaded.model_id == model_id:
            kind = loaded.quantisation or model.quantisation
            where = _join(kind, loaded.device)
            return ChipState(model.name, where, "ready", note=loaded.placement_note)
        if model.problem:
            return ChipState(model.name, model.quantisation, "problem", problem=model.problem)
        if state.phase in {"loading", "starting"} and self._is_loading(model_id):
            percent = f"{state.loading_fraction:.0%}".replace("%", " %")
            text = self.tr("loading {percent}").replace("{percent}", percent)
            return ChipState(
                model.name, _join(model.quantisation, text), "loading", state.loading_fraction
            )
        if (failure := self._problems.get(model_id)) is not None:
            return ChipState(model.name, model.quantisation, "problem", problem=failure.message)
        if state.asleep_id == model_id:
            return ChipState(model.name, _join(model.quantisation, self.tr("asleep")), "asleep")
        return ChipState(model.name, _join(model.quantisation, format_bytes(model.size_bytes)))

    def _is_loading(self, model_id: str) -> bool:
        return self._loading is None or self._loading.model_id == model_id

    def _make_choice(self, model: InstalledModel, current: str) -> ModelChoice:
        loaded = self._app.engine.state.loaded
        where = ""
        if loaded is not None and loaded.model_id == model.id:
            where = self.tr("in memory, {device}").replace("{device}", loaded.device)
        speed = self._describe_speed(self._speeds.get(model.id))
        details = _join(model.quantisation, format_bytes(model.size_bytes), speed, where)
        return ModelChoice(model.id, model.name, details, model.id == current, model.problem)

    def _describe_speed(self, speed: "Speed | None") -> str:
        if speed is None:
            return ""
        text = self.tr("{n} tok/s") if speed.is_measured else self.tr("≈ {n} tok/s")
        return text.replace("{n}", format_rate(speed.write_tps))

    def _on_chosen(self, model_id: str) -> None:
        self._problems.pop(model_id, None)
        self._page.notice.hide()
        self._chat.choose_model(model_id)

    def _on_models_changed(self) -> None:
        self.show_chip()

    def _on_engine_changed(self, event: object) -> None:
        match event:
            case Loading():
                self._loading = event
                self._problems.pop(event.model_id, None)
                self._show_waiting()
            case Loaded():
                self._loading = None
                log.debug("a model is loaded, in %.2f s", event.load_s)
            case LoadFailed():
                self._loading = None
                self._problems[event.model_id] = event
                self._show_failure(event)
            case EngineDied():
                self._loading = None
            case _:
                pass
        self.show_chip()

    def _show_waiting(self) -> None:
        """Let a reply that waits for its model say so."""
        if self._loading is not None:
            text = self._say_loading(self._loading)
            self._chat.waits.show(text, self._loading.model_id)

    def _say_loading(self, event: Loading) -> str:
        model = self._models.find(event.model_id)
        name = model.name if model is not None else self.tr("the model")
        text = self.tr("Loading {name}, {percent}").replace("{name}", name)
        return text.replace("{percent}", f"{event.fraction:.0%}".replace("%", " %"))

    def _show_failure(self, event: LoadFailed) -> None:
        if event.model_id != self._chat.model_id:
            return
        self._page.notice.set_surface("bad")
        ways = self._list_ways_out(event)
        text = event.message if ways else f"{event.message} {event.hint}".strip()
        self._page.notice.show_notice(text, self.tr("Choose another model"), ways)

    def _list_ways_out(self, event: LoadFailed) -> list[tuple[str, Callable[[], None]]]:
        """Buttons that load the model in a way that it may fit."""
        app, model_id, n_ctx = self._app, event.model_id, event.fitting_n_ctx
        ways: list[tuple[str, Callable[[], None]]] = []
        if n_ctx:
            words = self.tr("Load with {n} tokens").replace("{n}", format_count(n_ctx))
            ways.append(
                (words, lambda: self._load(lambda: app.chat.load_shortened(model_id, n_ctx)))
            )
        if event.fits_cpu:
            words = self.tr("Use the CPU")
            ways.append((words, lambda: self._load(lambda: app.chat.load_without_gpu(model_id))))
        return ways

    def _load(self, load: Callable[[], None]) -> None:
        def failed(error: UserError) -> None:
            self._page.notice.show_notice(str(error))

        self._page.notice.hide()
        self._tasks.run(load, None, failed, owner=self, in_order=True)

    def _on_run_ended(self, event: object) -> None:
        if isinstance(event, Failed):
            self.show_chip()


def _join(*parts: str) -> str:
    return DETAILS.join(part for part in parts if part)
