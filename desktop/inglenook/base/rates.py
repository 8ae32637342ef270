"""What a machine was measured at: how fast each of its devices reads weights and computes.

Frozen records that cross from the engine, which measures, to the models package, which predicts
with them. Rates are those of llama.cpp's own kernels on a quiet machine.
"""

from collections.abc import Sequence
from typing import Protocol

import msgspec


class KindRates(msgspec.Struct, frozen=True, kw_only=True):
    """One type of weights on one device.

    `bytes_per_s`: how fast its weights are gone through for one token; the cost of unpacking them
    is in it. `ops_per_s`: multiplications and additions while a prompt is read. `is_repacked`:
    whether its matrices are copied into another order when a model is loaded.
    """

    bytes_per_s: float
    ops_per_s: float
    is_repacked: bool = False


class DeviceRates(msgspec.Struct, frozen=True, kw_only=True):
    """One device. `kinds` by the weight type's GGUF name, for example "Q4_K".

    A token costs `token_s` and each layer `layer_s` besides its weights: starting kernels, and
    threads that wait for each other. Attention does so many operations per second when one token
    looks back, `look_ops_per_s`, and when a prompt does, `read_look_ops_per_s`.
    """

    name: str
    description: str
    kind: str
    kinds: dict[str, KindRates]
    layer_s: float
    token_s: float
    look_ops_per_s: float
    read_look_ops_per_s: float
    row_cost: float = 0.0
    """How much slower short rows are gone through: by `row_cost / width` of the time, against long
    ones."""
    n_threads: int = 0
    by_threads: tuple[tuple[int, float], ...] = ()
    """Of a processor: the share of the full speed with fewer threads, as (threads, share)."""


class _Graphics(Protocol):
    @property
    def kind(self) -> str: ...


def leave_out_integrated[Device: _Graphics](gpus: Sequence[Device]) -> tuple[Device, ...]:
    """The graphics devices that llama.cpp uses: integrated ones only where there is no other."""
    own = tuple(gpu for gpu in gpus if gpu.kind != "igpu")
    return own or tuple(gpus)


class MachineRates(msgspec.Struct, frozen=True, kw_only=True):
    """All devices of a machine, the processor first. `base_bytes`: the engine without a model."""

    devices: tuple[DeviceRates, ...]
    base_bytes: int
    took_s: float = 0.0
    was_busy: bool = False
    """Whether other programs kept the processor from being measured whole."""

    @property
    def cpu(self) -> DeviceRates:
        """The processor."""
        return self.devices[0]

    @property
    def gpus(self) -> tuple[DeviceRates, ...]:
        """The graphics devices that layers are given to: integrated ones only where alone."""
        return leave_out_integrated(self.devices[1:])
