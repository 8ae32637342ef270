"""How much memory a model takes at a context length, and where. Pure arithmetic; bytes throughout.

The sums are llama.cpp's: weights as they lie in the file, a second copy of those that its processor
kernels want in another order, keys and values for the whole context at once, and the largest moment
of one step. What a step needs is not told by any formula of the library but by how it packs its
tensors; the one here was fitted to what it reports over many shapes (`tests/unit/models/predict`).
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Final, Literal

from inglenook.base.attention import fit_plain_step
from inglenook.base.rates import MachineRates
from inglenook.models.predict.shape import Layer, ModelShape, Weights

type KvType = Literal["f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0"]

_KV_BYTES: Final[dict[str, float]] = {
    "f32": 4.0, "f16": 2.0, "bf16": 2.0, "q8_0": 34 / 32, "q5_1": 24 / 32, "q5_0": 22 / 32,
    "q4_1": 20 / 32, "q4_0": 18 / 32,
}  # fmt: skip
_PAD: Final = 256
_N_OUTPUTS: Final = 33
"""Tokens of a step whose likelihoods may be wanted: one, and those guessed ahead."""
_FLOAT: Final = 4
_TOKEN_BYTES: Final = 145
_MERGE_BYTES: Final = 100
"""What the library keeps of each entry of the vocabulary, and of each merge: tables of strings."""
_USUAL_BASE: Final = 35_000_000
_LOADED_BYTES: Final = 12_000_000
"""What the engine itself grows by with any model: the graph, the template, the prompt thread."""


@dataclass(frozen=True, slots=True)
class Use:
    """How a model is to be loaded: what `LoadOptions` says. `n_ctx` in tokens."""

    n_ctx: int = 8192
    kv_type: KvType = "f16"
    n_ubatch: int = 512
    n_seq_max: int = 4
    flash_attention: bool | None = True
    """None is automatic: plain attention on the processor, where there is room for it."""
    n_gpu_layers: int | None = None


@dataclass(frozen=True, slots=True)
class Memory:
    """What lies in one memory: the machine's, or a graphics card's."""

    weights: int = 0
    copies: int = 0
    """Weights that lie there a second time, in an order that is faster to compute with."""
    kv: int = 0
    buffers: int = 0
    program: int = 0
    """The engine itself, and the vocabulary."""

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.copies + self.kv + self.buffers + self.program

    def __add__(self, other: "Memory") -> "Memory":
        return Memory(
            self.weights + other.weights,
            self.copies + other.copies,
            self.kv + other.kv,
            self.buffers + other.buffers,
            self.program + other.program,
        )


def count_kv_bytes(layers: Sequence[Layer], use: Use) -> int:
    """Keys, values and recurrent states of some layers, for the whole context."""
    each = _KV_BYTES[use.kv_type]
    total = 0.0
    n_ctx = _pad(use.n_ctx)
    for layer in layers:
        n_cells = n_ctx
        if layer.window:
            n_cells = min(n_ctx, _pad(layer.window * use.n_seq_max + use.n_ubatch))
        total += n_cells * (layer.key_width + layer.value_width) * each
        total += layer.state_bytes * use.n_seq_max
    return round(total)


def settle_attention(shape: ModelShape, use: Use, *, on_cpu: bool) -> Use:
    """What automatic attention comes to, as `engine/loading/loader.py` chooses it."""
    if use.flash_attention is not None:
        return use
    n_step = 0
    is_usual = not any(layer.window or layer.state_bytes for layer in shape.layers)
    if on_cpu and is_usual and use.kv_type == "f16":
        n_step = fit_plain_step(_count_heads(shape), use.n_ctx, min(use.n_ubatch, use.n_ctx))
    return replace(use, flash_attention=not n_step, n_ubatch=n_step or use.n_ubatch)


def _find_widest(shape: ModelShape) -> Layer:
    return max(shape.layers, key=lambda layer: layer.look_width, default=Layer(()))


def _count_heads(shape: ModelShape) -> int:
    widest = _find_widest(shape)
    return max(1, widest.n_heads or widest.look_width // 64)


def count_buffer_bytes(shape: ModelShape, use: Use) -> int:
    """The largest moment of one step, on the device that does it."""
    n_tokens = min(use.n_ubatch, use.n_ctx)
    attention = _find_widest(shape)
    row = n_tokens * _FLOAT
    embd, ff = row * shape.n_embd, row * shape.n_ff
    query = row * attention.look_width
    keys = row * (attention.key_width + attention.value_width)
    mask_each = 2 if use.flash_attention else _FLOAT
    mask = n_tokens * _pad(use.n_ctx) * mask_each
    if any(layer.window for layer in shape.layers):
        window = max(layer.window for layer in shape.layers)
        mask += n_tokens * min(_pad(use.n_ctx), _pad(window * use.n_seq_max)) * mask_each
    crowded = bool(shape.n_experts) or ff > embd + query
    feed = 3 * ff + 2 * embd + (embd + query if crowded else 0)
    look = 3 * embd + 2 * query + keys
    if not use.flash_attention:
        look += _count_heads(shape) * _pad(use.n_ctx) * n_tokens * _FLOAT
    output = _N_OUTPUTS * shape.n_vocab * _FLOAT + 2 * embd
    return mask + max(feed, look, output)


def count_program_bytes(shape: ModelShape, machine: MachineRates | None, use: Use) -> int:
    """The engine with this vocabulary, and the likelihoods that it hands over."""
    base = machine.base_bytes if machine is not None and machine.base_bytes else _USUAL_BASE
    words = shape.n_vocab * _TOKEN_BYTES + shape.n_merges * _MERGE_BYTES
    return base + _LOADED_BYTES + words + use.n_seq_max * shape.n_vocab * _FLOAT


def count_copies(weights: Sequence[Weights], machine: MachineRates | None) -> int:
    """The matrices that the processor's kernels want in another order."""
    if machine is None:
        return 0
    kinds = machine.cpu.kinds
    return sum(
        part.n_bytes
        for part in weights
        if part.is_matrix and part.kind in kinds and kinds[part.kind].is_repacked
    )


