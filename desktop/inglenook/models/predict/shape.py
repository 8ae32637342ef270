"""The shape of a model, as far as memory and speed depend on it: by its header or its size alone.

Pure; called on any thread. What is told by the names of tensors is taken from them, so that a
mixture of weight types, experts, or layers of several kinds are counted as they are.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from inglenook.models.formats import TENSOR_TYPES
from inglenook.models.gguf import GgufHeader, Tensor, Value

_LAYER: Final = re.compile(r"blk\.(\d+)\.(.+)")
_INPUT: Final = ("token_embd.", "per_layer_token_embd.", "position_embd.", "token_types.")
_EXPERTS: Final = ("_exps.", "_exps_")
_OUTPUT: Final = "output."
_QKV: Final = ("attn_q.", "attn_k.", "attn_v.", "attn_qkv.", "attn_kv_a", "attn_q_a", "ssm_in.")
_PATTERNS: Final[dict[str, int]] = {
    "afmoe": 4, "cohere2": 4, "exaone-moe": 4, "exaone4": 4, "gemma2": 2, "gemma3": 6,
    "gemma3n": 5, "gpt-oss": 2, "llama4": 4, "olmo2": 4, "plamo3": 8, "smallthinker": 4,
}  # fmt: skip
"""Every so many layers one looks back over the whole context, where the file does not say."""
_DENSE_FIRST: Final = frozenset({"smallthinker"})
_NO_WINDOW: Final = frozenset({"phi3"})
"""Their files name a window that llama.cpp does not use."""
_MAX_LAYERS: Final = 1 << 12


@dataclass(frozen=True, slots=True)
class Weights:
    """Weights of one type that are gone through together."""

    kind: str
    n_bytes: int
    n_weights: int
    is_expert: bool = False
    is_matrix: bool = True
    fills_memory: bool = False
    """Whether it makes the queries, keys and values: the last layer does that for every token."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer: its weights, and what it keeps of each token. Widths in numbers, not bytes."""

    weights: tuple[Weights, ...]
    key_width: int = 0
    value_width: int = 0
    look_width: int = 0
    """Heads times the width of one: what one look back at one token costs."""
    n_heads: int = 0
    window: int = 0
    """How far it looks back, in tokens; 0 is all the way."""
    state_bytes: int = 0
    """What a recurrent layer keeps of a sequence, however long it is."""


@dataclass(frozen=True, slots=True)
class ModelShape:
    """A model, as far as memory and speed depend on it."""

    layers: tuple[Layer, ...]
    input_weights: tuple[Weights, ...]
    output_weights: tuple[Weights, ...]
    n_embd: int
    n_ff: int
    n_vocab: int
    file_bytes: int
    n_merges: int = 0
    n_experts: int = 0
    n_experts_used: int = 0
    n_ctx_train: int = 0
    is_tied: bool = False
    """Whether the output's weights are those of the input, and lie in the file once."""
    is_guess: bool = False
    """Whether only the file's size is known."""
    kinds: tuple[str, ...] = field(default=())
    """The types of its weights, most bytes first."""

    @property
    def n_layers(self) -> int:
        """How many layers it has."""
        return len(self.layers)


def read_shape(headers: Sequence[GgufHeader], size_bytes: int) -> ModelShape | None:
    """The shape by the headers of all parts, with their tensors; None where they tell too little.

    The first part holds the entries.
    """
    first = headers[0]
    facts = _Facts(first.architecture, first.values)
    tensors = [tensor for header in headers for tensor in header.tensors]
    n_layers = facts.count("block_count")
    n_embd = facts.count("embedding_length")
    if not tensors or not 0 < n_layers <= _MAX_LAYERS or not n_embd:
        return None
    by_layer: list[list[tuple[str, Tensor]]] = [[] for _ in range(n_layers)]
    outer: list[Tensor] = []
    for tensor in tensors:
        found = _LAYER.fullmatch(tensor.name)
        if found and int(found[1]) < n_layers:
            by_layer[int(found[1])].append((found[2], tensor))
        elif not found:
            outer.append(tensor)
    inputs = [t for t in outer if t.name.startswith(_INPUT)]
    outputs = [t for t in outer if not t.name.startswith(_INPUT)]
    is_tied = not any(t.name == "output.weight" for t in outer)
    tied = [t for t in inputs if t.name == "token_embd.weight"] if is_tied else []
    layers = tuple(_make_layer(facts, i, members) for i, members in enumerate(by_layer))
    return ModelShape(
        layers=layers,
        input_weights=_gather((t.name, t) for t in inputs),
        output_weights=_gather((t.name, t) for t in (*outputs, *tied)),
        n_embd=n_embd,
        n_ff=_find_ff(facts, by_layer),
        n_vocab=first.n_vocab or _count_rows(inputs),
        n_merges=first.lengths.get("tokenizer.ggml.merges", 0),
        file_bytes=size_bytes,
        n_experts=facts.count("expert_count"),
        n_experts_used=facts.count("expert_used_count"),
        n_ctx_train=first.n_ctx_train,
        is_tied=is_tied,
        kinds=_rank_kinds(tensors),
    )


