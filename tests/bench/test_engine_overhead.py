"""What the engine adds to each token, against a bare loop over the same calls.

    pytest tests/bench/test_engine_overhead.py -m bench -s

Prints microseconds per token, the best of some rounds; asserts nothing on time.
"""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from inglenook.engine.client import ChildEngine
from inglenook.engine.llama import (
    Batch,
    Context,
    ContextOptions,
    Library,
    Model,
    ModelOptions,
    Sampler,
)
from inglenook.engine.local import LocalEngine
from support.recorder import Recorder
from support.tiny_gguf import write_tiny_gguf

N_TOKENS = 600
N_ROUNDS = 15


def measure_bare_loop(path: Path) -> float:
    """Seconds per token of decode, sample, next: nothing else, greedy."""
    library = Library(lambda _level, _text: None)
    model = Model(str(path), ModelOptions(), lambda _fraction: True)
    context = Context(model, ContextOptions(1024, 512, 512, 1, 1, 1, 1))
    sampler, batch = Sampler(), Batch(8)
    sampler.add("greedy")
    best: list[float] = []
    for _ in range(N_ROUNDS):
        context.clear()
        token = 65
        started = time.perf_counter()
        for position in range(N_TOKENS):
            batch.clear()
            index = batch.add(token, position, 0, wants_logits=True)
            context.decode(batch)
            token = sampler.sample(context, index)
        best.append((time.perf_counter() - started) / N_TOKENS)
    sampler.close()
    context.close()
    model.close()
    del library
    return min(best)


def measure_engine(make: Callable[[Recorder], LocalEngine | ChildEngine], path: Path) -> float:
    """Seconds per token that an engine reports for its own decoding."""
    recorder = Recorder()
    engine = make(recorder)
    try:
        recorder.load(engine, path, n_ctx=1024, n_seq_max=1)
        times = []
        for i in range(N_ROUNDS):
            recorder.events.clear()
            end = recorder.ask(engine, f"r{i}", "hello", max_tokens=N_TOKENS)
            times.append(end.timings.decode_s / max(1, end.usage.output_tokens - 1))
        return min(times)
    finally:
        engine.close()


@pytest.mark.bench
@pytest.mark.parametrize("shape", [{}, {"n_layers": 6, "n_embd": 256}], ids=["tiny", "larger"])
def test_overhead_per_token(shape: dict[str, int], tmp_path: Path) -> None:
    path = write_tiny_gguf(tmp_path / "m.gguf", never_ends=True, **shape)  # type: ignore[arg-type]
    bare = measure_bare_loop(path)
    local = measure_engine(LocalEngine, path)
    child = measure_engine(ChildEngine, path)
    print(f"\n{shape}: bare loop {bare * 1e6:.0f} us a token", end="")
    for label, seconds in (("in process", local), ("child", child)):
        print(f"; {label} {seconds * 1e6:.0f} us (+{(seconds - bare) * 1e6:.0f} us)", end="")
    print()
