"""FAULTS C03, C05, C06, C10, C12, F11, F12: full disks, locks, modes, migrations, deletion."""

import os
import resource
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from inglenook.base.errors import StorageError
from inglenook.base.paths import Profile
from inglenook.store import opening
from inglenook.store.file import HEAD
from inglenook.store.store import Store
from inglenook.store.upgrade import MIGRATIONS, make_database, upgrade_database
from integration.store.damage import CANARY, fill, read_all, run_sql


def limit_pages(store: Store, n_free: int | None) -> None:
    """Let the database grow by so many pages and no more; None takes the limit away."""
    connection = store._database._writer_dbapi()
    (n_pages,) = connection.execute("PRAGMA page_count").fetchone()
    limit = 2**30 if n_free is None else n_pages + n_free
    connection.execute(f"PRAGMA max_page_count = {limit}").fetchone()


@contextmanager
def limit_files(n_bytes: int) -> Iterator[None]:
    """No file may grow past `n_bytes`, as with a full quota."""
    old_handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
        signal.signal(signal.SIGXFSZ, old_handler)


# --- C03 ---


def test_C03_a_full_disk_changes_nothing_and_ends_when_space_returns(profile: Profile) -> None:
    texts = fill(profile.database, 5)
    store = Store.open(profile.database)
    limit_pages(store, 0)
    with pytest.raises(StorageError) as caught:
        store.start_conversation(
            title="T", system_prompt=None, text="x" * 50_000, model_id="", model_name=""
        )
    assert caught.value.code == "full"
    assert read_all(store) == texts
    limit_pages(store, None)
    store.start_conversation(
        title="T", system_prompt=None, text="x" * 50_000, model_id="", model_name=""
    )
    assert len(store.list_conversations()) == 6
    assert store.check_health().integrity == "ok"
    store.close()


def test_C03_a_file_that_may_not_grow_changes_nothing(profile: Profile) -> None:
    texts = fill(profile.database, 5)
    store = Store.open(profile.database)
    store.create_conversation(title="before")
    with limit_files(64 * 1024), pytest.raises(StorageError) as caught:
        store.start_conversation(
            title="T", system_prompt=None, text="x" * 500_000, model_id="", model_name=""
        )
    assert caught.value.code in {"full", "io"}
    assert {k: v for k, v in read_all(store).items() if v} == texts
    store.create_conversation(title="after")
    assert store.check_health().integrity == "ok"
    store.close()


def test_C03_no_space_at_the_first_start_leaves_nothing_half_made(profile: Profile) -> None:
    with limit_files(8192), pytest.raises(StorageError):
        Store.open(profile.database)
    assert not profile.database.exists()
    Store.open(profile.database).close()


def test_C03_a_folder_that_takes_no_sign_of_life_is_told(profile: Profile) -> None:
    fill(profile.database, 1)
    running = profile.data / "running"
    running.rmdir()
    running.write_text("")
    with pytest.raises(StorageError, match="cannot be written") as caught:
        Store.open(profile.database)
    assert caught.value.code == "io"
    running.unlink()
    store = Store.open(profile.database)
    assert len(store.list_conversations()) == 1
    store.close()


# --- C05 ---


