"""This machine is measured through the engine itself, with samples that tests can bear."""

import queue
from pathlib import Path

import pytest

from inglenook.engine.client import ChildEngine
from inglenook.engine.local import LocalEngine
from inglenook.engine.measuring import gauge
from inglenook.engine.protocol import Event, Gauge, Gauged, Load, Loaded

WAIT_S = 120.0


@pytest.fixture
def small_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gauge, "_LEAST_BYTES", 1_000_000)
    monkeypatch.setattr(gauge, "_MOST_BYTES", 1_000_000)
    monkeypatch.setattr(gauge, "_PATIENCE_S", 0.05)
    monkeypatch.setattr(gauge, "_ENOUGH_S", 0.02)
    monkeypatch.setattr(gauge, "_N_DEEP", 512)
    monkeypatch.setattr(gauge.Gauge.run, "__defaults__", (("Q8_0", "Q4_K", "F16"),))


def wait_for[T](events: "queue.SimpleQueue[Event]", kind: type[T]) -> T:
    while True:
        event = events.get(timeout=WAIT_S)
        if isinstance(event, kind):
            return event


@pytest.mark.usefixtures("small_samples")
def test_every_figure_is_measured_and_no_sample_stays(tmp_path: Path) -> None:
    events: queue.SimpleQueue[Event] = queue.SimpleQueue()
    engine = LocalEngine(events.put)
    try:
        engine.submit(Gauge(folder=str(tmp_path / "cache")))
        told = wait_for(events, Gauged)
    finally:
        engine.close()
    assert told.rates is not None, told.message
    cpu = told.rates.cpu
    assert set(cpu.kinds) == {"Q8_0", "Q4_K", "F16"}
    for rates in cpu.kinds.values():
        assert 1e8 < rates.bytes_per_s < 1e13
        assert 1e8 < rates.ops_per_s < 1e15
    assert not cpu.kinds["F16"].is_repacked
    assert cpu.look_ops_per_s > 0
    assert cpu.read_look_ops_per_s > 0
    assert 0 <= cpu.layer_s < 1
    assert cpu.by_threads[-1][1] == 1.0
    assert told.rates.base_bytes > 10_000_000
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.usefixtures("small_samples")
def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    events: queue.SimpleQueue[Event] = queue.SimpleQueue()
    engine = LocalEngine(events.put)
    try:
        engine.submit(Gauge(folder=str(tmp_path / "file" / "cache")))
        told = wait_for(events, Gauged)
    finally:
        engine.close()
    assert told.rates is None
    assert told.message.endswith(".")


def test_a_command_that_comes_meanwhile_goes_first(tmp_path: Path, tiny: Path) -> None:
    events: queue.SimpleQueue[Event] = queue.SimpleQueue()
    engine = ChildEngine(events.put)
    try:
        engine.submit(Gauge(folder=str(tmp_path / "cache")))
        engine.submit(Load(model_id="m", path=str(tiny)))
        told = wait_for(events, Gauged)
        assert told.rates is None
        assert wait_for(events, Loaded).model_id == "m"
        engine.submit(Gauge(folder=str(tmp_path / "cache")))
        assert "A model is loaded" in wait_for(events, Gauged).message
    finally:
        engine.close()
