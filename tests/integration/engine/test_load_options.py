"""Load options through a whole engine: memory kinds, adapters, RoPE, locking, idle models."""

import resource
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from inglenook.engine.client import ChildEngine
from inglenook.engine.loading import loader as loader_module
from inglenook.engine.loading.room import Need
from inglenook.engine.local import LocalEngine
from inglenook.engine.protocol import (
    Finished,
    Load,
    Loaded,
    LoadFailed,
    LoadOptions,
    Unloaded,
)
from support.lora_gguf import write_lora_gguf
from support.recorder import Recorder, make_generate

CAP_IPC_LOCK = 14
KV_TYPES = ("f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0")


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose heads are as wide as one block of the quantised kinds."""
    from support.tiny_gguf import write_tiny_gguf

    folder = tmp_path_factory.mktemp("models")
    return write_tiny_gguf(folder / "wide.gguf", n_embd=128, never_ends=True, scale=0.1)


@pytest.mark.parametrize("kv_type", KV_TYPES)
def test_every_kind_of_conversation_memory_writes(
    local: LocalEngine, recorder: Recorder, wide: Path, kv_type: str
) -> None:
    loaded = recorder.load(local, wide, kv_type=kv_type)
    assert isinstance(loaded, Loaded), loaded
    assert loaded.kv_type == kv_type
    end = recorder.ask(local, kv_type, "the sea", max_tokens=20)
    assert isinstance(end, Finished)
    assert end.usage.output_tokens == 20


def test_quantised_memory_is_smaller(local: LocalEngine, recorder: Recorder, wide: Path) -> None:
    sizes = []
    for kv_type in ("f32", "f16", "q8_0", "q4_0"):
        loaded = recorder.load(local, wide, kv_type=kv_type)
        assert isinstance(loaded, Loaded)
        sizes.append(loaded.kv_bytes)
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[3] < sizes[1] / 3


def test_quantised_memory_without_flash_attention_is_refused_in_a_sentence(
    local: LocalEngine, recorder: Recorder, wide: Path
) -> None:
    failed = recorder.load(local, wide, kv_type="q8_0", flash_attention=False)
    assert isinstance(failed, LoadFailed)
    assert failed.code == "bad_request"
    assert "flash attention" in failed.message
    loaded = recorder.load(local, wide, kv_type="q8_0")
    assert isinstance(loaded, Loaded)
    assert loaded.flash_attention


def test_quantised_memory_of_narrow_heads_is_refused_in_a_sentence(
    local: LocalEngine, recorder: Recorder, tiny: Path
) -> None:
    failed = recorder.load(local, tiny, kv_type="q8_0")
    assert isinstance(failed, LoadFailed)
    assert failed.code == "bad_request"
    assert "q8_0" in failed.message
    assert isinstance(recorder.load(local, tiny), Loaded)


def test_rope_values_change_what_is_written(
    local: LocalEngine, recorder: Recorder, tiny: Path
) -> None:
    texts = []
    tried: tuple[dict[str, object], ...] = (
        {},
        {"rope_freq_base": 200.0},
        {"rope_scaling": "linear", "rope_freq_scale": 0.05},
        {"rope_scaling": "none"},
    )
    for i, options in enumerate(tried):
        assert isinstance(recorder.load(local, tiny, **options), Loaded)
        recorder.ask(local, f"r{i}", "the long road home by the sea " * 6, max_tokens=40)
        texts.append(recorder.read_text(f"r{i}"))
    assert len({*texts[:3]}) == 3
    assert texts[3] == texts[0], "this model scales nothing by itself"
    failed = recorder.load(local, tiny, rope_freq_base=-1.0)
    assert isinstance(failed, LoadFailed)
    assert failed.code == "bad_request"


# --- adapters ---


def test_an_adapter_takes_part_and_can_be_taken_out_again(
    local: LocalEngine, recorder: Recorder, tiny: Path, tmp_path: Path
) -> None:
    path = str(write_lora_gguf(tmp_path / "lora.gguf"))
    texts = {}
    for i, adapters in enumerate(((), ((path, 1.0),), ((path, 0.0),), ((path, -3.0),), ())):
        loaded = recorder.load(local, tiny, lora_adapters=adapters)
        assert isinstance(loaded, Loaded), loaded
        assert loaded.adapters == (("lora.gguf",) if adapters else ())
        recorder.ask(local, f"r{i}", "the sea", max_tokens=30)
        texts[i] = recorder.read_text(f"r{i}")
    assert texts[0] == texts[2] == texts[4]
    assert len({texts[0], texts[1], texts[3]}) == 3


def test_adapters_are_loaded_and_freed_over_and_over(
    child: ChildEngine, recorder: Recorder, tiny: Path, tmp_path: Path
) -> None:
    paths = [str(write_lora_gguf(tmp_path / f"{i}.gguf", seed=i)) for i in range(3)]
    for i in range(12):
        adapters = tuple((path, 1.0) for path in paths[: i % 4])
        assert isinstance(recorder.load(child, tiny, lora_adapters=adapters), Loaded)
        assert isinstance(recorder.ask(child, f"r{i}", "the sea", max_tokens=3), Finished)


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ({"architecture": "qwen2"}, "of the kind qwen2"),
        ({"general_type": "model"}, "no LoRA adapter"),
        ({"adapter_type": "control"}, "no LoRA adapter"),
        ({"alpha_is_text": True}, "damaged"),
        ({"n_embd": 32}, "does not fit"),
        ({"n_layers": 9}, "does not fit"),
        ({"target": "attn_strange"}, "does not fit"),
    ],
)
def test_an_adapter_that_does_not_fit_is_refused_in_a_sentence(
    child: ChildEngine,
    recorder: Recorder,
    tiny: Path,
    tmp_path: Path,
    shape: dict[str, object],
    said: str,
) -> None:
    path = write_lora_gguf(tmp_path / "lora.gguf", **shape)  # type: ignore[arg-type]
    failed = recorder.load(child, tiny, lora_adapters=((str(path), 1.0),))
    assert isinstance(failed, LoadFailed)
    assert failed.code == "bad_adapter"
    assert said in failed.message
    assert isinstance(recorder.load(child, tiny), Loaded)


def test_hostile_adapter_files_never_end_the_engine(
    child: ChildEngine, recorder: Recorder, tiny: Path, tmp_path: Path
) -> None:
    whole = write_lora_gguf(tmp_path / "lora.gguf").read_bytes()
    pid = None
    for i in range(60):
        data = bytearray(whole)
        if i % 3 == 0:
            del data[i * 11 + 4 :]
        for place in range(24 + i, min(400, len(data)), 37):
            data[place] ^= 1 << (i % 8)
        path = tmp_path / f"{i}.gguf"
        path.write_bytes(data)
        answer = recorder.load(child, tiny, lora_adapters=((str(path), 1.0),), n_ctx=64)
        assert isinstance(answer, Loaded | LoadFailed)
        pid = pid or child.state.pid
    assert child.state.pid == pid
    for other in (tmp_path, tmp_path / "none.gguf"):
        failed = recorder.load(child, tiny, lora_adapters=((str(other), 1.0),))
        assert isinstance(failed, LoadFailed)


# --- memory ---


def test_a_lock_that_the_system_refuses_is_told_and_not_fatal(
    recorder: Recorder, tiny: Path
) -> None:
    before = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    status = Path("/proc/self/status").read_text()
    capabilities = next(line for line in status.splitlines() if line.startswith("CapEff:"))
    if int(capabilities.split()[1], 16) >> CAP_IPC_LOCK & 1:
        pytest.skip("no lock is refused to this user")
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (0, before[1]))
    engine = LocalEngine(recorder)
    try:
        loaded = recorder.load(engine, tiny, use_mlock=True)
        assert isinstance(loaded, Loaded)
        assert "could not be locked" in loaded.placement_note
    finally:
        engine.close()
        resource.setrlimit(resource.RLIMIT_MEMLOCK, before)


@pytest.fixture
def short_of_memory(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Lets the loader believe that only so many bytes are free."""

    def limit(n_bytes: int) -> None:
        monkeypatch.setattr(loader_module, "count_free_bytes", lambda: n_bytes)

    return limit