class _Facts:
    """The entries of a header that begin with the architecture's name."""

    def __init__(self, architecture: str, values: Mapping[str, Value]) -> None:
        self.architecture = architecture
        self._values = values

    def find(self, key: str) -> Value | None:
        """An entry as it is."""
        return self._values.get(f"{self.architecture}.{key}")

    def count(self, key: str, layer: int = 0) -> int:
        """A positive number; of a list, that of a layer; else 0."""
        value = self.find(key)
        if isinstance(value, tuple):
            value = value[layer] if layer < len(value) else 0
        return value if type(value) is int and 0 < value < 1 << 40 else 0

    def is_windowed(self, layer: int) -> bool:
        """Whether a layer looks back no further than the window."""
        pattern = self.find("attention.sliding_window_pattern")
        if isinstance(pattern, tuple):
            return bool(pattern[layer]) if layer < len(pattern) else False
        if self.architecture in _NO_WINDOW:
            return False
        every = pattern if type(pattern) is int else _PATTERNS.get(self.architecture, 1)
        if every < 2:
            return every == 0
        if self.architecture in _DENSE_FIRST:
            return layer % every != 0
        return layer % every < every - 1


def _make_layer(facts: _Facts, index: int, members: list[tuple[str, Tensor]]) -> Layer:
    names = " ".join(name for name, _ in members)
    has_attention = bool(re.search(r"attn_(k|qkv|kv_a\w*)\.", names))
    has_state = "ssm_" in names or "time_mix" in names or "shortconv" in names
    if has_state and "attn_k." not in names:
        has_attention = False
    weights = _gather(members)
    n_heads = facts.count("attention.head_count", index)
    if not has_attention or not n_heads:
        state = _count_state_bytes(facts, index) if has_state else 0
        return Layer(weights, state_bytes=state)
    each = facts.count("embedding_length") // n_heads
    window = facts.count("attention.sliding_window", index)
    is_windowed = bool(window) and facts.is_windowed(index)
    suffix = "_swa" if is_windowed and facts.count("attention.key_length_swa") else ""
    key = facts.count(f"attention.key_length{suffix}") or each
    value = facts.count(f"attention.value_length{suffix}") or each
    n_kv = facts.count("attention.head_count_kv", index) or n_heads
    key_width, value_width = n_kv * key, n_kv * value
    latent = facts.count("attention.kv_lora_rank")
    if latent:  # One latent vector stands for the keys and values of all heads.
        key_width, value_width = latent + facts.count("rope.dimension_count"), 0
        key = value = key_width
    return Layer(
        weights,
        key_width=key_width,
        value_width=value_width,
        look_width=n_heads * (key + value) // 2,
        n_heads=n_heads,
        window=window if is_windowed else 0,
        state_bytes=_count_state_bytes(facts, index) if has_state else 0,
    )


def _count_state_bytes(facts: _Facts, index: int) -> int:
    """The state of one sequence in a recurrent layer, in 32-bit floats."""
    inner, state = facts.count("ssm.inner_size"), facts.count("ssm.state_size")
    kernel, groups = facts.count("ssm.conv_kernel"), facts.count("ssm.group_count")
    if inner and state:
        n_past = max(0, kernel - 1) * (inner + 2 * groups * state)
        return 4 * (n_past + inner * state)
    head = facts.count("wkv.head_size")
    if head:
        n_embd = facts.count("embedding_length")
        return 4 * (n_embd * head + 2 * n_embd)
    cache = facts.count("shortconv.l_cache", index)
    return 4 * max(0, cache - 1) * facts.count("embedding_length")


