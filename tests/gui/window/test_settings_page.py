"""The settings page: every declared setting, automatic against chosen, deleted ones, the ledger."""

import pytest
from PySide6.QtTest import QTest

from inglenook.base.declarations import SETTINGS
from inglenook.base.errors import StorageError
from inglenook.engine.protocol import Load, Unload
from inglenook.gui.dialogs import Question
from inglenook.gui.settings_page import SettingsPage
from inglenook.gui.settings_page.page import SECTIONS
from inglenook.gui.settings_page.rows import (
    ChoiceRow,
    FilesRow,
    LineRow,
    ListRow,
    NumberRow,
    SwitchRow,
    TextRow,
)
from support.window import WindowKit, wait_until


@pytest.fixture
def page(kit: WindowKit) -> SettingsPage:
    kit.window.show_settings()
    found = kit.window._settings_page
    assert found is not None
    wait_until(lambda: found.is_complete)
    return found


def number(page: SettingsPage, key: str) -> NumberRow:
    row = page.rows[key]
    assert isinstance(row, NumberRow)
    return row


def test_every_declared_setting_has_a_row(page: SettingsPage) -> None:
    assert set(page.rows) == set(SETTINGS)


def test_every_section_can_be_shown(kit: WindowKit, page: SettingsPage) -> None:
    for name in SECTIONS:
        kit.window.show_settings(name)
        QTest.qWait(10)
        assert page._stack.currentIndex() == SECTIONS.index(name)


def test_a_number_is_taken_and_given_back_to_automatic(kit: WindowKit, page: SettingsPage) -> None:
    row = number(page, "replies.temperature")
    assert row.automatic is not None
    assert row.automatic.isChecked()
    assert not row.field.isEnabled()
    row.automatic.click()
    wait_until(lambda: kit.app.settings.get("replies.temperature") == 0.8)
    row.field.setValue(0.3)
    wait_until(lambda: kit.app.settings.get("replies.temperature") == 0.3)
    wait_until(lambda: kit.window.inspector.temperature.value() == "0.30")
    row.automatic.click()
    wait_until(lambda: kit.app.settings.get("replies.temperature") is None)
    assert not kit.app.settings.is_chosen("replies.temperature")
    wait_until(lambda: not row.field.isEnabled())


def test_a_seed_may_be_as_large_as_the_declaration_says(kit: WindowKit, page: SettingsPage) -> None:
    row = number(page, "replies.seed")
    assert row.automatic is not None
    row.automatic.click()
    row.field.setValue(4_294_967_294)
    wait_until(lambda: kit.app.settings.get("replies.seed") == 4_294_967_294)


def test_a_switch_and_a_choice_are_taken_at_once(kit: WindowKit, page: SettingsPage) -> None:
    switch = page.rows["privacy.offline"]
    assert isinstance(switch, SwitchRow)
    switch.switch.click()
    wait_until(lambda: kit.app.settings.get("privacy.offline") is True)
    theme = page.rows["appearance.theme"]
    assert isinstance(theme, ChoiceRow)
    theme.buttons["dark"].click()
    wait_until(lambda: kit.window.theme.colours.name == "dark")
    theme.buttons["system"].click()
    wait_until(lambda: not kit.app.settings.is_chosen("appearance.theme"))


def test_a_text_is_taken_after_a_pause(kit: WindowKit, page: SettingsPage) -> None:
    row = page.rows["replies.system_prompt"]
    assert isinstance(row, TextRow)
    row.field.setPlainText("Be brief.")
    wait_until(lambda: kit.app.settings.get("replies.system_prompt") == "Be brief.")


def test_what_was_typed_is_taken_when_the_window_closes(kit: WindowKit, page: SettingsPage) -> None:
    text = page.rows["replies.system_prompt"]
    assert isinstance(text, TextRow)
    text.field.setPlainText("Be brief.")
    line = next(row for row in page.rows.values() if isinstance(row, LineRow))
    QTest.keyClicks(line.field, "typed")
    kit.window.close()
    wait_until(lambda: kit.app.settings.get("replies.system_prompt") == "Be brief.")
    assert not line.is_being_edited


def test_a_value_that_cannot_be_saved_says_why(
    kit: WindowKit, page: SettingsPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_args: object) -> None:
        raise StorageError("The disk is full.", "Make room.")

    monkeypatch.setattr(kit.app.settings, "_save", refuse)
    row = number(page, "replies.top_k")
    row.field.setValue(7)
    wait_until(lambda: row.error.text() == "The disk is full. Make room.")
    assert kit.app.settings.get("replies.top_k") == 40


def test_a_deleted_conversation_is_restored(kit: WindowKit, page: SettingsPage) -> None:
    kit.window.show_chat()
    kit.ask_and_wait("bring me back")
    kit.window.sidebar_controller.delete(kit.window.chat.conversation_id or "")
    wait_until(lambda: kit.titles() == [])
    kit.window.show_settings("conversations")
    wait_until(page.deleted._card.isVisible)
    (conversation,) = kit.app.store.list_conversations(deleted=True)
    assert page.deleted._describe_rest(conversation) in {"29 days left", "30 days left"}
    page.deleted._restore(conversation.id)
    wait_until(lambda: kit.titles() == ["bring me back"])
    wait_until(page.deleted._empty.isVisible)


