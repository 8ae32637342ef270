"""Moved model files: told as missing, found again, and never mistaken for another file."""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from inglenook.base.errors import ModelError
from inglenook.base.paths import Profile, find_asset
from inglenook.base.records import InstalledModel
from inglenook.models.adopt import Neighbours
from inglenook.models.adopted.candidates import Place
from inglenook.models.library import Library, is_missing
from inglenook.models.relocation import Relocation
from inglenook.store.store import Store
from support.models import make_model, make_parts

DATA = make_model(200_000)
OTHER = make_model(200_000, seed=2)


@pytest.fixture
def library(profile: Profile, store: Store) -> Library:
    return Library(profile, store, find_asset("assets", "guide.gguf"), lambda _: None)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "added"
    made.mkdir()
    return made


@pytest.fixture
def relocation(library: Library, profile: Profile, folder: Path) -> Relocation:
    places = (Place("folder", folder),)
    return Relocation(profile.models, library, Neighbours(library, lambda: places))


@pytest.fixture
def downloaded(library: Library, profile: Profile) -> InstalledModel:
    path = profile.models / "maker" / "thing" / "thing-Q8_0.gguf"
    path.parent.mkdir(parents=True)
    path.write_bytes(DATA)
    sha256 = hashlib.sha256(DATA).hexdigest()
    return library.add_downloaded(
        path, repo="maker/thing", filename=path.name, revision="0" * 40, sha256=sha256
    )


def refuse(action: Callable[[], object]) -> ModelError:
    with pytest.raises(ModelError) as caught:
        action()
    return caught.value


def move(model: InstalledModel, target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(model.path, target)
    return target


def test_a_file_moved_within_the_models_folder_is_found_by_itself(
    relocation: Relocation, library: Library, downloaded: InstalledModel, profile: Profile
) -> None:
    target = move(downloaded, profile.models / "sorted" / "renamed.gguf")
    assert is_missing(library.find(downloaded.id))
    assert library.find(downloaded.id).problem == "The file is not there any more."
    (found,) = relocation.look()
    assert (found.id, found.path, found.origin) == (downloaded.id, str(target), "hub")
    assert library.find(downloaded.id).problem == ""
    assert relocation.look() == ()
    assert library.remove(downloaded.id) == len(DATA)


def test_a_file_moved_to_an_added_folder_is_found_and_then_not_ours_to_delete(
    relocation: Relocation, library: Library, downloaded: InstalledModel, folder: Path
) -> None:
    target = move(downloaded, folder / "away.gguf")
    (found,) = relocation.look()
    assert (found.path, found.origin) == (str(target), "file")
    assert library.remove(found.id) == 0
    assert target.exists()


def test_a_file_of_the_same_size_that_holds_something_else_is_not_taken(
    relocation: Relocation, library: Library, downloaded: InstalledModel, folder: Path
) -> None:
    Path(downloaded.path).unlink()
    (folder / "other.gguf").write_bytes(OTHER)
    assert len(OTHER) == len(DATA)
    assert relocation.look() == ()
    error = refuse(lambda: relocation.find_by_hand(downloaded.id, folder / "other.gguf"))
    assert error.code == "another_file"
    assert "holds something else" in error.message
    assert is_missing(library.find(downloaded.id))


def test_a_chosen_file_is_taken_by_its_hash(
    relocation: Relocation, library: Library, downloaded: InstalledModel, tmp_path: Path
) -> None:
    target = move(downloaded, tmp_path / "elsewhere" / "x.gguf")
    found = relocation.find_by_hand(downloaded.id, target)
    assert found.path == str(target)
    assert library.find(downloaded.id).problem == ""
    assert library.import_file(target).id == downloaded.id


def test_a_chosen_file_of_another_size_says_both_sizes(
    relocation: Relocation, downloaded: InstalledModel, tmp_path: Path
) -> None:
    other = tmp_path / "other.gguf"
    other.write_bytes(make_model(400_000))
    error = refuse(lambda: relocation.find_by_hand(downloaded.id, other))
    assert error.code == "another_file"
    assert "it has 401 kB, and Model 1 has 201 kB" in error.message


def test_where_no_hash_is_known_the_header_decides(
    relocation: Relocation, library: Library, tmp_path: Path
) -> None:
    path = tmp_path / "own.gguf"
    path.write_bytes(DATA)
    model = library.import_file(path)
    target = move(model, tmp_path / "moved" / "own.gguf")
    assert relocation.find_by_hand(model.id, target).path == str(target)
    assert library.import_file(target).id == model.id


def test_a_chosen_file_that_is_no_model_says_what_it_is(
    relocation: Relocation, downloaded: InstalledModel, tmp_path: Path
) -> None:
    page = tmp_path / "page.gguf"
    page.write_bytes(b"<html></html>")
    assert "a web page" in refuse(lambda: relocation.find_by_hand(downloaded.id, page)).message


def test_A12_a_split_model_is_found_only_with_all_its_parts(
    relocation: Relocation, library: Library, tmp_path: Path, folder: Path
) -> None:
    files = make_parts(3, 50_000)
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    model = library.import_file(tmp_path / min(files))
    first, *others = sorted(files)
    for name in (first, *others[:-1]):
        (tmp_path / name).rename(folder / name)
    assert relocation.look() == ()
    (tmp_path / others[-1]).rename(folder / others[-1])
    (found,) = relocation.look()
    assert found.id == model.id
    assert found.path == str(folder / first)