def _gather(members: Iterable[tuple[str, Tensor]]) -> tuple[Weights, ...]:
    """Add up what is alike."""
    sums: dict[tuple[str, bool, bool, bool], list[int]] = {}
    for name, tensor in members:
        is_expert = any(mark in name for mark in _EXPERTS)
        is_matrix = len(tensor.shape) > 1 and min(tensor.shape[:2]) > 1
        key = (tensor.kind, is_expert, is_matrix, name.startswith(_QKV))
        both = sums.setdefault(key, [0, 0])
        both[0] += tensor.n_bytes
        both[1] += tensor.n_elements
    return tuple(
        Weights(kind, n_bytes, n_weights, is_expert, is_matrix, fills)
        for (kind, is_expert, is_matrix, fills), (n_bytes, n_weights) in sums.items()
    )


def _find_ff(facts: _Facts, by_layer: Sequence[Sequence[tuple[str, Tensor]]]) -> int:
    """The widest row between two matrices of a layer, of all experts that are used together."""
    widest = max((facts.count("feed_forward_length", i) for i in range(len(by_layer))), default=0)
    expert = facts.count("expert_feed_forward_length")
    n_used = facts.count("expert_used_count")
    if facts.count("expert_count"):
        widest = n_used * (expert or widest)
    return widest


def _count_rows(inputs: Sequence[Tensor]) -> int:
    return next((t.shape[-1] for t in inputs if t.name == "token_embd.weight"), 0)


def _rank_kinds(tensors: Sequence[Tensor]) -> tuple[str, ...]:
    sums: dict[str, int] = {}
    for tensor in tensors:
        sums[tensor.kind] = sums.get(tensor.kind, 0) + tensor.n_bytes
    return tuple(sorted(sums, key=lambda kind: -sums[kind]))


def sketch_shape(
    values: Mapping[str, Value], lengths: Mapping[str, int], size_bytes: int, quantisation: str
) -> ModelShape | None:
    """The shape by a header's entries alone, where its table of weights is too far away.

    The file's size is shared out among the matrices that these dimensions ask for. None where the
    entries tell too little.
    """
    architecture = values.get("general.architecture")
    facts = _Facts(architecture if isinstance(architecture, str) else "", values)
    n_layers, n_embd = facts.count("block_count"), facts.count("embedding_length")
    n_vocab = lengths.get("tokenizer.ggml.tokens", 0)
    if not 0 < n_layers <= _MAX_LAYERS or not n_embd or not n_vocab:
        return None
    kind = guess_kind(quantisation)
    widths = [_count_layer_weights(facts, i) for i in range(n_layers)]
    total = sum(own + crowd for own, crowd in widths) + n_vocab * n_embd
    per_weight = size_bytes / total

    def weigh(n_weights: int, *, is_expert: bool = False) -> Weights:
        return Weights(kind, round(n_weights * per_weight), n_weights, is_expert)

    layers = []
    for i, (own, crowd) in enumerate(widths):
        parts = [(f"attn_k.{i}", Tensor("", kind, (own, 1), 0))] if own else []
        made = _make_layer(facts, i, parts)
        experts = (weigh(crowd, is_expert=True),) if crowd else ()
        layers.append(replace(made, weights=(weigh(own), *experts)))
    edge = weigh(n_vocab * n_embd)
    return ModelShape(
        layers=tuple(layers),
        input_weights=(edge,),
        output_weights=(edge,),
        n_embd=n_embd,
        n_ff=_find_ff(facts, [()] * n_layers),
        n_vocab=n_vocab,
        n_merges=n_vocab,
        file_bytes=size_bytes,
        n_experts=facts.count("expert_count"),
        n_experts_used=facts.count("expert_used_count"),
        n_ctx_train=facts.count("context_length"),
        is_tied=True,
        kinds=(kind,),
    )


