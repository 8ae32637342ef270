"""Who takes part in the engine's bench, how they take turns, and what is looked at beside them."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, Self

import psutil

from inglenook.base.paths import find_asset
from inglenook.engine.llama import (
    Batch,
    Context,
    ContextOptions,
    Library,
    Model,
    ModelOptions,
    Sampler,
)
from inglenook.engine.measuring.ceiling import LlamaBench
from inglenook.engine.measuring.measure import Probe, Prompts, Reply
from inglenook.engine.protocol import Generate, Load, PromptMessage, Sampling
from support.opponents import HighLevel, LlamaServer, make_chat
from support.peers import Peers
from support.program import Program, is_engine
from support.shaped_gguf import SHAPES, obtain_shaped_gguf

SEEDED: Final = Sampling(seed=1)
_SETTLE_TOKENS: Final = 48
_LOOK_S: Final = 0.25
_MEGABYTE: Final = 1_000_000


def find_model(name: str, peers: Peers) -> Path:
    """The built-in model, or one of a real shape, such as "qwen2-0.5b-Q4_K_M"."""
    if name == "guide":
        return find_asset("assets", "guide.gguf")
    shape, _, quantisation = name.rpartition("-")
    return obtain_shaped_gguf(SHAPES[shape], quantisation, peers)  # type: ignore[arg-type]


class Rig:
    """All contestants on one model: loaded, warm and at rest."""

    def __init__(self, stack: ExitStack, name: str, peers: Peers) -> None:
        self.name = name
        self.path = find_model(name, peers)
        self.ceiling = LlamaBench(peers.llama_bench, str(self.path))
        self.probe = stack.enter_context(Probe())
        folder = stack.enter_context(TemporaryDirectory(prefix="inglenook-bench-"))
        self.n_ctx = self.probe.load(self.make_load(Path(folder))).n_ctx
        self.server = stack.enter_context(LlamaServer(peers.llama_server, self.path))
        self.high_level = stack.enter_context(HighLevel(self.path))
        self.prompts = Prompts(self.probe)
        self._numbers = count(1)

    def make_load(self, folder: Path | None = None) -> Load:
        """What the app asks for; without a folder nothing is kept on the disk."""
        limit = 1 << 40 if folder is not None else 0
        return Load(
            model_id="bench",
            path=str(self.path),
            snapshot_folder=str(folder or ""),
            snapshot_limit_bytes=limit,
        )

    def make_question(self) -> str:
        """A short one that is not like the last."""
        return f"{next(self._numbers)}. Go on."

    def write(self, n_tokens: int) -> Reply:
        """A reply of ours to a short question."""
        return self.probe.ask(make_generate([("user", self.make_question())], n_tokens + 1))

    def write_by_server(self, n_tokens: int) -> Reply:
        """The same by llama-server."""
        return self.server.ask(make_chat([("user", self.make_question())]), n_tokens + 1)

    def write_by_class(self, n_tokens: int) -> Reply:
        """The same by the high-level class."""
        return self.high_level.ask(make_chat([("user", self.make_question())]), n_tokens + 1)

    def settle(self) -> None:
        """Let all of them find out about the machine as it is now."""
        self.write(_SETTLE_TOKENS)
        self.write_by_server(8)
        self.write_by_class(8)


def make_generate(
    messages: list[tuple[str, str]],
    max_tokens: int,
    *,
    sampling: Sampling = SEEDED,
    scope: str = "",
    speculates: bool = True,
) -> Generate:
    made = tuple(PromptMessage(role, text) for role, text in messages)  # type: ignore[arg-type]
    return Generate(
        run_id="",
        messages=made,
        max_tokens=max_tokens,
        sampling=sampling,
        scope=scope,
        speculates=speculates,
    )


def take_turns(
    n_rounds: int, *contestants: Callable[[], float | tuple[float, ...]]
) -> list[tuple[float, ...]]:
    """Let each take its turn in each round; returns the values of each."""
    taken: list[list[float]] = []
    for i in range(n_rounds):
        row: list[float] = []
        for contestant in contestants:
            value = contestant()
            row += value if isinstance(value, tuple) else (value,)
        taken.append(row)
        print(f"  round {i + 1} of {n_rounds}: " + " ".join(f"{v:.4g}" for v in row), flush=True)
    return [tuple(row[i] for row in taken) for i in range(len(taken[0]))]


def wait_until_idle(probe: Probe) -> None:
    """Wait until the engine's process takes no processor time any more."""
    assert probe.engine.state.pid is not None
    process = psutil.Process(probe.engine.state.pid)

    def read() -> float:
        times = process.cpu_times()
        used: float = times.user + times.system
        return used

    used = -1.0
    while (now := read()) - used > _LOOK_S * 0.1:
        used = now
        time.sleep(_LOOK_S)


class BareLoop:
    """Decode, sample, next, over the library's own calls in this process."""

    def __init__(self, path: Path) -> None:
        self._library = Library(lambda _level, _text: None)
        self._model = Model(str(path), ModelOptions(), lambda _fraction: True)
        self._context = Context(self._model, ContextOptions(1024, 512, 512, 1, 1, 1, 1))
        self._sampler, self._batch = Sampler(), Batch(8)
        self._sampler.add("greedy")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._sampler.close()
        self._context.close()
        self._model.close()

    def run(self, n_tokens: int) -> float:
        """Seconds for each of so many tokens."""
        self._context.clear()
        token = 65
        started = time.perf_counter()
        for position in range(n_tokens):
            self._batch.clear()
            index = self._batch.add(token, position, 0, wants_logits=True)
            self._context.decode(self._batch)
            token = self._sampler.sample(self._context, index)
        return (time.perf_counter() - started) / n_tokens


def measure_memory(program: Program) -> tuple[float, float]:
    """Megabytes beyond model and KV: proportional, and resident ones added up."""
    log = program.home / "logs" / "inglenook.log"
    log.unlink(missing_ok=True)
    with program.start() as process:
        deadline = time.monotonic() + 60
        while "a model is loaded" not in (log.read_text() if log.exists() else ""):
            assert time.monotonic() < deadline
            time.sleep(0.2)
        time.sleep(3)
        window = psutil.Process(process.pid)
        family = [window, *window.children(recursive=True)]
        assert any(is_engine(one) for one in family)
        infos = [one.memory_full_info() for one in family]
        process.terminate()
        process.wait(30)
    with Probe() as probe:
        loaded = probe.load(Load(model_id="bench", path=str(find_asset("assets", "guide.gguf"))))
    counted = loaded.size_bytes + loaded.kv_bytes
    return (
        (sum(info.pss for info in infos) - counted) / _MEGABYTE,
        (sum(info.rss for info in infos) - counted) / _MEGABYTE,
    )
