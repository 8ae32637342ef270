"""Downloads against a loopback hub: the way it should go, and every fault of transport."""

import hashlib
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from inglenook.base.errors import ModelError, NetworkError, UserError
from inglenook.models.catalogue import Catalogue, CatalogueEntry, CatalogueFile
from inglenook.models.connection import TransferOptions
from inglenook.models.events import ModelsChanged
from support.loopback_hub import Answer, LoopbackHub, wait_for
from support.models import FAST, Rig, make_model, make_parts

REPO = "maker/Tiny-GGUF"
FILE = "tiny-Q4_K_M.gguf"
DATA = make_model()
SIZE = len(DATA)


@pytest.fixture
def stocked(loopback: LoopbackHub) -> LoopbackHub:
    loopback.add_repo(REPO, {FILE: DATA, "README.md": b"# Tiny"})
    return loopback


def refuse(rig: Rig, name: str = REPO) -> UserError:
    with pytest.raises(UserError) as caught:
        rig.get(name)
    assert caught.value.message.endswith(".")
    assert rig.library.list()[1:] == ()
    return caught.value


def test_a_download_becomes_a_model(stocked: LoopbackHub, rig: Rig) -> None:
    model = rig.get(REPO)
    assert model.id == f"{REPO}/{FILE}"
    assert model.origin == "hub"
    assert model.sha256 == hashlib.sha256(DATA).hexdigest()
    assert model.revision == stocked.repos[REPO].revision
    assert Path(model.path).read_bytes() == DATA
    assert Path(model.path) == rig.profile.models / "maker" / "Tiny-GGUF" / FILE
    assert rig.find_phases() == ["queued", "asking", "downloading", "verifying", "done"]
    assert [m.id for m in rig.library.list()] == ["builtin/guide", model.id]
    assert ModelsChanged(model.id) in rig.events
    assert rig.list_files() == [f"{REPO}/{FILE}"]
    assert rig.list_journals() == []
    assert stocked.bytes_served == SIZE
    state = rig.downloads.list()[0]
    assert state.phase == "done"
    assert state.is_over
    assert state.fraction == 1.0
    assert state.model_id == model.id


def test_files_are_private(stocked: LoopbackHub, rig: Rig) -> None:
    rig.get(REPO)
    for path in rig.profile.models.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path


def test_catalogue_name_and_its_quantisations(
    loopback: LoopbackHub, make_rig: Callable[..., Rig]
) -> None:
    other = make_model(seed=2)
    loopback.add_repo(REPO, {FILE: DATA, "tiny-Q8_0.gguf": other, "mmproj-F16.gguf": DATA})
    entry = CatalogueEntry(
        id="tiny",
        name="Tiny Chat",
        maker="Maker",
        repo=REPO,
        files=(
            CatalogueFile(pattern="tiny-Q8_0*.gguf", quantisation="Q8_0", size_bytes=1),
            CatalogueFile(
                pattern="tiny-Q4_K_M.gguf", quantisation="Q4_K_M", size_bytes=1, recommended=True
            ),
        ),
        n_params=1,
        n_ctx_train=1,
        licence="mit",
        purpose="",
        short_names=("tiny", "tiny:1b"),
    )
    rig = make_rig(catalogue=Catalogue(entries=(entry,)))
    model = rig.get("TINY:1b")
    assert model.filename == FILE
    assert model.name == "Tiny Chat"
    assert rig.library.find("tiny").id == model.id
    assert rig.library.find("tiny:1b").id == model.id
    assert rig.get("tiny:Q8_0").filename == "tiny-Q8_0.gguf"
    assert rig.get(f"{REPO}:q8_0").filename == "tiny-Q8_0.gguf"


