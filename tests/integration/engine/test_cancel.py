"""Stopping: in the queue, while the prompt is read, while the reply is written, while loading."""

import time
from pathlib import Path

from inglenook.engine.local import LocalEngine
from inglenook.engine.protocol import (
    Cancel,
    Finished,
    Load,
    LoadFailed,
    Prefill,
    Unload,
    Unloaded,
)
from support.recorder import Recorder, make_generate

SOON_S = 0.5


def stop(engine: LocalEngine, recorder: Recorder, run_id: str) -> Finished:
    started = time.monotonic()
    engine.submit(Cancel(run_id=run_id))
    end = recorder.wait_for_end(run_id)
    assert time.monotonic() - started < SOON_S
    assert isinstance(end, Finished)
    assert end.reason == "cancelled"
    return end


def test_stop_while_writing(local: LocalEngine, recorder: Recorder, slow: Path) -> None:
    recorder.load(local, slow)
    local.submit(make_generate("r", "the sea", max_tokens=None))
    recorder.wait_for_text("r", 30)
    end = stop(local, recorder, "r")
    assert end.usage.output_tokens >= 30
    n_pieces = recorder.count_pieces("r")
    time.sleep(0.1)
    assert recorder.count_pieces("r") == n_pieces


def test_stop_while_reading_the_prompt(local: LocalEngine, recorder: Recorder, slow: Path) -> None:
    recorder.load(local, slow)
    local.submit(make_generate("r", "sea x " * 2000, max_tokens=None))
    recorder.wait_for(lambda e: isinstance(e, Prefill) and e.n_done > 0)
    end = stop(local, recorder, "r")
    assert end.usage.output_tokens == 0
    assert end.usage.prompt_tokens > 4000
    last = [e for e in recorder.events if isinstance(e, Prefill)][-1]
    assert last.n_done < last.n_prompt


def test_what_was_read_before_a_stop_is_reused(
    local: LocalEngine, recorder: Recorder, slow: Path
) -> None:
    recorder.load(local, slow)
    local.submit(make_generate("r", "sea x " * 700, max_tokens=None))
    recorder.wait_for(lambda e: isinstance(e, Prefill) and e.n_done > 0)
    stop(local, recorder, "r")
    local.submit(make_generate("s", "sea x " * 700, max_tokens=1))
    end = recorder.wait_for_end("s")
    assert end.usage.cached_tokens >= 128


def test_stop_one_of_two_leaves_the_other_unchanged(
    local: LocalEngine, recorder: Recorder, slow: Path
) -> None:
    recorder.load(local, slow)
    recorder.ask(local, "alone", "the sea", max_tokens=300)
    local.submit(make_generate("kept", "the sea", max_tokens=300))
    local.submit(make_generate("stopped", "the long road", max_tokens=None))
    recorder.wait_for_text("stopped", 10)
    stop(local, recorder, "stopped")
    assert isinstance(recorder.wait_for_end("kept"), Finished)
    assert recorder.read_text("kept") == recorder.read_text("alone")


def test_stop_in_the_queue(local: LocalEngine, recorder: Recorder, slow: Path) -> None:
    recorder.load(local, slow, n_seq_max=1)
    local.submit(make_generate("first", "the sea", max_tokens=None))
    local.submit(make_generate("second", "the road", max_tokens=None))
    recorder.wait_for_text("first")
    end = stop(local, recorder, "second")
    assert end.usage.output_tokens == 0
    stop(local, recorder, "first")


def test_stop_right_after_asking(local: LocalEngine, recorder: Recorder, tiny: Path) -> None:
    recorder.load(local, tiny)
    for i in range(50):
        local.submit(make_generate(f"r{i}", "the sea", max_tokens=None))
        local.submit(Cancel(run_id=f"r{i}"))
    for i in range(50):
        end = recorder.wait_for_end(f"r{i}")
        assert isinstance(end, Finished)
        assert len(recorder.list_ends(f"r{i}")) == 1


def test_stop_of_something_unknown_or_over_is_nothing(
    local: LocalEngine, recorder: Recorder, tiny: Path
) -> None:
    recorder.load(local, tiny)
    recorder.ask(local, "r", "the sea")
    local.submit(Cancel(run_id="r"))
    local.submit(Cancel(run_id="never"))
    recorder.ask(local, "s", "the sea")
    assert len(recorder.list_ends("r")) == 1
    assert not recorder.list_ends("never")


def test_B11_endless_generation_stops_at_once(
    local: LocalEngine, recorder: Recorder, slow: Path
) -> None:
    recorder.load(local, slow)
    local.submit(make_generate("r", "the sea", max_tokens=None))
    recorder.wait_for_text("r", 300)
    stop(local, recorder, "r")


def test_unload_stops_a_load(local: LocalEngine, recorder: Recorder, slow: Path) -> None:
    local.submit(Load(model_id="m", path=str(slow)))
    local.submit(make_generate("r", "the sea"))
    local.submit(Unload())
    recorder.wait_for(lambda e: isinstance(e, Unloaded))
    end = recorder.wait_for_end("r")
    assert end.timings.total_s < SOON_S * 10
    failed = [e for e in recorder.events if isinstance(e, LoadFailed)]
    assert [e.code for e in failed] in ([], ["cancelled"])


def test_another_load_stops_the_first(
    local: LocalEngine, recorder: Recorder, slow: Path, tiny: Path
) -> None:
    for _ in range(5):
        local.submit(Load(model_id="slow", path=str(slow)))
        loaded = recorder.load(local, tiny)
        assert loaded.model_id == str(tiny)
        assert local.state.phase == "ready"
