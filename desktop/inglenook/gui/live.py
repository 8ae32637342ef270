"""Replies that are being written: their text and numbers as far as the window knows them.

On the window's thread. A reply goes on while another conversation is on show; when its
conversation is opened again, what arrived meanwhile is taken from here.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec
from PySide6.QtCore import QObject, Signal

from inglenook.chat.events import MessageFinished, MessageStarted, ReplyWaits
from inglenook.engine.protocol import Failed, Finished, Meter, Prefill
from inglenook.gui.bridge import Bridge
from inglenook.store.records import Message

_KEPT_ENDS: Final = 32
"""So many finished records are kept: what was read of a reply before its end is shown after it."""


@dataclass(slots=True)
class LiveRun:
    """One reply that is being written."""

    reply: Message
    pieces: list[str] = field(default_factory=list)
    thoughts: list[str] = field(default_factory=list)
    thinks_since: float = 0.0
    """When its first reasoning came, on the monotonic clock; 0.0 before that."""
    thought_s: float = 0.0
    """How long it thought, once its answer has begun."""
    n_tokens: int = 0
    prefill: Prefill | None = None
    meter: Meter | None = None
    is_over: bool = False
    """Whether the engine is done with it; its last text is being stored."""
    waits_for: str = ""
    """The model that must have finished its replies first."""

    @property
    def has_begun(self) -> bool:
        """Whether the engine has read or written something of it."""
        return self.prefill is not None or bool(self.n_tokens)

    @property
    def conversation_id(self) -> str:
        """Where the reply belongs."""
        return self.reply.conversation_id

    def text(self) -> str:
        """All text so far, with what a continued reply began with."""
        return self.reply.content + "".join(self.pieces)

    def reasoning(self) -> str:
        """All reasoning so far, likewise."""
        return self.reply.reasoning + "".join(self.thoughts)


@dataclass(frozen=True, slots=True)
class DraftSet:
    """Drafts of one reply, live or done, of which none has been kept yet."""

    parent_id: str
    conversation_id: str
    ids: tuple[str, ...]
    is_freer: bool = False


class LiveRuns(QObject):
    """Follows all live replies through the bridge; connect after this object has heard of an event.

    Signals: `started(MessageStarted)`, `changed()` when a run began or ended,
    `finished(Message)` with the stored record, `waiting(LiveRun)` for one that another model holds
    up.
    """

    started = Signal(object)
    changed = Signal()
    finished = Signal(object)
    waiting = Signal(object)

    def __init__(self, bridge: Bridge, parent: QObject) -> None:
        super().__init__(parent)
        self._runs: dict[str, LiveRun] = {}
        self._ended: dict[str, Message] = {}
        """The records of the replies that ended last, oldest first."""
        self._sets: dict[str, DraftSet] = {}
        bridge.happened.connect(self._on_event)
        bridge.text_arrived.connect(self._on_text)
        bridge.reasoning_arrived.connect(self._on_reasoning)
        bridge.prefill_moved.connect(self._on_prefill)
        bridge.meter_moved.connect(self._on_meter)
        bridge.run_ended.connect(self._on_ended)

    def find(self, run_id: str) -> LiveRun | None:
        """A live run by its id, which is its message's."""
        return self._runs.get(run_id)

    def of_conversation(self, conversation_id: str | None) -> LiveRun | None:
        """The live run of a conversation, the first where it has several."""
        return next(iter(self.all_of(conversation_id)), None)

    def all_of(self, conversation_id: str | None) -> tuple[LiveRun, ...]:
        """The live runs of a conversation, in the order in which they were begun."""
        return tuple(run for run in self._runs.values() if run.conversation_id == conversation_id)

    def set_of(self, message: Message | None) -> DraftSet | None:
        """The drafts that a reply stands among until one of them is kept."""
        found = self._sets.get(message.parent_id or "") if message is not None else None
        return found if found is not None and message and message.id in found.ids else None

    def sets_of(self, conversation_id: str) -> tuple[DraftSet, ...]:
        """The drafts of a conversation of which none was kept yet."""
        return tuple(s for s in self._sets.values() if s.conversation_id == conversation_id)

    def drop_set(self, drafts: DraftSet) -> None:
        """One was kept: from now on they are versions like any other."""
        self._sets.pop(drafts.parent_id, None)

    def all(self) -> tuple[LiveRun, ...]:
        """All live runs, oldest first."""
        return tuple(self._runs.values())

    @property
    def conversation_ids(self) -> frozenset[str]:
        """Conversations with a live reply."""
        return frozenset(run.conversation_id for run in self._runs.values())

    def merge(self, messages: Sequence[Message]) -> tuple[Message, ...]:
        """Put the newest text of live replies into messages that were read from the store.

        A reply that has ended since they were read is given as it ended.
        """
        return tuple(map(self._renew, messages))

    def _renew(self, message: Message) -> Message:
        if (run := self._runs.get(message.id)) is not None:
            return msgspec.structs.replace(
                message, content=run.text(), reasoning=run.reasoning(), status="streaming"
            )
        return self._ended.get(message.id, message) if message.status == "streaming" else message

    def _keep_end(self, message: Message) -> None:
        self._ended.pop(message.id, None)
        self._ended[message.id] = message
        if len(self._ended) > _KEPT_ENDS:
            del self._ended[next(iter(self._ended))]

    def _on_event(self, event: object) -> None:
        match event:
            case MessageStarted():
                for reply in event.replies:
                    self._runs[reply.id] = LiveRun(reply)
                    self._ended.pop(reply.id, None)
                self._note_drafts(event)
                self.started.emit(event)
                self.changed.emit()
            case ReplyWaits():
                if (run := self._runs.get(event.run_id)) is not None:
                    run.waits_for = event.model_id
                    self.waiting.emit(run)
            case MessageFinished():
                self._runs.pop(event.message.id, None)
                self._keep_end(event.message)
                self.finished.emit(event.message)
                self.changed.emit()
            case _:
                pass

    def _note_drafts(self, event: MessageStarted) -> None:
        """Several that begin together are a set; one more version, or going on, ends it."""
        parent_id = event.reply.parent_id or ""
        if event.others:
            ids = tuple(reply.id for reply in event.replies)
            self._sets[parent_id] = DraftSet(
                parent_id, event.reply.conversation_id, ids, event.is_freer
            )
        elif (same := self._sets.get(parent_id)) is not None and event.reply.id not in same.ids:
            self.drop_set(same)
        above = event.user.parent_id if event.user is not None else None
        for drafts in self.sets_of(event.reply.conversation_id):
            if above in drafts.ids:
                self.drop_set(drafts)

    def _on_text(self, run_id: str, piece: str, n_tokens: int) -> None:
        if (run := self._runs.get(run_id)) is not None:
            run.pieces.append(piece)
            run.n_tokens = n_tokens
            if run.thinks_since and not run.thought_s:
                run.thought_s = time.monotonic() - run.thinks_since

    def _on_reasoning(self, run_id: str, piece: str, n_tokens: int) -> None:
        if (run := self._runs.get(run_id)) is not None:
            run.thoughts.append(piece)
            run.n_tokens = n_tokens
            run.thinks_since = run.thinks_since or time.monotonic()

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
            run.is_over = True
