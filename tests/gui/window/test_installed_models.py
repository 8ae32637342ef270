"""The Installed tab: where a model is from, checking its file, finding a moved one again."""

import hashlib
import shutil
from pathlib import Path

import pytest
from PySide6.QtWidgets import QLabel, QWidget

from inglenook.base.records import InstalledModel
from inglenook.gui.dialogs import Question
from inglenook.gui.models_page import ModelsPage
from inglenook.gui.models_page.header_view import HeaderView
from support.models import make_model
from support.window import WindowKit, wait_until

DATA = make_model(200_000)
ID = "maker/thing/thing-Q8_0.gguf"


@pytest.fixture
def page(kit: WindowKit) -> ModelsPage:
    path = kit.app.profile.models / "maker" / "thing" / "thing-Q8_0.gguf"
    path.parent.mkdir(parents=True)
    path.write_bytes(DATA)
    sha256 = hashlib.sha256(DATA).hexdigest()
    kit.app.library.add_downloaded(
        path, repo="maker/thing", filename=path.name, revision="0" * 40, sha256=sha256
    )
    kit.window.show_models("installed")
    found = kit.window._models_page
    assert found is not None
    wait_until(lambda: ID in found.installed.cards)
    return found


def list_texts(root: QWidget) -> list[str]:
    return [label.text() for label in root.findChildren(QLabel) if label.isVisible()]


def find_model(kit: WindowKit) -> InstalledModel:
    model = kit.window.models.find(ID)
    assert model is not None
    return model


def flip_last_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def test_a_card_says_where_it_is_from_and_when_it_was_used(
    kit: WindowKit, page: ModelsPage
) -> None:
    texts = list_texts(page.installed.cards[ID])
    assert any("From maker/thing" in text and "not used yet" in text for text in texts)
    kit.app.library.mark_used(ID)
    kit.window.models.reload()
    wait_until(lambda: any("last used 20" in t for t in list_texts(page.installed.cards[ID])))


def test_the_disk_s_free_space_is_shown(page: ModelsPage) -> None:
    wait_until(lambda: " free" in page.installed.total.text())
    assert "on this disk" in page.installed.total.text()


def test_a_check_says_that_a_file_is_whole(page: ModelsPage) -> None:
    page.installed.cards[ID].buttons["verify"].click()
    view = page.installed.verify
    wait_until(lambda: "is as it was downloaded" in view.label.text())
    assert hashlib.sha256(DATA).hexdigest() in view.detail.text()
    view.button.click()
    assert not view.isVisible()


def test_A06_a_damaged_file_is_marked_in_the_list(kit: WindowKit, page: ModelsPage) -> None:
    path = Path(find_model(kit).path)
    flip_last_bit(path)
    page.installed.cards[ID].buttons["verify"].click()
    wait_until(lambda: "damaged" in find_model(kit).problem)
    wait_until(lambda: "damaged" in page.installed.verify.label.text())
    wait_until(lambda: any("download it again" in t for t in list_texts(page.installed.cards[ID])))
    flip_last_bit(path)
    page.installed.cards[ID].buttons["verify"].click()
    wait_until(lambda: not find_model(kit).problem)


def test_a_missing_file_is_told_and_a_chosen_one_is_compared(
    kit: WindowKit, page: ModelsPage, tmp_path: Path
) -> None:
    model = find_model(kit)
    target = tmp_path / "away" / "moved.gguf"
    target.parent.mkdir()
    shutil.move(model.path, target)
    kit.window.models.reload()
    wait_until(lambda: page.installed.cards[ID].is_missing)
    card = page.installed.cards[ID]
    assert set(card.buttons) == {"find", "folder", "remove"}
    wrong = tmp_path / "wrong.gguf"
    wrong.write_bytes(make_model(200_000, seed=2))
    page.installed.take_moved_file(find_model(kit), wrong)
    wait_until(lambda: "holds something else" in page.notice.label.text())
    page.installed.take_moved_file(find_model(kit), target)
    wait_until(lambda: "found again" in page.notice.label.text())
    wait_until(lambda: not page.installed.cards[ID].is_missing)
    assert find_model(kit).path == str(target)


def test_a_file_moved_within_the_models_folder_is_found_by_itself(
    kit: WindowKit, page: ModelsPage
) -> None:
    target = kit.app.profile.models / "sorted" / "thing.gguf"
    target.parent.mkdir()
    shutil.move(find_model(kit).path, target)
    kit.window.models.reload()
    wait_until(lambda: find_model(kit).path == str(target))
    wait_until(lambda: "Found again" in page.notice.label.text())
    assert not find_model(kit).problem


def test_removing_a_missing_model_promises_no_space(kit: WindowKit, page: ModelsPage) -> None:
    Path(find_model(kit).path).unlink()
    kit.window.models.reload()
    wait_until(lambda: page.installed.cards[ID].is_missing)
    page.installed.ask_to_remove(find_model(kit))
    question = page.installed.findChild(Question)
    assert question is not None
    assert any("no space is freed" in text for text in list_texts(question))
    question.reject()


def test_removing_a_file_that_shares_its_space_promises_none(
    kit: WindowKit, page: ModelsPage, tmp_path: Path
) -> None:
    assert kit.window.models.freed[ID] == len(DATA)
    assert "201 kB" in page.installed.cards[ID].buttons["remove"].toolTip()
    (tmp_path / "twin.gguf").hardlink_to(find_model(kit).path)
    kit.window.models.reload()
    wait_until(lambda: kit.window.models.freed[ID] == 0)
    page.installed.ask_to_remove(find_model(kit))
    question = page.installed.findChild(Question)
    assert question is not None
    assert any("so none is freed" in text for text in list_texts(question))
    question.reject()


def test_the_header_is_shown_and_can_be_searched(page: ModelsPage) -> None:
    page.installed.cards[ID].buttons["header"].click()
    wait_until(lambda: page.installed.findChild(HeaderView) is not None)
    view = page.installed.findChild(HeaderView)
    assert view is not None
    n_rows = view.rows.rowCount()
    view.field.setText("general.architecture")
    assert view.rows.rowCount() == 1 < n_rows
    view.table.selectRow(0)
    assert view.value.toPlainText() == "llama"
    view.accept()