def count_bytes(weights: Sequence[Weights]) -> int:
    """The size of weights as they lie in the file."""
    return sum(part.n_bytes for part in weights)


@dataclass(frozen=True, slots=True)
class Part:
    """What one device does of a model: some layers, and perhaps the output after the last one."""

    layers: Sequence[Layer] = ()
    has_output: bool = False

    def __bool__(self) -> bool:
        return bool(self.layers) or self.has_output


def split(shape: ModelShape, n_offloaded: int, rooms: Sequence[int]) -> tuple[Part, ...]:
    """The processor's part and then each graphics card's, as llama.cpp divides a model.

    `n_offloaded` counts from the end, where the output stands for one layer; `rooms` are the
    cards' free memories, in bytes, by which they share.
    """
    n_going = min(n_offloaded, shape.n_layers + 1) if rooms else 0
    start = shape.n_layers + 1 - n_going
    parts = [Part(shape.layers[:start], has_output=not n_going)]
    ends = list(accumulate(rooms)) if any(rooms) else list(range(1, len(rooms) + 1))
    owners = [bisect_right(ends, i * ends[-1] / n_going) for i in range(n_going)]
    for card in range(len(rooms)):
        own = [start + i for i, owner in enumerate(owners) if owner == card]
        layers = [shape.layers[i] for i in own if i < shape.n_layers]
        parts.append(Part(layers, has_output=shape.n_layers in own))
    return tuple(parts)


def place(
    shape: ModelShape, use: Use, machine: MachineRates | None, parts: Sequence[Part]
) -> tuple[Memory, ...]:
    """The machine's memory and then each graphics card's, for the parts that `split` gives."""
    processor, *cards = parts
    is_alone = not any(cards)
    use = settle_attention(shape, use, on_cpu=is_alone)
    own = [part for layer in processor.layers for part in layer.weights]
    in_file = count_bytes(own)
    is_shared = shape.is_tied and processor.has_output
    if not is_shared:
        in_file += count_bytes(shape.input_weights)
    if processor.has_output:
        in_file += count_bytes(shape.output_weights)
        own.extend(() if shape.is_tied else shape.output_weights)
    buffers = count_buffer_bytes(shape, use)
    rest = min(use.n_ubatch, use.n_ctx) * shape.n_embd * _FLOAT * 2
    ram = Memory(
        weights=in_file,
        copies=count_copies(own, machine),
        kv=count_kv_bytes(processor.layers, use),
        buffers=buffers if processor.layers or is_alone else rest,
        program=count_program_bytes(shape, machine, use),
    )
    return ram, *(_place_on_card(shape, use, card, buffers) for card in cards)


def _place_on_card(shape: ModelShape, use: Use, card: Part, buffers: int) -> Memory:
    if not card:
        return Memory()
    weights = [part for layer in card.layers for part in layer.weights]
    if card.has_output:
        weights.extend(shape.output_weights)
    return Memory(
        weights=count_bytes(weights), kv=count_kv_bytes(card.layers, use), buffers=buffers
    )


def _pad(n_cells: int) -> int:
    return n_cells + -n_cells % _PAD
