"""Three drafts of one reply in the window: written side by side, stopped, kept, found again."""

import threading
from collections.abc import Callable, Iterator

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QMenu

from inglenook.engine.protocol import Generate
from inglenook.gui.transcript.drafts_view import DraftsView
from inglenook.gui.transcript.reply import ReplyView
from support.fake_engine import Reply
from support.window import WindowKit, find_unnamed, split_pieces, wait_until

type OpenKit = Callable[..., WindowKit]

LONG = "A line of words that goes on for a while.\n\n" * 60


@pytest.fixture
def hold() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def open_three(open_kit: OpenKit, hold: threading.Event | None, *rest: str) -> WindowKit:
    """A window whose first three replies say one word each, and go on when they may."""
    first = [Reply((f"{word} ", *rest), hold=hold) for word in ("red", "green", "blue")]
    return open_kit(first, is_parallel=True)


def ask_for_drafts(kit: WindowKit, text: str = "A colour") -> None:
    """Type a message and press Ctrl+Shift+Enter."""
    composer = kit.window.chat_page.composer
    composer.set_text(text)
    QTest.keyClick(composer.input, Qt.Key.Key_Return, CONTROL | Qt.KeyboardModifier.ShiftModifier)
    wait_until(lambda: len(texts(kit)) == 3)


CONTROL = Qt.KeyboardModifier.ControlModifier


def texts(kit: WindowKit) -> list[str]:
    transcript = kit.window.chat_page.transcript
    return [transcript.text_of(draft.id) for draft in transcript.drafts()]


def view_of(kit: WindowKit) -> DraftsView:
    transcript = kit.window.chat_page.transcript
    found = transcript._find_holder(transcript.drafts()[0].id)
    assert isinstance(found, DraftsView)
    return found


def wait_for_words(kit: WindowKit) -> None:
    wait_until(lambda: texts(kit) == ["red ", "green ", "blue "])


def test_three_drafts_are_shown_side_by_side_and_the_kept_one_stays(
    open_kit: OpenKit, hold: threading.Event
) -> None:
    kit = open_three(open_kit, hold, "done")
    ask_for_drafts(kit)
    wait_for_words(kit)
    cards = view_of(kit).cards
    tops = {card.mapTo(kit.window, QPoint()).y() for card in cards}
    lefts = [card.mapTo(kit.window, QPoint()).x() for card in cards]
    assert len(tops) == 1
    assert lefts == sorted(set(lefts))
    assert all(card.isVisible() and card.stop_button.isVisible() for card in cards)
    assert find_unnamed(kit.window) == []
    hold.set()
    wait_until(kit.is_idle)
    assert not any(card.stop_button.isVisible() for card in cards)
    QTest.keyClick(kit.window.chat_page.composer.input, Qt.Key.Key_2)
    wait_until(lambda: kit.last_text() == "green done")
    kept = kit.messages()[-1]
    assert kept.sibling_ids.index(kept.id) == 1
    assert len(kept.sibling_ids) == 3
    assert kit.app.store.thread(kept.conversation_id)[-1].id == kept.id
    assert kit.window.chat_page.transcript.drafts() == ()
    assert kit.window.chat_page.composer.text() == "", "the number was not typed"
    kit.ask_and_wait("and on")
    prompt = [c for c in kit.engine.commands if isinstance(c, Generate)][-1].messages
    assert [m.content for m in prompt] == ["A colour", "green done", "and on"]


def test_a_draft_is_stopped_and_all_are(open_kit: OpenKit, hold: threading.Event) -> None:
    kit = open_three(open_kit, hold, "done")
    ask_for_drafts(kit)
    wait_for_words(kit)
    cards = view_of(kit).cards
    cards[1].stop_button.click()
    wait_until(lambda: len(kit.window.live.all()) == 2)
    assert [card.is_live for card in cards] == [True, False, True]
    assert kit.window.chat_page.composer.button.accessibleName() == "Stop the reply"
    QTest.keyClick(kit.window.chat_page.composer.input, Qt.Key.Key_Escape)
    wait_until(kit.is_idle)
    stored = kit.app.store.list_messages(kit.window.chat.conversation_id or "")[1:]
    assert [(m.status, m.content) for m in stored] == [
        ("stopped", "red "),
        ("stopped", "green "),
        ("stopped", "blue "),
    ]


