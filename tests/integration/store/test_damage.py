"""FAULTS C07, C08, C09: what a damaged or unknown database file leads to."""

import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from inglenook.base.errors import StorageError
from inglenook.base.paths import Profile
from inglenook.store.file import HEAD
from inglenook.store.store import Store
from integration.store.damage import fill, overwrite, read_all, run_sql

pytestmark = pytest.mark.logs("damaged")


def reopen(path: Path) -> Store:
    return Store.open(path)


def kept_files(path: Path) -> list[Path]:
    return sorted(path.parent.glob("inglenook.damaged-*.db"))


# --- C07 ---


@pytest.mark.parametrize("version", [HEAD + 1, 999])
def test_C07_a_newer_database_is_refused_and_untouched(profile: Profile, version: int) -> None:
    fill(profile.database, 2)
    run_sql(profile.database, f"PRAGMA user_version = {version}")
    before = profile.database.read_bytes()
    with pytest.raises(StorageError) as caught:
        reopen(profile.database)
    assert caught.value.code == "newer_schema"
    assert str(profile.database) in caught.value.hint
    assert profile.database.read_bytes() == before
    assert kept_files(profile.database) == []


# --- C08 ---


def test_C08_a_broken_header_costs_nothing(profile: Profile) -> None:
    texts = fill(profile.database)
    overwrite(profile.database, 0, bytes(100))
    damaged = profile.database.read_bytes()
    store = reopen(profile.database)
    assert read_all(store) == texts
    assert store.notice is not None
    assert store.notice.n_conversations == len(texts)
    assert Path(store.notice.moved_to).read_bytes() == damaged
    assert [Path(store.notice.moved_to)] == kept_files(profile.database)
    assert store.check_health().integrity == "ok"
    store.close()


def test_C08_a_lost_first_page_costs_nothing(profile: Profile) -> None:
    texts = fill(profile.database)
    overwrite(profile.database, 0, random.Random(1).randbytes(4096))
    store = reopen(profile.database)
    assert read_all(store) == texts
    store.close()


def test_C08_lost_pages_cost_only_what_was_on_them(profile: Profile) -> None:
    texts = fill(profile.database, 60)
    n_pages = profile.database.stat().st_size // 4096
    for page in (n_pages // 3, n_pages // 2, n_pages - 5):
        overwrite(profile.database, page * 4096, random.Random(page).randbytes(4096))
    store = reopen(profile.database)
    rescued = read_all(store)
    assert store.notice is not None
    said = {text for thread in texts.values() for text in thread}
    found = {text for thread in rescued.values() for text in thread}
    assert len(found & said) > len(said) * 0.8
    assert store.check_health().integrity == "ok"
    store.close()


@pytest.mark.parametrize("content", [b"", b"x", b"not a database\n" * 500, b"\0" * 8192])
def test_C08_a_file_that_is_no_database_is_kept_and_a_new_one_begun(
    profile: Profile, content: bytes
) -> None:
    profile.database.write_bytes(content)
    store = reopen(profile.database)
    assert store.notice is not None
    assert store.notice.n_messages == 0
    assert store.list_conversations() == ()
    assert [path.read_bytes() for path in kept_files(profile.database)] == [content]
    store.create_conversation(title="works")
    store.close()
    again = reopen(profile.database)
    assert again.notice is None
    again.close()


def test_C08_a_truncated_file_gives_what_is_left(profile: Profile) -> None:
    texts = fill(profile.database, 60)
    size = profile.database.stat().st_size
    with profile.database.open("r+b") as file:
        file.truncate(size * 2 // 3)
    store = reopen(profile.database)
    assert store.notice is not None
    assert store.notice.n_messages > 0
    found = read_all(store)
    assert set(found) <= set(texts) | set(found)
    store.close()


def test_C08_a_log_without_its_database_is_not_replayed(profile: Profile) -> None:
    profile.database.with_name("inglenook.db-wal").write_bytes(b"junk" * 5000)
    profile.database.with_name("inglenook.db-shm").write_bytes(b"junk" * 5000)
    store = reopen(profile.database)
    store.create_conversation(title="new")
    assert store.check_health().integrity == "ok"
    store.close()


def test_C08_a_garbled_log_costs_only_what_was_in_it(profile: Profile) -> None:
    texts = fill(profile.database, 5)
    store = reopen(profile.database)
    store.create_conversation(title="in the log")
    log = profile.database.with_name("inglenook.db-wal").read_bytes()
    store.close()
    profile.database.with_name("inglenook.db-wal").write_bytes(log[:200] + bytes(len(log) - 200))
    again = reopen(profile.database)
    assert {k: v for k, v in read_all(again).items() if k in texts} == texts
    again.close()


def test_C08_random_damage_never_keeps_the_store_from_opening(profile: Profile) -> None:
    fill(profile.database, 10)
    whole = profile.database.read_bytes()
    dice = random.Random(8)
    for _ in range(40):
        data = bytearray(whole)
        for _ in range(dice.choice((1, 5, 50))):
            start = dice.randrange(len(data))
            length = min(dice.choice((1, 16, 512, 4096)), len(data) - start)
            data[start : start + length] = dice.randbytes(length)
        for path in profile.data.iterdir():
            if path.is_file():
                path.unlink()
        profile.database.write_bytes(data)
        try:
            store = reopen(profile.database)
        except StorageError as error:
            assert error.code == "newer_schema"  # noqa: PT017  a flip may hit the version
            continue
        read_all(store)
        made = store.create_conversation(title="works")
        assert store.get_conversation(made.id).title == "works"
        store.close()


# --- C09 ---


def harm_text(path: Path, value: bytes) -> str:
    with closing(sqlite3.connect(path)) as connection, connection:
        (message_id,) = connection.execute(
            "SELECT id FROM messages WHERE content LIKE 'a3.1%'"
        ).fetchone()
        connection.execute("DROP TRIGGER message_search_update")
        connection.execute(
            "UPDATE messages SET content = CAST(? AS TEXT) WHERE id = ?", (value, message_id)
        )
    return str(message_id)


@pytest.mark.logs("search index")
@pytest.mark.parametrize("value", [b"a3.1 \xff\xfe\xc3", b"a3.1 wore", b""])
def test_C09_bit_rot_marks_one_message_and_hides_none(profile: Profile, value: bytes) -> None:
    fill(profile.database, 6)
    message_id = harm_text(profile.database, value)
    store = reopen(profile.database)
    messages = [m for c in store.list_conversations() for m in store.thread(c.id)]
    assert len(messages) == 36
    assert [m.id for m in messages if not m.is_intact] == [message_id]
    assert store.check_health().n_damaged == 1
    store.search("a3")
    store.close()


def test_C09_rotten_bytes_in_every_other_column_hide_nothing(profile: Profile) -> None:
    fill(profile.database, 3)
    with closing(sqlite3.connect(profile.database)) as connection, connection:
        for table, columns in {
            "conversations": "title model_id draft system_prompt leaf_id created_at updated_at",
            "messages": "status created_at model_name error statistics writer",
        }.items():
            for column in columns.split():
                connection.execute(f"UPDATE {table} SET {column} = CAST(? AS TEXT)", (b"\xff\xc0",))
    store = reopen(profile.database)
    conversations = store.list_conversations()
    assert len(conversations) == 3
    assert all(len(store.thread(c.id)) == 6 for c in conversations)
    store.search("a1")
    store.close()
