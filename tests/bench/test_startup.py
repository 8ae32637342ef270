"""How long the window takes to be up and answering, against Python and PySide6 alone.

    pytest tests/bench/test_startup.py -m bench -s

The installed program as a process on a display in memory, on a profile with conversations, from
its second start on. "Answers" is when the first paint is done and the event loop has turned. The
peer is an empty PySide6 window with one text field, by the same Python on the same display, and
takes turns with the program. Prints medians and ratios; asserts nothing on time.
"""

import contextlib
import os
import re
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

import psutil
import pytest

from inglenook.base.paths import open_profile
from inglenook.gui.placement import Placement, save_placement
from inglenook.store.records import Statistics
from inglenook.store.store import Store
from support.display import has_xvfb, open_display
from support.figures import format_table, mebibytes, median_ratio, milliseconds
from support.program import Program, is_engine

N_PAIRS: Final = 12
N_CONVERSATIONS: Final = 40
WAIT_S: Final = 60.0
SETTLE_S: Final = 1.0
"""Between two starts, so that the end of one does not disturb the next."""

PEER: Final = """
import sys, time
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication, QLineEdit, QVBoxLayout, QWidget

class Window(QWidget):
    def paintEvent(self, event):
        super().paintEvent(event)
        QTimer.singleShot(0, tell)

def tell():
    print(time.time(), time.process_time(), flush=True)

application = QApplication([])
window = Window()
QVBoxLayout(window).addWidget(QLineEdit())
window.resize(1180, 800)
window.show()
sys.exit(application.exec())
"""
IMPORTS: Final = {
    "Python alone": "pass",
    "PySide6 imported": "import PySide6.QtWidgets",
    "the window's code imported": "import inglenook.gui.application",
}
MILESTONES: Final = {
    "the profile is found whole": "the profile is open",
    "the window is made": "the window is made",
    "painted and answers": "the window answers",
    "the store is open": "the store is open",
    "the sidebar is filled": "the sidebar lists",
    "the conversation is shown": "a conversation is shown",
    "the engine has the model": "a model is loaded",
}
ANSWERS: Final = "painted and answers"
_LINE: Final = re.compile(r"(?P<at>\S+ \S+) (?P<pid>\d+) (?P<rest>.*)")
_PROCESSOR: Final = re.compile(r"answers after (\d+) ms")


@dataclass(slots=True)
class Started:
    """One start: seconds from the spawn, processor seconds until it answers, bytes in memory."""

    answers_s: float
    processor_s: float
    memory: dict[str, int] = field(default_factory=dict)
    milestones: dict[str, float] = field(default_factory=dict)


def fill_profile(home: Path) -> None:
    """Conversations as after some weeks, the newest on show."""
    profile = open_profile(home)
    store = Store.open(profile.database)
    newest = ""
    for number in range(N_CONVERSATIONS):
        user, reply = store.start_conversation(
            title=f"Conversation {number}",
            system_prompt=None,
            text=f"Question {number}: how do I sort a large file?",
            model_id="builtin/guide",
            model_name="Inglenook Guide",
        )
        store.finish_message(
            reply.id,
            content="Sort it **on disk**: read pieces that fit, sort each, then merge them.\n\n"
            "1. Read a piece.\n2. Sort it.\n3. Write it.\n\nThe memory stays small. " * 3,
            status="complete",
            finish_reason="stop",
            error="",
            statistics=Statistics(),
        )
        newest = user.conversation_id
    store.close()
    save_placement(profile.data / "window.json", Placement(conversation_id=newest))


def start_program(program: Program) -> Started:
    """Start the window, wait until all is there, look, and end it as a desktop does."""
    log = program.home / "logs" / "inglenook.log"
    spawned_at = time.time()
    with program.start() as process:
        for part in MILESTONES.values():
            wait_for_line(log, process, part)
        lines = read_lines(log, process.pid)
        memory = read_memory(process)
        process.terminate()
        process.wait(WAIT_S)
    milestones: dict[str, float] = {}
    processor_s = 0.0
    for at, text in lines:
        for name, part in MILESTONES.items():
            if part in text:
                milestones.setdefault(name, at - spawned_at)
        if found := _PROCESSOR.search(text):
            processor_s = int(found[1]) / 1000
    return Started(milestones[ANSWERS], processor_s, memory, milestones)


