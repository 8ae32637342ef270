"""Several connections for one file, limits, stalls, and disks that go away meanwhile."""

import contextlib
import hashlib
import resource
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from inglenook.base.errors import NetworkError, StorageError
from inglenook.base.paths import open_profile
from inglenook.models.connection import TransferOptions
from inglenook.models.download import Allowance
from inglenook.models.events import DownloadChanged
from inglenook.models.updates import Updates
from inglenook.models.verifying import Verifier
from support.loopback_hub import LoopbackHub, wait_for
from support.models import Rig, make_model, make_parts

REPO = "maker/Tiny-GGUF"
FILE = "tiny-Q8_0.gguf"
DATA = make_model(4_000_000)
SIZE = len(DATA)
SMALL = TransferOptions(
    first_wait_s=0.002,
    longest_wait_s=0.02,
    read_timeout_s=5.0,
    reserve_bytes=0,
    least_piece_bytes=200_000,
    most_piece_bytes=400_000,
)


@pytest.fixture(autouse=True)
def stock(loopback: LoopbackHub) -> None:
    loopback.add_repo(REPO, {FILE: DATA})


@pytest.fixture
def four(make_rig: Callable[..., Rig]) -> Rig:
    """A rig that fetches over four connections."""
    return make_rig(options=SMALL, find_allowance=lambda: Allowance(n_connections=4))


def list_ranges(hub: LoopbackHub) -> list[str]:
    return [headers.get("range", "") for _, _, headers in hub.list_requests("store")]


def test_four_connections_fetch_every_byte_once(loopback: LoopbackHub, four: Rig) -> None:
    loopback.faults.bytes_per_s = 2_000_000
    download = four.downloads.start(REPO)
    wait_for(lambda: four.downloads.get(download).n_connections == 4)
    assert Path(four.downloads.wait(download, 30).path).read_bytes() == DATA
    assert four.list_files() == [f"{REPO}/{FILE}"]
    # Only the first one, whose end came nearer when the others began, may break off.
    assert loopback.bytes_served < SIZE + 200_000
    assert len(list_ranges(loopback)) >= 8
    questions = [path for _, path, _ in loopback.list_requests("api") if "/resolve/" in path]
    assert len(questions) <= 4, "an address that is known is used for the next pieces"


def test_connections_are_added_where_each_is_slow(
    loopback: LoopbackHub, make_rig: Callable[..., Rig]
) -> None:
    data = make_model(40_000_000, seed=4)
    loopback.add_repo(REPO, {FILE: data})
    loopback.faults.bytes_per_s = 2_000_000
    rig = make_rig(options=SMALL)
    download = rig.downloads.start(REPO)
    most = 0
    while not rig.downloads.get(download).is_over:
        most = max(most, rig.downloads.get(download).n_connections)
        time.sleep(0.05)
    assert most >= 2
    assert Path(rig.downloads.wait(download, 30).path).read_bytes() == data


