"""What a model thought: kept beside its answer, saved as it comes, and older databases."""

import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from inglenook.base.paths import Profile
from inglenook.store.file import HEAD
from inglenook.store.records import Message, Statistics
from inglenook.store.store import Store
from inglenook.store.text import compute_checksum
from inglenook.store.upgrade import make_database
from integration.store.damage import overwrite, run_sql


def begin(store: Store) -> Message:
    return store.start_conversation(
        title="T", system_prompt=None, text="Why?", model_id="m", model_name="M"
    )[1]


def test_both_parts_grow_and_stay_apart(store: Store) -> None:
    reply = begin(store)
    store.append_text(reply.id, "", reasoning="Let me ")
    store.append_text(reply.id, "", reasoning="think.")
    store.append_text(reply.id, "Be", reasoning=" Yes.")
    store.append_text(reply.id, "cause.")
    read = store.get_message(reply.id)
    assert (read.reasoning, read.content) == ("Let me think. Yes.", "Because.")
    done = store.finish_message(
        reply.id,
        content=read.content,
        reasoning=read.reasoning,
        status="complete",
        statistics=Statistics(reasoning_tokens=4, reasoning_s=1.5),
    )
    assert done == store.get_message(reply.id)
    assert (done.reasoning, done.content, done.is_intact) == (
        "Let me think. Yes.",
        "Because.",
        True,
    )
    assert (done.statistics.reasoning_tokens, done.statistics.reasoning_s) == (4, 1.5)


def test_C01_what_was_thought_survives_a_crash(profile: Profile, store: Store) -> None:
    reply = begin(store)
    store.append_text(reply.id, "", reasoning="First, the sea")
    store.close()
    later = Store.open(profile.database)
    assert later.mark_interrupted() == (reply.id,)
    read = later.get_message(reply.id)
    assert (read.status, read.reasoning, read.content) == ("interrupted", "First, the sea", "")
    assert later.reopen_reply(reply.id).reasoning == "First, the sea"
    later.append_text(reply.id, "Salt.", reasoning=" is salty.")
    read = later.get_message(reply.id)
    assert (read.reasoning, read.content) == ("First, the sea is salty.", "Salt.")
    later.close()


def test_only_answers_are_searched(store: Store) -> None:
    reply = begin(store)
    store.finish_message(
        reply.id, content="An answer.", reasoning="A rhinoceros.", status="complete"
    )
    assert len(store.search("answer")) == 1
    assert store.search("rhinoceros") == ()


def test_C09_rotten_reasoning_is_told(profile: Profile, store: Store) -> None:
    reply = begin(store)
    store.finish_message(
        reply.id, content="ok", reasoning="a distinctive thought", status="complete"
    )
    store.close()
    at = profile.database.read_bytes().find(b"distinctive")
    overwrite(profile.database, at, b"D")
    later = Store.open(profile.database)
    assert not later.get_message(reply.id).is_intact
    assert later.check_health().n_damaged == 1
    later.close()


# --- databases from before ---


@pytest.fixture
def first_version(profile: Profile) -> Path:
    """A database as the first version wrote it: a reply that ended, and one that was cut off."""
    make_database(profile.database, head=1)
    said = {"r1": "An old answer.", "r2": "Half"}
    with closing(sqlite3.connect(profile.database)) as connection, connection:
        connection.execute(
            "INSERT INTO conversations VALUES ('c', 'Old', 0, 'm', NULL, '', 0, 'r2', 1, 2, NULL)"
        )
        rows = [
            ("u1", None, "user", "Question", "complete"),
            ("r1", "u1", "assistant", said["r1"], "complete"),
            ("u2", "r1", "user", "More", "complete"),
            ("r2", "u2", "assistant", said["r2"], "streaming"),
        ]
        for key, parent, role, content, status in rows:
            connection.execute(
                "INSERT INTO messages (id, conversation_id, parent_id, role, content, checksum,"
                " status, created_at, model_id, model_name, finish_reason, error, statistics,"
                " writer) VALUES (?, 'c', ?, ?, ?, ?, ?, 1, 'm', 'M', '', '', '{}', '')",
                (key, parent, role, content, compute_checksum(content), status),
            )
        connection.execute(
            "INSERT INTO pieces VALUES ('r2', 0, ' a word', ?)", (compute_checksum(" a word"),)
        )
    return profile.database


def read_thread(store: Store) -> list[tuple[str, str, str, bool]]:
    return [(m.id, m.reasoning, m.content, m.is_intact) for m in store.thread("c", "r2")]


OLD_THREAD = [
    ("u1", "", "Question", True),
    ("r1", "", "An old answer.", True),
    ("u2", "", "More", True),
    ("r2", "", "Half a word", True),
]


def test_C06_a_database_of_the_first_version_is_brought_on(first_version: Path) -> None:
    store = Store.open(first_version)
    assert read_thread(store) == OLD_THREAD
    assert [hit.message_id for hit in store.search("answer")] == ["r1"]
    assert store.mark_interrupted() == ("r2",)
    store.reopen_reply("r2")
    store.append_text("r2", ".", reasoning="Now it thinks.")
    assert read_thread(store)[-1] == ("r2", "Now it thinks.", "Half a word.", True)
    assert store.check_health().schema_version == HEAD
    store.close()
    (backup,) = first_version.parent.glob(f"*before-{HEAD:04}*.db")
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    with closing(sqlite3.connect(backup)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)
        assert connection.execute("SELECT count(*) FROM messages").fetchone() == (4,)


def test_C07_the_first_version_refuses_what_this_one_wrote(
    first_version: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Store.open(first_version).close()
    with closing(sqlite3.connect(first_version)) as connection:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
    assert version == HEAD > 1  # What the first version compares with its own number, and refuses.


@pytest.mark.logs("damaged")
@pytest.mark.parametrize("n_bytes", [0, 100])
def test_C08_a_damaged_database_of_the_first_version_is_rescued(
    first_version: Path, n_bytes: int
) -> None:
    run_sql(first_version, "DROP INDEX messages_by_parent")
    if n_bytes:
        overwrite(first_version, 0, bytes(n_bytes))
    else:
        damage_last_index(first_version)
    store = Store.open(first_version)
    assert store.notice is not None
    assert store.notice.n_messages == 4
    assert read_thread(store) == OLD_THREAD
    store.close()


def damage_last_index(path: Path) -> None:
    """Spoil the page of an index, so that the check finds damage and the rows can be read."""
    with closing(sqlite3.connect(path)) as connection:
        query = "SELECT rootpage FROM sqlite_master WHERE name = 'messages_in_order'"
        (page,) = connection.execute(query).fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    overwrite(path, (page - 1) * size, b"\xff" * 64)
