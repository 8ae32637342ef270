"""Models whose memory cannot simply be cut: recurrent ones and sliding windows."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from inglenook.engine.local import LocalEngine
from inglenook.engine.protocol import (
    Cancel,
    Finished,
    Loaded,
    Prefill,
    PromptMessage,
    ReadAhead,
)
from support.recorder import Recorder, make_generate
from support.tiny_gguf import CHATML

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


def check_against_fresh(
    recorder: Recorder, odd: Path, run_id: str, turns: list[tuple[str, str]]
) -> None:
    """A new engine, with nothing in memory, writes the same."""
    other = LocalEngine(fresh := Recorder())
    try:
        fresh.load(other, odd)
        fresh.ask(other, run_id, turns, max_tokens=20)
        assert fresh.read_text(run_id) == recorder.read_text(run_id)
    finally:
        other.close()


def test_another_version_of_a_reply_reads_nothing_again(
    local: LocalEngine, recorder: Recorder, odd: Path
) -> None:
    recorder.load(local, odd)
    first = recorder.ask(local, "first", LONG, max_tokens=100)
    again = recorder.ask(local, "again", LONG, max_tokens=100)
    assert first.usage.cached_tokens == 0
    assert again.usage.cached_tokens == again.usage.prompt_tokens - 1
    assert recorder.read_text("again") == recorder.read_text("first")


def test_another_question_in_place_of_the_last_goes_back_to_the_one_before(
    local: LocalEngine, recorder: Recorder, odd: Path
) -> None:
    recorder.load(local, odd)
    turns = [("user", LONG)]
    first = recorder.ask(local, "1", turns, max_tokens=30)
    turns += [("assistant", "the sea"), ("user", "and the road? " * 12)]
    recorder.ask(local, "2", turns, max_tokens=100)
    turns[-1] = ("user", "the kettle sings")
    third = recorder.ask(local, "3", turns, max_tokens=20)
    assert third.usage.cached_tokens >= first.usage.prompt_tokens - 1
    check_against_fresh(recorder, odd, "3", turns)


def test_history_is_read_ahead_and_a_draft_is_not(
    local: LocalEngine, recorder: Recorder, odd: Path
) -> None:
    recorder.load(local, odd)
    turns = [("user", LONG * 3), ("assistant", "the sea")]
    messages = tuple(PromptMessage(role, text) for role, text in turns)  # type: ignore[arg-type]
    draft = PromptMessage("user", "what I am just typ")
    local.submit(ReadAhead(messages=(*messages, draft), scope="c"))
    worker = local._worker
    assert worker is not None
    deadline = time.monotonic() + 20
    while worker._session is None or not worker._session.scheduler._slots.n_used > 150:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    while worker._session.scheduler.is_reading_ahead:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    turns += [("user", "and the road?")]
    end = recorder.ask(local, "r", turns, max_tokens=20)
    assert end.usage.cached_tokens > end.usage.prompt_tokens * 0.8
    check_against_fresh(recorder, odd, "r", turns)


OPENS = CHATML.replace("assistant\n{% endif %}", "assistant\n<think>\n{% endif %}")


def test_a_prompt_that_opens_reasoning_is_gone_back_to_before_that(
    local: LocalEngine, recorder: Recorder, make_model: Callable[..., Path]
) -> None:
    """The next prompt holds the answer alone, right where the reasoning was opened."""
    for kind in KINDS:
        path = make_model(f"{kind}.gguf", architecture=kind, template=OPENS, scale=0.1)
        loaded = recorder.load(local, path)
        assert isinstance(loaded, Loaded)
        assert loaded.reasoning == "always"
        turns = [("user", LONG)]
        first = recorder.ask(local, f"{kind}1", turns, max_tokens=30)
        turns += [("assistant", "the sea"), ("user", "and the road?")]
        second = recorder.ask(local, f"{kind}2", turns, max_tokens=20)
        assert second.usage.cached_tokens >= first.usage.prompt_tokens - 12
        check_against_fresh(recorder, path, f"{kind}2", turns)
