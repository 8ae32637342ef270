"""The installed program, and models that are slow or strange enough for what a test needs."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from support.program import Program
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
