"""The connections: one that writes and checkpoints, under a lock and the gate; a few that read.

Used by the repositories, from any thread. `write` is one transaction, with everything or nothing
kept; `read` sees one moment of the database and never waits for a writer (WAL).
"""

import logging
import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, NullPool, QueuePool, create_engine, event
from sqlalchemy.exc import DBAPIError

from inglenook.base.errors import StorageError
from inglenook.store import search_index
from inglenook.store.faults import explain, get_result_code, storage_errors
from inglenook.store.file import connect, damage_mark, keep_log_on_close
from inglenook.store.gate import Gate

log = logging.getLogger(__name__)

_WAL_LIMIT_BYTES: Final = 16 * 1024 * 1024
_N_READERS: Final = 3
_MENDABLE: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_ERROR)


def _contains_folded(data: bytes | None, needle: str) -> bool:
    """Search without regard to case; takes bytes, for SQLite hands over no text that rotted."""
    return data is not None and needle in data.decode("utf-8", "replace").casefold()


class Database:
    """An open database file. Make it with `opening.open_database`, which has checked the file."""

    def __init__(self, path: Path, gate: Gate | None, *, wait_s: float, mode: str = "rw") -> None:
        self.path = path
        self.is_read_only = gate is None
        self.wait_s = wait_s
        self._gate = gate
        self._mode = mode
        self._lock = threading.RLock()
        self._writer: Connection | None = None
        self._is_durable = True
        self._write_engine = self._make_engine(self._connect_writer, NullPool)
        self._read_engine = self._make_engine(self._connect_reader, QueuePool)
        if gate is not None:
            with self._lock, storage_errors():
                self._writer = self._write_engine.connect()

    # --- work ---

    def write[T](self, work: Callable[[Connection], T], *, is_durable: bool = True) -> T:
        """Do `work` in one transaction and return what it returns.

        With `is_durable` the transaction is on the disk when this returns (synchronous=FULL);
        without, a crash of the app loses nothing and a power cut may lose the last ones. Raises
        `StorageError`; then nothing of `work` was kept.
        """
        with self._lock:
            try:
                return self._transact(work, is_durable)
            except (DBAPIError, sqlite3.Error) as error:
                if get_result_code(error) not in _MENDABLE or not self._mend_search():
                    self._note_damage(error)
                    raise explain(error) from error
            with storage_errors():
                return self._transact(work, is_durable)

    def read[T](self, work: Callable[[Connection], T]) -> T:
        """Do `work` on one moment of the database. Raises `StorageError`."""
        try:
            return self._look(work)
        except (DBAPIError, sqlite3.Error) as error:
            if get_result_code(error) not in _MENDABLE or not self._mend_search():
                self._note_damage(error)
                raise explain(error) from error
        with storage_errors():
            return self._look(work)

    def checkpoint(self) -> None:
        """Bring the write-ahead log into the database file and empty it."""
        with self._lock, self._hold_gate(), storage_errors():
            self._writer_dbapi().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def close(self) -> None:
        """Close all connections, the writer last: it does the last checkpoint. Idempotent."""
        with self._lock:
            self._read_engine.dispose()
            writer, self._writer = self._writer, None
            if writer is None or self._gate is None:
                return
            try:
                with self._gate.hold(self.wait_s):
                    writer.close()
            except StorageError:
                # Without the gate there is no checkpoint now; the next start does it.
                with suppress(DBAPIError, sqlite3.Error):
                    keep_log_on_close(_get_dbapi(writer))
                    writer.close()
            self._write_engine.dispose()

    # --- inside ---

    def _transact[T](self, work: Callable[[Connection], T], is_durable: bool) -> T:
        with self._hold_gate():
            connection = self._get_writer()
            self._set_durability(is_durable)
            try:
                with connection.begin():
                    return work(connection)
            finally:
                self._end_transaction(connection)

    def _end_transaction(self, connection: Connection) -> None:
        """After an error on the way, leave no transaction open: it would hold up all others."""
        dbapi = _get_dbapi(connection)
        if dbapi.in_transaction:
            with suppress(sqlite3.Error):
                dbapi.rollback()

    def _set_durability(self, is_durable: bool) -> None:
        if is_durable != self._is_durable:
            level = "FULL" if is_durable else "NORMAL"
            self._writer_dbapi().execute(f"PRAGMA synchronous = {level}")
            self._is_durable = is_durable

    def _look[T](self, work: Callable[[Connection], T]) -> T:
        with self._read_engine.connect() as connection, connection.begin():
            return work(connection)

    def _mend_search(self) -> bool:
        """Make the search index again if it is broken; whether it was."""
        try:
            with self._lock, self._hold_gate():
                dbapi = self._writer_dbapi()
                if search_index.is_intact(dbapi):
                    return False
                search_index.rebuild(dbapi)
        except (DBAPIError, sqlite3.Error, StorageError):
            return False
        log.warning("the search index was broken and was made again")
        return True

    def _note_damage(self, error: BaseException) -> None:
        """Leave a mark that makes the next start check the whole file."""
        if get_result_code(error) in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
            log.error("the database is damaged (SQLite code %s)", get_result_code(error))
            with suppress(OSError):
                damage_mark(self.path).touch(mode=0o600)

    def _hold_gate(self) -> Any:
        if self._gate is None:
            raise StorageError(
                "The database of conversations can only be read here.",
                "Give yourself the right to write in the data folder, or choose another "
                "with --home.",
                code="read_only",
            )
        return self._gate.hold(self.wait_s)

    def _get_writer(self) -> Connection:
        if self._writer is None:
            raise StorageError("The database of conversations is closed.", code="closed")
        return self._writer

    def _writer_dbapi(self) -> sqlite3.Connection:
        return _get_dbapi(self._get_writer())

    def _make_engine(
        self, connector: Callable[[], sqlite3.Connection], pool: type[NullPool] | type[QueuePool]
    ) -> Engine:
        limits: dict[str, Any] = (
            {"pool_size": _N_READERS, "max_overflow": 0, "pool_timeout": 10}
            if pool is QueuePool
            else {}
        )
        engine = create_engine(
            "sqlite://",
            creator=connector,
            poolclass=pool,
            hide_parameters=True,  # parameters are chat text, and errors are logged
            **limits,
        )
        begin = "BEGIN IMMEDIATE" if pool is NullPool else "BEGIN"
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(begin))
        return engine

    def _connect_writer(self) -> sqlite3.Connection:
        connection = connect(self.path, mode=self._mode, wait_s=self.wait_s)
        for pragma in (
            "journal_mode = WAL",
            "synchronous = FULL",
            "secure_delete = ON",
            f"journal_size_limit = {_WAL_LIMIT_BYTES}",
        ):
            connection.execute(f"PRAGMA {pragma}").fetchall()
        return connection

    def _connect_reader(self) -> sqlite3.Connection:
        mode = "rw" if self._gate is not None else self._mode
        connection = connect(self.path, mode=mode, wait_s=max(self.wait_s, 1.0))
        connection.execute("PRAGMA query_only = ON")
        connection.create_function("contains_folded", 2, _contains_folded, deterministic=True)
        keep_log_on_close(connection)
        return connection


def _get_dbapi(connection: Connection) -> sqlite3.Connection:
    dbapi: object = connection.connection.dbapi_connection
    if not isinstance(dbapi, sqlite3.Connection):
        raise StorageError("The database of conversations is closed.", code="closed")
    return dbapi
