"""The full-text indexes: whether they are intact, and how they are made again.

They hold nothing of their own. This works on the writing connection itself, because an index that
is broken badly enough cannot even be dropped through SQL's front door. Called by `database` and
`opening`.
"""

import sqlite3
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from inglenook.store.schema import SEARCH_INDEXES, SearchIndex

PURGES: Final = tuple(
    f"INSERT INTO {index.table}({index.table}) VALUES ('optimize')"  # noqa: S608
    for index in SEARCH_INDEXES
)
"""Merge each index into one segment, so that no word of a deleted text is left in it."""


def is_intact(connection: sqlite3.Connection) -> bool:
    """Whether the indexes exist, can be read and agree with what they index."""
    try:
        names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
        for index in SEARCH_INDEXES:
            if not {index.table, *index.triggers} <= names:
                return False
            connection.execute(
                f"INSERT INTO {index.table}({index.table}) VALUES ('integrity-check')"  # noqa: S608
            )
    except sqlite3.DatabaseError:
        return False
    return True


def rebuild(connection: sqlite3.Connection) -> None:
    """Drop the indexes and make them again, each in one transaction. Raises `sqlite3.Error`.

    A database of an older version may not have the table yet that one of them is for.
    """
    names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    for index in SEARCH_INDEXES:
        if index.content not in names:
            continue
        try:
            _replace(connection, index, _drop)
        except sqlite3.DatabaseError:
            _replace(connection, index, _erase)


def _replace(
    connection: sqlite3.Connection,
    index: SearchIndex,
    remove: Callable[[sqlite3.Connection, SearchIndex], None],
) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        remove(connection, index)
        for statement in index.ddl:
            connection.execute(statement)
        connection.execute(f"INSERT INTO {index.table}({index.table}) VALUES ('rebuild')")  # noqa: S608
        connection.execute("COMMIT")
    except sqlite3.Error:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise


def _drop(connection: sqlite3.Connection, index: SearchIndex) -> None:
    for trigger in index.triggers:
        connection.execute(f"DROP TRIGGER IF EXISTS {trigger}")
    connection.execute(f"DROP TABLE IF EXISTS {index.table}")


def _erase(connection: sqlite3.Connection, index: SearchIndex) -> None:
    """Take a table out of the schema by hand whose own code refuses to load."""
    for trigger in index.triggers:
        connection.execute(f"DROP TRIGGER IF EXISTS {trigger}")
    connection.execute("PRAGMA writable_schema = ON")
    connection.execute("DELETE FROM sqlite_master WHERE name = ?", (index.table,))
    connection.execute("PRAGMA writable_schema = RESET")
    for shadow in index.shadows:
        connection.execute(f"DROP TABLE IF EXISTS {shadow}")
