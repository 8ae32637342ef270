"""The sidebar: groups, search, rename in place, pin, delete with Undo, keys, the lamp."""

from datetime import UTC, date, datetime, timedelta

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLineEdit

from inglenook.gui.sidebar.model import fit_snippet
from inglenook.gui.sidebar.rows import clean_title, make_hit_rows, make_rows
from inglenook.store.records import Conversation
from support.window import WindowKit, wait_until


def make_conversation(title: str, moment: datetime, *, is_pinned: bool = False) -> Conversation:
    return Conversation(
        id=title, title=title, is_pinned=is_pinned, created_at=moment, updated_at=moment
    )


def same(text: str) -> str:
    return text


def test_rows_are_grouped_by_date() -> None:
    now = datetime.now().astimezone()
    rows = make_rows(
        (
            make_conversation("p", now - timedelta(days=90), is_pinned=True),
            make_conversation("t", now),
            make_conversation("y", now - timedelta(days=1)),
            make_conversation("w", now - timedelta(days=5)),
            make_conversation("o", now - timedelta(days=40)),
        ),
        now.date(),
        same,
    )
    assert [row.text for row in rows] == [
        "Pinned", "p", "Today", "t", "Yesterday", "y", "Previous 7 days", "w", "Older", "o",
    ]  # fmt: skip


def test_a_moment_of_the_future_counts_as_today() -> None:
    later = datetime.now(UTC) + timedelta(days=2)
    rows = make_rows((make_conversation("x", later),), date.today(), same)  # noqa: DTZ011
    assert rows[0].text == "Today"


@pytest.mark.parametrize(
    ("title", "shown"),
    [
        ("", "New conversation"),
        (" \n ", "New conversation"),
        ("a\nb\tc", "a b c"),
        ("x\u202ey\x00z", "xyz"),
    ],
)
def test_titles_are_one_clean_line(title: str, shown: str) -> None:
    assert clean_title(title, same) == shown


def test_a_search_without_hits_says_so() -> None:
    assert [row.text for row in make_hit_rows((), same)] == ["Nothing found"]


def test_a_snippet_begins_shortly_before_its_match() -> None:
    text, spans = fit_snippet("a" * 50 + "needle" + "b" * 50, ((50, 56),))
    assert text.startswith("…")
    start, end = spans[0]
    assert text[start:end] == "needle"
    assert start < 20


def test_a_snippet_that_matches_at_once_is_not_cut() -> None:
    assert fit_snippet("needle in hay", ((0, 6),)) == ("needle in hay", ((0, 6),))


def test_search_finds_titles_and_texts_and_opens_at_the_message(kit: WindowKit) -> None:
    kit.ask_and_wait("apples and pears")
    kit.window.sidebar.new_requested.emit()
    kit.ask_and_wait("stars and planets")
    wait_until(lambda: len(kit.titles()) == 2)
    kit.window.sidebar.search.setText("pears")
    wait_until(lambda: kit.titles() and set(kit.titles()) == {"apples and pears"})
    row = next(r for r in kit.window.sidebar.list.rows if r.message_id is not None)
    assert row.snippet[slice(*row.spans[0])].lower() == "pears"
    kit.window.sidebar.hit_chosen.emit(row.conversation and row.conversation.id, row.message_id)
    wait_until(lambda: bool(kit.messages()) and kit.messages()[0].content == "apples and pears")
    kit.window.sidebar.clear_search()
    wait_until(lambda: len(kit.titles()) == 2)


def test_rename_in_place(kit: WindowKit) -> None:
    kit.ask_and_wait("first title")
    wait_until(lambda: kit.titles() == ["first title"])
    kit.window.actions_by_name["rename"].trigger()
    view = kit.window.sidebar.view
    editor = view.findChild(QLineEdit)
    assert editor is not None
    editor.setText("better title")
    QTest.keyClick(editor, Qt.Key.Key_Return)
    wait_until(lambda: kit.titles() == ["better title"])
    assert kit.window.chat_page.title.full_text() == "better title"
    stored = kit.app.store.list_conversations()[0]
    assert stored.title == "better title"
    assert stored.title_is_chosen


