"""Reasoning in the window: from the engine's events to the fold, and the composer's switch."""

import threading
from collections.abc import Callable

import msgspec
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from inglenook.engine.protocol import Generate
from inglenook.gui.transcript.reply import ReplyView
from support.fake_engine import Reply, make_loaded
from support.window import WindowKit, wait_until

type OpenKit = Callable[..., WindowKit]

THOUGHTS = ("Let ", "me ", "see.")


def last_view(kit: WindowKit) -> ReplyView:
    transcript = kit.window.chat_page.transcript
    view = transcript._find_view(kit.messages()[-1].id)
    assert isinstance(view, ReplyView)
    return view


def test_a_reply_shows_what_was_thought_and_what_is_said(open_kit: OpenKit) -> None:
    kit = open_kit([Reply(("It is ", "42."), THOUGHTS)])
    kit.ask_and_wait("How much?")
    view = last_view(kit)
    wait_until(lambda: view.body.text == "It is 42.")
    assert view.reasoning.line.text() == "Thought for 12 s"
    QTest.mouseClick(view.reasoning.line, Qt.MouseButton.LeftButton)
    body = view.reasoning.body
    assert body is not None
    assert body.text == "Let me see."


def test_it_is_there_again_when_the_conversation_is_opened(open_kit: OpenKit) -> None:
    kit = open_kit([Reply(("42.",), THOUGHTS)])
    kit.ask_and_wait("How much?")
    shown = kit.window.chat.conversation_id
    kit.window.sidebar.new_requested.emit()
    wait_until(lambda: not kit.messages())
    kit.window.sidebar.conversation_chosen.emit(shown)
    wait_until(kit.messages)
    assert last_view(kit).reasoning.line.text() == "Thought for 12 s"


def test_a_live_one_that_is_opened_again_goes_on(open_kit: OpenKit) -> None:
    hold = threading.Event()
    kit = open_kit([Reply(("42.",), THOUGHTS, hold=hold)])
    kit.ask("How much?")
    wait_until(lambda: bool(kit.messages()) and last_view(kit).is_thinking)
    shown = kit.window.chat.conversation_id
    kit.window.sidebar.new_requested.emit()
    wait_until(lambda: not kit.messages())
    kit.window.sidebar.conversation_chosen.emit(shown)
    wait_until(kit.messages)
    assert last_view(kit).is_thinking
    assert last_view(kit).reasoning.line.text().startswith("Thinking…")
    hold.set()
    wait_until(kit.is_idle)
    assert kit.messages()[-1].reasoning == "Let me see."


def test_the_switch_is_there_where_it_does_something(kit: WindowKit) -> None:
    composer = kit.window.chat_page.composer
    wait_until(lambda: kit.app.engine.state.loaded is not None)
    assert composer.think_button.isHidden()
    model_id = kit.window.chat.model_id
    able = msgspec.structs.replace(
        make_loaded(model_id), reasoning="switchable", reasons_unasked=True
    )
    kit.app.hub.publish(able)
    wait_until(composer.think_button.isVisible)
    assert composer.think_button.isChecked()
    assert composer.think_button.accessibleName() == "Think before answering"
    kit.app.hub.publish(msgspec.structs.replace(able, reasoning="always"))
    wait_until(composer.think_button.isHidden)


def test_what_is_chosen_is_kept_and_asked_for(kit: WindowKit) -> None:
    composer = kit.window.chat_page.composer
    wait_until(lambda: kit.app.engine.state.loaded is not None)
    able = msgspec.structs.replace(
        make_loaded(kit.window.chat.model_id), reasoning="switchable", reasons_unasked=True
    )
    kit.app.hub.publish(able)
    wait_until(composer.think_button.isVisible)
    QTest.mouseClick(composer.think_button, Qt.MouseButton.LeftButton)
    assert kit.app.settings.get("replies.reasoning") == "off"
    assert not composer.think_button.isChecked()
    kit.ask_and_wait("Quick")
    asked = [c for c in kit.engine.commands if isinstance(c, Generate)]
    assert asked[-1].thinks is False
    kit.app.hub.publish(able)  # The engine of these tests says at each prompt what it can.
    kit.app.settings.set("replies.reasoning", "on")
    wait_until(composer.think_button.isChecked)
    kit.app.settings.set("replies.reasoning", "automatic")
    kit.app.hub.publish(msgspec.structs.replace(able, reasons_unasked=False))
    wait_until(lambda: not composer.think_button.isChecked())