@pytest.mark.logs("only be read")
def test_C05_a_protected_database_can_be_read(
    profile: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = fill(profile.database, 2)
    monkeypatch.setattr(opening, "_is_protected", Path.exists)
    store = Store.open(profile.database)
    assert store.is_read_only
    assert read_all(store) == texts
    with pytest.raises(StorageError) as caught:
        store.create_conversation(title="x")
    assert caught.value.code == "read_only"
    store.close()


# --- C06 ---


def make_next_version(folder: Path, body: str) -> Path:
    """A copy of the migrations with one more."""
    versions = folder / "migrations" / "versions"
    versions.mkdir(parents=True)
    for path in MIGRATIONS.glob("*.py"):
        (folder / "migrations" / path.name).write_text(path.read_text())
    for path in (MIGRATIONS / "versions").glob("v*.py"):
        (versions / path.name).write_text(path.read_text())
    (versions / f"v{HEAD + 1:04}_next.py").write_text(
        "from alembic import op\n"
        f"revision = '{HEAD + 1:04}'\ndown_revision = '{HEAD:04}'\n"
        "branch_labels = None\ndepends_on = None\n"
        f"def upgrade() -> None:\n    {body}\n"
    )
    return folder / "migrations"


def test_C06_a_migration_backs_up_and_keeps_every_row(profile: Profile, tmp_path: Path) -> None:
    fill(profile.database, 4)
    migrations = make_next_version(
        tmp_path, "op.execute(\"ALTER TABLE conversations ADD COLUMN mood TEXT DEFAULT 'calm'\")"
    )
    backup = upgrade_database(profile.database, HEAD, migrations=migrations, head=HEAD + 1)
    assert backup is not None
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    with closing(sqlite3.connect(profile.database)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (HEAD + 1,)
        moods = connection.execute("SELECT count(*) FROM conversations WHERE mood='calm'")
        assert moods.fetchone() == (4,)
    with closing(sqlite3.connect(backup)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (HEAD,)
        assert connection.execute("SELECT count(*) FROM messages").fetchone() == (24,)


def test_C06_a_migration_that_fails_leaves_the_old_schema(profile: Profile, tmp_path: Path) -> None:
    texts = fill(profile.database, 4)
    migrations = make_next_version(
        tmp_path, "op.execute('ALTER TABLE messages DROP COLUMN error'); op.execute('nonsense')"
    )
    with pytest.raises(StorageError):
        upgrade_database(profile.database, HEAD, migrations=migrations, head=HEAD + 1)
    store = Store.open(profile.database)
    assert read_all(store) == texts
    store.close()


def test_C06_killed_at_any_moment_a_database_is_old_or_new(profile: Profile) -> None:
    script = (
        "import sys, os, threading, time\n"
        "from pathlib import Path\n"
        "from inglenook.store.upgrade import make_database\n"
        "threading.Timer(float(sys.argv[2]), lambda: os.kill(os.getpid(), 9)).start()\n"
        "make_database(Path(sys.argv[1]))\n"
        "os._exit(0)\n"
    )
    for step in range(6):
        path = profile.data / f"step{step}.db"
        subprocess.run([sys.executable, "-c", script, str(path), str(0.05 * step)], timeout=60)
        if path.exists():
            with closing(sqlite3.connect(path)) as connection:
                assert connection.execute("PRAGMA user_version").fetchone() == (HEAD,)
        else:
            make_database(path)


# --- C10 ---


def test_C10_many_processes_open_one_new_profile(profile: Profile) -> None:
    script = (
        "import sys; from pathlib import Path; from inglenook.store.store import Store\n"
        "s = Store.open(Path(sys.argv[1]), wait_s=20)\n"
        "for i in range(20): s.create_conversation(title=f'{sys.argv[2]}.{i}')\n"
        "s.close()\n"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(profile.database), str(n)], stderr=subprocess.PIPE
        )
        for n in range(4)
    ]
    check_ended_well(processes)
    store = Store.open(profile.database)
    assert len({c.title for c in store.list_conversations()}) == 80
    assert store.check_health().integrity == "ok"
    assert list((profile.data / "running").iterdir()) == [profile.data / "running" / store._token]
    store.close()


def test_C10_processes_that_start_together_do_not_take_each_other_for_dead(
    profile: Profile,
) -> None:
    script = (
        "import sys; from pathlib import Path\n"
        "from inglenook.store.opening import prepare_database\n"
        "for _ in range(100):\n"
        "    prepared = prepare_database(Path(sys.argv[1]), wait_s=20)\n"
        "    assert (prepared.path.with_name('running') / prepared.presence.token).is_file()\n"
        "    prepared.close()\n"
    )
    check_ended_well(
        [
            subprocess.Popen(
                [sys.executable, "-c", script, str(profile.database)], stderr=subprocess.PIPE
            )
            for _ in range(4)
        ]
    )
    assert list((profile.data / "running").iterdir()) == []


def check_ended_well(processes: list[subprocess.Popen[bytes]]) -> None:
    """Wait for all of them, so that none is left running, and see that each went well."""
    ends = [process.communicate(timeout=60)[1] for process in processes]
    assert [(p.returncode, e) for p, e in zip(processes, ends, strict=True)] == [(0, b"")] * len(
        processes
    )


# --- C12 ---


def test_C12_an_external_lock_is_told_soon_and_ends(profile: Profile) -> None:
    store = Store.open(profile.database, wait_s=0.1)
    outside = sqlite3.connect(profile.database, isolation_level=None)
    outside.execute("BEGIN EXCLUSIVE")
    began = time.monotonic()
    with pytest.raises(StorageError) as caught:
        store.create_conversation(title="x")
    assert caught.value.code == "busy"
    assert time.monotonic() - began < 2
    assert store.list_conversations() == ()
    outside.execute("ROLLBACK")
    outside.close()
    store.create_conversation(title="x")
    assert len(store.list_conversations()) == 1
    store.close()


def test_a_reader_never_waits_for_a_writer(profile: Profile) -> None:
    store = Store.open(profile.database)
    store.create_conversation(title="x")
    inside, go_on = threading.Event(), threading.Event()

    def hold(connection: object) -> None:
        inside.set()
        go_on.wait(5)

    writer = threading.Thread(target=lambda: store._database.write(hold))
    writer.start()
    inside.wait(5)
    began = time.monotonic()
    assert len(store.list_conversations()) == 1
    assert time.monotonic() - began < 1
    go_on.set()
    writer.join()
    store.close()


# --- F11, F12 ---


def test_F11_every_file_is_the_owners_alone(profile: Profile) -> None:
    os.umask(0)
    store = Store.open(profile.database)
    store.create_conversation(title="x")
    modes = {
        path.name: stat.S_IMODE(path.stat().st_mode)
        for path in profile.data.rglob("*")
        if path.is_file()
    }
    assert {"inglenook.db", "inglenook.db-wal", "inglenook.db-shm"} <= set(modes)
    assert set(modes.values()) == {0o600}
    assert stat.S_IMODE((profile.data / "running").stat().st_mode) == 0o700
    store.close()


def grep(folder: Path, needle: bytes) -> list[Path]:
    return [p for p in folder.rglob("*") if p.is_file() and needle in p.read_bytes().lower()]


def test_F12_what_is_deleted_for_ever_is_in_no_byte(profile: Profile) -> None:
    store = Store.open(profile.database)
    user, reply = store.start_conversation(
        title=f"{CANARY} title",
        system_prompt=CANARY,
        text=f"{CANARY} " * 400,
        model_id="",
        model_name="",
    )
    for _ in range(50):
        store.append_text(reply.id, f"{CANARY} piece ")
    store.finish_message(reply.id, content=f"{CANARY} done " * 500, status="complete")
    store.update_conversation(user.conversation_id, draft=f"{CANARY} draft")
    kept, _ = store.start_conversation(
        title="kept", system_prompt=None, text="stays here", model_id="", model_name=""
    )
    assert grep(profile.data, CANARY.encode())
    store.delete_forever(user.conversation_id)
    assert grep(profile.data, CANARY.encode()) == []
    assert grep(profile.data, b"xylophone") == []
    assert [c.id for c in store.list_conversations()] == [kept.conversation_id]
    assert store.search("stays")
    store.close()
    assert grep(profile.data, b"xylophone") == []


def test_a_stale_version_file_does_not_hold_up_the_start(profile: Profile) -> None:
    profile.database.with_name("inglenook.db.making").write_bytes(b"left by a kill")
    store = Store.open(profile.database)
    assert store.notice is None
    store.close()
    assert not profile.database.with_name("inglenook.db.making").exists()


def test_the_schema_on_disk_is_the_schema_in_code(profile: Profile) -> None:
    from inglenook.store.schema import metadata

    fill(profile.database, 1)
    with closing(sqlite3.connect(profile.database)) as connection:
        for name, table in metadata.tables.items():
            columns = [row[1] for row in connection.execute(f"PRAGMA table_info({name})")]
            assert columns == [column.name for column in table.columns]
            nullable = {
                row[1] for row in connection.execute(f"PRAGMA table_info({name})") if not row[3]
            }
            assert nullable == {column.name for column in table.columns if column.nullable}
            indexes = {
                row[1] for row in connection.execute(f"PRAGMA index_list({name})") if row[3] == "c"
            }
            assert indexes == {str(index.name) for index in table.indexes}
    run_sql(profile.database, f"PRAGMA user_version = {HEAD}")
