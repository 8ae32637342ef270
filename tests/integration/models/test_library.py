"""The library on a real database: names people type, files that go, models that misbehave."""

from collections.abc import Callable
from pathlib import Path

import pytest

from inglenook.base.errors import ModelError
from inglenook.base.paths import Profile, find_asset
from inglenook.base.records import InstalledModel
from inglenook.models.catalogue import load_catalogue
from inglenook.models.events import ModelsChanged
from inglenook.models.library import BUILTIN_ID, Library
from inglenook.store.store import Store
from support.models import make_model, make_parts

DATA = make_model(100_000)


class Shelf:
    """A library, and what it published."""

    def __init__(self, profile: Profile, store: Store) -> None:
        self.events: list[object] = []
        catalogue = load_catalogue(find_asset("models.toml"))
        guide = find_asset("assets", "guide.gguf")
        self.library = Library(profile, store, guide, self.events.append, lambda: catalogue)
        self.profile = profile

    def download(self, repo: str, filename: str, data: bytes = DATA) -> InstalledModel:
        """Put a file where a download would, and take it in."""
        path = self.profile.models / repo / filename
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return self.library.add_downloaded(
            path, repo=repo, filename=filename, revision="0" * 40, sha256="1" * 64
        )


@pytest.fixture
def shelf(profile: Profile, store: Store) -> Shelf:
    return Shelf(profile, store)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "My Model v2.gguf"
    path.write_bytes(DATA)
    return path


def refuse(action: Callable[[], object]) -> ModelError:
    with pytest.raises(ModelError) as caught:
        action()
    assert caught.value.message.endswith(".")
    return caught.value


def test_the_built_in_model_is_first_and_stays(shelf: Shelf) -> None:
    (guide,) = shelf.library.list()
    assert guide.id == BUILTIN_ID
    assert guide.name == "Inglenook Guide"
    assert guide.origin == "builtin"
    assert guide.n_params > 10**5
    assert refuse(lambda: shelf.library.remove(BUILTIN_ID)).code == "builtin"


def test_a_missing_built_in_model_is_told_in_the_list(
    profile: Profile, store: Store, tmp_path: Path
) -> None:
    library = Library(profile, store, tmp_path / "none.gguf", lambda _: None)
    assert "Install Inglenook again" in library.list()[0].problem


def test_import_in_place_and_forget(shelf: Shelf, file: Path) -> None:
    model = shelf.library.import_file(file)
    assert model.id == f"file:{file}"
    assert model.name == "Model 1"
    assert model.aliases == ("my-model-v2",)
    assert model.path == str(file)
    assert shelf.events == [ModelsChanged(model.id)]
    assert [m.id for m in shelf.library.list()] == [BUILTIN_ID, model.id]
    assert shelf.library.import_file(file).id == model.id
    assert len(shelf.library.list()) == 2
    assert shelf.library.remove(model.id) == 0
    assert file.exists()
    assert len(shelf.library.list()) == 1


def test_import_refuses_what_is_no_model(shelf: Shelf, tmp_path: Path) -> None:
    bad = tmp_path / "bad.gguf"
    bad.write_bytes(b"<html></html>")
    assert refuse(lambda: shelf.library.import_file(bad)).code == "not_gguf"
    assert refuse(lambda: shelf.library.import_file(tmp_path)).code == "not_a_file"
    assert refuse(lambda: shelf.library.import_file(tmp_path / "none.gguf")).code == "missing"
    assert len(shelf.library.list()) == 1
    assert shelf.events == []


def test_import_of_the_built_in_file_is_the_built_in_model(shelf: Shelf) -> None:
    guide = shelf.library.list()[0]
    assert shelf.library.import_file(Path(guide.path)).id == BUILTIN_ID
    assert len(shelf.library.list()) == 1


def test_A12_a_split_model_is_imported_by_its_first_part(shelf: Shelf, tmp_path: Path) -> None:
    files = make_parts(2, 50_000)
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    model = shelf.library.import_file(tmp_path / min(files))
    assert model.size_bytes == sum(len(data) for data in files.values())
    (tmp_path / max(files)).unlink()
    assert shelf.library.list()[1].problem == "The file is not there any more."


@pytest.mark.parametrize(
    "name",
    ["llama3:8b", "LLAMA3", "Llama 3 8B", "llama-3-8b", "bartowski/Meta-Llama-3-8B-Instruct-GGUF",
     "bartowski/meta-llama-3-8b-instruct-gguf:Q8_0", "Meta-Llama-3-8B-Instruct-Q4_K_M.gguf",
     "meta-llama-3-8b-instruct-q4_k_m", "  llama3:8b "],
)  # fmt: skip
def test_names_that_find_a_model_of_the_catalogue(shelf: Shelf, name: str) -> None:
    repo = "bartowski/Meta-Llama-3-8B-Instruct-GGUF"
    model = shelf.download(repo, "Meta-Llama-3-8B-Instruct-Q4_K_M.gguf")
    assert model.name == "Llama 3 8B"
    assert model.aliases == ("llama3", "llama3:8b")
    assert shelf.library.find(name).id == model.id
    assert shelf.library.find(model.id).id == model.id


def test_names_of_other_models(shelf: Shelf) -> None:
    model = shelf.download("maker/Thing-GGUF", "thing-Q8_0.gguf")
    assert model.aliases == ("thing-q8_0",)
    for name in ("thing-q8_0", "maker/thing-gguf", "Model 1", "guide"):
        assert shelf.library.find(name).id in {model.id, BUILTIN_ID}


