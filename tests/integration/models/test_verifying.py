"""Checking files on demand: what is damaged is told and marked, what is whole is not."""

import hashlib
import threading
from pathlib import Path

import pytest

from inglenook.base.errors import ModelError
from inglenook.base.paths import Profile, find_asset
from inglenook.base.records import InstalledModel
from inglenook.models.hashing import StoppedWorkError
from inglenook.models.library import BUILTIN_ID, Library
from inglenook.models.verifying import Checking, Verifier
from inglenook.store.store import Store
from support.models import make_model, make_parts

DATA = make_model(200_000)


@pytest.fixture
def library(profile: Profile, store: Store) -> Library:
    return Library(profile, store, find_asset("assets", "guide.gguf"), lambda _: None)


@pytest.fixture
def verifier(library: Library, profile: Profile) -> Verifier:
    return Verifier(library, profile.data / "verified.json")


@pytest.fixture
def downloaded(library: Library, profile: Profile) -> InstalledModel:
    path = profile.models / "maker" / "thing" / "thing-Q8_0.gguf"
    path.parent.mkdir(parents=True)
    path.write_bytes(DATA)
    sha256 = hashlib.sha256(DATA).hexdigest()
    return library.add_downloaded(
        path, repo="maker/thing", filename=path.name, revision="0" * 40, sha256=sha256
    )


def flip_last_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def find_problem(library: Library, model: InstalledModel) -> str:
    return next(m.problem for m in library.list() if m.id == model.id)


def test_a_whole_download_is_as_it_was(
    verifier: Verifier, library: Library, downloaded: InstalledModel
) -> None:
    told: list[Checking] = []
    verdict = verifier.verify(downloaded.id, told.append)
    assert verdict.outcome == "intact"
    assert verdict.message.endswith("is as it was downloaded.")
    assert verdict.sha256 == (downloaded.sha256,)
    assert told[-1] == Checking(len(DATA), len(DATA))
    assert find_problem(library, downloaded) == ""


def test_A06_one_flipped_bit_is_found_and_marked_until_the_file_is_whole_again(
    verifier: Verifier, library: Library, downloaded: InstalledModel
) -> None:
    path = Path(downloaded.path)
    flip_last_bit(path)
    assert find_problem(library, downloaded) == ""
    verdict = verifier.verify(downloaded.id)
    assert verdict.outcome == "damaged"
    assert "not as it was downloaded" in verdict.message
    assert find_problem(library, downloaded) == (
        "The file is damaged: it is not as it was downloaded. Remove it and download it again."
    )
    flip_last_bit(path)
    assert verifier.verify(downloaded.id).outcome == "intact"
    assert find_problem(library, downloaded) == ""


def test_A03_a_cut_file_is_marked_with_what_it_has_and_needs(
    verifier: Verifier, library: Library, downloaded: InstalledModel
) -> None:
    Path(downloaded.path).write_bytes(DATA[:-50_000])
    verdict = verifier.verify(downloaded.id)
    assert verdict.outcome == "damaged"
    assert "is incomplete: it has" in verdict.message
    assert "is incomplete: it has" in find_problem(library, downloaded)


def test_a_mark_of_the_engine_stays(
    verifier: Verifier, library: Library, downloaded: InstalledModel
) -> None:
    library.mark_problem(downloaded.id, "It ended the engine.")
    assert verifier.verify(downloaded.id).outcome == "intact"
    assert find_problem(library, downloaded) == "It ended the engine."


def test_a_first_check_is_remembered_and_held_against_the_next(
    verifier: Verifier, library: Library, tmp_path: Path
) -> None:
    path = tmp_path / "own.gguf"
    path.write_bytes(DATA)
    model = library.import_file(path)
    assert verifier.verify(model.id).outcome == "remembered"
    assert verifier.verify(model.id).outcome == "intact"
    flip_last_bit(path)
    verdict = verifier.verify(model.id)
    assert verdict.outcome == "damaged"
    assert "not as it was on" in verdict.message
    library.remove(model.id)
    again = library.import_file(path)
    assert verifier.verify(again.id).outcome == "remembered"


def test_every_part_of_a_split_model_is_read(
    verifier: Verifier, library: Library, tmp_path: Path
) -> None:
    files = make_parts(3, 50_000)
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    model = library.import_file(tmp_path / min(files))
    verdict = verifier.verify(model.id)
    assert len(verdict.sha256) == 3
    flip_last_bit(tmp_path / max(files))
    assert verifier.verify(model.id).outcome == "damaged"


def test_a_missing_file_is_told_and_nothing_is_marked(
    verifier: Verifier, downloaded: InstalledModel
) -> None:
    Path(downloaded.path).unlink()
    with pytest.raises(ModelError) as caught:
        verifier.verify(downloaded.id)
    assert caught.value.code == "missing"


def test_stopping_changes_nothing(
    verifier: Verifier, library: Library, downloaded: InstalledModel
) -> None:
    flip_last_bit(Path(downloaded.path))
    stop = threading.Event()
    stop.set()
    with pytest.raises(StoppedWorkError):
        verifier.verify(downloaded.id, stop=stop)
    assert find_problem(library, downloaded) == ""


def test_the_built_in_model_is_read_and_not_remembered(
    verifier: Verifier, library: Library, profile: Profile
) -> None:
    assert verifier.verify(BUILTIN_ID).outcome == "read"
    assert BUILTIN_ID.encode() not in (profile.data / "verified.json").read_bytes()


def test_a_memory_that_cannot_be_read_is_no_obstacle(
    verifier: Verifier, profile: Profile, downloaded: InstalledModel
) -> None:
    (profile.data / "verified.json").write_bytes(b"\0nonsense")
    assert verifier.verify(downloaded.id).outcome == "intact"
