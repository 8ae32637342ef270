"""The models folder on the settings page: moved, stopped, gone on with, refused."""

from pathlib import Path

import pytest
from PySide6.QtTest import QTest

from inglenook.gui.settings_page.models_folder import ModelsFolderRow
from inglenook.models import placing
from support.models import make_model
from support.window import WindowKit, wait_until


@pytest.fixture
def row(kit: WindowKit) -> ModelsFolderRow:
    kit.window.show_settings("models")
    page = kit.window._settings_page
    assert page is not None
    wait_until(lambda: page.is_complete)
    for i in range(3):
        path = kit.app.profile.models / "maker" / f"thing-{i}" / "thing-Q8_0.gguf"
        path.parent.mkdir(parents=True)
        path.write_bytes(make_model(2_000_000, seed=i + 1))
        kit.app.library.add_downloaded(
            path, repo=f"maker/thing-{i}", filename=path.name, revision="0" * 40, sha256=""
        )
    return page.models_folder


def test_the_models_are_moved_and_the_page_says_where(
    kit: WindowKit, row: ModelsFolderRow, tmp_path: Path
) -> None:
    row.move_to(tmp_path / "disk")
    assert row.stop_button.isVisible()
    assert not row.move_button.isVisible()
    wait_until(lambda: not row.work.is_working)
    assert kit.app.profile.models == tmp_path / "disk"
    assert row.path.full_text() == str(tmp_path / "disk")
    assert row.note.text() == "The models are at their new place."
    kit.window.models.reload()
    wait_until(
        lambda: all(
            model.path.startswith(str(tmp_path / "disk"))
            for model in kit.window.models.models
            if model.origin != "builtin"
        )
    )


def test_a_stopped_move_is_offered_again(
    kit: WindowKit, row: ModelsFolderRow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(placing, "_share", lambda *_: False)
    write_all = placing._write_all

    def stop_there(*arguments: object) -> None:
        write_all(*arguments)  # type: ignore[arg-type]
        row.stop_button.click()

    with monkeypatch.context() as patched:
        patched.setattr(placing, "_write_all", stop_there)
        row.move_to(tmp_path / "disk")
        wait_until(lambda: not row.work.is_working)
    assert kit.app.profile.models == kit.app.profile.own_models
    assert "is not finished" in row.note.text()
    assert row.continue_button.isVisible()
    row.continue_button.click()
    wait_until(lambda: not row.work.is_working)
    assert kit.app.profile.models == tmp_path / "disk"
    assert not row.continue_button.isVisible()


def test_a_place_that_cannot_be_is_told(kit: WindowKit, row: ModelsFolderRow) -> None:
    row.move_to(kit.app.profile.models / "inner")
    wait_until(lambda: not row.work.is_working)
    assert "inside the other" in row.note.text()
    assert row.move_button.isVisible()


def test_a_folder_that_holds_other_things_gets_one_for_the_models(
    row: ModelsFolderRow, tmp_path: Path
) -> None:
    empty, disk = tmp_path / "empty", tmp_path / "disk"
    empty.mkdir()
    disk.mkdir()
    (disk / "holiday.jpg").touch()
    assert row._make_own(empty) == empty
    assert row._make_own(disk) == disk / "Inglenook models"
    QTest.qWait(1)