def test_D01_pieces_out_of_order_survive_a_restart(
    loopback: LoopbackHub, make_rig: Callable[..., Rig]
) -> None:
    loopback.faults.bytes_per_s = 1_000_000

    def make() -> Rig:
        return make_rig(options=SMALL, find_allowance=lambda: Allowance(n_connections=4))

    first = make()
    download = first.downloads.start(REPO)
    wait_for(lambda: first.downloads.get(download).done_bytes > SIZE // 2, 20)
    first.downloads.close()
    second = make()
    assert second.downloads.get(download).done_bytes >= SIZE // 2
    loopback.faults.bytes_per_s = 0
    second.downloads.resume(download)
    assert Path(second.downloads.wait(download, 20).path).read_bytes() == DATA
    assert loopback.bytes_served < SIZE + 600_000
    assert second.list_files() == [f"{REPO}/{FILE}"]


def test_D01_a_server_that_bears_one_connection_gets_one(
    loopback: LoopbackHub, make_rig: Callable[..., Rig]
) -> None:
    loopback.faults.bytes_per_s = 2_000_000
    loopback.faults.oddities.extend(["", "429", "503", "403"])
    rig = make_rig(options=SMALL, find_allowance=lambda: Allowance(n_connections=4))
    assert Path(rig.get(REPO).path).read_bytes() == DATA
    assert rig.downloads.list()[0].phase == "done"


def test_D01_a_drip_is_given_up_and_said(
    loopback: LoopbackHub, make_rig: Callable[..., Rig]
) -> None:
    options = TransferOptions(
        max_tries=3, first_wait_s=1.5, longest_wait_s=1.5, read_timeout_s=0.3, reserve_bytes=0
    )
    rig = make_rig(options=options)
    loopback.faults.oddities.extend(["drip"] * 3)
    download = rig.downloads.start(REPO)
    wait_for(lambda: "Trying again" in rig.downloads.get(download).note)
    assert rig.downloads.get(download).note.startswith("127.0.0.1 stopped sending.")
    with pytest.raises(NetworkError) as caught:
        rig.downloads.wait(download, 20)
    assert caught.value.code == "timeout"
    rig.downloads.resume(download)
    assert Path(rig.downloads.wait(download, 20).path).read_bytes() == DATA


def test_a_limit_holds_for_all_downloads_together(
    loopback: LoopbackHub, make_rig: Callable[..., Rig]
) -> None:
    limit = Allowance(bytes_per_s=2_000_000.0, n_connections=2)
    rig = make_rig(options=SMALL, find_allowance=lambda: limit)
    loopback.add_repo("maker/Other-GGUF", {FILE: make_model(2_000_000, seed=8)})
    began = time.monotonic()
    ids = [rig.downloads.start(name) for name in (REPO, "maker/Other-GGUF")]
    for download in ids:
        rig.downloads.wait(download, 60)
    assert time.monotonic() - began > 6_000_000 / 2_000_000 * 0.9


def test_the_queue_has_an_order_that_can_be_changed(
    loopback: LoopbackHub, make_rig: Callable[..., Rig]
) -> None:
    rig = make_rig(options=SMALL, find_allowance=lambda: Allowance(n_at_once=1))
    loopback.faults.bytes_per_s = 1_000_000
    names = [f"maker/m{index}" for index in range(4)]
    for index, name in enumerate(names):
        loopback.add_repo(name, {FILE: make_model(400_000, seed=index)})
    ids = [rig.downloads.start(name) for name in names]
    assert [state.place for state in rig.downloads.list()] == [0, 1, 2, 3]
    rig.downloads.move_up(ids[3])
    rig.downloads.move_up(ids[3])
    rig.downloads.move_up(ids[3])
    assert [state.name for state in rig.downloads.list() if state.place] == [
        names[3], names[1], names[2],
    ]  # fmt: skip
    again = make_rig(options=SMALL)
    assert [state.name for state in again.downloads.list()] == [
        names[0], names[3], names[1], names[2],
    ]  # fmt: skip
    again.downloads.close()
    for download in ids:
        rig.downloads.wait(download, 60)
    ended = [e.state for e in rig.events if isinstance(e, DownloadChanged)]
    assert [state.name for state in ended if state.phase == "done"] == [
        names[0], names[3], names[1], names[2],
    ]  # fmt: skip


def test_D04_a_disk_that_fills_below_several_connections(loopback: LoopbackHub, four: Rig) -> None:
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, old[1]))
    try:
        with pytest.raises(StorageError) as caught:
            four.get(REPO)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
    assert caught.value.code == "disk_full"
    state = four.downloads.list()[0]
    assert state.phase == "paused"
    assert 0 < state.done_bytes <= 1_500_000
    four.downloads.resume(state.id)
    assert Path(four.downloads.wait(state.id, 20).path).read_bytes() == DATA
    assert loopback.bytes_served < 3 * SIZE


@contextlib.contextmanager
def mount_small(folder: Path, size: str) -> Iterator[None]:
    """A file system of a few megabytes at `folder`; skips where that is not allowed."""
    folder.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "tmpfs", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True)
    except FileNotFoundError:
        pytest.skip("there is no mount command")
    if done.returncode:
        pytest.skip("this user may not mount")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_D04_a_small_disk_is_refused_before_and_full_on_the_way(
    loopback: LoopbackHub, tmp_path: Path
) -> None:
    with mount_small(tmp_path / "small", "3m"):
        profile = open_profile(tmp_path / "small")
        rig = Rig(profile, loopback.endpoint)
        with pytest.raises(StorageError) as caught:
            rig.get(REPO)
        assert caught.value.code == "disk_full"
        assert not loopback.list_requests("store")
        # Another program takes the space while the download is under way.
        loopback.add_repo(REPO, {FILE: make_model(2_000_000)})
        loopback.faults.bytes_per_s = 1_000_000
        for state in rig.downloads.list():
            rig.downloads.cancel(state.id)
        download = rig.downloads.start(REPO)
        wait_for(lambda: rig.downloads.get(download).done_bytes > 200_000)
        (tmp_path / "small" / "other").write_bytes(bytes(1_900_000))
        with pytest.raises(StorageError) as caught:
            rig.downloads.wait(download, 20)
        assert caught.value.code == "disk_full"
        assert rig.downloads.get(download).phase == "paused"
        (tmp_path / "small" / "other").unlink()
        rig.downloads.resume(download)
        rig.downloads.wait(download, 30)
        rig.downloads.close()


