"""A hub that means harm: names, redirects, files that are no models (D05, D06, D10)."""

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from inglenook.base.errors import UserError
from inglenook.base.paths import Profile
from support.loopback_hub import Answer, LoopbackHub
from support.models import Rig, make_model

REPO = "maker/Tiny-GGUF"
FILE = "tiny-Q8_0.gguf"
DATA = make_model(200_000)
SHA256 = hashlib.sha256(DATA).hexdigest()
PLAIN = {"host", "accept", "accept-encoding", "connection", "user-agent", "range"}
NAMES = [
    "../../.bashrc.gguf",
    "../../../x.gguf",
    "/abs.gguf",
    "/etc/cron.d/x.gguf",
    "C:\\x.gguf",
    "\\\\host\\x.gguf",
    "a/..\\b.gguf",
    "a/../../../../x.gguf",
    "x\0.gguf",
    "n" * 10_000 + ".gguf",
    ".ssh/authorized_keys.gguf",
    "x\n.gguf",
    "aux.gguf",
    "x-00001-of-00002.gguf/../../y.gguf",
    "../x-00001-of-00001.gguf",
    "\ud800.gguf",
    "",
    None,
    7,
    ["x.gguf"],
]


def snapshot(folder: Path) -> dict[str, int]:
    """Every path below a folder, with its size."""
    found = {}
    for root, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(root) / name
            found[str(path.relative_to(folder))] = path.lstat().st_size
    return found


@pytest.fixture(autouse=True)
def nothing_outside(tmp_path: Path, profile: Profile) -> Iterator[None]:
    """Nothing may appear outside the models folder, whatever a test does."""
    canary = tmp_path / "home" / "canary"
    canary.write_text("untouched")
    inside = profile.models.relative_to(tmp_path).as_posix()
    before = {k: v for k, v in snapshot(tmp_path).items() if not k.startswith(inside)}
    before.pop((profile.data / "index.json").relative_to(tmp_path).as_posix(), None)
    yield
    after = {k: v for k, v in snapshot(tmp_path).items() if not k.startswith(inside)}
    after.pop((profile.data / "index.json").relative_to(tmp_path).as_posix(), None)
    changed = {k for k in before.keys() | after.keys() if before.get(k) != after.get(k)}
    sized = {k for k in changed if not (tmp_path / k).is_dir()}
    assert sized == set()
    assert canary.read_text() == "untouched"


def describe(name: object, size: object = len(DATA), sha256: object = SHA256) -> dict[str, object]:
    lfs = {"sha256": sha256, "size": size, "pointerSize": 1}
    return {"rfilename": name, "size": size, "blobId": "0" * 40, "lfs": lfs}


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_D05_hostile_names_in_a_listing(loopback: LoopbackHub, rig: Rig, name: object) -> None:
    loopback.add_repo(REPO, {})
    loopback.faults.names = [describe(name)]
    with pytest.raises(UserError) as caught:
        rig.get(REPO)
    assert caught.value.code in {"no_models", "hub_answer"}
    assert rig.list_files() == []
    assert not loopback.list_requests("store")


def test_D05_a_hostile_name_does_not_spoil_the_rest(loopback: LoopbackHub, rig: Rig) -> None:
    loopback.add_repo(REPO, {FILE: DATA})
    loopback.faults.names = [describe(n) for n in NAMES if isinstance(n, str)]
    assert rig.get(REPO).filename == FILE
    assert rig.list_files() == [f"{REPO}/{FILE}"]


@pytest.mark.parametrize(
    "sha256", ["../../../../x", "/etc/passwd", "Z" * 64, "a" * 63, "", None, 7, "a" * 10_000]
)
def test_D05_hostile_digests(loopback: LoopbackHub, rig: Rig, sha256: object) -> None:
    loopback.add_repo(REPO, {})
    loopback.faults.names = [describe(FILE, sha256=sha256)]
    with pytest.raises(UserError):
        rig.get(REPO)
    assert not [name for name in rig.list_files() if name.endswith(".gguf")]


@pytest.mark.parametrize("size", [-1, 0, 1 << 60, "3", None, 1.5, True])
def test_D05_hostile_sizes(loopback: LoopbackHub, rig: Rig, size: object) -> None:
    loopback.add_repo(REPO, {})
    loopback.faults.names = [describe(FILE, size=size)]
    with pytest.raises(UserError):
        rig.get(REPO)
    assert rig.list_files() == []


@pytest.mark.parametrize(
    "name", ["../x/y", "maker/..", "maker/Tiny-GGUF/../../x.gguf", "maker//x", "/etc/passwd"]
)
def test_D05_hostile_repositories(loopback: LoopbackHub, rig: Rig, name: str) -> None:
    with pytest.raises(UserError):
        rig.get(name)
    assert rig.list_files() == []


