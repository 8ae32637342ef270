"""Words typed while the window is between two conversations: none is lost, each has its place."""

import threading
from collections.abc import Callable, Iterator

import pytest
from PySide6.QtTest import QTest

from inglenook.base.errors import StorageError
from inglenook.gui.drafts import Draft
from inglenook.gui.transcript.user_card import UserCard
from support.fake_engine import Reply
from support.window import WindowKit, wait_until

type OpenKit = Callable[..., WindowKit]


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Open unless a test closes it; conversations are read from the store through it."""
    gate = threading.Event()
    gate.set()
    yield gate
    gate.set()


def make_slow(kit: WindowKit, gate: threading.Event) -> None:
    store = kit.app.store
    read = store.thread

    def read_late(conversation_id: str) -> object:
        gate.wait(10)
        return read(conversation_id)

    store.thread = read_late  # type: ignore[method-assign, assignment]


def begin_two(open_kit: OpenKit, gate: threading.Event) -> tuple[WindowKit, str, str]:
    """Two conversations; the second is on show."""
    kit = open_kit([Reply(("one",)), Reply(("two",)), Reply(("three",))])
    kit.ask_and_wait("first")
    first = kit.window.chat.conversation_id or ""
    kit.window.sidebar.new_requested.emit()
    kit.ask_and_wait("second")
    make_slow(kit, gate)
    return kit, first, kit.window.chat.conversation_id or ""


def choose(kit: WindowKit, conversation_id: str) -> None:
    kit.window.sidebar.conversation_chosen.emit(conversation_id)


def type_keys(kit: WindowKit, text: str) -> None:
    QTest.keyClicks(kit.window.chat_page.composer.input, text)


def text_of(kit: WindowKit) -> str:
    return kit.window.chat_page.composer.text()


def show(kit: WindowKit, gate: threading.Event, conversation_id: str) -> None:
    """Let what is chosen be read, and wait until it is on show."""
    gate.set()
    wait_until(lambda: kit.window.chat.conversation_id == conversation_id)


def test_words_typed_after_a_choice_go_with_what_was_chosen(
    open_kit: OpenKit, gate: threading.Event
) -> None:
    kit, first, second = begin_two(open_kit, gate)
    type_keys(kit, "for the second")
    gate.clear()
    kit.window.sidebar.view.setFocus()
    choose(kit, first)
    assert kit.window.focusWidget() is kit.window.chat_page.composer.input
    type_keys(kit, "for the ")
    QTest.qWait(600)  # Longer than a draft waits to be kept.
    show(kit, gate, first)
    type_keys(kit, "first")
    assert text_of(kit) == "for the first"
    choose(kit, second)
    show(kit, gate, second)
    assert text_of(kit) == "for the second"
    choose(kit, first)
    show(kit, gate, first)
    assert text_of(kit) == "for the first"


def test_enter_waits_for_what_was_chosen(open_kit: OpenKit, gate: threading.Event) -> None:
    kit, first, second = begin_two(open_kit, gate)
    gate.clear()
    choose(kit, first)
    type_keys(kit, "and on")
    kit.window.chat_page.composer.input.submitted.emit()
    assert text_of(kit) == "and on"
    show(kit, gate, first)
    wait_until(lambda: kit.last_text() == "three" and kit.is_idle())
    assert [m.content for m in kit.messages()] == ["first", "one", "and on", "three"]
    assert len(kit.app.store.thread(second)) == 2
    assert text_of(kit) == ""


def test_enter_goes_to_no_other_conversation_than_the_one_it_was_meant_for(
    open_kit: OpenKit, gate: threading.Event
) -> None:
    """Where one chooses again, goes back, or begins a new one before it was on show."""
    kit, first, second = begin_two(open_kit, gate)
    third = kit.app.store.create_conversation(title="third").id
    composer = kit.window.chat_page.composer
    for target in (third, second, None):
        show(kit, gate, second)
        gate.clear()
        choose(kit, first)
        type_keys(kit, "and on")
        composer.input.submitted.emit()
        if target is None:
            kit.window.sidebar.new_requested.emit()
        else:
            choose(kit, target)
        gate.set()
        wait_until(lambda: kit.window.chat.conversation_id == target)  # noqa: B023
        QTest.qWait(50)
        assert text_of(kit) == "and on"
        composer.input.clear()
        choose(kit, second)
    assert kit.is_idle()
    assert [len(kit.app.store.thread(i)) for i in (first, second, third)] == [2, 2, 0]


def test_enter_on_nothing_sends_nothing_that_is_typed_after_it(
    open_kit: OpenKit, gate: threading.Event
) -> None:
    kit, first, _ = begin_two(open_kit, gate)
    gate.clear()
    choose(kit, first)
    kit.window.chat_page.composer.input.submitted.emit()
    type_keys(kit, "half a")
    show(kit, gate, first)
    QTest.qWait(50)
    assert text_of(kit) == "half a"
    assert len(kit.messages()) == 2


def test_a_draft_that_was_not_on_show_is_not_sent(open_kit: OpenKit, gate: threading.Event) -> None:
    kit, first, second = begin_two(open_kit, gate)
    choose(kit, first)
    show(kit, gate, first)
    type_keys(kit, "half a thought")
    choose(kit, second)
    show(kit, gate, second)
    gate.clear()
    choose(kit, first)
    type_keys(kit, "and on")
    kit.window.chat_page.composer.input.submitted.emit()
    show(kit, gate, first)
    assert text_of(kit) == "half a thought\nand on"
    assert len(kit.messages()) == 2


def test_who_goes_back_before_it_was_read_has_all_words_there(
    open_kit: OpenKit, gate: threading.Event
) -> None:
    kit, first, second = begin_two(open_kit, gate)
    type_keys(kit, "written before")
    gate.clear()
    choose(kit, first)
    type_keys(kit, "meanwhile")
    choose(kit, second)
    assert text_of(kit) == "written before\nmeanwhile"
    gate.set()
    QTest.qWait(100)
    assert kit.window.chat.conversation_id == second
    assert kit.messages()[0].content == "second"


def test_words_come_back_where_a_conversation_cannot_be_read(
    open_kit: OpenKit, gate: threading.Event
) -> None:
    kit, first, second = begin_two(open_kit, gate)
    type_keys(kit, "written before")

    def fail(_: str) -> object:
        gate.wait(10)
        raise StorageError("The conversation cannot be read.")

    kit.app.store.thread = fail  # type: ignore[method-assign, assignment]
    gate.clear()
    choose(kit, first)
    type_keys(kit, "meanwhile")
    kit.window.chat_page.composer.input.submitted.emit()
    gate.set()
    wait_until(lambda: text_of(kit) == "written before\nmeanwhile")
    assert len(kit.messages()) == 2, "an Enter for the other one sends nothing here"
    assert kit.window.chat.conversation_id == second
    sidebar = kit.window.sidebar
    assert sidebar.view.currentIndex() == sidebar.list.find(second)


def test_who_writes_at_once_after_the_start_stays_in_the_new_conversation(
    open_kit: OpenKit, gate: threading.Event
) -> None:
    kit, first, _ = begin_two(open_kit, gate)
    kit.window.sidebar.new_requested.emit()
    gate.clear()
    kit.window.chat.open_last(first)
    QTest.qWait(100)  # It is known to be there, and is being read.
    type_keys(kit, "quest")
    gate.set()
    QTest.qWait(200)
    type_keys(kit, "ion")
    assert kit.window.chat.conversation_id is None
    assert text_of(kit) == "question"


def test_C03_what_could_not_be_sent_is_in_its_conversation(
    open_kit: OpenKit, gate: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where another one is on show by then, and before what was written since."""
    kit, first, second = begin_two(open_kit, gate)
    leave = threading.Event()

    def refuse(*_: object, **__: object) -> object:
        leave.wait(10)
        raise StorageError("The disk is full.")

    monkeypatch.setattr(type(kit.app.chat), "send", refuse)
    kit.ask("not sent")
    type_keys(kit, "written since")
    choose(kit, first)
    leave.set()
    show(kit, gate, first)
    wait_until(lambda: kit.window.chat.writing.drafts.of(second).text.startswith("not sent"))
    choose(kit, second)
    show(kit, gate, second)
    assert text_of(kit) == "not sent\nwritten since"


