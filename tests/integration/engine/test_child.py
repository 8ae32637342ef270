"""The child process: killed, stopped, forging, orphaned. Real children, real signals."""

import itertools
import os
import random
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from inglenook.engine import child as child_module
from inglenook.engine.client import ChildEngine, CrashPolicy, Patience
from inglenook.engine.protocol import (
    FRAME_LIMIT_BYTES,
    Cancel,
    CountTokens,
    EngineDied,
    Failed,
    Finished,
    Load,
    Loaded,
    LoadFailed,
    PromptMessage,
    Text,
    TokenCount,
    Unload,
)
from support.program import wait_until_gone
from support.recorder import Recorder, make_generate

REPOSITORY = Path(__file__).resolve().parents[3]
SIGNALS = (signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT)


def find_pid(engine: ChildEngine) -> int:
    pid = engine.state.pid
    assert pid is not None
    return pid


def test_reply_through_the_pipe(child: ChildEngine, recorder: Recorder, tiny: Path) -> None:
    assert child.state.phase == "off"
    loaded = recorder.load(child, tiny)
    assert isinstance(loaded, Loaded)
    assert child.state.ready is not None
    assert child.state.ready.pid == child.state.pid != os.getpid()
    end = recorder.ask(child, "r", "the sea", max_tokens=20)
    assert isinstance(end, Finished)
    assert end.usage.output_tokens == 20


@pytest.mark.logs("the engine died", "inglenook.engine.native")
def test_B01_killed_at_a_random_token_keeps_the_text_and_starts_again(
    child: ChildEngine, recorder: Recorder, slow: Path, repeats: int
) -> None:
    rng = random.Random(1)
    for i in range(repeats):
        recorder.load(child, slow)
        run_id = f"r{i}"
        child.submit(make_generate(run_id, "the sea", max_tokens=None))
        recorder.wait_for_text(run_id, rng.randrange(1, 60))
        os.kill(find_pid(child), rng.choice(SIGNALS))
        end = recorder.wait_for_end(run_id)
        assert isinstance(end, Failed)
        assert end.code == "engine_died"
        assert end.usage.output_tokens == max(
            e.n_tokens for e in recorder.events if isinstance(e, Text) and e.run_id == run_id
        )
        assert recorder.read_text(run_id)
        recorder.wait_for(lambda e: isinstance(e, EngineDied))
        assert len(recorder.list_ends(run_id)) == 1
        recorder.events.clear()
    recorder.load(child, slow)
    assert isinstance(recorder.ask(child, "last", "the sea"), Finished)


@pytest.mark.logs("the engine died")
def test_B01_crash_loop_backs_off(recorder: Recorder, tiny: Path) -> None:
    engine = ChildEngine(recorder, crashes=CrashPolicy(n_deaths=3, window_s=60, pause_s=1.5))
    try:
        for i in range(3):
            recorder.load(engine, tiny)
            os.kill(find_pid(engine), signal.SIGKILL)
            recorder.wait_for(
                lambda e: (
                    isinstance(e, EngineDied)
                    and sum(isinstance(x, EngineDied) for x in recorder.events) == i + 1  # noqa: B023
                )
            )
        refused = recorder.load(engine, tiny)
        assert isinstance(refused, LoadFailed)
        assert refused.code == "engine_died"
        assert engine.state.pid is None
        time.sleep(1.6)
        assert isinstance(recorder.load(engine, tiny), Loaded)
    finally:
        engine.close()


@pytest.mark.logs("the engine died")
def test_killed_while_loading_fails_the_load(
    child: ChildEngine, recorder: Recorder, slow: Path
) -> None:
    child.submit(Load(model_id="m", path=str(slow)))
    recorder.wait_for(lambda _: child.state.pid is not None)
    os.kill(find_pid(child), signal.SIGKILL)
    failed = recorder.wait_for(lambda e: isinstance(e, Loaded | LoadFailed))
    assert isinstance(failed, LoadFailed)
    assert failed.code == "engine_died"


@pytest.mark.logs("the engine died")
def test_B02_stop_works_on_a_hung_child(child: ChildEngine, recorder: Recorder, slow: Path) -> None:
    recorder.load(child, slow)
    child.submit(make_generate("r", "the sea", max_tokens=None))
    recorder.wait_for_text("r", 5)
    os.kill(find_pid(child), signal.SIGSTOP)
    time.sleep(0.2)
    started = time.monotonic()
    child.submit(Cancel(run_id="r"))
    end = recorder.wait_for_end("r")
    took_s = time.monotonic() - started
    print(f"\na hung child was stopped in {took_s:.2f} s")  # Aim: one second.
    assert took_s < 5, "it was the stop that ended it, not the watch for silence"
    assert isinstance(end, Finished)
    assert end.reason == "cancelled"
    assert end.usage.output_tokens >= 5
    recorder.load(child, slow)
    assert isinstance(recorder.ask(child, "s", "the sea"), Finished)


