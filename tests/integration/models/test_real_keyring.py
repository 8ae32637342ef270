"""The token in a real keyring: a Secret Service on a bus of its own, where one is installed."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

TOKEN = "hf_canary_0123456789"
SESSION = """
echo -n secret | gnome-keyring-daemon --unlock --components=secrets --daemonize >&2
"$1" -c "$2" "$3"
"""
STEPS = f"""
import json, sys
from pathlib import Path
from inglenook.models.hub_token import HubToken
path = Path(sys.argv[1])
def make():
    return HubToken(path, "hub.example")
seen = {{"saved": make().save({TOKEN!r}), "text": path.read_text(), "loaded": make().load()}}
make().forget()
seen |= {{"after": make().load(), "place": make().place, "is_file": path.exists()}}
print(json.dumps(seen))
"""


def run_session(home: Path, steps: str) -> dict[str, Any]:
    """Run Python code on a message bus of its own, with an unlocked keyring in `home`."""
    run = home / "run"
    run.mkdir(mode=0o700)
    env = {k: v for k, v in os.environ.items() if not k.startswith(("DBUS_", "PYTHON_KEYRING"))}
    env |= {
        "HOME": str(home),
        "XDG_DATA_HOME": str(home / "data"),
        "XDG_CACHE_HOME": str(home / "cache"),
        "XDG_RUNTIME_DIR": str(run),
    }
    done = subprocess.run(
        ["dbus-run-session", "--", "bash", "-c", SESSION, "session", sys.executable, steps,
         str(home / "hub-token.json")],
        env=env, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    lines = done.stdout.splitlines()
    assert lines, done.stderr
    seen: dict[str, Any] = json.loads(lines[-1])
    return seen


@pytest.mark.skipif(
    not (shutil.which("dbus-run-session") and shutil.which("gnome-keyring-daemon")),
    reason="no Secret Service is installed (gnome-keyring)",
)
def test_a_token_in_a_real_keyring(tmp_path: Path) -> None:
    seen = run_session(tmp_path, STEPS)
    assert seen["saved"] == "keyring"
    assert TOKEN not in seen["text"]
    assert seen["loaded"] == TOKEN
    assert (seen["after"], seen["place"], seen["is_file"]) == ("", "", False)
    for path in (tmp_path / "data").rglob("*"):
        assert not path.is_file() or TOKEN.encode() not in path.read_bytes()
