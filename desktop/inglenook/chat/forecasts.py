"""What models will take and how fast they will run here: predicted, then measured, then learned.

Joins the engine, which measures this machine and every reply, with the arithmetic of
`models/predict`. Made by app; asked by the models page, the inspector and the command line on
worker threads. What happened is noted on a thread of its own, for whoever publishes events must not
wait.
"""

import logging
import os
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import msgspec
import psutil

from inglenook.base.errors import EngineError, ModelError
from inglenook.base.events import EventHub
from inglenook.base.rates import DeviceRates, KindRates, MachineRates, leave_out_integrated
from inglenook.base.records import InstalledModel
from inglenook.chat.defaults import Readable
from inglenook.chat.forecast_events import ForecastChanged, MachineMeasured
from inglenook.chat.options import make_load, make_load_options
from inglenook.engine.client import ChildEngine
from inglenook.engine.protocol import (
    Device,
    EngineDied,
    EngineReady,
    Event,
    Failed,
    Finished,
    Gauge,
    Gauged,
    Loaded,
    LoadOptions,
    Prefill,
    Text,
)
from inglenook.engine.seam import Engine
from inglenook.models.gguf import read_header
from inglenook.models.hub_files import HubFile
from inglenook.models.predict.learned import Learned, Run, write_json
from inglenook.models.predict.memory import Use
from inglenook.models.predict.prediction import (
    Card,
    Machine,
    Prediction,
    predict,
    predict_read_tps,
    predict_write_tps,
)
from inglenook.models.predict.remote import RemoteShapes
from inglenook.models.predict.shape import ModelShape, guess_shape, read_shape
from inglenook.models.splits import list_parts

log = logging.getLogger(__name__)

_MEASURE_LIMIT_S: Final = 180.0
_ANOTHER_AFTER_S: Final = 600.0
_LEAST_WRITTEN: Final = 16
_LEAST_READ: Final = 64
_JOIN_S: Final = 2.0
_USUAL_CTX: Final = 8192


class _Kept(msgspec.Struct, frozen=True):
    """What the machine was measured at, and with which engine and devices."""

    key: str
    rates: MachineRates
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class _Live:
    """The loaded model, how it was loaded, and what was predicted of it before it ran."""

    loaded: Loaded
    shape: ModelShape
    use: Use
    key: str
    prediction: Prediction


class MeasuringEngine(Engine, Protocol):
    """An engine that can be closed in the middle of its work."""

    def close(self, *, at_once: bool = False) -> None:
        """End the host; `at_once` without a wait for what it does."""
        ...


@dataclass(frozen=True, slots=True)
class Speed:
    """Tokens per second that a model writes: measured when it last ran here, else predicted."""

    write_tps: float
    is_measured: bool