def test_pin_and_unpin(kit: WindowKit) -> None:
    kit.ask_and_wait("pin me")
    key = kit.window.chat.conversation_id
    kit.window.sidebar.pin_requested.emit(key, True)
    wait_until(lambda: kit.window.sidebar.list.rows[0].text == "Pinned")
    kit.window.sidebar.pin_requested.emit(key, False)
    wait_until(lambda: kit.window.sidebar.list.rows[0].text == "Today")


def test_G05_delete_offers_undo_and_nothing_is_lost(kit: WindowKit) -> None:
    kit.ask_and_wait("do not lose me")
    wait_until(lambda: len(kit.titles()) == 1)
    key = kit.window.chat.conversation_id or ""
    kit.window.sidebar_controller.delete(key)
    wait_until(lambda: kit.titles() == [])
    assert kit.window.sidebar.undo.isVisible()
    assert kit.messages() == ()
    assert [c.id for c in kit.app.store.list_conversations(deleted=True)] == [key]
    kit.window.sidebar.undo.button.click()
    wait_until(lambda: kit.titles() == ["do not lose me"])
    wait_until(lambda: len(kit.messages()) == 2)


def test_G05_keys_of_the_sidebar_destroy_nothing_for_good(kit: WindowKit) -> None:
    for name in ("one", "two", "three"):
        kit.window.sidebar.new_requested.emit()
        kit.ask_and_wait(name)
    wait_until(lambda: len(kit.titles()) == 3)
    view = kit.window.sidebar.view
    view.setFocus()
    for key in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace, Qt.Key.Key_Delete, Qt.Key.Key_Down) * 5:
        QTest.keyClick(view, key)
        QTest.qWait(5)
    QTest.qWait(100)

    def count() -> int:
        store = kit.app.store
        return len(store.list_conversations()) + len(store.list_conversations(deleted=True))

    wait_until(lambda: count() == 3)  # One may be on its way to the trash between the two lists.


def test_the_list_is_walked_and_opened_by_keys(kit: WindowKit) -> None:
    kit.ask_and_wait("older")
    kit.window.sidebar.new_requested.emit()
    kit.ask_and_wait("newer")
    wait_until(lambda: len(kit.titles()) == 2)
    sidebar = kit.window.sidebar
    QTest.keyClick(sidebar.search, Qt.Key.Key_Down)
    QTest.keyClick(sidebar.view, Qt.Key.Key_Down)
    QTest.keyClick(sidebar.view, Qt.Key.Key_Return)
    wait_until(lambda: kit.messages()[0].content == "older")


def test_the_menu_of_a_conversation(kit: WindowKit) -> None:
    kit.ask_and_wait("with a menu")
    wait_until(lambda: len(kit.titles()) == 1)
    sidebar = kit.window.sidebar
    menu = sidebar.make_row_menu(sidebar.list.first())
    assert [action.text() for action in menu.actions()] == ["Rename", "Pin", "Delete"]


def test_the_lamp_tells_offline_and_the_number_of_connections(kit: WindowKit) -> None:
    lamp = kit.window.sidebar.lamp
    assert lamp.text() == "0 connections"
    kit.app.network.add_line("example.org", "a test")
    wait_until(lambda: lamp.text() == "1 connection")
    kit.app.settings.set("privacy.offline", True)
    wait_until(lambda: lamp.text() == "Offline")
    lamp.click()
    assert kit.window.sidebar.settings_entry.isChecked()


def test_models_are_counted_at_the_foot(kit: WindowKit) -> None:
    wait_until(lambda: kit.window.sidebar.models_entry.accessibleDescription().startswith("1 · "))
