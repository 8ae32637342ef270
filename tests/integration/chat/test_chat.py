import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from functools import partial

import pytest

from inglenook.base.errors import ModelError, UsageError
from inglenook.chat.chat import ReplyOptions
from inglenook.chat.events import ConversationsChanged, MessageFinished, MessageStarted
from inglenook.engine.protocol import Finished, Load, PromptMessage, Text
from inglenook.store.store import Store
from integration.chat.talk import FLUSH_S, Talk, open_talk
from support.fake_engine import Reply


@pytest.fixture
def talk(store: Store) -> Iterator[Talk]:
    opened = open_talk(store)
    yield opened
    opened.close()


def test_a_first_message_makes_a_conversation_and_its_reply_comes(talk: Talk) -> None:
    started = talk.chat.send(None, "Hello there, how are you?")
    assert started.conversation.title == "Hello there, how are you?"
    assert (started.user.content, started.reply.status) == (
        "Hello there, how are you?",
        "streaming",
    )
    done = talk.finish(started.reply.id)
    assert (done.status, done.content) == ("complete", "You said: Hello there, how are you?")
    assert done.statistics.prompt_tokens == 20
    assert done.statistics.decode_tps == 40
    assert talk.store.get_message(done.id) == done
    assert talk.chat.live_runs() == ()
    kinds = [type(e) for e in talk.events if isinstance(e, MessageStarted | Text | MessageFinished)]
    assert (kinds[0], set(kinds[1:-1]), kinds[-1]) == (MessageStarted, {Text}, MessageFinished)


def test_the_next_message_tells_the_whole_thread(talk: Talk) -> None:
    talk.settings.set("replies.system_prompt", "Be kind.")
    first = talk.chat.send(None, "one")
    talk.finish(first.reply.id)
    second = talk.chat.send(first.conversation.id, "two")
    talk.finish(second.reply.id)
    assert talk.generated()[-1].messages == (
        PromptMessage("system", "Be kind."),
        PromptMessage("user", "one"),
        PromptMessage("assistant", "You said: one"),
        PromptMessage("user", "two"),
    )
    assert [m.content for m in talk.store.thread(first.conversation.id)] == [
        "one",
        "You said: one",
        "two",
        "You said: two",
    ]


def test_settings_and_options_reach_the_engine(talk: Talk) -> None:
    talk.settings.set("replies.top_k", 7)
    talk.settings.set("replies.temperature", 0.3)
    talk.settings.set("engine.context_length", 2048)
    options = ReplyOptions(max_tokens=5, temperature=0.0, seed=42, system_prompt="Short.")
    started = talk.chat.send(None, "x", options=options)
    talk.finish(started.reply.id)
    command = talk.generated()[0]
    assert (command.sampling.top_k, command.sampling.temperature, command.sampling.seed) == (
        7,
        0.0,
        42,
    )
    assert command.max_tokens == 5
    assert command.messages[0] == PromptMessage("system", "Short.")
    assert started.conversation.system_prompt == "Short."
    (load,) = [c for c in talk.engine.commands if isinstance(c, Load)]
    assert load.options.n_ctx == 2048


def test_retry_adds_a_version_and_arrows_switch(talk: Talk) -> None:
    first = talk.chat.send(None, "one")
    talk.finish(first.reply.id)
    second = talk.chat.retry(first.reply.id)
    done = talk.finish(second.reply.id)
    assert done.sibling_ids == (first.reply.id, second.reply.id)
    talk.chat.choose_sibling(first.reply.id)
    assert [m.id for m in talk.store.thread(first.conversation.id)] == [
        first.user.id,
        first.reply.id,
    ]
    after = talk.chat.send(first.conversation.id, "two")
    talk.finish(after.reply.id)
    talk.chat.choose_sibling(second.reply.id)
    talk.chat.choose_sibling(first.reply.id)
    assert talk.store.thread(first.conversation.id)[-1].id == after.reply.id


