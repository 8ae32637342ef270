"""The database file by SQLite's own interface, for what must be known before anything else.

SQLAlchemy is not imported here: a start of the window reads its settings through this module and
is on the screen before the rest of the store has been loaded.
"""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from inglenook.store.text import decode_stored

HEAD: Final = 4
"""The schema version that this code reads and writes: the number of the newest migration."""


def connect(path: Path, *, mode: str, wait_s: float) -> sqlite3.Connection:
    """Open one SQLite connection; `mode` is rw, rwc, ro or immutable. Raises `sqlite3.Error`."""
    query = "immutable=1&mode=ro" if mode == "immutable" else f"mode={mode}"
    connection = sqlite3.connect(
        f"file:{quote(str(path))}?{query}",
        uri=True,
        timeout=wait_s,
        isolation_level=None,
        check_same_thread=False,
    )
    connection.text_factory = decode_stored
    connection.execute("PRAGMA temp_store = MEMORY")  # no chat text in temporary files
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


def keep_log_on_close(connection: sqlite3.Connection) -> None:
    """Leave the log alone on close: the writer does every checkpoint."""
    connection.setconfig(sqlite3.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, True)


def read_setting_rows(path: Path, *, mode: str, wait_s: float) -> list[tuple[Any, Any]]:
    """Read the keys and values of `settings` as they are stored. Raises `sqlite3.Error`."""
    with closing(connect(path, mode=mode, wait_s=wait_s)) as connection:
        connection.execute("PRAGMA query_only = ON")
        keep_log_on_close(connection)
        return connection.execute("SELECT key, value FROM settings").fetchall()


def damage_mark(path: Path) -> Path:
    """Name the file whose presence makes the next start check the whole database."""
    return path.with_name(path.name + ".check")
