"""Two conversations whose replies are written at once, and one that waits for another model."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt

from inglenook.gui.transcript.reply import ReplyView
from support.fake_engine import Reply
from support.window import WindowKit, add_model, wait_until

type OpenKit = Callable[..., WindowKit]


@pytest.fixture
def hold() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def begin_two(open_kit: OpenKit, hold: threading.Event) -> tuple[WindowKit, str, str]:
    """Two conversations, each with the first word of a reply; the second is on show."""
    replies = [Reply(("one ", "and done"), hold=hold), Reply(("two ", "and over"), hold=hold)]
    kit = open_kit(replies, is_parallel=True)
    kit.ask("first")
    wait_until(lambda: kit.last_text() == "one ")
    first = kit.window.chat.conversation_id or ""
    kit.window.sidebar.new_requested.emit()
    kit.ask("second")
    wait_until(lambda: kit.last_text() == "two ")
    second = kit.window.chat.conversation_id or ""
    assert first != second
    return kit, first, second


def show(kit: WindowKit, conversation_id: str) -> None:
    kit.window.sidebar.conversation_chosen.emit(conversation_id)
    wait_until(lambda: kit.window.chat.conversation_id == conversation_id)
    wait_until(lambda: len(kit.messages()) == 2)


def live_line(kit: WindowKit) -> str:
    """What the line below the last reply says."""
    view = kit.window.chat_page.transcript._find_view(kit.messages()[-1].id)
    assert isinstance(view, ReplyView)
    figures = (view.live._progress, view.live._rate, view.live._tokens)
    return " ".join(figure.text() for figure in figures if figure.isVisible())


def test_both_are_marked_and_each_shows_its_own_text_and_numbers(
    open_kit: OpenKit, hold: threading.Event
) -> None:
    kit, first, second = begin_two(open_kit, hold)
    rows = kit.window.sidebar.list
    assert rows._running == {first, second}
    for conversation_id in (first, second):
        index = rows.find(conversation_id)
        spoken = rows.data(index, Qt.ItemDataRole.AccessibleTextRole)
        assert "a reply is being written" in spoken
    for conversation_id, text in ((first, "one "), (second, "two "), (first, "one ")):
        show(kit, conversation_id)
        assert kit.last_text() == text
        wait_until(lambda: live_line(kit) == "40.0 tok/s 1 token")
    hold.set()
    wait_until(kit.is_idle)
    assert rows._running == frozenset()
    assert kit.last_text() == "one and done"
    show(kit, second)
    assert kit.last_text() == "two and over"


def test_stopping_one_leaves_the_other(open_kit: OpenKit, hold: threading.Event) -> None:
    kit, first, second = begin_two(open_kit, hold)
    show(kit, first)
    kit.window.chat_page.composer.stop_requested.emit()
    wait_until(lambda: kit.window.sidebar.list._running == {second})
    assert kit.messages()[-1].status == "stopped"
    assert kit.window.chat_page.composer.button.accessibleName() == "Send"
    show(kit, second)
    assert kit.window.chat_page.composer.button.accessibleName() == "Stop the reply"
    hold.set()
    wait_until(kit.is_idle)
    assert kit.last_text() == "two and over"
    assert kit.app.store.thread(first)[-1].content == "one "


def test_a_stop_in_one_keeps_no_enter_for_the_other(
    open_kit: OpenKit, hold: threading.Event
) -> None:
    kit, first, second = begin_two(open_kit, hold)
    composer = kit.window.chat_page.composer
    show(kit, first)
    composer.stop()
    show(kit, second)
    kit.ask("and on")
    hold.set()
    wait_until(kit.is_idle)
    assert composer.text() == "and on", "what one did not send is not sent"
    assert len(kit.app.store.thread(second)) == 2


def test_a_message_for_another_model_says_which_reply_it_waits_for(
    open_kit: OpenKit, hold: threading.Event, tmp_path: Path
) -> None:
    kit = open_kit([Reply(("one ", "and done"), hold=hold)], is_parallel=True)
    model = add_model(kit, tmp_path / "other.gguf")
    kit.ask("first")
    wait_until(lambda: kit.last_text() == "one ")
    first = kit.window.chat.conversation_id or ""
    kit.window.sidebar.new_requested.emit()
    kit.window.chat.choose_model(model.id)
    kit.ask("second")
    wait_until(lambda: len(kit.messages()) == 2)
    second = kit.window.chat.conversation_id or ""
    said = "Waits until Inglenook Guide has finished its reply"
    wait_until(lambda: live_line(kit) == said)
    show(kit, first)
    show(kit, second)
    assert live_line(kit) == said, "it is said again to whoever comes back"
    hold.set()
    wait_until(kit.is_idle)
    assert kit.last_text() == "You said: second"
    assert kit.messages()[-1].model_id == model.id


def test_more_replies_than_the_engine_writes_at_once_wait_their_turn(
    open_kit: OpenKit, hold: threading.Event
) -> None:
    kit = open_kit([Reply(("one ", "and done"), hold=hold)])  # One after the other.
    kit.ask("first")
    wait_until(lambda: kit.last_text() == "one ")
    kit.window.sidebar.new_requested.emit()
    kit.ask("second")
    wait_until(lambda: len(kit.messages()) == 2)
    wait_until(lambda: live_line(kit) == "Waits its turn: other replies are being written")
    hold.set()
    wait_until(kit.is_idle)
    assert kit.last_text() == "You said: second"
