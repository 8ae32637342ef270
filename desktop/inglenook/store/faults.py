"""From errors of SQLite to `StorageError`: the one place that knows result codes.

Codes of the errors: full, busy, read_only, io, damaged, not_found, newer_schema, too_big,
cannot_open, database. Decided on SQLite's result code, never on its text.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from inglenook.base.errors import StorageError

_PRIMARY: Final = {
    sqlite3.SQLITE_FULL: (
        "full",
        "The disk is full: this could not be saved.",
        "Free some space; what was saved before is untouched.",
    ),
    sqlite3.SQLITE_BUSY: (
        "busy",
        "Another program holds the database of conversations.",
        "Close it, or try again in a moment.",
    ),
    sqlite3.SQLITE_LOCKED: (
        "busy",
        "Another program holds the database of conversations.",
        "Close it, or try again in a moment.",
    ),
    sqlite3.SQLITE_READONLY: (
        "read_only",
        "The database of conversations can only be read here.",
        "Give yourself the right to write in the data folder, or choose another with --home.",
    ),
    sqlite3.SQLITE_IOERR: (
        "io",
        "The disk could not be read or written.",
        "See whether it is full, disconnected or failing; what was saved before is untouched.",
    ),
    sqlite3.SQLITE_CORRUPT: (
        "damaged",
        "A part of the database of conversations is damaged.",
        "Start Inglenook again: it keeps the damaged file and rescues what can be read.",
    ),
    sqlite3.SQLITE_NOTADB: (
        "damaged",
        "The database of conversations is damaged.",
        "Start Inglenook again: it keeps the damaged file and rescues what can be read.",
    ),
    sqlite3.SQLITE_CANTOPEN: (
        "cannot_open",
        "The database of conversations cannot be opened.",
        "See whether its folder exists and is yours, or choose another with --home.",
    ),
    sqlite3.SQLITE_TOOBIG: (
        "too_big",
        "This text is too long to be saved.",
        "Send it in parts.",
    ),
}


def get_result_code(error: BaseException) -> int:
    """Give SQLite's primary result code for an error of sqlite3 or SQLAlchemy; -1 where none."""
    origin = getattr(error, "orig", error)  # SQLAlchemy wraps what SQLite raised
    code = getattr(origin, "sqlite_errorcode", None)
    return code & 0xFF if isinstance(code, int) else -1


def explain(error: BaseException) -> StorageError:
    """Make the `StorageError` for an error of sqlite3 or SQLAlchemy."""
    known = _PRIMARY.get(get_result_code(error))
    if known is not None:
        code, message, hint = known
        return StorageError(message, hint, code=code)
    return StorageError(
        "The database of conversations refused this.",
        "Try again; if it happens again, start Inglenook again.",
        code="database",
    )


@contextmanager
def storage_errors() -> Iterator[None]:
    """Turn whatever SQLite or SQLAlchemy raises inside into a `StorageError`."""
    # Here, so that a start can explain an error before SQLAlchemy is there.
    from sqlalchemy.exc import DBAPIError

    try:
        yield
    except (DBAPIError, sqlite3.Error) as error:
        raise explain(error) from error


def not_found(what: str) -> StorageError:
    """The error for an id that is not, or no longer, in the database."""
    return StorageError(f"This {what} is no longer there.", code="not_found")
