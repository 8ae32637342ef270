"""Texts to vectors: of unit length, the same however they are cut, and no burden to replies."""

import itertools
import math
import os
import signal
import time
from array import array
from collections.abc import Sequence
from pathlib import Path

import pytest

from inglenook.engine import embedding
from inglenook.engine.client import ChildEngine
from inglenook.engine.local import LocalEngine
from inglenook.engine.protocol import (
    Cancel,
    Embed,
    Embedded,
    EmbedFailed,
    Event,
    Finished,
    Generate,
    Load,
    PromptMessage,
    Shutdown,
    Text,
    Unload,
)
from inglenook.engine.seam import Engine
from support.recorder import GREEDY, Recorder
from support.tiny_gguf import Architecture, write_tiny_gguf


def _embed(
    engine: Engine, recorder: Recorder, request_id: str, texts: Sequence[str]
) -> Embedded | EmbedFailed:
    engine.submit(Embed(request_id=request_id, texts=tuple(texts)))
    return _wait(recorder, request_id)


def _wait(recorder: Recorder, request_id: str) -> Embedded | EmbedFailed:
    event = recorder.wait_for(
        lambda e: isinstance(e, Embedded | EmbedFailed) and e.request_id == request_id
    )
    assert isinstance(event, Embedded | EmbedFailed)
    return event


def _read(event: Embedded | EmbedFailed) -> list["array[float]"]:
    assert isinstance(event, Embedded)
    return [array("f", vector) for vector in event.vectors]


def _compare(one: "array[float]", two: "array[float]") -> float:
    return math.sumprod(one, two)


def test_vectors_are_of_unit_length_and_near_where_the_meaning_is(
    local: LocalEngine, recorder: Recorder, guide: Path
) -> None:
    recorder.load(local, guide)
    texts = ["What is a token?", "Tell me what tokens are.", "How do I close the window?"]
    event = _embed(local, recorder, "e", texts)
    token, tokens, window = _read(event)
    assert isinstance(event, Embedded)
    assert event.model_id == str(guide)
    assert event.n_tokens > 10
    for vector in (token, tokens, window):
        assert math.isclose(_compare(vector, vector), 1.0, rel_tol=1e-4)
    assert _compare(token, tokens) > _compare(token, window)


@pytest.mark.parametrize("architecture", ["llama", "mamba", "gemma3"])
def test_a_vector_is_the_same_however_its_text_is_read(
    local: LocalEngine,
    recorder: Recorder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    architecture: Architecture,
) -> None:
    path = write_tiny_gguf(tmp_path / "m.gguf", architecture=architecture, n_ctx=512)
    recorder.load(local, path)
    texts = ["the fire burns low", "x", "the cat sleeps in the warm corner " * 8]
    together = _read(_embed(local, recorder, "together", texts))
    apart = [_read(_embed(local, recorder, f"apart-{t[:5]}", [t]))[0] for t in texts]
    monkeypatch.setattr(embedding.Embedder, "_choose_budget", lambda *_, **__: 5)
    in_pieces = _read(_embed(local, recorder, "pieces", texts))
    for one, two, three in zip(together, apart, in_pieces, strict=True):
        assert _compare(one, two) > 0.9999
        assert _compare(one, three) > 0.9999


@pytest.mark.parametrize(
    ("texts", "code", "words"),
    [
        ((), "bad_request", "From 1 to"),
        (("a",) * 2049, "bad_request", "From 1 to"),
        (("fine", ""), "bad_request", "Text 2 is empty"),
        (("word " * 3000,), "prompt_too_long", "Text 1 is too long"),
        (("a" * 1_000_000,), "prompt_too_long", "far more"),
    ],
)
def test_b04_what_has_no_vector_is_said_in_a_sentence(
    local: LocalEngine,
    recorder: Recorder,
    tiny: Path,
    texts: tuple[str, ...],
    code: str,
    words: str,
) -> None:
    recorder.load(local, tiny)
    failed = _embed(local, recorder, "e", texts)
    assert isinstance(failed, EmbedFailed)
    assert failed.code == code
    assert words in failed.message
    assert isinstance(_embed(local, recorder, "after", ["fine"]), Embedded)