def _count_layer_weights(facts: _Facts, index: int) -> tuple[int, int]:
    """The weights of a usual layer that every token meets, and those of its experts."""
    n_embd, n_heads = facts.count("embedding_length"), facts.count("attention.head_count", index)
    if not n_heads:
        return 8 * n_embd * n_embd, 0
    key = facts.count("attention.key_length") or n_embd // n_heads
    n_kv = facts.count("attention.head_count_kv", index) or n_heads
    attention = n_embd * key * (2 * n_heads + 2 * n_kv)
    n_experts = facts.count("expert_count")
    feed = 3 * n_embd * facts.count("feed_forward_length", index)
    if not n_experts:
        return attention + feed, 0
    expert = facts.count("expert_feed_forward_length")
    return attention, n_experts * (3 * n_embd * expert if expert else feed)


# --- from a size alone ---

_USUAL: Final = (
    # Billions of weights: layers, width, width of keys and values.
    (0.13, 12, 576, 192),
    (0.5, 24, 896, 128),
    (1.2, 16, 2048, 512),
    (3.0, 28, 2560, 768),
    (8.0, 32, 4096, 1024),
    (14.0, 40, 5120, 1024),
    (32.0, 64, 5120, 1024),
    (70.0, 80, 8192, 1024),
    (120.0, 88, 12288, 1024),
)
_USUAL_VOCAB: Final = 128_000
_USUAL_BITS: Final = {"Q4_K_M": 4.85, "Q4_K_S": 4.6, "Q5_K_M": 5.7, "Q6_K": 6.56, "Q8_0": 8.5}


def guess_shape(
    size_bytes: int, quantisation: str, n_params: int = 0, n_active_params: int = 0
) -> ModelShape:
    """A shape like those of most models of this size, where no header is at hand.

    `n_params` 0 takes what the size and the quantisation make of it.
    """
    kind = guess_kind(quantisation)
    _, n_block, block_bytes = next(t for t in TENSOR_TYPES.values() if t[0] == kind)
    bits = _USUAL_BITS.get(quantisation.upper(), 8.0 * block_bytes / n_block)
    n_params = n_params or round(size_bytes * 8 / bits)
    n_active = n_active_params or n_params
    _, n_layers, n_embd, kv_width = min(_USUAL, key=lambda row: abs(row[0] - n_params / 1e9))
    share = n_active / n_params
    n_vocab_weights = min(_USUAL_VOCAB * n_embd, n_params // 4)
    whole = Weights(kind, size_bytes, n_params)
    edge = _take(whole, n_vocab_weights / n_params)
    layer = _take(whole, (1 - n_vocab_weights / n_params) / n_layers)
    is_mixture = share < 0.95
    parts = (_take(layer, share), _mark_expert(_take(layer, 1 - share))) if is_mixture else (layer,)
    layers = (Layer(parts, kv_width, kv_width, look_width=n_embd),) * n_layers
    return ModelShape(
        layers=layers,
        input_weights=(edge,),
        output_weights=(edge,),
        n_embd=n_embd,
        n_ff=n_embd * 3,
        n_vocab=n_vocab_weights // n_embd,
        n_merges=n_vocab_weights // n_embd,
        file_bytes=size_bytes,
        # What is not active is not read: one in a crowd that never comes to its turn.
        n_experts=1 << 20 if is_mixture else 0,
        n_experts_used=1 if is_mixture else 0,
        is_tied=True,
        is_guess=True,
        kinds=(kind,),
    )


def guess_kind(quantisation: str) -> str:
    """The weight type that most of a file with this quantisation is in."""
    wanted = quantisation.upper().removeprefix("UD-")
    names = sorted((t[0] for t in TENSOR_TYPES.values()), key=len, reverse=True)
    found = next((name for name in names if wanted.startswith(name)), "")
    if found:
        return found
    bits = re.search(r"(\d)", wanted)
    return {"2": "Q2_K", "3": "Q3_K", "5": "Q5_K", "6": "Q6_K", "8": "Q8_0"}.get(
        bits[1] if bits else "", "Q4_K"
    )


def _take(weights: Weights, share: float) -> Weights:
    return Weights(weights.kind, round(weights.n_bytes * share), round(weights.n_weights * share))


def _mark_expert(weights: Weights) -> Weights:
    return Weights(weights.kind, weights.n_bytes, weights.n_weights, is_expert=True)
