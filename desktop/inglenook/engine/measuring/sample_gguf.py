"""Writes GGUF files of any shape whose weights are all zero: what the machine is measured with.

Called by `gauge.py` on the worker's thread, and by tests that need models of real sizes. The
weights are a hole in the file: written in no time and taking no room on the disk, yet read from
memory and multiplied like any others, for no kernel looks at what it multiplies. Layout: the GGUF
specification, version 3 (ggml-org/ggml, docs/gguf.md).
"""

import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_U32: Final = struct.Struct("<I")
_U64: Final = struct.Struct("<Q")
_F32: Final = struct.Struct("<f")
_ALIGNMENT: Final = 32
_KIND_UINT32: Final = 4
_KIND_FLOAT32: Final = 6
_KIND_STRING: Final = 8

WEIGHT_TYPES: Final[dict[str, tuple[int, int, int]]] = {
    "F32": (0, 1, 4),
    "F16": (1, 1, 2),
    "Q4_0": (2, 32, 18),
    "Q5_0": (6, 32, 22),
    "Q5_1": (7, 32, 24),
    "Q8_0": (8, 32, 34),
    "Q2_K": (10, 256, 84),
    "Q3_K": (11, 256, 110),
    "Q4_K": (12, 256, 144),
    "Q5_K": (13, 256, 176),
    "Q6_K": (14, 256, 210),
    "IQ4_NL": (20, 32, 18),
    "IQ4_XS": (23, 256, 136),
    "BF16": (30, 1, 2),
    "MXFP4": (39, 32, 17),
}
"""Number, weights per block and bytes per block of the types that can be written."""


@dataclass(frozen=True, slots=True)
class SampleShape:
    """The dimensions of a plain transformer (llama's), or of one with experts."""

    n_layers: int
    n_embd: int
    n_ff: int
    n_heads: int
    n_heads_kv: int
    n_head_embd: int
    n_vocab: int
    n_ctx: int = 32768
    n_experts: int = 0
    n_experts_used: int = 0


class SampleGguf:
    """A file in the making: entries and tensors first, then `write`."""

    def __init__(self, architecture: str) -> None:
        self.architecture = architecture
        self._entries: list[bytes] = []
        self._tensors: list[bytes] = []
        self._n_data_bytes = 0
        self.add_text("general.architecture", architecture)

    def add_text(self, key: str, value: str) -> None:
        """Add a string entry."""
        self._entries.append(_pack_text(key) + _U32.pack(_KIND_STRING) + _pack_text(value))

    def add_number(self, key: str, value: float) -> None:
        """Add a number: an int as 32 bits without sign, a float in 32 bits."""
        is_int = isinstance(value, int)
        kind = _KIND_UINT32 if is_int else _KIND_FLOAT32
        raw = _U32.pack(value) if is_int else _F32.pack(value)
        self._entries.append(_pack_text(key) + _U32.pack(kind) + raw)

    def add_raw(self, entry: bytes) -> None:
        """Add an entry of another file as it stands there: key, type and value."""
        self._entries.append(entry)

    def add_tensor(self, name: str, kind: str, *shape: int) -> None:
        """Add weights of zeros; `shape` as GGUF has it, the length of a row first."""
        number, n_block, block_bytes = WEIGHT_TYPES[kind]
        n_elements = 1
        for length in shape:
            n_elements *= length
        dims = b"".join(_U64.pack(length) for length in shape)
        self._tensors.append(
            _pack_text(name)
            + _U32.pack(len(shape))
            + dims
            + _U32.pack(number)
            + _U64.pack(self._n_data_bytes)
        )
        n_bytes = n_elements // n_block * block_bytes
        self._n_data_bytes += n_bytes + -n_bytes % _ALIGNMENT

    def write(self, path: Path) -> int:
        """Write the file; returns its size in bytes. Raises `OSError`."""
        head = b"".join(
            (
                b"GGUF",
                _U32.pack(3),
                _U64.pack(len(self._tensors)),
                _U64.pack(len(self._entries)),
                *self._entries,
                *self._tensors,
            )
        )
        size = len(head) + -len(head) % _ALIGNMENT + self._n_data_bytes
        with path.open("wb") as file:
            file.write(head)
            file.flush()
            os.truncate(file.fileno(), size)
        return size


