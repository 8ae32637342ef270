"""The whole engine on a GPU: placement, words, stops, memory kept, steps down, the contest.

These need an interpreter whose llama.cpp was built for a GPU and finds one. INGLENOOK_GPU_PYTHON
names it; without that it is this one. Mesa's software device is enough: llama.cpp passes it over
unless GGML_VK_VISIBLE_DEVICES names it, which is done here where nobody chose otherwise.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from inglenook.engine.client import ChildEngine
from inglenook.engine.loading.contest import find_weak_gpu, is_cpu_faster
from inglenook.engine.measuring.measure import wait_for_snapshot
from inglenook.engine.protocol import (
    Cancel,
    Device,
    DrawnToken,
    EngineReady,
    Finished,
    Load,
    Loaded,
    LoadFailed,
    LoadOptions,
    Prefill,
    Text,
)
from support.recorder import DRAWS, Recorder, make_generate
from support.tiny_gguf import write_tiny_gguf

GPU_PYTHON: Final = os.environ.get("INGLENOOK_GPU_PYTHON", sys.executable)
DESKTOP: Final = Path(__file__).resolve().parents[3] / "desktop"
NEAR: Final = 0.16
"""Log-probabilities so near are the rounding of other arithmetic, also of 8-bit memory."""
TIE: Final = 0.2
PROMPTS: Final = ("the sea", "1 2 3 4 1 2 3 4 1 2 3")
WAIT_S: Final = 240.0
LOOK: Final = """
import json, msgspec
from inglenook.engine.llama import Library
library = Library(lambda level, text: None)
print(json.dumps([msgspec.to_builtins(device) for device in library.devices]))
"""
LOAD: Final = """
import sys
from inglenook.engine.llama import Context, ContextOptions, Library, Model, ModelOptions
lines = []
library = Library(lambda level, text: lines.append(text))
model = Model(sys.argv[1], ModelOptions(n_gpu_layers=int(sys.argv[2])), lambda done: True)
Context(model, ContextOptions(512, 512, 512, 1, 1, 1, 1)).close()
print("\\n".join(lines))
"""


def make_environment() -> dict[str, str]:
    # WORKAROUND: with fused operations Mesa 22's software device crashes, in its queue thread, when
    # a step of two tokens follows one of one, for some shapes.
    usual = {"GGML_VK_VISIBLE_DEVICES": "0", "GGML_VK_DISABLE_FUSION": "1"}
    env = {**usual, **os.environ, "PYTHONPATH": str(DESKTOP)}
    return {name: value for name, value in env.items() if not name.startswith("PYTEST")}


def run_program(*arguments: str, **env: str) -> str:
    """What a program under the GPU's interpreter prints."""
    done = subprocess.run(
        [GPU_PYTHON, "-P", *arguments],
        env={**make_environment(), **env},
        capture_output=True,
        text=True,
        timeout=WAIT_S,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def gpus() -> tuple[Device, ...]:
    """The GPUs that are there; without one, all of this is skipped."""
    try:
        printed = run_program("-c", LOOK)
    except (AssertionError, OSError) as error:
        pytest.skip(f"{GPU_PYTHON} has no engine: {str(error)[-200:]}")
    devices = msgspec.convert(json.loads(printed), tuple[Device, ...])
    found = tuple(device for device in devices if device.kind in {"gpu", "igpu"})
    if not found:
        pytest.skip(
            "llama.cpp finds no GPU; INGLENOOK_GPU_PYTHON names an interpreter that has one"
        )
    return found


pytestmark = pytest.mark.timeout(900)

type Start = Callable[..., ChildEngine]


@pytest.fixture
def start(
    gpus: tuple[Device, ...], recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Start]:
    """Starts engines whose host runs under the GPU's interpreter, one at a time."""
    opened: list[ChildEngine] = []
    monkeypatch.setattr(sys, "executable", GPU_PYTHON)

    def open_engine(**env: str) -> ChildEngine:
        for engine in opened:
            engine.close()
        for name, value in {**make_environment(), **env}.items():
            if name.startswith("GGML_"):
                monkeypatch.setenv(name, value)
        recorder.events.clear()
        opened.append(ChildEngine(recorder))
        return opened[-1]

    yield open_engine
    for engine in opened:
        engine.close()


@pytest.fixture
def gpu(start: Start) -> ChildEngine:
    """One such engine."""
    return start()


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Heads as wide as one block of the quantised kinds, and a few layers more."""
    return write_tiny_gguf(
        tmp_path_factory.mktemp("models") / "wide.gguf",
        n_embd=256,
        n_layers=4,
        n_ctx=2048,
        scale=0.1,
        never_ends=True,
    )


def try_load(
    recorder: Recorder, engine: ChildEngine, path: Path, **options: object
) -> Loaded | LoadFailed:
    """A device of software compiles its shaders at the first load, which takes a while."""
    n_before = len(recorder.events)
    values: dict[str, Any] = {"n_threads": 1, "n_ctx": 1024, **options}
    engine.submit(Load(model_id="m", path=str(path), options=LoadOptions(**values)))
    event = recorder.wait_for(
        lambda e: (
            isinstance(e, Loaded | LoadFailed)
            and any(e is later for later in recorder.events[n_before:])
        ),
        WAIT_S,
    )
    assert isinstance(event, Loaded | LoadFailed)
    return event


def load(recorder: Recorder, engine: ChildEngine, path: Path, **options: object) -> Loaded:
    loaded = try_load(recorder, engine, path, **options)
    assert isinstance(loaded, Loaded), loaded
    return loaded


def write(
    recorder: Recorder,
    engine: ChildEngine,
    run_id: str,
    text: str,
    *,
    max_tokens: int = 16,
    speculates: bool = False,
) -> tuple[Finished, list[DrawnToken]]:
    command = make_generate(run_id, text, max_tokens=max_tokens)
    engine.submit(msgspec.structs.replace(command, speculates=speculates, n_alternatives=3))
    ended = recorder.wait_for_end(run_id, WAIT_S)
    assert isinstance(ended, Finished), ended
    texts = [e for e in recorder.events if isinstance(e, Text) and e.run_id == run_id]
    return ended, [token for event in texts for token in event.tokens]


def assert_same_words(one: list[DrawnToken], other: list[DrawnToken]) -> None:
    """The same tokens, as likely, up to where two were as good as equally likely."""
    assert one
    for mine, its in zip(one, other, strict=False):
        gap = abs(mine.chosen.log_probability - its.chosen.log_probability)
        if mine.chosen.token != its.chosen.token:
            assert gap < TIE, "two replies part where one was clearly likelier"
            return
        assert gap < NEAR
    assert len(one) == len(other)


def assert_gpu_writes_as_cpu_does(
    recorder: Recorder, engine: ChildEngine, path: Path, **options: object
) -> Loaded:
    """Greedy replies under the same options, once on the CPU and once as the options say."""
    n_before = len(recorder.events)
    load(recorder, engine, path, **{**options, "n_gpu_layers": 0})
    on_cpu = [write(recorder, engine, f"c{n_before}-{text}", text)[1] for text in PROMPTS]
    loaded = load(recorder, engine, path, **options)
    on_gpu = [write(recorder, engine, f"g{n_before}-{text}", text)[1] for text in PROMPTS]
    for one, other in zip(on_cpu, on_gpu, strict=True):
        assert_same_words(one, other)
    return loaded


# --- what is told ---


def test_devices_are_told_with_their_memory(
    gpu: ChildEngine, recorder: Recorder, tiny: Path, gpus: tuple[Device, ...]
) -> None:
    load(recorder, gpu, tiny)
    ready = next(e for e in recorder.events if isinstance(e, EngineReady))
    assert "CPU" in ready.backend
    assert "," in ready.backend, "the GPU's backend is named beside the processor's"
    told = [device for device in ready.devices if device.kind in {"gpu", "igpu"}]
    assert [device.name for device in told] == [device.name for device in gpus]
    for device in told:
        assert device.description
        assert 0 < device.memory_free_bytes <= device.memory_total_bytes


def test_all_layers_go_to_the_gpu_by_themselves(
    gpu: ChildEngine, recorder: Recorder, tiny: Path
) -> None:
    loaded = load(recorder, gpu, tiny)
    assert loaded.n_layers_gpu == loaded.n_layers + 1
    assert loaded.device == f"GPU {loaded.n_layers}/{loaded.n_layers}"
    assert not loaded.placement_note
    assert loaded.kv_bytes > 0


@pytest.mark.parametrize("n_gpu_layers", [1, 3])
def test_chosen_layers_go_to_the_gpu(
    gpu: ChildEngine, recorder: Recorder, wide: Path, n_gpu_layers: int
) -> None:
    loaded = assert_gpu_writes_as_cpu_does(recorder, gpu, wide, n_gpu_layers=n_gpu_layers)
    assert loaded.n_layers_gpu == n_gpu_layers
    assert loaded.device == f"GPU {n_gpu_layers - 1}/{loaded.n_layers}"
    assert not loaded.placement_note


def test_without_layers_the_gpu_takes_no_part(
    gpu: ChildEngine, recorder: Recorder, wide: Path, gpus: tuple[Device, ...]
) -> None:
    loaded = load(recorder, gpu, wide, n_gpu_layers=0)
    assert (loaded.device, loaded.n_layers_gpu) == ("CPU", 0)
    name = gpus[0].name
    assert any(name in line for line in list_buffers(wide, -1))
    assert not any(name in line for line in list_buffers(wide, 0))


def list_buffers(path: Path, n_gpu_layers: int) -> list[str]:
    lines = run_program("-c", LOAD, str(path), str(n_gpu_layers)).splitlines()
    return [line for line in lines if "buffer size" in line]


# --- what it writes ---


def test_the_guide_says_on_the_gpu_what_it_says_on_the_cpu(
    gpu: ChildEngine, recorder: Recorder, guide: Path
) -> None:
    loaded = assert_gpu_writes_as_cpu_does(recorder, gpu, guide, n_ctx=512)
    assert loaded.n_layers_gpu == loaded.n_layers + 1


@pytest.mark.parametrize("architecture", ["llama", "gemma3", "mamba"])
def test_every_kind_of_memory_works_on_the_gpu(
    gpu: ChildEngine, recorder: Recorder, make_model: Callable[..., Path], architecture: str
) -> None:
    path = make_model(architecture=architecture, scale=0.1, never_ends=True)
    assert_gpu_writes_as_cpu_does(recorder, gpu, path)


@pytest.mark.parametrize("kv_type", ["f32", "f16", "bf16", "q8_0"])
def test_every_kind_of_conversation_memory_works_on_the_gpu(
    gpu: ChildEngine, recorder: Recorder, wide: Path, kv_type: str
) -> None:
    loaded = assert_gpu_writes_as_cpu_does(recorder, gpu, wide, kv_type=kv_type)
    assert loaded.kv_type == kv_type


@pytest.mark.parametrize("flash_attention", [True, False])
def test_flash_attention_is_as_chosen_on_the_gpu(
    gpu: ChildEngine, recorder: Recorder, wide: Path, flash_attention: bool
) -> None:
    loaded = assert_gpu_writes_as_cpu_does(recorder, gpu, wide, flash_attention=flash_attention)
    assert loaded.flash_attention is flash_attention


def test_replies_at_once_are_written_on_the_gpu(
    gpu: ChildEngine, recorder: Recorder, tiny: Path
) -> None:
    load(recorder, gpu, tiny)
    alone = [write(recorder, gpu, f"a{i}", text)[1] for i, text in enumerate(PROMPTS)]
    for i, text in enumerate(PROMPTS):
        command = make_generate(f"t{i}", text, max_tokens=16)
        gpu.submit(msgspec.structs.replace(command, n_alternatives=3, speculates=False))
    for i, one in enumerate(alone):
        assert isinstance(recorder.wait_for_end(f"t{i}", WAIT_S), Finished)
        texts = [e for e in recorder.events if isinstance(e, Text) and e.run_id == f"t{i}"]
        assert_same_words(one, [token for event in texts for token in event.tokens])


def test_guessing_ahead_changes_nothing_on_the_gpu(
    gpu: ChildEngine, recorder: Recorder, tiny: Path
) -> None:
    load(recorder, gpu, tiny)
    text = "tick tock " * 12
    _, plain = write(recorder, gpu, "p", text, max_tokens=80)
    ended, guessed = write(recorder, gpu, "g", text, max_tokens=80, speculates=True)
    assert ended.usage.accepted_tokens > 0
    assert_same_words(plain, guessed)


@pytest.mark.parametrize("name", ["greedy", "as usual"])
def test_what_the_gpu_passes_over_would_not_have_been_drawn(
    gpu: ChildEngine, recorder: Recorder, guide: Path, name: str
) -> None:
    """Whoever wants to see chances is handed all logits, others the likeliest few: it is one.

    The model is one of decided choices: that two runs round otherwise must not change its words.
    """
    load(recorder, gpu, guide)
    cool = 0.0 if name == "greedy" else 0.2
    sampling = msgspec.structs.replace(DRAWS[name], temperature=cool)
    for text in ("What is a token?", "What does quantisation do?", "How do I stop a reply?"):
        told = []
        for n_alternatives in (None, 0):
            run_id = f"{text}{n_alternatives}"
            command = make_generate(run_id, text, max_tokens=60, sampling=sampling)
            gpu.submit(
                msgspec.structs.replace(command, n_alternatives=n_alternatives, speculates=False)
            )
            assert isinstance(recorder.wait_for_end(run_id, WAIT_S), Finished)
            told.append(recorder.read_text(run_id))
        assert told[0] == told[1]
        assert len(told[0]) > 20


# --- stops, and what is kept ---


def test_a_reply_is_stopped_while_the_gpu_writes(
    gpu: ChildEngine, recorder: Recorder, wide: Path
) -> None:
    load(recorder, gpu, wide)
    gpu.submit(make_generate("r", "the sea", max_tokens=None))
    recorder.wait_for_text("r", 4)
    assert_stops(gpu, recorder, "r", within_s=2.0)
    ended, _ = write(recorder, gpu, "s", "the sea", max_tokens=4)
    assert ended.usage.output_tokens == 4, "the same engine goes on"


def test_a_reply_is_stopped_while_the_gpu_reads(
    gpu: ChildEngine, recorder: Recorder, slow: Path
) -> None:
    load(recorder, gpu, slow, n_ctx=4096)
    text = "the sea and the long road home " * 300
    gpu.submit(make_generate("r", text, max_tokens=None))
    recorder.wait_for(lambda e: isinstance(e, Prefill) and e.n_done > 0, WAIT_S)
    assert_stops(gpu, recorder, "r", within_s=2.0)
    last = [e for e in recorder.events if isinstance(e, Prefill)][-1]
    assert last.n_done < last.n_prompt
    gpu.submit(make_generate("s", text[: len(text) // 40], max_tokens=2))
    ended = recorder.wait_for_end("s", WAIT_S)
    assert isinstance(ended, Finished)
    assert ended.usage.cached_tokens > 0, "what was read before the stop is still there"


def assert_stops(engine: ChildEngine, recorder: Recorder, run_id: str, within_s: float) -> None:
    pid = engine.state.pid
    started = time.monotonic()
    engine.submit(Cancel(run_id=run_id))
    ended = recorder.wait_for_end(run_id, WAIT_S)
    took_s = time.monotonic() - started
    assert isinstance(ended, Finished), ended
    assert ended.reason == "cancelled"
    assert engine.state.pid == pid, "it was not ended for being deaf"
    assert took_s < within_s


@pytest.mark.parametrize(
    ("first", "second", "flash_attention", "is_kept"),
    [
        (None, None, None, True),
        (None, 0, True, True),
        (0, None, True, True),
        (None, 0, None, False),
    ],
)
def test_a_conversation_goes_on_from_the_disk(
    start: Start,
    recorder: Recorder,
    tiny: Path,
    tmp_path: Path,
    first: int | None,
    second: int | None,
    *,
    flash_attention: bool | None,
    is_kept: bool,
) -> None:
    """What the GPU has read the CPU need not read again, and the other way.

    Left to itself each has the attention that suits it, and memory of one is of no use to another.
    """
    text = "the fire in the inglenook burns low and the two of them talk " * 24
    ends, words = [], []
    for i, n_gpu_layers in enumerate((first, second)):
        engine = start()
        command = Load(
            model_id="m",
            path=str(tiny),
            options=LoadOptions(
                n_threads=1, n_gpu_layers=n_gpu_layers, flash_attention=flash_attention
            ),
            snapshot_folder=str(tmp_path / "kv"),
            snapshot_limit_bytes=10**9,
        )
        engine.submit(command)
        recorder.wait_for(lambda e: isinstance(e, Loaded), WAIT_S)
        ended, tokens = write(recorder, engine, f"r{i}", text, max_tokens=12)
        ends.append(ended)
        words.append(tokens)
        assert wait_for_snapshot(tmp_path / "kv"), "an idle moment is used to keep it"
        engine.close()
    assert ends[0].usage.cached_tokens == 0
    assert (ends[1].usage.cached_tokens >= ends[1].usage.prompt_tokens - 2) is is_kept
    assert_same_words(*words)


# --- what does not fit, and several devices ---


def test_a_model_that_the_gpu_has_no_room_for_runs_on_the_cpu(
    start: Start, recorder: Recorder, make_model: Callable[..., Path], gpus: tuple[Device, ...]
) -> None:
    if not gpus[0].name.startswith("Vulkan"):
        pytest.skip("only the Vulkan backend can be told to be small")
    path = make_model(n_layers=12, n_embd=256, n_ctx=4096, scale=0.1, never_ends=True)
    engine = start(
        GGML_VK_FORCE_MAX_ALLOCATION_SIZE="300000", GGML_VK_FORCE_MAX_BUFFER_SIZE="300000"
    )
    loaded = load(recorder, engine, path)
    assert loaded.n_layers_gpu == 0
    assert loaded.device == "CPU"
    assert "no room" in loaded.placement_note
    assert write(recorder, engine, "r", "the sea", max_tokens=4)[0].usage.output_tokens == 4
    failed = try_load(recorder, engine, path, n_gpu_layers=12)
    assert isinstance(failed, LoadFailed)
    assert (failed.code, failed.fits_cpu) == ("out_of_memory", True)


def test_layers_are_spread_over_all_devices(
    start: Start, recorder: Recorder, wide: Path, gpus: tuple[Device, ...]
) -> None:
    if not gpus[0].name.startswith("Vulkan") or find_weak_gpu(gpus) is None:
        pytest.skip("only a device of software can be had twice")
    engine = start(GGML_VK_VISIBLE_DEVICES="0,0")
    loaded = assert_gpu_writes_as_cpu_does(recorder, engine, wide)
    assert loaded.n_layers_gpu == loaded.n_layers + 1
    ready = next(e for e in recorder.events if isinstance(e, EngineReady))
    assert [d.name for d in ready.devices if d.kind != "cpu"] == ["Vulkan0", "Vulkan1"]
    printed = run_program("-c", LOAD, str(wide), "-1", GGML_VK_VISIBLE_DEVICES="0,0")
    for name in ("Vulkan0", "Vulkan1"):
        assert f"{name} KV buffer size" in printed
        assert f"{name} model buffer size" in printed


# --- the contest ---


def test_a_software_gpu_loses_to_the_cpu_once_and_for_all(
    start: Start, recorder: Recorder, guide: Path, tmp_path: Path, gpus: tuple[Device, ...]
) -> None:
    weak = find_weak_gpu(gpus)
    if weak is None:
        pytest.skip("a graphics card of its own is never measured")
    is_software = "llvmpipe" in weak.description
    command = Load(
        model_id="m", path=str(guide), contest_file=str(tmp_path / "cache" / "weak-gpu.json")
    )
    took = []
    for i in range(2):
        engine = start()
        engine.submit(command)
        loaded = recorder.wait_for(lambda e: isinstance(e, Loaded | LoadFailed), WAIT_S)
        assert isinstance(loaded, Loaded), loaded
        assert loaded.contest is not None
        assert loaded.contest.device == weak.description
        if is_software:
            assert is_cpu_faster(loaded.contest)
        assert (loaded.device == "CPU") is is_cpu_faster(loaded.contest)
        assert "times as fast" in loaded.placement_note
        took.append(loaded.load_s)
        write(recorder, engine, f"r{i}", "hello", max_tokens=4)
        engine.close()
    assert took[1] < took[0]
    engine = start()
    engine.submit(
        msgspec.structs.replace(command, options=LoadOptions(n_gpu_layers=1000, n_threads=1))
    )
    loaded = recorder.wait_for(lambda e: isinstance(e, Loaded | LoadFailed), WAIT_S)
    assert isinstance(loaded, Loaded)
    assert loaded.n_layers_gpu == loaded.n_layers + 1, "who chooses the GPU gets it"
    assert loaded.contest is None


def test_doctor_tells_of_backend_devices_and_contest(
    gpus: tuple[Device, ...], tmp_path: Path
) -> None:
    home = ("--home", str(tmp_path))
    report: dict[str, Any] = json.loads(run_program("-m", "inglenook", "doctor", "--json", *home))
    engine = report["engine"]
    assert not engine["problem"]
    names = [device["name"] for device in engine["devices"] if device["kind"] != "cpu"]
    assert names == [device.name for device in gpus]
    loaded = engine["loaded"]
    printed = run_program("-m", "inglenook", "doctor", *home)
    assert gpus[0].description in printed
    if find_weak_gpu(gpus) is not None:
        assert loaded["contest"]["device"] == gpus[0].description
        assert loaded["placement_note"].rstrip(".") in " ".join(printed.split())
