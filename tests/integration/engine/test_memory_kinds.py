"""Models whose memory cannot simply be cut: recurrent ones and sliding windows."""

from collections.abc import Callable
from pathlib import Path

import pytest

from inglenook.engine.local import LocalEngine
from inglenook.engine.protocol import Cancel, Finished, Loaded, Prefill
from support.recorder import Recorder, make_generate

KINDS = ("mamba", "gemma3")
LONG = "the fire in the inglenook burns low and the sea sings on the road " * 4


@pytest.fixture(params=KINDS)
def odd(request: pytest.FixtureRequest, make_model: Callable[..., Path]) -> Path:
    """A model of each kind, calm enough that rounding does not change what it writes."""
    return make_model(architecture=request.param, never_ends=True, scale=0.1)


def test_replies_come_and_retries_agree(local: LocalEngine, recorder: Recorder, odd: Path) -> None:
    loaded = recorder.load(local, odd)
    assert isinstance(loaded, Loaded)
    assert loaded.kv_bytes > 0
    for run_id in ("a", "b", "c"):
        end = recorder.ask(local, run_id, LONG, max_tokens=30)
        assert isinstance(end, Finished)
    assert recorder.read_text("a") == recorder.read_text("b") == recorder.read_text("c")


def test_a_turn_that_goes_on_reuses_what_it_can(
    local: LocalEngine, recorder: Recorder, odd: Path
) -> None:
    recorder.load(local, odd)
    recorder.ask(local, "warm", LONG, max_tokens=0)
    turns = [("user", LONG), ("assistant", "the sea"), ("user", "and the road?")]
    alone = recorder.ask(local, "alone", turns, max_tokens=20)
    assert isinstance(alone, Finished)
    assert alone.usage.cached_tokens > alone.usage.prompt_tokens // 2
    other = LocalEngine(fresh := Recorder())
    try:
        fresh.load(other, odd)
        fresh.ask(other, "alone", turns, max_tokens=20)
        assert fresh.read_text("alone") == recorder.read_text("alone")
    finally:
        other.close()


def test_a_shorter_conversation_is_read_again(
    local: LocalEngine, recorder: Recorder, odd: Path
) -> None:
    """An edit far back: the window, or the state, is past it."""
    recorder.load(local, odd)
    recorder.ask(local, "plain", LONG[:120], max_tokens=20)
    recorder.ask(local, "long", LONG + LONG, max_tokens=100)
    recorder.ask(local, "again", LONG[:120], max_tokens=20)
    assert recorder.read_text("again") == recorder.read_text("plain")


def test_stop_while_reading_leaves_the_memory_usable(
    local: LocalEngine, recorder: Recorder, odd: Path
) -> None:
    recorder.load(local, odd, n_seq_max=2)
    recorder.ask(local, "plain", LONG, max_tokens=20)
    for i in range(10):
        local.submit(make_generate(f"kept{i}", LONG, max_tokens=20))
        local.submit(make_generate(f"r{i}", LONG[i:] + LONG, max_tokens=None))
        recorder.wait_for(lambda e: isinstance(e, Prefill) and e.run_id == f"r{i}")  # noqa: B023
        local.submit(Cancel(run_id=f"r{i}"))
        assert isinstance(recorder.wait_for_end(f"r{i}"), Finished)
        assert isinstance(recorder.wait_for_end(f"kept{i}"), Finished)
    recorder.ask(local, "again", LONG, max_tokens=20)
    assert recorder.read_text("again") == recorder.read_text("plain")
