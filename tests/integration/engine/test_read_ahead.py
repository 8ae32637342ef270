"""What is read ahead is not read again; and it never holds up or changes a reply."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from inglenook.engine.local import LocalEngine
from inglenook.engine.protocol import Finished, PromptMessage, ReadAhead
from support.recorder import Recorder
from support.tiny_gguf import write_tiny_gguf

LONG = "the sea and the long road home while the kettle sings and the cat sleeps "
WORDS = LONG * 10


class Bench:
    """A loaded engine; `is_slow` makes reading a long prompt take seconds."""

    def __init__(self, path: Path) -> None:
        self.recorder = Recorder()
        self.engine = LocalEngine(self.recorder)
        self.recorder.load(self.engine, path, n_ctx=4096, n_batch=256, n_ubatch=256, n_seq_max=2)

    def read(self, text: str) -> None:
        messages = (PromptMessage("user", text),) if text else ()
        self.engine.submit(ReadAhead(messages=messages, scope="c"))

    def ask(self, run_id: str, text: str, max_tokens: int = 8) -> Finished:
        end = self.recorder.ask(self.engine, run_id, text, max_tokens=max_tokens)
        assert isinstance(end, Finished)
        return end

    def wait_until_idle(self) -> None:
        worker = self.engine._worker
        assert worker is not None
        deadline = time.monotonic() + 30
        while worker._session is None or worker._session.scheduler.is_reading_ahead:
            assert time.monotonic() < deadline
            time.sleep(0.01)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(write_tiny_gguf(tmp_path / "m.gguf", n_ctx=4096, never_ends=True))
    yield made
    made.engine.close()


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[Bench]:
    path = write_tiny_gguf(
        tmp_path / "slow.gguf", n_layers=8, n_embd=512, n_heads=8, n_ctx=4096, never_ends=True
    )
    made = Bench(path)
    yield made
    made.engine.close()


def read_and_wait(bench: Bench, text: str) -> None:
    bench.read(text)
    time.sleep(0.3)
    bench.wait_until_idle()


def test_after_enter_only_what_is_new_is_read(bench: Bench) -> None:
    read_and_wait(bench, WORDS)
    end = bench.ask("r", WORDS)
    assert end.usage.cached_tokens == end.usage.prompt_tokens - 1


def test_a_corrected_text_keeps_what_it_has_in_common(bench: Bench) -> None:
    read_and_wait(bench, WORDS + "and so on")
    read_and_wait(bench, WORDS + "but then")
    end = bench.ask("r", WORDS + "but then again")
    assert end.usage.cached_tokens > 0.9 * end.usage.prompt_tokens


def test_a_reply_is_the_same_as_without(bench: Bench, tmp_path: Path) -> None:
    read_and_wait(bench, WORDS + "something that nobody asks")
    bench.ask("r", WORDS + "something else")
    got = bench.recorder.read_text("r")
    fresh = Bench(tmp_path / "m.gguf")
    try:
        fresh.ask("r", WORDS + "something else")
        assert fresh.recorder.read_text("r") == got
    finally:
        fresh.engine.close()


def test_a_reply_does_not_wait_for_what_is_read_ahead(slow: Bench) -> None:
    slow.read(LONG * 60)
    time.sleep(0.5)
    end = slow.ask("r", "hello", max_tokens=2)
    assert end.reason == "length"
    worker = slow.engine._worker
    assert worker is not None
    assert worker._session is not None
    assert not worker._session.scheduler.is_reading_ahead


def test_an_empty_one_ends_the_one_before(slow: Bench) -> None:
    slow.read(LONG * 60)
    time.sleep(0.2)
    slow.read("")
    time.sleep(0.5)
    slow.wait_until_idle()
    end = slow.ask("r", LONG * 60, max_tokens=1)
    assert end.usage.cached_tokens < end.usage.prompt_tokens / 2


@pytest.mark.parametrize("architecture", ["mamba", "gemma3"])
def test_memory_that_cannot_be_cut_is_left_alone(tmp_path: Path, architecture: str) -> None:
    path = write_tiny_gguf(
        tmp_path / "m.gguf",
        architecture=architecture,  # type: ignore[arg-type]
        n_ctx=4096,
        never_ends=True,
    )
    bench = Bench(path)
    try:
        bench.ask("one", WORDS, max_tokens=1)
        read_and_wait(bench, "something else entirely " * 20)
        end = bench.ask("two", WORDS, max_tokens=1)
        assert bench.recorder.read_text("one") == bench.recorder.read_text("two")
        assert end.reason == "length"
    finally:
        bench.engine.close()


def test_what_is_too_long_is_not_read(bench: Bench) -> None:
    read_and_wait(bench, LONG * 400)
    worker = bench.engine._worker
    assert worker is not None
    assert worker._session is not None
    assert worker._session.scheduler._slots.n_used == 0
    assert bench.ask("r", "hello").reason == "length"
