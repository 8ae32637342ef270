"""What other apps have, on the Installed tab; files that are dropped; duplicates."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from PySide6.QtCore import QMimeData, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QLabel, QPushButton, QWidget

from inglenook.gui.dialogs import Question
from inglenook.gui.models_page import ModelsPage
from inglenook.gui.models_page.found_section import MAX_ROWS, ROWS_PER_STEP
from inglenook.models.intake import Intake
from support.models import make_model
from support.neighbours import add_to_lm_studio, add_to_ollama, hash_tree
from support.window import WindowKit, find_unnamed, wait_until

DATA = make_model(100_000)

# The constructor is marked as deprecated; nothing else makes such an event.
pytestmark = pytest.mark.filterwarnings("ignore:.*QDragEnterEvent:DeprecationWarning")


@pytest.fixture
def person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder in which Ollama and LM Studio have models."""
    home = tmp_path / "person"
    for name in ("OLLAMA_MODELS", "LLAMA_CACHE", "HF_HOME", "HF_HUB_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(home))
    add_to_ollama(home / ".ollama/models", "tiny:1b", DATA, layers=[("system", b"Be brief.")])
    add_to_lm_studio(home / ".lmstudio/models", "a/b-GGUF/b.gguf", make_model(100_000, 2))
    add_to_lm_studio(home / ".lmstudio/models", "a/b-GGUF/mmproj.gguf", b"<html>")
    return home


@pytest.fixture
def page(person: Path, open_kit: Callable[..., WindowKit]) -> ModelsPage:
    kit = open_kit()
    kit.window.show_models("installed")
    page = kit.window._models_page
    assert page is not None
    wait_until(lambda: len(page.installed.found.buttons) == 2)
    return page


def list_texts(root: QWidget) -> list[str]:
    return [label.text() for label in root.findChildren(QLabel) if label.isVisible()]


def list_buttons(root: QWidget) -> list[str]:
    return [button.text() for button in root.findChildren(QPushButton)]


def get_names(page: ModelsPage) -> list[str]:
    return [model.name for model in page._models.models]


def drop(target: QWidget, *paths: Path) -> None:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    copy, left, none = (
        Qt.DropAction.CopyAction,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )
    enter = QDragEnterEvent(QPointF(5, 5).toPoint(), copy, data, left, none)
    QApplication.sendEvent(target, enter)
    if enter.isAccepted():
        QApplication.sendEvent(target, QDropEvent(QPointF(5, 5), copy, data, left, none))


def test_what_other_apps_have_is_listed_and_used_on_demand(page: ModelsPage, person: Path) -> None:
    before = hash_tree(person)
    found = page.installed.found
    assert get_names(page) == ["Inglenook Guide"], "nothing is used by itself"
    assert found.unusable_button.text() == "1 more cannot be used"
    found.unusable_button.click()
    wait_until(lambda: any("is a web page" in text for text in list_texts(found)))
    assert find_unnamed(found) == []
    found.buttons[0].click()
    wait_until(lambda: "tiny:1b" in get_names(page))
    wait_until(lambda: len(found.buttons) == 1)
    assert page.notice.label.text() == "tiny:1b can be used now, from where Ollama keeps it."
    wait_until(lambda: any("its own system" in text for text in list_texts(page.installed)))
    found.buttons[0].click()
    wait_until(lambda: not found.card.isVisible())
    assert hash_tree(person) == before


def test_many_models_come_a_few_at_a_time(page: ModelsPage, person: Path) -> None:
    found = page.installed.found
    findings = page._found.findings
    assert findings is not None
    page._found._is_looking = True  # No real look comes between.
    (one, *_) = findings.models
    many = tuple(msgspec.structs.replace(one, id=f"ollama:m{i}", name=f"m{i}") for i in range(1000))
    page._found.findings = msgspec.structs.replace(findings, models=many)
    page._found.changed.emit()
    assert len(found.buttons) == ROWS_PER_STEP
    wait_until(lambda: any(text == "960 more" for text in list_buttons(found)))
    assert len(found.buttons) == MAX_ROWS
    next(b for b in found.findChildren(QPushButton) if b.text() == "960 more").click()
    wait_until(lambda: len(found.buttons) == 2 * MAX_ROWS)


def test_use_all_and_forget_one(page: ModelsPage, person: Path) -> None:
    before = hash_tree(person)
    found = page.installed.found
    found.use_all.click()
    wait_until(lambda: len(get_names(page)) == 3)
    wait_until(lambda: page.notice.label.text().startswith("2 models"))
    model = next(m for m in page._models.models if m.source == "ollama")
    page.installed.ask_to_remove(model)
    question = page.installed.findChild(Question)
    assert question is not None
    assert any("Ollama keeps the file" in text for text in list_texts(question))
    question.action_button.click()
    wait_until(
        lambda: page.notice.label.text() == "tiny:1b was forgotten; its file stays with Ollama."
    )
    wait_until(lambda: len(found.buttons) == 1)
    assert hash_tree(person) == before


def test_a_model_that_comes_or_goes_in_another_app_is_noticed(
    page: ModelsPage, person: Path
) -> None:
    folder = person / ".lmstudio/models/a/b-GGUF"
    add_to_lm_studio(folder, "c.gguf", make_model(100_000, 3))
    wait_until(lambda: len(page.installed.found.buttons) == 3)
    (folder / "c.gguf").unlink()
    wait_until(lambda: len(page.installed.found.buttons) == 2)


def test_a_folder_that_a_person_adds_is_looked_into(page: ModelsPage, tmp_path: Path) -> None:
    folder = tmp_path / "shelf"
    add_to_lm_studio(folder, "mine.gguf", make_model(100_000, 6))
    page.add_folder(str(folder))
    wait_until(lambda: len(page.installed.found.buttons) == 3)
    assert page._app.settings.get("models.folders") == str(folder)
    page.add_folder(str(folder))
    wait_until(lambda: page._app.settings.get("models.folders") == str(folder))


@pytest.mark.parametrize("way", ["in_place", "copy", "move"])
def test_a_dropped_file_asks_in_place(page: ModelsPage, tmp_path: Path, way: str) -> None:
    path = tmp_path / "dropped.gguf"
    path.write_bytes(make_model(100_000, 4))
    window = page.window()
    drop(window, path)
    bar = page.installed.import_bar
    wait_until(bar.isVisible)
    assert bar.label.full_text() == "dropped.gguf · 101 kB"
    assert get_names(page) == ["Inglenook Guide"]
    buttons = {"in_place": bar.in_place, "copy": bar.copy, "move": bar.move_button}
    buttons[way].click()
    wait_until(lambda: get_names(page) == ["Inglenook Guide", "Model 4"])
    wait_until(lambda: not bar.isVisible())
    model = page._models.models[1]
    assert model.origin == ("file" if way == "in_place" else "copy")
    assert path.exists() == (way != "move")


def test_a_file_over_the_composer_and_one_of_another_app(
    page: ModelsPage, person: Path, tmp_path: Path
) -> None:
    window = page._models.parent()
    composer = window.chat_page.composer  # type: ignore[union-attr]
    window.show_chat()  # type: ignore[union-attr]
    text = tmp_path / "notes.txt"
    text.write_text("hello")
    bad = tmp_path / "bad.gguf"
    bad.write_bytes(b"<html>")
    theirs = person / ".lmstudio/models/a/b-GGUF/b.gguf"
    drop(composer.input.viewport(), bad, theirs)
    bar = page.installed.import_bar
    wait_until(bar.isVisible)
    assert "is a web page" in page.notice.label.text()
    assert composer.input.toPlainText() == ""
    assert not bar.move_button.isVisible()
    assert "LM Studio" in bar.note.text()
    bar.close_button.click()
    wait_until(lambda: not bar.isVisible())


def test_a_copy_can_be_stopped(
    page: ModelsPage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = page._app
    slow = Intake(app.profile.models, app.library, lambda _: "", may_share=False)
    monkeypatch.setattr(type(app), "intake", property(lambda _: slow))
    path = tmp_path / "big.gguf"
    path.write_bytes(make_model(60_000_000, 5))
    page.offer_files([path])
    bar = page.installed.import_bar
    wait_until(bar.isVisible)
    bar.copy.click()
    bar.stop.click()
    wait_until(lambda: not bar.isVisible())
    assert get_names(page) == ["Inglenook Guide"]


def test_duplicates_are_looked_for_and_shared_on_demand(page: ModelsPage, tmp_path: Path) -> None:
    app = page._app
    view = page.installed.duplicates
    view.look()
    wait_until(lambda: page.notice.label.text() == "No model is here twice.")
    path = tmp_path / "same.gguf"
    path.write_bytes(DATA)
    Intake(app.profile.models, app.library, lambda _: "", may_share=False).bring_in(path, "move")
    view.look()
    wait_until(lambda: len(view.buttons) == 1 and view.label.text().startswith("1 model"))
    assert view.buttons[0].text() == "Free 101 kB"
    assert find_unnamed(view) == []
    view.buttons[0].click()
    wait_until(lambda: page.notice.label.text() == "101 kB are free again.")
    QTest.qWait(10)
    wait_until(lambda: not view._work.is_working)