@pytest.mark.parametrize(
    "name",
    [
        REPO,
        f"{REPO}:Q4_K_M",
        f"{REPO}/{FILE}",
        f"hf.co/{REPO}",
        f"https://huggingface.co/{REPO}",
        f"https://huggingface.co/{REPO}/tree/main",
        f"https://huggingface.co/{REPO}/resolve/main/{FILE}?download=true",
        f"https://huggingface.co/{REPO}/blob/main/{FILE}",
    ],
)
def test_every_form_of_a_name(stocked: LoopbackHub, rig: Rig, name: str) -> None:
    assert rig.hub.resolve(name).file.path == FILE


def test_names_that_mean_nothing(stocked: LoopbackHub, rig: Rig) -> None:
    for name, code in (
        ("no-such-model", "unknown_model"),
        ("", "unknown_model"),
        ("maker/None-GGUF", "unknown_repo"),
        (f"{REPO}:Q2_K", "unknown_file"),
        (f"{REPO}/other.gguf", "unknown_file"),
        (f"{REPO}/../../x.gguf", "hostile_name"),
        ("https://example.org/model.gguf", "other_address"),
        ("file:///etc/passwd.gguf", "other_address"),
    ):
        error = refuse(rig, name)
        assert error.code == code, name
    assert "Q4_K_M" in refuse(rig, f"{REPO}:Q2_K").hint


def test_the_listing_of_a_repository(loopback: LoopbackHub, rig: Rig) -> None:
    files = {
        "m-Q8_0.gguf": make_model(40_000),
        "m-UD-Q4_K_XL.gguf": make_model(30_000),
        "mmproj-F16.gguf": b"x",
        "m-00002-of-00003.gguf": b"x",
        "imatrix.gguf": b"x",
        "config.json": b"{}",
        "model.safetensors": b"x",
        **make_parts(2, 50_000),
    }
    loopback.add_repo(REPO, files)
    found = rig.hub.find_files(REPO)
    assert [(f.path, f.quantisation, len(f.parts)) for f in found] == [
        ("m-UD-Q4_K_XL.gguf", "Q4_K_XL", 1),
        ("m-Q8_0.gguf", "Q8_0", 1),
        ("big-Q8_0-00001-of-00002.gguf", "Q8_0", 2),
    ]
    assert found[2].size_bytes == sum(len(files[part.path]) for part in found[2].parts)


def test_the_same_again_downloads_nothing(
    stocked: LoopbackHub, make_rig: Callable[..., Rig]
) -> None:
    first = make_rig().get(REPO)
    assert make_rig().get(REPO).id == first.id
    assert stocked.bytes_served == SIZE


def test_a_newer_file_is_told_and_taken_only_when_asked_for(
    loopback: LoopbackHub, rig: Rig
) -> None:
    loopback.add_repo(REPO, {FILE: DATA})
    old = rig.get(REPO)
    fresh = make_model(seed=9)
    assert len(fresh) == len(DATA), "the hardest case: nothing but the bytes has changed"
    loopback.add_repo(REPO, {FILE: fresh})
    with pytest.raises(ModelError) as caught:
        rig.get(REPO)
    assert caught.value.code == "update_available"
    assert "--update" in caught.value.hint
    assert Path(old.path).read_bytes() == DATA
    loopback.faults.bytes_per_s = 2_000_000
    download = rig.downloads.start(REPO, takes_update=True)
    wait_for(lambda: rig.downloads.get(download).done_bytes > 500_000)
    assert Path(old.path).read_bytes() == DATA, "the old one stays until the new one is verified"
    assert rig.library.find(old.id) == old
    loopback.faults.bytes_per_s = 0
    new = rig.downloads.wait(download, 20)
    assert new.id == old.id
    assert new.sha256 != old.sha256
    assert Path(new.path).read_bytes() == fresh
    assert len(rig.library.list()) == 2


def test_all_parts_of_a_split_model(loopback: LoopbackHub, rig: Rig) -> None:
    files = make_parts()
    loopback.add_repo(REPO, files)
    loopback.faults.cut_every = 250_000
    model = rig.get(REPO)
    first = min(files)
    assert model.filename == first
    assert model.size_bytes == sum(len(data) for data in files.values())
    for name, data in files.items():
        assert Path(model.path).with_name(name).read_bytes() == data
    assert rig.list_files() == [f"{REPO}/{name}" for name in sorted(files)]
    assert rig.library.remove(model.id) == model.size_bytes
    assert rig.list_files() == []


