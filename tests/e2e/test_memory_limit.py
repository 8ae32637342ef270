"""H01 in earnest: the system ends the engine for want of memory, and nothing else.

Needs a control group of its own, so it is skipped where this user may make none.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from inglenook.engine.measuring.sample_gguf import SampleShape, make_sample
from support.program import Program
from support.waiting import wait_for

LIMIT_BYTES: Final = 330 << 20
OLDER: Final = Path("/sys/fs/cgroup/memory")
NEWER: Final = Path("/sys/fs/cgroup")


class MemoryLimit:
    """A control group whose processes share so much memory."""

    def __init__(self, folder: Path, limit: str, events: str) -> None:
        self._folder = folder
        self._events = folder / events
        folder.mkdir()
        (folder / limit).write_text(str(LIMIT_BYTES))

    def join(self) -> None:
        """Put the calling process into it."""
        (self._folder / "cgroup.procs").write_text(str(os.getpid()))

    def count_kills(self) -> int:
        """How many processes were ended for want of memory."""
        lines = self._events.read_text().split("\n")
        return next(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))

    def close(self) -> None:
        """Take it away, as soon as the last process in it has ended."""
        wait_for(lambda: not (self._folder / "cgroup.procs").read_text(), "an empty group")
        self._folder.rmdir()


@pytest.fixture
def limit() -> Iterator[MemoryLimit]:
    name = f"inglenook-test-{os.getpid()}"
    made: MemoryLimit | None = None
    for root, file, events in (
        (OLDER, "memory.limit_in_bytes", "memory.oom_control"),
        (NEWER, "memory.max", "memory.events"),
    ):
        try:
            made = MemoryLimit(root / name, file, events)
        except OSError:
            if (root / name).is_dir():
                (root / name).rmdir()
            continue
        break
    if made is None:
        pytest.skip("no control group can be made here")
    yield made
    made.close()


@pytest.fixture
def large(tmp_path: Path) -> Path:
    path = tmp_path / "large-Q8_0.gguf"
    make_sample(SampleShape(6, 2048, 5632, 16, 4, 128, 4000), "Q8_0").write(path)
    return path


def test_H01_the_engine_alone_is_ended_when_memory_runs_out(
    make_program: Callable[..., Program], limit: MemoryLimit, large: Path
) -> None:
    program = make_program()
    ask = ("ask", "--model", str(large), "--max-tokens", "4", "--set", "use_mmap=off", "--json")
    refused = program.run(*ask, "hello", before=limit.join)
    assert refused.read_error()["code"] == "out_of_memory"
    assert limit.count_kills() == 0, "what cannot fit is not even tried"

    ended = program.run(*ask, "--set", "checks_memory=off", "hello", before=limit.join)
    assert limit.count_kills() == 1
    assert ended.code != 0
    error = ended.read_error()
    assert error["code"] == "engine_died"
    assert "memory" in error["error"]

    answer = program.run("ask", "--max-tokens", "8", "What is a token?", before=limit.join)
    assert answer.code == 0, answer.err
    assert answer.out.strip()
    assert limit.count_kills() == 1
    assert len(program.read_history()) == 3
