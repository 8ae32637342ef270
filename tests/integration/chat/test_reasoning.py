"""Reasoning on its way from the engine to the disk, and back into a reply that goes on."""

import threading
from collections.abc import Callable, Iterator

import pytest

from inglenook.chat.options import ReplyOptions
from inglenook.chat.prompt import build_prompt
from inglenook.engine.protocol import PromptMessage, ReadAhead
from inglenook.store.store import Store
from integration.chat.talk import Talk, open_talk
from support.fake_engine import Reply

THOUGHTS = ("Let ", "me ", "see.")


@pytest.fixture
def open_one(store: Store) -> Iterator[Callable[..., Talk]]:
    opened: list[Talk] = []

    def make(*replies: Reply) -> Talk:
        opened.append(open_talk(store, replies))
        return opened[-1]

    yield make
    for talk in opened:
        talk.close()


def test_a_reply_is_kept_in_its_parts(open_one: Callable[..., Talk]) -> None:
    talk = open_one(Reply(("It is ", "42."), THOUGHTS))
    started = talk.chat.send(None, "How much?")
    reply = talk.finish(started.reply.id)
    assert (reply.reasoning, reply.content) == ("Let me see.", "It is 42.")
    assert (reply.statistics.reasoning_tokens, reply.statistics.reasoning_s) == (3, 12.0)


def test_reasoning_is_saved_while_it_comes(open_one: Callable[..., Talk]) -> None:
    hold = threading.Event()
    talk = open_one(Reply(("42.",), THOUGHTS, hold=hold))
    started = talk.chat.send(None, "How much?")
    talk.wait_for(lambda: talk.store.get_message(started.reply.id).reasoning == "Let ")
    assert talk.store.get_message(started.reply.id).status == "streaming"
    hold.set()
    talk.finish(started.reply.id)


def test_the_next_prompt_does_not_hold_it(open_one: Callable[..., Talk]) -> None:
    talk = open_one(Reply(("42.",), THOUGHTS), Reply(("Yes.",)))
    first = talk.chat.send(None, "How much?")
    talk.finish(first.reply.id)
    second = talk.chat.send(first.conversation.id, "Sure?")
    talk.finish(second.reply.id)
    assert talk.generated()[-1].messages == (
        PromptMessage("user", "How much?"),
        PromptMessage("assistant", "42."),
        PromptMessage("user", "Sure?"),
    )


def test_a_reply_cut_off_in_its_reasoning_goes_on_there(open_one: Callable[..., Talk]) -> None:
    hold = threading.Event()
    talk = open_one(Reply(("never",), THOUGHTS, hold=hold), Reply(("42.",), ("me see.",)))
    started = talk.chat.send(None, "How much?")
    talk.wait_for(lambda: talk.store.get_message(started.reply.id).reasoning == "Let ")
    talk.chat.stop(started.reply.id)
    talk.finish(started.reply.id)
    talk.events.clear()
    talk.chat.continue_reply(started.reply.id)
    reply = talk.finish(started.reply.id)
    assert (reply.reasoning, reply.content, reply.status) == ("Let me see.", "42.", "complete")
    asked = talk.generated()[-1]
    assert asked.continue_last
    assert asked.messages[-1] == PromptMessage("assistant", "", "Let ")


def test_a_reply_that_only_thought_is_no_part_of_the_conversation(
    open_one: Callable[..., Talk],
) -> None:
    talk = open_one(Reply((), THOUGHTS), Reply(("Yes.",)))
    first = talk.chat.send(None, "How much?")
    talk.finish(first.reply.id)
    second = talk.chat.send(first.conversation.id, "Well?")
    talk.finish(second.reply.id)
    assert talk.generated()[-1].messages == (PromptMessage("user", "How much?\n\nWell?"),)
    thread = talk.store.thread(first.conversation.id, first.reply.id)
    assert build_prompt("", thread, is_continued=True)[-1].reasoning == "Let me see."


def test_settings_and_options_turn_it_on_and_off(open_one: Callable[..., Talk]) -> None:
    talk = open_one(*(Reply(("a",)) for _ in range(4)))

    def ask(options: ReplyOptions) -> tuple[bool | None, int | None]:
        talk.finish(talk.chat.send(None, "Hi", options=options).reply.id)
        return talk.generated()[-1].thinks, talk.generated()[-1].reasoning_budget

    assert ask(ReplyOptions()) == (None, None)
    talk.settings.set("replies.reasoning", "on")
    talk.settings.set("replies.reasoning_budget", 100)
    assert ask(ReplyOptions()) == (True, 100)
    talk.settings.set("replies.reasoning", "off")
    assert ask(ReplyOptions()) == (False, 100)
    assert ask(ReplyOptions(thinks=True, reasoning_budget=0)) == (True, 0)


@pytest.mark.parametrize("thoughts", [THOUGHTS, ()])
def test_an_answer_is_read_again_without_what_was_thought(
    open_one: Callable[..., Talk], monkeypatch: pytest.MonkeyPatch, thoughts: tuple[str, ...]
) -> None:
    monkeypatch.setattr("inglenook.chat.ahead.is_on_battery", lambda: False)
    talk = open_one(Reply(("42.",), thoughts))
    started = talk.chat.send(None, "How much?")
    talk.finish(started.reply.id)
    read = [c for c in talk.engine.commands if isinstance(c, ReadAhead)]
    assert len(read) == bool(thoughts)
    if read:
        assert read[0].messages[-1] == PromptMessage("assistant", "42.")