def test_without_a_model_there_are_no_vectors(
    local: LocalEngine, child: ChildEngine, recorder: Recorder
) -> None:
    engines: tuple[Engine, ...] = (local, child)
    for i, engine in enumerate(engines):
        failed = _embed(engine, recorder, str(i), ["text"])
        assert isinstance(failed, EmbedFailed)
        assert failed.code == "no_model"


def test_replies_go_first_and_vectors_get_their_turn(
    local: LocalEngine, recorder: Recorder, slow: Path
) -> None:
    recorder.load(local, slow)
    times: list[float] = []
    tell = local._publish

    def note(event: Event) -> None:
        if isinstance(event, Text):
            times.append(time.monotonic())
        tell(event)

    local._publish = note
    local.submit(
        Generate(
            run_id="r",
            messages=(PromptMessage("user", "Go."),),
            sampling=GREEDY,
            max_tokens=4000,
        )
    )
    recorder.wait_for_text("r", 5)
    texts = ["the long road home while the kettle sings " * 20] * 6
    began, n_before = time.monotonic(), len(times)
    event = _embed(local, recorder, "e", texts)
    ended = time.monotonic()
    local.submit(Cancel(run_id="r"))
    assert isinstance(event, Embedded)
    assert isinstance(recorder.wait_for_end("r"), Finished)
    meanwhile = [at for at in times[n_before:] if began < at < ended]
    assert len(meanwhile) > 5, "the reply stood still"
    gaps = sorted(b - a for a, b in itertools.pairwise(meanwhile))
    assert gaps[len(gaps) // 2] < 0.25
    assert len(recorder.read_text("r")) > 0


@pytest.mark.parametrize("architecture", ["llama", "mamba"])
def test_a_vector_whose_reading_is_broken_off_is_the_same(
    local: LocalEngine, recorder: Recorder, tmp_path: Path, architecture: Architecture
) -> None:
    path = write_tiny_gguf(
        tmp_path / "m.gguf", architecture=architecture, n_layers=6, n_embd=256, n_ctx=2048
    )
    recorder.load(local, path)
    texts = ["the long road home while the kettle sings " * n for n in (30, 2, 25)]
    undisturbed = _read(_embed(local, recorder, "undisturbed", texts))
    local.submit(Embed(request_id="disturbed", texts=tuple(texts)))
    for i in range(8):
        time.sleep(0.02)
        recorder.ask(local, f"r{i}", "Go.", max_tokens=2)
    for one, two in zip(undisturbed, _read(_wait(recorder, "disturbed")), strict=True):
        assert _compare(one, two) > 0.9999
    for i in range(8):
        assert isinstance(recorder.wait_for_end(f"r{i}"), Finished)


def test_vectors_are_given_up_when_the_model_goes(
    local: LocalEngine, recorder: Recorder, slow: Path, tiny: Path
) -> None:
    recorder.load(local, slow)
    texts = ("the long road home while the kettle sings " * 30,) * 200
    for request_id in ("one", "two", "three"):
        local.submit(Embed(request_id=request_id, texts=texts))
    time.sleep(0.2)
    local.submit(Unload())
    for request_id in ("one", "two", "three"):
        failed = _wait(recorder, request_id)
        assert isinstance(failed, EmbedFailed)
        assert failed.code == "no_model"
    recorder.load(local, tiny)
    assert isinstance(_embed(local, recorder, "later", ["text"]), Embedded)
    local.submit(Embed(request_id="last", texts=texts))
    local.submit(Shutdown())
    assert isinstance(_wait(recorder, "last"), Embedded | EmbedFailed)


@pytest.mark.logs("the engine died")
def test_vectors_of_a_child_that_dies_are_answered(
    child: ChildEngine, recorder: Recorder, slow: Path
) -> None:
    recorder.load(child, slow)
    assert isinstance(_embed(child, recorder, "first", ["a \ud83d lone half"]), Embedded)
    texts = ("the long road home while the kettle sings " * 30,) * 200
    child.submit(Embed(request_id="e", texts=texts))
    time.sleep(0.3)
    assert child.state.pid is not None
    os.kill(child.state.pid, signal.SIGKILL)
    failed = _wait(recorder, "e")
    assert isinstance(failed, EmbedFailed)
    assert failed.code == "engine_died"
    child.submit(Load(model_id="again", path=str(slow)))
    assert isinstance(_embed(child, recorder, "later", ["text"]), Embedded)