def make_sample(shape: SampleShape, kind: str, *, vocabulary: Sequence[bytes] = ()) -> SampleGguf:
    """A model of llama's architecture with all matrices of one type.

    `vocabulary` are the raw entries of another file's tokenizer; without them there is none, and
    tokens are numbers.
    """
    file = SampleGguf("llama")
    add_shape(file, shape)
    for entry in vocabulary:
        file.add_raw(entry)
    if not vocabulary:
        file.add_text("tokenizer.ggml.model", "no_vocab")
        file.add_number("llama.vocab_size", shape.n_vocab)
    file.add_tensor("token_embd.weight", kind, shape.n_embd, shape.n_vocab)
    file.add_tensor("output_norm.weight", "F32", shape.n_embd)
    for i in range(shape.n_layers):
        add_layer(file, shape, i, kind)
    return file


def add_shape(file: SampleGguf, shape: SampleShape) -> None:
    """Add the entries that tell the dimensions."""
    name = file.architecture
    for key, value in (
        ("context_length", shape.n_ctx),
        ("embedding_length", shape.n_embd),
        ("block_count", shape.n_layers),
        ("feed_forward_length", shape.n_ff),
        ("attention.head_count", shape.n_heads),
        ("attention.head_count_kv", shape.n_heads_kv),
        ("attention.key_length", shape.n_head_embd),
        ("attention.value_length", shape.n_head_embd),
        ("rope.dimension_count", shape.n_head_embd),
        ("attention.layer_norm_rms_epsilon", 1e-5),
        ("expert_count", shape.n_experts),
        ("expert_used_count", shape.n_experts_used),
    ):
        if value:
            file.add_number(f"{name}.{key}", value)


def add_layer(
    file: SampleGguf, shape: SampleShape, index: int, kind: str, more_kind: str = ""
) -> None:
    """Add one layer; `more_kind` is the type of the matrices that mixtures keep more exactly."""
    block = f"blk.{index}"
    n_q = shape.n_heads * shape.n_head_embd
    n_kv = shape.n_heads_kv * shape.n_head_embd
    more_kind = more_kind or kind
    file.add_tensor(f"{block}.attn_norm.weight", "F32", shape.n_embd)
    file.add_tensor(f"{block}.attn_q.weight", kind, shape.n_embd, n_q)
    file.add_tensor(f"{block}.attn_k.weight", kind, shape.n_embd, n_kv)
    file.add_tensor(f"{block}.attn_v.weight", more_kind, shape.n_embd, n_kv)
    file.add_tensor(f"{block}.attn_output.weight", kind, n_q, shape.n_embd)
    file.add_tensor(f"{block}.ffn_norm.weight", "F32", shape.n_embd)
    if not shape.n_experts:
        file.add_tensor(f"{block}.ffn_gate.weight", kind, shape.n_embd, shape.n_ff)
        file.add_tensor(f"{block}.ffn_up.weight", kind, shape.n_embd, shape.n_ff)
        file.add_tensor(f"{block}.ffn_down.weight", more_kind, shape.n_ff, shape.n_embd)
        return
    n = shape.n_experts
    file.add_tensor(f"{block}.ffn_gate_inp.weight", "F32", shape.n_embd, n)
    file.add_tensor(f"{block}.ffn_gate_exps.weight", kind, shape.n_embd, shape.n_ff, n)
    file.add_tensor(f"{block}.ffn_up_exps.weight", kind, shape.n_embd, shape.n_ff, n)
    file.add_tensor(f"{block}.ffn_down_exps.weight", more_kind, shape.n_ff, shape.n_embd, n)


def _pack_text(text: str) -> bytes:
    raw = text.encode()
    return _U64.pack(len(raw)) + raw
