"""From a model's shape and this machine to what runs where, how fast, and in how much memory.

`predict` is the one way in: pure, called on any thread by the models page, the inspector and the
command line. What was measured on models that ran here corrects it (`learned.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from inglenook.base.rates import DeviceRates, MachineRates
from inglenook.models.predict.memory import Memory, Part, Use, place, split
from inglenook.models.predict.shape import ModelShape
from inglenook.models.predict.speed import time_prompt, time_token

type Where = Literal["gpu", "partly", "memory", "tight", "too_large"]

USUAL_PROMPT: Final = 512
USUAL_DEPTH: Final = 512
"""Speeds are told for a prompt of so many tokens, and for a reply after as many."""
_GPU_MARGIN_BYTES: Final = 400_000_000
_GPU_MARGIN_SHARE: Final = 0.04
_STEPS: Final = (96, 64, 48, 32, 24, 16, 8)
"""As `engine/loading/loader.py` steps down where a card has no room for all layers."""
_COMFORT_SHARE: Final = 0.7
_SYSTEM_BYTES: Final = 2_000_000_000
_SYSTEM_SHARE: Final = 0.1
_SAMPLING_S: Final = 0.0008
_WORD_S: Final = 2.0e-9
"""What drawing a token costs: something by itself, and something for each in the vocabulary."""
_ASIDE_S: Final = 0.0003
"""What it costs where a GPU has everything: most is done while the device computes."""
_MOST_TPS: Final = 100_000.0


@dataclass(frozen=True, slots=True)
class Correction:
    """Measured against predicted, of one model or of all that ran here. 1.0 changes nothing."""

    speed: float = 1.0
    read: float = 1.0
    memory: float = 1.0
    n_runs: int = 0
    is_own: bool = False
    """Whether this very model was measured, and not others like it."""


@dataclass(frozen=True, slots=True)
class Card:
    """A graphics device: its memory, and whether that is the machine's own."""

    name: str
    total_bytes: int
    free_bytes: int = 0
    is_shared: bool = False

    @property
    def room_bytes(self) -> int:
        """What a model may take of it, as far as it is known."""
        return self.free_bytes or self.total_bytes


