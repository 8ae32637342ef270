"""Feeds the inspector: numbers of the reply on show, the engine's facts, the sampling values."""

from PySide6.QtCore import QObject

from inglenook.app import App
from inglenook.base.settings import SettingChanged
from inglenook.chat.endings import make_statistics
from inglenook.chat.events import MessageStarted
from inglenook.engine.protocol import Failed, Finished, Meter, Prefill
from inglenook.gui.bridge import Bridge
from inglenook.gui.chat_controller import ChatController
from inglenook.gui.inspector import Figures, Inspector, figures_of
from inglenook.gui.live import LiveRun, LiveRuns
from inglenook.store.records import Message


class MeterController(QObject):
    """Joins events and inspector; numbers of replies that are not on show are left out."""

    def __init__(
        self,
        app: App,
        inspector: Inspector,
        bridge: Bridge,
        live: LiveRuns,
        chat: ChatController,
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self._app = app
        self._inspector = inspector
        self._live = live
        self._chat = chat
        self._shown_id = ""
        bridge.meter_moved.connect(self._on_meter)
        bridge.prefill_moved.connect(self._on_prefill)
        bridge.run_ended.connect(self._on_ended)
        bridge.engine_changed.connect(self._on_engine_changed)
        bridge.happened.connect(self._on_event)
        live.started.connect(self._on_started)
        chat.reply_shown.connect(self._on_reply_shown)
        chat.opened.connect(lambda _: self._show_system_prompt())
        self._show_system_prompt()

    def _run_on_show(self, run_id: str) -> LiveRun | None:
        """The run whose numbers are shown: of several drafts it is the one that is looked at."""
        return self._live.find(run_id) if run_id == self._shown_id else None

    def _on_started(self, event: MessageStarted) -> None:
        if event.reply.conversation_id == self._chat.conversation_id:
            self._shown_id = event.reply.id
            self._inspector.start_speed()
            self._inspector.show_figures(Figures(is_live=True))

    def _on_prefill(self, event: Prefill) -> None:
        run = self._run_on_show(event.run_id)
        if run is not None and run.meter is None:
            self._inspector.show_figures(_live_figures(run))

    def _on_meter(self, event: Meter) -> None:
        run = self._run_on_show(event.run_id)
        if run is not None:
            if event.decode_tps_now:
                self._inspector.add_speed(event.decode_tps_now)
            self._inspector.show_figures(_live_figures(run))

    def _on_ended(self, event: Finished | Failed) -> None:
        if self._run_on_show(event.run_id) is not None and event.timings.total_s > 0:
            self._inspector.show_figures(figures_of(make_statistics(event.usage, event.timings)))

    def _on_reply_shown(self, reply: Message | None) -> None:
        self._shown_id = reply.id if reply is not None else ""
        run = self._live.find(reply.id) if reply is not None else None
        if run is not None:
            self._inspector.show_figures(_live_figures(run))
        else:
            figures = figures_of(reply.statistics) if reply is not None else Figures()
            self._inspector.show_figures(figures)

    def _on_engine_changed(self, event: object) -> None:
        del event
        state = self._app.engine.state
        self._inspector.show_engine(state.loaded, state.ready)

    def _on_event(self, event: object) -> None:
        if isinstance(event, SettingChanged) and event.key.startswith("replies."):
            self._inspector.show_sampling()
            self._show_system_prompt()

    def _show_system_prompt(self) -> None:
        conversation = self._chat.conversation
        own = conversation.system_prompt if conversation is not None else None
        text = str(self._app.settings.get("replies.system_prompt")) if own is None else own
        self._inspector.show_system_prompt(text, is_own=own is not None)


def _live_figures(run: LiveRun) -> Figures:
    prefill, meter = run.prefill, run.meter
    return Figures(
        is_live=True,
        tps_now=(meter.decode_tps_now or None) if meter else None,
        tps_mean=(meter.decode_tps_mean or None) if meter else None,
        ttft_s=meter.ttft_s if meter else None,
        n_new=prefill.n_prompt - prefill.n_cached if prefill else None,
        n_reused=prefill.n_cached if prefill else None,
        n_history=meter.n_context - meter.n_tokens if meter else prefill.n_done if prefill else 0,
        n_output=meter.n_tokens if meter else 0,
        n_ctx=meter.n_ctx if meter else 0,
        n_threads=meter.n_threads if meter else 0,
    )
