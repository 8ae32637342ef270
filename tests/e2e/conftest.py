"""The installed program, and models that are slow or strange enough for what a test needs."""

import os
import string
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.desktop import Desktop, list_missing, open_desktop
from support.program import Program
from support.scripted_gguf import write_scripted_gguf
from support.tiny_gguf import write_tiny_gguf


@pytest.fixture(scope="session")
def repeats() -> int:
    """How often the tests that kill do so."""
    return int(os.environ.get("INGLENOOK_REPEATS", "50"))


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of half a megabyte that never ends by itself; thousands of tokens per second."""
    return write_tiny_gguf(
        tmp_path_factory.mktemp("models") / "tiny.gguf", never_ends=True, n_ctx=2048
    )


@pytest.fixture(scope="session")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that writes for many seconds, so that things can happen meanwhile."""
    return write_tiny_gguf(
        tmp_path_factory.mktemp("models") / "slow.gguf",
        n_layers=8,
        n_embd=384,
        n_heads=6,
        n_ctx=16384,
        scale=0.1,
        never_ends=True,
    )


@pytest.fixture(scope="session")
def steady(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that writes short plain words, the same ones each time, for many seconds."""
    words = [f"{a}{b} " for a in string.ascii_lowercase for b in string.ascii_lowercase]
    path = tmp_path_factory.mktemp("models") / "steady.gguf"
    return write_scripted_gguf(path, words, n_layers=8, n_embd=384, never_ends=True, name="Steady")


@pytest.fixture(scope="session")
def desktop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desktop]:
    """A desktop on a display of its own, for all windows one after the other."""
    if missing := list_missing():
        reason = f"not installed: {', '.join(missing)} (make test installs what tests need)"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    with open_desktop(tmp_path_factory.mktemp("frames")) as opened:
        yield opened


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """The program on a profile of its own."""
    return Program(tmp_path / "home")


@pytest.fixture
def make_program(tmp_path: Path) -> Callable[..., Program]:
    """Programs with something in their environment."""

    def make(**env: str) -> Program:
        return Program(tmp_path / "home", **env)

    return make


@pytest.fixture
def window_program(make_program: Callable[..., Program], desktop: Desktop) -> Program:
    """The program on a profile of its own, told of the desktop."""
    return make_program(**desktop.env)
