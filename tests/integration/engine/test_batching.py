"""Several replies at once, reuse between turns, and that neither changes what is written."""

import itertools
import random
from pathlib import Path

import pytest

from inglenook.engine.llama import Context
from inglenook.engine.local import LocalEngine
from inglenook.engine.protocol import Cancel, Failed, Finished, Prefill, Sampling
from support.recorder import GREEDY, Recorder, make_generate

WORDS = ["the", "fire", "in", "a", "inglenook", "burns", "low", "and", "sea", "sings", "road"]


def make_text(seed: int, n_words: int = 30) -> str:
    rng = random.Random(seed)
    return " ".join(rng.choice(WORDS) for _ in range(n_words))


QUESTIONS = (
    "how do I add a bigger model?",
    "what is a token",
    "why is it slow",
    "what does Q4_K_M mean?",
    "hello",
    "who made you",
    "what is the KV cache",
    "how can I delete a chat",
    "what is temperature",
    "does it need the internet",
)


def test_greedy_is_the_same_alone_batched_and_cached(
    local: LocalEngine, recorder: Recorder, guide: Path
) -> None:
    """Other batch sizes round differently, which can turn a near tie: one in ten may differ."""
    recorder.load(local, guide, n_seq_max=4)
    for i, text in enumerate(QUESTIONS):
        recorder.ask(local, f"alone{i}", text, max_tokens=40)
        cached = recorder.ask(local, f"cached{i}", text, max_tokens=40)
        assert cached.usage.cached_tokens == cached.usage.prompt_tokens - 1
    for i, text in enumerate(QUESTIONS):
        local.submit(make_generate(f"batched{i}", text, max_tokens=40))
    n_same = 0
    for i in range(len(QUESTIONS)):
        assert isinstance(recorder.wait_for_end(f"batched{i}"), Finished)
        alone = recorder.read_text(f"alone{i}")
        assert recorder.read_text(f"cached{i}") == alone
        n_same += recorder.read_text(f"batched{i}") == alone
    assert n_same >= len(QUESTIONS) - 1


def test_next_turn_reads_only_what_is_new(
    local: LocalEngine, recorder: Recorder, tiny: Path
) -> None:
    recorder.load(local, tiny)
    turns = [("user", make_text(1, 60))]
    first = recorder.ask(local, "1", turns, max_tokens=20)
    # Random weights write bytes that are no text; what can be told again is what is reused.
    turns += [("assistant", recorder.read_text("1")), ("user", "and the road?")]
    second = recorder.ask(local, "2", turns, max_tokens=5)
    assert first.usage.cached_tokens == 0
    assert second.usage.cached_tokens >= first.usage.prompt_tokens
    prefill = next(e for e in recorder.events if isinstance(e, Prefill) and e.run_id == "2")
    assert prefill.n_done == prefill.n_cached == second.usage.cached_tokens


def test_two_conversations_keep_their_caches(
    local: LocalEngine, recorder: Recorder, tiny: Path
) -> None:
    recorder.load(local, tiny)
    for name in ("a", "b"):
        recorder.ask(local, f"{name}1", name * 50, max_tokens=3)
    for name in ("a", "b"):
        again = recorder.ask(local, f"{name}2", name * 50, max_tokens=3)
        assert again.usage.cached_tokens == again.usage.prompt_tokens - 1


def test_shared_beginning_is_copied_not_read_again(
    local: LocalEngine, recorder: Recorder, tiny: Path
) -> None:
    recorder.load(local, tiny)
    system = ("system", make_text(5, 80))
    first = recorder.ask(local, "1", [system, ("user", "x" * 200)], max_tokens=3)
    second = recorder.ask(local, "2", [system, ("user", "the sea")], max_tokens=3)
    third = recorder.ask(local, "3", [system, ("user", "x" * 200)], max_tokens=3)
    assert second.usage.cached_tokens > second.usage.prompt_tokens * 0.8
    assert third.usage.cached_tokens == first.usage.prompt_tokens - 1


def test_B05_fifty_requests_at_once_are_all_right(
    local: LocalEngine, recorder: Recorder, guide: Path
) -> None:
    recorder.load(local, guide, n_seq_max=4)
    for i, text in enumerate(QUESTIONS):
        recorder.ask(local, f"alone{i}", text, max_tokens=25)
    for i in range(50):
        local.submit(make_generate(f"r{i}", QUESTIONS[i % 10], max_tokens=25))
    n_same = 0
    for i in range(50):
        assert isinstance(recorder.wait_for_end(f"r{i}"), Finished)
        assert len(recorder.list_ends(f"r{i}")) == 1
        n_same += recorder.read_text(f"r{i}") == recorder.read_text(f"alone{i % 10}")
    assert n_same >= 45


def test_replies_run_side_by_side(local: LocalEngine, recorder: Recorder, slow: Path) -> None:
    recorder.load(local, slow)
    local.submit(make_generate("long", "the sea", max_tokens=600))
    recorder.wait_for_text("long", 20)
    local.submit(make_generate("short", make_text(3, 100), max_tokens=10))
    recorder.wait_for_end("short")
    assert not recorder.list_ends("long")
    assert isinstance(recorder.wait_for_end("long"), Finished)