def wait_for_line(log: Path, process: subprocess.Popen[bytes], part: str) -> None:
    deadline = time.monotonic() + WAIT_S
    while not any(part in text for _, text in read_lines(log, process.pid)):
        assert process.poll() is None, "the window ended by itself"
        assert time.monotonic() < deadline, f"not in the log in time: {part}"
        time.sleep(0.1)


def read_lines(log: Path, pid: int) -> list[tuple[float, str]]:
    """What a process has logged: when, in seconds since 1970, and the text."""
    if not log.exists():
        return []
    found = (_LINE.match(line) for line in log.read_text(encoding="utf-8").splitlines())
    return [
        (datetime.strptime(one["at"], "%Y-%m-%d %H:%M:%S,%f").astimezone().timestamp(), one["rest"])
        for one in found
        if one and int(one["pid"]) == pid
    ]


def read_memory(process: subprocess.Popen[bytes]) -> dict[str, int]:
    """Resident bytes of the window, the engine and the engine's renderer."""
    window = psutil.Process(process.pid)
    memory = {"the window": window.memory_info().rss}
    for child in window.children(recursive=True):
        with contextlib.suppress(psutil.Error):
            name = "the engine" if is_engine(child) else "the renderer"
            memory[name] = child.memory_info().rss
    return memory


def start_peer(env: dict[str, str]) -> Started:
    """Start the empty window."""
    spawned_at = time.time()
    process = subprocess.Popen([sys.executable, "-c", PEER], stdout=subprocess.PIPE, env=env)
    with process:
        assert process.stdout is not None
        at, processor_s = process.stdout.readline().split()
        memory = read_memory(process)
        process.terminate()
    return Started(float(at) - spawned_at, float(processor_s), memory)


def time_imports(env: dict[str, str]) -> dict[str, float]:
    """Seconds of processes that only import."""
    times = {}
    for name, code in IMPORTS.items():
        started_at = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True, env=env)
        times[name] = time.perf_counter() - started_at
    return times


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    """The program on a filled profile that has been started once, on a display in memory."""
    if not has_xvfb():
        pytest.skip("Xvfb is not here")
    mask = os.umask(0o077)
    with open_display() as display:
        made = Program(tmp_path / "home", DISPLAY=display, INGLENOOK_LOG="debug")
        fill_profile(made.home)
        start_program(made)
        yield made
    os.umask(mask)


@pytest.mark.bench
@pytest.mark.timeout(900)
def test_time_until_the_window_answers(program: Program) -> None:
    ours: list[Started] = []
    peers: list[Started] = []
    imports: dict[str, list[float]] = defaultdict(list)
    for _ in range(N_PAIRS):
        for name, took_s in time_imports(program.env).items():
            imports[name].append(took_s)
        peers.append(start_peer(program.env))
        time.sleep(SETTLE_S)
        ours.append(start_program(program))
        time.sleep(SETTLE_S)
    print("\n\n" + format_comparison(ours, peers))
    print("\n" + format_parts(ours, imports))


def format_comparison(ours: list[Started], peers: list[Started]) -> str:
    """The program beside its peer."""

    def compare(
        name: str, read: Callable[[Started], float], write: Callable[[list[float]], str]
    ) -> tuple[str, ...]:
        a, b = [read(one) for one in ours], [read(one) for one in peers]
        return name, write(a), write(b), f"{median_ratio(a, b):.2f}"

    rows = [
        compare("start until it answers", lambda one: one.answers_s, milliseconds),
        compare("processor time until then", lambda one: one.processor_s, milliseconds),
        compare("memory of the window", lambda one: one.memory["the window"], mebibytes),
    ]
    for part in ("the engine", "the renderer"):
        sizes = [float(one.memory[part]) for one in ours if part in one.memory]
        rows.append((f"memory of {part}", mebibytes(sizes), "-", "-"))
    head = (f"medians of {len(ours)} pairs", "Inglenook", "empty window", "ratio")
    return format_table(head, rows)


def format_parts(ours: list[Started], imports: dict[str, list[float]]) -> str:
    """Where the time goes: what stands below each other is counted from the start."""
    rows = [(name, milliseconds(times)) for name, times in imports.items()]
    for name in MILESTONES:
        times = [one.milestones[name] for one in ours if name in one.milestones]
        rows.append((name, milliseconds(times)))
    return format_table(("from the start until", "median"), rows)
