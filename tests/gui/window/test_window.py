"""The frame: keys, pages, placement, zoom, a second start, names for every control."""

import logging
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from inglenook.base.errors import StorageError
from inglenook.gui.crash import CrashDialog, make_report
from inglenook.gui.placement import Placement, load_placement, save_placement
from inglenook.gui.shortcuts import WINDOW_KEYS, ShortcutList
from inglenook.gui.single import Doorbell, find_door, ring
from support.fake_engine import Reply
from support.window import WindowKit, find_unnamed, wait_until

type OpenKit = Callable[..., WindowKit]


def test_every_shortcut_of_the_table_has_an_action(kit: WindowKit) -> None:
    for shortcut in WINDOW_KEYS:
        action = kit.window.actions_by_name[shortcut.name]
        shown = [keys.toString() for keys in action.shortcuts()]
        assert shown == list(shortcut.keys)


def test_no_keys_are_given_twice() -> None:
    keys = [key for shortcut in WINDOW_KEYS for key in shortcut.keys]
    assert len(keys) == len(set(keys))


def test_pages_are_made_when_they_are_first_asked_for(kit: WindowKit) -> None:
    assert "_models_page" in vars(kit.window)
    assert kit.window._models_page is None
    assert kit.window._settings_page is None
    kit.window.actions_by_name["models"].trigger()
    assert kit.window.sidebar.models_entry.isChecked()
    kit.window.actions_by_name["settings"].trigger()
    assert kit.window.sidebar.settings_entry.isChecked()
    assert not kit.window.sidebar.models_entry.isChecked()
    kit.window.actions_by_name["chat"].trigger()
    assert kit.window._stack.currentWidget() is kit.window.chat_page


def test_the_inspector_belongs_to_the_conversation(kit: WindowKit) -> None:
    kit.window.actions_by_name["inspector"].trigger()
    assert kit.window.inspector.isVisible()
    kit.window.show_models()
    assert not kit.window.inspector.isVisible()
    kit.window.show_chat()
    assert kit.window.inspector.isVisible()
    assert kit.window.chat_page.inspector_button.isChecked()


@pytest.mark.parametrize("page", ["chat", "models", "installed", "downloads", "settings"])
def test_every_control_has_a_name(kit: WindowKit, page: str) -> None:
    kit.ask_and_wait("a question")
    kit.window._set_inspector(True)
    if page in {"installed", "downloads"}:
        kit.window.show_models(page)
    elif page != "chat":
        kit.window.actions_by_name[page].trigger()
    QTest.qWait(300)
    assert find_unnamed(kit.window) == []


def test_zoom_goes_up_down_and_back(kit: WindowKit) -> None:
    for name, wanted in (("zoom_in", 1.1), ("zoom_out", 1.0), ("zoom_out", 0.9)):
        kit.window.actions_by_name[name].trigger()
        wait_until(lambda wanted=wanted: kit.window.theme.zoom == wanted)  # type: ignore[misc]
    kit.window.actions_by_name["zoom_reset"].trigger()
    wait_until(lambda: kit.window.theme.zoom == 1.0)


def test_a_pinned_theme_is_in_force_at_once(kit: WindowKit) -> None:
    kit.app.settings.set("appearance.theme", "dark")
    wait_until(lambda: kit.window.theme.colours.name == "dark")
    kit.app.settings.set("appearance.theme", "light")
    wait_until(lambda: kit.window.theme.colours.name == "light")


def test_the_question_mark_lists_the_keys_outside_a_text_field(kit: WindowKit) -> None:
    kit.window.chat_page.composer.focus_input()
    QTest.keyClicks(kit.window.chat_page.composer.input, "?")
    assert kit.window.findChild(ShortcutList) is None
    kit.window.sidebar.view.setFocus()
    QTest.keyClicks(kit.window.sidebar.view, "?")
    wait_until(lambda: kit.window.findChild(ShortcutList) is not None)


