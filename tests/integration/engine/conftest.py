"""Real models (tiny, random), real engines, and what they told."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from inglenook.base.paths import find_asset
from inglenook.engine.client import ChildEngine, CrashPolicy
from inglenook.engine.local import LocalEngine
from support.recorder import Recorder
from support.tiny_gguf import write_tiny_gguf

NEVER = CrashPolicy(n_deaths=1_000_000)


@pytest.fixture(scope="session")
def repeats() -> int:
    """How often the tests that kill and mash do so."""
    return int(os.environ.get("INGLENOOK_REPEATS", "50"))


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of half a megabyte; thousands of tokens per second.

    Calm enough that the rounding of another batch size does not change what it writes.
    """
    return write_tiny_gguf(
        tmp_path_factory.mktemp("models") / "tiny.gguf", never_ends=True, scale=0.1
    )


@pytest.fixture(scope="session")
def guide() -> Path:
    """The model that ships with the app: real weights, decided choices."""
    return find_asset("assets", "guide.gguf")


@pytest.fixture(scope="session")
def tiny_two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another one, with other weights."""
    return write_tiny_gguf(
        tmp_path_factory.mktemp("models") / "two.gguf", never_ends=True, seed=2, n_ctx=512
    )


@pytest.fixture(scope="session")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that takes seconds to fill its context, so that things can happen meanwhile."""
    return write_tiny_gguf(
        tmp_path_factory.mktemp("models") / "slow.gguf",
        n_layers=6,
        n_embd=256,
        n_ctx=8192,
        scale=0.1,
        never_ends=True,
    )


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def local(recorder: Recorder) -> Iterator[LocalEngine]:
    """The engine in this process."""
    engine = LocalEngine(recorder)
    yield engine
    engine.close()


@pytest.fixture
def child(recorder: Recorder) -> Iterator[ChildEngine]:
    """The engine in a child process, never tired of being killed."""
    engine = ChildEngine(recorder, crashes=NEVER)
    yield engine
    engine.close()


@pytest.fixture
def make_model(tmp_path: Path) -> Callable[..., Path]:
    """Writes a model with a shape or a template of the test's own."""

    def make(name: str = "own.gguf", **shape: object) -> Path:
        return write_tiny_gguf(tmp_path / name, **shape)  # type: ignore[arg-type]

    return make