def test_small_files_without_sha256_are_checked_by_their_git_hash(
    loopback: LoopbackHub, rig: Rig
) -> None:
    loopback.add_repo(REPO, {FILE: DATA}, lfs=False)
    assert Path(rig.get(REPO).path).read_bytes() == DATA
    loopback.add_repo("maker/Other-GGUF", {FILE: make_model(seed=3)}, lfs=False)
    loopback.faults.flips = 9
    with pytest.raises(NetworkError) as caught:
        rig.get("maker/Other-GGUF")
    assert caught.value.code == "hash_mismatch"


# D01: connections that break.


@pytest.mark.parametrize("is_reset", [False, True], ids=["closed", "reset"])
def test_D01_cut_at_every_percent(stocked: LoopbackHub, rig: Rig, is_reset: bool) -> None:
    stocked.faults.cut_every = SIZE // 100
    stocked.faults.reset = is_reset
    model = rig.get(REPO, 60)
    assert Path(model.path).read_bytes() == DATA
    # A reset may swallow bytes that were on their way.
    assert stocked.bytes_served < SIZE * (2 if is_reset else 1) + 100_000
    assert len(stocked.list_requests("store")) >= 100


def test_D01_stalled_body_is_given_up_and_resumed(
    stocked: LoopbackHub, make_rig: Callable[..., Rig]
) -> None:
    stocked.faults.stall_after = 1_000_000
    rig = make_rig(options=TransferOptions(8, 0.01, 0.02, read_timeout_s=0.4, reserve_bytes=0))
    model = rig.get(REPO)
    assert Path(model.path).read_bytes() == DATA
    assert stocked.bytes_served <= SIZE + 200_000


def test_D01_a_dead_store_is_given_up_with_the_part_kept(
    stocked: LoopbackHub, make_rig: Callable[..., Rig]
) -> None:
    stocked.faults.cut_every = 1
    stocked.faults.cuts = -1
    stocked.faults.location = "http://127.0.0.1:9/nothing"
    error = refuse(make_rig())
    assert error.code == "unreachable"
    assert "127.0.0.1" in error.message


def test_D01_pause_and_resume(stocked: LoopbackHub, rig: Rig) -> None:
    stocked.faults.bytes_per_s = 2_000_000
    download = rig.downloads.start(REPO)
    wait_for(lambda: rig.downloads.get(download).done_bytes > 500_000)
    began = time.perf_counter()
    rig.downloads.pause(download)
    with pytest.raises(NetworkError) as caught:
        rig.downloads.wait(download, 2)
    assert time.perf_counter() - began < 1.0
    assert caught.value.code == "paused"
    state = rig.downloads.get(download)
    assert state.phase == "paused"
    assert state.is_over
    kept = state.done_bytes
    stocked.faults.bytes_per_s = 0
    rig.downloads.resume(download)
    model = rig.downloads.wait(download, 20)
    assert Path(model.path).read_bytes() == DATA
    ranges = [h["range"] for _, _, h in stocked.list_requests("store") if "range" in h]
    assert ranges == [f"bytes={kept}-"]


def test_D01_a_restart_goes_on(stocked: LoopbackHub, make_rig: Callable[..., Rig]) -> None:
    stocked.faults.bytes_per_s = 2_000_000
    first = make_rig()
    download = first.downloads.start(REPO)
    wait_for(lambda: first.downloads.get(download).done_bytes > 500_000)
    first.downloads.close()
    second = make_rig()
    state = second.downloads.get(download)
    assert state.phase == "paused"
    assert state.done_bytes > 500_000
    assert state.size_bytes == SIZE
    assert second.library.list()[1:] == ()
    stocked.faults.bytes_per_s = 0
    second.downloads.resume_interrupted()
    assert Path(second.downloads.wait(download, 20).path).read_bytes() == DATA
    assert stocked.bytes_served < SIZE + 2_000_000


