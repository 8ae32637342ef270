"""Verified copies of the database, made by SQLite's backup API: a copied file can miss commits."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from inglenook.base.errors import StorageError
from inglenook.store.faults import storage_errors

_COUNTED: Final = ("conversations", "messages", "models", "settings")


def name_beside(path: Path, why: str) -> Path:
    """Name a file beside the database that tells why and when it was made, and does not exist."""
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    candidate = path.with_name(f"{path.stem}.{why}-{stamp}{path.suffix}")
    n = 2
    while candidate.exists():
        candidate = path.with_name(f"{path.stem}.{why}-{stamp}-{n}{path.suffix}")
        n += 1
    return candidate


def make_backup(source: sqlite3.Connection, target: Path) -> None:
    """Copy the database to a new file and prove that the copy is whole.

    Raises `StorageError`; then no file is left.
    """
    target.touch(mode=0o600, exist_ok=False)
    try:
        with storage_errors(), closing(sqlite3.connect(target)) as copy:
            source.backup(copy)
            _verify(source, copy)
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def _verify(source: sqlite3.Connection, copy: sqlite3.Connection) -> None:
    (answer,) = copy.execute("PRAGMA integrity_check(1)").fetchone()
    if answer != "ok" or _count_rows(source) != _count_rows(copy):
        raise StorageError(
            "The backup of the conversations could not be verified.",
            "See whether the disk has space left and is healthy.",
            code="backup",
        )


def _count_rows(connection: sqlite3.Connection) -> list[int]:
    tables = {
        name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type='table'")
    }
    return [
        connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608
        for table in _COUNTED
        if table in tables
    ]
