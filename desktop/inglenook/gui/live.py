"""Replies that are being written: their text and numbers as far as the window knows them.

On the window's thread. A reply goes on while another conversation is on show; when its
conversation is opened again, what arrived meanwhile is taken from here.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec
from PySide6.QtCore import QObject, Signal

from inglenook.chat.events import MessageFinished, MessageStarted
from inglenook.engine.protocol import Failed, Finished, Meter, Prefill
from inglenook.gui.bridge import Bridge
from inglenook.store.records import Message


@dataclass(slots=True)
class LiveRun:
    """One reply that is being written."""

    reply: Message
    pieces: list[str] = field(default_factory=list)
    n_tokens: int = 0
    prefill: Prefill | None = None
    meter: Meter | None = None

    @property
    def conversation_id(self) -> str:
        """Where the reply belongs."""
        return self.reply.conversation_id

    def text(self) -> str:
        """All text so far, with what a continued reply began with."""
        return self.reply.content + "".join(self.pieces)


class LiveRuns(QObject):
    """Follows all live replies through the bridge; connect after this object has heard of an event.

    Signals: `started(MessageStarted)`, `changed()` when a run began or ended,
    `finished(Message)` with the stored record.
    """

    started = Signal(object)
    changed = Signal()
    finished = Signal(object)

    def __init__(self, bridge: Bridge, parent: QObject) -> None:
        super().__init__(parent)
        self._runs: dict[str, LiveRun] = {}
        bridge.happened.connect(self._on_event)
        bridge.text_arrived.connect(self._on_text)
        bridge.prefill_moved.connect(self._on_prefill)
        bridge.meter_moved.connect(self._on_meter)
        bridge.run_ended.connect(self._on_ended)

    def find(self, run_id: str) -> LiveRun | None:
        """A live run by its id, which is its message's."""
        return self._runs.get(run_id)

    def of_conversation(self, conversation_id: str | None) -> LiveRun | None:
        """The live run of a conversation."""
        for run in self._runs.values():
            if run.conversation_id == conversation_id:
                return run
        return None

    def all(self) -> tuple[LiveRun, ...]:
        """All live runs, oldest first."""
        return tuple(self._runs.values())

    @property
    def conversation_ids(self) -> frozenset[str]:
        """Conversations with a live reply."""
        return frozenset(run.conversation_id for run in self._runs.values())

    def merge(self, messages: Sequence[Message]) -> tuple[Message, ...]:
        """Put the newest text of live replies into messages that were read from the store."""
        return tuple(
            msgspec.structs.replace(message, content=run.text(), status="streaming")
            if (run := self._runs.get(message.id)) is not None
            else message
            for message in messages
        )

    def _on_event(self, event: object) -> None:
        match event:
            case MessageStarted():
                self._runs[event.reply.id] = LiveRun(event.reply)
                self.started.emit(event)
                self.changed.emit()
            case MessageFinished():
                self._runs.pop(event.message.id, None)
                self.finished.emit(event.message)
                self.changed.emit()
            case _:
                pass

    def _on_text(self, run_id: str, piece: str, n_tokens: int) -> None:
        if (run := self._runs.get(run_id)) is not None:
            run.pieces.append(piece)
            run.n_tokens = n_tokens

    def _on_prefill(self, event: Prefill) -> None:
        if (run := self._runs.get(event.run_id)) is not None:
            run.prefill = event

    def _on_meter(self, event: Meter) -> None:
        if (run := self._runs.get(event.run_id)) is not None:
            run.meter = event

    def _on_ended(self, event: Finished | Failed) -> None:
        """The engine is done; the run stays until its last text is stored."""
        if (run := self._runs.get(event.run_id)) is not None:
            run.n_tokens = max(run.n_tokens, event.usage.output_tokens)