@dataclass(frozen=True, slots=True)
class Machine:
    """This computer: memory in bytes, its graphics devices, and what it was measured at."""

    memory_bytes: int
    gpu_bytes: int = 0
    cards: tuple[Card, ...] = ()
    rates: MachineRates | None = None
    correction: Correction | None = None
    """What all models that ran here were measured at, against what was predicted of them."""

    @property
    def usable_bytes(self) -> int:
        """The memory that a model may take, the system's share aside."""
        reserve = max(_SYSTEM_BYTES, round(self.memory_bytes * _SYSTEM_SHARE))
        return max(0, self.memory_bytes - min(reserve, self.memory_bytes // 2))


@dataclass(frozen=True, slots=True)
class Prediction:
    """What runs where, in bytes and tokens per second; 0.0 where the speed is not known.

    `ram` and `gpu` are the machine's memory and the graphics cards' together. `n_ctx` is the
    context they are for. `n_layers_gpu` counts the output as one layer more.
    """

    where: Where
    ram: Memory
    gpu: Memory
    n_ctx: int
    n_layers: int
    n_layers_gpu: int
    write_tps: float
    read_tps: float
    machine_bytes: int
    correction: Correction
    is_guess: bool
    weights_per_token: int = 0
    """Bytes that are gone through for one token."""
    kv_type: str = "f16"
    on_cards: tuple[tuple[str, Memory], ...] = ()
    """What lies on each graphics card, where there are several."""

    @property
    def needs_bytes(self) -> int:
        """The memory of both kinds together."""
        return self.ram.total + self.gpu.total


def predict(
    shape: ModelShape,
    machine: Machine,
    use: Use | None = None,
    correction: Correction | None = None,
) -> Prediction:
    """Work out where a model goes and how fast it is there."""
    use = use or Use()
    correction = correction or Correction()
    n_on_gpu = _choose_layers(shape, machine, use)
    if n_on_gpu and machine.rates is not None and _is_cpu_better(shape, machine, use, n_on_gpu):
        n_on_gpu = 0
    ram, *on_cards = place(shape, use, machine.rates, _split(shape, machine, n_on_gpu))
    gpu = sum(on_cards, Memory())
    if correction.memory != 1.0 and not n_on_gpu:
        ram = _scale(ram, correction.memory)
    write_s, read_s = _time(shape, machine, use, n_on_gpu)
    return Prediction(
        where=_judge(shape, machine, ram, gpu, n_on_gpu),
        ram=ram,
        gpu=gpu,
        n_ctx=use.n_ctx,
        n_layers=shape.n_layers,
        n_layers_gpu=n_on_gpu,
        write_tps=_invert(write_s) * correction.speed,
        read_tps=_invert(read_s) * correction.read,
        machine_bytes=machine.memory_bytes,
        correction=correction,
        is_guess=shape.is_guess,
        weights_per_token=_count_per_token(shape),
        kv_type=use.kv_type,
        on_cards=_name_cards(machine, on_cards),
    )


def predict_write_tps(
    shape: ModelShape, machine: Machine, use: Use, n_on_gpu: int, n_context: int
) -> float:
    """Tokens per second after so many others, without any correction; 0.0 where not known."""
    if machine.rates is None:
        return 0.0
    return _invert(_time_token(shape, machine, n_on_gpu, min(n_context, use.n_ctx)))


def predict_read_tps(shape: ModelShape, machine: Machine, n_on_gpu: int, n_tokens: int) -> float:
    """Prompt tokens per second, without any correction; 0.0 where not known."""
    if machine.rates is None:
        return 0.0
    return _invert(_time_prompt(shape, machine, n_on_gpu, n_tokens) / max(1, n_tokens))


def _choose_layers(shape: ModelShape, machine: Machine, use: Use) -> int:
    """How many layers the graphics cards take; one more than there are is all."""
    has_useless = machine.rates is not None and not machine.rates.gpus
    if not machine.cards or use.n_gpu_layers == 0 or has_useless:
        return 0
    whole = shape.n_layers + 1
    if use.n_gpu_layers is not None and use.n_gpu_layers > 0:
        return min(use.n_gpu_layers, whole)
    for n_layers in (whole, *(n for n in _STEPS if n < shape.n_layers)):
        _, *on_cards = place(shape, use, machine.rates, _split(shape, machine, n_layers))
        if all(map(_has_room, machine.cards, on_cards)):
            return n_layers
    return 0


def _has_room(card: Card, memory: Memory) -> bool:
    needed = memory.total * (1 + _GPU_MARGIN_SHARE) + _GPU_MARGIN_BYTES
    return not memory.total or needed <= card.room_bytes


def _split(shape: ModelShape, machine: Machine, n_on_gpu: int) -> tuple[Part, ...]:
    return split(shape, n_on_gpu, [card.room_bytes for card in machine.cards])


def _name_cards(machine: Machine, on_cards: Sequence[Memory]) -> tuple[tuple[str, Memory], ...]:
    taken = [(c.name, m) for c, m in zip(machine.cards, on_cards, strict=True) if m.total]
    return tuple(taken) if len(taken) > 1 else ()


def _is_cpu_better(shape: ModelShape, machine: Machine, use: Use, n_on_gpu: int) -> bool:
    """A graphics device that shares the machine's memory may lose to the processor."""
    if use.n_gpu_layers is not None or not all(card.is_shared for card in machine.cards):
        return False
    on_gpu, on_cpu = (
        sum(part * USUAL_PROMPT for part in _time(shape, machine, use, n)) for n in (n_on_gpu, 0)
    )
    return 0.0 < on_cpu < on_gpu


def _time(shape: ModelShape, machine: Machine, use: Use, n_on_gpu: int) -> tuple[float, float]:
    """Seconds for one token written, and for one read; zeros where nothing was measured."""
    if machine.rates is None:
        return 0.0, 0.0
    depth, n_read = min(USUAL_DEPTH, use.n_ctx), min(USUAL_PROMPT, use.n_ctx)
    return (
        _time_token(shape, machine, n_on_gpu, depth),
        _time_prompt(shape, machine, n_on_gpu, n_read) / n_read,
    )


def _list_work(
    shape: ModelShape, machine: Machine, n_on_gpu: int
) -> list[tuple[DeviceRates, Part]]:
    """Which device does what, of those that do anything."""
    rates = machine.rates
    if rates is None:
        return []
    processor, *cards = _split(shape, machine, n_on_gpu if rates.gpus else 0)
    work = [(rates.cpu, processor)]
    work += [
        (_find_rates(rates, c.name), part) for c, part in zip(machine.cards, cards, strict=True)
    ]
    return [(device, part) for device, part in work if part]


def _find_rates(rates: MachineRates, name: str) -> DeviceRates:
    """What a card was measured at; one that could not be measured is taken to be like another."""
    named = (gpu for gpu in rates.gpus if name in {gpu.name, gpu.description})
    return next(named, rates.gpus[0] if rates.gpus else rates.cpu)


def _time_token(shape: ModelShape, machine: Machine, n_on_gpu: int, n_context: int) -> float:
    is_all_on_gpu = n_on_gpu > shape.n_layers
    spent = _ASIDE_S if is_all_on_gpu else _SAMPLING_S + _WORD_S * shape.n_vocab
    for device, part in _list_work(shape, machine, n_on_gpu):
        spent += time_token(
            shape, part.layers, device, n_context=n_context, has_output=part.has_output
        )
    return spent


def _time_prompt(shape: ModelShape, machine: Machine, n_on_gpu: int, n_tokens: int) -> float:
    return sum(
        time_prompt(shape, part.layers, device, n_tokens=n_tokens, has_output=part.has_output)
        for device, part in _list_work(shape, machine, n_on_gpu)
        if part.layers
    )


def _judge(shape: ModelShape, machine: Machine, ram: Memory, gpu: Memory, n_on_gpu: int) -> Where:
    in_machine = ram.total
    if machine.cards and all(card.is_shared for card in machine.cards):
        in_machine += gpu.total
    if n_on_gpu > shape.n_layers:
        # The file is only mapped: what went to the card can leave the machine's memory.
        in_machine -= min(ram.weights, in_machine)
    if in_machine > machine.usable_bytes:
        return "too_large"
    if n_on_gpu > shape.n_layers:
        return "gpu"
    if in_machine > machine.memory_bytes * _COMFORT_SHARE:
        return "tight"
    return "partly" if n_on_gpu else "memory"


def _count_per_token(shape: ModelShape) -> int:
    total = 0.0
    for layer in shape.layers:
        for part in layer.weights:
            is_crowd = part.is_expert and shape.n_experts
            total += part.n_bytes * (shape.n_experts_used / shape.n_experts if is_crowd else 1.0)
    return round(total) + sum(part.n_bytes for part in shape.output_weights)


def _scale(memory: Memory, factor: float) -> Memory:
    """Put a correction where it belongs: into what is estimated, never into weights and context."""
    certain = memory.weights + memory.copies + memory.kv
    rest = max(0, round(memory.total * factor) - certain)
    program = min(rest, memory.program)
    return Memory(memory.weights, memory.copies, memory.kv, rest - program, program)


def _invert(seconds: float) -> float:
    return min(_MOST_TPS, 1.0 / seconds) if seconds > 0 else 0.0
