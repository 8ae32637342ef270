"""A loopback hub for each test, and a rig on it."""

from collections.abc import Callable, Iterator

import pytest

from inglenook.base.paths import Profile
from support.loopback_hub import LoopbackHub
from support.models import Rig


@pytest.fixture(autouse=True)
def reach_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy between a test and its own hub."""
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1,localhost")
    for name in ("HF_ENDPOINT", "HF_TOKEN", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def loopback() -> Iterator[LoopbackHub]:
    with LoopbackHub() as server:
        yield server


@pytest.fixture
def make_rig(profile: Profile, loopback: LoopbackHub) -> Iterator[Callable[..., Rig]]:
    """Makes rigs on the test's profile, one after another: a new one is a restart."""
    made: list[Rig] = []

    def make(**more: object) -> Rig:
        rig = Rig(profile, loopback.endpoint, **more)  # type: ignore[arg-type]
        made.append(rig)
        return rig

    yield make
    for rig in made:
        rig.downloads.close()
        rig.hub.close()


@pytest.fixture
def rig(make_rig: Callable[..., Rig]) -> Rig:
    return make_rig()