def test_two_files_of_one_model_share_no_short_name(shelf: Shelf) -> None:
    repo = "Qwen/Qwen3-4B-GGUF"
    first = shelf.download(repo, "Qwen3-4B-Q4_K_M.gguf")
    second = shelf.download(repo, "Qwen3-4B-Q8_0.gguf", make_model(90_000, 2))
    assert first.aliases == ("qwen3:4b",)
    assert second.aliases == ()
    assert shelf.library.find("qwen3:4b").id == first.id
    assert shelf.library.find(second.id).id == second.id


def test_plain_paths_are_models_too(
    shelf: Shelf, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(file.parent)
    for name in (
        str(file),
        f"file:{file}",
        f"./{file.name}",
        file.name,
        f"{file.parent}/./x/../{file.name}",
    ):
        model = shelf.library.find(name)
        assert model.id == f"file:{file}"
        assert model.path == str(file)
    assert len(shelf.library.list()) == 1
    imported = shelf.library.import_file(file)
    assert shelf.library.find(str(file)) == shelf.library.find(imported.id)


def test_paths_that_are_no_models(shelf: Shelf, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    assert refuse(lambda: shelf.library.find(str(tmp_path / "notes.txt"))).code == "not_gguf"
    assert refuse(lambda: shelf.library.find(str(tmp_path))).code == "not_a_file"
    assert refuse(lambda: shelf.library.find(str(tmp_path / "none.gguf"))).code == "missing"
    assert refuse(lambda: shelf.library.find("./none.gguf")).code == "missing"
    assert refuse(lambda: shelf.library.find("file:/none/at/all")).code == "missing"


def test_unknown_names_get_near_ones(shelf: Shelf) -> None:
    error = refuse(lambda: shelf.library.find("llama3:8b"))
    assert error.code == "unknown_model"
    assert error.hint == "Download it with: inglenook pull llama3:8b"
    assert "llama3" in refuse(lambda: shelf.library.find("lama3:8b")).hint
    assert "guide" in refuse(lambda: shelf.library.find("giude")).hint
    far = refuse(lambda: shelf.library.find("zzzzzzzz"))
    assert "inglenook list" in far.hint
    for odd in ("", " ", "a\0b", "x" * 10_000, "\ud800", "\x1b[31m"):
        error = refuse(lambda odd=odd: shelf.library.find(odd))  # type: ignore[misc]
        assert error.code == "unknown_model"
        error.message.encode()
        assert error.message.isprintable()


def test_files_that_go_or_change_say_so(shelf: Shelf, file: Path) -> None:
    shelf.library.import_file(file)
    file.write_bytes(DATA[:-32])
    assert shelf.library.list()[1].problem == "The file has changed since it was added."
    file.unlink()
    assert shelf.library.list()[1].problem == "The file is not there any more."
    file.write_bytes(DATA)
    assert shelf.library.list()[1].problem == ""


def test_A01_a_model_that_ended_the_engine_is_marked_for_good(
    shelf: Shelf, file: Path, profile: Profile, store: Store
) -> None:
    model = shelf.library.import_file(file)
    shelf.library.mark_problem(model.id, "It ended the engine while it was loaded.")
    assert shelf.library.find(model.id).problem == "It ended the engine while it was loaded."
    restarted = Shelf(profile, store)
    assert restarted.library.list()[1].problem == "It ended the engine while it was loaded."
    restarted.library.mark_problem(model.id, "")
    assert restarted.library.list()[1].problem == ""
    restarted.library.mark_problem(model.id, "Again.")
    assert restarted.library.import_file(file).problem == ""


def test_A01_marks_on_the_built_in_and_on_plain_paths(shelf: Shelf, file: Path) -> None:
    shelf.library.mark_problem(BUILTIN_ID, "It ended the engine.")
    assert shelf.library.list()[0].problem == "It ended the engine."
    shelf.library.mark_problem(f"file:{file}", "Bad.")
    assert shelf.library.find(str(file)).problem == "Bad."


def test_removing_a_download_deletes_its_files_and_folders(shelf: Shelf) -> None:
    model = shelf.download("maker/Thing-GGUF", "sub/thing-Q8_0.gguf")
    assert shelf.library.remove(model.id) == len(DATA)
    assert list(shelf.profile.models.iterdir()) == []
    assert refuse(lambda: shelf.library.remove(model.id)).code == "unknown_model"


def test_removing_a_download_whose_file_is_gone(shelf: Shelf) -> None:
    model = shelf.download("maker/Thing-GGUF", "thing-Q8_0.gguf")
    Path(model.path).unlink()
    assert shelf.library.remove(model.id) == 0
    assert len(shelf.library.list()) == 1


@pytest.mark.logs("outside the models folder")
def test_D05_removing_never_leaves_the_models_folder(
    shelf: Shelf, store: Store, file: Path
) -> None:
    model = shelf.download("maker/Thing-GGUF", "thing-Q8_0.gguf")
    import msgspec

    store.put_model(msgspec.structs.replace(model, path=str(file)))
    assert shelf.library.remove(model.id) == 0
    assert file.exists()


def test_last_use_is_kept(shelf: Shelf, file: Path) -> None:
    model = shelf.library.import_file(file)
    assert model.last_used_at is None
    shelf.library.mark_used(model.id)
    shelf.library.mark_used(BUILTIN_ID)
    assert shelf.library.find(model.id).last_used_at is not None


def test_names_from_headers_are_one_short_line(shelf: Shelf, tmp_path: Path) -> None:
    from support.gguf_bytes import make_gguf, make_keys

    path = tmp_path / "x.gguf"
    path.write_bytes(make_gguf(make_keys(general__name="Evil\n\x1b[31m" + "name " * 100)))
    name = shelf.library.import_file(path).name
    assert name.isprintable()
    assert len(name) <= 80