def test_D01_what_a_person_paused_stays_paused_after_a_restart(
    stocked: LoopbackHub, make_rig: Callable[..., Rig]
) -> None:
    stocked.faults.bytes_per_s = 1_000_000
    first = make_rig()
    download = first.downloads.start(REPO)
    wait_for(lambda: first.downloads.get(download).done_bytes > 100_000)
    first.downloads.pause(download)
    wait_for(lambda: first.downloads.get(download).is_over)
    first.downloads.close()
    second = make_rig()
    second.downloads.resume_interrupted()
    assert second.downloads.get(download).phase == "paused"
    stocked.faults.bytes_per_s = 0
    assert second.downloads.start(REPO) == download
    assert second.downloads.wait(download, 20).id == f"{REPO}/{FILE}"


def test_cancel_deletes_at_once(stocked: LoopbackHub, rig: Rig) -> None:
    stocked.faults.bytes_per_s = 1_000_000
    download = rig.downloads.start(REPO)
    wait_for(lambda: rig.downloads.get(download).done_bytes > 100_000)
    began = time.perf_counter()
    rig.downloads.cancel(download)
    with pytest.raises(NetworkError) as caught:
        rig.downloads.wait(download, 2)
    assert time.perf_counter() - began < 1.0
    assert caught.value.code == "cancelled"
    assert rig.downloads.list() == ()
    assert rig.list_files() == []
    assert rig.list_journals() == []


def test_cancel_of_a_paused_download_deletes_its_part(stocked: LoopbackHub, rig: Rig) -> None:
    stocked.faults.bytes_per_s = 1_000_000
    download = rig.downloads.start(REPO)
    wait_for(lambda: rig.downloads.get(download).done_bytes > 100_000)
    rig.downloads.pause(download)
    wait_for(lambda: rig.downloads.get(download).is_over)
    assert len(rig.list_files()) >= 1
    rig.downloads.cancel(download)
    assert rig.list_files() == []


def test_two_at_once_the_others_wait(loopback: LoopbackHub, rig: Rig) -> None:
    for index in range(4):
        loopback.add_repo(f"maker/m{index}", {FILE: make_model(800_000, seed=index)})
    loopback.faults.bytes_per_s = 1_500_000
    ids = [rig.downloads.start(f"maker/m{index}") for index in range(4)]
    most = 0
    while not all(rig.downloads.get(i).is_over for i in ids):
        phases = [rig.downloads.get(i).phase for i in ids]
        most = max(most, sum(p in {"asking", "downloading", "verifying"} for p in phases))
        time.sleep(0.01)
    assert most == 2
    assert len(rig.library.list()) == 5


def test_starting_the_same_name_twice_is_one_download(stocked: LoopbackHub, rig: Rig) -> None:
    stocked.faults.bytes_per_s = 3_000_000
    assert rig.downloads.start(REPO) == rig.downloads.start(REPO.upper())
    assert len(rig.downloads.list()) == 1


def test_a_second_instance_is_told(stocked: LoopbackHub, make_rig: Callable[..., Rig]) -> None:
    stocked.faults.bytes_per_s = 1_000_000
    first, second = make_rig(), make_rig()
    download = first.downloads.start(REPO)
    wait_for(lambda: first.downloads.get(download).done_bytes > 100_000)
    with pytest.raises(ModelError) as caught:
        second.get(REPO)
    assert caught.value.code == "busy"
    stocked.faults.bytes_per_s = 0
    assert Path(first.downloads.wait(download, 20).path).read_bytes() == DATA