@pytest.mark.logs("the engine died")
def test_B02_hung_child_is_noticed(recorder: Recorder, slow: Path) -> None:
    engine = ChildEngine(recorder, patience=Patience(silence_s=1.0, gives_up_s=1.5))
    try:
        recorder.load(engine, slow)
        engine.submit(make_generate("r", "the sea", max_tokens=None))
        recorder.wait_for_text("r", 5)
        os.kill(find_pid(engine), signal.SIGSTOP)
        end = recorder.wait_for_end("r")
        assert isinstance(end, Failed)
        assert end.code == "engine_hung"
    finally:
        engine.close()


def test_idle_child_is_left_alone(recorder: Recorder, tiny: Path) -> None:
    engine = ChildEngine(recorder, patience=Patience(silence_s=1.0, gives_up_s=2.0))
    try:
        recorder.load(engine, tiny)
        pid = find_pid(engine)
        time.sleep(2.5)
        assert engine.state.pid == pid
    finally:
        engine.close()


def test_B06_unload_switch_and_quit_while_writing(
    recorder: Recorder, tiny: Path, tiny_two: Path, slow: Path, repeats: int
) -> None:
    rng = random.Random(6)
    engine = ChildEngine(recorder)
    asked: list[str] = []
    try:
        for i in range(repeats):
            if rng.random() < 0.15:
                engine.close()
                engine = ChildEngine(recorder)
            path = rng.choice([tiny, tiny_two, slow])
            engine.submit(Load(model_id=str(path), path=str(path)))
            for k in range(rng.randrange(1, 4)):
                asked.append(f"r{i}-{k}")
                engine.submit(make_generate(asked[-1], "the sea", max_tokens=150))
            if rng.random() < 0.7:
                recorder.wait_for(
                    lambda e: isinstance(e, Text | Failed | Finished) and e.run_id == asked[-1]
                )
            action = rng.random()
            if action < 0.3:
                engine.submit(Unload())
            elif action < 0.5:
                engine.submit(Cancel(run_id=rng.choice(asked)))
        engine.submit(Unload())
        for run_id in asked:
            assert len(recorder.list_ends(run_id)) <= 1
            end = recorder.wait_for_end(run_id)
            assert isinstance(end, Finished) or end.code in {"load_failed", "no_model"}
        assert not [e for e in recorder.events if isinstance(e, EngineDied)]
    finally:
        engine.close()


def test_close_is_quick_while_writing_and_idempotent(recorder: Recorder, slow: Path) -> None:
    engine = ChildEngine(recorder)
    recorder.load(engine, slow)
    engine.submit(make_generate("r", "the sea", max_tokens=None))
    recorder.wait_for_text("r", 5)
    host = psutil.Process(find_pid(engine))
    started = time.monotonic()
    engine.close()
    assert time.monotonic() - started < 8
    wait_until_gone([host], 2)
    engine.close()
    assert recorder.wait_for_end("r", 1).run_id == "r"
    assert not [e for e in recorder.events if isinstance(e, EngineDied)]
    assert engine.state.phase == "off"


def test_close_is_quick_on_a_hung_child(recorder: Recorder, slow: Path) -> None:
    engine = ChildEngine(recorder)
    recorder.load(engine, slow)
    engine.submit(make_generate("r", "the sea", max_tokens=None))
    recorder.wait_for_text("r")
    host = psutil.Process(find_pid(engine))
    host.suspend()
    started = time.monotonic()
    engine.close()
    assert time.monotonic() - started < 8
    wait_until_gone([host], 2)
    end = recorder.wait_for_end("r", 1)
    assert isinstance(end, Finished)


def test_close_right_after_the_first_command(recorder: Recorder, tiny: Path) -> None:
    for i in range(5):
        engine = ChildEngine(recorder)
        engine.submit(Load(model_id="m", path=str(tiny)))
        engine.submit(make_generate(f"r{i}", "the sea"))
        time.sleep(i * 0.05)
        engine.close()
        assert recorder.wait_for_end(f"r{i}", 1).run_id == f"r{i}"


def test_commands_that_need_no_child_start_none(child: ChildEngine, recorder: Recorder) -> None:
    child.submit(Unload())
    child.submit(CountTokens(request_id="c", messages=(PromptMessage("user", "x"),)))
    child.submit(Cancel(run_id="r"))
    recorder.wait_for(lambda e: isinstance(e, TokenCount))
    assert child.state.phase == "off"


def test_prompt_longer_than_a_frame_is_refused_here(
    child: ChildEngine, recorder: Recorder, tiny: Path
) -> None:
    recorder.load(child, tiny)
    end = recorder.ask(child, "r", "x" * (FRAME_LIMIT_BYTES + 1))
    assert isinstance(end, Failed)
    assert end.code == "prompt_too_long"
    assert isinstance(recorder.ask(child, "s", "the sea"), Finished)


FORGERIES = {
    "a frame of 1 GB": struct.pack("<I", 1 << 30) + b"x" * 100,
    "no MessagePack": struct.pack("<I", 5) + b"\xc1\xc1\xc1\xc1\xc1",
    "unknown event": struct.pack("<I", 8) + b"\x81\xa4type\xa1x",
    "half a frame": struct.pack("<I", 100) + b"abc",
}


