"""FAULTS C03, C12, C18, F08: a reply whose text cannot be saved for a while."""

import logging
import sqlite3
import threading
from collections.abc import Iterator

import pytest

from inglenook.base.errors import StorageError
from inglenook.base.log import open_log
from inglenook.base.paths import Profile
from inglenook.chat import journal
from inglenook.chat.events import MessageFinished, NotSaved, SavedAgain
from inglenook.engine.protocol import Finished, Text
from inglenook.store.records import Message
from inglenook.store.store import Store
from integration.chat.talk import Talk, open_talk
from support.fake_engine import Reply

pytestmark = pytest.mark.logs("cannot be saved", "saved again")
LONG = "word " * 20_000


@pytest.fixture(autouse=True)
def retry_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    assert journal.Journal.__init__.__kwdefaults__ is not None
    monkeypatch.setitem(journal.Journal.__init__.__kwdefaults__, "retry_s", 0.1)


@pytest.fixture
def quick_store(profile: Profile) -> Iterator[Store]:
    store = Store.open(profile.database, wait_s=0.05)
    yield store
    store.close()


def limit_pages(store: Store, limit: int) -> None:
    store._database._writer_dbapi().execute(f"PRAGMA max_page_count = {limit}").fetchone()


def check_streams_on_and_is_saved_after(talk: Talk, message_id: str) -> Message:
    talk.wait_for(lambda: bool(talk.told(NotSaved)))
    talk.wait_for(lambda: bool(talk.told(Finished)))
    assert talk.told(MessageFinished) == []
    assert len(talk.told(NotSaved)) == 1
    return talk.store.get_message(message_id)


def test_C03_a_reply_goes_on_in_memory_while_the_disk_is_full(store: Store) -> None:
    hold = threading.Event()
    talk = open_talk(store, [Reply(("Short. ", LONG, "End."), hold=hold)])
    old = talk.chat.send(None, "x")
    talk.wait_for(lambda: bool(talk.told(Text)))
    talk.wait_for(lambda: store.get_message(old.reply.id).content == "Short. ")
    limit_pages(store, 1)
    hold.set()
    kept = check_streams_on_and_is_saved_after(talk, old.reply.id)
    assert kept.content == "Short. "
    with pytest.raises(StorageError) as caught:
        talk.chat.send(None, LONG)
    assert caught.value.code == "full"
    limit_pages(store, 2**30)
    done = talk.finish(old.reply.id)
    assert (done.status, done.content) == ("complete", f"Short. {LONG}End.")
    talk.wait_for(lambda: bool(talk.told(SavedAgain)))
    assert store.check_health().integrity == "ok"
    talk.close()


def test_C12_a_locked_database_is_waited_for(quick_store: Store) -> None:
    hold = threading.Event()
    talk = open_talk(quick_store, [Reply(("a", "b", "c"), hold=hold)])
    started = talk.chat.send(None, "x")
    talk.wait_for(lambda: quick_store.get_message(started.reply.id).content == "a")
    outside = sqlite3.connect(quick_store.path, isolation_level=None)
    outside.execute("BEGIN EXCLUSIVE")
    hold.set()
    assert check_streams_on_and_is_saved_after(talk, started.reply.id).content == "a"
    outside.execute("ROLLBACK")
    outside.close()
    assert talk.finish(started.reply.id).content == "abc"
    talk.close()


def test_C12_a_prompt_waits_its_turn_and_is_saved_after(quick_store: Store) -> None:
    talk = open_talk(quick_store, [Reply(("a",))])
    outside = sqlite3.connect(quick_store.path, isolation_level=None, check_same_thread=False)
    outside.execute("BEGIN EXCLUSIVE")
    release = threading.Timer(0.5, outside.execute, ("ROLLBACK",))
    release.start()
    started = talk.chat.send(None, "x")
    assert talk.finish(started.reply.id).content == "a"
    release.join()
    outside.close()
    talk.close()


def test_C18_an_insert_that_fails_once_is_told_until_it_is_saved(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    talk = open_talk(store, [Reply(("a", "b"))])
    failures = iter([StorageError("No.", code="io")] * 2)
    real = store.finish_message

    def finish(*args: object, **options: object) -> Message:
        for failure in failures:
            raise failure
        return real(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(store, "finish_message", finish)
    started = talk.chat.send(None, "x")
    assert talk.finish(started.reply.id).content == "ab"
    kinds = [type(e) for e in talk.events if isinstance(e, NotSaved | MessageFinished | SavedAgain)]
    talk.wait_for(lambda: bool(talk.told(SavedAgain)))
    assert kinds[:2] == [NotSaved, MessageFinished]
    assert len(talk.told(NotSaved)) == 1
    talk.close()


@pytest.mark.logs
def test_C18_a_bug_while_saving_does_not_lose_the_reply(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    talk = open_talk(store, [Reply(("a",))])
    real = store.finish_message
    calls: list[int] = []

    def finish(*args: object, **options: object) -> Message:
        calls.append(1)
        if len(calls) == 1:
            raise ZeroDivisionError
        return real(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(store, "finish_message", finish)
    started = talk.chat.send(None, "x")
    assert talk.finish(started.reply.id).content == "a"
    talk.close()


@pytest.mark.logs("failed")
def test_F08_no_chat_text_is_in_the_log(profile: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INGLENOOK_LOG", "debug")
    log = open_log(profile.logs)
    store = Store.open(profile.database)
    canary = "xylophone-canary"
    talk = open_talk(store, [Reply((canary * 5000,), failure=("x", "It broke.", ""))])
    limit_pages(store, 1)
    with pytest.raises(StorageError) as caught:
        talk.chat.send(None, canary * 5000)
    logging.getLogger("inglenook.test").error("failed", exc_info=caught.value)
    logging.getLogger("inglenook.test").error("failed", exc_info=ValueError(canary))
    limit_pages(store, 2**30)
    started = talk.chat.send(None, canary)
    talk.finish(started.reply.id)
    talk.close()
    store.close()
    log.close()
    text = (profile.logs / "inglenook.log").read_text()
    assert "ValueError" in text
    assert "OperationalError" in text
    assert "xylophone" not in text
    assert (profile.logs / "inglenook.log").stat().st_mode & 0o077 == 0
