"""The installed program as a process: started, talked to, killed; used by the end-to-end tests.

Nothing of the machine leaks in: each `Program` has a home of its own, and the environment is that
of a person's fresh shell.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psutil

EXECUTABLE: Final = Path(sys.executable).with_name("inglenook")
_LEFT_OUT: Final = ("PYTHON", "INGLENOOK_", "HF_", "XDG_", "DISPLAY", "WAYLAND", "QT_", "PYTEST")


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended, and what it said."""

    code: int
    out: str
    err: str
    took_s: float

    def read_json(self) -> Any:
        """The one document on stdout."""
        return json.loads(self.out)

    def read_error(self) -> dict[str, str]:
        """The one object on stderr that `--json` gives."""
        error: dict[str, str] = json.loads(self.err)
        return error


class Program:
    """`inglenook` on a profile below `home`."""

    def __init__(self, home: Path, **env: str) -> None:
        assert EXECUTABLE.exists(), "the program is not installed: make install"
        self.home = home
        self.env = make_environment(home, **env)

    @property
    def database(self) -> Path:
        return self.home / "data" / "inglenook.db"

    def make_command(self, *arguments: str) -> list[str]:
        return [str(EXECUTABLE), *arguments, "--home", str(self.home)]

    def run(
        self,
        *arguments: str,
        piped: str | None = None,
        before: Callable[[], None] | None = None,
        wrapper: Sequence[str] = (),
        timeout_s: float = 90,
    ) -> Ended:
        """Run to the end. Whatever happens, nobody ever sees a traceback."""
        started_at = time.monotonic()
        done = subprocess.run(
            [*wrapper, *self.make_command(*arguments)],
            input=None if piped is None else piped.encode(),
            stdin=subprocess.DEVNULL if piped is None else None,
            capture_output=True,
            env=self.env,
            preexec_fn=before,
            timeout=timeout_s,
        )
        took_s = time.monotonic() - started_at
        ended = Ended(done.returncode, done.stdout.decode(), done.stderr.decode(), took_s)
        assert "Traceback" not in ended.err, ended.err
        assert "Exception ignored" not in ended.err, ended.err
        return ended

    @contextmanager
    def start(self, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
        """Start, and end it at the latest when the block ends."""
        process = subprocess.Popen(
            self.make_command(*arguments),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            env=self.env,
        )
        with process:
            try:
                yield process
            finally:
                if process.poll() is None:
                    process.kill()

    def ask(self, *arguments: str) -> dict[str, Any]:
        """One reply, with its numbers."""
        ended = self.run("ask", "--json", *arguments)
        assert ended.code == 0, ended.err
        reply: dict[str, Any] = ended.read_json()
        return reply

    def read_history(self) -> list[dict[str, Any]]:
        """All conversations with their messages, as a script gets them."""
        ended = self.run("history", "--json")
        assert ended.code == 0, ended.err
        conversations: list[dict[str, Any]] = ended.read_json()
        return conversations

    def read_messages(self) -> list[dict[str, Any]]:
        """The messages of the only conversation."""
        (conversation,) = self.read_history()
        messages: list[dict[str, Any]] = conversation["messages"]
        return messages


def make_environment(home: Path, **env: str) -> dict[str, str]:
    """A fresh shell's environment, with a home folder of its own."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(_LEFT_OUT)}
    user = home.parent / "user"
    user.mkdir(parents=True, exist_ok=True)
    return kept | {"HOME": str(user), "LANG": "C.UTF-8", "TERM": "xterm-256color"} | env


def read_some(process: subprocess.Popen[bytes], n_bytes: int) -> bytes:
    """Read what a process prints until it is at least so much."""
    assert process.stdout is not None
    text = b""
    while len(text) < n_bytes:
        piece = process.stdout.read(4096)
        assert piece, f"it ended early: {process.stderr.read() if process.stderr else b''!r}"
        text += piece
    return text


def find_engine(pid: int | None, limit_s: float = 20.0) -> psutil.Process:
    """The engine's child process of a running program."""
    assert pid is not None
    deadline = time.monotonic() + limit_s
    while True:
        for child in psutil.Process(pid).children():
            if is_engine(child):
                return child
        assert time.monotonic() < deadline, "no engine was started"
        time.sleep(0.02)


def is_engine(process: psutil.Process) -> bool:
    try:
        return "inglenook.engine.host" in process.cmdline()
    except psutil.Error:
        return False


def wait_until_gone(processes: Sequence[psutil.Process], limit_s: float) -> float:
    """Wait until processes have ended, buried or not; returns how long that took, in seconds."""
    started_at = time.monotonic()
    while left := [one for one in processes if is_running(one)]:
        took_s = time.monotonic() - started_at
        assert took_s < limit_s, f"still there after {limit_s} s: {left}"
        time.sleep(0.01)
    return time.monotonic() - started_at


def is_running(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def read_modes(folder: Path) -> Mapping[str, int]:
    """The permission bits of everything in a folder and of itself."""
    paths = [folder, *folder.rglob("*")]
    return {str(path.relative_to(folder)): path.lstat().st_mode & 0o777 for path in paths}


def interrupt(process: subprocess.Popen[bytes]) -> None:
    """What Ctrl+C does."""
    process.send_signal(signal.SIGINT)
