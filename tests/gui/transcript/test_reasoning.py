"""Reasoning in the transcript: one line with its time, the text when one wants it."""

import time
from collections.abc import Callable

import msgspec
import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from inglenook.gui.transcript import Transcript
from inglenook.gui.transcript.reasoning import ReasoningView
from inglenook.gui.transcript.reply import ReplyView
from inglenook.gui.transcript.run_view import RunView
from inglenook.gui.transcript.thread import Entry
from inglenook.store.records import Message, Statistics

type MakeMessage = Callable[..., Message]

THOUGHT = "Six times seven.\n\n- carry the one\n\n```py\nprint(6 * 7)\n```"


def reply_of(transcript: Transcript, message: Message) -> ReplyView:
    view = transcript._views[message.id]
    assert isinstance(view, ReplyView)
    return view


def reasoning_of(transcript: Transcript, message: Message) -> ReasoningView:
    return reply_of(transcript, message).reasoning


@pytest.fixture
def thought(make_message: MakeMessage) -> list[Message]:
    """A question and a reply that was thought about."""
    user = make_message("user", "How much is it?")
    numbers = Statistics(output_tokens=50, reasoning_tokens=40, reasoning_s=12.4)
    reply = make_message("assistant", "It is 42.", user, reasoning=THOUGHT, statistics=numbers)
    return [user, reply]


@pytest.fixture
def thinking(transcript: Transcript, make_message: MakeMessage) -> Message:
    """A reply that is being thought about."""
    user = make_message("user", "How much is it?")
    reply = make_message("assistant", "", user, status="streaming")
    transcript.add_exchange(user, reply)
    return reply


def test_it_is_one_folded_line_with_its_time(
    transcript: Transcript, thought: list[Message]
) -> None:
    transcript.show_thread(thought)
    view = reasoning_of(transcript, thought[1])
    assert view.isVisible()
    assert view.line.text() == "Thought for 12 s"
    assert view.line.accessibleName() == "Thought for 12 s, show what the model thought"
    assert "40 tokens" in view.line.toolTip()
    assert view.body is None  # Nothing is laid out that nobody reads.
    assert view.height() == view.line.sizeHint().height()
    assert reply_of(transcript, thought[1]).body.y() > view.geometry().bottom()


def test_a_reply_without_it_shows_nothing(
    transcript: Transcript, make_message: MakeMessage
) -> None:
    user = make_message("user", "Hi")
    reply = make_message("assistant", "Hello.", user)
    transcript.show_thread([user, reply])
    assert reasoning_of(transcript, reply).isHidden()
    assert reply_of(transcript, reply).body.y() == 0


@pytest.mark.parametrize("way", ["click", "keyboard"])
def test_it_opens_and_closes(
    transcript: Transcript, thought: list[Message], qtbot: QtBot, way: str
) -> None:
    transcript.show_thread(thought)
    view = reasoning_of(transcript, thought[1])

    def press() -> None:
        if way == "click":
            qtbot.mouseClick(view.line, Qt.MouseButton.LeftButton)
        else:
            view.line.setFocus(Qt.FocusReason.TabFocusReason)
            qtbot.keyClick(view.line, Qt.Key.Key_Space)

    folded = view.height()
    press()
    qtbot.waitUntil(lambda: view.height() > folded + 40)
    assert view.body is not None
    assert view.body.text == THOUGHT
    assert view.body.isVisible()
    assert "fold it up" in view.line.accessibleName()
    first = view.body.views[0]
    assert isinstance(first, RunView)
    ink = first.document().begin().begin().fragment().charFormat().foreground().color()
    assert ink == transcript._theme.colours.colour("quiet")
    press()
    qtbot.waitUntil(lambda: view.height() == folded)
    assert not view.body.isVisible()


def test_the_line_stays_where_it_was_clicked(
    transcript: Transcript, make_thread: Callable[[int], list[Message]], qtbot: QtBot
) -> None:
    messages = make_thread(12)
    long = "A thought that goes on.\n\n" * 60
    messages[-1] = msgspec.structs.replace(messages[-1], reasoning=long)
    transcript.show_thread(messages)
    qtbot.waitUntil(lambda: not transcript._filler.isActive())
    view = reasoning_of(transcript, messages[-1])

    def find_line() -> int:
        return view.line.mapTo(transcript, view.line.rect().topLeft()).y()

    before = find_line()
    qtbot.mouseClick(view.line, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: view.height() > 1000)
    qtbot.wait(50)
    assert find_line() == before