def test_G05_edit_keeps_the_old_branch_and_renames(talk: Talk) -> None:
    first = talk.chat.send(None, "one")
    talk.finish(first.reply.id)
    edited = talk.chat.edit(first.user.id, "uno")
    talk.finish(edited.reply.id)
    assert talk.store.get_message(edited.user.id).sibling_ids == (first.user.id, edited.user.id)
    assert talk.store.get_message(first.user.id).content == "one"
    assert talk.store.get_message(first.reply.id).content == "You said: one"
    assert talk.store.get_conversation(first.conversation.id).title == "uno"
    talk.store.update_conversation(first.conversation.id, title="Mine", title_is_chosen=True)
    talk.finish(talk.chat.edit(edited.user.id, "eins").reply.id)
    assert talk.store.get_conversation(first.conversation.id).title == "Mine"


def test_stop_keeps_what_was_said_and_continue_goes_on(store: Store) -> None:
    hold = threading.Event()
    talk = open_talk(store, [Reply(("Once ", "upon "), hold=hold), Reply(("a ", "time."))])
    started = talk.chat.send(None, "A story")
    talk.wait_for(lambda: bool(talk.told(Text)))
    talk.chat.stop(started.reply.id)
    done = talk.finish(started.reply.id)
    assert (done.status, done.finish_reason, done.content) == ("stopped", "cancelled", "Once ")
    talk.events.clear()
    again = talk.chat.continue_reply(done.id)
    assert again.reply.content == "Once "
    command = talk.generated()[-1]
    assert command.continue_last
    assert command.messages[-1] == PromptMessage("assistant", "Once ")
    whole = talk.finish(done.id)
    assert (whole.status, whole.content) == ("complete", "Once a time.")
    assert whole.statistics.output_tokens == 3
    talk.close()


def test_a_fault_keeps_the_partial_text_and_its_sentence(store: Store) -> None:
    failure = ("decode_failed", "The engine could not go on.", "Try again.")
    talk = open_talk(store, [Reply(("Half",), failure=failure)])
    started = talk.chat.send(None, "x")
    done = talk.finish(started.reply.id)
    assert (done.status, done.content, done.finish_reason) == ("failed", "Half", "decode_failed")
    assert done.error == "The engine could not go on. Try again."
    talk.close()


def test_B01_a_dead_engine_interrupts_and_the_next_prompt_works(store: Store) -> None:
    talk = open_talk(store, [Reply(("Half",), dies=True), Reply(("Whole",))])
    first = talk.chat.send(None, "x")
    done = talk.finish(first.reply.id)
    assert (done.status, done.content) == ("interrupted", "Half")
    assert done.error.startswith("The engine stopped unexpectedly.")
    second = talk.chat.retry(first.reply.id)
    assert talk.finish(second.reply.id).content == "Whole"
    talk.close()


def test_text_is_saved_while_it_streams(store: Store) -> None:
    hold = threading.Event()
    talk = open_talk(store, [Reply(("First.", " Second."), hold=hold)])
    started = talk.chat.send(None, "x")
    talk.wait_for(lambda: bool(talk.told(Text)))
    time.sleep(FLUSH_S * 4)
    assert store.get_message(started.reply.id).content == "First."
    assert store.get_message(started.reply.id).status == "streaming"
    hold.set()
    talk.finish(started.reply.id)
    talk.close()


def test_a_conversation_takes_one_reply_at_a_time(store: Store) -> None:
    hold = threading.Event()
    talk = open_talk(store, [Reply(("a", "b"), hold=hold)])
    started = talk.chat.send(None, "x")
    for act in (
        partial(talk.chat.send, started.conversation.id, "y"),
        partial(talk.chat.retry, started.reply.id),
        partial(talk.chat.continue_reply, started.reply.id),
        partial(talk.chat.edit, started.user.id, "z"),
    ):
        with pytest.raises(UsageError) as caught:
            act()
        assert caught.value.code == "reply_running"
    hold.set()
    talk.finish(started.reply.id)
    assert len(store.list_messages(started.conversation.id)) == 2
    talk.close()