def test_close_is_quick_and_leaves_no_thread(stocked: LoopbackHub, rig: Rig) -> None:
    stocked.faults.stall_after = 1000
    stocked.faults.stalls = -1
    rig.downloads.start(REPO)
    wait_for(lambda: rig.downloads.list()[0].done_bytes > 0)
    began = time.perf_counter()
    rig.downloads.close()
    assert time.perf_counter() - began < 1.0
    assert not [t for t in threading.enumerate() if t.name.startswith("download-")]
    rig.downloads.close()


def test_progress_has_a_pace_and_a_time(stocked: LoopbackHub, rig: Rig) -> None:
    stocked.faults.bytes_per_s = 1_000_000
    download = rig.downloads.start(REPO)
    wait_for(lambda: rig.downloads.get(download).eta_s is not None)
    state = rig.downloads.get(download)
    assert 300_000 < state.bytes_per_s < 3_000_000
    assert 0 <= (state.eta_s or 0) < 10
    assert 0 < state.fraction < 1


# D02: what arrives is not what was asked for.


def test_D02_flipped_byte_is_fetched_again(stocked: LoopbackHub, rig: Rig) -> None:
    stocked.faults.flips = 1
    assert Path(rig.get(REPO).path).read_bytes() == DATA
    assert stocked.bytes_served == 2 * SIZE


def test_D02_always_wrong_bytes_are_never_installed(stocked: LoopbackHub, rig: Rig) -> None:
    stocked.faults.flips = -1
    error = refuse(rig)
    assert error.code == "hash_mismatch"
    assert "SHA-256" in error.message
    assert rig.list_files() == []


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        (Answer(200, {"Content-Type": "text/html"}, b"<html>sign in</html>"), "a web page"),
        (Answer(200, {}, b""), "0 bytes"),
        (Answer(200, {}, DATA[:-7]), "bytes and not"),
        (Answer(200, {}, DATA + b"more"), "bytes and not"),
    ],
    ids=["web page", "empty", "short", "long"],
)
def test_D02_wrong_size_is_told(stocked: LoopbackHub, rig: Rig, answer: Answer, what: str) -> None:
    stocked.faults.store.extend([answer] * 20)
    error = refuse(rig)
    assert error.code == "wrong_size"
    assert what in error.message
    stocked.faults.store.clear()
    assert Path(rig.get(REPO).path).read_bytes() == DATA


def test_D02_short_bodies_with_honest_looking_lengths(stocked: LoopbackHub, rig: Rig) -> None:
    stocked.faults.shorten = 1000
    assert refuse(rig).code == "wrong_size"


def test_D02_same_size_other_model_is_never_listed(stocked: LoopbackHub, rig: Rig) -> None:
    wrong = bytearray(DATA)
    wrong[-1] ^= 1
    stocked.faults.store.extend([Answer(200, {}, bytes(wrong))] * 5)
    error = refuse(rig)
    assert error.code == "hash_mismatch"


def test_D02_a_right_hash_of_something_that_is_no_model(loopback: LoopbackHub, rig: Rig) -> None:
    loopback.add_repo(REPO, {FILE: b"PK\x03\x04" + bytes(5000)})
    error = refuse(rig)
    assert error.code == "not_gguf"
    assert error.message == f"{FILE} is a ZIP archive, not a model."
    assert rig.list_files() == []


def test_D02_a_split_model_with_a_foreign_part(loopback: LoopbackHub, rig: Rig) -> None:
    files = make_parts()
    names = sorted(files)
    files[names[2]] = files[names[1]][:-4] + b"1234"
    loopback.add_repo(REPO, files)
    assert refuse(rig).code == "wrong_part"
    assert rig.list_files() == []


# D03: ranges that are not kept, files that change.


@pytest.mark.parametrize("fault", ["ignore_range", "wrong_offset"])
def test_D03_ranges_that_are_not_kept(stocked: LoopbackHub, rig: Rig, fault: str) -> None:
    stocked.faults.cut_every = 900_000
    stocked.faults.cuts = 2
    setattr(stocked.faults, fault, True)
    assert Path(rig.get(REPO).path).read_bytes() == DATA


