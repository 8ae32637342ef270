"""Deaths of a graphics card, by a scripted host: told in words, the text kept, a way on."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from inglenook.engine import child as child_module
from inglenook.engine.client import ChildEngine
from inglenook.engine.gpu_faults import find_gpu_fault
from inglenook.engine.llama import Batch, Decoded
from inglenook.engine.local import LocalEngine
from inglenook.engine.protocol import EngineDied, Failed, Finished, Loaded
from support import scripted_host
from support.recorder import Recorder, make_generate

pytestmark = pytest.mark.logs("the engine died", "inglenook.engine.native", "a decode failed")


@pytest.fixture
def on_gpu(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> Iterator[ChildEngine]:
    """An engine whose host has a graphics card."""
    monkeypatch.setattr(child_module, "start_child", scripted_host.start)
    engine = ChildEngine(recorder)
    yield engine
    engine.close()


def die(engine: ChildEngine, recorder: Recorder, run_id: str) -> Failed:
    """Load onto the card, ask, and see it end the host."""
    loaded = recorder.load(engine, "/m.gguf")
    assert isinstance(loaded, Loaded)
    assert loaded.device.startswith("GPU")
    engine.submit(make_generate(run_id, "the sea"))
    end = recorder.wait_for_end(run_id)
    assert isinstance(end, Failed)
    return end


@pytest.mark.timeout(6000)
def test_B13_a_full_card_in_mid_reply_is_told_and_the_cpu_goes_on(
    on_gpu: ChildEngine,
    recorder: Recorder,
    monkeypatch: pytest.MonkeyPatch,
    repeats: int,
) -> None:
    monkeypatch.setenv("INGLENOOK_TEST_DEATH", "gpu_out_of_memory")
    for i in range(repeats):
        end = die(on_gpu, recorder, f"r{i}")
        assert end.code == "gpu_out_of_memory"
        assert "graphics card ran out of memory" in end.message
        assert end.usage.output_tokens == scripted_host.N_WORDS
        assert recorder.read_text(f"r{i}").count("word") == scripted_host.N_WORDS
        died = recorder.wait_for(lambda e: isinstance(e, EngineDied))
        assert isinstance(died, EngineDied)
        assert died.broke_on == "", "the model is not to blame"
        again = recorder.load(on_gpu, "/m.gguf", n_gpu_layers=0)
        assert isinstance(again, Loaded), "no crash loop: the next one does without the card"
        assert again.device == "CPU"
        assert isinstance(recorder.ask(on_gpu, f"again{i}", "the sea"), Finished)
        recorder.events.clear()


@pytest.mark.parametrize("death", ["gpu_lost", "vulkan_lost"])
def test_B14_a_lost_card_is_told(
    on_gpu: ChildEngine, recorder: Recorder, monkeypatch: pytest.MonkeyPatch, death: str
) -> None:
    monkeypatch.setenv("INGLENOOK_TEST_DEATH", death)
    end = die(on_gpu, recorder, "r")
    assert end.code == "gpu_lost"
    assert "stopped working" in end.message


@pytest.mark.parametrize("death", ["abort", "silence"])
def test_A07_an_abort_while_writing_keeps_the_text_and_names_the_model(
    on_gpu: ChildEngine, recorder: Recorder, monkeypatch: pytest.MonkeyPatch, death: str
) -> None:
    monkeypatch.setenv("INGLENOOK_TEST_DEATH", death)
    end = die(on_gpu, recorder, "r")
    assert end.code == "engine_died"
    assert end.usage.output_tokens == scripted_host.N_WORDS
    died = recorder.wait_for(lambda e: isinstance(e, EngineDied))
    assert isinstance(died, EngineDied)
    assert died.broke_on == "/m.gguf"


def test_a_kill_from_outside_blames_no_model(
    on_gpu: ChildEngine, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INGLENOOK_TEST_DEATH", "silence")
    recorder.load(on_gpu, "/m.gguf")
    pid = on_gpu.state.pid
    assert pid is not None
    os.kill(pid, 9)
    died = recorder.wait_for(lambda e: isinstance(e, EngineDied))
    assert isinstance(died, EngineDied)
    assert died.broke_on == ""


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("CUDA error: out of memory", "gpu_out_of_memory"),
        ("ggml_backend_cuda_buffer_type_alloc_buffer: cudaMalloc failed", "gpu_out_of_memory"),
        ("ROCm error: out of memory", "gpu_out_of_memory"),
        ("ggml_gallocr_reserve_n: failed to allocate CUDA0 buffer of size 9", "gpu_out_of_memory"),
        ("ggml_gallocr_reserve_n: failed to allocate Vulkan0 buffer", "gpu_out_of_memory"),
        ("vk::Device::allocateMemory: ErrorOutOfDeviceMemory", "gpu_out_of_memory"),
        ("CUDA error: no CUDA-capable device is detected", "gpu_lost"),
        ("CUDA error: unknown error", "gpu_lost"),
        ("ggml_vulkan: device lost on AMD Radeon", "gpu_lost"),
        ("vk::Queue::submit: ErrorDeviceLost", "gpu_lost"),
        ("ggml_gallocr_reserve_n: failed to allocate CPU buffer of size 9", None),
        ("ggml.c:4132: GGML_ASSERT(eps >= 0.0f) failed", None),
        ("decode: failed to find a memory slot", None),
    ],
)
def test_the_words_of_each_backend(line: str, fault: str | None) -> None:
    assert find_gpu_fault(["something before", line]) == fault


def test_B13_a_step_that_fails_for_the_cards_memory_says_so(
    recorder: Recorder, slow: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some backends report instead of ending the process: the reply then ends by the same code."""
    engine = LocalEngine(recorder)
    try:
        recorder.load(engine, slow)
        engine.submit(make_generate("r", "the sea", max_tokens=None))
        recorder.wait_for_text("r", 5)
        worker = engine._worker
        assert worker is not None
        session = worker._session
        assert session is not None
        session.facts = msgspec.structs.replace(session.facts, n_layers_gpu=7)

        def fail(_batch: Batch, _meanwhile: Callable[[], None]) -> Decoded:
            worker._log.take("error", "ggml_gallocr: failed to allocate CUDA0 buffer of size 9")
            return Decoded.FAILED

        monkeypatch.setattr(session.loaded.context, "decode", fail)
        end = recorder.wait_for_end("r")
        assert isinstance(end, Failed)
        assert end.code == "gpu_out_of_memory"
        assert end.usage.output_tokens >= 5
    finally:
        engine.close()