def test_D05_split_names_that_do_not_add_up(loopback: LoopbackHub, rig: Rig) -> None:
    loopback.add_repo(REPO, {})
    loopback.faults.names = [
        describe("m-00001-of-00003.gguf"),
        describe("m-00002-of-00003.gguf"),
        describe("../m-00003-of-00003.gguf"),
        describe("k-00001-of-99999.gguf"),
    ]
    with pytest.raises(UserError):
        rig.get(f"{REPO}/m-00001-of-00003.gguf")
    assert rig.list_files() == []


def test_D05_a_link_in_place_of_the_folder(
    loopback: LoopbackHub, rig: Rig, tmp_path: Path, profile: Profile
) -> None:
    outside = tmp_path / "home" / "outside"
    outside.mkdir()
    (profile.models / "maker").symlink_to(outside)
    loopback.add_repo(REPO, {FILE: DATA})
    with pytest.raises(UserError) as caught:
        rig.get(REPO)
    assert caught.value.code == "hostile_name"
    assert list(outside.iterdir()) == []
    outside.rmdir()


def test_D05_a_link_in_place_of_the_part(
    loopback: LoopbackHub, rig: Rig, tmp_path: Path, profile: Profile
) -> None:
    folder = profile.models / "maker" / "Tiny-GGUF"
    folder.mkdir(parents=True)
    canary = tmp_path / "home" / "canary"
    (folder / f".{SHA256}.0.part").symlink_to(canary)
    loopback.add_repo(REPO, {FILE: DATA})
    with pytest.raises(UserError) as caught:
        rig.get(REPO)
    assert caught.value.code == "not_writable"


@pytest.mark.logs("not usable")
def test_D05_a_journal_that_somebody_wrote(
    loopback: LoopbackHub, make_rig: Callable[..., Rig], profile: Profile
) -> None:
    folder = profile.models / ".downloads"
    folder.mkdir()
    text = (
        '{"id":"evil","name":"x","file":{"repo":"a/b","path":"../../x.gguf","size_bytes":1,'
        '"quantisation":"","revision":"r","parts":[{"path":"../../x.gguf","size_bytes":1,'
        '"sha256":"../../../canary","git_sha1":""}]}}'
    )
    (folder / "evil.json").write_text(text)
    rig = make_rig()
    assert rig.downloads.list() == ()


def test_D06_no_token_ever(
    loopback: LoopbackHub, rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_canary")
    loopback.add_repo(REPO, {FILE: DATA})
    loopback.faults.cut_every = 50_000
    rig.get(REPO)
    for _, path, headers in loopback.list_requests():
        assert "canary" not in path + repr(headers)
        assert "authorization" not in headers
        assert "cookie" not in headers
    for _, _, headers in loopback.list_requests("store"):
        assert set(headers) <= {
            "host",
            "accept",
            "accept-encoding",
            "connection",
            "user-agent",
            "range",
        }


@pytest.mark.parametrize(
    "location",
    [
        "http://192.0.2.1/x",
        "http://example.org/x",
        "http://169.254.169.254/latest",
        "file:///etc/passwd",
        "ftp://127.0.0.1/x",
        "gopher://x",
        "//example.org/x",
        "javascript:alert(1)",
    ],
)
def test_D06_redirects_to_what_is_not_https(loopback: LoopbackHub, rig: Rig, location: str) -> None:
    loopback.add_repo(REPO, {FILE: DATA})
    loopback.faults.location = location
    with pytest.raises(UserError) as caught:
        rig.get(REPO)
    assert caught.value.code == "not_https"
    hosts = {line.host for line in rig.network.ledger()}
    assert all(host.startswith("127.0.0.1") for host in hosts)


def test_D06_redirects_in_circles(loopback: LoopbackHub, rig: Rig) -> None:
    loopback.add_repo(REPO, {FILE: DATA})
    revision = loopback.repos[REPO].revision
    loopback.faults.location = f"{loopback.endpoint}/{REPO}/resolve/{revision}/{FILE}"
    with pytest.raises(UserError) as caught:
        rig.get(REPO)
    assert caught.value.code == "hub_answer"


def test_D06_redirected_questions_are_checked_too(loopback: LoopbackHub, rig: Rig) -> None:
    loopback.faults.api.append(Answer(302, {"Location": "http://example.org/api"}))
    with pytest.raises(UserError) as caught:
        rig.hub.find_files(REPO)
    assert caught.value.code == "not_https"


def test_D10_only_models_are_written(loopback: LoopbackHub, rig: Rig) -> None:
    files = {
        FILE: DATA,
        "pytorch_model.bin": b"\x80\x04pickle",
        "modeling.py": b"raise SystemExit",
        "setup.gguf.py": b"x",
        "config.json": b"{}",
        "model.safetensors": b"x",
    }
    loopback.add_repo(REPO, files)
    assert [file.path for file in rig.hub.find_files(REPO)] == [FILE]
    rig.get(REPO)
    assert rig.list_files() == [f"{REPO}/{FILE}"]
    assert len(loopback.list_requests("store")) == 1
    for name in files:
        if name != FILE:
            with pytest.raises(UserError):
                rig.get(f"{REPO}/{name}")
    assert rig.list_files() == [f"{REPO}/{FILE}"]