def find_need(path: Path) -> Need:
    """What the loader measures for a model at 8,192 tokens."""
    from inglenook.engine.llama import Library

    loader = loader_module.Loader(Library(lambda _l, _t: None), lambda _j: None)
    measured = loader._measure(Load(model_id="m", path=str(path), options=LoadOptions(n_ctx=8192)))
    assert measured is not None
    return measured[0]


def test_H01_an_automatic_context_is_shortened_until_it_fits(
    local: LocalEngine,
    recorder: Recorder,
    make_model: Callable[..., Path],
    short_of_memory: Callable[[int], None],
) -> None:
    path = make_model(n_layers=4, n_embd=512, n_ctx=8192, never_ends=True)
    loaded = recorder.load(local, path, n_ctx=8192)
    assert isinstance(loaded, Loaded)
    work = 250_000_000
    short_of_memory(path.stat().st_size + work + loaded.kv_bytes // 3)
    loaded = recorder.load(local, path)
    assert isinstance(loaded, Loaded), loaded
    assert loaded.n_ctx in {2048, 4096}
    assert f"{loaded.n_ctx:,} tokens instead of 8,192" in loaded.placement_note
    assert isinstance(recorder.ask(local, "r", "the sea"), Finished)


def test_H01_a_chosen_context_that_does_not_fit_is_refused_with_one_that_does(
    local: LocalEngine,
    recorder: Recorder,
    make_model: Callable[..., Path],
    short_of_memory: Callable[[int], None],
) -> None:
    path = make_model(n_layers=4, n_embd=512, n_ctx=8192, never_ends=True)
    short_of_memory(1_500_000_000)
    failed = recorder.load(local, path, n_ctx=1 << 20)
    assert isinstance(failed, LoadFailed)
    assert failed.code == "out_of_memory"
    assert "1,048,576 tokens does not fit" in failed.message
    assert 512 <= failed.fitting_n_ctx < 1 << 20
    loaded = recorder.load(local, path, n_ctx=failed.fitting_n_ctx)
    assert isinstance(loaded, Loaded)
    assert loaded.n_ctx == failed.fitting_n_ctx


def test_H01_weights_that_do_not_fit_are_refused_before_they_are_read(
    local: LocalEngine, recorder: Recorder, slow: Path, short_of_memory: Callable[[int], None]
) -> None:
    short_of_memory(60_000_000)
    started = time.monotonic()
    failed = recorder.load(local, slow)
    assert isinstance(failed, LoadFailed)
    assert failed.code == "out_of_memory"
    assert "60 MB are free" in failed.message
    assert failed.fitting_n_ctx == 0
    assert time.monotonic() - started < 5
    assert isinstance(recorder.load(local, slow, checks_memory=False), Loaded)


@pytest.mark.logs
def test_H01_a_real_limit_is_seen_and_the_engine_lives(recorder: Recorder, slow: Path) -> None:
    """The host's address space is limited for real: what is refused is refused by the sums."""
    engine = ChildEngine(recorder)
    try:
        recorder.load(engine, slow, n_ctx=256)
        pid = engine.state.pid
        assert pid is not None
        taken = int(Path(f"/proc/{pid}/statm").read_text().split()[0]) * resource.getpagesize()
        limit = taken + 700_000_000
        resource.prlimit(pid, resource.RLIMIT_AS, (limit, limit))
        failed = recorder.load(engine, slow, n_ctx=1 << 20)
        assert isinstance(failed, LoadFailed)
        assert failed.code == "out_of_memory"
        assert failed.fitting_n_ctx >= 512
        assert engine.state.pid == pid
        loaded = recorder.load(engine, slow)
        assert isinstance(loaded, Loaded), loaded
        assert isinstance(recorder.ask(engine, "r", "the sea"), Finished)
        assert engine.state.pid == pid
    finally:
        engine.close()


def test_B13_memory_that_is_refused_to_the_context_halves_an_automatic_one(
    local: LocalEngine, recorder: Recorder, slow: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The estimate may be wrong: then the library's refusal is what steps down."""
    import inglenook.engine.llama as llama

    make = llama.Context.__init__

    def refuse_long(self: llama.Context, model: llama.Model, options: llama.ContextOptions) -> None:
        if options.n_ctx > 1024:
            refuse_memory()
        make(self, model, options)

    def refuse_memory() -> None:
        worker = local._worker
        assert worker is not None
        worker._log.take("error", "ggml_gallocr: failed to allocate CPU buffer of size 1")
        raise llama.NativeError("make context")

    monkeypatch.setattr(llama.Context, "__init__", refuse_long)
    loaded = recorder.load(local, slow)
    assert isinstance(loaded, Loaded), loaded
    assert loaded.n_ctx == 1024
    assert "1,024 tokens instead of 8,192" in loaded.placement_note
    failed = recorder.load(local, slow, n_ctx=4096)
    assert isinstance(failed, LoadFailed)
    assert (failed.code, failed.fitting_n_ctx) == ("out_of_memory", 2048)


# --- an idle model ---


def test_an_idle_model_is_put_away_and_comes_back_with_the_next_message(
    child: ChildEngine, recorder: Recorder, tiny: Path
) -> None:
    recorder.load(child, tiny, keeps_idle_s=0.6)
    recorder.ask(child, "a", "the sea", max_tokens=5)
    asked_at = time.monotonic()
    event = recorder.wait_for(lambda e: isinstance(e, Unloaded))
    assert isinstance(event, Unloaded)
    assert event.asleep_id == str(tiny)
    assert 0.4 < time.monotonic() - asked_at < 10
    assert child.state.phase == "idle"
    assert child.state.asleep_id == str(tiny)
    assert child.state.loaded is None
    assert isinstance(recorder.load(child, tiny, keeps_idle_s=0.6), Loaded)
    assert child.state.asleep_id == ""
    assert isinstance(recorder.ask(child, "b", "the sea", max_tokens=5), Finished)


def test_a_model_that_is_at_work_is_not_idle(
    local: LocalEngine, recorder: Recorder, slow: Path
) -> None:
    recorder.load(local, slow, keeps_idle_s=0.3)
    local.submit(make_generate("r", "the sea", max_tokens=None))
    recorder.wait_for_text("r", 5)
    time.sleep(1.0)
    assert not recorder.list_ends("r")
    assert local.state.loaded is not None


def test_another_time_to_stay_loads_nothing_anew(
    local: LocalEngine, recorder: Recorder, slow: Path
) -> None:
    first = recorder.load(local, slow)
    local.submit(make_generate("r", "the sea", max_tokens=None))
    recorder.wait_for_text("r", 5)
    again = recorder.load(local, slow, keeps_idle_s=3600.0)
    assert again is first or again == first
    assert not recorder.list_ends("r"), "the reply goes on"
    assert not any(isinstance(e, Unloaded) for e in recorder.events)


def test_what_an_idle_model_remembers_is_on_the_disk_before_it_goes(
    child: ChildEngine, recorder: Recorder, tiny: Path, tmp_path: Path
) -> None:
    command = Load(
        model_id="m",
        path=str(tiny),
        options=LoadOptions(n_threads=1, keeps_idle_s=0.5),
        snapshot_folder=str(tmp_path / "kv"),
        snapshot_limit_bytes=10**9,
    )
    child.submit(command)
    recorder.wait_for(lambda e: isinstance(e, Loaded))
    text = "the fire in the inglenook burns low and the two of them talk " * 16
    first = recorder.ask(child, "a", text, max_tokens=5)
    assert isinstance(first, Finished)
    recorder.wait_for(lambda e: isinstance(e, Unloaded))
    assert list((tmp_path / "kv").glob("*/*.kv"))
    recorder.events.clear()
    child.submit(command)
    again = recorder.ask(child, "b", text, max_tokens=5)
    assert isinstance(again, Finished)
    assert again.usage.cached_tokens >= again.usage.prompt_tokens - 2


def test_memory_of_other_settings_or_adapters_is_never_restored(
    recorder: Recorder, wide: Path, tmp_path: Path
) -> None:
    """KV memory of another kind, of other positions or of an adapter is not this model's."""
    lora = str(write_lora_gguf(tmp_path / "lora.gguf", n_embd=128))
    other = str(write_lora_gguf(tmp_path / "other.gguf", n_embd=128, seed=5))
    text = "the fire in the inglenook burns low and the two of them talk " * 16
    kinds: tuple[dict[str, object], ...] = (
        {},
        {"kv_type": "q8_0"},
        {"kv_type": "f32"},
        {"rope_freq_base": 200.0},
        {"rope_freq_scale": 0.5},
        {"lora_adapters": ((lora, 1.0),)},
        {"lora_adapters": ((lora, 0.5),)},
        {"lora_adapters": ((other, 1.0),)},
    )

    def ask(run_id: str, options: dict[str, object]) -> Finished:
        engine = LocalEngine(recorder)
        try:
            engine.submit(
                Load(
                    model_id=run_id,
                    path=str(wide),
                    options=LoadOptions(n_threads=1, **options),  # type: ignore[arg-type]
                    snapshot_folder=str(tmp_path / "kv"),
                    snapshot_limit_bytes=10**9,
                )
            )
            end = recorder.ask(engine, run_id, text, max_tokens=5)
            assert isinstance(end, Finished)
            return end
        finally:
            engine.close()

    for i, options in enumerate(kinds):
        assert ask(f"first {i}", options).usage.cached_tokens == 0, options
    for i, options in enumerate(kinds):
        assert ask(f"again {i}", options).usage.cached_tokens > 200, options
        assert recorder.read_text(f"again {i}") == recorder.read_text(f"first {i}")
