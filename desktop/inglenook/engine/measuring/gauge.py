"""Measures what this machine can do, through llama.cpp itself, in a few seconds.

Called by the worker on its thread, in a host that has no model. It makes small models in the cache
folder (`sample_gguf.py`), loads each as any model is loaded, and times single steps: one token for
how fast weights are gone through, a short prompt for how fast they are multiplied, a deep context
for attention, and a narrow model for what a layer costs by itself. Of several short samples the
fastest counts: whatever else runs only makes a step slower.
"""

import contextlib
import logging
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, Self

from inglenook.base.rates import DeviceRates, KindRates, MachineRates
from inglenook.engine.llama import (
    Batch,
    Context,
    ContextOptions,
    Decoded,
    Library,
    Model,
    ModelOptions,
    NativeError,
)
from inglenook.engine.loading.load_journal import Journal
from inglenook.engine.machine import choose_threads, count_resident_bytes, find_cache_bytes
from inglenook.engine.measuring.sample_gguf import WEIGHT_TYPES, SampleShape, make_sample
from inglenook.engine.protocol import Device, Gauged
from inglenook.engine.protocol import Gauge as GaugeCommand

log = logging.getLogger(__name__)

KINDS: Final = (
    "Q4_K", "Q6_K", "Q8_0", "F16", "Q5_K", "Q4_0", "Q5_0", "Q3_K", "IQ4_XS", "MXFP4",
)  # fmt: skip
"""What is measured, most common first; the others are close to one of these."""
_LEAST_BYTES: Final = 96_000_000
_MOST_BYTES: Final = 512_000_000
_WIDE: Final = SampleShape(1, 2048, 4096, 32, 8, 64, 256)
_SLIM: Final = SampleShape(1, 768, 2304, 12, 4, 64, 256)
_NARROW: Final = SampleShape(2, 64, 64, 2, 2, 32, 256)
_DEEP: Final = SampleShape(2, 512, 256, 32, 8, 64, 256)
_N_NARROW_LAYERS: Final = 26
_N_READ: Final = 64
_N_READ_GPU: Final = 512
_N_DEEP: Final = 1536
_N_DEEP_STEP: Final = 256
_MAX_STEPS: Final = 40
_MIN_STEPS: Final = 4
_ENOUGH_S: Final = 0.1
_PATIENCE_S: Final = 0.6
"""A machine that is busy makes steps of all lengths: so long is one like the fastest waited for."""
_ALIKE: Final = 1.08
_COLLAPSED: Final = 0.8
"""A step of all threads that is longer than one thread's by so much was disturbed."""
_SINGLE_SHARES: Final = {2: 0.6, 3: 0.45}
_SINGLE_SHARE: Final = 0.35
"""What part of one thread's time so many, or more, usually take: memory is shared among them."""
_LONG_S: Final = 0.1
_BUDGET_S: Final = 40.0
_HOPELESS_S: Final = 1.5
"""A graphics device that takes so long for one step is done by software, or broken."""
_TOKEN: Final = 7


def measure_machine(
    library: Library,
    command: GaugeCommand,
    follow_log: Callable[[Journal | None], None],
    is_stopped: Callable[[], bool],
) -> Gauged:
    """Answer a command: what was measured, else one sentence on why nothing was."""
    gauge = Gauge(library, Path(command.folder), follow_log, is_stopped)
    try:
        return Gauged(rates=gauge.run())
    except GaugeStoppedError:
        return Gauged(message="Measuring this machine was stopped.")
    except NativeError:
        return Gauged(message="This machine could not be measured: the engine refused.")
    except OSError as error:
        return Gauged(message=f"This machine could not be measured: {error.strerror}.")


