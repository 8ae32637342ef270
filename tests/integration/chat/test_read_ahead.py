"""What chat lets the engine read ahead, and what it never does for that."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from inglenook.base.events import EventHub
from inglenook.base.settings import Settings
from inglenook.chat.chat import Chat
from inglenook.engine.protocol import ReadAhead
from inglenook.store.store import Store
from integration.chat.talk import FakeLibrary, Talk, open_talk
from support.fake_engine import FakeEngine, Reply


@pytest.fixture
def talk(store: Store) -> Iterator[Talk]:
    opened = open_talk(store, [Reply(("Hi.",))])
    yield opened
    opened.close()


def list_read(talk: Talk) -> list[ReadAhead]:
    return [c for c in talk.engine.commands if isinstance(c, ReadAhead)]


def test_a_conversation_and_its_draft_are_read(talk: Talk) -> None:
    started = talk.chat.send(None, "Hello")
    talk.finish(started.reply.id)
    talk.chat.read_ahead(started.conversation.id, "And then?")
    (read,) = list_read(talk)
    assert [m.role for m in read.messages] == ["user", "assistant", "user"]
    assert read.messages[-1].content == "And then?"
    assert read.scope == started.conversation.id


def test_nothing_is_read_for_a_model_that_is_not_in_memory(talk: Talk) -> None:
    talk.chat.read_ahead(None, "Hello")
    started = talk.chat.send(None, "Hello")
    talk.finish(started.reply.id)
    talk.store.update_conversation(started.conversation.id, model_id="big")
    talk.chat.read_ahead(started.conversation.id, "And then?")
    assert list_read(talk) == []


def test_it_can_be_switched_off(talk: Talk) -> None:
    started = talk.chat.send(None, "Hello")
    talk.finish(started.reply.id)
    talk.settings.set("engine.reads_ahead", False)
    talk.chat.read_ahead(started.conversation.id, "And then?")
    assert list_read(talk) == []


def test_nothing_is_read_on_battery(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    started = talk.chat.send(None, "Hello")
    talk.finish(started.reply.id)
    monkeypatch.setattr("inglenook.chat.ahead.is_on_battery", lambda: True)
    talk.chat.read_ahead(started.conversation.id, "And then?")
    assert list_read(talk) == []


def test_F12_deleting_for_good_deletes_what_the_engine_kept(store: Store, tmp_path: Path) -> None:
    hub = EventHub()
    engine = FakeEngine(hub.publish)
    settings = Settings(store.load_settings, store.save_setting, hub)
    chat = Chat(store, engine, FakeLibrary(), settings, hub, snapshot_folder=tmp_path)
    try:
        kept, _ = store.start_conversation(
            title="Kept", system_prompt=None, text="x", model_id="", model_name=""
        )
        gone, _ = store.start_conversation(
            title="Gone", system_prompt=None, text="x", model_id="", model_name=""
        )
        (tmp_path / "model").mkdir()
        for user in (kept, gone):
            (tmp_path / "model" / f"{user.conversation_id}-0123456789abcdef.kv").touch()
        store.trash_conversation(gone.conversation_id)
        chat.delete_forever(gone.conversation_id)
        (left,) = (tmp_path / "model").iterdir()
        assert left.name.startswith(kept.conversation_id)
    finally:
        chat.close()
        engine.close()