def test_a_stopped_draft_is_continued_in_its_place(
    open_kit: OpenKit, hold: threading.Event
) -> None:
    kit = open_three(open_kit, hold, "done")
    ask_for_drafts(kit)
    wait_for_words(kit)
    kit.window.chat_page.composer.stop_requested.emit()
    wait_until(kit.is_idle)
    kit.engine.replies.append(Reply(("and bright",)))
    view_of(kit).cards[2].reply.outcome_bar.continued.emit()
    wait_until(lambda: texts(kit) == ["red ", "green ", "blue and bright"])
    wait_until(kit.is_idle)
    assert view_of(kit).cards[2].message_id == kit.window.chat_page.transcript.drafts()[2].id


def test_keeping_one_that_is_being_written_stops_the_others(
    open_kit: OpenKit, hold: threading.Event
) -> None:
    kit = open_three(open_kit, hold, "done")
    ask_for_drafts(kit)
    wait_for_words(kit)
    view_of(kit).cards[2].keep_button.click()
    wait_until(lambda: kit.last_text() == "blue ")
    wait_until(lambda: len(kit.window.live.all()) == 1)
    hold.set()
    wait_until(kit.is_idle)
    assert kit.last_text() == "blue done"
    states = [kit.app.store.get_message(i).status for i in kit.messages()[-1].sibling_ids]
    assert states == ["stopped", "stopped", "complete"]


def test_nothing_is_sent_before_one_is_kept(open_kit: OpenKit) -> None:
    kit = open_three(open_kit, None)
    ask_for_drafts(kit)
    wait_until(kit.is_idle)
    kit.ask("and on")
    assert "Keep one of the drafts" in kit.window.chat_page.composer._notice.text()
    assert kit.window.chat_page.composer.text() == "and on", "what was typed stays"
    view_of(kit).cards[0].keep_button.click()
    wait_until(lambda: not kit.window.chat_page.transcript.drafts())
    assert not kit.window.chat_page.composer._notice.text()


def test_drafts_wait_for_the_choice_while_another_conversation_is_on_show(
    open_kit: OpenKit, hold: threading.Event
) -> None:
    kit = open_three(open_kit, hold, "done")
    ask_for_drafts(kit)
    wait_for_words(kit)
    conversation_id = kit.window.chat.conversation_id or ""
    kit.window.sidebar.new_requested.emit()
    assert kit.window.sidebar.list._running == {conversation_id}
    kit.window.sidebar.conversation_chosen.emit(conversation_id)
    wait_for_words(kit)
    kit.window.sidebar.new_requested.emit()
    hold.set()
    wait_until(kit.is_idle)
    kit.window.sidebar.conversation_chosen.emit(conversation_id)
    wait_until(lambda: texts(kit) == ["red done", "green done", "blue done"])


def test_after_a_restart_drafts_are_versions_with_arrows(open_kit: OpenKit) -> None:
    kit = open_three(open_kit, None)
    ask_for_drafts(kit)
    wait_until(kit.is_idle)
    conversation_id = kit.window.chat.conversation_id or ""
    kit.session.close()
    kit.app.close()
    again = open_kit()
    again.window.chat.open(conversation_id)
    wait_until(lambda: again.last_text() == "red ")
    reply = again.messages()[-1]
    assert len(reply.sibling_ids) == 3
    assert again.window.chat_page.transcript.drafts() == ()


def test_more_drafts_from_the_menu_of_a_reply(open_kit: OpenKit) -> None:
    kit = open_kit(is_parallel=True)
    kit.ask_and_wait("A colour")
    reply = kit.messages()[-1]
    view = kit.window.chat_page.transcript._views[reply.id]
    assert isinstance(view, ReplyView)
    view.footer.more_button.click()
    menu = QApplication.activePopupWidget()
    assert isinstance(menu, QMenu)
    next(a for a in menu.actions() if a.text() == "Three drafts").trigger()
    menu.close()
    wait_until(lambda: len(texts(kit)) == 3)
    wait_until(kit.is_idle)
    assert len(kit.app.store.get_message(reply.id).sibling_ids) == 4


