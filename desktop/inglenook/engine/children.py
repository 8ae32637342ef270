"""Child processes of our own: how one is started, and what each does first.

The client starts the host, the host starts the template renderer. A child dies with its parent,
leaves no core dump, hears no Ctrl+C, and is the first to go when memory runs out.
"""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO, Final

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_DUMPABLE: Final = 4
_NOT_FOR_CHILDREN: Final = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")


def start_child(module: str, flag: str, errors: IO[bytes] | None = None) -> subprocess.Popen[bytes]:
    """Start `python -m module` (or, frozen, the program with `flag`) with pipes for both ways.

    What it writes to standard error goes to the file `errors`, if there is one, else nowhere. Call
    it from a thread that lives as long as the child: Linux ties the death signal to it.
    """
    frozen = bool(getattr(sys, "frozen", False))
    command = [sys.executable, flag] if frozen else [sys.executable, "-P", "-m", module]
    wants_stderr = bool(os.environ.get("INGLENOOK_ENGINE_STDERR"))
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=None if wants_stderr else errors or subprocess.DEVNULL,
        bufsize=0,
        env=_make_environment(),
        start_new_session=True,
    )


def _make_environment() -> dict[str, str]:
    env = {key: value for key, value in os.environ.items() if key not in _NOT_FOR_CHILDREN}
    package_home = str(Path(__file__).resolve().parents[2])
    env["PYTHONPATH"] = os.pathsep.join(
        [package_home, *filter(None, [os.environ.get("PYTHONPATH")])]
    )
    # How long OpenMP threads spin before they sleep: the library's own choice loses half its speed
    # beside one busy neighbour process, this one costs nothing on a quiet machine.
    env.setdefault("GOMP_SPINCOUNT", "10000")
    return env


def claim_pipes() -> tuple[int, int]:
    """Take the two pipes out of the way of stray prints; returns (commands in, events out).

    Afterwards reading standard input gives nothing, and printing goes to standard error.
    """
    commands, events = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    os.close(nothing)
    return commands, events


def harden_process() -> None:
    """Die with the parent, dump no core, ignore Ctrl+C, be first out of memory."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text("900")
        import ctypes

        prctl = ctypes.CDLL(None).prctl
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
