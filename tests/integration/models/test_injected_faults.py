"""A thousand faults on the way (D01, D02, D03, D06, D07), and names that mean harm (D05).

INGLENOOK_REPEATS says how many faults are injected; every kind comes at least once.
"""

import hashlib
import os
import random
import string
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from inglenook.base.errors import UserError
from inglenook.base.paths import Profile
from inglenook.models.connection import TransferOptions
from inglenook.models.download import Allowance
from inglenook.models.names import place_file
from support.loopback_hub import LoopbackHub
from support.models import Rig, make_model
from support.oddities import KINDS

REPO = "maker/Tiny-GGUF"
FILE = "tiny-Q8_0.gguf"
HASTY = TransferOptions(
    max_tries=4,
    first_wait_s=0.001,
    longest_wait_s=0.005,
    read_timeout_s=0.3,
    reserve_bytes=0,
    least_piece_bytes=16_000,
    most_piece_bytes=48_000,
)


@pytest.fixture(autouse=True)
def lazy_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the disk does in its own time is another matter, and thousands of times too long."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture
def n_faults() -> int:
    return max(len(KINDS), int(os.environ.get("INGLENOOK_REPEATS", "50")))


@pytest.mark.timeout(3000)
def test_D02_nothing_but_the_right_file_is_ever_installed(
    loopback: LoopbackHub, make_rig: Callable[..., Rig], n_faults: int
) -> None:
    chance = random.Random(7)
    wishes = [1]
    rig = make_rig(options=HASTY, find_allowance=lambda: Allowance(n_connections=wishes[0]))
    first = list(KINDS)
    endings: Counter[str] = Counter()
    n_wrong = n_injected = 0
    while first or n_injected < n_faults:
        data = make_model(chance.randrange(60_000, 300_000), seed=chance.randrange(1 << 30))
        loopback.add_repo(REPO, {FILE: data})
        wishes[0] = chance.choice([1, 1, 2, 4])
        mine = [first.pop() if first else chance.choice(list(KINDS))]
        mine += chance.choices(list(KINDS), k=chance.randrange(4))
        loopback.faults.oddities.clear()
        for kind in mine:
            right = [""] * chance.randrange(2) if wishes[0] > 1 else []
            loopback.faults.oddities.extend([*right, kind])
        ending = "installed"
        told = None
        try:
            model = rig.get(REPO, 60)
        except UserError as error:
            told, ending = error, error.code
        assert told is None or told.message.endswith(".")
        assert ending != "bug", told
        assert told is None or "still under way" not in told.message
        n_injected += len(mine) - sum(bool(kind) for kind in loopback.faults.oddities)
        endings[ending] += 1
        wanted = hashlib.sha256(data).hexdigest()
        for path in rig.profile.models.rglob("*.gguf"):
            n_wrong += hashlib.sha256(path.read_bytes()).hexdigest() != wanted
        assert (ending == "installed") == (len(rig.library.list()) == 2)
        if ending == "installed":
            assert Path(model.path).read_bytes() == data
            rig.library.remove(model.id)
        for state in rig.downloads.list():
            rig.downloads.forget(state.id)
        assert rig.list_files() == []
    print(f"\n{n_injected} faults: {n_wrong} wrong files accepted; {dict(endings)}")
    assert n_wrong == 0


@pytest.mark.parametrize("kind", KINDS)
def test_D01_one_fault_of_any_kind_is_overcome_or_told(
    loopback: LoopbackHub, make_rig: Callable[..., Rig], kind: str
) -> None:
    data = make_model(200_000)
    loopback.add_repo(REPO, {FILE: data})
    rig = make_rig(options=HASTY)
    loopback.faults.oddities.append(kind)
    if kind in {"to_http", "to_file"}:
        with pytest.raises(UserError):
            rig.get(REPO)
    else:
        assert Path(rig.get(REPO).path).read_bytes() == data


def make_hostile_names(count: int) -> list[str]:
    """Names of files that want to be written elsewhere, and plain nonsense."""
    chance = random.Random(5)
    ways = [
        "../", "..\\", "/", "//", "\\\\host\\share\\", "C:\\", "C:", "~/", "./../", "a/../../",
        "%2e%2e%2f", "..%2f", "....//", "a/b/c/d/e/", "\0", "\n", "\u202e", "\u2215", "\uff0f",
        ".ssh/", ".", "-", " ", "CON.", "aux.", "nul.", "com1.", "x\x7f", "\ud800", "a:b", "a|b",
        "file:///", "https://example.org/", "$HOME/", "`id`", "*", "?", "\u00e9\u0301",
    ]  # fmt: skip
    names = []
    for _ in range(count):
        name = "".join(chance.choices(ways, k=chance.randrange(1, 4)))
        name += "".join(chance.choices(string.ascii_letters + "._-/\\", k=chance.randrange(12)))
        names.append(name + chance.choice(["", ".gguf", ".GGUF", ".gguf/../x.gguf", ".gguf ", "."]))
    return names


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    file = tmp_path / "home" / "canary"
    file.write_text("untouched")
    return file


def test_D05_five_hundred_hostile_names_write_nothing_outside(
    loopback: LoopbackHub, rig: Rig, profile: Profile, tmp_path: Path, canary: Path
) -> None:
    data = make_model(30_000)
    digest = hashlib.sha256(data).hexdigest()
    loopback.add_repo(REPO, {FILE: data})
    rig.get(REPO)  # so that the store has these bytes, whatever they are called

    def list_outside() -> set[str]:
        inside = profile.models.resolve()
        return {
            str(path)
            for path in tmp_path.rglob("*")
            if not path.resolve().is_relative_to(inside) and path.name != "index.json"
        }

    before = list_outside()
    for number, name in enumerate(make_hostile_names(500)):
        lfs = {"sha256": digest, "size": len(data), "pointerSize": 1}
        listed = {"rfilename": name, "size": len(data), "blobId": "0" * 40, "lfs": lfs}
        loopback.faults.names = [listed]
        repo = f"evil/m{number}"
        loopback.add_repo(repo, {})
        try:
            model = rig.get(repo)
        except UserError:
            pass
        else:
            assert Path(model.path).resolve().is_relative_to(profile.models.resolve()), name
        try:
            # Past the listing: a journal that somebody wrote, a hub that answers otherwise.
            place = place_file(profile.models, REPO, name)
        except UserError:
            pass
        else:
            assert place.resolve().is_relative_to(profile.models.resolve()), name
        del loopback.repos[repo]
        for state in rig.downloads.list():
            rig.downloads.forget(state.id)
    assert list_outside() == before
    assert canary.read_text() == "untouched"
