"""How fast a model reads and writes here: bytes over bandwidth, operations over rate.

Pure arithmetic over what the machine was measured at (`base/rates.py`). To write one token, all
weights that take part are gone through once; to read a prompt, each is multiplied once for every
token. Attention comes on top, by how much is looked back at.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from inglenook.base.rates import DeviceRates, KindRates
from inglenook.models.predict.shape import Layer, ModelShape, Weights

_BYTES_PER_THREAD: Final = 48_000_000
"""As `engine/machine.py` has it: a small model is given fewer threads."""
_WIDE: Final = 2048
"""The width that rates were measured at."""
_NEAR: Final[dict[str, tuple[str, ...]]] = {
    "Q2_K": ("Q3_K", "Q4_K"),
    "Q3_K": ("Q4_K",),
    "Q5_K": ("Q6_K", "Q4_K"),
    "Q6_K": ("Q5_K", "Q8_0"),
    "Q4_1": ("Q4_0",),
    "Q5_1": ("Q5_0",),
    "Q8_1": ("Q8_0",),
    "IQ4_NL": ("IQ4_XS", "Q4_0"),
    "NVFP4": ("MXFP4", "IQ4_XS"),
    "BF16": ("F16",),
    "F32": ("F16",),
}
_OTHERS: Final = ("IQ4_XS", "Q3_K", "Q4_K", "Q8_0", "F16")


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds for one token written, and for one read, on one device."""

    write_s: float
    read_s: float


def find_rates(device: DeviceRates, kind: str) -> KindRates:
    """What was measured of a weight type, or of the one that is most like it."""
    for name in (kind, *_NEAR.get(kind, ()), *_OTHERS):
        if name in device.kinds:
            return device.kinds[name]
    return next(iter(device.kinds.values()))


def choose_share(device: DeviceRates, size_bytes: int) -> float:
    """The share of the full speed with as many threads as a model of this size is given."""
    if not device.by_threads or not device.n_threads:
        return 1.0
    n_threads = min(device.n_threads, 1 + size_bytes // _BYTES_PER_THREAD)
    below = device.by_threads[0]
    for n, share in device.by_threads:
        if n == n_threads:
            return share
        if n > n_threads:
            reach = (n_threads - below[0]) / (n - below[0])
            return below[1] + reach * (share - below[1])
        below = (n, share)
    return below[1]


def time_token(
    shape: ModelShape,
    layers: Sequence[Layer],
    device: DeviceRates,
    *,
    n_context: int,
    has_output: bool,
) -> float:
    """Seconds that some layers take to write one token after so many others."""
    weights = [part for layer in layers for part in layer.weights]
    if has_output:
        weights.extend(shape.output_weights)
    share = choose_share(device, shape.file_bytes)
    spent = sum(
        part.n_bytes * _find_use(shape, part) / find_rates(device, part.kind).bytes_per_s
        for part in weights
    )
    slower = max(0.8, 1.0 + device.row_cost * (1 / max(64, shape.n_embd) - 1 / _WIDE))
    looks = sum(_count_looks(layer, n_context) for layer in layers)
    overhead = len(layers) * device.layer_s + (device.token_s if layers else 0.0)
    return (spent * slower + looks / device.look_ops_per_s) / share + overhead


def time_prompt(
    shape: ModelShape,
    layers: Sequence[Layer],
    device: DeviceRates,
    *,
    n_tokens: int,
    has_output: bool,
) -> float:
    """Seconds that some layers take to read a prompt of so many tokens."""
    share = choose_share(device, shape.file_bytes)
    spent = 0.0
    for i, layer in enumerate(layers):
        is_last = has_output and i == len(layers) - 1
        for part in layer.weights:
            if is_last and not part.fills_memory:
                continue
            ops = 2.0 * part.n_weights * _find_use(shape, part) * n_tokens
            spent += ops / find_rates(device, part.kind).ops_per_s
    looks = sum(_count_looks(layer, n_tokens // 2) * n_tokens for layer in layers)
    return (spent + looks / device.read_look_ops_per_s) / share + len(layers) * device.layer_s


def _count_looks(layer: Layer, n_context: int) -> float:
    n_seen = min(n_context, layer.window) if layer.window else n_context
    return 4.0 * layer.look_width * n_seen


def _find_use(shape: ModelShape, part: Weights) -> float:
    """The share of weights that one token takes: all, or those of the experts it is sent to."""
    if part.is_expert and shape.n_experts:
        return shape.n_experts_used / shape.n_experts
    return 1.0
