"""The models folder is moved to another place: whole or not at all, whatever happens meanwhile."""

import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from inglenook.app import App, open_app
from inglenook.base import models_folder
from inglenook.base.errors import StorageError
from inglenook.base.models_folder import ModelsFolder, read_models_folder, write_models_folder
from inglenook.base.paths import find_asset, open_profile
from inglenook.base.records import InstalledModel
from inglenook.models import moving, placing
from inglenook.models.hashing import StoppedWorkError
from inglenook.models.journal import Entry, Journal
from inglenook.models.placing import Bringing
from inglenook.store.records import Message
from support.models import make_model
from support.waiting import wait_for

SHM = Path("/dev/shm")
N_KILLS = 6


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def app(home: Path) -> Iterator[App]:
    with open_app(home) as opened:
        yield opened


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "elsewhere"


@pytest.fixture
def other_disk() -> Iterator[Path]:
    if not SHM.is_dir() or SHM.stat().st_dev == Path(tempfile.gettempdir()).stat().st_dev:
        pytest.skip("there is no second file system here")
    folder = Path(tempfile.mkdtemp(dir=SHM))
    yield folder / "models"
    shutil.rmtree(folder)


def fill(app: App, n_models: int = 3, n_bytes: int = 300_000) -> list[InstalledModel]:
    """Models as downloads leave them."""
    added = []
    for i in range(n_models):
        path = app.profile.models / "maker" / f"thing-{i}" / f"thing-{i}-Q8_0.gguf"
        path.parent.mkdir(parents=True)
        path.write_bytes(make_model(n_bytes, seed=i + 1))
        added.append(
            app.library.add_downloaded(
                path, repo=f"maker/thing-{i}", filename=path.name, revision="0" * 40, sha256=""
            )
        )
    return added


