"""Model files that are not what they should be, through a whole engine."""

import os
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from inglenook.engine.client import ChildEngine
from inglenook.engine.local import LocalEngine
from inglenook.engine.protocol import (
    EngineDied,
    Failed,
    Finished,
    Loaded,
    LoadFailed,
)
from support.recorder import Recorder, make_generate


def test_A11_unknown_architecture_needs_a_newer_engine(
    local: LocalEngine, recorder: Recorder, make_model: Callable[..., Path]
) -> None:
    failed = recorder.load(local, make_model(declared_architecture="foo9000"))
    assert isinstance(failed, LoadFailed)
    assert failed.code == "unsupported_architecture"
    assert "newer engine" in failed.message
    assert "foo9000" in failed.message


def test_A13_through_the_engine(
    child: ChildEngine, recorder: Recorder, tmp_path: Path, tiny: Path
) -> None:
    os.mkfifo(tmp_path / "fifo.gguf")
    (tmp_path / "text.gguf").write_text("once upon a time")
    started = time.monotonic()
    recorder.load(child, tiny)
    for name, code in (
        ("fifo.gguf", "not_a_file"),
        ("", "not_a_file"),
        ("missing.gguf", "missing"),
        ("text.gguf", "not_gguf"),
    ):
        failed = recorder.load(child, tmp_path / name)
        assert isinstance(failed, LoadFailed)
        assert failed.code == code
    assert time.monotonic() - started < 10
    failed = recorder.load(child, os.fsdecode(os.fsencode(tmp_path) + b"/\xff.gguf"))
    assert isinstance(failed, LoadFailed)
    odd = tmp_path / "a 'b' é\n.gguf"
    odd.write_bytes(tiny.read_bytes())
    assert isinstance(recorder.load(child, odd), Loaded)


def test_template_that_cannot_be_used_is_noted_and_replaced(
    local: LocalEngine, recorder: Recorder, make_model: Callable[..., Path]
) -> None:
    loaded = recorder.load(local, make_model(template="{% for", never_ends=True))
    assert isinstance(loaded, Loaded)
    assert "could not be used" in loaded.template_note
    assert isinstance(recorder.ask(local, "r", "hello"), Finished)


def test_A09_template_bomb_only_costs_its_limit(
    child: ChildEngine, recorder: Recorder, make_model: Callable[..., Path]
) -> None:
    bomb = "{% for a in range(99999) %}{% for b in range(99999) %}x{% endfor %}{% endfor %}"
    started = time.monotonic()
    loaded = recorder.load(child, make_model(template=bomb, never_ends=True))
    assert time.monotonic() - started < 10
    assert isinstance(loaded, Loaded)
    assert "longer than two seconds" in loaded.template_note or "limits" in loaded.template_note
    assert isinstance(recorder.ask(child, "r", "hello"), Finished)


@pytest.mark.parametrize(
    "options",
    [
        {"n_ctx": 1},
        {"n_ctx": 2**40},
        {"n_threads": 0},
        {"n_batch": -5},
        {"n_seq_max": 10_000},
        {"n_gpu_layers": -7},
    ],
)
def test_hostile_load_options_are_refused(
    local: LocalEngine, recorder: Recorder, tiny: Path, options: dict[str, int]
) -> None:
    failed = recorder.load(local, tiny, **options)
    assert isinstance(failed, LoadFailed)
    assert failed.code == "bad_request"


def test_odd_load_options_work(local: LocalEngine, recorder: Recorder, tiny: Path) -> None:
    for options in (
        {"n_ctx": 64, "n_batch": 8, "n_ubatch": 8, "n_seq_max": 3},
        {"use_mmap": False},
        {"flash_attention": False},
        {"flash_attention": True},
        {"n_threads": None},
    ):
        loaded = recorder.load(local, tiny, **options)
        assert isinstance(loaded, Loaded)
        run_id = repr(options)
        assert isinstance(recorder.ask(local, run_id, "hi", max_tokens=5), Finished)
        assert loaded.n_threads >= 1


def test_A14_a_file_cut_off_under_the_engine_is_told_before_it_kills(
    child: ChildEngine, recorder: Recorder, make_model: Callable[..., Path]
) -> None:
    path = make_model(never_ends=True)
    recorder.load(child, path)
    assert isinstance(recorder.ask(child, "a", "hello"), Finished)
    with path.open("r+b") as opened:
        opened.seek(-8, os.SEEK_END)
        opened.write(b"\0" * 8)
    os.utime(path, ns=(1, 1))
    end = recorder.ask(child, "b", "hello")
    assert isinstance(end, Failed)
    assert end.code == "model_changed"
    assert isinstance(recorder.load(child, path), Loaded)
    assert isinstance(recorder.ask(child, "c", "hello"), Finished)


@pytest.mark.logs("the engine died", "inglenook.engine.native")
def test_A14_a_file_cut_off_while_writing_ends_the_child_with_the_cause(
    child: ChildEngine, recorder: Recorder, make_model: Callable[..., Path]
) -> None:
    path = make_model(n_layers=6, n_embd=256, n_ctx=8192, scale=0.1, never_ends=True)
    recorder.load(child, path)
    child.submit(make_generate("r", "hello", max_tokens=None))
    recorder.wait_for_text("r", 20)
    os.truncate(path, 4096)
    end = recorder.wait_for_end("r")
    assert isinstance(end, Failed)
    assert end.code == "model_changed"
    assert end.usage.output_tokens >= 20
    recorder.wait_for(lambda e: isinstance(e, EngineDied))
    failed = recorder.load(child, path)
    assert isinstance(failed, LoadFailed)


def test_A14_a_file_that_was_replaced_is_loaded_again(
    local: LocalEngine, recorder: Recorder, make_model: Callable[..., Path]
) -> None:
    path = make_model(never_ends=True)
    recorder.load(local, path)
    recorder.ask(local, "a", "the sea", max_tokens=20)
    make_model("new.gguf", never_ends=True, seed=5).replace(path)
    recorder.load(local, path)
    recorder.ask(local, "b", "the sea", max_tokens=20)
    assert recorder.read_text("a") != recorder.read_text("b")


@pytest.mark.logs
def test_mutated_files_never_end_the_app(
    child: ChildEngine, recorder: Recorder, tiny: Path, tmp_path: Path, repeats: int
) -> None:
    """A01 at the engine's border: whatever a file does, there is an answer and a next time."""
    rng = random.Random(1)
    data = tiny.read_bytes()
    for i in range(repeats):
        mutated = bytearray(data)
        for _ in range(rng.randrange(1, 9)):
            mutated[rng.randrange(24, 12_000)] ^= 1 << rng.randrange(8)
        if rng.random() < 0.2:
            del mutated[rng.randrange(24, len(mutated)) :]
        path = tmp_path / f"{i}.gguf"
        path.write_bytes(mutated)
        answer = recorder.load(child, path, n_ctx=256)
        if isinstance(answer, Loaded):
            recorder.ask(child, f"r{i}", "the sea", max_tokens=3)
        else:
            assert answer.message
        path.unlink()
    recorder.wait_for(lambda _: True)
    assert isinstance(recorder.load(child, tiny), Loaded)
    assert isinstance(recorder.ask(child, "last", "the sea"), Finished)
