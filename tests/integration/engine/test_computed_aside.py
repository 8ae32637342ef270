"""Where a device computes by itself: what is told, and when a reply ends, is what it always was.

The processor stands in for the device, which changes only who waits for whom; in `test_devices` a
GPU does it.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from inglenook.engine import session
from inglenook.engine.llama import Context
from inglenook.engine.local import LocalEngine
from inglenook.engine.protocol import Cancel, Finished, Generate, Text, Unload, Unloaded
from inglenook.engine.scheduler import Scheduler
from support.recorder import DRAWS, GREEDY, Recorder, make_generate

PROMPTS = ("the sea", "a fire in the inglenook burns low", "tick tock " * 12, "why?")

type Told = list[tuple[str, str, int]]
"""Of each reply its text, why it ended, and its tokens."""


@contextmanager
def compute_aside(*, is_aside: bool) -> Iterator[None]:
    """Models that are loaded now are taken to be on a device that computes by itself, or not."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "_is_all_on_gpu", lambda _loaded: is_aside)
        patch.setattr(session, "Scheduler", partial(make_scheduler, can_filter=is_aside))
        yield


def make_scheduler(context: Context, *args: Any, can_filter: bool, **options: Any) -> Scheduler:
    context.can_filter = can_filter
    return Scheduler(context, *args, **options)


def ask_all(engine: LocalEngine, recorder: Recorder, commands: Sequence[Generate]) -> Told:
    for command in commands:
        engine.submit(command)
    told: Told = []
    for command in commands:
        ended = recorder.wait_for_end(command.run_id)
        assert isinstance(ended, Finished), ended
        texts = [e for e in recorder.events if isinstance(e, Text) and e.run_id == command.run_id]
        assert all(text.n_tokens <= ended.usage.output_tokens for text in texts)
        if command.n_alternatives is not None:
            assert sum(len(text.tokens) for text in texts) == ended.usage.output_tokens
        told.append((recorder.read_text(command.run_id), ended.reason, ended.usage.output_tokens))
    return told


def ask_both(
    engine: LocalEngine, recorder: Recorder, path: Path, commands: Sequence[Generate]
) -> tuple[Told, Told]:
    """What is told where each step is waited for, and where the device computes aside."""
    both: list[Told] = []
    for is_aside in (False, True):
        recorder.events.clear()
        with compute_aside(is_aside=is_aside):
            recorder.load(engine, path)
            both.append(ask_all(engine, recorder, commands))
        engine.submit(Unload())
        recorder.wait_for(lambda e: isinstance(e, Unloaded))
    return both[0], both[1]


@pytest.mark.parametrize("name", DRAWS)
@pytest.mark.parametrize("n_alternatives", [None, 2])
def test_the_same_is_drawn(
    local: LocalEngine, recorder: Recorder, tiny: Path, name: str, n_alternatives: int | None
) -> None:
    command = make_generate("r", "the sea", max_tokens=80, sampling=DRAWS[name])
    command = msgspec.structs.replace(command, n_alternatives=n_alternatives, speculates=False)
    waited, aside = ask_both(local, recorder, tiny, [command])
    assert aside == waited
    assert aside[0][2] == 80


def test_several_at_once_end_as_they_should(
    local: LocalEngine, recorder: Recorder, tiny: Path
) -> None:
    """Some look at all tokens and some at the likeliest few, in slots that change hands.

    Who shares a step with whom changes the rounding, and so what is drawn by chance.
    """
    draws = list(DRAWS.values())
    commands = [
        make_generate(f"r{i}", PROMPTS[i % len(PROMPTS)], draws[i % len(draws)], max_tokens=8 + i)
        for i in range(24)
    ]
    for waited, aside, command in zip(
        *ask_both(local, recorder, tiny, commands), commands, strict=True
    ):
        for _, reason, n_tokens in (waited, aside):
            assert reason in {"length", "stop"}
            assert n_tokens == command.max_tokens or reason == "stop"
        if command.sampling == GREEDY:
            assert aside == waited


def test_a_stop_text_ends_it_where_it_always_did(
    local: LocalEngine, recorder: Recorder, tiny: Path
) -> None:
    """Also where the very last token that was allowed holds it; and memory is right after it."""
    (whole,), _ = ask_both(local, recorder, tiny, [make_generate("w", "the sea", max_tokens=60)])
    text = whole[0]
    commands = [
        make_generate(f"s{at}", "the sea", max_tokens=60, stop=(text[at : at + 4],))
        for at in (0, 7, 20, 41)
    ]
    commands += [make_generate(f"n{n}", "the sea", stop=(text[9:12],), max_tokens=n)
                 for n in range(1, 20)]  # fmt: skip
    for command in commands:
        waited, aside = ask_both(local, recorder, tiny, [command, make_generate("t", "the sea")])
        assert aside == waited


def test_guesses_change_nothing(local: LocalEngine, recorder: Recorder, tiny: Path) -> None:
    commands = [make_generate("g", "tick tock " * 12, max_tokens=200)]
    waited, aside = ask_both(local, recorder, tiny, commands)
    assert aside == waited
    (ended,) = recorder.list_ends("g")
    assert isinstance(ended, Finished)
    assert ended.usage.accepted_tokens > 0


def test_a_cancelled_reply_has_told_all_of_its_tokens(
    local: LocalEngine, recorder: Recorder, tiny: Path
) -> None:
    with compute_aside(is_aside=True):
        recorder.load(local, tiny)
        for i in range(20):
            command = make_generate(f"c{i}", "the sea", max_tokens=None, sampling=GREEDY)
            local.submit(msgspec.structs.replace(command, n_alternatives=0))
            recorder.wait_for_text(f"c{i}", 3)
            local.submit(Cancel(run_id=f"c{i}"))
            ended = recorder.wait_for_end(f"c{i}")
            assert isinstance(ended, Finished)
            texts = [e for e in recorder.events if isinstance(e, Text) and e.run_id == f"c{i}"]
            assert sum(len(text.tokens) for text in texts) == ended.usage.output_tokens
