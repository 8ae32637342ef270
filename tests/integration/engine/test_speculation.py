"""Guessing ahead changes how fast a reply comes, never what it says."""

import random
from pathlib import Path

import msgspec
import pytest

from inglenook.engine.local import LocalEngine
from inglenook.engine.protocol import Cancel, DrawnToken, Finished, Sampling, Text
from support.recorder import GREEDY, Recorder, make_generate

PROMPTS = ("the sea", "a fire in the inglenook burns low", "1 2 3 4 1 2 3 4 1 2 3", "aaaa", "why?")


def ask(
    engine: LocalEngine,
    recorder: Recorder,
    run_id: str,
    text: str,
    sampling: Sampling = GREEDY,
    *,
    speculates: bool,
    max_tokens: int | None = None,
    n_alternatives: int | None = None,
) -> Finished:
    command = make_generate(run_id, text, sampling=sampling, max_tokens=max_tokens)
    engine.submit(
        msgspec.structs.replace(command, speculates=speculates, n_alternatives=n_alternatives)
    )
    ended = recorder.wait_for_end(run_id)
    assert isinstance(ended, Finished)
    return ended


def read_tokens(recorder: Recorder, run_id: str) -> list[DrawnToken]:
    texts = [e for e in recorder.events if isinstance(e, Text) and e.run_id == run_id]
    return [token for text in texts for token in text.tokens]


def test_greedy_tokens_are_the_same_with_guesses(
    local: LocalEngine, recorder: Recorder, tiny: Path
) -> None:
    """Weights of chance soon go round in circles: what is easiest to guess.

    Steps of other sizes round differently in llama.cpp, which can turn a near tie, and then all
    that follows: so where two replies part, the tokens must have been as good as equally likely.
    """
    recorder.load(local, tiny)
    n_guessed = n_right = 0
    for i, text in enumerate(PROMPTS):
        for name, speculates in (("p", False), ("g", True)):
            ended = ask(
                local, recorder, f"{name}{i}", text,
                speculates=speculates, max_tokens=300, n_alternatives=1,
            )  # fmt: skip
            assert ended.usage.output_tokens == 300
        n_guessed += ended.usage.drafted_tokens
        n_right += ended.usage.accepted_tokens
        plain, guessed = read_tokens(recorder, f"p{i}"), read_tokens(recorder, f"g{i}")
        assert len(plain) == len(guessed) == 300
        for one, other in zip(plain, guessed, strict=True):
            chance = one.chosen.log_probability
            if one.chosen.token != other.chosen.token:
                assert one.alternatives
                assert abs(chance - other.chosen.log_probability) < 0.05
                break
            assert abs(chance - other.chosen.log_probability) < 0.05
    assert n_right > 50
    assert n_guessed < 3 * n_right


def test_the_guide_says_the_same_with_guesses(
    local: LocalEngine, recorder: Recorder, guide: Path
) -> None:
    recorder.load(local, guide)
    questions = ("what is a token", "how do I add a bigger model?", "hello", "is it private?")
    for i, text in enumerate(questions):
        ask(local, recorder, f"plain{i}", text, max_tokens=80, speculates=False)
        ask(local, recorder, f"guess{i}", text, max_tokens=80, speculates=True)
        assert recorder.read_text(f"guess{i}") == recorder.read_text(f"plain{i}")


@pytest.mark.parametrize("sampling", [Sampling(temperature=0.3, seed=7), Sampling(seed=9, top_k=3)])
def test_drawn_text_is_the_same_with_guesses(
    local: LocalEngine, recorder: Recorder, tiny: Path, sampling: Sampling
) -> None:
    """One draw a token, from the same chances: the same seed gives the same text."""
    recorder.load(local, tiny)
    text = "tick tock " * 40
    n_same = 0
    for i in range(4):
        ask(local, recorder, f"p{i}", text + "x" * i, sampling, max_tokens=120, speculates=False)
        ask(local, recorder, f"g{i}", text + "x" * i, sampling, max_tokens=120, speculates=True)
        n_same += recorder.read_text(f"g{i}") == recorder.read_text(f"p{i}")
    assert n_same >= 3


def test_wrong_guesses_leave_nothing_in_memory(
    local: LocalEngine, recorder: Recorder, tiny: Path
) -> None:
    """The next turn stands on what was said, not on what was guessed."""
    recorder.load(local, tiny)
    for i in range(12):
        n_tokens = random.Random(i).randrange(20, 90)
        ask(local, recorder, f"first{i}", "abc" * 9, max_tokens=n_tokens, speculates=True)
        turns = [("user", "abc" * 9), ("assistant", recorder.read_text(f"first{i}")), ("user", "?")]
        for name, speculates in (("a", True), ("b", False)):
            command = make_generate(f"{name}{i}", turns, sampling=GREEDY, max_tokens=30)
            local.submit(msgspec.structs.replace(command, speculates=speculates))
            assert isinstance(recorder.wait_for_end(f"{name}{i}"), Finished)
        recorder.load(local, tiny, n_ctx=2048 + i)  # An empty memory.
        command = make_generate(f"fresh{i}", turns, sampling=GREEDY, max_tokens=30)
        local.submit(msgspec.structs.replace(command, speculates=False))
        assert isinstance(recorder.wait_for_end(f"fresh{i}"), Finished)
        assert recorder.read_text(f"a{i}") == recorder.read_text(f"fresh{i}")


def test_a_stopped_reply_leaves_a_whole_memory(
    local: LocalEngine, recorder: Recorder, slow: Path
) -> None:
    recorder.load(local, slow)
    for i in range(10):
        local.submit(make_generate(f"r{i}", "round and round", sampling=GREEDY, max_tokens=400))
        recorder.wait_for_text(f"r{i}", 10 + 5 * i)
        local.submit(Cancel(run_id=f"r{i}"))
        assert isinstance(recorder.wait_for_end(f"r{i}"), Finished)
    last = ask(local, recorder, "again", "round and round", max_tokens=60, speculates=False)
    assert last.usage.cached_tokens == last.usage.prompt_tokens - 1


def test_the_limit_of_a_reply_and_of_the_context_hold_with_guesses(
    local: LocalEngine, recorder: Recorder, tiny: Path
) -> None:
    recorder.load(local, tiny, n_ctx=256, n_seq_max=1)
    for limit in (1, 2, 5, 17, 33):
        ended = ask(local, recorder, f"m{limit}", "aaaa", max_tokens=limit, speculates=True)
        assert ended.usage.output_tokens == limit
        assert ended.reason == "length"
    full = ask(local, recorder, "full", "aaaa", speculates=True)
    assert full.reason == "context_full"
    assert full.usage.prompt_tokens + full.usage.output_tokens == 257
