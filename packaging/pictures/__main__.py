"""Takes the pictures of every state of the window into assets/screenshots, light and dark.

    python packaging/pictures [NAME ...]

The real app on a profile of its own, with the built-in model in its own process, in a window on an
X display in memory (Xvfb). What cannot be had from the model alone is put into the store or comes
from a stand-in for the hub on this machine; no other network is used.
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path
from unittest.mock import patch

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "desktop"), str(ROOT / "tests")]

from prepared import (
    add_large_model,
    add_long_conversation,
    add_neighbours,
    add_slow_model,
    add_thinker,
    fill_hub,
    fill_profile,
)
from stage import open_stage
from states import STATES
from support.display import has_xvfb, open_display
from support.loopback_hub import Answer, LoopbackHub

TARGET = ROOT / "assets" / "screenshots"
SIZE = (1240, 800)
N_MESSAGES = 10_000
NEED_SLOW_MODEL = {
    "two-conversations", "waits-for-other-model", "stuck-engine", "gpu-out-of-memory",
}  # fmt: skip
NEED_THINKER = {"thinking", "thought"}
NEED_LARGE_MODEL = {"loading", "context-too-long"}


def take(name: str, scheme: str, person: Path) -> None:
    """Take one picture in the home folder of a person."""
    home = person / "Inglenook"
    shutil.rmtree(home, ignore_errors=True)
    with LoopbackHub() as hub:
        fill_hub(hub)
        with patch.dict(
            os.environ,
            {"HF_ENDPOINT": hub.endpoint, "NO_PROXY": "127.0.0.1", "HOME": str(person)},
        ):
            fill_profile(home)
            if name == "long-conversation":
                add_long_conversation(home, N_MESSAGES)
            if name in NEED_SLOW_MODEL:
                add_slow_model(home)
            if name in NEED_THINKER:
                add_thinker(home)
            if name in NEED_LARGE_MODEL:
                add_large_model(home)
            if name in {"models-found", "models-import"}:
                add_neighbours(person)
            if name == "models-hub-down":
                hub.faults.api.append(Answer(429, {"Retry-After": "40"}))
            with open_stage(home, scheme, SIZE) as stage:
                STATES[name](stage)
                stage.wait(0.05)
                save(stage.window, TARGET / f"{name}-{scheme}.png")


def save(window, path: Path) -> None:  # noqa: ANN001
    """What the X display shows of the window, as a small PNG."""
    picture = window.screen().grabWindow(window.winId()).toImage()
    path.parent.mkdir(parents=True, exist_ok=True)
    if not picture.save(str(path), "PNG", 0):
        raise RuntimeError(f"cannot write {path}")
    print(f"{path.relative_to(ROOT)}  {path.stat().st_size // 1000} kB", flush=True)


def main(names: list[str]) -> int:
    """Take the named pictures, or all."""
    unknown = [name for name in names if name not in STATES]
    if unknown or not has_xvfb():
        print(f"unknown: {', '.join(unknown)}" if unknown else "Xvfb is not installed")
        return 2
    with (
        open_display(SIZE[0] + 40, SIZE[1] + 40) as display,
        tempfile.TemporaryDirectory() as folder,
    ):
        os.environ["DISPLAY"] = display
        os.environ["QT_QPA_PLATFORM"] = "xcb"
        for name in names or STATES:
            for scheme in ("light", "dark"):
                take(name, scheme, Path(folder))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
