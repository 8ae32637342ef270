"""How a database file is opened: made, refused, migrated, or rescued, before anything else sees it.

All of it happens inside the gate, so that of several processes that start at once one does the
work and the others find it done. What is there and whole is prepared without SQLAlchemy, which
takes longer to import than everything here takes to do.
"""

import logging
import os
import sqlite3
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import msgspec

from inglenook.base.errors import StorageError
from inglenook.base.setting import Value
from inglenook.store.backup import name_beside
from inglenook.store.faults import explain, get_result_code
from inglenook.store.file import HEAD, connect, damage_mark, keep_log_on_close, read_setting_rows
from inglenook.store.gate import Gate, Presence, explain_refused_folder
from inglenook.store.rows import to_settings

log = logging.getLogger(__name__)

_OPEN_WAIT_S: Final = 30.0
_SMALL_BYTES: Final = 4 * 1024 * 1024
"""Up to this size the whole structure is checked at every start (about 10 ms)."""


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """Something happened to the database at the start: a sentence, and where the old file is."""

    message: str
    hint: str
    moved_to: str
    n_conversations: int
    n_messages: int


@dataclass(frozen=True, slots=True)
class Prepared:
    """A database file that is whole and of this version; `Store` opens it.

    `gate` and `presence` are None where it can only be read. `wait_s` is how long a write waits
    for another program.
    """

    path: Path
    gate: Gate | None
    presence: Presence | None
    notice: Notice | None
    mode: str
    wait_s: float

    def read_settings(self) -> Mapping[str, Value] | None:
        """Read what was chosen, before the store is open; None when only the store could do it."""
        try:
            return to_settings(read_setting_rows(self.path, mode=self.mode, wait_s=self.wait_s))
        except sqlite3.Error:
            return None

    def close(self) -> None:
        """Say that this process does not use the file any more; idempotent."""
        if self.presence is not None:
            self.presence.close()


def prepare_database(path: Path, *, wait_s: float) -> Prepared:
    """Prepare `path` for reading and writing, or for reading where nothing else is allowed.

    Raises `StorageError`: newer_schema, busy, io, full, cannot_open, read_only.
    """
    if _is_protected(path):
        return Prepared(path, None, None, None, _choose_read_only_mode(path, wait_s), wait_s)
    gate = Gate(path.with_name(path.name + ".gate"))
    with gate.hold(_OPEN_WAIT_S):
        notice = _prepare(path)
        path.chmod(0o600)
        presence = _appear(path.with_name("running"))
    return Prepared(path, gate, presence, notice, "rw", wait_s)


def _appear(folder: Path) -> Presence:
    """Give a sign of life, and remove those of the dead; inside the gate."""
    try:
        presence = Presence(folder)
    except OSError as error:
        raise explain_refused_folder() from error
    try:
        presence.sweep()
    except BaseException:
        presence.close()
        raise
    return presence


def _prepare(path: Path) -> Notice | None:
    """Leave a whole database of this version at `path`; tell when that took more than making it."""
    if not path.exists():
        from inglenook.store.upgrade import make_database

        _put_aside_log(path)
        make_database(path)
        return None
    condition = _examine(path)
    if condition == "damaged":
        return _rescue(path)
    damage_mark(path).unlink(missing_ok=True)
    if condition < HEAD:
        from inglenook.store.upgrade import upgrade_database

        upgrade_database(path, condition)
    return None


def _examine(path: Path) -> int | Literal["damaged"]:
    """Find the schema version, or that the file is damaged. Raises newer_schema."""
    if path.stat().st_size == 0:
        return "damaged"
    try:
        with closing(connect(path, mode="rw", wait_s=_OPEN_WAIT_S)) as connection:
            # Looking must not change the file: a newer version's log is not ours to bring in.
            keep_log_on_close(connection)
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version > HEAD:
                raise _make_newer_error(path)
            is_whole = _is_whole(connection, path)
    except sqlite3.DatabaseError as error:
        if get_result_code(error) in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
            return "damaged"
        raise explain(error) from error
    return int(version) if is_whole else "damaged"


def _is_whole(connection: sqlite3.Connection, path: Path) -> bool:
    """Check the structure of a small file, or of any that showed damage before."""
    names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    if not {"conversations", "messages"} <= names:
        return False
    if path.stat().st_size > _SMALL_BYTES and not damage_mark(path).exists():
        return True
    if _is_checked(connection):
        return True
    # Newer SQLite checks the search index too; that one can be made again.
    from inglenook.store import search_index

    search_index.rebuild(connection)
    return _is_checked(connection)


def _is_checked(connection: sqlite3.Connection) -> bool:
    (answer,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    return str(answer) == "ok"


def _rescue(path: Path) -> Notice:
    """Move a damaged file aside and bring what can be read of it into a new one."""
    from inglenook.store import salvage
    from inglenook.store.upgrade import make_database

    aside = _move_aside(path)
    fresh = path.with_name(path.name + ".new")
    make_database(fresh)
    saved = salvage.salvage(aside, fresh)
    fresh.replace(path)
    _sync_folder(path.parent)
    damage_mark(path).unlink(missing_ok=True)
    log.error(
        "the database was damaged; %d conversations and %d messages were rescued",
        saved.n_conversations,
        saved.n_messages,
    )
    if saved.n_messages == 0:
        what = "Nothing could be read from it, and Inglenook began a new one."
    else:
        what = (
            f"{saved.n_conversations} conversations with {saved.n_messages} messages were rescued."
        )
    return Notice(
        message=f"The database of conversations was damaged. {what}",
        hint=f"The damaged file was kept as {aside}.",
        moved_to=str(aside),
        n_conversations=saved.n_conversations,
        n_messages=saved.n_messages,
    )


def _move_aside(path: Path) -> Path:
    aside = name_beside(path, "damaged")
    for suffix in ("-wal", "-shm", ""):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(aside.with_name(aside.name + suffix))
    return aside


def _put_aside_log(path: Path) -> None:
    """A log without its database must not be replayed into a new one."""
    for suffix in ("-wal", "-shm"):
        stray = path.with_name(path.name + suffix)
        if stray.exists():
            stray.rename(name_beside(stray, "stray"))


def _is_protected(path: Path) -> bool:
    """Whether the database is there and may be read, and the file or its folder not written."""
    if not path.exists():
        return False
    return not (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK))


def _choose_read_only_mode(path: Path, wait_s: float) -> str:
    """Name the way in which the file can be read. Raises newer_schema, read_only."""
    for mode in ("ro", "immutable"):
        try:
            with closing(connect(path, mode=mode, wait_s=wait_s)) as connection:
                (version,) = connection.execute("PRAGMA user_version").fetchone()
                connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except sqlite3.DatabaseError as error:
            failure = explain(error)
            continue
        if version > HEAD:
            raise _make_newer_error(path)
        if version < HEAD:
            failure = StorageError(
                "The database of conversations is from an older version and can only be read here.",
                "Give yourself the right to write in the data folder, so that it can be updated.",
                code="read_only",
            )
            break
        log.warning("the database can only be read")
        return mode
    raise failure


def _make_newer_error(path: Path) -> StorageError:
    return StorageError(
        "The conversations were saved by a newer version of Inglenook; nothing was changed.",
        f"Install the newest version, or start with another folder by --home. The file is {path}.",
        code="newer_schema",
    )


def _sync_folder(folder: Path) -> None:
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
