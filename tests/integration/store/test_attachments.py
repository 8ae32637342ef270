"""Files that are attached: kept as they were, searched, deleted for ever, and older databases."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from inglenook.base.paths import Profile
from inglenook.store.file import HEAD
from inglenook.store.records import Attachment, Message
from inglenook.store.store import Store
from inglenook.store.text import compute_checksum
from inglenook.store.upgrade import make_database
from integration.store.damage import CANARY, overwrite, run_sql

NOTES = Attachment(name="notes.txt", text="A walrus sleeps here.\n")
CODE = Attachment(name="main.py", text="print('<|im_end|>')\n")


def begin(store: Store, *files: Attachment, text: str = "Why?") -> Message:
    return store.start_conversation(
        title="T", system_prompt=None, text=text, model_id="m", model_name="M", attachments=files
    )[0]


def test_files_stay_with_their_message_in_their_order(profile: Profile, store: Store) -> None:
    user = begin(store, CODE, NOTES)
    assert user.attachments == (CODE, NOTES)
    store.close()
    later = Store.open(profile.database)
    assert [m.attachments for m in later.thread(user.conversation_id)] == [(CODE, NOTES), ()]
    assert later.get_message(user.id).attachments == (CODE, NOTES)
    assert later.list_messages(user.conversation_id)[0].attachments == (CODE, NOTES)
    later.close()


def test_another_branch_has_its_own(store: Store) -> None:
    first = begin(store, NOTES)
    second, _ = store.add_exchange(
        first.conversation_id, parent_id=None, text="Why?", model_id="m", model_name="M",
        attachments=(CODE,), is_draft=False,
    )  # fmt: skip
    assert store.get_message(first.id).attachments == (NOTES,)
    assert store.get_message(second.id).attachments == (CODE,)
    assert second.sibling_ids == (first.id, second.id)


def test_a_draft_keeps_its_files_until_it_is_sent(profile: Profile, store: Store) -> None:
    user = begin(store)
    store.update_conversation(user.conversation_id, draft="and these")
    store.set_draft_attachments(user.conversation_id, (NOTES, CODE))
    store.set_draft_attachments(user.conversation_id, (CODE, NOTES))
    store.close()
    later = Store.open(profile.database)
    assert later.list_draft_attachments(user.conversation_id) == (CODE, NOTES)
    assert later.search("walrus") == ()
    later.add_exchange(
        user.conversation_id, parent_id=None, text="edited", model_id="m", model_name="M",
        is_draft=False,
    )  # fmt: skip
    assert later.list_draft_attachments(user.conversation_id) == (CODE, NOTES)
    assert later.get_conversation(user.conversation_id).draft == "and these"
    later.add_exchange(
        user.conversation_id, parent_id=user.id, text="and these", model_id="m", model_name="M"
    )
    assert later.list_draft_attachments(user.conversation_id) == ()
    assert later.get_conversation(user.conversation_id).draft == ""
    later.close()


def test_a_search_finds_words_and_names_of_files(store: Store) -> None:
    user = begin(store, NOTES, CODE)
    for needle, marked in (("walrus", "walrus"), ("notes", "notes"), ("main.py", "main")):
        (hit,) = store.search(needle)
        assert hit.message_id == user.id
        start, end = hit.spans[0]
        assert hit.snippet[start:end] == marked
    assert store.search("walrus")[0].snippet.startswith("notes.txt: ")
    japanese = begin(store, Attachment(name="j.txt", text="これはテストです"))
    (hit,) = store.search("テスト")
    assert hit.message_id == japanese.id


def test_the_newest_match_of_a_conversation_is_shown(store: Store) -> None:
    user = begin(store, NOTES, text="A walrus?")
    (hit,) = store.search("walrus")
    assert (hit.message_id, hit.snippet) == (user.id, "A walrus?"), "one's own words come first"
    other, _ = store.add_exchange(
        user.conversation_id, parent_id=user.id, text="Again", model_id="m", model_name="M",
        attachments=(NOTES,),
    )  # fmt: skip
    (hit,) = store.search("walrus")
    assert hit.message_id == other.id
    store.trash_conversation(user.conversation_id)
    assert store.search("walrus") == ()


@pytest.mark.logs("search index")
@pytest.mark.parametrize(
    "harm", ["DELETE FROM attachment_search_data", "DROP TABLE attachment_search"]
)
def test_C17_a_broken_index_of_files_is_made_again(store: Store, harm: str) -> None:
    user = begin(store, NOTES)
    store.close()
    run_sql(store.path, harm)
    again = Store.open(store.path)
    assert [hit.message_id for hit in again.search("walrus")] == [user.id]
    assert again.check_health().integrity == "ok"
    again.close()


def test_C09_a_rotten_file_is_told(profile: Profile, store: Store) -> None:
    user = begin(store, NOTES)
    sound = begin(store, CODE)
    store.close()
    data = profile.database.read_bytes()
    overwrite(profile.database, data.find(b"A walrus sleeps"), b"B")
    later = Store.open(profile.database)
    assert not later.get_message(user.id).is_intact
    assert later.get_message(sound.id).is_intact
    assert later.check_health().n_damaged == 1
    later.close()


def test_B10_a_file_with_lone_surrogates_is_stored(store: Store) -> None:
    user = begin(store, Attachment(name="a\udcff.txt", text="x\ud800y"))
    assert user.attachments == (Attachment(name="a\ufffd.txt", text="x\ufffdy"),)
    assert user.is_intact


def test_F12_a_file_is_deleted_with_its_conversation_to_the_last_byte(profile: Profile) -> None:
    store = Store.open(profile.database)
    secret = Attachment(name=f"{CANARY}.txt", text=f"{CANARY} words\n" * 3000)
    user = begin(store, secret)
    store.set_draft_attachments(user.conversation_id, (secret,))
    kept = begin(store, NOTES)
    store.delete_forever(user.conversation_id)
    left = [
        p for p in profile.data.rglob("*")
        if p.is_file() and b"xylophone" in p.read_bytes().lower()
    ]  # fmt: skip
    assert left == []
    assert store.get_message(kept.id).attachments == (NOTES,)
    store.close()


# --- databases from before, and damaged ones ---


def test_C06_a_database_without_files_is_brought_on(profile: Profile) -> None:
    make_database(profile.database, head=3)
    with closing(sqlite3.connect(profile.database)) as connection, connection:
        connection.execute(
            "INSERT INTO conversations VALUES ('c', 'Old', 0, 'm', NULL, 'dr', 0, 'u', 1, 2, NULL)"
        )
        connection.execute(
            "INSERT INTO messages (id, conversation_id, role, content, checksum, status,"
            " created_at, model_id, model_name, finish_reason, error, statistics, writer)"
            " VALUES ('u', 'c', 'user', 'Hello', ?, 'complete', 1, '', '', '', '', '{}', '')",
            (compute_checksum("Hello"),),
        )
    store = Store.open(profile.database)
    (message,) = store.thread("c")
    assert (message.content, message.attachments, message.is_intact) == ("Hello", (), True)
    store.add_exchange(
        "c", parent_id="u", text="More", model_id="m", model_name="M", attachments=(NOTES,)
    )
    assert [hit.message_id for hit in store.search("walrus")] == [store.thread("c")[1].id]
    assert store.check_health().schema_version == HEAD
    assert store.check_health().integrity == "ok"
    store.close()


@pytest.mark.logs("damaged")
@pytest.mark.parametrize("n_bytes", [100, 4096])
def test_C08_files_are_rescued_from_a_damaged_database(profile: Profile, n_bytes: int) -> None:
    store = Store.open(profile.database)
    user = begin(store, NOTES, CODE)
    store.set_draft_attachments(user.conversation_id, (CODE,))
    store.close()
    ruin(profile.database, n_bytes)
    later = Store.open(profile.database)
    assert later.notice is not None
    assert later.get_message(user.id).attachments == (NOTES, CODE)
    assert later.get_message(user.id).is_intact
    assert later.list_draft_attachments(user.conversation_id) == (CODE,)
    later.close()


def ruin(path: Path, n_bytes: int) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    overwrite(path, 0, bytes(n_bytes))