@pytest.mark.logs("the engine died", "told of a reply")
@pytest.mark.parametrize("name", FORGERIES)
def test_B15_forged_frames_end_the_child_only(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    forgery = tmp_path / "forgery.bin"
    forgery.write_bytes(FORGERIES[name])
    script = (
        f"import os, sys, time; os.write(1, open({str(forgery)!r}, 'rb').read()); "
        f"{'sys.exit()' if name == 'half a frame' else 'time.sleep(60)'}"
    )

    def start(_module: str, _flag: str, _errors: object) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-c", script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )

    monkeypatch.setattr(child_module, "start_child", start)
    engine = ChildEngine(recorder)
    try:
        engine.submit(make_generate("r", "hello"))
        end = recorder.wait_for_end("r")
        assert isinstance(end, Failed)
        assert end.code == "engine_died"
    finally:
        engine.close()


@pytest.mark.logs("the engine died", "told of a reply")
def test_B15_events_of_unknown_replies_are_dropped(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = (
        "import msgspec, os, sys\n"
        "from inglenook.engine.frames import encode_frame\n"
        "from inglenook.engine.protocol import Text\n"
        "os.write(1, encode_frame(Text(run_id='other', piece='forged', n_tokens=1)))\n"
    )

    def start(_module: str, _flag: str, _errors: object) -> subprocess.Popen[bytes]:
        env = {**os.environ, "PYTHONPATH": str(REPOSITORY / "desktop")}
        command = [sys.executable, "-c", script]
        return subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, env=env
        )

    monkeypatch.setattr(child_module, "start_child", start)
    engine = ChildEngine(recorder)
    try:
        engine.submit(make_generate("r", "hello"))
        recorder.wait_for_end("r")
        assert not [e for e in recorder.events if isinstance(e, Text)]
    finally:
        engine.close()


PARENT = """
import sys, threading
from inglenook.engine.client import ChildEngine
from inglenook.engine.protocol import *
seen = threading.Event()
def publish(event):
    if isinstance(event, Text):
        seen.set()
engine = ChildEngine(publish)
engine.submit(Load(model_id="m", path=sys.argv[1], options=LoadOptions(n_threads=1)))
engine.submit(Generate(run_id="r", messages=(PromptMessage("user", "the sea"),)))
seen.wait(60)
print(engine.state.pid, flush=True)
threading.Event().wait()
"""


@pytest.mark.leaks
def test_G02_children_go_when_the_parent_is_killed(slow: Path, repeats: int) -> None:
    at_once = 5
    for _ in range(0, repeats, at_once):
        parents = [start_parent(slow) for _ in range(at_once)]
        families = [find_family(parent) for parent in parents]
        for parent in parents:
            parent.kill()
        wait_until_gone([*itertools.chain(*families)], 2.0)
        for parent in parents:
            parent.communicate()


def start_parent(model: Path) -> subprocess.Popen[str]:
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY / "desktop")}
    command = [sys.executable, "-c", PARENT, str(model)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, env=env, text=True)


def find_family(parent: subprocess.Popen[str]) -> list[psutil.Process]:
    """The host that a parent told of, once it writes, and the host's template renderer."""
    assert parent.stdout is not None
    host = psutil.Process(int(parent.stdout.readline()))
    family = [host, *host.children(recursive=True)]
    assert len(family) == 2
    return family


@pytest.mark.logs("the engine died", "inglenook.engine.native")
def test_F09_no_core_dump_and_no_debugger(
    child: ChildEngine, recorder: Recorder, tiny: Path
) -> None:
    recorder.load(child, tiny)
    host = psutil.Process(find_pid(child))
    processes = [host, *host.children()]
    for process in processes:
        assert process.rlimit(psutil.RLIMIT_CORE) == (0, 0)
        assert Path(f"/proc/{process.pid}/oom_score_adj").read_text().strip() == "900"
        wchan = Path(f"/proc/{process.pid}/mem").stat()
        assert wchan.st_uid == 0, "not dumpable: its /proc files belong to root"
    folder = Path(f"/proc/{host.pid}/cwd").resolve()
    before = set(folder.iterdir())
    host.send_signal(signal.SIGSEGV)
    recorder.wait_for(lambda e: isinstance(e, EngineDied))
    assert not [p for p in set(folder.iterdir()) - before if "core" in p.name]


DUMPABLE = """
import ctypes
from inglenook.engine.children import harden_process
harden_process()
print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))
"""


def test_F09_hardened_process_is_not_dumpable() -> None:
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY / "desktop")}
    done = subprocess.run(
        [sys.executable, "-c", DUMPABLE], env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "0"


def test_host_starts_without_heavy_imports() -> None:
    """What the child imports before it can hear a command."""
    code = (
        "import sys; import inglenook.engine.host; "
        "print([m for m in ('numpy', 'jinja2', 'llama_cpp', 'psutil', 'PySide6', 'sqlalchemy') "
        "if m in sys.modules])"
    )
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY / "desktop")}
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
