"""An X display of one's own, drawn into memory: Xvfb on a free number, without any wrapper."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROGRAM = "Xvfb"


def has_xvfb() -> bool:
    """Whether Xvfb is installed."""
    return shutil.which(PROGRAM) is not None


@contextmanager
def open_display(width: int = 1400, height: int = 900, frames: Path | None = None) -> Iterator[str]:
    """Start Xvfb, which chooses a free display by itself; yields its name, for example ":99".

    With `frames`, what is on the screen can be read from the file Xvfb_screen0 in that folder.
    """
    reader, writer = os.pipe()
    size = f"{width}x{height}x24"
    command = [PROGRAM, "-displayfd", str(writer), "-screen", "0", size, "-nolisten", "tcp"]
    if frames is not None:
        command += ["-fbdir", str(frames)]
    process = subprocess.Popen(
        [*command, "-noreset", "-ac"], pass_fds=(writer,), stderr=subprocess.DEVNULL
    )
    os.close(writer)
    try:
        with os.fdopen(reader) as pipe:
            number = pipe.readline().strip()
        if not number:
            raise RuntimeError("Xvfb did not start")
        yield f":{number}"
    finally:
        process.terminate()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
