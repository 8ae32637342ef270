"""No socket to the network: of the window at idle, nor of anything while the app works offline.

strace follows every process of the program. Sockets of this machine alone (X11, AF_UNIX) are fine.
INGLENOOK_IDLE_S says how long the window idles.
"""

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from support.desktop import Desktop
from support.loopback_hub import LoopbackHub
from support.program import Program
from support.waiting import wait_for

WATCHED = "trace=execve,socket,connect,sendto,sendmsg,sendmmsg,bind"
OUTSIDE = re.compile(r".*(?:AF_INET|PF_INET|htons).*")


@pytest.fixture
def strace() -> list[str]:
    """The command that writes every system call on sockets to the file that is named next."""
    tool = shutil.which("strace")
    if tool is None:
        pytest.skip("strace is not installed (make test installs it where it may)")
    command = [tool, "-f", "-qq", "-I2", "-e", WATCHED, "-o"]
    probe = subprocess.run([*command, "/dev/null", "true"], capture_output=True)
    if probe.returncode:
        pytest.skip("this system does not allow tracing")
    return command


def list_outside(trace: Path) -> list[str]:
    """The calls that concern a network."""
    text = trace.read_text(errors="replace")
    assert "execve(" in text, "the trace must hold something"
    return OUTSIDE.findall(text)


@contextmanager
def open_traced_window(
    program: Program, desktop: Desktop, strace: list[str], trace: Path
) -> Iterator[psutil.Process]:
    """The window below strace; ends it as a person's session would."""
    command = [*strace, str(trace), *program.make_command()]

    def has_window(process: psutil.Process) -> bool:
        return desktop.find_window(process.pid) is not None

    with subprocess.Popen(
        command, env=program.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as tracer:
        try:
            # The tracer has short-lived children of its own first. Traced, all is much slower.
            window = wait_for(
                lambda: next(filter(has_window, psutil.Process(tracer.pid).children()), None),
                "the window opens",
                150,
            )
            yield window
            window.send_signal(signal.SIGTERM)
            window.wait(20)
            # A message bus that Qt has started goes on, and the tracer with it.
            tracer.terminate()
            tracer.wait(20)
        finally:
            with suppress(psutil.Error):
                for child in psutil.Process(tracer.pid).children(recursive=True):
                    child.kill()
            tracer.kill()


@pytest.mark.parametrize("is_offline", [False, True], ids=["online", "offline"])
@pytest.mark.timeout(900)
def test_F10_an_idle_window_opens_no_socket(
    window_program: Program, desktop: Desktop, strace: list[str], tmp_path: Path, is_offline: bool
) -> None:
    if is_offline:
        assert window_program.run("settings", "privacy.offline", "yes").code == 0
    trace = tmp_path / "trace"
    with open_traced_window(window_program, desktop, strace, trace):
        time.sleep(float(os.environ.get("INGLENOOK_IDLE_S", "8")))
    text = trace.read_text(errors="replace")
    assert "AF_UNIX" in text, "the window talks with the X server, and the trace sees that"
    assert "inglenook.engine.host" in text, "the trace must follow the engine, too"
    assert list_outside(trace) == []


def test_F10_a_conversation_in_the_terminal_offline_opens_no_socket(
    program: Program, strace: list[str], tmp_path: Path
) -> None:
    assert program.run("settings", "privacy.offline", "yes").code == 0
    trace = tmp_path / "trace"
    ended = program.run(
        "run", piped="what is a token?\n/model\nand a context?\n/bye\n",
        wrapper=[*strace, str(trace)],
    )  # fmt: skip
    assert ended.code == 0, ended.err
    assert ended.out.strip()
    assert "inglenook.engine.host" in trace.read_text(errors="replace")
    assert list_outside(trace) == []


def test_D09_offline_not_even_a_download_opens_a_socket(
    make_program: Callable[..., Program], strace: list[str], tmp_path: Path
) -> None:
    with LoopbackHub() as hub:
        hub.add_repo("maker/Tiny-GGUF", {"tiny-Q8_0.gguf": b"GGUF"})
        program = make_program(HF_ENDPOINT=hub.endpoint, NO_PROXY="127.0.0.1")
        trace = tmp_path / "trace"
        wrapper = [*strace, str(trace)]
        # Online the same command connects, so that the test would see it.
        program.run("pull", "maker/Tiny-GGUF", wrapper=wrapper)
        assert list_outside(trace)
        assert program.run("settings", "privacy.offline", "yes").code == 0
        n_before = len(hub.list_requests())
        for command in (["pull", "maker/Tiny-GGUF"], ["updates"]):
            ended = program.run("--json", *command, wrapper=wrapper)
            assert command == ["updates"] or ended.read_error()["code"] == "offline"
            assert list_outside(trace) == []
        assert len(hub.list_requests()) == n_before
