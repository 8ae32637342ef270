"""Several drafts of one reply: begun together, ended one by one, kept, cut off, told apart."""

import threading
from collections.abc import Callable, Iterator

import pytest

from inglenook.base.errors import UsageError
from inglenook.chat.chat import ReplyOptions
from inglenook.chat.events import ConversationsChanged, MessageStarted, ReplyWaits
from inglenook.engine.protocol import Generate, Load, PromptMessage, Text
from inglenook.store.store import Store
from integration.chat.talk import Talk, open_talk
from support.fake_engine import Reply


@pytest.fixture
def talk(store: Store) -> Iterator[Talk]:
    opened = open_talk(store, is_parallel=True)
    yield opened
    opened.close()


@pytest.fixture
def hold() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def hold_three(store: Store, hold: threading.Event) -> Talk:
    """A talk whose first three replies each say one word and then wait."""
    words = (("one ", "eins"), ("two ", "zwei"), ("three ", "drei"))
    return open_talk(store, [Reply(pieces, hold=hold) for pieces in words], is_parallel=True)


def test_three_drafts_are_versions_of_one_reply_begun_together(talk: Talk) -> None:
    started = talk.chat.send(None, "A haiku", n_drafts=3)
    ids = tuple(reply.id for reply in started.replies)
    assert len(set(ids)) == 3
    done = [talk.finish(reply_id) for reply_id in ids]
    assert [m.content for m in done] == ["You said: A haiku"] * 3
    assert {m.parent_id for m in done} == {started.user.id}
    assert {m.sibling_ids for m in done} == {ids}
    assert talk.store.thread(started.conversation.id)[-1].id == ids[0]
    (event,) = talk.told(MessageStarted)
    assert isinstance(event, MessageStarted)
    assert (event.user, event.replies) == (started.user, started.replies)
    commands = [c for c in talk.engine.commands if isinstance(c, Load | Generate)]
    assert [type(c) for c in commands] == [Load, Generate, Generate, Generate]
    assert len({c.messages for c in talk.generated()}) == 1, "one prompt, read once"


def test_drafts_differ_by_their_seeds_and_can_be_had_again(talk: Talk) -> None:
    talk.chat.send(None, "one", n_drafts=3)
    assert [c.sampling.seed for c in talk.generated()] == [None, None, None]
    talk.settings.set("replies.seed", 7)
    talk.chat.send(None, "two", n_drafts=3)
    assert [c.sampling.seed for c in talk.generated()[3:]] == [7, 8, 9]
    talk.settings.set("replies.seed", 4_294_967_294)
    talk.chat.send(None, "three", n_drafts=2)
    assert [c.sampling.seed for c in talk.generated()[6:]] == [4_294_967_294, 0]


def test_at_temperature_0_drafts_are_drawn_freer_and_it_is_told(talk: Talk) -> None:
    talk.settings.set("replies.temperature", 0.0)
    talk.chat.send(None, "one", n_drafts=3)
    assert [c.sampling.temperature for c in talk.generated()] == [None] * 3
    talk.chat.send(None, "two")
    assert talk.generated()[-1].sampling.temperature == 0
    assert [e.is_freer for e in talk.told(MessageStarted)] == [True, False]  # type: ignore[attr-defined]


def test_drafts_that_were_asked_to_be_alike_are_refused(talk: Talk) -> None:
    with pytest.raises(UsageError) as refused:
        talk.chat.send(None, "x", options=ReplyOptions(temperature=0.0), n_drafts=3)
    assert refused.value.code == "drafts_alike"
    for n in (0, 9):
        with pytest.raises(UsageError) as refused:
            talk.chat.send(None, "x", n_drafts=n)
        assert refused.value.code == "n_drafts"
    assert not talk.store.list_conversations()


