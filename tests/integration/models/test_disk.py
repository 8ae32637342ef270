"""Disks that fill, processes that are killed, caches that are emptied (D04, D08, G07)."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from inglenook.base.errors import StorageError
from inglenook.models.connection import TransferOptions
from support.loopback_hub import LoopbackHub, wait_for
from support.models import FAST, Rig, make_model

REPO = "maker/Tiny-GGUF"
FILE = "tiny-Q8_0.gguf"
DATA = make_model(2_000_000)
SIZE = len(DATA)
ROOMY = TransferOptions(8, 0.002, 0.02, 5.0, reserve_bytes=1_000_000)


@pytest.fixture(autouse=True)
def stock(loopback: LoopbackHub) -> None:
    loopback.add_repo(REPO, {FILE: DATA})


class Disk:
    """What the disk says is free."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.free = 1 << 50
        real = shutil.disk_usage

        def measure(path: Any) -> Any:
            usage = real(path)
            return type(usage)(usage.total, usage.used, self.free)

        monkeypatch.setattr("inglenook.models.disk.shutil.disk_usage", measure)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


def test_D04_too_little_space_is_told_before_a_byte_is_fetched(
    loopback: LoopbackHub, make_rig: Callable[..., Rig], disk: Disk
) -> None:
    rig = make_rig(options=ROOMY)
    disk.free = SIZE + 500_000
    with pytest.raises(StorageError) as caught:
        rig.get(REPO)
    assert caught.value.code == "disk_full"
    assert "2.0 MB" in caught.value.message
    assert not loopback.list_requests("store")
    state = rig.downloads.list()[0]
    assert state.phase == "paused"
    assert state.error == caught.value.message
    disk.free = SIZE + 1_100_000
    rig.downloads.resume(state.id)
    assert Path(rig.downloads.wait(state.id, 20).path).read_bytes() == DATA


def test_D04_a_tenth_of_a_large_model_stays_free(make_rig: Callable[..., Rig], disk: Disk) -> None:
    rig = make_rig(options=TransferOptions(8, 0.002, 0.02, 5.0, reserve_bytes=1))
    disk.free = SIZE + SIZE // 20
    with pytest.raises(StorageError):
        rig.get(REPO)
    disk.free = SIZE + SIZE // 8
    rig.get(REPO)


def list_ranges(loopback: LoopbackHub) -> list[str]:
    """Which range each question for bytes asked for; "" for the whole."""
    return [headers.get("range", "") for _, _, headers in loopback.list_requests("store")]


@contextmanager
def limit_files(n_bytes: int) -> Iterator[None]:
    """No file of this process may grow beyond `n_bytes`, as on a disk that is full."""
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)


def test_D04_a_disk_that_fills_on_the_way(loopback: LoopbackHub, rig: Rig) -> None:
    with limit_files(700_000), pytest.raises(StorageError) as caught:
        rig.get(REPO)
    assert caught.value.code == "disk_full"
    state = rig.downloads.list()[0]
    assert state.phase == "paused"
    assert 600_000 < state.done_bytes <= 700_000
    assert rig.library.list()[1:] == ()
    rig.downloads.resume(state.id)
    assert Path(rig.downloads.wait(state.id, 20).path).read_bytes() == DATA
    assert list_ranges(loopback) == ["", "bytes=700000-"]


def test_D04_the_part_of_a_full_disk_can_be_removed(loopback: LoopbackHub, rig: Rig) -> None:
    with limit_files(700_000), pytest.raises(StorageError):
        rig.get(REPO)
    rig.downloads.cancel(rig.downloads.list()[0].id)
    assert rig.list_files() == []


def test_D04_a_folder_that_may_not_be_written(rig: Rig) -> None:
    folder = rig.profile.models / "maker"
    folder.write_text("a file where a folder should be")
    with pytest.raises(StorageError) as caught:
        rig.get(REPO)
    assert caught.value.code == "not_writable"


