"""What is predicted of models from 0.1 to 3 billion weights, beside what they then take and do.

    make bench ARGS="tests/bench/test_prediction.py -s"

Twelve shapes and mixtures at two context lengths, loaded one after the other by the engine as the
app runs it: memory against what its process occupies after the load, and what is told for a full
context against what a short prompt takes of that; speed of writing against what its replies come
to. Three of them are the bench's models of random weights, the others weigh nothing on the disk
(`zero_gguf`). Then each is corrected by one of its runs, and predicted again. It takes about a
quarter of an hour, and a quiet machine.
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import psutil
import pytest

from inglenook.base.declarations import SETTINGS
from inglenook.base.events import EventHub
from inglenook.base.rates import MachineRates
from inglenook.chat.forecasts import Forecasts, make_use
from inglenook.engine.client import ChildEngine
from inglenook.engine.measuring.measure import Probe, Prompts
from inglenook.engine.protocol import Generate, Load, LoadOptions, PromptMessage, Sampling
from inglenook.models.gguf import read_header
from inglenook.models.predict.prediction import Machine, predict, predict_write_tps
from inglenook.models.predict.shape import ModelShape, read_shape
from support.peers import Peers, obtain_peers
from support.shaped_gguf import SHAPES, obtain_shaped_gguf
from support.zero_gguf import ZERO_SHAPES, write_zero_gguf

pytestmark = [pytest.mark.bench, pytest.mark.timeout(3600)]

CONTEXTS = (2048, 8192)
N_READ = 256
N_WRITTEN = 48
A_WORD = Sampling(logit_bias=((1000, 50.0),))
"""Weights of zero would write control tokens as well."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One model at one context length: predicted, loaded, after a prompt; then tokens a second."""

    name: str
    n_ctx: int
    needs_bytes: int
    at_rest_bytes: int
    loaded_bytes: int
    used_bytes: int
    told_tps: float
    wrote_tps: tuple[float, float]
    """After a short prompt, and after a longer one."""
    told_deep_tps: float


def list_files(folder: Path, peers: Peers) -> Iterator[Path]:
    yield obtain_shaped_gguf(SHAPES["qwen2-0.5b"], "Q4_K_M", peers)
    yield obtain_shaped_gguf(SHAPES["qwen2-0.5b"], "Q8_0", peers)
    yield obtain_shaped_gguf(SHAPES["llama3-1b"], "Q4_K_M", peers)
    for wanted in ZERO_SHAPES.values():
        path = write_zero_gguf(folder, wanted, peers)
        yield path
        path.unlink()


class _Plain:
    def get(self, key: str) -> object:
        return SETTINGS[key].default

    def is_chosen(self, key: str) -> bool:
        del key
        return False


def measure_machine(folder: Path) -> MachineRates:
    hub = EventHub()
    engine = ChildEngine(hub.publish)

    def refuse() -> None:
        raise AssertionError

    forecasts = Forecasts(hub, engine, _Plain(), folder, refuse)  # type: ignore[arg-type]
    try:
        return forecasts.measure()
    finally:
        forecasts.close()
        engine.close()


def write(probe: Probe, n_prompt: int) -> tuple[float, int]:
    """The best of two replies, in tokens per second, and how deep in the context it was."""
    prompts = Prompts(probe)
    best, depth = 0.0, 0
    for _ in range(2):
        reply = probe.ask(
            Generate(
                run_id="",
                messages=prompts.make(n_prompt) if n_prompt else (PromptMessage("user", "Go on"),),
                max_tokens=N_WRITTEN,
                sampling=A_WORD,
                speculates=False,
            )
        )
        best = max(best, reply.decode_tps)
        depth = reply.usage.prompt_tokens + N_WRITTEN // 2
    return best, depth


def run(path: Path, shape: ModelShape, machine: Machine, n_ctx: int) -> Outcome:
    options = LoadOptions(n_ctx=n_ctx)
    use = make_use(options, shape, keeps_idle=True)
    told = predict(shape, machine, use)
    with TemporaryDirectory() as folder, Probe() as probe:
        probe.load(
            Load(
                model_id="m",
                path=str(path),
                options=options,
                snapshot_folder=folder,
                snapshot_limit_bytes=1 << 40,
            )
        )
        process = psutil.Process(probe.engine.state.pid)
        loaded_bytes = process.memory_info().rss
        short, depth = write(probe, 0)
        deep, far = write(probe, N_READ)
        used_bytes = process.memory_info().rss
    return Outcome(
        name=path.stem,
        n_ctx=n_ctx,
        needs_bytes=told.needs_bytes,
        at_rest_bytes=told.needs_bytes - told.ram.buffers,
        loaded_bytes=loaded_bytes,
        used_bytes=used_bytes,
        told_tps=predict_write_tps(shape, machine, use, 0, depth),
        wrote_tps=(short, deep),
        told_deep_tps=predict_write_tps(shape, machine, use, 0, far),
    )


def show(outcomes: list[Outcome]) -> None:
    print(f"\n{'':30} {'context':>7} {'loaded':>8} {'full':>8} {'writing':>8} {'deeper':>8}"
          f" {'learned':>8}")  # fmt: skip
    for o in outcomes:
        off = (
            o.at_rest_bytes / o.loaded_bytes - 1,
            o.needs_bytes / o.used_bytes - 1,
            o.told_tps / o.wrote_tps[0] - 1,
            o.told_deep_tps / o.wrote_tps[1] - 1,
            learn(o),
        )
        print(f"{o.name:30} {o.n_ctx:>7,}", *(f"{value:>+8.1%}" for value in off))


def learn(o: Outcome) -> float:
    """How far off the deeper reply is once the short one has corrected the prediction."""
    return o.told_deep_tps * o.wrote_tps[0] / o.told_tps / o.wrote_tps[1] - 1


def test_predictions_beside_what_was_measured(tmp_path: Path) -> None:
    peers = obtain_peers()
    rates = measure_machine(tmp_path / "rates")
    machine = Machine(psutil.virtual_memory().total, rates=rates)
    outcomes: list[Outcome] = []
    for path in list_files(tmp_path, peers):
        header = read_header(path, keeps_tensors=True)
        shape = read_shape([header], header.size_bytes)
        assert shape is not None
        outcomes += [run(path, shape, machine, n_ctx) for n_ctx in CONTEXTS]
        show(outcomes[-len(CONTEXTS) :])
    shutil.rmtree(tmp_path, ignore_errors=True)
    show(outcomes)
    off = [abs(o.told_tps / o.wrote_tps[0] - 1) for o in outcomes]
    learned = [abs(learn(o)) for o in outcomes]
    print(f"\nwriting: {median(off):.1%} off at the median, {max(off):.1%} at worst; "
          f"after one run {median(learned):.1%}; measured in {rates.took_s:.1f} s"
          f"{', while the machine was busy' if rates.was_busy else ''}")  # fmt: skip
    # Memory is no matter of how quiet the machine is.
    assert max(abs(o.at_rest_bytes / o.loaded_bytes - 1) for o in outcomes) < 0.07
    # Room for attention is taken as the context fills: until then it is less than was told.
    assert max(o.used_bytes / o.needs_bytes - 1 for o in outcomes) < 0.07