def read_all(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def refuse(app: App, target: Path) -> StorageError:
    before = read_all(app.profile.models)
    with pytest.raises(StorageError) as caught:
        app.move_models(target)
    assert read_all(app.profile.models) == before
    return caught.value


@pytest.mark.parametrize("shares", [True, False], ids=["shared", "copied"])
def test_all_models_are_at_the_new_place_and_none_at_the_old(
    app: App, home: Path, target: Path, monkeypatch: pytest.MonkeyPatch, shares: bool
) -> None:
    if not shares:
        monkeypatch.setattr(placing, "_share", lambda *_: False)
    models = fill(app)
    old = app.profile.models
    held = read_all(old)
    told: list[Bringing] = []
    app.move_models(target, told.append)
    assert read_all(target) == held
    assert not old.exists()
    assert app.profile.models == target
    assert told[-1].done_bytes == told[-1].size_bytes == sum(map(len, held.values()))
    found = {model.id: model for model in app.library.list()}
    assert all(found[m.id].path.startswith(str(target)) for m in models)
    assert not any(model.problem for model in found.values())
    assert app.library.remove(models[0].id) == models[0].size_bytes
    app.close()
    with open_app(home) as again:
        assert again.profile.models == target
        assert len([m for m in again.library.list() if not m.problem]) == len(models)


def test_to_another_disk_and_back(app: App, other_disk: Path) -> None:
    fill(app)
    own = app.profile.models
    held = read_all(own)
    app.move_models(other_disk)
    assert read_all(other_disk) == held
    app.move_models(own)
    assert read_all(own) == held
    assert not other_disk.exists()
    assert app.models_folder == ModelsFolder()
    assert all(not model.problem for model in app.library.list())


def test_a_stopped_move_has_changed_nothing_and_goes_on(
    app: App, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(placing, "_share", lambda *_: False)
    fill(app)
    old = app.profile.models
    held = read_all(old)
    stop = threading.Event()

    def stop_in_the_second(told: Bringing) -> None:
        if told.done_bytes > told.size_bytes * 0.4:
            stop.set()

    with pytest.raises(StoppedWorkError):
        app.move_models(target, stop_in_the_second, stop)
    assert read_all(old) == held
    assert app.profile.models == old
    assert app.models_folder.target == str(target)
    assert all(not model.problem for model in app.library.list())
    told: list[Bringing] = []
    app.move_models(target, told.append)
    assert read_all(target) == held
    assert told[-1].size_bytes < sum(map(len, held.values())), "what was done is not done again"
    assert app.models_folder.target == ""


def test_what_waits_for_more_bytes_goes_along(app: App, target: Path) -> None:
    fill(app, 1)
    Journal(app.profile.models).write(Entry(id="a" * 32, name="maker/half", is_paused=True))
    part = app.profile.models / "maker" / "half" / ".half.gguf.part"
    part.parent.mkdir()
    part.write_bytes(b"so far")
    app.move_models(target)
    assert (target / "maker" / "half" / ".half.gguf.part").read_bytes() == b"so far"
    assert [state.name for state in app.downloads.list()] == ["maker/half"]


def test_what_has_grown_since_a_stopped_move_is_copied_anew(app: App, target: Path) -> None:
    fill(app, 1)
    part = app.profile.models / "maker" / "thing-0" / ".more.gguf.part"
    part.write_bytes(b"so far and further")
    stale = target / "maker" / "thing-0" / ".more.gguf.part"
    stale.parent.mkdir(parents=True)
    stale.write_bytes(b"so far")
    app.move_models(target)
    assert stale.read_bytes() == b"so far and further"


def test_a_crash_before_the_old_files_are_gone_is_made_up_for(
    app: App, home: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = fill(app)
    old = app.profile.models
    held = read_all(old)

    def crash(*_: object) -> bool:
        raise RuntimeError("as if the power went")

    with monkeypatch.context() as patched:
        patched.setattr(moving, "clear_folder", crash)
        with pytest.raises(RuntimeError):
            app.move_models(target)
    app.close()
    assert read_all(old) == held
    with open_app(home) as again:
        assert not old.exists()
        assert read_all(target) == held
        found = {model.id: model.path for model in again.library.list()}
        assert all(found[model.id].startswith(str(target)) for model in models)
        assert again.models_folder.left == ""


def test_a_model_in_use_goes_on_answering(home: Path, target: Path) -> None:
    with open_app(home) as app:
        guide = find_asset("assets", "guide.gguf")
        model = app.intake.bring_in(guide, "copy")
        first = ask(app, None, model.id)
        app.move_models(target)
        second = ask(app, first.conversation_id, model.id)
        loaded = app.engine.state.loaded
        assert loaded is not None
        assert loaded.path.startswith(str(target))
    assert first.status == second.status == "complete"
    assert second.content


def ask(app: App, conversation_id: str | None, model_id: str) -> Message:
    started = app.chat.send(conversation_id, "What is a token?", model_id=model_id)
    reply_id = started.reply.id
    wait_for(lambda: app.store.get_message(reply_id).status != "streaming", "the reply")
    return app.store.get_message(reply_id)


MOVE = """
import sys
from pathlib import Path
from inglenook.app import open_app
from inglenook.models import placing
placing._share = lambda *_: False
with open_app(Path(sys.argv[1])) as app:
    print("begun", flush=True)
    app.move_models(Path(sys.argv[2]))
"""


def test_killed_at_any_moment_it_loses_nothing_and_goes_on(home: Path, other_disk: Path) -> None:
    with open_app(home) as app:
        fill(app, 6, 8_000_000)
        held = read_all(app.profile.models)
        old = app.profile.models
    chance = random.Random(11)
    n_killed = 0
    for _ in range(N_KILLS):
        command = [sys.executable, "-c", MOVE, str(home), str(other_disk)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as mover:
            assert mover.stdout is not None
            mover.stdout.readline()
            time.sleep(chance.uniform(0.0, 0.25))
            mover.send_signal(signal.SIGKILL)
            mover.wait()
            n_killed += mover.returncode == -signal.SIGKILL
        with open_app(home) as app:
            assert all(not model.problem for model in app.library.list())
            assert read_all(app.profile.models).items() >= held.items()
            if app.profile.models == other_disk:
                app.move_models(old)
    assert n_killed >= 2
    with open_app(home) as app:
        app.move_models(other_disk)
        assert read_all(other_disk) == held
        assert not old.exists()


def test_a_full_disk_changes_nothing(
    app: App, other_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(app)
    usage = shutil.disk_usage(other_disk.parent)._replace(free=1000)
    monkeypatch.setattr("inglenook.models.moving.shutil.disk_usage", lambda _: usage)
    error = refuse(app, other_disk)
    assert error.code == "disk_full"
    assert "free" in str(error)


def test_places_that_cannot_be_are_refused(app: App, tmp_path: Path) -> None:
    fill(app, 1)
    models = app.profile.models
    assert refuse(app, models).code == "bad_folder"
    assert refuse(app, models / "inner").code == "bad_folder"
    assert refuse(app, models.parent).code == "bad_folder"
    assert not (models / "inner").exists()
    (tmp_path / "file").write_text("no folder")
    assert refuse(app, tmp_path / "file").code == "not_writable"
    taken = tmp_path / "taken" / "maker" / "thing-0" / "thing-0-Q8_0.gguf"
    taken.parent.mkdir(parents=True)
    taken.write_bytes(b"somebody's own")
    assert refuse(app, tmp_path / "taken").code == "taken"
    assert taken.read_bytes() == b"somebody's own"
    (models / "notes.txt").write_text("mine")
    other = tmp_path / "other" / "notes.txt"
    other.parent.mkdir()
    other.write_text("somebody's own")
    assert refuse(app, other.parent).code == "taken"
    assert other.read_text() == "somebody's own"


def test_a_download_that_runs_in_another_process_is_waited_for(app: App, target: Path) -> None:
    fill(app, 1)
    lock = app.profile.models / "maker" / "thing-0" / ".more.gguf.part.lock"
    with FileLock(lock):
        assert refuse(app, target).code == "busy"
    app.move_models(target)
    assert app.profile.models == target


def test_a_disk_that_is_not_connected_is_told_and_not_made_up(home: Path, tmp_path: Path) -> None:
    away = tmp_path / "mnt" / "models"
    with open_app(home) as app:
        models = fill(app, 1)
        app.move_models(away)
    away.parent.rename(tmp_path / "unplugged")
    with open_app(home) as app:
        assert not away.exists()
        model = app.library.find(models[0].id)
        assert "is its disk connected?" in model.problem
        with pytest.raises(StorageError) as caught:
            app.downloads.start("maker/another")
        assert caught.value.code == "gone"
        with pytest.raises(StorageError) as caught:
            app.intake.bring_in(find_asset("assets", "guide.gguf"), "copy")
        assert caught.value.code == "gone"
        assert not away.exists()
    (tmp_path / "unplugged").rename(away.parent)
    with open_app(home) as app:
        assert not app.library.find(models[0].id).problem


@pytest.mark.logs("cannot be read")
@pytest.mark.parametrize(
    "content", [b"", b"{", b'{"folder": 3}', b'{"folder": "not/absolute"}', b"x" * 100_000]
)
def test_a_memory_that_cannot_be_read_means_the_usual_folder(home: Path, content: bytes) -> None:
    profile = open_profile(home)
    (profile.data / models_folder._NAME).write_bytes(content)
    assert read_models_folder(profile.data) == ModelsFolder()
    assert open_profile(home).models == profile.own_models


def test_what_is_remembered_is_for_the_owner_alone(home: Path, tmp_path: Path) -> None:
    data = open_profile(home).data
    write_models_folder(data, ModelsFolder(folder=str(tmp_path)))
    assert (data / models_folder._NAME).stat().st_mode & 0o077 == 0
    assert open_profile(home).models == tmp_path
    assert not list(data.glob("*.new"))