KILLED = """
import os, signal, sys
from pathlib import Path
from inglenook.base.paths import open_profile
from inglenook.models import connection, job, journal
from support.models import Rig

home, endpoint, step, count = sys.argv[1:]
left = int(count)

def die(real):
    def wrapped(*args, **more):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **more)
    return wrapped

rig = Rig(open_profile(Path(home)), endpoint)
if step == "write":
    connection.write_at = die(connection.write_at)
elif step == "fsync":
    os.fsync = die(os.fsync)
elif step == "rename":
    Path.replace = die(Path.replace)
elif step == "row":
    rig.index.put_model = die(rig.index.put_model)
elif step == "forget":
    journal.Journal.forget = die(journal.Journal.forget)
print(rig.get("maker/Tiny-GGUF").id)
rig.downloads.close()
"""
STEPS = [
    ("write", 1),
    ("write", 5),
    ("fsync", 1),
    ("fsync", 2),
    ("fsync", 3),
    ("fsync", 4),
    ("rename", 1),
    ("rename", 2),
    ("rename", 3),
    ("rename", 4),
    ("row", 1),
    ("forget", 1),
]


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
@pytest.mark.parametrize(("step", "count"), STEPS, ids=[f"{s}-{n}" for s, n in STEPS])
def test_D08_killed_at_every_step(
    loopback: LoopbackHub, make_rig: Callable[..., Rig], tmp_path: Path, step: str, count: int
) -> None:
    home = tmp_path / "home"
    died = subprocess.run(
        [sys.executable, "-c", KILLED, str(home), loopback.endpoint, step, str(count)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert died.returncode == -signal.SIGKILL, died.stderr
    before = len(list_ranges(loopback))
    rig = make_rig()
    kept = sum(path.stat().st_size for path in rig.profile.models.glob("*/*/*") if path.is_file())
    for model in rig.library.list()[1:]:
        assert model.problem == ""
        assert Path(model.path).read_bytes() == DATA
    model = rig.get(REPO)
    assert Path(model.path).read_bytes() == DATA
    wanted = [] if kept == SIZE else [f"bytes={kept}-" if kept else ""]
    assert list_ranges(loopback)[before:] == wanted
    assert [m.id for m in rig.library.list()] == ["builtin/guide", model.id]
    assert rig.list_files() == [f"{REPO}/{FILE}"]
    again = make_rig()
    again.downloads.resume_interrupted()
    wait_for(lambda: all(state.is_over for state in again.downloads.list()))
    assert [name for name in again.list_journals() if name.endswith(".json")] == []


def test_D08_orphans_go_after_a_week_but_not_on_a_failed_read(
    make_rig: Callable[..., Rig],
) -> None:
    first = make_rig()
    folder = first.profile.models / "maker" / "Tiny-GGUF"
    folder.mkdir(parents=True)
    names = {"old": f".{'a' * 64}.0.part", "new": f".{'b' * 64}.0.part"}
    for name in names.values():
        (folder / name).write_bytes(b"x")
    week_ago = time.time() - 8 * 24 * 3600
    os.utime(folder / names["old"], (week_ago, week_ago))
    make_rig()
    assert not (folder / names["old"]).exists()
    assert (folder / names["new"]).exists()


@pytest.mark.logs("cannot be read")
def test_D08_nothing_is_swept_when_a_journal_cannot_be_read(make_rig: Callable[..., Rig]) -> None:
    first = make_rig()
    folder = first.profile.models / "maker" / "Tiny-GGUF"
    folder.mkdir(parents=True)
    part = folder / f".{'a' * 64}.0.part"
    part.write_bytes(b"x")
    week_ago = time.time() - 8 * 24 * 3600
    os.utime(part, (week_ago, week_ago))
    journals = first.profile.models / ".downloads"
    journals.mkdir()
    (journals / "broken.json").write_text('{"id": "bro')
    rig = make_rig()
    assert part.exists()
    assert rig.downloads.list() == ()
    assert (journals / "broken.json").exists()


def test_D08_a_remembered_download_owns_its_old_part(
    loopback: LoopbackHub, make_rig: Callable[..., Rig]
) -> None:
    loopback.faults.bytes_per_s = 2_000_000
    first = make_rig()
    download = first.downloads.start(REPO)
    wait_for(lambda: first.downloads.get(download).done_bytes > 300_000)
    first.downloads.close()
    week_ago = time.time() - 30 * 24 * 3600
    for part in first.profile.models.rglob("*.part"):
        os.utime(part, (week_ago, week_ago))
    assert make_rig().downloads.get(download).done_bytes > 300_000


def test_G07_an_emptied_cache_costs_no_model(rig: Rig, make_rig: Callable[..., Rig]) -> None:
    model = rig.get(REPO)
    shutil.rmtree(rig.profile.cache)
    assert make_rig().library.find(model.id).problem == ""


def test_journals_hold_no_more_than_they_need(loopback: LoopbackHub, rig: Rig) -> None:
    loopback.faults.bytes_per_s = 1_000_000
    download = rig.downloads.start(REPO)
    wait_for(lambda: rig.downloads.get(download).done_bytes > 0)
    path = rig.profile.models / ".downloads" / f"{download}.json"
    assert set(json.loads(path.read_text())) == {
        "id", "name", "file", "is_paused", "takes_update", "place",
    }  # fmt: skip
    assert path.stat().st_mode & 0o077 == 0
    assert FAST.reserve_bytes == 0
