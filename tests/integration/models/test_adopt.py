"""Models of other apps, used in place and answering through the real engine; copies; duplicates."""

import json
import os
import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from inglenook.app import App, open_app
from inglenook.base.errors import ModelError, StorageError
from inglenook.base.paths import Profile, find_asset
from inglenook.base.records import ModelDefaults
from inglenook.models.hashing import StoppedWorkError
from inglenook.models.intake import Intake
from inglenook.models.placing import Bringing
from inglenook.models.splits import list_parts
from inglenook.store.store import Store
from inglenook.store.upgrade import make_database
from support.models import make_model, make_parts
from support.neighbours import add_to_hub_cache, add_to_lm_studio, add_to_ollama, hash_tree
from support.tiny_gguf import write_tiny_gguf

DATA = make_model(100_000)
SYSTEM = "You answer in one word."


@pytest.fixture
def person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder in which other apps have put models."""
    home = tmp_path / "person"
    home.mkdir()
    for name in ("OLLAMA_MODELS", "LLAMA_CACHE", "HF_HOME", "HF_HUB_CACHE", "XDG_CACHE_HOME",
                 "XDG_DATA_HOME", "XDG_CONFIG_HOME", "HUGGINGFACE_HUB_CACHE"):  # fmt: skip
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(home))
    return home


@pytest.fixture
def app(person: Path, tmp_path: Path) -> Iterator[App]:
    mask = os.umask(0o077)
    with open_app(tmp_path / "profile") as opened:
        yield opened
    os.umask(mask)


def fill_ollama(person: Path) -> Path:
    root = person / ".ollama" / "models"
    params = {"temperature": 0.0, "num_predict": 12, "num_ctx": 512, "seed": 7}
    layers = [("params", json.dumps(params).encode()), ("system", SYSTEM.encode())]
    layers.append(("template", b"{{ .Prompt }}"))
    add_to_ollama(root, "guide:8b", find_asset("assets", "guide.gguf"), layers=layers)
    return root


def ask(app: App, model_id: str) -> str:
    started = app.chat.send(None, "What is a token?", model_id=model_id)
    deadline_s = time.monotonic() + 60
    while (message := app.store.get_message(started.reply.id)).status == "streaming":
        assert time.monotonic() < deadline_s
        time.sleep(0.02)
    assert message.status == "complete", message.error
    assert message.statistics.output_tokens > 0
    return message.id


def test_an_ollama_and_an_lm_studio_model_answer_where_they_are(app: App, person: Path) -> None:
    root = fill_ollama(person)
    studio = person / ".lmstudio" / "models"
    file = write_tiny_gguf(person / "tiny.gguf", never_ends=False, name="Tiny Studio")
    add_to_lm_studio(studio, "someone/Tiny-GGUF/tiny-F32.gguf", file)
    before = hash_tree(person)
    findings = app.neighbours.look()
    assert [found.name for found in findings.models] == ["guide:8b", "Tiny Studio"]
    assert {str(root), str(studio)} <= set(findings.folders)
    guide = app.neighbours.adopt("guide:8b")
    (tiny,) = app.neighbours.adopt_all()
    assert (guide.source, guide.id, tiny.source) == ("ollama", "ollama:guide:8b", "lm_studio")
    assert app.library.find("guide:8b").path == guide.path
    assert app.neighbours.look().models == ()
    told: list[object] = []
    app.hub.subscribe(told.append)
    message = app.store.get_message(ask(app, guide.id))
    assert message.statistics.output_tokens <= 12
    assert message.statistics.n_ctx == 512
    assert message.statistics.seed == 7
    app.settings.set("replies.max_tokens", 5)
    ask(app, tiny.id)
    assert app.library.remove(guide.id) == 0
    assert app.library.remove(tiny.id) == 0
    assert [found.name for found in app.neighbours.look().models] == ["guide:8b", "Tiny Studio"]
    assert hash_tree(person) == before


def test_a_choice_of_the_person_goes_before_the_values_of_the_model(app: App, person: Path) -> None:
    fill_ollama(person)
    guide = app.neighbours.adopt("guide:8b")
    app.settings.set("replies.max_tokens", 3)
    message = app.store.get_message(ask(app, guide.id))
    assert message.statistics.output_tokens == 3
    with open_app(app.profile.data.parent) as again:
        assert again.library.find("guide:8b").defaults.system_prompt == SYSTEM
        assert again.library.find("guide:8b").notes


def test_what_vanishes_is_told_and_found_again(app: App, person: Path, tmp_path: Path) -> None:
    path = add_to_lm_studio(person / ".lmstudio" / "models", "a/b/c.gguf", DATA)
    app.neighbours.adopt_all()
    path.rename(tmp_path / "away.gguf")
    (model,) = app.library.list()[1:]
    assert model.problem == "LM Studio has removed it."
    assert app.neighbours.look().models == ()
    (tmp_path / "away.gguf").rename(path)
    assert app.library.list()[1].problem == ""


def test_an_update_in_ollama_is_followed(app: App, person: Path) -> None:
    root = person / ".ollama" / "models"
    add_to_ollama(root, "tiny:1b", DATA).chmod(0o400)
    first = app.neighbours.adopt("tiny:1b")
    Path(first.path).unlink()
    assert app.library.find("tiny:1b").problem == "Ollama has removed it."
    add_to_ollama(root, "tiny:1b", make_model(120_000, 2))
    app.neighbours.look()
    second = app.library.find("tiny:1b")
    assert second.id == first.id
    assert second.path != first.path
    assert not second.problem


def test_what_cannot_be_used_is_told_and_not_taken(app: App, person: Path) -> None:
    studio = person / ".lmstudio" / "models"
    add_to_lm_studio(studio, "a/b/page.gguf", b"<html>")
    app.settings.set("models.folders", str(person / "mine"))
    add_to_lm_studio(person / "mine", "x.gguf", DATA)
    findings = app.neighbours.look()
    assert [found.app for found in findings.models] == ["folder"]
    assert "web page" in findings.unusable[0].problem
    with pytest.raises(ModelError) as caught:
        app.neighbours.adopt("page")
    assert caught.value.code == "not_gguf"
    with pytest.raises(ModelError) as caught:
        app.neighbours.adopt("nothing")
    assert caught.value.code == "unknown_model"
    assert len(app.library.list()) == 1


def test_one_file_in_two_apps_is_found_once(app: App, person: Path) -> None:
    hub = person / ".cache" / "huggingface" / "hub"
    path = add_to_hub_cache(hub, "a/b", "c.gguf", DATA, "1" * 40)
    app.settings.set("models.folders", str(hub))
    (found,) = app.neighbours.look().models
    assert (found.app, found.path) == ("hugging_face", str(path))
    app.neighbours.adopt(found.id)
    assert app.neighbours.look().models == ()


def test_C06_models_of_an_older_database_are_brought_on(profile: Profile) -> None:
    make_database(profile.database, head=1)
    with closing(sqlite3.connect(profile.database)) as connection, connection:
        connection.execute(
            "INSERT INTO models VALUES ('file:/x', 'X', '/x', 1, 'file', '[\"x\"]', '', 'x', '',"
            " '', 'llama', 'Q8_0', 1, 1, 'mit', 1, NULL, '')"
        )
    store = Store.open(profile.database)
    (model,) = store.list_models()
    assert (model.aliases, model.source, model.notes) == (("x",), "", ())
    assert model.defaults == ModelDefaults()
    store.put_model(msgspec.structs.replace(model, source="jan", notes=("n",)))
    assert store.list_models()[0].source == "jan"
    store.close()


# --- copies and moves ---


def list_ours(app: App) -> list[str]:
    root = app.profile.models
    return sorted(p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file())


def make_intake(app: App) -> Intake:
    """An intake that copies byte by byte."""
    return Intake(app.profile.models, app.library, lambda _: "", may_share=False)


def test_a_copy_shares_its_space_and_is_ours_to_delete(app: App, tmp_path: Path) -> None:
    path = tmp_path / "My model (final).gguf"
    path.write_bytes(DATA)
    model = app.intake.bring_in(path, "copy")
    assert model.origin == "copy"
    assert Path(model.path).read_bytes() == DATA
    assert Path(model.path).is_relative_to(app.profile.models)
    app.library.remove(model.id)
    assert list_ours(app) == []
    assert path.read_bytes() == DATA


def test_a_move_takes_the_file_and_the_record_along(app: App, tmp_path: Path) -> None:
    path = tmp_path / "a.gguf"
    path.write_bytes(DATA)
    app.intake.bring_in(path, "in_place")
    model = app.intake.bring_in(path, "move")
    assert not path.exists()
    assert [m.id for m in app.library.list()[1:]] == [model.id]
    assert app.library.list()[1].problem == ""


def test_nothing_of_another_app_is_moved(app: App, person: Path) -> None:
    path = add_to_lm_studio(person / ".lmstudio" / "models", "a/b/c.gguf", DATA)
    with pytest.raises(StorageError) as caught:
        app.intake.bring_in(path, "move")
    assert caught.value.code == "not_ours"
    assert app.intake.bring_in(path, "copy").origin == "copy"
    assert path.read_bytes() == DATA


@pytest.mark.parametrize("way", ["copy", "move"])
def test_a_split_model_comes_whole(app: App, tmp_path: Path, way: str) -> None:
    for name, data in make_parts(3, 50_000).items():
        (tmp_path / name).write_bytes(data)
    start = min(tmp_path.glob("*.gguf"))
    model = make_intake(app).bring_in(start, way)  # type: ignore[arg-type]
    assert app.library.find(model.id).problem == ""
    assert len(list_ours(app)) == 3
    assert all((tmp_path / name).exists() == (way == "copy") for name in list_parts(start.name))


def test_a_stopped_copy_leaves_no_model_and_goes_on(app: App, tmp_path: Path) -> None:
    path = tmp_path / "big.gguf"
    path.write_bytes(make_model(20_000_000))
    stop = threading.Event()
    told: list[Bringing] = []

    def tell(bringing: Bringing) -> None:
        told.append(bringing)
        if len(told) == 2:
            stop.set()

    with pytest.raises(StoppedWorkError):
        make_intake(app).bring_in(path, "move", tell, stop)
    (part,) = list_ours(app)
    assert part.endswith(".part")
    assert (app.profile.models / part).stat().st_size == 8 << 20
    assert len(app.library.list()) == 1
    assert path.exists()
    model = make_intake(app).bring_in(path, "move", told.append)
    assert told[-1].done_bytes == told[-1].size_bytes == model.size_bytes
    assert list_ours(app) == ["imported/big/big.gguf"]
    assert not path.exists()


def test_A06_a_part_with_other_bytes_is_not_believed(app: App, tmp_path: Path) -> None:
    path = tmp_path / "big.gguf"
    path.write_bytes(DATA)
    part = app.profile.models / "imported" / "big" / ".big.gguf.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"\0" * 5000)
    with pytest.raises(StorageError) as caught:
        make_intake(app).bring_in(path, "copy")
    assert caught.value.code == "unverified"
    assert list_ours(app) == []
    assert make_intake(app).bring_in(path, "copy").size_bytes == len(DATA)


def test_D04_a_full_disk_is_told_before_anything_is_copied(
    app: App, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.gguf"
    path.write_bytes(DATA)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(StorageError) as caught:
        make_intake(app).bring_in(path, "copy")
    assert caught.value.code == "disk_full"
    assert list_ours(app) == []


def test_D05_hostile_file_names_stay_in_the_models_folder(app: App, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    names = ["con.gguf", "...gguf", " .gguf", "-rf.gguf", "a\\..\\b.gguf", "é\n.gguf", "~.gguf",
             "x" * 240 + ".gguf", "C:evil.gguf", ".hidden.gguf", "a..b.gguf"]  # fmt: skip
    for name in names:
        (folder / name).write_bytes(DATA)
    before = sorted(p for p in tmp_path.rglob("*") if not p.is_relative_to(app.profile.data.parent))
    for name in names:
        model = app.intake.bring_in(folder / name, "copy")
        assert Path(model.path).resolve().is_relative_to(app.profile.models.resolve())
    after = sorted(p for p in tmp_path.rglob("*") if not p.is_relative_to(app.profile.data.parent))
    assert after == before
    assert len({m.path for m in app.library.list()}) == len(names) + 1


# --- duplicates ---


def test_duplicates_are_found_by_content_and_shared_on_demand(
    app: App, person: Path, tmp_path: Path
) -> None:
    theirs = add_to_lm_studio(person / ".lmstudio" / "models", "a/b/c.gguf", DATA)
    add_to_ollama(person / ".ollama" / "models", "c:1b", DATA)
    other = tmp_path / "other.gguf"
    other.write_bytes(make_model(100_000, 2))
    assert other.stat().st_size == theirs.stat().st_size
    app.library.import_file(other)
    loose = tmp_path / "c.gguf"
    loose.write_bytes(DATA)
    ours = make_intake(app).bring_in(loose, "move")
    before = hash_tree(person)
    (group,) = app.duplicates.find()
    assert len(group.copies) == 3
    (copy,) = group.shareable
    assert copy.id == ours.id
    assert app.duplicates.share(group, copy) == len(DATA)
    assert Path(ours.path).samefile(group.copies[0].path)
    assert hash_tree(person) == before
    (group,) = app.duplicates.find()
    assert group.shareable == ()
    assert app.library.remove(ours.id) == 0, "its space is the other app's"
    assert hash_tree(person) == before


def test_a_file_that_changed_since_is_not_shared(app: App, tmp_path: Path) -> None:
    path = tmp_path / "c.gguf"
    path.write_bytes(DATA)
    ours = make_intake(app).bring_in(path, "copy")
    app.library.import_file(path)
    (group,) = app.duplicates.find()
    path.write_bytes(make_model(100_000, 3))
    with pytest.raises(StorageError) as caught:
        app.duplicates.share(group, group.shareable[0])
    assert caught.value.code == "changed"
    assert Path(ours.path).read_bytes() == DATA