def test_D03_416_begins_anew(stocked: LoopbackHub, rig: Rig) -> None:
    stocked.faults.cut_every = 900_000
    stocked.faults.cuts = 1
    stocked.faults.store.extend([Answer(200, {"Content-Length": "99"}, b"x" * 99), Answer(416)])
    assert Path(rig.get(REPO).path).read_bytes() == DATA


def test_D03_a_file_that_changes_between_two_pieces(stocked: LoopbackHub, rig: Rig) -> None:
    stocked.faults.bytes_per_s = 2_000_000
    download = rig.downloads.start(REPO)
    wait_for(lambda: rig.downloads.get(download).done_bytes > 500_000)
    rig.downloads.pause(download)
    wait_for(lambda: rig.downloads.get(download).is_over)
    fresh = make_model(seed=5)
    stocked.add_repo(REPO, {FILE: fresh})
    stocked.faults.bytes_per_s = 0
    rig.downloads.resume(download)
    assert Path(rig.downloads.wait(download, 20).path).read_bytes() == fresh


def test_D03_another_hash_at_the_address_asks_again(stocked: LoopbackHub, rig: Rig) -> None:
    stocked.faults.linked_etag = "f" * 64
    error = refuse(rig)
    assert error.code == "changed"
    assert stocked.bytes_served == 0


def test_D03_a_part_of_another_file_is_not_built_upon(stocked: LoopbackHub, rig: Rig) -> None:
    folder = rig.profile.models / "maker" / "Tiny-GGUF"
    folder.mkdir(parents=True)
    part = folder / f".{hashlib.sha256(DATA).hexdigest()}.0.part"
    part.write_bytes(b"something else" * 1000)
    assert Path(rig.get(REPO).path).read_bytes() == DATA
    part.write_bytes(bytes(SIZE + 1))
    rig.library.remove(f"{REPO}/{FILE}")
    assert Path(rig.get(REPO).path).read_bytes() == DATA


# D07: refusals, delays, floods.


def test_D07_refusals_of_the_hub_are_told_apart(stocked: LoopbackHub, rig: Rig) -> None:
    cases = [
        (Answer(401, {"X-Error-Code": "GatedRepo"}), "gated", 1),
        (Answer(403, {"X-Error-Code": "GatedRepo"}), "gated", 1),
        (Answer(404, {"X-Error-Code": "RepoNotFound"}), "unknown_repo", 1),
        (Answer(401), "unknown_repo", 1),
        (Answer(429, {"Retry-After": "0"}), "rate_limited", 3),
        (Answer(500), "hub_down", 3),
        (Answer(503), "hub_down", 3),
        (Answer(418), "hub_answer", 1),
        (Answer(200, {}, b"no json"), "hub_answer", 1),
        (Answer(200, {}, b"[]"), "hub_answer", 1),
        (Answer(200, {}, b'{"id": "a/b", "siblings": 3}'), "hub_answer", 1),
        (Answer(200, {}, b'{"id": "a/b", "sha": "main", "siblings": []}'), "hub_answer", 1),
    ]
    told = set()
    for answer, code, n_times in cases:
        stocked.faults.api.extend([answer] * n_times)
        error = refuse(rig)
        assert error.code == code, answer
        assert not stocked.faults.api
        told.add(error.message)
    assert len(told) >= 6


def test_D07_passing_refusals_pass(stocked: LoopbackHub, rig: Rig) -> None:
    stocked.faults.api.extend([Answer(503), Answer(429, {"Retry-After": "0"})])
    stocked.faults.resolve.extend([Answer(503), Answer(500), Answer(408)])
    stocked.faults.store.extend([Answer(403, {}, b"expired"), Answer(502), Answer(429)])
    assert Path(rig.get(REPO).path).read_bytes() == DATA


