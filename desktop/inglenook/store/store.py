"""`Store`: everything that must survive, behind one object.

Made by `app.open_app`, closed with it. Every method may be called from any thread, gives or takes
frozen records, and raises `StorageError` and nothing else.
"""

from datetime import timedelta
from pathlib import Path
from typing import Final, Self

from inglenook.store.attachments import DraftAttachments
from inglenook.store.conversations import Conversations
from inglenook.store.database import Database
from inglenook.store.health import Health
from inglenook.store.messages import Messages
from inglenook.store.opening import Notice, Prepared, prepare_database
from inglenook.store.search import Search
from inglenook.store.shelf import Shelf

TRASH_KEPT: Final = timedelta(days=30)
WAIT_S: Final = 0.2


class Store(Conversations, DraftAttachments, Messages, Search, Shelf, Health):
    """The open store: conversations, drafts, messages, search, models, settings, health."""

    def __init__(self, prepared: Prepared) -> None:
        """Raises `StorageError` when the file cannot be opened after all."""
        self._prepared = prepared
        self._presence = prepared.presence
        self._database = Database(
            prepared.path, prepared.gate, wait_s=prepared.wait_s, mode=prepared.mode
        )

    @property
    def notice(self) -> Notice | None:
        """What a person should know about how the database was opened."""
        return self._prepared.notice

    @classmethod
    def open(cls, database: Path, *, wait_s: float = WAIT_S) -> Self:
        """Open the database, making, migrating or rescuing it first where that is needed.

        `wait_s` is how long a write waits for another program to let go of the file. Raises
        `StorageError` when the file is from a newer version (newer_schema, the file is not
        touched) or cannot be opened.
        """
        prepared = prepare_database(database, wait_s=wait_s)
        try:
            return cls(prepared)
        except BaseException:
            prepared.close()
            raise

    @property
    def is_read_only(self) -> bool:
        """Whether nothing can be saved: the file or its folder may only be read."""
        return self._database.is_read_only

    @property
    def remarks(self) -> tuple[str, ...]:
        """Sentences that a person should read about how the database was opened."""
        found = ["The database of conversations can only be read here."] * self.is_read_only
        if self.notice is not None:
            found.append(f"{self.notice.message} {self.notice.hint}")
        return tuple(found)

    @property
    def path(self) -> Path:
        """The database file."""
        return self._database.path

    def close(self) -> None:
        """Close all connections; idempotent."""
        self._database.close()
        self._prepared.close()
