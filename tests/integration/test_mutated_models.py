"""A01: damaged model files, through the header check and, where that lets them by, the real engine.

500 files by default; INGLENOOK_MUTATIONS sets another number. Whatever a file does to the child,
this process lives, each load is answered, and the next good model works.
"""

import os
import random
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from inglenook.base.errors import ModelError
from inglenook.base.paths import Profile, find_asset
from inglenook.chat.marks import ENDED_THE_ENGINE, ModelMarks
from inglenook.engine.client import ChildEngine, CrashPolicy
from inglenook.engine.protocol import (
    EngineDied,
    Event,
    Failed,
    Finished,
    Generate,
    Load,
    Loaded,
    LoadFailed,
    LoadOptions,
    PromptMessage,
    Sampling,
)
from inglenook.models.inspection import inspect_model
from inglenook.models.library import Library
from support.models import MemoryIndex
from support.tiny_gguf import write_tiny_gguf

N_MUTATIONS: Final = int(os.environ.get("INGLENOOK_MUTATIONS", "500"))
DEADLY_SEEDS: Final = (781, 1381, 1401)
"""Vocabularies that lack a byte: the check lets them by, and they ended the engine's child."""
OPTIONS: Final = LoadOptions(n_ctx=64, n_threads=1, n_batch=64, n_ubatch=64, n_seq_max=1)
WAIT_S: Final = 30.0
BOUNDARIES: Final = (0, 1, 0x7F, 0x80, 0xFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1 << 24)
KEYS: Final = (
    b"general.alignment",
    b"general.file_type",
    b"llama.context_length",
    b"llama.embedding_length",
    b"llama.block_count",
    b"llama.feed_forward_length",
    b"llama.attention.head_count",
    b"llama.attention.head_count_kv",
    b"llama.attention.layer_norm_rms_epsilon",
    b"llama.rope.dimension_count",
    b"tokenizer.ggml.model",
    b"tokenizer.ggml.tokens",
    b"tokenizer.ggml.token_type",
    b"tokenizer.ggml.merges",
    b"tokenizer.ggml.bos_token_id",
    b"tokenizer.ggml.eos_token_id",
    b"token_embd.weight",
    b"blk.0.attn_q.weight",
    b"output_norm.weight",
)


def mutate(good: bytes, header_bytes: int, seed: int) -> bytes:
    """One damaged copy: flipped bits, boundary numbers, edited entries, or a truncation."""
    chance = random.Random(seed)
    data = bytearray(good)
    match seed % 5:
        case 0:
            for _ in range(chance.randint(1, 32)):
                data[chance.randrange(header_bytes)] ^= 1 << chance.randrange(8)
        case 1:
            for _ in range(chance.randint(1, 64)):
                data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        case 2:
            place = chance.randrange(4, header_bytes - 8)
            value = chance.choice((*BOUNDARIES, 1 << 40, (1 << 63) - 1, 1 << 63, (1 << 64) - 1))
            packed = struct.pack("<Q", value) if value >= 1 << 32 else struct.pack("<I", value)
            data[place : place + len(packed)] = packed
        case 3:
            key = chance.choice([key for key in KEYS if key in good])
            place = good.index(key) + len(key) + chance.choice((0, 4, 4, 4, 8, 12))
            data[place : place + 4] = struct.pack("<I", chance.choice(BOUNDARIES))
        case _:
            del data[chance.randrange(len(data)) :]
    return bytes(data)