def test_one_draft_is_stopped_and_the_others_go_on(store: Store, hold: threading.Event) -> None:
    talk = hold_three(store, hold)
    ids = [reply.id for reply in talk.chat.send(None, "x", n_drafts=3).replies]
    talk.wait_for(lambda: len(talk.told(Text)) == 3)
    talk.chat.stop(ids[1])
    stopped = talk.finish(ids[1])
    assert (stopped.status, stopped.content) == ("stopped", "two ")
    assert set(talk.chat.live_runs()) == {ids[0], ids[2]}
    hold.set()
    assert [talk.finish(i).content for i in (ids[0], ids[2])] == ["one eins", "three drei"]
    talk.close()


def test_nothing_is_said_below_drafts_that_are_being_written(
    store: Store, hold: threading.Event
) -> None:
    talk = hold_three(store, hold)
    started = talk.chat.send(None, "x", n_drafts=3)
    talk.wait_for(lambda: len(talk.told(Text)) == 3)
    talk.chat.stop(started.reply.id)
    talk.finish(started.reply.id)
    asks: tuple[Callable[[], object], ...] = (
        lambda: talk.chat.send(started.conversation.id, "and on"),
        lambda: talk.chat.retry(started.reply.id),
        lambda: talk.chat.draft_more(started.reply.id, 3),
    )
    for ask in asks:
        with pytest.raises(UsageError) as refused:
            ask()
        assert refused.value.code == "reply_running", "the other two are still written"
    hold.set()
    for reply in started.others:
        talk.finish(reply.id)
    talk.finish(talk.chat.send(started.conversation.id, "and on").reply.id)
    talk.close()


def test_the_draft_that_is_kept_is_the_one_that_goes_on(talk: Talk) -> None:
    talk.engine.replies.extend([Reply(("red",)), Reply(("green",)), Reply(("blue",))])
    started = talk.chat.send(None, "A colour", n_drafts=3)
    done = [talk.finish(reply.id) for reply in started.replies]
    kept = done[2]
    talk.chat.choose_sibling(kept.id)
    after = talk.chat.send(started.conversation.id, "Why?")
    talk.finish(after.reply.id)
    assert talk.generated()[-1].messages[1:] == (
        PromptMessage("assistant", kept.content),
        PromptMessage("user", "Why?"),
    )
    assert talk.store.get_message(kept.id).sibling_ids == tuple(m.id for m in done)


def test_more_drafts_join_the_versions_that_are_there(talk: Talk) -> None:
    first = talk.chat.send(None, "one")
    talk.finish(first.reply.id)
    more = talk.chat.draft_more(first.reply.id, 3)
    done = [talk.finish(reply.id) for reply in more.replies]
    assert done[0].sibling_ids == (first.reply.id, *(m.id for m in done))
    changed = [e.origin for e in talk.told(ConversationsChanged)]  # type: ignore[attr-defined]
    assert changed[-1] == "drafts"


def test_a_draft_is_continued_by_itself(store: Store, hold: threading.Event) -> None:
    talk = hold_three(store, hold)
    started = talk.chat.send(None, "x", n_drafts=3)
    talk.wait_for(lambda: len(talk.told(Text)) == 3)
    second = started.replies[1]
    talk.chat.stop(second.id)
    talk.finish(second.id)
    talk.events.clear()
    talk.engine.replies.append(Reply(("and on",)))
    talk.chat.continue_reply(second.id)
    assert talk.finish(second.id).content == "two and on"
    hold.set()
    talk.close()


def test_drafts_for_another_model_wait_and_say_for_which(
    store: Store, hold: threading.Event
) -> None:
    talk = hold_three(store, hold)
    first = talk.chat.send(None, "x")
    talk.wait_for(lambda: bool(talk.told(Text)))
    second = talk.chat.send(None, "y", model_id="big", n_drafts=2)
    assert talk.told(ReplyWaits) == [ReplyWaits(r.id, "guide") for r in second.replies]
    hold.set()
    talk.finish(first.reply.id)
    for reply in second.replies:
        assert talk.finish(reply.id).status == "complete"
    talk.close()
