"""A host that hangs, and one that never ends: told, restarted, stopped, over and over."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from inglenook.engine.client import ChildEngine, CrashPolicy, Patience
from inglenook.engine.protocol import (
    Cancel,
    EngineDied,
    Failed,
    Finished,
    Restart,
    Stuck,
)
from support.recorder import Recorder, make_generate

SILENCE_S = 1.5


@pytest.fixture
def watched(recorder: Recorder) -> Iterator[ChildEngine]:
    """An engine that soon tells that its child is stuck, and waits long before it ends it."""
    engine = ChildEngine(
        recorder,
        crashes=CrashPolicy(n_deaths=1_000_000),
        patience=Patience(silence_s=SILENCE_S, gives_up_s=30.0),
    )
    yield engine
    engine.close()


def freeze(engine: ChildEngine) -> int:
    pid = engine.state.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    return pid


def begin(engine: ChildEngine, recorder: Recorder, model: Path, run_id: str) -> None:
    recorder.load(engine, model)
    engine.submit(make_generate(run_id, "the sea", max_tokens=None))
    recorder.wait_for_text(run_id, 3)


def wait_until_stuck(recorder: Recorder) -> Stuck:
    event = recorder.wait_for(lambda e: isinstance(e, Stuck))
    assert isinstance(event, Stuck)
    return event


@pytest.mark.timeout(6000)
@pytest.mark.logs("the engine died")
def test_B02_a_stuck_child_is_told_and_a_restart_goes_on(
    watched: ChildEngine, recorder: Recorder, slow: Path, repeats: int
) -> None:
    for i in range(max(2, repeats // 10)):
        run_id = f"r{i}"
        begin(watched, recorder, slow, run_id)
        frozen_at = time.monotonic()
        pid = freeze(watched)
        stuck = wait_until_stuck(recorder)
        assert time.monotonic() - frozen_at < SILENCE_S + 3
        assert stuck.run_ids == (run_id,)
        assert stuck.silent_s > SILENCE_S
        assert not recorder.list_ends(run_id), "it is only told, not ended"
        asked_at = time.monotonic()
        watched.submit(Restart())
        end = recorder.wait_for_end(run_id)
        assert time.monotonic() - asked_at < 1.5
        assert isinstance(end, Failed)
        assert end.code == "engine_hung"
        assert recorder.read_text(run_id)
        died = recorder.wait_for(lambda e: isinstance(e, EngineDied))
        assert isinstance(died, EngineDied)
        assert died.broke_on == ""
        recorder.load(watched, slow)
        assert isinstance(recorder.ask(watched, f"again{i}", "the sea", max_tokens=3), Finished)
        assert watched.state.pid != pid
        recorder.events.clear()


@pytest.mark.logs("the engine died")
def test_B02_a_stuck_child_is_stopped_within_a_second_of_being_asked(
    watched: ChildEngine, recorder: Recorder, slow: Path
) -> None:
    begin(watched, recorder, slow, "r")
    freeze(watched)
    wait_until_stuck(recorder)
    asked_at = time.monotonic()
    watched.submit(Cancel(run_id="r"))
    end = recorder.wait_for_end("r")
    assert time.monotonic() - asked_at < 1.5  # Aim: one second; this machine may be busy.
    assert isinstance(end, Finished)
    assert end.reason == "cancelled"


def test_B02_a_child_that_gets_on_again_is_told_to(
    watched: ChildEngine, recorder: Recorder, slow: Path
) -> None:
    begin(watched, recorder, slow, "r")
    pid = freeze(watched)
    wait_until_stuck(recorder)
    os.kill(pid, signal.SIGCONT)
    recorder.wait_for(lambda e: isinstance(e, Stuck) and e.silent_s == 0.0)
    n_pieces = recorder.count_pieces("r")
    recorder.wait_for_text("r", n_pieces + 3)
    watched.submit(Cancel(run_id="r"))
    assert isinstance(recorder.wait_for_end("r"), Finished)


@pytest.mark.timeout(6000)
def test_B11_endless_replies_stop_at_once_and_memory_stays_flat(
    child: ChildEngine, recorder: Recorder, tiny: Path, repeats: int
) -> None:
    """The reply repeats itself for ever: nothing ends it but a full context or a person."""
    recorder.load(child, tiny)
    pid = child.state.pid
    assert pid is not None
    host = psutil.Process(pid)
    sizes: list[int] = []
    slowest_s = 0.0
    for i in range(repeats):
        run_id = f"r{i}"
        child.submit(make_generate(run_id, "the sea " * (1 + i % 7), max_tokens=None))
        recorder.wait_for_text(run_id, 20)
        asked_at = time.monotonic()
        child.submit(Cancel(run_id=run_id))
        end = recorder.wait_for_end(run_id)
        slowest_s = max(slowest_s, time.monotonic() - asked_at)
        assert isinstance(end, Finished)
        assert end.reason in {"cancelled", "context_full"}
        sizes.append(host.memory_info().rss)
        recorder.events.clear()
    assert slowest_s < 10.0
    settled = sizes[len(sizes) // 5]
    assert sizes[-1] < settled + 16_000_000
    print(f"\n{repeats} endless replies; slowest stop {slowest_s * 1000:.0f} ms")


def test_a_restart_without_a_child_does_nothing(watched: ChildEngine, recorder: Recorder) -> None:
    watched.submit(Restart())
    assert recorder.events == []
    assert watched.state.phase == "off"