class Answers:
    """Waits for what the engine answers."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._events: list[Event] = []
        self.n_deaths = 0

    def publish(self, event: Event) -> None:
        with self._changed:
            self._events.append(event)
            self.n_deaths += isinstance(event, EngineDied)
            self._changed.notify_all()

    def wait[A, B](self, one: type[A], other: type[B]) -> A | B:
        """The first event of one of two kinds; those before it are forgotten."""
        end = time.monotonic() + WAIT_S
        with self._changed:
            while True:
                while self._events:
                    event = self._events.pop(0)
                    if isinstance(event, one | other):
                        return event
                assert self._changed.wait(end - time.monotonic()), f"neither {one} nor {other}"


class Bench:
    """The engine's child, asked to load and to write a few tokens, over a library."""

    def __init__(self, profile: Profile) -> None:
        self.answers = Answers()
        self.outcomes: Counter[str] = Counter()
        self._profile = profile
        self._index = MemoryIndex(profile.data / "index.json")
        self.library = self.open_library()
        self._marks = ModelMarks(self.library)
        never = CrashPolicy(n_deaths=1000, window_s=0.0, pause_s=0.0)
        self._engine = ChildEngine(self.answers.publish, crashes=never)

    def open_library(self) -> Library:
        """The library as the next start finds it."""
        guide = find_asset("assets", "guide.gguf")
        return Library(self._profile, self._index, guide, lambda _event: None)

    def try_model(self, path: Path, model_id: str) -> str:
        """Load and write: how it ended, as one word."""
        self._engine.submit(Load(model_id=model_id, path=str(path), options=OPTIONS))
        loaded = self.answers.wait(Loaded, LoadFailed)
        self._marks.take(loaded)
        if isinstance(loaded, LoadFailed):
            assert loaded.message.endswith(".")
            return loaded.code
        prompt = (PromptMessage("user", "the fire"),)
        self._engine.submit(
            Generate(
                run_id=model_id,
                messages=prompt,
                sampling=Sampling(temperature=0.0),
                max_tokens=4,
            )
        )
        end = self.answers.wait(Finished, Failed)
        return end.reason if isinstance(end, Finished) else end.code

    def try_file(self, path: Path) -> None:
        """Import a file that may be damaged, try it, and count how that went."""
        try:
            inspect_model(path)
        except ModelError as error:
            self.outcomes["refused before the engine"] += 1
            self.outcomes[f"refused: {error.code}"] += 1
            return
        model = self.library.import_file(path)
        outcome = self.try_model(path, model.id)
        self.outcomes[f"engine: {outcome}"] += 1
        if outcome == "load_crashed":
            assert self.open_library().find(model.id).problem == ENDED_THE_ENGINE

    def close(self) -> None:
        """End the child."""
        self._engine.close()


@pytest.fixture
def bench(profile: Profile) -> Iterator[Bench]:
    made = Bench(profile)
    yield made
    made.close()


@pytest.fixture
def good(tmp_path: Path) -> Path:
    return write_tiny_gguf(tmp_path / "good.gguf", n_layers=1, n_embd=32, n_heads=2, n_ctx=128)


@pytest.mark.timeout(1800)
@pytest.mark.logs
def test_A01_damaged_models_never_end_more_than_the_child(
    bench: Bench, good: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = good.read_bytes()
    header_bytes = data.rindex(b".weight") + 48
    assert bench.try_model(good, "before") == "length"
    path = good.with_name("damaged.gguf")
    seeds = (*range(N_MUTATIONS), *(seed for seed in DEADLY_SEEDS if seed >= N_MUTATIONS))
    for seed in seeds:
        path.write_bytes(mutate(data, header_bytes, seed))
        bench.try_file(path)
    assert bench.try_model(good, "after") == "length"
    outcomes = bench.outcomes
    total = sum(n for outcome, n in outcomes.items() if not outcome.startswith("refused:"))
    assert total == len(seeds)
    with capsys.disabled():
        print(f"\n{len(seeds)} damaged models, {bench.answers.n_deaths} deaths of the child:")
        for outcome, n_times in outcomes.most_common():
            print(f"  {n_times:4} {outcome}")


def test_A06_flipped_weights_are_noticed_at_install_only_by_their_hash(good: Path) -> None:
    """The header cannot tell: that is why a download is hashed before it is listed."""
    data = bytearray(good.read_bytes())
    data[-100] ^= 1
    good.write_bytes(data)
    assert inspect_model(good).n_params > 0