def test_D04_the_models_folder_goes_away(loopback: LoopbackHub, rig: Rig) -> None:
    loopback.faults.bytes_per_s = 1_000_000
    download = rig.downloads.start(REPO)
    wait_for(lambda: rig.downloads.get(download).done_bytes > 200_000)
    shutil.rmtree(rig.profile.models)
    with pytest.raises(StorageError) as caught:
        rig.downloads.wait(download, 20)
    assert caught.value.code == "gone"
    assert rig.downloads.get(download).phase == "paused"
    assert rig.library.list()[1:] == ()
    loopback.faults.bytes_per_s = 0
    rig.downloads.resume(download)
    assert Path(rig.downloads.wait(download, 20).path).read_bytes() == DATA


def test_D09_going_offline_ends_a_silent_connection_at_once(
    loopback: LoopbackHub, make_rig: Callable[..., Rig]
) -> None:
    rig = make_rig(options=TransferOptions(read_timeout_s=60.0, reserve_bytes=0))
    loopback.faults.stall_after = 500_000
    download = rig.downloads.start(REPO)
    wait_for(lambda: rig.downloads.get(download).done_bytes > 0)
    rig.is_offline = True
    rig.network.hang_up()
    with pytest.raises(NetworkError) as caught:
        rig.downloads.wait(download, 20)
    assert caught.value.code == "offline"
    assert rig.downloads.get(download).phase == "paused"


def test_newer_files_are_found_on_demand(loopback: LoopbackHub, rig: Rig) -> None:
    model = rig.get(REPO)
    updates = Updates(rig.library, rig.hub)
    assert updates.look() == ()
    loopback.add_repo(REPO, {FILE: DATA, "README.md": b"# More words"})
    assert updates.look() == (), "another commit with the same file is no newer file"
    loopback.add_repo(REPO, {FILE: make_model(4_000_000, seed=2)})
    (found,) = updates.look()
    assert (found.model_id, found.size_bytes) == (model.id, SIZE)
    download = rig.downloads.start(found.name, takes_update=True)
    rig.downloads.wait(download, 20)
    assert updates.look() == ()
    del loopback.repos[REPO]
    assert updates.look() == ()
    rig.is_offline = True
    with pytest.raises(NetworkError):
        updates.look()


def test_a_newer_part_of_a_split_model_is_found_though_it_is_as_large(
    loopback: LoopbackHub, rig: Rig, tmp_path: Path
) -> None:
    parts = make_parts(3)
    loopback.add_repo(REPO, parts)
    model = rig.get(REPO)
    hashes = [hashlib.sha256(parts[name]).hexdigest() for name in sorted(parts)]
    assert model.sha256 == ",".join(hashes)
    verdict = Verifier(rig.library, tmp_path / "verified.json").verify(model.id)
    assert (verdict.outcome, list(verdict.sha256)) == ("intact", hashes)
    updates = Updates(rig.library, rig.hub)
    assert updates.look() == ()
    last = max(parts)
    changed = parts[last][:-1] + bytes([parts[last][-1] ^ 1])
    loopback.add_repo(REPO, {**parts, last: changed})
    (found,) = updates.look()
    download = rig.downloads.start(found.name, takes_update=True)
    rig.downloads.wait(download, 20)
    assert Path(model.path).with_name(last).read_bytes() == changed
    assert updates.look() == ()


def test_no_token_goes_on_to_another_host(loopback: LoopbackHub, rig: Rig) -> None:
    """D06: also where an address is kept for the next pieces."""
    real = rig.hub.locate
    loopback.tokens["hf_canary"] = {REPO}

    def locate(*given: object) -> tuple[str, dict[str, str]]:
        address, headers = real(*given)  # type: ignore[arg-type]
        return address, {**headers, "Authorization": "Bearer hf_canary", "Cookie": "canary"}

    rig.hub.locate = locate  # type: ignore[assignment, method-assign]
    loopback.faults.cut_every = 1_000_000
    assert Path(rig.get(REPO).path).read_bytes() == DATA
    resolved = [h for _, p, h in loopback.list_requests("api") if "/resolve/" in p]
    assert all(h["authorization"] == "Bearer hf_canary" for h in resolved)
    for _, path, headers in loopback.list_requests("store"):
        assert "canary" not in f"{path}{headers}"
