"""The messages of the shown branch, and which of them have widgets. No Qt here.

A thread may hold ten thousand messages; only a stretch of them, the window, is ever realised.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from inglenook.engine.protocol import Meter
from inglenook.store.records import Message

STRETCH: Final = 40
"""Messages that are realised around the place that is read."""
STEP: Final = 12
KEPT_LIMIT: Final = 160
"""More realised messages than this are let go at the far end."""


@dataclass(slots=True)
class Entry:
    """A message with what is known of it beyond its record; owned by `Thread`."""

    message: Message
    text: str
    """The text so far; ahead of `message.content` while it streams."""
    meter: Meter | None = None
    n_tokens: int = 0
    progress: str = ""
    is_unsaved: bool = False
    is_stuck: bool = False
    """Whether the engine shows no sign of work while this is being written."""
    drafts: "tuple[Entry, ...]" = ()
    """Drafts of one reply that stand side by side at this place, with this one among them."""
    note: str = ""
    """What is to be said of the drafts."""
    reasoning: str = ""
    """What was thought so far; ahead of `message.reasoning` while it streams."""
    thinks_since: float = 0.0
    """When the reasoning that goes on began, on the monotonic clock; 0.0 while none does."""
    thought_s: float = 0.0

    def __post_init__(self) -> None:
        self.take_record()

    def take_record(self) -> None:
        """Believe the message's record about its reasoning, when nothing is ahead of it."""
        message = self.message
        if message.status != "streaming" or not self.reasoning.startswith(message.reasoning):
            self.reasoning, self.thinks_since = message.reasoning, 0.0
        if message.status != "streaming" or not self.thought_s:
            self.thought_s = message.statistics.reasoning_s or self.thought_s

    @property
    def is_thinking(self) -> bool:
        """Whether its reasoning goes on now."""
        return self.thinks_since > 0.0

    def think(self, piece: str, since: float) -> None:
        """More of its reasoning came, which began at `since` if it just began."""
        self.reasoning += piece
        self.thinks_since = self.thinks_since or since

    def end_thinking(self, now: float) -> None:
        """The answer begins, or the reply ended."""
        if self.thinks_since:
            self.thought_s += now - self.thinks_since
            self.thinks_since = 0.0

    def count_thinking_s(self) -> float:
        """How long it has thought, so far."""
        now = time.monotonic() - self.thinks_since if self.thinks_since else 0.0
        return self.thought_s + now


class Thread:
    """The shown branch from root to leaf; entries `first` to `last` (exclusive) are realised."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self._places: dict[str, int] = {}
        self.first = 0
        self.last = 0

    def set_messages(
        self, messages: Sequence[Message], drafts: Sequence[Message] = (), note: str = ""
    ) -> int:
        """Show these; how many at the start are the very records that were shown before.

        `drafts` stand side by side in the place of the last message, which is one of them.
        """
        same = 0
        for entry, message in zip(self.entries, messages, strict=False):
            wanted = list(drafts) if same == len(messages) - 1 else []
            if entry.message != message or [d.message for d in entry.drafts] != wanted:
                break
            same += 1
        self.truncate(same)
        for message in messages[same : len(messages) - bool(drafts)]:
            self.append(message)
        if drafts and same < len(messages):
            self.append_drafts(drafts, messages[-1].id, note)
        return same

    def append(self, message: Message) -> Entry:
        """Add a message at the end; it is not realised yet."""
        entry = Entry(message, message.content)
        self._places[message.id] = len(self.entries)
        self.entries.append(entry)
        return entry

    def append_drafts(self, messages: Sequence[Message], shown_id: str, note: str = "") -> Entry:
        """Add drafts of one reply in one place, which is that of the one named."""
        entries = tuple(Entry(message, message.content) for message in messages)
        holder = next(entry for entry in entries if entry.message.id == shown_id)
        holder.drafts, holder.note = entries, note
        for message in messages:
            self._places[message.id] = len(self.entries)
        self.entries.append(holder)
        return holder

    def truncate(self, length: int) -> None:
        """Keep only the first `length` messages."""
        for entry in self.entries[length:]:
            for gone in (entry, *entry.drafts):
                self._places.pop(gone.message.id, None)
        del self.entries[length:]
        self.first = min(self.first, length)
        self.last = min(self.last, length)

    def find(self, message_id: str) -> Entry | None:
        """The entry of a message, if it is on the shown branch or among its drafts."""
        holder = self.find_holder(message_id)
        if holder is None:
            return None
        return next((d for d in holder.drafts if d.message.id == message_id), holder)

    def find_holder(self, message_id: str) -> Entry | None:
        """The entry of the place where a message stands."""
        place = self._places.get(message_id)
        return None if place is None else self.entries[place]

    def place(self, message_id: str) -> int | None:
        """Where a message stands."""
        return self._places.get(message_id)

    def place_for(self, message: Message) -> int:
        """Where a new message goes: right below its parent, in place of what followed it."""
        if message.id in self._places:
            return self._places[message.id]
        if message.parent_id is None:
            return 0
        above = self._places.get(message.parent_id)
        return len(self.entries) if above is None else above + 1