def test_a_starter_leaves_what_was_written(kit: WindowKit) -> None:
    type_keys(kit, "half a thought")
    kit.window.chat_page.transcript.starter_chosen.emit("What is a token?")
    wait_until(lambda: len(kit.messages()) == 2 and kit.is_idle())
    assert kit.messages()[0].content == "What is a token?"
    assert text_of(kit) == "half a thought"
    first = kit.window.chat.conversation_id or ""
    kit.window.sidebar.new_requested.emit()
    assert text_of(kit) == ""
    choose(kit, first)
    wait_until(lambda: text_of(kit) == "half a thought")


def test_what_was_to_be_said_in_a_deleted_conversation_comes_back_with_it(kit: WindowKit) -> None:
    kit.ask_and_wait("first")
    first = kit.window.chat.conversation_id or ""
    type_keys(kit, "half a thought")
    kit.window.sidebar_controller.delete(first)
    wait_until(lambda: kit.window.chat.conversation_id is None)
    assert text_of(kit) == ""
    kit.window.sidebar.undo_requested.emit(first)
    wait_until(lambda: kit.titles() == ["first"])
    wait_until(lambda: kit.app.store.get_conversation(first).draft == "half a thought")
    choose(kit, first)
    wait_until(lambda: text_of(kit) == "half a thought")


