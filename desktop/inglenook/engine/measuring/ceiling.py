"""llama.cpp's own llama-bench: how fast this machine can be, with nothing around the decoding.

Used by `inglenook bench --llama-bench PROGRAM`, on a program that the person has built, and by the
bench against peers in `tests/bench`.
"""

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from inglenook.base.errors import UsageError

_LIMIT_S: Final = 1800.0


class _Row(msgspec.Struct):
    """What is read of its JSON; there is one row for each test."""

    avg_ts: float


class LlamaBench:
    """Runs the program on one model; each call is a process that loads the model and ends."""

    def __init__(
        self, program: Path, model: str, environment: Mapping[str, str] | None = None
    ) -> None:
        self._program, self._model = program, model
        self._environment = dict(environment) if environment is not None else None

    def read(self, n_tokens: int) -> float:
        """Prompt tokens per second (its pp test); raises `UsageError` when it does not run."""
        return self._run("-p", str(n_tokens), "-n", "0")

    def write(self, n_tokens: int) -> float:
        """Generated tokens per second (its tg test)."""
        return self._run("-p", "0", "-n", str(n_tokens))

    def _run(self, *arguments: str) -> float:
        command = [str(self._program), "-m", self._model, *arguments, "-r", "1", "-o", "json"]
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_LIMIT_S,
                check=False,
                env=self._environment,
            )
            (row,) = msgspec.json.decode(done.stdout, type=list[_Row])
        except (OSError, subprocess.TimeoutExpired, msgspec.DecodeError, ValueError) as error:
            raise UsageError(
                f"{self._program} does not do what llama-bench does.",
                "Name the llama-bench program of a llama.cpp build.",
            ) from error
        return row.avg_ts
