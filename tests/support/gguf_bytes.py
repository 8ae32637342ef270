"""Builds GGUF files byte by byte, right or wrong in exactly one place.

make_gguf()                                  # the smallest language model that is accepted
make_gguf(version=1)
make_gguf(tensors=[Tensor("a", (4,), offset=999)])
"""

import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, ARRAY, U64, I64, F64 = range(13)
_LAYOUTS = {
    U8: "<B",
    I8: "<b",
    U16: "<H",
    I16: "<h",
    U32: "<I",
    I32: "<i",
    F32: "<f",
    BOOL: "<?",
    U64: "<Q",
    I64: "<q",
    F64: "<d",
}


@dataclass(frozen=True)
class Tensor:
    """One row of the tensor table. `offset` None puts it where it belongs. `kind` 0 is F32."""

    name: str
    shape: tuple[int, ...] = (4,)
    kind: int = 0
    offset: int | None = None
    n_bytes: int | None = None
    n_dims: int | None = None


@dataclass(frozen=True)
class Raw:
    """A value as bytes, after its type number."""

    kind: int
    data: bytes


def pack_string(text: str | bytes) -> bytes:
    """A length-prefixed string."""
    data = text.encode() if isinstance(text, str) else text
    return struct.pack("<Q", len(data)) + data


def pack_value(value: Any) -> bytes:
    """Type number and value; ints are U32, floats F32, lists arrays of their first item's type."""
    if isinstance(value, Raw):
        return struct.pack("<I", value.kind) + value.data
    kind, data = _pack_plain(value)
    if kind != ARRAY:
        return struct.pack("<I", kind) + data
    items = [_pack_plain(item) for item in value]
    inner = items[0][0] if items else STRING
    head = struct.pack("<IIQ", ARRAY, inner, len(items))
    return head + b"".join(item for _, item in items)


def _pack_plain(value: Any) -> tuple[int, bytes]:
    match value:
        case bool():
            return BOOL, struct.pack("<?", value)
        case int():
            return U32, struct.pack("<I", value)
        case float():
            return F32, struct.pack("<f", value)
        case str():
            return STRING, pack_string(value)
        case _:
            return ARRAY, b""


def make_keys(
    architecture: str = "llama", changes: Mapping[str, Any] | None = None, **more: Any
) -> list[tuple[str, Any]]:
    """The header of a small language model; `changes` and `more` (`__` for `.`) replace entries."""
    keys: dict[str, Any] = {
        "general.architecture": architecture,
        "general.name": "Little Model",
        "general.license": "mit",
        "general.file_type": 7,
        f"{architecture}.context_length": 2048,
        f"{architecture}.embedding_length": 64,
        f"{architecture}.block_count": 2,
        f"{architecture}.attention.head_count": 4,
        f"{architecture}.attention.head_count_kv": 2,
        f"{architecture}.attention.layer_norm_rms_epsilon": 1e-5,
        "tokenizer.ggml.tokens": ["a", "b", "c"],
        "tokenizer.chat_template": "{{ messages }}",
    }
    keys.update(changes or {})
    keys.update({name.replace("__", "."): value for name, value in more.items()})
    return [(name, value) for name, value in keys.items() if value is not None]


def make_gguf(
    keys: Sequence[tuple[str | bytes, Any]] | None = None,
    tensors: Sequence[Tensor] = (Tensor("token_embd.weight", (4, 3)), Tensor("output.weight")),
    *,
    magic: bytes = b"GGUF",
    version: int = 3,
    n_keys: int | None = None,
    n_tensors: int | None = None,
    alignment: int = 32,
    data: bytes | None = None,
) -> bytes:
    """A whole file. Counts and data can be told wrong."""
    keys = make_keys() if keys is None else keys
    counts = (
        len(tensors) if n_tensors is None else n_tensors,
        len(keys) if n_keys is None else n_keys,
    )
    pieces = [magic, struct.pack("<I", version), struct.pack("<QQ", *counts)]
    pieces += [pack_string(name) + pack_value(value) for name, value in keys]
    begin = end = 0
    for tensor in tensors:
        begin = end + -end % alignment
        pieces.append(_pack_tensor(tensor, begin))
        end = begin + _measure(tensor)
    head = b"".join(pieces)
    if not tensors:
        return head
    return (
        head
        + b"\0" * (-len(head) % alignment)
        + (bytes(min(end, 1 << 21)) if data is None else data)
    )


def _measure(tensor: Tensor) -> int:
    if tensor.n_bytes is not None:
        return tensor.n_bytes
    return 4 * math.prod(tensor.shape)


def _pack_tensor(tensor: Tensor, begin: int) -> bytes:
    n_dims = len(tensor.shape) if tensor.n_dims is None else tensor.n_dims
    offset = begin if tensor.offset is None else tensor.offset
    return (
        pack_string(tensor.name)
        + struct.pack("<I", n_dims)
        + struct.pack(f"<{len(tensor.shape)}Q", *tensor.shape)
        + struct.pack("<IQ", tensor.kind, offset)
    )