def test_where_there_is_no_room_drafts_stand_behind_tabs(
    open_kit: OpenKit, hold: threading.Event
) -> None:
    kit = open_three(open_kit, hold, "done")
    kit.window.resize(700, 700)
    ask_for_drafts(kit)
    wait_for_words(kit)
    view = view_of(kit)
    assert [card.isVisible() for card in view.cards] == [True, False, False]
    assert [tab.isChecked() for tab in view.tabs] == [True, False, False]
    assert view.tabs[2].accessibleName() == "Draft 3, being written"
    view.tabs[2].click()
    assert [card.isVisible() for card in view.cards] == [False, False, True]
    kit.window.resize(1180, 800)
    wait_until(lambda: all(card.isVisible() for card in view.cards))
    hold.set()
    wait_until(kit.is_idle)
    assert view.tabs[2].accessibleName() == "Draft 3"


def test_drafts_at_temperature_0_say_that_they_are_drawn_otherwise(open_kit: OpenKit) -> None:
    kit = open_three(open_kit, None)
    kit.app.settings.set("replies.temperature", 0.0)
    ask_for_drafts(kit)
    wait_until(kit.is_idle)
    assert "model's own temperature" in view_of(kit)._note.text()
    assert view_of(kit)._verdict.isHidden()


def test_drafts_that_came_out_alike_say_so(open_kit: OpenKit) -> None:
    kit = open_kit(is_parallel=True)
    ask_for_drafts(kit)
    wait_until(kit.is_idle)
    wait_until(lambda: "came out the same" in view_of(kit)._verdict.text())
    assert view_of(kit)._note.isHidden()


def test_long_drafts_never_move_what_one_reads(open_kit: OpenKit) -> None:
    pieces = split_pieces(LONG)
    replies = [Reply((f"{n}. ", *pieces), delay_s=0.001) for n in range(3)]
    kit = open_kit(replies, is_parallel=True)
    ask_for_drafts(kit)
    transcript = kit.window.chat_page.transcript
    view = view_of(kit)
    top = view.cards[0].mapTo(kit.window, QPoint())
    tops = set()
    while not kit.is_idle():
        QTest.qWait(20)
        tops.add(view.cards[0].mapTo(kit.window, QPoint()).y())
    assert tops == {top.y()}, "cards grow downwards, and nothing carries them away"
    assert transcript.column.distance_below() > 0
    assert transcript._end_button.isVisible()
    before = view.cards[1].mapTo(kit.window, QPoint()).y()
    view.cards[1].keep_button.click()
    wait_until(lambda: not transcript.drafts())
    kept = transcript._views[kit.messages()[-1].id]
    assert kept.mapTo(kit.window, QPoint()).y() <= before
    assert abs(kept.mapTo(kit.window, QPoint()).y() - before) < 20, "it stays where it was read"


def test_the_keyboard_goes_from_draft_to_draft_and_keeps_one(open_kit: OpenKit) -> None:
    kit = open_three(open_kit, None)
    ask_for_drafts(kit)
    wait_until(kit.is_idle)
    cards = view_of(kit).cards
    kit.window.activateWindow()
    cards[0].keep_button.setFocus(Qt.FocusReason.TabFocusReason)
    wait_until(cards[0].keep_button.hasFocus)
    QTest.keyClick(cards[0].keep_button, Qt.Key.Key_Right)
    assert cards[1].keep_button.hasFocus()
    QTest.keyClick(cards[1].keep_button, Qt.Key.Key_3)
    wait_until(lambda: kit.last_text() == "blue ")
    wait_until(kit.window.chat_page.composer.input.hasFocus)


def test_B01_a_dead_engine_interrupts_all_drafts_and_each_can_go_on(
    open_kit: OpenKit, hold: threading.Event
) -> None:
    words = ("red ", "green ", "blue ")
    kit = open_kit([Reply((w,), dies=True, hold=hold) for w in words], is_parallel=True)
    ask_for_drafts(kit)
    wait_for_words(kit)
    hold.set()
    wait_until(kit.is_idle)
    view = view_of(kit)
    bars = [card.reply.outcome_bar for card in view.cards]
    wait_until(lambda: all(bar.isVisible() for bar in bars))
    assert all(bar._continue.isVisible() for bar in bars)
    stored = kit.app.store.list_messages(kit.window.chat.conversation_id or "")[1:]
    assert {m.status for m in stored} == {"interrupted"}
    assert [m.content for m in stored] == ["red ", "green ", "blue "]
