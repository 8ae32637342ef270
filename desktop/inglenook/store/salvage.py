"""Reading what can be read of a damaged database into a new one.

Three tries, each on a copy, until one gives conversations: the file as it is; with its header
written anew; with its whole first page taken from a new database (our migrations put each table's
root on the same page, so the first page can be replaced). Rows are read one by one, past the
pages that cannot be read. Called by `opening` alone.
"""

import logging
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Table

from inglenook.store.file import connect
from inglenook.store.schema import (
    attachments,
    conversations,
    draft_attachments,
    messages,
    models,
    pieces,
    settings,
)

log = logging.getLogger(__name__)

_TABLES: Final = (conversations, messages, attachments, draft_attachments, models, settings)
_HEADER_BYTES: Final = 100
_PAGE_COUNT_OFFSET: Final = 28
_FREELIST_OFFSET: Final = 32
_LAST_ROW: Final = 2**40
_NEAR: Final = 512
_WAIT_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Salvaged:
    """How much was read."""

    n_conversations: int
    n_messages: int


def salvage(damaged: Path, fresh: Path) -> Salvaged:
    """Bring what can be read of `damaged` into the empty database `fresh`; never raises for damage.

    `damaged` and its log are only read.
    """
    for n_bytes in (0, _HEADER_BYTES, _get_page_size(fresh)):
        copy = fresh.with_name(fresh.name + ".salvage")
        try:
            _copy_database(damaged, copy)
            if n_bytes:
                _replace_head(copy, fresh, n_bytes)
            saved = _transfer(copy, fresh)
        except (sqlite3.Error, OSError) as error:
            log.warning("a way to read the damaged database failed (%s)", type(error).__name__)
            continue
        finally:
            for suffix in ("", "-wal", "-shm"):
                copy.with_name(copy.name + suffix).unlink(missing_ok=True)
        if saved.n_messages or saved.n_conversations:
            return saved
    return Salvaged(0, 0)


def _copy_database(source: Path, target: Path) -> None:
    for suffix in ("", "-wal"):
        part = source.with_name(source.name + suffix)
        if part.exists():
            copy = target.with_name(target.name + suffix)
            shutil.copyfile(part, copy)
            copy.chmod(0o600)


def _get_page_size(fresh: Path) -> int:
    with fresh.open("rb") as file:
        size = int.from_bytes(file.read(18)[16:18], "big")
    return 65536 if size == 1 else size


def _replace_head(copy: Path, fresh: Path, n_bytes: int) -> None:
    """Write the first bytes of a new database over those of the copy, with the copy's own size.

    The header's layout is in https://sqlite.org/fileformat2.html, section 1.3.
    """
    with fresh.open("rb") as file:
        head = bytearray(file.read(n_bytes))
    n_pages = copy.stat().st_size // _get_page_size(fresh)
    head[_PAGE_COUNT_OFFSET : _PAGE_COUNT_OFFSET + 4] = n_pages.to_bytes(4, "big")
    head[_FREELIST_OFFSET : _FREELIST_OFFSET + 8] = bytes(8)
    with copy.open("r+b") as file:
        file.write(head)


def _transfer(copy: Path, fresh: Path) -> Salvaged:
    with (
        closing(connect(copy, mode="rw", wait_s=_WAIT_S)) as source,
        closing(connect(fresh, mode="rw", wait_s=_WAIT_S)) as target,
    ):
        source.execute("PRAGMA query_only = ON")
        target.execute("PRAGMA foreign_keys = OFF")
        target.execute("PRAGMA synchronous = FULL")
        target.execute("BEGIN IMMEDIATE")
        try:
            for table in _TABLES:
                for row in _read_rows(source, table):
                    _insert(target, table, row)
            for row in _read_pieces(source):
                _insert(target, pieces, row)
            _mend(target)
            target.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                target.execute("ROLLBACK")
            raise
        (n_conversations,) = target.execute("SELECT count(*) FROM conversations").fetchone()
        (n_messages,) = target.execute("SELECT count(*) FROM messages").fetchone()
    return Salvaged(n_conversations, n_messages)


