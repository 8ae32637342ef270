"""Models of the bench: they load, write as long as asked, and the reciting one recites."""

from pathlib import Path

import pytest

from inglenook.engine.local import LocalEngine
from inglenook.engine.protocol import Finished, Loaded
from support.recorder import Recorder
from support.shaped_gguf import Shape, quantise, write_reciting, write_shape
from support.tiny_gguf import CHATML, write_tiny_gguf

SMALL = [
    Shape("small", "qwen2", "tiny", CHATML, 2, 256, 4, 2, 512, 1e6),
    Shape("small", "llama", "tiny", CHATML, 2, 256, 4, 4, 512, 5e5),
]


@pytest.fixture
def vocabulary(tmp_path: Path) -> Path:
    return write_tiny_gguf(tmp_path / "vocabulary.gguf")


def ask(path: Path, n_tokens: int) -> str:
    """A greedy reply, which is as long as it was asked to be."""
    recorder = Recorder()
    engine = LocalEngine(recorder)
    try:
        loaded = recorder.load(engine, path, n_ctx=512)
        assert isinstance(loaded, Loaded)
        assert loaded.template_note == ""
        end = recorder.ask(engine, "r", "hello", max_tokens=n_tokens)
        assert isinstance(end, Finished)
        assert (end.reason, end.usage.output_tokens) == ("length", n_tokens)
    finally:
        engine.close()
    return recorder.read_text("r")


@pytest.mark.parametrize("shape", SMALL, ids=lambda shape: shape.architecture)
def test_a_shape_loads_quantised_and_never_ends_by_itself(
    shape: Shape, vocabulary: Path, tmp_path: Path
) -> None:
    plain = write_shape(tmp_path / "plain.gguf", shape, vocabulary)
    small = tmp_path / "small.gguf"
    quantise(plain, small, "Q8_0")
    assert small.stat().st_size < plain.stat().st_size
    ask(small, 100)


@pytest.mark.parametrize("shape", SMALL, ids=lambda shape: shape.architecture)
def test_the_reciting_one_says_its_words_in_order(
    shape: Shape, vocabulary: Path, tmp_path: Path
) -> None:
    plain = tmp_path / "plain.gguf"
    words = write_reciting(plain, shape, vocabulary)
    assert len(words) == len(set(words)) > 5
    quantise(plain, tmp_path / "small.gguf", "Q8_0")
    said = ask(tmp_path / "small.gguf", len(words) - 1)
    assert said.split() == "".join(words[:-1]).split()
