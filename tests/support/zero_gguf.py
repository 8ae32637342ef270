"""Models of real shapes, mixtures and vocabularies whose weights are all zero: made in no time.

    path = write_zero_gguf(folder, ZERO_SHAPES["llama3-3b-Q4_K_M"], peers)

They take the memory and the time of the real ones, for no kernel looks at what it multiplies, and
next to no room on the disk. For what is about sizes and speeds; what they write is noise.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from inglenook.engine.measuring.sample_gguf import WEIGHT_TYPES, SampleGguf, SampleShape, add_shape
from support.peers import Peers

_U32: Final = struct.Struct("<I")
_U64: Final = struct.Struct("<Q")
_SIZES: Final = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_STRING, _ARRAY = 8, 9
_FALLBACKS: Final = {"Q4_K": "Q5_0", "Q5_K": "Q5_1", "Q6_K": "Q8_0", "Q3_K": "IQ4_NL"}


@dataclass(frozen=True, slots=True)
class ZeroShape:
    """A model: its dimensions, its vocabulary's name, and its mixture of weight types.

    `kind` is most matrices', `more` that of half of the values and downward matrices, `output` the
    vocabulary's.
    """

    name: str
    shape: SampleShape
    vocabulary: str
    kind: str
    more: str
    output: str
    architecture: str = "llama"
    is_tied: bool = True


def _shape(
    n_layers: int, n_embd: int, n_ff: int, heads: tuple[int, int, int], **more: int
) -> SampleShape:
    n_heads, n_heads_kv, n_head_embd = heads
    return SampleShape(n_layers, n_embd, n_ff, n_heads, n_heads_kv, n_head_embd, 0, **more)


ZERO_SHAPES: Final = {
    one.name: one
    for one in (
        ZeroShape("smol-135m-Q8_0", _shape(30, 576, 1536, (9, 3, 64)), "starcoder",
                  "Q8_0", "Q8_0", "Q8_0"),
        ZeroShape("smol-360m-Q4_K_M", _shape(32, 960, 2560, (15, 5, 64)), "starcoder",
                  "Q4_K", "Q6_K", "Q8_0"),
        ZeroShape("qwen3-0.6b-F16", _shape(28, 1024, 3072, (16, 8, 128)), "qwen2",
                  "F16", "F16", "F16"),
        ZeroShape("gemma3-1b-Q8_0", _shape(26, 1152, 6912, (4, 1, 256)), "gemma-4",
                  "Q8_0", "Q8_0", "Q8_0", architecture="gemma3"),
        ZeroShape("tiny-1.1b-Q6_K", _shape(22, 2048, 5632, (32, 4, 64)), "llama-spm",
                  "Q6_K", "Q6_K", "Q6_K", is_tied=False),
        ZeroShape("qwen2-1.5b-Q5_K_M", _shape(28, 1536, 8960, (12, 2, 128)), "qwen2",
                  "Q5_K", "Q6_K", "Q6_K"),
        ZeroShape("moe-3b-Q4_K_M",
                  _shape(32, 1536, 512, (24, 8, 64), n_experts=40, n_experts_used=8), "starcoder",
                  "Q4_K", "Q6_K", "Q6_K"),
        ZeroShape("qwen2-3b-Q3_K_M", _shape(36, 2048, 11008, (16, 2, 128)), "qwen2",
                  "Q3_K", "Q5_K", "Q6_K"),
        ZeroShape("llama3-3b-Q4_K_M", _shape(28, 3072, 8192, (24, 8, 128)), "llama-bpe",
                  "Q4_K", "Q6_K", "Q6_K"),
    )
}  # fmt: skip


def write_zero_gguf(folder: Path, wanted: ZeroShape, peers: Peers) -> Path:
    """Write the file; only its head takes room on the disk."""
    path = folder / f"{wanted.name}.gguf"
    file = SampleGguf(wanted.architecture)
    add_shape(file, wanted.shape)
    n_vocab = 0
    for key, entry, length in _list_entries(peers.vocabulary(wanted.vocabulary)):
        if key.startswith("tokenizer.") and key != "tokenizer.chat_template":
            file.add_raw(entry)
        n_vocab = length if key == "tokenizer.ggml.tokens" else n_vocab
    if wanted.architecture == "gemma3":
        file.add_number("gemma3.attention.sliding_window", 512)
    n_embd = wanted.shape.n_embd
    output = _fall_back(wanted.output, n_embd)
    file.add_tensor("token_embd.weight", output, n_embd, n_vocab)
    file.add_tensor("output_norm.weight", "F32", n_embd)
    if not wanted.is_tied:
        file.add_tensor("output.weight", output, n_embd, n_vocab)
    for i in range(wanted.shape.n_layers):
        _add_layer(file, wanted, i)
    file.write(path)
    return path


def _add_layer(file: SampleGguf, wanted: ZeroShape, i: int) -> None:
    """One layer; the mixtures keep some of the values and downward matrices more exactly."""
    s, block = wanted.shape, f"blk.{i}"
    n = s.n_layers
    is_more = i < n // 8 or i >= 7 * n // 8 or (i - n // 8) % 3 == 2
    kind, more = wanted.kind, wanted.more if is_more else wanted.kind
    n_q, n_kv = s.n_heads * s.n_head_embd, s.n_heads_kv * s.n_head_embd
    norms = ["attn_norm", "ffn_norm"]
    if wanted.architecture == "gemma3":
        norms += ["post_attention_norm", "post_ffw_norm"]
        for name in ("attn_q_norm", "attn_k_norm"):
            file.add_tensor(f"{block}.{name}.weight", "F32", s.n_head_embd)
    for name in norms:
        file.add_tensor(f"{block}.{name}.weight", "F32", s.n_embd)
    crowd = (s.n_experts,) if s.n_experts else ()
    mark = "_exps" if s.n_experts else ""
    if s.n_experts:
        file.add_tensor(f"{block}.ffn_gate_inp.weight", "F32", s.n_embd, s.n_experts)
    for name, of, shape in (
        ("attn_q", kind, (s.n_embd, n_q)),
        ("attn_k", kind, (s.n_embd, n_kv)),
        ("attn_v", more, (s.n_embd, n_kv)),
        ("attn_output", kind, (n_q, s.n_embd)),
        (f"ffn_gate{mark}", kind, (s.n_embd, s.n_ff, *crowd)),
        (f"ffn_up{mark}", kind, (s.n_embd, s.n_ff, *crowd)),
        (f"ffn_down{mark}", more, (s.n_ff, s.n_embd, *crowd)),
    ):
        file.add_tensor(f"{block}.{name}.weight", _fall_back(of, shape[0]), *shape)


def _fall_back(kind: str, row: int) -> str:
    """The type that llama.cpp's quantiser takes where rows do not fit."""
    if row % WEIGHT_TYPES[kind][1] == 0:
        return kind
    return _FALLBACKS.get(kind, "F16")


def _list_entries(path: Path) -> Iterator[tuple[str, bytes, int]]:
    """The entries of a GGUF file: key, bytes as they stand there, length of an array."""
    data = path.read_bytes()
    (n_entries,) = _U64.unpack_from(data, 16)
    at = 24
    for _ in range(n_entries):
        begin = at
        (n_key,) = _U64.unpack_from(data, at)
        key = data[at + 8 : at + 8 + n_key].decode()
        at += 8 + n_key
        (kind,) = _U32.unpack_from(data, at)
        at, length = _skip_value(data, at + 4, kind)
        yield key, data[begin:at], length


def _skip_value(data: bytes, at: int, kind: int) -> tuple[int, int]:
    if kind == _STRING:
        return at + 8 + _U64.unpack_from(data, at)[0], 0
    if kind != _ARRAY:
        return at + _SIZES[kind], 0
    (of,), (count,) = _U32.unpack_from(data, at), _U64.unpack_from(data, at + 4)
    at += 12
    if of != _STRING:
        return at + count * _SIZES[of], count
    for _ in range(count):
        at += 8 + _U64.unpack_from(data, at)[0]
    return at, count
