"""Files that go with messages: told to the engine, kept by every way of going on, counted."""

from collections.abc import Iterator

import pytest

from inglenook.base.errors import UsageError
from inglenook.chat.attachments import COUNT_LIMIT
from inglenook.chat.events import AttachmentCounted, MessageFinished
from inglenook.engine.protocol import CountTokens, ReadAhead
from inglenook.store.records import Attachment
from inglenook.store.store import Store
from integration.chat.talk import Talk, open_talk
from support.fake_engine import Reply

NOTES = Attachment(name="notes.txt", text="A walrus.\n")
CODE = Attachment(name="a.py", text="print()\n")
TOLD = "File: notes.txt\n```\nA walrus.\n```\n\nWhy?"


@pytest.fixture
def talk(store: Store) -> Iterator[Talk]:
    opened = open_talk(store, [Reply(("Be",), reason="length"), *[Reply(("So.",))] * 5])
    yield opened
    opened.close()


def last_told(talk: Talk) -> list[str]:
    return [m.content for m in talk.generated()[-1].messages]


def test_every_way_of_going_on_keeps_the_files(talk: Talk) -> None:
    first = talk.chat.send(None, "Why?", attachments=(NOTES,))
    talk.finish(first.reply.id)
    assert last_told(talk) == [TOLD]
    assert first.user.attachments == (NOTES,)
    retried = talk.chat.retry(first.reply.id)
    talk.finish(retried.reply.id)
    assert last_told(talk) == [TOLD]
    talk.chat.continue_reply(first.reply.id)
    talk.wait_for(lambda: len(talk.told(MessageFinished)) == 3)
    assert last_told(talk) == [TOLD, "Be"]
    second = talk.chat.send(first.conversation.id, "And?", attachments=(CODE,))
    talk.finish(second.reply.id)
    assert last_told(talk)[0] == TOLD
    assert last_told(talk)[-1] == "File: a.py\n```\nprint()\n```\n\nAnd?"


def test_an_edit_keeps_changes_or_drops_them(talk: Talk) -> None:
    first = talk.chat.send(None, "Why?", attachments=(NOTES,))
    talk.finish(first.reply.id)
    kept = talk.chat.edit(first.user.id, "How?")
    assert kept.user.attachments == (NOTES,)
    talk.finish(kept.reply.id)
    more = talk.chat.edit(first.user.id, "How?", attachments=(NOTES, CODE))
    assert more.user.attachments == (NOTES, CODE)
    talk.finish(more.reply.id)
    none = talk.chat.edit(first.user.id, "How?", attachments=())
    talk.finish(none.reply.id)
    assert last_told(talk) == ["How?"]
    assert talk.store.get_message(first.user.id).attachments == (NOTES,)


def test_a_file_says_enough_by_itself(talk: Talk) -> None:
    started = talk.chat.send(None, "  ", attachments=(Attachment(name="my_notes.txt", text="x"),))
    talk.finish(started.reply.id)
    assert last_told(talk) == ["File: my_notes.txt\n```\nx\n```\n\n  "]
    assert talk.store.get_conversation(started.conversation.id).title == "my_notes.txt"
    with pytest.raises(UsageError, match="nothing to send"):
        talk.chat.edit(started.user.id, "", attachments=())


def test_too_many_are_refused_before_anything_is_written(talk: Talk) -> None:
    with pytest.raises(UsageError, match="at most"):
        talk.chat.send(None, "x", attachments=[NOTES] * (COUNT_LIMIT + 1))
    assert talk.store.list_conversations() == ()


def test_what_is_read_ahead_is_what_will_be_asked(talk: Talk) -> None:
    first = talk.chat.send(None, "Hello")
    talk.finish(first.reply.id)
    conversation_id = first.conversation.id
    talk.chat.read_ahead(conversation_id, "", (NOTES,))
    talk.chat.read_ahead(conversation_id, "Why? ", (NOTES,))
    read = [c.messages for c in talk.engine.commands if isinstance(c, ReadAhead)]
    assert read[0][-1].content == "File: notes.txt\n```\nA walrus.\n```"
    talk.finish(talk.chat.send(conversation_id, "Why?", attachments=(NOTES,)).reply.id)
    assert read[1] == talk.generated()[-1].messages


def test_what_cannot_fit_is_not_even_tokenised_ahead(talk: Talk) -> None:
    first = talk.chat.send(None, "Hello")
    talk.finish(first.reply.id)
    huge = Attachment(name="huge.txt", text="x" * 1_000_000)
    talk.chat.read_ahead(first.conversation.id, "", (huge,))
    assert [c for c in talk.engine.commands if isinstance(c, ReadAhead)] == []


def test_a_file_is_counted_by_the_loaded_model(talk: Talk) -> None:
    talk.chat.count_attachments((NOTES,))
    assert [c for c in talk.engine.commands if isinstance(c, CountTokens)] == []
    first = talk.chat.send(None, "Hello")
    talk.finish(first.reply.id)
    talk.chat.count_attachments((NOTES, CODE))
    talk.wait_for(lambda: len(talk.told(AttachmentCounted)) == 2)
    # The stand-in counts words: "File: notes.txt ``` A walrus. ```" has six.
    assert talk.told(AttachmentCounted) == [
        AttachmentCounted(NOTES, 6, 4096),
        AttachmentCounted(CODE, 5, 4096),
    ]


def test_what_is_far_too_long_is_estimated(talk: Talk) -> None:
    first = talk.chat.send(None, "Hello")
    talk.finish(first.reply.id)
    huge = Attachment(name="huge.txt", text="x" * 1_000_000)
    talk.chat.count_attachments((huge,))
    talk.wait_for(lambda: bool(talk.told(AttachmentCounted)))
    assert talk.told(AttachmentCounted) == [AttachmentCounted(huge, 250_000, 4096, is_exact=False)]
    asked = [c for c in talk.engine.commands if isinstance(c, CountTokens)]
    assert all("huge" not in c.messages[0].content for c in asked)