def test_two_conversations_with_two_models_take_turns(store: Store) -> None:
    hold = threading.Event()
    talk = open_talk(store, [Reply(("a", "b"), hold=hold), Reply(("c",))])
    first = talk.chat.send(None, "x", model_id="guide")
    second = talk.chat.send(None, "y", model_id="big")
    talk.wait_for(lambda: bool(talk.told(Text)))
    assert len(talk.generated()) == 1
    assert set(talk.chat.live_runs()) == {first.reply.id, second.reply.id}
    hold.set()
    assert talk.finish(first.reply.id).content == "ab"
    assert talk.finish(second.reply.id).content == "c"
    talk.close()


def test_a_reply_that_waits_for_its_model_can_be_stopped(store: Store) -> None:
    hold = threading.Event()
    talk = open_talk(store, [Reply(("a", "b"), hold=hold)])
    first = talk.chat.send(None, "x", model_id="guide")
    second = talk.chat.send(None, "y", model_id="big")
    talk.chat.stop(second.reply.id)
    assert talk.finish(second.reply.id).status == "stopped"
    hold.set()
    assert talk.finish(first.reply.id).content == "ab"
    talk.close()


@pytest.mark.parametrize("model_id", ["nowhere", "broken"])
def test_a_model_that_cannot_be_used_is_told_before_anything_is_written(
    talk: Talk, model_id: str
) -> None:
    with pytest.raises(ModelError):
        talk.chat.send(None, "precious words", model_id=model_id)
    assert talk.store.check_health().n_messages == 0
    assert talk.events == []


@pytest.mark.parametrize("text", ["", "  \n\t"])
def test_nothing_is_not_sent(talk: Talk, text: str) -> None:
    with pytest.raises(UsageError):
        talk.chat.send(None, text)


def test_set_model_is_for_the_next_reply(talk: Talk) -> None:
    first = talk.chat.send(None, "x")
    talk.finish(first.reply.id)
    talk.chat.set_model(first.conversation.id, "big")
    second = talk.chat.send(first.conversation.id, "y")
    assert (second.reply.model_id, second.reply.model_name) == ("big", "Big")
    talk.finish(second.reply.id)
    origins = [e.origin for e in talk.events if isinstance(e, ConversationsChanged)]
    assert origins == ["send", "model", "send"]


def test_a_conversation_deleted_for_ever_ends_its_reply(store: Store) -> None:
    hold = threading.Event()
    talk = open_talk(store, [Reply(("a", "b"), hold=hold)])
    started = talk.chat.send(None, "x")
    talk.wait_for(lambda: bool(talk.told(Text)))
    store.delete_forever(started.conversation.id)
    talk.wait_for(lambda: bool(talk.told(Finished)))
    talk.wait_for(lambda: talk.chat.live_runs() == ())
    assert store.check_health().n_messages == 0
    talk.close()


def test_closing_stops_and_saves_what_is_live(store: Store) -> None:
    talk = open_talk(store, [Reply(("a", "b"), hold=threading.Event())])
    started = talk.chat.send(None, "x")
    talk.wait_for(lambda: bool(talk.told(Text)))
    began = time.monotonic()
    talk.close()
    assert time.monotonic() - began < 3
    message = store.get_message(started.reply.id)
    assert (message.status, message.content) == ("stopped", "a")


def test_send_never_waits_for_the_engine(talk: Talk) -> None:
    talk.engine._load_s = 2.0
    began = time.monotonic()
    started = talk.chat.send(None, "x")
    assert time.monotonic() - began < 1.0
    talk.chat.stop(started.reply.id)
    talk.finish(started.reply.id)


def test_old_trash_is_emptied_at_the_start(store: Store) -> None:
    old = store.create_conversation(title="old")
    store.create_conversation(title="kept")
    store.trash_conversation(old.id)
    talk = open_talk(store)
    assert talk.chat.recover() == ()
    assert len(store.list_conversations(deleted=True)) == 1
    talk.chat.recover(keep_trash=timedelta(0))
    talk.wait_for(lambda: bool(talk.told(ConversationsChanged)))
    assert store.list_conversations(deleted=True) == ()
    assert [c.title for c in store.list_conversations()] == ["kept"]
    talk.close()