class Forecasts:
    """Predictions for this machine. Thread-safe."""

    def __init__(
        self,
        hub: EventHub,
        engine: Engine,
        settings: Readable,
        folder: Path,
        shapes: Callable[[], RemoteShapes],
        make_engine: Callable[[Callable[[Event], None]], MeasuringEngine] = ChildEngine,
    ) -> None:
        self._hub = hub
        self._engine = engine
        self._settings = settings
        self._folder = folder
        self._load_shapes = shapes
        self._make_engine = make_engine
        self._lock = threading.Lock()
        self._measuring = threading.Lock()
        self._kept: _Kept | None = None
        self._is_read = False
        self._learned = Learned(folder / "learned.json")
        self._shapes: dict[tuple[object, ...], ModelShape | None] = {}
        self._live: _Live | None = None
        self._running: dict[str, bool] = {}
        self._gauging: tuple[MeasuringEngine, queue.SimpleQueue[Event]] | None = None
        self._is_closed = False
        self._jobs: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="forecasts", daemon=True)
        self._thread.start()
        self._unsubscribe = hub.subscribe(self._take)
        if engine.state.loaded is not None:
            self._jobs.put(engine.state.loaded)

    def close(self) -> None:
        """Take no more events, and end a measurement under way; idempotent."""
        self._unsubscribe()
        with self._lock:
            self._is_closed, gauging = True, self._gauging
        if gauging is not None:
            engine, events = gauging
            engine.close(at_once=True)
            events.put(Gauged(message="Inglenook is closing."))
        with self._measuring:
            pass
        self._jobs.put(None)
        self._thread.join(_JOIN_S)

    @property
    def is_replying(self) -> bool:
        """Whether a reply is being written now, as far as it was told."""
        return bool(self._running)

    # --- the machine ---

    @property
    def is_measured(self) -> bool:
        """Whether this machine was measured with the engine that is in use."""
        return self._find_rates() is not None

    def find_machine(self) -> Machine:
        """This machine as far as it is known now; looks at the disk the first time."""
        ready = self._engine.state.ready
        devices = ready.devices if ready is not None else ()
        found = tuple(device for device in devices if device.kind in {"gpu", "igpu"})
        cards = tuple(_make_card(device) for device in leave_out_integrated(found))
        return Machine(
            memory_bytes=psutil.virtual_memory().total,
            gpu_bytes=sum(card.total_bytes for card in cards if not card.is_shared),
            cards=cards,
            rates=self._find_rates(),
            correction=self._learned.correct("", self._machine_key),
        )

    def measure(self, *, again: bool = False) -> MachineRates:
        """Measure this machine now, unless that was done: some seconds, in an engine of its own.

        Raises `EngineError` when it cannot be measured.
        """
        with self._measuring:
            known = self._find_rates()
            if known is not None and not again and not self._is_worth_another(known):
                return known
            ready, rates = self._ask_engine()
            if known is not None and known.was_busy:
                rates = take_better(known, rates)
            with self._lock:
                self._kept = _Kept(_name_machine(ready), rates, time.time())
                self._is_read = True
            write_json(self._folder / "rates.json", self._kept)
        self._hub.publish(MachineMeasured(rates))
        return rates

    def _is_worth_another(self, rates: MachineRates) -> bool:
        """Whether the machine was busy the last time, and that is a while ago."""
        with self._lock:
            kept = self._kept
        is_old = kept is not None and time.time() - kept.at > _ANOTHER_AFTER_S
        return rates.was_busy and is_old

    def _ask_engine(self) -> tuple[EngineReady | None, MachineRates]:
        events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        engine = self._make_engine(events.put)
        ready: EngineReady | None = None
        try:
            with self._lock:
                if self._is_closed:
                    raise EngineError("Inglenook is closing.", code="not_measured")
                self._gauging = engine, events
            engine.submit(Gauge(folder=str(self._folder)))
            while True:
                match events.get(timeout=_MEASURE_LIMIT_S):
                    case EngineReady() as ready:
                        pass
                    case Gauged(rates=MachineRates() as rates):
                        return ready, rates
                    case Gauged() as told:
                        raise EngineError(told.message, "Try again later.", code="not_measured")
                    case EngineDied() as died:
                        raise EngineError(
                            f"This machine could not be measured: {died.cause}.",
                            code="not_measured",
                        )
                    case _:
                        pass
        except queue.Empty:
            raise EngineError(
                "Measuring this machine takes too long.", "Try again later.", code="not_measured"
            ) from None
        finally:
            with self._lock:
                self._gauging = None
            engine.close()

    def _find_rates(self) -> MachineRates | None:
        with self._lock:
            if not self._is_read:
                self._is_read = True
                try:
                    raw = (self._folder / "rates.json").read_bytes()
                    self._kept = msgspec.json.decode(raw, type=_Kept)
                except (OSError, msgspec.MsgspecError):
                    self._kept = None
            kept = self._kept
        ready = self._engine.state.ready
        if kept is None or (ready is not None and kept.key not in {"", _name_machine(ready)}):
            return None
        return kept.rates

    @property
    def _machine_key(self) -> str:
        kept = self._kept
        return f"{kept.key if kept is not None else 'unmeasured'}|"

    # --- predictions ---

    def predict_installed(self, model: InstalledModel) -> Prediction | None:
        """What is to be expected of a model on this disk, as the settings would load it.

        None where its file says too little. Raises `ModelError` when it cannot be read.
        """
        shape = self._read_local(Path(model.path))
        if shape is None:
            return None
        options = make_load(model, self._settings, None).options
        return self._predict(shape, self._make_use(options, shape))

    def find_measured(self, model: InstalledModel) -> Run | None:
        """What a model on this disk was measured at when it last ran here."""
        shape = self._read_local(Path(model.path))
        return self._learned.find(self._name_model(shape)) if shape is not None else None

    def find_speed(self, model: InstalledModel) -> Speed | None:
        """How fast a model on this disk writes, as far as that is known.

        None where nothing was measured. Raises `ModelError` when its file cannot be read.
        """
        run = self.find_measured(model)
        if run is not None and run.write_tps:
            return Speed(run.write_tps, is_measured=True)
        prediction = self.predict_installed(model)
        if prediction is None or not prediction.write_tps:
            return None
        return Speed(prediction.write_tps, is_measured=False)

    def predict_remote(
        self, file: HubFile, n_ctx: int | None = None, *, only_kept: bool = False
    ) -> Prediction | None:
        """What is to be expected of a file on the hub; reads its header, or only what is kept.

        Raises `NetworkError` and `ModelError`; None where nothing is kept.
        """
        shapes = self._load_shapes()
        shape = shapes.find_kept(file) if only_kept else shapes.read(file)
        if shape is None:
            return None
        options = make_load_options(self._settings)
        if n_ctx is not None:
            options = msgspec.structs.replace(options, n_ctx=n_ctx)
        return self._predict(shape, self._make_use(options, shape))

    def _make_use(self, options: LoadOptions, shape: ModelShape) -> Use:
        keeps_idle = bool(self._settings.get("engine.snapshot_gb"))
        return make_use(options, shape, keeps_idle=keeps_idle)

    def predict_size(
        self, size_bytes: int, quantisation: str, n_params: int = 0, n_active: int = 0
    ) -> Prediction:
        """What a file's size alone lets one expect."""
        shape = guess_shape(size_bytes, quantisation, n_params, n_active)
        return predict(shape, machine := self.find_machine(), correction=machine.correction)

    def _predict(self, shape: ModelShape, use: Use) -> Prediction:
        correction = self._learned.correct(self._name_model(shape), self._machine_key)
        return predict(shape, self.find_machine(), use, correction)

    def _read_local(self, path: Path) -> ModelShape | None:
        """The shape of a file here, read once for each version of it."""
        paths = [path.with_name(name) for name in list_parts(path.name)]
        try:
            stats = [one.stat() for one in paths]
        except OSError as error:
            raise ModelError("The model's file is not there.", code="missing") from error
        key = tuple((str(p), s.st_size, s.st_mtime_ns) for p, s in zip(paths, stats, strict=True))
        if key not in self._shapes:
            headers = [read_header(one, keeps_tensors=True) for one in paths]
            self._shapes[key] = read_shape(headers, sum(stat.st_size for stat in stats))
        return self._shapes[key]

    def _name_model(self, shape: ModelShape) -> str:
        """What a correction is kept under: the machine, and what makes a model fast or slow."""
        what = (shape.n_layers, shape.n_embd, shape.n_ff, shape.n_vocab, shape.file_bytes)
        return f"{self._machine_key}{'-'.join(map(str, what))}-{shape.kinds[0]}"

    # --- what happens ---

    def _take(self, event: object) -> None:
        """Any thread: keep what is of interest, and wake the thread that looks at it."""
        match event:
            case Loaded() | Finished() | Failed() | MachineMeasured():
                self._jobs.put(event)  # type: ignore[arg-type]
            case Prefill() | Text():
                self._note_running(event.run_id)
            case _:
                pass

    def _note_running(self, run_id: str) -> None:
        """Replies that run at the same time slow each other: nothing is learned of them."""
        if run_id not in self._running or len(self._running) > 1:
            is_shared = len(self._running) > (1 if run_id in self._running else 0)
            self._running[run_id] = is_shared
            if is_shared:
                for other in list(self._running):
                    self._running[other] = True

    def _serve(self) -> None:
        while (event := self._jobs.get()) is not None:
            try:
                self._handle(event)
            except Exception:
                log.exception("what was measured could not be noted")

    def _handle(self, event: object) -> None:
        match event:
            case Loaded():
                self._note_loaded(event)
            case Finished():
                was_shared = self._running.pop(event.run_id, True)
                self._learn(event, was_shared=was_shared)
            case Failed():
                self._running.pop(event.run_id, None)
            case MachineMeasured() if self._live is not None:
                self._note_loaded(self._live.loaded)
            case _:
                pass

    def _note_loaded(self, loaded: Loaded) -> None:
        try:
            shape = self._read_local(Path(loaded.path))
        except ModelError:
            shape = None
        if shape is None:
            self._live = None
            return
        use = Use(
            n_ctx=loaded.n_ctx,
            kv_type=loaded.kv_type,
            n_ubatch=loaded.n_ubatch or 512,
            flash_attention=loaded.flash_attention,
            n_gpu_layers=loaded.n_layers_gpu,
        )
        key = self._name_model(shape)
        correction = self._learned.correct(key, self._machine_key)
        prediction = predict(shape, self.find_machine(), use, correction)
        self._live = _Live(loaded, shape, use, key, prediction)
        self._publish_live()

    def _learn(self, event: Finished, *, was_shared: bool) -> None:
        live = self._live
        if live is None or event.model_id != live.loaded.model_id:
            return
        machine, usage, timings = self.find_machine(), event.usage, event.timings
        n_on_gpu = live.loaded.n_layers_gpu
        speed = read = 0.0
        if not was_shared and usage.output_tokens >= _LEAST_WRITTEN and not usage.drafted_tokens:
            depth = usage.prompt_tokens + usage.output_tokens // 2
            expected = predict_write_tps(live.shape, machine, live.use, n_on_gpu, depth)
            speed = timings.decode_tps / expected if expected else 0.0
        n_read = usage.prompt_tokens - usage.cached_tokens
        if not was_shared and n_read >= _LEAST_READ and timings.prefill_tps:
            expected = predict_read_tps(live.shape, machine, n_on_gpu, n_read)
            read = timings.prefill_tps / expected if expected else 0.0
        resident = self._measure_resident()
        raw = predict(live.shape, machine, live.use)
        memory = resident / raw.ram.total if resident and not n_on_gpu else 0.0
        self._learned.note(
            live.key,
            speed=speed,
            read=read,
            memory=memory,
            write_tps=timings.decode_tps if speed else 0.0,
            resident_bytes=resident,
            size_bytes=live.shape.file_bytes,
        )
        self._publish_live()

    def _measure_resident(self) -> int:
        """The memory that the engine occupies; 0 where it cannot be told, or is not its alone."""
        pid = self._engine.state.pid
        if pid is None or pid == os.getpid():
            return 0
        try:
            return int(psutil.Process(pid).memory_info().rss)
        except psutil.Error:
            return 0

    def _publish_live(self) -> None:
        live = self._live
        if live is None:
            return
        measured = self._learned.find(live.key) or Run()
        self._hub.publish(ForecastChanged(live.loaded.model_id, live.prediction, measured))


