"""Making a database, and bringing one to this version: Alembic's migrations, run from inside.

Alembic is imported only when there is something to migrate.
"""

import logging
import os
import sqlite3
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, NullPool, create_engine, event

from inglenook.base.errors import StorageError
from inglenook.store.backup import make_backup, name_beside
from inglenook.store.faults import storage_errors
from inglenook.store.file import HEAD, connect

log = logging.getLogger(__name__)

MIGRATIONS: Final = Path(__file__).resolve().parent / "migrations"
_WAIT_S: Final = 30.0


def make_database(path: Path, *, migrations: Path = MIGRATIONS, head: int = HEAD) -> None:
    """Make an empty database at `path`, which must not exist: there is all of it or nothing."""
    unfinished = path.with_name(path.name + ".making")
    try:
        for suffix in ("", "-wal", "-shm", "-journal"):
            unfinished.with_name(unfinished.name + suffix).unlink(missing_ok=True)
        os.close(os.open(unfinished, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        _run(unfinished, migrations, head)
        unfinished.replace(path)
    except OSError as error:
        raise StorageError(
            f"The database of conversations cannot be made in {path.parent}.",
            "See whether the folder exists, is yours and has space left.",
            code="io",
        ) from error


def upgrade_database(
    path: Path, version: int, *, migrations: Path = MIGRATIONS, head: int = HEAD
) -> Path | None:
    """Bring a database of an older version to `head`, after a verified backup; returns its path.

    Old or new, never between: all steps are one transaction. Raises `StorageError`.
    """
    backup: Path | None = None
    if version > 0:
        backup = name_beside(path, f"before-{head:04}")
        with storage_errors():
            source = connect(path, mode="rw", wait_s=_WAIT_S)
            try:
                make_backup(source, backup)
            finally:
                source.close()
    _run(path, migrations, head)
    log.info("the database was brought from version %d to %d", version, head)
    return backup


def _run(path: Path, migrations: Path, head: int) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(migrations).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    engine = create_engine(
        "sqlite://", creator=lambda: _connect(path), poolclass=NullPool, hide_parameters=True
    )
    event.listen(engine, "begin", _begin)
    try:
        with storage_errors(), engine.connect() as connection, connection.begin():
            config.attributes["connection"] = connection
            command.upgrade(config, f"{head:04}")
            connection.exec_driver_sql(f"PRAGMA user_version = {head:d}")
    finally:
        engine.dispose()


def _connect(path: Path) -> sqlite3.Connection:
    connection = connect(path, mode="rw", wait_s=_WAIT_S)
    connection.execute("PRAGMA journal_mode = WAL").fetchall()
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA secure_delete = ON").fetchall()
    return connection


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
