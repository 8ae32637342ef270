"""The full-text index: whether it is intact, and how it is made again.

It holds nothing of its own. This works on the writing connection itself, because an index that is
broken badly enough cannot even be dropped through SQL's front door. Called by `database` and
`opening`.
"""

import sqlite3
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from inglenook.store.schema import SEARCH_DDL, SEARCH_SHADOWS, SEARCH_TABLE, SEARCH_TRIGGERS

PURGE: Final = f"INSERT INTO {SEARCH_TABLE}({SEARCH_TABLE}) VALUES ('optimize')"  # noqa: S608
"""Merges the index into one segment, so that no word of a deleted text is left in it."""


def is_intact(connection: sqlite3.Connection) -> bool:
    """Whether the index exists, can be read and agrees with the messages."""
    try:
        names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
        if not {SEARCH_TABLE, *SEARCH_TRIGGERS} <= names:
            return False
        connection.execute(
            f"INSERT INTO {SEARCH_TABLE}({SEARCH_TABLE}) VALUES ('integrity-check')"  # noqa: S608
        )
    except sqlite3.DatabaseError:
        return False
    return True


def rebuild(connection: sqlite3.Connection) -> None:
    """Drop the index and make it again, in one transaction. Raises `sqlite3.Error`."""
    try:
        _replace(connection, _drop)
    except sqlite3.DatabaseError:
        _replace(connection, _erase)


def _replace(connection: sqlite3.Connection, remove: Callable[[sqlite3.Connection], None]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        remove(connection)
        for statement in SEARCH_DDL:
            connection.execute(statement)
        connection.execute(f"INSERT INTO {SEARCH_TABLE}({SEARCH_TABLE}) VALUES ('rebuild')")  # noqa: S608
        connection.execute("COMMIT")
    except sqlite3.Error:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise


def _drop(connection: sqlite3.Connection) -> None:
    for trigger in SEARCH_TRIGGERS:
        connection.execute(f"DROP TRIGGER IF EXISTS {trigger}")
    connection.execute(f"DROP TABLE IF EXISTS {SEARCH_TABLE}")


def _erase(connection: sqlite3.Connection) -> None:
    """Take a table out of the schema by hand whose own code refuses to load."""
    for trigger in SEARCH_TRIGGERS:
        connection.execute(f"DROP TRIGGER IF EXISTS {trigger}")
    connection.execute("PRAGMA writable_schema = ON")
    connection.execute("DELETE FROM sqlite_master WHERE name = ?", (SEARCH_TABLE,))
    connection.execute("PRAGMA writable_schema = RESET")
    for shadow in SEARCH_SHADOWS:
        connection.execute(f"DROP TABLE IF EXISTS {shadow}")
