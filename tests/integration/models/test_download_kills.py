"""A download that is killed at random moments (D08): resumed each time, right in the end.

INGLENOOK_REPEATS says how often it is killed.
"""

import contextlib
import hashlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from inglenook.base.paths import Profile
from support.loopback_hub import LoopbackHub
from support.models import make_model

REPO = "maker/Tiny-GGUF"
FILE = "tiny-Q8_0.gguf"
N_BYTES = 64_000_000
BYTES_PER_S = 10_000_000
"""Of each connection."""


@contextlib.contextmanager
def open_downloader(home: Path, endpoint: str) -> Iterator["subprocess.Popen[str]"]:
    with subprocess.Popen(
        [sys.executable, "-m", "support.killed_downloads", str(home), endpoint, REPO],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        bufsize=1,
    ) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


def run_once(
    process: "subprocess.Popen[str]", hub: LoopbackHub, n_connections: int, kill_after_s: float
) -> int:
    """Let it download, and kill it so long after its first byte; its exit status.

    Times below zero count from its beginning: before it has asked for anything.
    """
    assert process.stdin is not None
    assert process.stdout is not None
    before = hub.bytes_served
    process.stdin.write(f"{n_connections}\n")
    pid = int(process.stdout.readline())
    is_over = threading.Event()

    def kill() -> None:
        while kill_after_s >= 0 and hub.bytes_served == before and not is_over.wait(0.005):
            pass
        if not is_over.wait(abs(kill_after_s)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    killer = threading.Thread(target=kill, name="killer")
    killer.start()
    status = int(process.stdout.readline())
    is_over.set()
    killer.join()
    return status


@pytest.mark.skipif(not hasattr(os, "fork"), reason="children are forked")
@pytest.mark.timeout(3600)
def test_D08_killed_at_random_moments_little_is_fetched_twice(
    loopback: LoopbackHub, profile: Profile, tmp_path: Path
) -> None:
    n_kills = int(os.environ.get("INGLENOOK_REPEATS", "12"))
    chance = random.Random(11)
    loopback.faults.bytes_per_s = BYTES_PER_S
    data = make_model(N_BYTES)
    loopback.add_repo(REPO, {FILE: data})
    n_killed = n_right = n_parallel = n_begun = 0
    with open_downloader(tmp_path / "home", loopback.endpoint) as process:
        while n_killed < n_kills:
            n_connections = chance.choice([0, 1, 3, 4])
            n_parallel += n_connections > 1
            whole_s = N_BYTES / BYTES_PER_S / max(1, n_connections)
            before = loopback.bytes_served
            status = run_once(process, loopback, n_connections, chance.uniform(-0.1, 1.1) * whole_s)
            n_killed += status == -signal.SIGKILL
            n_begun += loopback.bytes_served > before
            assert status in {0, -signal.SIGKILL}
            if status == 0 or n_killed == n_kills:
                if status:
                    assert run_once(process, loopback, 1, 120) == 0
                check_and_remove(profile, data)
                n_right += 1
    time.sleep(0.2)  # the hub's last words
    n_twice = loopback.bytes_served - n_right * len(data)
    share = n_twice / (n_right * len(data))
    print(
        f"\n{n_killed} kills of {n_right} downloads ({n_parallel} runs over several connections, "
        f"{n_begun} that had begun to fetch): every hash right, {share:.2%} fetched twice, "
        f"{n_twice / n_killed / 1000:.0f} kB for each kill"
    )
    # Of a download that is killed once; what was on its way in the kernel counts, too.
    assert n_twice / n_killed < 0.02 * len(data)


def check_and_remove(profile: Profile, data: bytes) -> None:
    """The one file is the right one, and nothing else is left."""
    files = [path for path in profile.models.rglob("*") if path.is_file()]
    kept = [path for path in files if path.parent.name != ".downloads"]
    assert [path.name for path in kept] == [FILE]
    assert hashlib.sha256(kept[0].read_bytes()).digest() == hashlib.sha256(data).digest()
    kept[0].unlink()
    (profile.data / "index.json").unlink()
