"""The start: what waits for the first paint, and what a person may do before all is there."""

import builtins
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QWidget

from inglenook.app import GUIDE_ID
from inglenook.engine.protocol import Load
from inglenook.gui import first_paint
from inglenook.gui import window as main_window
from inglenook.gui.first_paint import FirstPaint
from inglenook.gui.placement import load_placement
from support.fake_engine import Reply
from support.window import WindowKit, wait_until

type OpenKit = Callable[..., WindowKit]


@pytest.fixture
def widget(qapp: QApplication) -> QWidget:
    return QWidget()


def watch(widget: QWidget) -> list[bool]:
    answers: list[bool] = []
    first = FirstPaint(widget, widget)
    first.answered.connect(answers.append)
    return answers


def test_a_painted_window_answers_once(widget: QWidget) -> None:
    answers = watch(widget)
    widget.show()
    wait_until(lambda: bool(answers))
    widget.repaint()
    QTest.qWait(50)
    assert answers == [True]
    widget.deleteLater()


def test_a_hidden_window_does_not_hold_the_start_up(
    widget: QWidget, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(first_paint, "HIDDEN_WAIT_MS", 20)
    answers = watch(widget)
    wait_until(lambda: bool(answers))
    assert answers == [False]
    widget.deleteLater()


def test_an_import_does_not_read_the_source_of_what_it_imports(kit: WindowKit) -> None:
    assert "PySide6.QtCore" in sys.modules
    assert builtins.__import__.__name__ != "__feature_import__"


def test_the_guide_is_loaded_as_the_first_prompt_wants_it(kit: WindowKit) -> None:
    kit.ask_and_wait("hello")
    loads = [command for command in kit.engine.commands if isinstance(command, Load)]
    assert len(loads) == 2
    assert loads[0].model_id == GUIDE_ID
    assert loads[0] == loads[1], "or the engine would load it twice"


def test_what_is_begun_before_the_last_conversation_has_come_stays(kit: WindowKit) -> None:
    kit.ask_and_wait("the old one")
    old = kit.window.chat.conversation_id
    assert old is not None
    kit.window.chat.open_new()
    kit.window.chat.open_last(old)
    kit.ask("the new one")
    wait_until(lambda: len(kit.messages()) == 2 and kit.is_idle())
    QTest.qWait(100)
    assert kit.messages()[0].content == "the new one"


def test_what_is_typed_before_the_last_conversation_has_come_stays(kit: WindowKit) -> None:
    kit.ask_and_wait("the old one")
    old = kit.window.chat.conversation_id
    assert old is not None
    kit.window.chat.open_new(greets=False)
    kit.window.chat.open_last(old)
    kit.window.chat_page.composer.set_text("half a thought")
    wait_until(kit.window.chat_page.transcript.empty_state.isVisible)
    assert kit.window.chat.conversation_id is None
    assert kit.window.chat_page.composer.text() == "half a thought"


def test_the_last_conversation_opens_where_nothing_was_begun(kit: WindowKit) -> None:
    kit.ask_and_wait("the old one")
    old = kit.window.chat.conversation_id
    assert old is not None
    kit.window.chat.open_new(greets=False)
    kit.window.chat.open_last(old)
    wait_until(lambda: kit.window.chat.conversation_id == old)
    assert kit.messages()[0].content == "the old one"


@pytest.mark.logs("the database was damaged", "window's thread was blocked")
def test_C08_a_rescued_database_is_told_of(open_kit: OpenKit, tmp_path: Path) -> None:
    data = tmp_path / "home" / "data"
    data.mkdir(parents=True)
    (data / "inglenook.db").write_bytes(b"this was a database once" * 400)
    kit = open_kit()
    notice = kit.window.chat_page.notice
    wait_until(notice.isVisible)
    assert kit.app.store.notice is not None
    assert kit.app.store.notice.message in notice.label.text()
    kit.ask_and_wait("hello")


def test_C01_what_was_open_is_on_show_again_after_a_crash(open_kit: OpenKit) -> None:
    first = open_kit()
    first.ask_and_wait("hello")
    shown = first.window.chat.conversation_id
    assert shown is not None
    path = first.window._placement_path
    wait_until(lambda: load_placement(path).conversation_id == shown)
    kept = path.read_bytes()
    first.session.close()
    first.app.close()
    path.write_bytes(kept)  # As a window leaves it that never came to close.
    second = open_kit()
    wait_until(lambda: second.window.chat.conversation_id == shown)


def test_what_takes_the_interpreter_waits_while_a_reply_is_written(
    open_kit: OpenKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared: list[bool] = []
    monkeypatch.setattr(main_window, "_prepare_pages", lambda: prepared.append(True))
    hold = threading.Event()
    kit = open_kit([Reply(("It ", "goes ", "on."), hold=hold)])
    kit.ask("go on")
    wait_until(lambda: "It" in kit.last_text())
    prepared.clear()
    kit.window._resume_downloads()
    QTest.qWait(50)
    assert not prepared
    hold.set()
    wait_until(lambda: bool(prepared))
    assert kit.is_idle()
