"""Whether a weak GPU or the CPU runs a model faster: measured once, remembered, and told.

Called by the loader on the worker thread. An integrated GPU shares the memory that the CPU reads
from, and may lose to it; nobody can know which before trying. A graphics card of its own always
wins and is never measured. What was measured is one small file in the cache folder: without it all
is measured again.
"""

import contextlib
import logging
import os
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Final

import msgspec

from inglenook.engine.llama import Batch, Context, Decoded, NativeError
from inglenook.engine.protocol import Contest, Device, Speed

log = logging.getLogger(__name__)

_N_READ: Final = 64
_MIN_READ: Final = 8
_MAX_STEPS: Final = 12
_MIN_STEPS: Final = 3
_ENOUGH_S: Final = 0.8
"""Writing for so long is enough to know how fast it is."""
_TOO_LONG_S: Final = 5.0
"""A first reading that took so long is not repeated."""
_TYPICAL_READ: Final = 200
_TYPICAL_WRITTEN: Final = 200
"""What a message usually takes, in tokens; whoever does both sooner wins."""
_GAIN: Final = 1.1
"""The CPU must be so many times as fast: it has other work, and the GPU leaves it free."""
_KEPT_S: Final = 60.0 * 24 * 3600
"""After that it is measured again: drivers become better, and the machine may have been busy."""
_MAX_KEPT: Final = 200
_SOFTWARE: Final = re.compile(r"llvmpipe|lavapipe|swiftshader|software", re.IGNORECASE)


class _Entry(msgspec.Struct, frozen=True):
    contest: Contest
    at: float


def find_weak_gpu(devices: Sequence[Device]) -> Device | None:
    """The GPU that models would run on, if it is one that may lose to the CPU."""
    gpus = [device for device in devices if device.kind in {"gpu", "igpu"}]
    if any(gpu.kind == "gpu" and not _SOFTWARE.search(gpu.description) for gpu in gpus):
        return None
    return gpus[0] if gpus else None


def is_cpu_faster(contest: Contest) -> bool:
    """Whether the CPU won."""
    return _take_s(contest.gpu) > _GAIN * _take_s(contest.cpu)


def explain(contest: Contest) -> str:
    """Who won and by how much, in a sentence."""
    gpu_s, cpu_s = _take_s(contest.gpu), _take_s(contest.cpu)
    winner, loser = ("CPU", "GPU") if is_cpu_faster(contest) else ("GPU", "CPU")
    factor = max(gpu_s, cpu_s) / min(gpu_s, cpu_s)
    if winner == "GPU" and factor < _GAIN:
        return "It runs on the GPU: measured about as fast as the CPU here."
    return f"It runs on the {winner}: measured {factor:.1f} times as fast as the {loser} here."


def measure_speed(
    context: Context, n_vocab: int, is_stopped: Callable[[], bool] = lambda: False
) -> Speed:
    """How fast a fresh context reads and writes; takes a second or two, less where it is fast.

    Raises `NativeError` when it cannot be measured, or `is_stopped` said so.
    """
    n_read = min(_N_READ, context.n_ubatch, context.n_ctx - _MAX_STEPS)
    if n_read < _MIN_READ:
        raise NativeError("too short a context to measure")
    # Tokens from all over the vocabulary: a mixture of experts must not see the same one always.
    tokens = [i * (n_vocab // n_read) % n_vocab for i in range(n_read)]
    try:
        return _measure(context, tokens, is_stopped)
    finally:
        context.clear()


def _measure(context: Context, tokens: Sequence[int], is_stopped: Callable[[], bool]) -> Speed:
    n_read = len(tokens)
    batch = Batch(n_read)
    reads: list[float] = []
    while len(reads) < 2 and sum(reads) < _TOO_LONG_S:  # The first one also sets up.
        context.clear()
        batch.clear()
        batch.add_chunk(tokens[:-1], 0, 0)
        batch.add(tokens[-1], n_read - 1, 0, wants_logits=True)
        reads.append(_time(context, batch, is_stopped))
    writes: list[float] = []
    while len(writes) < _MAX_STEPS and (len(writes) < _MIN_STEPS or sum(writes) < _ENOUGH_S):
        batch.clear()
        batch.add(tokens[len(writes)], n_read + len(writes), 0, wants_logits=True)
        writes.append(_time(context, batch, is_stopped))
    return Speed(read_tps=n_read / min(reads), write_tps=1.0 / median(writes[1:]))


class Contests:
    """What was measured so far, in one file. A fault of the disk costs only measuring again."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def find(self, key: str) -> Contest | None:
        """What was measured for a model on this machine; None where nothing is known any more."""
        entry = self._read().get(key)
        is_fresh = entry is not None and 0.0 <= time.time() - entry.at < _KEPT_S
        return entry.contest if entry is not None and is_fresh else None

    def keep(self, key: str, contest: Contest) -> None:
        """Remember; the oldest ones make room."""
        entries = {**self._read(), key: _Entry(contest, time.time())}
        newest = sorted(entries.items(), key=lambda item: item[1].at)[-_MAX_KEPT:]
        fresh = self._path.with_suffix(".new")
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with open(fresh, "wb", opener=_open_private) as file:
                file.write(msgspec.json.encode(dict(newest)))
            fresh.replace(self._path)
        except OSError as error:
            log.info("what was measured could not be kept (errno %s)", error.errno)
            with contextlib.suppress(OSError):
                fresh.unlink()

    def _read(self) -> dict[str, _Entry]:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=dict[str, _Entry])
        except (OSError, msgspec.MsgspecError):
            return {}


def _take_s(speed: Speed) -> float:
    return _TYPICAL_READ / speed.read_tps + _TYPICAL_WRITTEN / speed.write_tps


def _time(context: Context, batch: Batch, is_stopped: Callable[[], bool]) -> float:
    if is_stopped():
        raise NativeError("stopped")
    started = time.perf_counter()
    if context.decode(batch) is not Decoded.DONE:
        raise NativeError("measure")
    return max(time.perf_counter() - started, 1e-6)


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