class Gauge:
    """One measurement. `is_stopped` is asked between samples; a stop raises `GaugeStoppedError`."""

    def __init__(
        self,
        library: Library,
        folder: Path,
        follow_log: Callable[[Journal | None], None],
        is_stopped: Callable[[], bool],
    ) -> None:
        self._library = library
        self._folder = folder
        self._path = folder / f"sample-{os.getpid()}.gguf"
        self._follow_log = follow_log
        self._is_stopped = is_stopped
        self._was_busy = False

    def run(self, kinds: Sequence[str] = KINDS) -> MachineRates:
        """Measure every device; raises `NativeError`, or `OSError` where no file can be made."""
        started = time.monotonic()
        base_bytes = count_resident_bytes()
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            devices = [self._measure_device(None, kinds)]
            for gpu in self._list_gpus():
                with contextlib.suppress(_TooSlowError, NativeError):
                    devices.append(self._measure_device(gpu, kinds))
        finally:
            with contextlib.suppress(OSError):
                self._path.unlink()
        took_s = time.monotonic() - started
        log.info("this machine was measured in %.1f s", took_s)
        return MachineRates(
            devices=tuple(devices),
            base_bytes=base_bytes,
            took_s=took_s,
            was_busy=self._was_busy,
        )

    def _measure_device(self, device: Device | None, kinds: Sequence[str]) -> DeviceRates:
        layer_s, token_s = self._measure_layers(device)
        look, read_look = self._measure_looking(device)
        rates: dict[str, KindRates] = {}
        began = time.monotonic()
        for kind in kinds:
            if rates and time.monotonic() - began > _BUDGET_S:
                break  # A machine this busy is measured again; what is left is rarer.
            with contextlib.suppress(NativeError):
                self._check_stopped()
                rates[kind] = self._measure_kind(device, kind, layer_s, token_s)
        if not rates:
            raise NativeError("measure")
        row_cost = self._measure_rows(device, rates, layer_s, token_s)
        n_threads = choose_threads(_MOST_BYTES * 1000)
        return DeviceRates(
            name=device.name if device else "CPU",
            description=device.description if device else self._describe_cpu(),
            kind=device.kind if device else "cpu",
            kinds=rates,
            layer_s=layer_s,
            token_s=token_s,
            look_ops_per_s=look,
            read_look_ops_per_s=read_look,
            row_cost=row_cost,
            n_threads=n_threads if device is None else 0,
            by_threads=self._measure_threads(n_threads) if device is None else (),
        )

    def _list_gpus(self) -> list[Device]:
        if not self._library.can_offload:
            return []
        return [device for device in self._library.devices if device.kind in {"gpu", "igpu"}]

    def _describe_cpu(self) -> str:
        found = (d.description for d in self._library.devices if d.kind == "cpu")
        return next(found, "CPU")

    def _check_stopped(self) -> None:
        if self._is_stopped():
            raise GaugeStoppedError

    # --- single figures ---

    def _measure_layers(self, device: Device | None) -> tuple[float, float]:
        """What a layer and what a token cost, in seconds, when there is next to nothing to read."""
        few, many = _NARROW.n_layers, _N_NARROW_LAYERS
        times = []
        for n_layers in (few, many):
            self._write(_with_layers(_NARROW, n_layers), "Q8_0")
            with self._open(device, n_ctx=256) as sample:
                times.append(sample.time_writing(single_share=1.0))
        layer_s = max(0.0, (times[1] - times[0]) / (many - few))
        return layer_s, max(0.0, times[0] - few * layer_s)

    def _measure_kind(
        self, device: Device | None, kind: str, layer_s: float, token_s: float
    ) -> KindRates:
        shape = _with_layers(_WIDE, self._count_layers(kind))
        n_weights = _count_weights(shape)
        n_bytes = _count_bytes(kind, n_weights)
        self._write(shape, kind)
        with self._open(device, n_ctx=512) as sample:
            write_s = sample.time_writing() - token_s - shape.n_layers * layer_s
            n_read = _N_READ_GPU if device else _N_READ
            read_s = sample.time_reading(n_read)
            is_repacked = sample.is_repacked
        return KindRates(
            bytes_per_s=n_bytes / max(write_s, 1e-6),
            ops_per_s=2.0 * _count_read_weights(shape) * n_read / max(read_s, 1e-6),
            is_repacked=is_repacked,
        )

    def _measure_rows(
        self, device: Device | None, rates: dict[str, KindRates], layer_s: float, token_s: float
    ) -> float:
        """What short rows cost against long ones, as `DeviceRates.row_cost`."""
        kind = "Q8_0"
        if kind not in rates:
            return 0.0
        shape = _with_layers(_SLIM, self._count_layers(kind, _SLIM))
        n_bytes = _count_bytes(kind, _count_weights(shape))
        self._write(shape, kind)
        with self._open(device, n_ctx=512) as sample:
            spent_s = sample.time_writing() - token_s - shape.n_layers * layer_s
        slower = spent_s * rates[kind].bytes_per_s / n_bytes - 1.0
        slower = max(0.0, min(1.0, slower))
        return slower / (1 / _SLIM.n_embd - 1 / _WIDE.n_embd)

    def _measure_looking(self, device: Device | None) -> tuple[float, float]:
        """How fast attention looks back over a deep context: for one token, and for a prompt."""
        self._write(_DEEP, "Q8_0")
        per_cell = _DEEP.n_layers * _DEEP.n_heads * _DEEP.n_head_embd * 4.0
        with self._open(device, n_ctx=_N_DEEP + 256) as sample:
            shallow_s = sample.time_writing()
            reads = [
                sample.time_reading(_N_DEEP_STEP, at=at, rounds=2 if at else 3)
                for at in range(0, _N_DEEP, _N_DEEP_STEP)
            ]
            deep_s = sample.time_writing(at=_N_DEEP)
        n_cells = _N_DEEP - _N_DEEP_STEP
        read_s = max(1e-6, min(reads[-2:]) - reads[0])
        look_s = max(1e-7, deep_s - shallow_s)
        return (
            per_cell * _N_DEEP / look_s,
            per_cell * n_cells * _N_DEEP_STEP / read_s,
        )

    def _measure_threads(self, n_threads: int) -> tuple[tuple[int, float], ...]:
        """The share of the full speed that fewer threads reach; small models get fewer."""
        if n_threads == 1:
            return ((1, 1.0),)
        self._write(_with_layers(_WIDE, self._count_layers("Q8_0")), "Q8_0")
        counts = [1]
        while counts[-1] < n_threads:
            counts.append(min(n_threads, counts[-1] * 2))
        with self._open(None, n_ctx=512) as sample:
            times = [sample.time_writing(n_threads=n) for n in counts]
        return tuple((n, min(1.0, times[-1] / s)) for n, s in zip(counts, times, strict=True))

    def _note_busy(self) -> None:
        self._was_busy = True

    # --- the sample ---

    def _count_layers(self, kind: str, shape: SampleShape = _WIDE) -> int:
        """So many layers that the processor's caches do not hold them."""
        wanted = max(_LEAST_BYTES, min(_MOST_BYTES, 3 * find_cache_bytes()))
        one = _count_bytes(kind, _count_weights(shape))
        return max(2, -(-wanted // one))

    def _write(self, shape: SampleShape, kind: str) -> None:
        self._check_stopped()
        # A fresh file: what was mapped before may not change under whoever still has it.
        self._path.unlink(missing_ok=True)
        make_sample(shape, kind).write(self._path)

    def _open(self, device: Device | None, n_ctx: int) -> "_Sample":
        return _Sample(self._path, device, n_ctx, self._follow_log, self._note_busy)


class _TooSlowError(Exception):
    """A device that computes so slowly is of no use, and is not measured to the end."""


class GaugeStoppedError(Exception):
    """Something else is to be done: what was measured so far is of no use."""


class _Sample:
    """A sample model in memory, whose steps are timed."""

    def __init__(
        self,
        path: Path,
        device: Device | None,
        n_ctx: int,
        follow_log: Callable[[Journal | None], None],
        tell_busy: Callable[[], None],
    ) -> None:
        self._tell_busy = tell_busy
        journal = Journal()
        n_threads = choose_threads(_MOST_BYTES * 1000)
        options = ModelOptions(-1, device=device.name) if device else ModelOptions()
        follow_log(journal)
        try:
            self._model = Model(str(path), options, lambda _: True)
            try:
                shape = ContextOptions(
                    n_ctx=n_ctx,
                    n_batch=512,
                    n_ubatch=512,
                    n_seq_max=1,
                    n_outputs=1,
                    n_threads=n_threads,
                    n_threads_batch=n_threads,
                    flash_attention=None if device else False,
                )
                self._context = Context(self._model, shape)
            except BaseException:
                self._model.close()
                raise
        finally:
            follow_log(None)
        self._batch = Batch(512)
        self._n_threads = n_threads
        self._is_on_gpu = device is not None
        self.was_busy = False
        self.is_repacked = any("REPACK model buffer" in line for line in journal.lines)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._context.close()
        self._model.close()
        if self.was_busy:
            self._tell_busy()

    def time_writing(
        self, *, at: int = 0, n_threads: int | None = None, single_share: float | None = None
    ) -> float:
        """Seconds of the fastest step of one token, after `at` tokens.

        Threads that wait for each other collapse while others are at work. One thread by itself
        does not, and tells then what all would do: `single_share` is the part of its time that
        they usually take together.
        """
        n_threads = n_threads or self._n_threads
        if n_threads == 1 or self._is_on_gpu:
            return self._repeat_writing(at, n_threads)
        best = self._repeat_writing(at, n_threads)
        share = single_share or _SINGLE_SHARES.get(n_threads, _SINGLE_SHARE)
        if self._repeat_writing(at, 1, patience_s=0.0) * share > _COLLAPSED * best:
            return best
        self.was_busy = True
        return min(best, self._repeat_writing(at, 1) * share)

    def _repeat_writing(self, at: int, n_threads: int, patience_s: float = _PATIENCE_S) -> float:
        self._context.set_threads(n_threads)
        times: list[float] = []
        began = time.perf_counter()
        while not _is_enough(times, time.perf_counter() - began, patience_s):
            place = at + len(times) % _MAX_STEPS
            if place == at:
                self._context.remove(0, at)
            batch = self._batch
            batch.clear()
            batch.add(_TOKEN, place, 0, wants_logits=True)
            times.append(self._time(batch))
        self._context.remove(0, at)
        return min(times)

    def time_reading(self, n_tokens: int, *, at: int = 0, rounds: int = 3) -> float:
        """Seconds of the fastest reading of so many tokens after `at` others."""
        best = self._repeat_reading(n_tokens, at, rounds, self._n_threads)
        if not self.was_busy:  # As writing has shown.
            return best
        return min(best, self._repeat_reading(n_tokens, at, 2, 1) / self._n_threads)

    def _repeat_reading(self, n_tokens: int, at: int, rounds: int, n_threads: int) -> float:
        self._context.set_threads(n_threads)
        times: list[float] = []
        while len(times) < rounds:
            self._context.remove(0, at)
            batch = self._batch
            batch.clear()
            batch.add_chunk([_TOKEN] * (n_tokens - 1), at, 0)
            batch.add(_TOKEN, at + n_tokens - 1, 0, wants_logits=True)
            times.append(self._time(batch))
            if sum(times) > _LONG_S and _is_confirmed(times, 2):
                break
        return min(times)

    def _time(self, batch: Batch) -> float:
        started = time.perf_counter()
        if self._context.decode(batch) is not Decoded.DONE:
            raise NativeError("measure")
        spent_s = time.perf_counter() - started
        if self._is_on_gpu and spent_s > _HOPELESS_S:
            raise _TooSlowError
        return spent_s


def _is_confirmed(times: Sequence[float], n_alike: int) -> bool:
    """Whether the fastest sample is no stroke of luck: others came close to it."""
    best = sorted(times)[:n_alike]
    return len(best) == n_alike and best[-1] < _ALIKE * best[0]


def _is_enough(times: Sequence[float], spent_s: float, patience_s: float) -> bool:
    if len(times) < _MIN_STEPS:
        return False
    return (spent_s > _ENOUGH_S and _is_confirmed(times, 3)) or spent_s > patience_s


def _with_layers(shape: SampleShape, n_layers: int) -> SampleShape:
    return replace(shape, n_layers=n_layers)


def _count_weights(shape: SampleShape) -> int:
    """The weights that one token goes through, the output's with them."""
    n_q = shape.n_heads * shape.n_head_embd
    n_kv = shape.n_heads_kv * shape.n_head_embd
    layer = shape.n_embd * (2 * n_q + 2 * n_kv + 3 * shape.n_ff)
    return shape.n_layers * layer + shape.n_vocab * shape.n_embd


def _count_read_weights(shape: SampleShape) -> int:
    """The weights that each token of a prompt meets.

    Of the last layer only what fills the memory: the rest is done for the tokens alone whose
    likelihoods are wanted.
    """
    n_qkv = (shape.n_heads + 2 * shape.n_heads_kv) * shape.n_head_embd
    whole = _count_weights(_with_layers(shape, shape.n_layers - 1))
    return whole - shape.n_vocab * shape.n_embd + shape.n_embd * n_qkv


def _count_bytes(kind: str, n_weights: int) -> int:
    _, n_block, block_bytes = WEIGHT_TYPES[kind]
    return n_weights // n_block * block_bytes