# --- a message that is being edited ---


def find_card(kit: WindowKit, message_id: str) -> UserCard:
    card = kit.window.chat_page.transcript._find_view(message_id)
    assert isinstance(card, UserCard)
    return card


def edit_first(kit: WindowKit, text: str) -> str:
    """Begin to edit the first message on show; its id."""
    message_id = kit.messages()[0].id
    kit.window.chat_page.transcript.scroll_to_message(message_id)
    card = find_card(kit, message_id)
    card.begin_edit(Draft(text))
    return message_id


def test_an_edit_sent_while_a_reply_is_written_stays_open(
    open_kit: OpenKit, gate: threading.Event
) -> None:
    hold = threading.Event()
    kit = open_kit([Reply(("one ", "and on"), hold=hold), Reply(("two",))])
    kit.ask("first")
    wait_until(lambda: kit.last_text() == "one ")
    message_id = edit_first(kit, "asked better")
    find_card(kit, message_id)._send.click()
    card = find_card(kit, message_id)
    assert card.is_editing
    assert card.draft() == Draft("asked better")
    hold.set()
    wait_until(kit.is_idle)
    card._send.click()
    wait_until(lambda: kit.last_text() == "two" and kit.is_idle())
    assert kit.messages()[0].content == "asked better"


def test_C03_an_edit_that_cannot_be_sent_stays_open(
    open_kit: OpenKit, gate: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    kit, _, _ = begin_two(open_kit, gate)
    message_id = edit_first(kit, "asked better")

    def refuse(*_: object, **__: object) -> object:
        raise StorageError("The disk is full.")

    monkeypatch.setattr(type(kit.app.chat), "edit", refuse)
    find_card(kit, message_id)._send.click()
    assert not find_card(kit, message_id).is_editing
    wait_until(lambda: find_card(kit, message_id).is_editing)
    assert find_card(kit, message_id).draft() == Draft("asked better")


def test_an_edit_is_still_open_when_its_conversation_is_on_show_again(
    open_kit: OpenKit, gate: threading.Event
) -> None:
    kit, first, second = begin_two(open_kit, gate)
    message_id = edit_first(kit, "half an edit")
    choose(kit, first)
    show(kit, gate, first)
    choose(kit, second)
    show(kit, gate, second)
    card = find_card(kit, message_id)
    assert card.draft() == Draft("half an edit")
    composer = kit.window.chat_page.composer
    assert kit.window.focusWidget() is composer.input, "the keyboard was not in it"
    card.end_edit()
    choose(kit, first)
    show(kit, gate, first)
    choose(kit, second)
    show(kit, gate, second)
    assert not find_card(kit, message_id).is_editing
