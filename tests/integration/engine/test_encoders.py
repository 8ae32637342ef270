"""Models that only make vectors: each text is read at once, and nothing else is promised."""

import json
import math
import subprocess
import sys
from array import array
from collections.abc import Sequence
from pathlib import Path

import pytest
from gguf import PoolingType

from inglenook.engine import embedding
from inglenook.engine.client import ChildEngine
from inglenook.engine.local import LocalEngine
from inglenook.engine.protocol import (
    CountTokens,
    Embed,
    Embedded,
    EmbedFailed,
    Failed,
    Load,
    Loaded,
    LoadFailed,
    PromptMessage,
    ReadAhead,
    TokenCount,
    Unload,
)
from inglenook.engine.seam import Engine
from support.encoder_gguf import write_encoder_gguf
from support.recorder import Recorder

_BINDING = """
import json, sys
from llama_cpp import Llama
pooling = int(sys.argv[2])
model = Llama(sys.argv[1], embedding=True, pooling_type=pooling, n_ubatch=512, verbose=False)
print(json.dumps([model.embed(text, normalize=True) for text in json.loads(sys.argv[3])]))
"""
TEXTS = (
    "the fire burns low",
    "x",
    "the cat sleeps in the warm corner " * 20,
    "The Inglenook, they say: warm!",
)


def _embed(
    engine: Engine, recorder: Recorder, request_id: str, texts: Sequence[str]
) -> Embedded | EmbedFailed:
    engine.submit(Embed(request_id=request_id, texts=tuple(texts)))
    event = recorder.wait_for(
        lambda e: isinstance(e, Embedded | EmbedFailed) and e.request_id == request_id
    )
    assert isinstance(event, Embedded | EmbedFailed)
    return event


def _read(event: Embedded | EmbedFailed) -> list["array[float]"]:
    assert isinstance(event, Embedded), event
    return [array("f", vector) for vector in event.vectors]


@pytest.mark.parametrize("pooling", [PoolingType.MEAN, PoolingType.CLS, PoolingType.LAST, None])
def test_its_vectors_are_those_of_the_binding(
    local: LocalEngine, recorder: Recorder, tmp_path: Path, pooling: PoolingType | None
) -> None:
    path = write_encoder_gguf(tmp_path / "encoder.gguf", pooling=pooling)
    recorder.load(local, path)
    ours = _read(_embed(local, recorder, "e", TEXTS))
    wanted = str(int(pooling or PoolingType.MEAN))
    command = [sys.executable, "-c", _BINDING, str(path), wanted, json.dumps(TEXTS)]
    peer = subprocess.run(command, check=True, capture_output=True, timeout=120)
    for one, other in zip(ours, json.loads(peer.stdout), strict=True):
        assert math.isclose(math.sumprod(one, one), 1.0, rel_tol=1e-4)
        assert math.sumprod(one, other) > 0.9999


def test_a_text_is_never_cut(
    local: LocalEngine, recorder: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder.load(local, write_encoder_gguf(tmp_path / "encoder.gguf"))
    together = _read(_embed(local, recorder, "together", TEXTS))
    monkeypatch.setattr(embedding.Embedder, "_choose_budget", lambda *_, **__: 5)
    one_by_one = _read(_embed(local, recorder, "one by one", TEXTS))
    for one, other in zip(together, one_by_one, strict=True):
        assert math.sumprod(one, other) > 0.9999


def test_the_longest_text_is_as_long_as_the_places_that_it_knows(
    local: LocalEngine, recorder: Recorder, tmp_path: Path
) -> None:
    recorder.load(local, write_encoder_gguf(tmp_path / "encoder.gguf", n_ctx=300))
    failed = _embed(local, recorder, "long", ["x " * 299])
    assert isinstance(failed, EmbedFailed)
    assert failed.code == "prompt_too_long"
    assert "300 tokens at most, it has 301" in failed.message
    longest = _embed(local, recorder, "longest", ["x " * 298])
    assert isinstance(longest, Embedded)
    assert longest.n_tokens == 300


def test_it_says_that_it_writes_nothing(
    child: ChildEngine, recorder: Recorder, tmp_path: Path
) -> None:
    path = write_encoder_gguf(tmp_path / "encoder.gguf")
    child.submit(
        Load(
            model_id="e",
            path=str(path),
            snapshot_folder=str(tmp_path),
            snapshot_limit_bytes=1 << 30,
        )
    )
    loaded = recorder.wait_for(lambda e: isinstance(e, Loaded))
    assert isinstance(loaded, Loaded)
    assert not loaded.writes
    assert loaded.architecture == "bert"
    assert loaded.kv_bytes == 0
    child.submit(ReadAhead(messages=(PromptMessage("user", "the fire"),), scope="s"))
    recorder.ask(child, "r", "Go.")
    failed = recorder.wait_for_end("r")
    assert isinstance(failed, Failed)
    assert failed.code == "not_generative"
    assert "makes vectors" in failed.message
    child.submit(CountTokens(request_id="c", messages=(PromptMessage("user", "the fire"),)))
    assert isinstance(recorder.wait_for(lambda e: isinstance(e, TokenCount)), TokenCount)
    assert isinstance(_embed(child, recorder, "e", ["the fire"]), Embedded)
    child.submit(Unload())
    failed_vector = _embed(child, recorder, "gone", ["the fire"])
    assert isinstance(failed_vector, EmbedFailed)
    assert failed_vector.code == "no_model"


@pytest.mark.parametrize("kind", ["a ranker", "without a tokenizer"])
def test_what_makes_no_vectors_either_is_refused(
    child: ChildEngine, recorder: Recorder, tmp_path: Path, kind: str
) -> None:
    path = write_encoder_gguf(
        tmp_path / "encoder.gguf",
        pooling=PoolingType.RANK if kind == "a ranker" else PoolingType.MEAN,
        has_vocabulary=kind == "a ranker",
    )
    child.submit(Load(model_id="e", path=str(path)))
    failed = recorder.wait_for(lambda e: isinstance(e, LoadFailed | Loaded))
    assert isinstance(failed, LoadFailed)
    assert failed.code == "not_generative"