def test_delete_forever_asks_first(kit: WindowKit, page: SettingsPage) -> None:
    kit.window.show_chat()
    kit.ask_and_wait("gone for good")
    kit.window.sidebar_controller.delete(kit.window.chat.conversation_id or "")
    wait_until(lambda: kit.titles() == [])
    kit.window.show_settings("conversations")
    wait_until(page.deleted._card.isVisible)
    (conversation,) = kit.app.store.list_conversations(deleted=True)
    page.deleted._ask_to_delete(conversation)
    question = page.deleted.findChild(Question)
    assert question is not None
    question.cancel_button.click()
    assert kit.app.store.list_conversations(deleted=True)
    page.deleted._ask_to_delete(conversation)
    wait_until(lambda: len(page.deleted.findChildren(Question)) >= 1)
    page.deleted.findChildren(Question)[-1].action_button.click()
    wait_until(lambda: not kit.app.store.list_conversations(deleted=True))


def test_the_ledger_lists_every_connection(kit: WindowKit, page: SettingsPage) -> None:
    line = kit.app.network.add_line("huggingface.co", "list the files of owner/repo")
    kit.app.network.grow(line, n_bytes=1_200_000)
    kit.window.show_settings("privacy")
    table = page.ledger.table
    wait_until(lambda: table.rowCount() == 1)
    cells = [table.data(table.index(0, column)) for column in range(4)]
    assert cells[1:] == ["huggingface.co", "list the files of owner/repo", "1 MB"]


def test_about_tells_paths_and_engine_and_no_conversation(
    kit: WindowKit, page: SettingsPage
) -> None:
    kit.window.show_chat()
    kit.ask_and_wait("CANARY")
    kit.window.show_settings("about")
    facts = dict(page.about.list_facts())
    assert facts["Database"] == str(kit.app.profile.database)
    assert facts["Backend"] == "CPU"
    assert "CANARY" not in str(facts)


def test_the_model_for_new_conversations_is_one_of_the_installed(
    kit: WindowKit, page: SettingsPage
) -> None:
    row = page.rows["models.default"]
    wait_until(lambda: row.read_value() == "builtin/guide")


def test_rare_settings_stand_below_a_fold_that_counts_what_was_chosen(
    kit: WindowKit, page: SettingsPage
) -> None:
    kit.window.show_settings("engine")
    fold = page.folds["engine"]
    row = page.rows["engine.kv_type"]
    assert not row.isVisible()
    fold.button.click()
    wait_until(row.isVisible)
    assert isinstance(row, ListRow)
    row.field.setCurrentIndex(row.field.findData("q8_0"))
    row.field.activated.emit(row.field.currentIndex())
    wait_until(lambda: kit.app.settings.get("engine.kv_type") == "q8_0")
    wait_until(lambda: "1 changed" in fold.button.accessibleName())
    wait_until(row.reset_button.isVisible)
    row.reset_button.click()
    wait_until(lambda: not kit.app.settings.is_chosen("engine.kv_type"))
    wait_until(lambda: not row.reset_button.isVisible())


def test_what_automatic_chose_is_told_and_a_change_waits_for_the_load(
    kit: WindowKit, page: SettingsPage
) -> None:
    wait_until(lambda: kit.app.engine.state.loaded is not None)
    kit.window.show_settings("engine")
    row = number(page, "engine.context_length")
    bar = page.reload_bar
    assert bar is not None
    wait_until(lambda: row._now.text() == "now 4,096")
    kit.app.settings.set("engine.context_length", 2048)
    wait_until(lambda: row._now.text() == "applies at the next load")
    assert "1 change waits" in bar._note.text()
    bar.button.click()
    wait_until(lambda: row._now.text() == "")
    loads = [c for c in kit.engine.commands if isinstance(c, Load)]
    assert loads[-1].options.n_ctx == 2048
    assert any(isinstance(c, Unload) for c in kit.engine.commands)


def test_a_setting_is_found_by_its_words(kit: WindowKit, page: SettingsPage) -> None:
    kit.window.show_settings("appearance")
    page.search.setText("kv cache")
    wait_until(page.rows["engine.kv_type"].isVisible)
    assert page._stack.currentIndex() == SECTIONS.index("engine")
    assert not page.rows["engine.threads"].isVisible()
    page.search.clear()
    wait_until(page.rows["engine.threads"].isVisible)


def test_text_of_a_wrong_form_is_refused_beside_the_field(
    kit: WindowKit, page: SettingsPage
) -> None:
    row = page.rows["replies.logit_bias"]
    assert isinstance(row, TextRow)
    row.field.setPlainText("hello")
    wait_until(lambda: "no token bias" in row.error.text())
    row.field.setPlainText("17: -100")
    wait_until(lambda: kit.app.settings.get("replies.logit_bias") == "17: -100")
    assert row.error.text() == ""


def test_an_adapter_is_added_by_its_file(kit: WindowKit, page: SettingsPage) -> None:
    row = page.rows["engine.adapters"]
    assert isinstance(row, FilesRow)
    row.add_path("/models/a.gguf")
    row.add_path("/models/b.gguf")
    wait_until(lambda: kit.app.settings.get("engine.adapters") == "/models/a.gguf\n/models/b.gguf")