def test_it_streams_behind_its_line(
    transcript: Transcript, thinking: Message, qtbot: QtBot
) -> None:
    view = reasoning_of(transcript, thinking)
    assert view.isHidden()
    transcript.append_reasoning(thinking.id, "Let me ", 2, time.monotonic() - 8.2)
    assert view.isVisible()
    assert view.line.text() == "Thinking… 8 s"
    qtbot.mouseClick(view.line, Qt.MouseButton.LeftButton)
    body = view.body
    assert body is not None
    assert body.text == "Let me "
    transcript.append_reasoning(thinking.id, "see.", 3, time.monotonic())
    assert body.text == "Let me see."
    assert view.line.text() == "Thinking… 8 s"


def test_the_time_goes_on_while_it_thinks(
    transcript: Transcript, thinking: Message, qtbot: QtBot
) -> None:
    transcript.append_reasoning(thinking.id, "Hm", 1, time.monotonic() - 2.6)
    line = reasoning_of(transcript, thinking).line
    assert line.text() == "Thinking… 3 s"
    qtbot.waitUntil(lambda: line.text() == "Thinking… 4 s", timeout=5000)


def test_the_answer_ends_it_and_the_record_has_the_last_word(
    transcript: Transcript, thinking: Message, qtbot: QtBot
) -> None:
    view = reasoning_of(transcript, thinking)
    transcript.append_reasoning(thinking.id, "Let me see.", 3, time.monotonic() - 5.1)
    transcript.append_text(thinking.id, "It is 42.", 6)
    assert view.line.text() == "Thought for 5 s"
    done = msgspec.structs.replace(
        thinking,
        status="complete",
        content="It is 42.",
        reasoning="Let me see.",
        statistics=Statistics(output_tokens=6, reasoning_tokens=3, reasoning_s=4.2),
    )
    transcript.update_message(done)
    qtbot.waitUntil(lambda: reply_of(transcript, done).body.text == "It is 42.")
    assert view.line.text() == "Thought for 4 s"


def test_a_reply_that_was_cut_off_in_it_can_go_on(
    transcript: Transcript, make_message: MakeMessage
) -> None:
    user = make_message("user", "How much?")
    reply = make_message("assistant", "", user, status="interrupted", reasoning="Let me")
    transcript.show_thread([user, reply])
    view = reply_of(transcript, reply)
    assert view.reasoning.line.text() == "Reasoning"  # How long it took nobody knows.
    assert not view.outcome_bar._continue.isHidden()
    again = msgspec.structs.replace(reply, status="streaming")
    transcript.add_exchange(None, again)
    transcript.append_reasoning(reply.id, " see.", 2, time.monotonic())
    assert transcript._thread.find(reply.id).reasoning == "Let me see."  # type: ignore[union-attr]


def test_it_opens_in_a_draft(
    transcript: Transcript, make_message: MakeMessage, qtbot: QtBot
) -> None:
    user = make_message("user", "How much?")
    drafts = [make_message("assistant", "42.", user, reasoning=THOUGHT) for _ in range(2)]
    transcript.add_drafts(user, drafts)
    view = transcript._find_view(drafts[0].id)
    assert isinstance(view, ReplyView)
    folded = view.height()
    qtbot.mouseClick(view.reasoning.line, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: view.height() > folded + 40)


def test_what_is_thought_is_counted_from_its_beginning(make_message: MakeMessage) -> None:
    message = make_message("assistant", "", status="streaming", reasoning="So far")
    entry = Entry(message, "")
    entry.think(" so good", time.monotonic() - 3.0)
    assert entry.reasoning == "So far so good"
    assert 2.9 < entry.count_thinking_s() < 4.0
    entry.end_thinking(time.monotonic())
    assert not entry.is_thinking
    assert 2.9 < entry.count_thinking_s() < 4.0