def test_the_placement_comes_back(open_kit: OpenKit, tmp_path: Path) -> None:
    kit = open_kit()
    kit.window._set_inspector(True)
    kit.window.resize(900, 640)
    kit.session.close()
    kit.app.close()
    kept = load_placement(tmp_path / "home" / "data" / "window.json")
    assert kept.has_inspector
    assert kept.geometry
    again = open_kit()
    assert again.window.inspector.isVisible()


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'{"pane_widths": "x"}', b"\xff\x00"])
@pytest.mark.logs("placement could not be read")
def test_a_bad_placement_is_ignored(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "window.json"
    path.write_bytes(content)
    assert load_placement(path) == Placement()


@pytest.mark.logs("placement could not be saved")
def test_a_placement_that_cannot_be_saved_costs_nothing_else(tmp_path: Path) -> None:
    save_placement(tmp_path / "missing" / "window.json", Placement())


def test_C10_a_second_start_rings_and_the_window_answers(kit: WindowKit, tmp_path: Path) -> None:
    home = tmp_path / "home"
    bell = Doorbell(home, kit.window)
    bell.listen()
    rung: list[bool] = []
    bell.rung.connect(lambda: rung.append(True))
    answers: list[bool] = []
    caller = threading.Thread(target=lambda: answers.append(ring(home)))
    caller.start()
    wait_until(lambda: bool(rung))
    caller.join()
    assert answers == [True]
    assert find_door(home).stat().st_mode & 0o777 == 0o600
    bell.close()
    assert not find_door(home).exists()


def test_C10_a_dead_door_is_taken_over(kit: WindowKit, tmp_path: Path) -> None:
    home = tmp_path / "home"
    find_door(home).touch()
    assert not ring(home)
    bell = Doorbell(home, kit.window)
    bell.listen()
    assert find_door(home).is_socket()
    bell.close()


def test_G01_quit_in_the_middle_of_a_reply(open_kit: OpenKit) -> None:
    kit = open_kit([Reply(("a ",) * 500, delay_s=0.01)])
    kit.ask("question")
    wait_until(lambda: kit.last_text().startswith("a "))
    kit.session.close()
    kit.app.close()
    again = open_kit()
    wait_until(lambda: len(again.messages()) == 2)
    assert again.messages()[-1].content.startswith("a ")
    assert again.messages()[-1].status in {"stopped", "interrupted"}


def test_F08_the_log_holds_no_text_of_a_conversation(
    open_kit: OpenKit, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    kit = open_kit([Reply(("CANARY-REPLY",)), Reply((), failure=("internal", "It broke.", ""))])
    kit.ask_and_wait("CANARY-PROMPT")
    kit.ask_and_wait("CANARY-AGAIN")
    kit.window.sidebar.search.setText("CANARY")
    QTest.qWait(300)
    assert "CANARY" not in caplog.text


def test_F08_a_crash_report_holds_places_and_no_words() -> None:
    def fail() -> None:
        try:
            os.environ["CANARY-INNER"]
        except KeyError as error:
            raise ValueError("CANARY-OUTER") from error

    with pytest.raises(ValueError, match="CANARY") as caught:
        fail()
    report = make_report(caught.value)
    assert "CANARY" not in report
    assert "ValueError" in report
    assert "KeyError" in report
    assert "test_window.py" in report
    assert str(Path(__file__).parent) not in report


@pytest.mark.logs("a bug of ours")
def test_G03_an_exception_in_a_slot_shows_a_dialog_and_the_window_goes_on(
    kit: WindowKit, qtbot: object
) -> None:
    error = RuntimeError("CANARY")
    sys.excepthook(RuntimeError, error, None)
    wait_until(lambda: kit.window.findChild(CrashDialog) is not None)
    dialog = kit.window.findChild(CrashDialog)
    assert dialog is not None
    assert "CANARY" not in dialog.report
    dialog._copy()
    assert QApplication.clipboard().text() == dialog.report
    dialog.accept()
    kit.ask_and_wait("still here?")
    assert kit.last_text() == "You said: still here?"


def test_an_error_that_no_page_asked_about_is_shown_in_place(kit: WindowKit) -> None:
    kit.session.tasks.failed.emit(StorageError("The disk is full.", "Make room."))
    notice = kit.window.chat_page.notice
    assert notice.isVisible()
    assert notice.label.text() == "The disk is full. Make room."
    notice.findChildren(type(kit.window.chat_page.inspector_button))[0].click()
    assert not notice.isVisible()


def test_F05_only_web_and_mail_links_ask_and_the_real_target_is_shown(kit: WindowKit) -> None:
    from PySide6.QtWidgets import QLineEdit

    from inglenook.gui.links import LinkDialog

    for address in ("file:///etc/passwd", "javascript:alert(1)", "https://user@evil.example/"):
        kit.window.open_link(address)
        assert kit.window.findChild(LinkDialog) is None
    kit.window.open_link("https://bücher.example/path")
    dialog = kit.window.findChild(LinkDialog)
    assert dialog is not None
    field = dialog.findChild(QLineEdit)
    assert field is not None
    assert field.text() == "https://xn--bcher-kva.example/path"
    QTest.keyClick(dialog, Qt.Key.Key_Escape)
