"""FAULTS C01: kill -9 of the whole app while a reply streams."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROUNDS = Path(__file__).parent / "kill_rounds.py"
TESTS = Path(__file__).parents[2]


@pytest.mark.timeout(6000)
def test_C01_kill_9_in_mid_stream_loses_nothing_that_was_due(tmp_path: Path) -> None:
    repeats = int(os.environ.get("INGLENOOK_REPEATS", "50"))
    paths = os.pathsep.join(str(path) for path in (TESTS.parent / "desktop", TESTS))
    done = subprocess.run(
        [sys.executable, str(ROUNDS), str(tmp_path / "home"), str(repeats), "1"],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=120 + repeats * 10,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    report = json.loads(done.stdout)
    print(report)
    assert report["wrong"] == []
    assert report["integrity"] == "ok"
    assert report["sent"] > repeats / 3
    assert report["streamed"] > repeats / 5
    assert report["drafted"] > repeats / 10
    assert report["longest_open_s"] < 2
