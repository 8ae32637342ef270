"""What `doctor` and the about page tell of the database. A part of `Store`."""

import sqlite3

import msgspec
from sqlalchemy import Connection, func, select

from inglenook.base.errors import StorageError
from inglenook.store.attachments import is_file_intact
from inglenook.store.database import Database
from inglenook.store.schema import attachments, conversations, messages
from inglenook.store.text import is_intact


class DatabaseHealth(msgspec.Struct, frozen=True, kw_only=True):
    """Facts about the database. `integrity` is "ok", or what SQLite found first.

    `n_damaged` counts messages whose text, or a file attached to them, does not match its checksum.
    """

    sqlite_version: str
    schema_version: int
    size_bytes: int
    n_conversations: int
    n_messages: int
    n_damaged: int
    integrity: str
    journal_mode: str


class Health:
    """Checks of the open `database`."""

    _database: Database

    def check_health(self) -> DatabaseHealth:
        """Check the whole database: its structure and every text. Takes a second for 100 MB."""
        return self._database.read(self._check)

    def _check(self, connection: Connection) -> DatabaseHealth:
        def ask(pragma: str) -> object:
            return connection.exec_driver_sql(f"PRAGMA {pragma}").scalar()

        path = self._database.path
        files = (path, path.with_name(path.name + "-wal"))
        return DatabaseHealth(
            sqlite_version=sqlite3.sqlite_version,
            schema_version=_to_int(ask("user_version")),
            size_bytes=sum(file.stat().st_size for file in files if file.exists()),
            n_conversations=_to_int(
                connection.scalar(select(func.count()).select_from(conversations))
            ),
            n_messages=_to_int(connection.scalar(select(func.count()).select_from(messages))),
            n_damaged=_count_damaged(connection),
            integrity=str(ask("integrity_check(1)")),
            journal_mode=str(ask("journal_mode")),
        )


def _count_damaged(connection: Connection) -> int:
    columns = messages.c
    damaged = {
        message_id
        for message_id, name, text, checksum in connection.execute(
            select(
                attachments.c.message_id,
                attachments.c.name,
                attachments.c.text,
                attachments.c.checksum,
            )
        )
        if not is_file_intact(name, text, checksum)
    }
    rows = connection.execute(
        select(
            columns.id,
            columns.content,
            columns.checksum,
            columns.reasoning,
            columns.reasoning_checksum,
        )
    )
    return sum(
        message_id in damaged
        or not (is_intact(content, checksum) and is_intact(reasoning, reasoning_checksum))
        for message_id, content, checksum, reasoning, reasoning_checksum in rows
    )


def _to_int(value: object) -> int:
    if not isinstance(value, int):
        raise StorageError("The database of conversations could not be checked.", code="database")
    return value
