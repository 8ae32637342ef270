"""The composer: sending, stopping, growing, pasting, drafts."""

import time
from collections.abc import Iterator

import pytest
from PySide6.QtCore import QMimeData, Qt
from PySide6.QtGui import QGuiApplication, QInputMethodEvent
from PySide6.QtWidgets import QVBoxLayout, QWidget
from pytestqt.qtbot import QtBot

from inglenook.gui.composer import Composer
from inglenook.gui.drafts import Draft
from inglenook.gui.theme import Theme
from inglenook.gui.transcript.message_input import LENGTH_LIMIT


@pytest.fixture
def composer(qtbot: QtBot) -> Iterator[Composer]:
    theme = Theme()
    theme.apply("light", 1.0)
    window = QWidget()
    column = QVBoxLayout(window)
    column.addStretch(1)
    made = Composer(theme, window)
    column.addWidget(made)
    window.resize(800, 720)
    qtbot.addWidget(window)
    window.show()
    qtbot.waitExposed(window)
    made.focus_input()
    yield made
    window.close()


def paste(composer: Composer, text: str, html: str = "") -> None:
    data = QMimeData()
    data.setText(text)
    if html:
        data.setHtml(html)
    composer.input.insertFromMimeData(data)


def test_enter_sends_and_empties(composer: Composer, qtbot: QtBot) -> None:
    qtbot.keyClicks(composer.input, "hello there")
    assert composer.button.isEnabled()
    with qtbot.waitSignal(composer.submitted) as caught:
        qtbot.keyClick(composer.input, Qt.Key.Key_Return)
    assert caught.args == ["hello there"]
    assert composer.text() == ""
    assert not composer.button.isEnabled()


def test_shift_enter_makes_a_new_line(composer: Composer, qtbot: QtBot) -> None:
    qtbot.keyClicks(composer.input, "a")
    height = composer.height()
    with qtbot.assertNotEmitted(composer.submitted):
        for _ in range(3):
            qtbot.keyClick(composer.input, Qt.Key.Key_Return, Qt.KeyboardModifier.ShiftModifier)
    qtbot.keyClicks(composer.input, "b")
    assert composer.text() == "a\n\n\nb"
    assert composer.height() > height


def test_blank_text_is_not_sent(composer: Composer, qtbot: QtBot) -> None:
    qtbot.keyClicks(composer.input, "   ")
    with qtbot.assertNotEmitted(composer.submitted):
        qtbot.keyClick(composer.input, Qt.Key.Key_Return)


def test_enter_ends_a_composition_and_does_not_send(composer: Composer, qtbot: QtBot) -> None:
    qtbot.keyClicks(composer.input, "x")
    QGuiApplication.sendEvent(composer.input, QInputMethodEvent("\u306b", []))
    with qtbot.assertNotEmitted(composer.submitted):
        qtbot.keyClick(composer.input, Qt.Key.Key_Return)
    done = QInputMethodEvent("", [])
    done.setCommitString("\u65e5")
    QGuiApplication.sendEvent(composer.input, done)
    assert "\u65e5" in composer.text()
    with qtbot.waitSignal(composer.submitted):
        qtbot.keyClick(composer.input, Qt.Key.Key_Return)


def test_while_a_reply_runs_the_button_and_escape_stop(composer: Composer, qtbot: QtBot) -> None:
    composer.set_running(True)
    qtbot.keyClicks(composer.input, "next question")
    with qtbot.assertNotEmitted(composer.submitted):
        qtbot.keyClick(composer.input, Qt.Key.Key_Return)
    assert composer.text() == "next question"
    assert composer._notice.isVisible(), "why nothing happened"
    with qtbot.waitSignal(composer.stop_requested):
        qtbot.keyClick(composer.input, Qt.Key.Key_Escape)
    with qtbot.waitSignal(composer.stop_requested):
        qtbot.mouseClick(composer.button, Qt.MouseButton.LeftButton)
    assert composer.button.accessibleName() == "Stop the reply"
    composer.set_running(False)
    assert not composer._notice.isVisible()
    with qtbot.assertNotEmitted(composer.stop_requested):
        qtbot.keyClick(composer.input, Qt.Key.Key_Escape)


def test_up_in_an_empty_field_edits_the_last_message(composer: Composer, qtbot: QtBot) -> None:
    with qtbot.waitSignal(composer.edit_last_requested):
        qtbot.keyClick(composer.input, Qt.Key.Key_Up)
    qtbot.keyClicks(composer.input, "x")
    with qtbot.assertNotEmitted(composer.edit_last_requested):
        qtbot.keyClick(composer.input, Qt.Key.Key_Up)


def test_grows_to_a_third_of_the_window(composer: Composer) -> None:
    composer.set_text("line\n" * 200)
    assert composer.height() <= 720 / 3 + 10
    assert composer.input.verticalScrollBarPolicy() == Qt.ScrollBarPolicy.ScrollBarAsNeeded


def test_pasting_takes_the_plain_text(composer: Composer) -> None:
    paste(composer, "plain", "<b>rich</b><img src='file:///dev/zero'>")
    assert composer.text() == "plain"


def test_B07_too_long_a_paste_is_refused_with_a_sentence(composer: Composer) -> None:
    composer.set_text("kept")
    paste(composer, "x" * (LENGTH_LIMIT + 1))
    assert composer.text() == "kept"
    notice = composer._notice
    assert notice.isVisible()
    assert "2,000,001 characters" in notice.text()


def test_F04_a_huge_line_is_taken_quickly_and_given_back_whole(composer: Composer) -> None:
    text = "start\n" + "x" * 1_000_000 + "\nend"
    started = time.thread_time()
    paste(composer, text)
    QGuiApplication.processEvents()
    took_s = time.thread_time() - started
    print(f"pasting a line of a million characters: {took_s * 1000:.0f} ms")
    assert took_s < 5
    assert composer.text() == text
    composer.input.selectAll()
    assert composer.input.createMimeDataFromSelection().text() == text


def test_B10_lone_surrogates_cannot_enter(composer: Composer) -> None:
    composer.set_text("a\ud800b")
    composer.text().encode("utf-8")


def test_drafts_are_signalled_once_typing_rests(composer: Composer, qtbot: QtBot) -> None:
    with qtbot.waitSignal(composer.draft_changed) as caught:
        qtbot.keyClicks(composer.input, "draft")
    assert caught.args == [Draft("draft")]
    with qtbot.assertNotEmitted(composer.draft_changed, wait=600):
        composer.set_text("another conversation's draft")


def test_context_gauge_and_notice(composer: Composer) -> None:
    composer.set_context(1412, 8192)
    assert composer._context.text() == "context 1,412 of 8,192"
    assert composer._gauge.isVisible()
    composer.set_context(0, 0)
    assert not composer._gauge.isVisible()
    height = composer.height()
    composer.set_notice("The model is loading.", "quiet")
    assert composer.height() > height
    composer.set_notice("")
    assert composer.height() == height