def _read_rows(source: sqlite3.Connection, table: Table) -> Iterator[tuple[Any, ...]]:
    """Read a table in the order of its row ids, past what cannot be read."""
    names = ", ".join(_list_columns(source, table))
    query = f"SELECT rowid, {names} FROM {table.name} NOT INDEXED WHERE rowid >= ? ORDER BY rowid"  # noqa: S608
    start: int | None = 0
    while start is not None:
        last = start - 1
        try:
            for row in source.execute(query, (start,)):
                if row[0] <= last:
                    break  # damaged references run in a circle
                last = row[0]
                yield row[1:]
            else:
                return
        except sqlite3.DatabaseError:
            log.debug("a row of %s cannot be read", table.name)
        start = _find_readable(source, table.name, max(last, start) + 1)


def _find_readable(source: sqlite3.Connection, name: str, start: int) -> int | None:
    """Find the next row id from which reading works: near first, then in growing steps."""
    query = f"SELECT rowid FROM {name} NOT INDEXED WHERE rowid >= ? ORDER BY rowid LIMIT 1"  # noqa: S608
    step = 1
    tried = 0
    while start < _LAST_ROW:
        try:
            row = source.execute(query, (start,)).fetchone()
        except sqlite3.DatabaseError:
            tried += 1
            step = 1 if tried < _NEAR else step * 2
            start += step
        else:
            return None if row is None else int(row[0])
    return None


def _list_columns(source: sqlite3.Connection, table: Table) -> list[str]:
    """Name the table's columns that the damaged database has; those of later versions follow."""
    there: set[str] = set()
    with suppress(sqlite3.DatabaseError):  # no database at all: its rows tell
        there = {row[1] for row in source.execute(f"PRAGMA table_info({table.name})")}
    return [column.name for column in table.columns if not there or column.name in there]


def _read_pieces(source: sqlite3.Connection) -> Iterator[tuple[Any, ...]]:
    names = ", ".join(_list_columns(source, pieces))
    with suppress(sqlite3.DatabaseError):
        yield from source.execute(f"SELECT {names} FROM pieces")  # noqa: S608


def _insert(target: sqlite3.Connection, table: Table, row: tuple[Any, ...]) -> None:
    """Insert a row; one whose values make no sense for its columns is left out.

    A row of an older version lacks the last columns; they get their defaults.
    """
    values = tuple(
        value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
        for value in row
    )
    # Text goes in as its bytes, so that what rotted stays as it is and its checksum tells of it.
    casts = ", ".join("CAST(? AS TEXT)" if isinstance(value, str) else "?" for value in row)
    names = ", ".join(column.name for column in [*table.columns][: len(row)])
    with suppress(sqlite3.IntegrityError, sqlite3.InterfaceError):
        target.execute(f"INSERT INTO {table.name} ({names}) VALUES ({casts})", values)  # noqa: S608


def _mend(target: sqlite3.Connection) -> None:
    """Make the rows fit together again where their partners were lost."""
    target.execute(
        """INSERT INTO conversations SELECT DISTINCT conversation_id, 'Rescued conversation', 0, '',
            NULL, '', 0, NULL, min(created_at), max(created_at), NULL
        FROM messages WHERE conversation_id NOT IN (SELECT id FROM conversations)
        GROUP BY conversation_id"""
    )
    # A message whose parent was lost follows the one before it.
    target.execute(
        """UPDATE messages SET parent_id = (
            SELECT id FROM messages AS before
            WHERE before.conversation_id = messages.conversation_id
                AND before.number < messages.number
            ORDER BY before.number DESC LIMIT 1)
        WHERE parent_id IS NOT NULL AND parent_id NOT IN (SELECT id FROM messages)"""
    )
    target.execute(
        """UPDATE conversations SET leaf_id = (
            SELECT id FROM messages WHERE conversation_id = conversations.id
            ORDER BY number DESC LIMIT 1)
        WHERE leaf_id IS NULL OR leaf_id NOT IN (SELECT id FROM messages)"""
    )
    target.execute("DELETE FROM pieces WHERE message_id NOT IN (SELECT id FROM messages)")
    target.execute("DELETE FROM attachments WHERE message_id NOT IN (SELECT id FROM messages)")
    target.execute(
        "DELETE FROM draft_attachments WHERE conversation_id NOT IN (SELECT id FROM conversations)"
    )
