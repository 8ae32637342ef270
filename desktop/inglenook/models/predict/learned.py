"""What models that ran here were measured at, and how that corrects what is predicted of others.

One small file in the cache folder: without it all is learned again. A model that ran is corrected
by its own figures, any other by the middle of all. Any thread.
"""

import contextlib
import logging
import math
import os
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import Final

import msgspec

from inglenook.models.predict.prediction import Correction

log = logging.getLogger(__name__)

_MAX_KEPT: Final = 300
_WIDEST: Final = 4.0
"""A factor beyond this is a fault of the measurement, not of the prediction."""
_FAR: Final = 1.6
"""No model's figures change what is predicted of others by more."""
_TELLING_BYTES: Final = 100_000_000
"""Of smaller models the time goes into other things than weights: they tell nothing of others."""
_N_SAMPLES: Final = 7


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """Factors of one model under one placement: measured divided by predicted, newest last."""

    speeds: tuple[float, ...] = ()
    reads: tuple[float, ...] = ()
    memory: float = 0.0
    write_tps: float = 0.0
    """What the last reply was measured at, in tokens per second."""
    resident_bytes: int = 0
    size_bytes: int = 0
    at: float = 0.0


class Learned:
    """The factors by model, in one file. A fault of the disk costs only learning again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._runs: dict[str, Run] | None = None

    def find(self, key: str) -> Run | None:
        """What was measured of a model; None where it has not run."""
        return self._read().get(key)

    def correct(self, key: str, machine_key: str) -> Correction:
        """The correction for a model on a machine: its own, or that of all others there."""
        runs = self._read()
        own = runs.get(key)
        others = [
            run
            for name, run in runs.items()
            if name.startswith(machine_key) and run.size_bytes >= _TELLING_BYTES
        ]
        has_own = bool(own and own.speeds)
        speed = _find_middle(own.speeds) if own and own.speeds else _share(r.speeds for r in others)
        read = _find_middle(own.reads) if own and own.reads else _share(r.reads for r in others)
        return Correction(
            speed=speed,
            read=read,
            memory=own.memory if own and own.memory else 1.0,
            n_runs=sum(1 for run in others if run.speeds),
            is_own=has_own,
        )

    def note(
        self,
        key: str,
        *,
        speed: float = 0.0,
        read: float = 0.0,
        memory: float = 0.0,
        write_tps: float = 0.0,
        resident_bytes: int = 0,
        size_bytes: int = 0,
    ) -> None:
        """Learn factors; 0.0 says nothing of one, and what is out of all bounds is dropped."""
        with self._lock:
            runs = dict(self._load())
            old = runs.get(key, Run())
            runs[key] = Run(
                speeds=(*old.speeds, *_accept(speed))[-_N_SAMPLES:],
                reads=(*old.reads, *_accept(read))[-_N_SAMPLES:],
                memory=next(iter(_accept(memory)), old.memory),
                write_tps=write_tps or old.write_tps,
                resident_bytes=resident_bytes or old.resident_bytes,
                size_bytes=size_bytes or old.size_bytes,
                at=time.time(),
            )
            newest = sorted(runs.items(), key=lambda item: item[1].at)[-_MAX_KEPT:]
            self._runs = dict(newest)
            self._save(self._runs)

    def _read(self) -> dict[str, Run]:
        with self._lock:
            return self._load()

    def _load(self) -> dict[str, Run]:
        if self._runs is None:
            try:
                self._runs = msgspec.json.decode(self._path.read_bytes(), type=dict[str, Run])
            except (OSError, msgspec.MsgspecError):
                self._runs = {}
        return self._runs

    def _save(self, runs: dict[str, Run]) -> None:
        write_json(self._path, runs)


def write_json(path: Path, value: object) -> None:
    """Put a small file in place whole, for its owner alone; a fault of the disk is only logged."""
    fresh = path.with_suffix(".new")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(fresh, "wb", opener=_open_private) as file:
            file.write(msgspec.json.encode(value))
        fresh.replace(path)
    except OSError as error:
        log.info("%s could not be kept (errno %s)", path.name, error.errno)
        with contextlib.suppress(OSError):
            fresh.unlink()


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _accept(factor: float) -> tuple[float, ...]:
    is_sound = math.isfinite(factor) and 1 / _WIDEST <= factor <= _WIDEST
    return (factor,) if is_sound else ()


def _share(groups: Iterable[Sequence[float]]) -> float:
    """What other models tell of this one: the middle of theirs, believed the more the more it are.

    One that ran often has no more say than others.
    """
    middles = [_find_middle(group) for group in groups if group]
    if not middles:
        return 1.0
    belief = len(middles) / (len(middles) + 1)
    factor: float = min(_FAR, max(1 / _FAR, median(middles))) ** belief
    return factor


def _find_middle(factors: Sequence[float]) -> float:
    return median(factors) if factors else 1.0