def test_D07_an_expired_link_is_asked_for_again(stocked: LoopbackHub, rig: Rig) -> None:
    stocked.faults.cut_every = 1_000_000
    stocked.faults.cuts = 1
    stocked.faults.store.extend([])
    rig.downloads.start(REPO)
    wait_for(lambda: rig.downloads.list()[0].is_over)
    resolved = [path for _, path, _ in stocked.list_requests("api") if "/resolve/" in path]
    assert len(resolved) == 2


def test_D07_gated_when_it_comes_to_the_file(stocked: LoopbackHub, rig: Rig) -> None:
    stocked.faults.resolve.append(Answer(403, {"X-Error-Code": "GatedRepo"}))
    assert refuse(rig).code == "gated"


def test_D07_gated_repositories_are_told_before_the_download(
    loopback: LoopbackHub, rig: Rig
) -> None:
    loopback.add_repo(REPO, {FILE: DATA}, gated="manual")
    assert refuse(rig).code == "gated"
    assert not loopback.list_requests("store")


def test_D07_a_repository_without_models(loopback: LoopbackHub, rig: Rig) -> None:
    loopback.add_repo(REPO, {"pytorch_model.bin": b"x"})
    assert refuse(rig).code == "no_models"


def test_D07_packed_bombs_and_floods_are_not_unpacked(stocked: LoopbackHub, rig: Rig) -> None:
    stocked.faults.api.append(Answer(200, {"Content-Encoding": "gzip"}, b"\x1f\x8b" + bytes(99)))
    assert refuse(rig).code == "hub_answer"
    stocked.faults.api.append(Answer(200, {}, b" " * 40_000_000))
    assert refuse(rig).code == "hub_answer"


def test_D07_a_listing_of_a_hundred_thousand_files(loopback: LoopbackHub, rig: Rig) -> None:
    loopback.add_repo(REPO, {FILE: DATA})
    loopback.faults.names = [{"rfilename": f"f{i}.txt", "size": 1} for i in range(100_000)]
    began = time.perf_counter()
    assert [file.path for file in rig.hub.find_files(REPO)] == [FILE]
    assert time.perf_counter() - began < 10


def test_D07_cancel_while_the_hub_does_not_answer(stocked: LoopbackHub, rig: Rig) -> None:
    stocked.faults.api.extend([Answer(200, delay_s=30)] * 3)
    download = rig.downloads.start(REPO)
    wait_for(lambda: bool(stocked.list_requests("api")))
    began = time.perf_counter()
    rig.downloads.cancel(download)
    with pytest.raises(NetworkError):
        rig.downloads.wait(download, 5)
    assert time.perf_counter() - began < 1.0


def test_D07_a_slow_drip_is_cancelled_at_once(stocked: LoopbackHub, rig: Rig) -> None:
    stocked.faults.bytes_per_s = 20_000
    download = rig.downloads.start(REPO)
    wait_for(lambda: rig.downloads.get(download).done_bytes > 0)
    began = time.perf_counter()
    rig.downloads.cancel(download)
    wait_for(lambda: rig.downloads.get(download).is_over, 2)
    assert time.perf_counter() - began < 1.0


def test_D07_a_hub_that_is_not_there(make_rig: Callable[..., Rig], loopback: LoopbackHub) -> None:
    rig = make_rig()
    loopback.close()
    assert refuse(rig).code == "unreachable"


def test_D07_self_signed_certificates_are_not_trusted(
    tmp_path: Path, rig: Rig, loopback: LoopbackHub
) -> None:
    from support.tls import serve_self_signed

    with serve_self_signed(tmp_path) as address:
        loopback.add_repo(REPO, {FILE: DATA})
        loopback.faults.location = f"{address}/x"
        error = refuse(rig)
    assert error.code == "tls"
    assert "certificate" in error.message


def test_options_of_the_real_thing_are_patient() -> None:
    real = TransferOptions()
    assert real.max_tries >= 8
    assert real.reserve_bytes == 1_000_000_000
    assert FAST.reserve_bytes == 0
