"""The messages of the shown branch, and which of them have widgets. No Qt here.

A thread may hold ten thousand messages; only a stretch of them, the window, is ever realised.
"""

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


class Thread:
    """The shown branch from root to leaf; entries `first` to `last` (exclusive) are realised."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self._places: dict[str, int] = {}
        self.first = 0
        self.last = 0

    def set_messages(self, messages: Sequence[Message]) -> int:
        """Show these; how many at the start are the very records that were shown before."""
        same = 0
        for entry, message in zip(self.entries, messages, strict=False):
            if entry.message != message:
                break
            same += 1
        self.truncate(same)
        for message in messages[same:]:
            self.append(message)
        return same

    def append(self, message: Message) -> Entry:
        """Add a message at the end; it is not realised yet."""
        entry = Entry(message, message.content)
        self._places[message.id] = len(self.entries)
        self.entries.append(entry)
        return entry

    def truncate(self, length: int) -> None:
        """Keep only the first `length` messages."""
        for entry in self.entries[length:]:
            self._places.pop(entry.message.id, None)
        del self.entries[length:]
        self.first = min(self.first, length)
        self.last = min(self.last, length)

    def find(self, message_id: str) -> Entry | None:
        """The entry of a message, if it is on the shown branch."""
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
