"""A weak GPU against the CPU: measured once, remembered, told. The GPU is scripted here.

What it is on a real device of software, `test_devices` tells.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import pytest

from inglenook.engine import llama
from inglenook.engine.llama.native import native
from inglenook.engine.loading import contest as contest_module
from inglenook.engine.loading import loader as loader_module
from inglenook.engine.loading.contest import Contests, explain, find_weak_gpu, is_cpu_faster
from inglenook.engine.local import LocalEngine
from inglenook.engine.protocol import (
    Contest,
    Device,
    Finished,
    Load,
    Loaded,
    LoadFailed,
    LoadOptions,
    Speed,
)
from support.recorder import Recorder

CPU = Device(name="CPU", description="A processor", kind="cpu")
IGPU = Device(name="Vulkan0", description="Graphics in the processor", kind="igpu")
SOFTWARE = Device(name="Vulkan0", description="llvmpipe (LLVM 15.0.6, 256 bits)", kind="gpu")
CARD = Device(name="Vulkan1", description="A graphics card", kind="gpu")
FAST, SLOW = Speed(read_tps=900.0, write_tps=60.0), Speed(read_tps=300.0, write_tps=20.0)


@pytest.mark.parametrize(
    ("devices", "weak"),
    [
        ((CPU,), None),
        ((CPU, CARD), None),
        ((CPU, IGPU, CARD), None),
        ((IGPU, CPU), IGPU),
        ((CPU, SOFTWARE), SOFTWARE),
    ],
)
def test_only_what_may_lose_is_measured(devices: Sequence[Device], weak: Device | None) -> None:
    assert find_weak_gpu(devices) == weak


@pytest.mark.parametrize(
    ("gpu", "cpu", "wins", "said"),
    [
        (FAST, SLOW, False, "It runs on the GPU: measured 3.0 times as fast as the CPU here."),
        (SLOW, FAST, True, "It runs on the CPU: measured 3.0 times as fast as the GPU here."),
        (FAST, FAST, False, "It runs on the GPU: measured about as fast as the CPU here."),
        (
            Speed(read_tps=1000.0, write_tps=20.0),
            Speed(read_tps=50.0, write_tps=30.0),
            False,
            "It runs on the GPU: measured 1.0 times as fast as the CPU here.",
        ),
    ],
)
def test_reading_and_writing_both_count(gpu: Speed, cpu: Speed, wins: bool, said: str) -> None:
    contest = Contest(device="d", gpu=gpu, cpu=cpu)
    assert is_cpu_faster(contest) is wins
    if not said.startswith("It runs on the GPU: measured 1.0"):
        assert explain(contest) == said


def test_what_was_measured_is_kept_until_it_is_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contest = Contest(device="d", gpu=SLOW, cpu=FAST)
    path = tmp_path / "cache" / "weak-gpu.json"
    assert Contests(path).find("a") is None
    Contests(path).keep("a", contest)
    Contests(path).keep("b", msgspec.structs.replace(contest, device="e"))
    assert Contests(path).find("a") == contest
    assert Contests(path).find("c") is None
    assert path.stat().st_mode & 0o077 == 0
    later = time.time() + 100 * 24 * 3600
    monkeypatch.setattr(time, "time", lambda: later)
    assert Contests(path).find("a") is None


@pytest.mark.parametrize("content", [b"", b"{", b'{"a": 1}', b"\xff" * 100, b"[]"])
def test_a_damaged_file_is_measured_anew(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "weak-gpu.json"
    path.write_bytes(content)
    assert Contests(path).find("a") is None
    Contests(path).keep("a", Contest(device="d", gpu=SLOW, cpu=FAST))
    assert Contests(path).find("a") is not None


def test_a_file_that_cannot_be_written_is_no_fault(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    contests = Contests(tmp_path / "file" / "weak-gpu.json")
    contests.keep("a", Contest(device="d", gpu=SLOW, cpu=FAST))
    assert contests.find("a") is None


# --- a load, with a GPU that is none ---


class Script:
    """What the pretended GPU is like, and what was measured."""

    def __init__(self) -> None:
        self.devices: tuple[Device, ...] = (CPU, IGPU)
        self.gpu, self.cpu = SLOW, FAST
        self.measured: list[str] = []
        self.fails = False


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Script:
    script = Script()

    def measure(context: llama.Context, _n: int, _stop: Callable[[], bool]) -> Speed:
        if script.fails:
            raise llama.NativeError("measure")
        script.measured.append("CPU" if context.can_interrupt else "GPU")
        return script.cpu if context.can_interrupt else script.gpu

    monkeypatch.setattr(native, "llama_supports_gpu_offload", lambda: True)
    monkeypatch.setattr(llama.Library, "devices", property(lambda _: script.devices))
    monkeypatch.setattr(loader_module, "measure_speed", measure)
    return script


class Desk:
    """Loads one model under one file of contests."""

    def __init__(self, recorder: Recorder, model: Path, folder: Path) -> None:
        self.recorder, self.model, self.file = recorder, model, folder / "weak-gpu.json"

    def load(self, **options: object) -> Loaded:
        engine = LocalEngine(self.recorder)
        n_before = len(self.recorder.events)
        try:
            command = Load(
                model_id="m",
                path=str(self.model),
                options=LoadOptions(n_threads=1, **options),  # type: ignore[arg-type]
                contest_file=str(self.file),
            )
            engine.submit(command)
            loaded = self.recorder.wait_for(
                lambda e: (
                    isinstance(e, Loaded | LoadFailed)
                    and any(e is later for later in self.recorder.events[n_before:])
                )
            )
            assert isinstance(loaded, Loaded), loaded
            run_id = f"r{n_before}"
            assert isinstance(self.recorder.ask(engine, run_id, "the sea", max_tokens=5), Finished)
            return loaded
        finally:
            engine.close()


@pytest.fixture
def desk(recorder: Recorder, tiny: Path, tmp_path: Path) -> Desk:
    return Desk(recorder, tiny, tmp_path)


def test_a_weak_gpu_that_loses_is_not_used_and_not_measured_again(
    desk: Desk, script: Script
) -> None:
    loaded = desk.load()
    assert script.measured == ["GPU", "CPU"]
    assert loaded.device == "CPU"
    assert loaded.n_layers_gpu == 0
    assert loaded.contest == Contest(device=IGPU.description, gpu=SLOW, cpu=FAST)
    assert loaded.placement_note == (
        "It runs on the CPU: measured 3.0 times as fast as the GPU here."
    )
    again = desk.load()
    assert script.measured == ["GPU", "CPU"]
    assert (again.device, again.contest) == ("CPU", loaded.contest)
    assert again.placement_note == loaded.placement_note


def test_a_weak_gpu_that_wins_is_used(desk: Desk, script: Script) -> None:
    script.gpu, script.cpu = FAST, SLOW
    for _ in range(2):
        loaded = desk.load()
        assert loaded.contest is not None
        assert not is_cpu_faster(loaded.contest)
        assert loaded.placement_note.startswith("It runs on the GPU")
    assert script.measured == ["GPU", "CPU"]


def test_a_graphics_card_is_never_measured(desk: Desk, script: Script) -> None:
    script.devices = (CPU, CARD, IGPU)
    assert desk.load().contest is None
    assert not script.measured
    assert not desk.file.exists()


@pytest.mark.parametrize("n_gpu_layers", [0, 1000])
def test_a_number_of_layers_that_was_chosen_is_not_questioned(
    desk: Desk, script: Script, n_gpu_layers: int
) -> None:
    loaded = desk.load(n_gpu_layers=n_gpu_layers)
    assert loaded.contest is None
    assert not loaded.placement_note
    assert not script.measured


def test_another_device_or_another_setting_is_another_contest(desk: Desk, script: Script) -> None:
    desk.load()
    script.devices = (CPU, SOFTWARE)
    assert desk.load().contest is not None
    desk.load(flash_attention=False)
    assert len(script.measured) == 6


def test_where_nothing_can_be_measured_the_gpu_is_used(desk: Desk, script: Script) -> None:
    script.fails = True
    assert desk.load().contest is None
    script.fails = False
    assert desk.load().contest is not None, "the next load tries again"


def test_without_room_for_both_the_gpu_is_used(
    desk: Desk, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loader_module, "count_free_bytes", lambda: 1_000_000)
    assert desk.load().contest is None
    assert script.measured == ["GPU"]


def test_a_real_measurement_is_short_and_leaves_nothing_behind(tiny: Path, slow: Path) -> None:
    library = llama.Library(lambda _level, _text: None)
    for path in (tiny, slow):
        loaded = loader_module.Loader(library, lambda _journal: None).load(
            Load(model_id="m", path=str(path)), lambda _fraction: None, lambda: False
        )
        try:
            started = time.monotonic()
            n_vocab = loaded.model.vocab.n_tokens
            speed = contest_module.measure_speed(loaded.context, n_vocab)
            assert time.monotonic() - started < 10
            assert speed.read_tps > speed.write_tps / 2 > 0
            assert loaded.context.last_position(0) == -1
            with pytest.raises(llama.NativeError):
                contest_module.measure_speed(loaded.context, n_vocab, lambda: True)
            assert loaded.context.last_position(0) == -1
        finally:
            loaded.close()
