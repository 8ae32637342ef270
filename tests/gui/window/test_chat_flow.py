"""Conversations in the window: sending, switching, stopping, versions, drafts, faults in place."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from PySide6.QtTest import QTest

from inglenook.base.errors import StorageError
from inglenook.chat.events import NotSaved, SavedAgain
from inglenook.engine.protocol import Cancel, Generate, Load, LoadFailed
from support.fake_engine import Reply
from support.window import WindowKit, add_model, split_pieces, wait_until

type OpenKit = Callable[..., WindowKit]


def test_a_message_is_sent_streamed_and_found_again(open_kit: OpenKit) -> None:
    kit = open_kit([Reply(split_pieces("A reply in **pieces**."))])
    kit.ask_and_wait("hello there")
    assert kit.last_text() == "A reply in **pieces**."
    assert [m.role for m in kit.messages()] == ["user", "assistant"]
    assert kit.messages()[-1].status == "complete"
    wait_until(lambda: kit.titles() == ["hello there"])
    assert kit.window.chat_page.title.full_text() == "hello there"
    stored = kit.app.store.thread(kit.window.chat.conversation_id or "")
    assert [m.content for m in stored] == ["hello there", "A reply in **pieces**."]


def test_a_second_message_goes_to_the_same_conversation(kit: WindowKit) -> None:
    kit.ask_and_wait("one")
    kit.ask_and_wait("two")
    assert [m.content for m in kit.messages()] == ["one", "You said: one", "two", "You said: two"]
    assert len(kit.app.store.list_conversations()) == 1


def test_nothing_of_a_conversation_is_in_the_title(kit: WindowKit) -> None:
    kit.ask_and_wait("secret words")
    assert kit.window.windowTitle() == "Inglenook"


def test_the_composer_is_emptied_and_turns_into_stop(open_kit: OpenKit) -> None:
    hold = threading.Event()
    kit = open_kit([Reply(("a", "b"), hold=hold)])
    kit.ask("question")
    wait_until(lambda: kit.last_text() == "a")
    composer = kit.window.chat_page.composer
    assert composer.text() == ""
    assert composer.button.accessibleName() == "Stop the reply"
    hold.set()
    wait_until(kit.is_idle)
    assert composer.button.accessibleName() == "Send"


def test_stop_keeps_what_came(open_kit: OpenKit) -> None:
    hold = threading.Event()
    kit = open_kit([Reply(("kept ", "lost"), hold=hold)])
    kit.ask("question")
    wait_until(lambda: kit.last_text() == "kept ")
    kit.window.chat_page.composer.stop_requested.emit()
    wait_until(kit.is_idle)
    assert any(isinstance(command, Cancel) for command in kit.engine.commands)
    assert kit.messages()[-1].status == "stopped"
    assert kit.messages()[-1].content == "kept "
    hold.set()


def test_what_is_sent_while_a_reply_is_being_stopped_follows_it(open_kit: OpenKit) -> None:
    hold = threading.Event()
    kit = open_kit([Reply(("kept ", "lost"), hold=hold), Reply(("next",))])
    kit.ask("question")
    wait_until(lambda: kit.last_text() == "kept ")
    composer = kit.window.chat_page.composer
    composer.stop()
    kit.ask("and on")
    assert composer.text() == "and on", "not before the reply has stopped"
    wait_until(lambda: kit.last_text() == "next")
    wait_until(kit.is_idle)
    stored = [(m.content, m.status) for m in kit.messages()]
    assert stored[1:3] == [("kept ", "stopped"), ("and on", "complete")]
    assert composer.text() == ""
    hold.set()


def test_what_is_sent_while_the_end_of_a_reply_is_being_stored_follows_it(
    open_kit: OpenKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow disk: all text is on show, and the reply is not over yet."""
    hold = threading.Event()
    kit = open_kit([Reply(("all of it",)), Reply(("next",))])
    store = kit.app.store
    finish = store.finish_message

    def finish_late(*arguments: object, **named: object) -> object:
        hold.wait(10)
        return finish(*arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(store, "finish_message", finish_late)
    kit.ask("question")
    wait_until(lambda: any(run.is_over for run in kit.window.live.all()))
    assert kit.last_text() == "all of it"
    kit.ask("and on")
    composer = kit.window.chat_page.composer
    assert composer.text() == "and on"
    assert composer._notice.isHidden(), "nobody has to press it again"
    hold.set()
    wait_until(lambda: kit.last_text() == "next" and kit.is_idle())
    assert [m.status for m in kit.messages()[1::2]] == ["complete", "complete"]


def test_what_waits_for_a_stop_stays_in_its_conversation(open_kit: OpenKit) -> None:
    hold = threading.Event()
    kit = open_kit([Reply(("kept ", "lost"), hold=hold)])
    kit.ask("question")
    wait_until(lambda: kit.last_text() == "kept ")
    first = kit.window.chat.conversation_id or ""
    kit.window.chat_page.composer.stop()
    kit.ask("and on")
    kit.window.sidebar.new_requested.emit()
    wait_until(lambda: kit.app.store.thread(first)[-1].status == "stopped")
    kit.window.sidebar.conversation_chosen.emit(first)
    wait_until(lambda: kit.window.chat_page.composer.text() == "and on")
    assert [m.content for m in kit.messages()] == ["question", "kept "]
    hold.set()


def test_a_reply_is_stopped_before_it_has_begun(
    open_kit: OpenKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold, asked = threading.Event(), threading.Event()
    kit = open_kit([Reply(("one ", "two"), hold=hold)])
    send = type(kit.app.chat).send

    def send_late(self: object, *args: object, **options: object) -> object:
        asked.wait(10)
        return send(self, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(type(kit.app.chat), "send", send_late)
    kit.ask("question")
    kit.window.chat_page.composer.stop()
    asked.set()
    wait_until(lambda: len(kit.messages()) == 2 and kit.messages()[-1].status == "stopped")
    hold.set()


def wait_for_end(kit: WindowKit) -> None:
    """Wait on a worker thread until the last reply of the newest conversation is stored whole."""
    store = kit.app.store
    for _ in range(1000):
        rows = store.list_conversations()
        thread = store.thread(rows[0].id) if rows else ()
        if thread and thread[-1].role == "assistant" and thread[-1].status == "complete":
            return
        time.sleep(0.005)
    raise AssertionError("the reply did not end")


def test_a_reply_that_ends_before_its_conversation_is_shown_is_whole(
    open_kit: OpenKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    kit = open_kit([Reply(split_pieces("All of it at once."))])
    chat = kit.app.chat
    send = type(chat).send

    def send_late(self: object, *args: object, **options: object) -> object:
        started = send(self, *args, **options)  # type: ignore[arg-type]
        wait_for_end(kit)
        return started

    monkeypatch.setattr(type(chat), "send", send_late)
    kit.ask_and_wait("quick")
    assert kit.messages()[-1].status == "complete"
    wait_until(lambda: kit.last_text() == "All of it at once.")
    assert kit.window.chat_page.composer.button.accessibleName() == "Send"


def test_a_reply_that_ends_while_its_conversation_is_read_is_whole(
    open_kit: OpenKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold = threading.Event()
    kit = open_kit([Reply(("one ", "two"), hold=hold)])
    kit.ask("first")
    wait_until(lambda: kit.last_text() == "one ")
    running = kit.window.chat.conversation_id
    kit.window.sidebar.new_requested.emit()
    store = kit.app.store
    thread = type(store).thread

    def read_early(self: object, conversation_id: str) -> object:
        messages = thread(self, conversation_id)  # type: ignore[arg-type]
        if not hold.is_set():
            hold.set()
            wait_for_end(kit)
            time.sleep(0.1)  # The window hears of the end before it shows what was read.
        return messages

    monkeypatch.setattr(type(store), "thread", read_early)
    kit.window.sidebar.conversation_chosen.emit(running)
    wait_until(kit.messages)
    assert kit.messages()[-1].status == "complete"
    assert kit.last_text() == "one two"


def test_a_reply_goes_on_while_another_conversation_is_on_show(open_kit: OpenKit) -> None:
    hold = threading.Event()
    kit = open_kit([Reply(("one ", "two ", "three"), hold=hold)])
    kit.ask("first")
    wait_until(lambda: kit.last_text() == "one ")
    running = kit.window.chat.conversation_id
    assert running is not None
    kit.window.sidebar.new_requested.emit()
    assert kit.messages() == ()
    assert kit.window.sidebar.list._running == {running}
    hold.set()
    wait_until(kit.is_idle)
    assert kit.messages() == ()
    kit.window.sidebar.conversation_chosen.emit(running)
    wait_until(lambda: len(kit.messages()) == 2)
    assert kit.last_text() == "one two three"


def test_a_live_reply_is_complete_when_its_conversation_is_opened_again(open_kit: OpenKit) -> None:
    hold = threading.Event()
    kit = open_kit([Reply(("one ", "two ", "three"), hold=hold)])
    kit.ask("first")
    wait_until(lambda: kit.last_text() == "one ")
    running = kit.window.chat.conversation_id or ""
    kit.window.sidebar.new_requested.emit()
    kit.window.sidebar.conversation_chosen.emit(running)
    wait_until(lambda: kit.last_text() == "one ")
    hold.set()
    wait_until(kit.is_idle)
    assert kit.last_text() == "one two three"


def test_retry_keeps_the_other_version(kit: WindowKit) -> None:
    kit.ask_and_wait("question")
    first = kit.messages()[-1]
    kit.window.chat_page.transcript.retry_requested.emit(first.id)
    wait_until(lambda: kit.messages()[-1].id != first.id)
    wait_until(kit.is_idle)
    second = kit.messages()[-1]
    assert second.sibling_ids == (first.id, second.id)
    kit.window.chat_page.transcript.sibling_chosen.emit(first.id)
    wait_until(lambda: kit.messages()[-1].id == first.id)


def test_edit_begins_another_branch(kit: WindowKit) -> None:
    kit.ask_and_wait("question")
    user = kit.messages()[0]
    kit.window.chat_page.transcript.edit_requested.emit(user.id, "other question", ())
    wait_until(lambda: kit.messages()[0].content == "other question")
    wait_until(kit.is_idle)
    assert kit.last_text() == "You said: other question"
    assert len(kit.messages()[0].sibling_ids) == 2
    assert kit.app.store.get_message(user.id).content == "question"


def test_an_interrupted_reply_can_be_continued(open_kit: OpenKit) -> None:
    kit = open_kit([Reply(("half ",), dies=True), Reply(("and half",))])
    kit.ask_and_wait("question")
    cut = kit.messages()[-1]
    assert cut.status in {"failed", "interrupted"}
    assert cut.content == "half "
    kit.window.chat_page.transcript.continue_requested.emit(cut.id)
    wait_until(lambda: kit.last_text() == "half and half")
    wait_until(kit.is_idle)
    assert kit.messages()[-1].id == cut.id
    assert kit.messages()[-1].content == "half and half"


def test_a_draft_belongs_to_its_conversation_and_survives(open_kit: OpenKit) -> None:
    kit = open_kit()
    kit.ask_and_wait("first")
    first = kit.window.chat.conversation_id or ""
    composer = kit.window.chat_page.composer
    composer.set_text("half a thought")
    kit.window.sidebar.new_requested.emit()
    assert composer.text() == ""
    kit.window.sidebar.conversation_chosen.emit(first)
    wait_until(lambda: composer.text() == "half a thought")
    wait_until(lambda: kit.app.store.get_conversation(first).draft == "half a thought")


def test_a_sent_draft_is_gone(kit: WindowKit) -> None:
    kit.ask_and_wait("first")
    first = kit.window.chat.conversation_id or ""
    kit.window.chat.writing.drafts.change(first, "second")
    kit.window.chat.writing.drafts.save_all()
    kit.ask_and_wait("second")
    wait_until(lambda: kit.app.store.get_conversation(first).draft == "")


def test_what_could_not_be_sent_stands_in_the_composer_again(
    kit: WindowKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_args: object, **_options: object) -> None:
        raise StorageError("The disk is full.", "Make room, then try again.")

    monkeypatch.setattr(kit.app.chat, "send", refuse)
    kit.ask("precious words")
    composer = kit.window.chat_page.composer
    wait_until(lambda: composer.text() == "precious words")
    assert "disk is full" in composer._notice.accessibleName() or composer._notice.isVisible()


def test_a_message_waits_while_its_model_loads(open_kit: OpenKit) -> None:
    kit = open_kit(load_s=0.6)
    kit.ask("early")
    wait_until(lambda: len(kit.messages()) == 2)
    wait_until(kit.is_idle)
    assert kit.last_text() == "You said: early"


def test_the_chip_tells_the_model_and_where_it_runs(kit: WindowKit) -> None:
    wait_until(lambda: kit.window.chat_page.chip.state.phase == "ready")
    state = kit.window.chat_page.chip.state
    assert state.name == "Inglenook Guide"
    assert state.details.endswith("CPU")


def test_chip_and_inspector_say_why_a_model_runs_where_it_does(kit: WindowKit) -> None:
    chip, inspector = kit.window.chat_page.chip, kit.window.inspector
    wait_until(lambda: chip.state.phase == "ready")
    assert chip.toolTip() == ""
    assert inspector.placement.isHidden()
    note = "It runs on the CPU: measured 2.1 times as fast as the GPU here."
    loaded = kit.engine.state.loaded
    assert loaded is not None
    kit.engine._publish(msgspec.structs.replace(loaded, placement_note=note))
    wait_until(lambda: note in chip.toolTip())
    assert inspector.placement.text() == note
    assert not inspector.placement.isHidden()


def test_another_model_is_chosen_in_the_popup(kit: WindowKit, tmp_path: Path) -> None:
    model = add_model(kit, tmp_path / "other.gguf")
    kit.window.chat_page.chip.click()
    popup = kit.window.chooser._popup
    assert popup is not None
    assert popup.isVisible()
    popup.chosen.emit(model.id)
    assert kit.window.chat_page.chip.state.name == "Other 1B"
    wait_until(lambda: kit.app.settings.get("models.default") == model.id)
    wait_until(
        lambda: any(isinstance(c, Load) and c.model_id == model.id for c in kit.engine.commands)
    )


def test_a_model_that_cannot_be_loaded_is_told_in_place(open_kit: OpenKit, tmp_path: Path) -> None:
    failure = LoadFailed(
        model_id="file:other", code="damaged", message="The file is damaged.", hint="Get it anew."
    )
    kit = open_kit(load_failures={"file:other": failure})
    add_model(kit, tmp_path / "other.gguf")
    kit.window.chat.choose_model("file:other")
    notice = kit.window.chat_page.notice
    wait_until(notice.isVisible)
    assert "The file is damaged. Get it anew." in notice.label.text()
    assert notice.button.isVisible()
    assert kit.window.chat_page.chip.state.phase == "problem"


def test_C18_a_reply_that_is_not_saved_is_marked_until_it_is(open_kit: OpenKit) -> None:
    hold = threading.Event()
    kit = open_kit([Reply(("a", "b"), hold=hold)])
    kit.ask("question")
    wait_until(lambda: kit.last_text() == "a")
    reply = kit.messages()[-1]
    kit.app.hub.publish(NotSaved(reply.id, "The disk is full."))
    notice = kit.window.chat_page.notice
    wait_until(notice.isVisible)
    assert "The disk is full. The reply goes on in memory" in notice.label.text()
    kit.app.hub.publish(SavedAgain())
    wait_until(lambda: not notice.isVisible())
    hold.set()
    wait_until(kit.is_idle)


def test_B06_switching_models_and_conversations_while_replies_run(
    open_kit: OpenKit, tmp_path: Path
) -> None:
    replies = [Reply(("x ", "y ", "z"), delay_s=0.01) for _ in range(12)]
    kit = open_kit(replies)
    other = add_model(kit, tmp_path / "other.gguf")
    for i in range(12):
        kit.ask(f"question {i}")
        wait_until(lambda: not kit.window.chat._sending)
        if i % 3 == 0:
            kit.window.chat.choose_model(other.id if i % 2 else "builtin/guide")
        if i % 4 == 0:
            kit.window.chat_page.composer.stop_requested.emit()
        kit.window.sidebar.new_requested.emit()
    wait_until(kit.is_idle)
    generated = [c for c in kit.engine.commands if isinstance(c, Generate)]
    assert len(generated) == 12
    for conversation in kit.app.store.list_conversations():
        thread = kit.app.store.thread(conversation.id)
        assert thread[-1].status in {"complete", "stopped", "failed", "interrupted"}


def test_the_conversation_of_last_time_is_open_again(open_kit: OpenKit) -> None:
    kit = open_kit()
    kit.ask_and_wait("remember me")
    kit.session.close()
    kit.app.close()
    again = open_kit()
    wait_until(lambda: len(again.messages()) == 2)
    assert again.messages()[0].content == "remember me"


def test_live_numbers_reach_the_inspector_and_the_composer(open_kit: OpenKit) -> None:
    hold = threading.Event()
    kit = open_kit([Reply(("a", "b"), hold=hold)])
    kit.window._set_inspector(True)
    kit.ask("question")
    inspector = kit.window.inspector
    wait_until(lambda: inspector.number.text() == "40.0")
    assert inspector.prompt.value() == "15 new · 5 reused"
    hold.set()
    wait_until(kit.is_idle)
    wait_until(lambda: inspector.prompt_speed.value() == "200 tok/s")
    assert inspector._live_name.text() == "Last reply"


def test_numbers_of_another_conversation_are_not_shown(open_kit: OpenKit) -> None:
    hold = threading.Event()
    kit = open_kit([Reply(("a", "b"), hold=hold)])
    kit.ask("question")
    wait_until(lambda: kit.last_text() == "a")
    kit.window.sidebar.new_requested.emit()
    QTest.qWait(50)
    assert kit.window.inspector.number.text() == "-"
    hold.set()
    wait_until(kit.is_idle)
    assert kit.window.inspector.number.text() == "-"