def test_replies_that_outgrow_the_memory_together_all_end_well(
    local: LocalEngine, recorder: Recorder, tiny: Path
) -> None:
    """Three replies of 200 tokens in 512 cells: the youngest steps back and is read again.

    Reading at once rounds differently from writing one by one, so the texts may differ in the end;
    that nothing is out of place is for the scheduler's own tests.
    """
    recorder.load(local, tiny, n_ctx=512, n_seq_max=3)
    for i in range(3):
        local.submit(make_generate(f"r{i}", make_text(40 + i, 12), max_tokens=200))
    for i in range(3):
        end = recorder.wait_for_end(f"r{i}")
        assert isinstance(end, Finished)
        assert end.usage.output_tokens == 200


def test_memory_that_cannot_be_trimmed_is_read_again(
    local: LocalEngine, recorder: Recorder, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Recurrent models refuse to forget a part of a sequence; the reply must not change."""
    recorder.load(local, tiny)
    recorder.ask(local, "plain", "the sea and the road", max_tokens=20)
    remove = Context.remove
    monkeypatch.setattr(
        Context,
        "remove",
        lambda self, seq_id, start: remove(self, seq_id, start) if start == 0 else False,
    )
    again = recorder.ask(local, "again", "the sea and the road", max_tokens=20)
    assert again.usage.cached_tokens == 0
    assert recorder.read_text("again") == recorder.read_text("plain")


@pytest.mark.parametrize("seed", range(3))
def test_random_traffic_ends_every_reply_once(
    local: LocalEngine, recorder: Recorder, tiny: Path, seed: int
) -> None:
    """Submits, cancels and odd lengths in random order: one end each, text within limits."""
    rng = random.Random(seed)
    recorder.load(local, tiny, n_ctx=256, n_seq_max=3)
    ids = (f"r{i}" for i in itertools.count())
    asked: list[str] = []
    for _ in range(60):
        if asked and rng.random() < 0.3:
            local.submit(Cancel(run_id=rng.choice(asked)))
            continue
        run_id = next(ids)
        asked.append(run_id)
        n_words = rng.choice([1, 5, 30, 90])
        limit = rng.choice([0, 1, 10, None])
        sampling = GREEDY if rng.random() < 0.5 else Sampling(seed=rng.randrange(99))
        local.submit(make_generate(run_id, make_text(seed, n_words), sampling, limit))
        if rng.random() < 0.2:
            recorder.wait_for_end(rng.choice(asked))
    for run_id in asked:
        end = recorder.wait_for_end(run_id)
        assert not (isinstance(end, Failed) and end.code not in {"prompt_too_long", "queue_full"})
        assert len(recorder.list_ends(run_id)) == 1


def test_the_same_prompt_asked_three_times_at_once_is_read_once(
    local: LocalEngine, recorder: Recorder, slow: Path
) -> None:
    recorder.load(local, slow, n_ctx=2048)
    text = make_text(4, 200)
    for i in range(3):
        local.submit(
            make_generate(f"d{i}", text, sampling=Sampling(temperature=0.9, seed=i), max_tokens=40)
        )
    ends = [recorder.wait_for_end(f"d{i}") for i in range(3)]
    assert all(isinstance(end, Finished) for end in ends)
    n_prompt = ends[0].usage.prompt_tokens
    assert ends[0].usage.cached_tokens == 0
    assert [end.usage.cached_tokens for end in ends[1:]] == [n_prompt - 1] * 2
    assert len({recorder.read_text(f"d{i}") for i in range(3)}) == 3


def test_drafts_of_a_prompt_that_fits_only_once_run_together(
    local: LocalEngine, recorder: Recorder, slow: Path
) -> None:
    """Shared memory is counted once: three times the prompt would not fit."""
    recorder.load(local, slow, n_ctx=512)
    text = make_text(4, 260)
    for i in range(3):
        sampling = Sampling(temperature=0.9, seed=i)
        local.submit(make_generate(f"d{i}", text, sampling=sampling, max_tokens=60))
    for i in range(3):
        recorder.wait_for_text(f"d{i}", 10)
    assert not any(recorder.list_ends(f"d{i}") for i in range(2))
    ends = [recorder.wait_for_end(f"d{i}") for i in range(3)]
    n_prompt = ends[0].usage.prompt_tokens
    assert 3 * n_prompt > 512 > n_prompt + 180
    assert [end.usage.output_tokens for end in ends] == [60] * 3


def test_who_waits_for_a_shared_prompt_can_be_stopped_and_lets_others_pass(
    local: LocalEngine, recorder: Recorder, slow: Path
) -> None:
    recorder.load(local, slow, n_ctx=4096)
    text = make_text(4, 400)
    local.submit(make_generate("first", text, max_tokens=5))
    local.submit(make_generate("second", text, max_tokens=5))
    local.submit(make_generate("other", "the road", max_tokens=5))
    local.submit(Cancel(run_id="second"))
    second = recorder.wait_for_end("second")
    assert isinstance(second, Finished)
    assert second.reason == "cancelled"
    assert isinstance(recorder.wait_for_end("other"), Finished)
    assert isinstance(recorder.wait_for_end("first"), Finished)
