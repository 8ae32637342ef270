"""Predicted, measured, learned: a real engine, a small model, and what comes of its replies."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from inglenook.base.errors import EngineError, ModelError
from inglenook.base.events import EventHub
from inglenook.base.rates import KindRates
from inglenook.base.records import InstalledModel
from inglenook.chat.forecast_events import ForecastChanged, MachineMeasured
from inglenook.chat.forecasts import Forecasts, take_better
from inglenook.engine.client import ChildEngine
from inglenook.engine.protocol import (
    Command,
    EngineDied,
    Event,
    Gauge,
    Gauged,
    Generate,
    Load,
    PromptMessage,
)
from inglenook.engine.seam import EngineState
from support.rates import make_rates
from support.tiny_gguf import write_tiny_gguf

RATES = make_rates(bytes_per_s=10e9, ops_per_s=50e9)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> InstalledModel:
    """One that writes until it is stopped."""
    path = tmp_path_factory.mktemp("models") / "tiny.gguf"
    write_tiny_gguf(path, never_ends=True, n_embd=128, n_layers=4)
    return InstalledModel(id="file:tiny", name="Tiny", path=str(path), size_bytes=1, origin="file")


class Scripted:
    """An engine that answers a `Gauge` with what it was given."""

    def __init__(self, publish: Callable[[Event], None], answers: list[Event]) -> None:
        self._publish = publish
        self._answers = answers
        self.state = EngineState()
        self.is_closed = False

    def submit(self, command: Command) -> None:
        if isinstance(command, Gauge):
            for answer in self._answers:
                self._publish(answer)

    def close(self, *, at_once: bool = False) -> None:
        del at_once
        self.is_closed = True


class Plain:
    """Settings as they are by default."""

    def get(self, key: str) -> Any:
        from inglenook.base.declarations import SETTINGS

        return SETTINGS[key].default

    def is_chosen(self, key: str) -> bool:
        del key
        return False


class Desk:
    """Forecasts on a hub, with an engine that is real once it is asked."""

    def __init__(self, folder: Path, answers: list[Event]) -> None:
        self.hub = EventHub()
        self.events: list[object] = []
        self.hub.subscribe(self.events.append)
        self.engine = ChildEngine(self.hub.publish)
        self.gauges: list[Scripted] = []
        self._answers = answers
        self.forecasts = Forecasts(
            self.hub, self.engine, Plain(), folder, _refuse_shapes, self._make_gauge
        )

    def _make_gauge(self, publish: Callable[[Event], None]) -> Scripted:
        self.gauges.append(Scripted(publish, self._answers))
        return self.gauges[-1]

    def wait_for[T](self, kind: type[T], count: int = 1) -> T:
        deadline = time.monotonic() + 60
        while True:
            found = [event for event in self.events if isinstance(event, kind)]
            if len(found) >= count:
                return found[count - 1]
            assert time.monotonic() < deadline, kind
            time.sleep(0.01)

    def ask(self, run_id: str) -> None:
        question = PromptMessage(
            "user", "What is this window for, and how do I begin with it? " * 8
        )
        self.engine.submit(
            Generate(run_id=run_id, messages=(question,), max_tokens=48, speculates=False)
        )

    def close(self) -> None:
        self.forecasts.close()
        self.engine.close()


def _refuse_shapes() -> Any:
    raise AssertionError


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path / "forecasts", [Gauged(rates=RATES)])
    yield made
    made.close()


def test_predicted_stands_beside_measured_and_the_correction_is_learned(
    desk: Desk, tmp_path: Path, model: InstalledModel
) -> None:
    desk.forecasts.measure()
    before = desk.forecasts.predict_installed(model)
    assert before is not None
    assert not before.correction.is_own
    desk.engine.submit(
        Load(
            model_id=model.id,
            path=model.path,
            snapshot_folder=str(tmp_path / "kv"),
            snapshot_limit_bytes=10**9,
        )
    )
    first = desk.wait_for(ForecastChanged)
    assert first.model_id == model.id
    assert first.measured.write_tps == 0.0
    desk.ask("one")
    second = desk.wait_for(ForecastChanged, 2)
    assert second.prediction == first.prediction
    assert second.measured.write_tps > 0
    assert second.measured.resident_bytes > 30_000_000
    after = desk.forecasts.predict_installed(model)
    assert after is not None
    assert after.correction.is_own
    assert after.ram.total == pytest.approx(second.measured.resident_bytes, rel=0.1)
    assert (tmp_path / "forecasts" / "learned.json").exists()


def test_replies_that_run_together_teach_nothing_of_speed(
    desk: Desk, model: InstalledModel
) -> None:
    desk.forecasts.measure()
    desk.engine.submit(Load(model_id=model.id, path=model.path))
    desk.wait_for(ForecastChanged)
    desk.ask("one")
    desk.ask("two")
    desk.wait_for(ForecastChanged, 3)
    measured = desk.forecasts.find_measured(model)
    assert measured is not None
    assert measured.resident_bytes
    assert len(measured.speeds) <= 1  # The last of them may have ended alone.


def test_a_measurement_is_made_once_and_kept(desk: Desk, tmp_path: Path) -> None:
    assert not desk.forecasts.is_measured
    assert desk.forecasts.measure() == RATES
    assert desk.forecasts.measure() == RATES
    assert len(desk.gauges) == 1
    assert all(gauge.is_closed for gauge in desk.gauges)
    desk.wait_for(MachineMeasured)
    again = Desk(tmp_path / "forecasts", [])
    try:
        assert again.forecasts.is_measured
        assert again.forecasts.find_machine().rates == RATES
    finally:
        again.close()


@pytest.mark.parametrize(
    "answer",
    [Gauged(message="It refused."), EngineDied(cause="it was killed", exit_status=-9)],
)
def test_a_machine_that_cannot_be_measured_is_told_and_sizes_still_speak(
    tmp_path: Path, answer: Event, model: InstalledModel
) -> None:
    desk = Desk(tmp_path / "forecasts", [answer])
    try:
        with pytest.raises(EngineError) as caught:
            desk.forecasts.measure()
        assert caught.value.code == "not_measured"
        told = desk.forecasts.predict_installed(model)
        assert told is not None
        assert told.write_tps == 0.0
        assert told.needs_bytes > 30_000_000
    finally:
        desk.close()


def test_closing_does_not_wait_for_a_measurement(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "forecasts", [])
    failures: list[EngineError] = []

    def measure() -> None:
        try:
            desk.forecasts.measure()
        except EngineError as error:
            failures.append(error)

    thread = threading.Thread(target=measure, name="measuring")
    thread.start()
    while not desk.gauges:
        time.sleep(0.005)
    desk.close()
    thread.join(10)
    assert not thread.is_alive()
    assert desk.gauges[0].is_closed
    assert failures


def test_a_file_that_is_gone_is_an_error_of_the_world(desk: Desk, model: InstalledModel) -> None:
    gone = msgspec.structs.replace(model, path="/nowhere/gone.gguf")
    with pytest.raises(ModelError) as caught:
        desk.forecasts.predict_installed(gone)
    assert caught.value.code == "missing"


def test_of_two_measurements_the_faster_figures_stand() -> None:
    cpu = RATES.cpu
    slower = msgspec.structs.replace(
        cpu, kinds={"Q8_0": KindRates(bytes_per_s=5e9, ops_per_s=90e9)}, layer_s=1e-5
    )
    joined = take_better(RATES, msgspec.structs.replace(RATES, devices=(slower,)))
    assert joined.cpu.kinds["Q8_0"].bytes_per_s == 10e9
    assert joined.cpu.kinds["Q8_0"].ops_per_s == 90e9
    assert joined.cpu.layer_s == 1e-5