def take_better(one: MachineRates, other: MachineRates) -> MachineRates:
    """The faster of two measurements, figure by figure: what disturbs only makes slower."""
    if [device.name for device in one.devices] != [device.name for device in other.devices]:
        return other
    devices = tuple(_take_better(a, b) for a, b in zip(one.devices, other.devices, strict=True))
    return msgspec.structs.replace(other, devices=devices)


def _take_better(one: DeviceRates, other: DeviceRates) -> DeviceRates:
    kinds = {
        name: KindRates(
            bytes_per_s=max(rates.bytes_per_s, one.kinds.get(name, rates).bytes_per_s),
            ops_per_s=max(rates.ops_per_s, one.kinds.get(name, rates).ops_per_s),
            is_repacked=rates.is_repacked,
        )
        for name, rates in other.kinds.items()
    }
    return msgspec.structs.replace(
        other,
        kinds=kinds,
        layer_s=min(one.layer_s, other.layer_s),
        token_s=min(one.token_s, other.token_s),
        look_ops_per_s=max(one.look_ops_per_s, other.look_ops_per_s),
        read_look_ops_per_s=max(one.read_look_ops_per_s, other.read_look_ops_per_s),
    )


def make_use(options: LoadOptions, shape: ModelShape, *, keeps_idle: bool) -> Use:
    """How a model would be loaded, in the terms of the arithmetic.

    `keeps_idle`: whether idle conversations go to the disk, which automatic attention depends on.
    """
    automatic = min(shape.n_ctx_train or _USUAL_CTX, _USUAL_CTX)
    return Use(
        n_ctx=options.n_ctx or automatic,
        kv_type=options.kv_type,
        n_ubatch=options.n_ubatch,
        n_seq_max=options.n_seq_max,
        flash_attention=options.flash_attention
        if keeps_idle
        else options.flash_attention is not False,
        n_gpu_layers=options.n_gpu_layers,
    )


def _make_card(device: Device) -> Card:
    return Card(
        name=device.description or device.name,
        total_bytes=device.memory_total_bytes,
        free_bytes=device.memory_free_bytes,
        is_shared=device.kind == "igpu",
    )


def _name_machine(ready: EngineReady | None) -> str:
    """A name for all that a measurement depends on."""
    if ready is None:
        return ""
    devices = [(device.kind, device.description) for device in ready.devices]
    how = "plain attention on the processor"
    return repr((ready.library_version, ready.backend, ready.system_info, devices, how))
