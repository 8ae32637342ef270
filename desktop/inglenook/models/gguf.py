"""Reads the header of a GGUF file: what the model is, and whether the file is whole.

`read_header(path)` is called by the library, the downloads and the command line, on any thread but
the window's. Own reader, so that nothing reaches native code unchecked: of mutated files that are
given to llama.cpp, some end the process. Layout: the GGUF specification, versions 2 and 3
(ggml-org/ggml, docs/gguf.md).
"""

import math
import os
import struct
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from inglenook.base.errors import ModelError, NetworkError
from inglenook.models.formats import FILE_TYPES, PEEK_BYTES, TENSOR_TYPES, name_file_kind
from inglenook.models.reading import FileSource, Reader, Source, open_model_file, show_name
from inglenook.models.sizes import describe_pair

type Value = int | float | bool | str | tuple[int | float | bool, ...]

_U32: Final = struct.Struct("<I")
_U64: Final = struct.Struct("<Q")
_NUMBERS: Final[dict[int, struct.Struct]] = {
    0: struct.Struct("<B"),
    1: struct.Struct("<b"),
    2: struct.Struct("<H"),
    3: struct.Struct("<h"),
    4: _U32,
    5: struct.Struct("<i"),
    6: struct.Struct("<f"),
    7: struct.Struct("<?"),
    10: _U64,
    11: struct.Struct("<q"),
    12: struct.Struct("<d"),
}
_UINT32: Final = 4
_STRING: Final = 8
_ARRAY: Final = 9

_MAX_KEYS: Final = 1 << 16
_MAX_TENSORS: Final = 1 << 17
_MAX_STRINGS: Final = 1 << 22
_MAX_KEY_BYTES: Final = 256
_MAX_TENSOR_NAME_BYTES: Final = 63
_MAX_DIMS: Final = 4
_MAX_I64: Final = (1 << 63) - 1
_MIN_KEY_ENTRY: Final = 8 + 1 + 4 + 1
_MIN_TENSOR_ENTRY: Final = 8 + 4 + 4 + 8
KEPT_STRING_BYTES: Final = 4096
KEPT_TEMPLATE_BYTES: Final = 1 << 16
TEMPLATE_KEY: Final = "tokenizer.chat_template"
_KEPT_ARRAY_ITEMS: Final = 1024
_KEPT_TOTAL: Final = 1 << 18
_DEFAULT_ALIGNMENT: Final = 32


@dataclass(frozen=True, slots=True)
class Tensor:
    """One entry of the tensor table; `shape` has the length of a row first."""

    name: str
    kind: str
    shape: tuple[int, ...]
    n_bytes: int

    @property
    def n_elements(self) -> int:
        """How many weights it holds."""
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """What a GGUF file says of itself, with the arithmetic of its tensors.

    `needs_bytes` is where its last tensor ends. For one part of a split model (`split_count` > 1)
    the counts are those of this part. Zero and "" mean that the file does not say.
    """

    path: str
    size_bytes: int
    needs_bytes: int
    version: int
    architecture: str
    name: str
    kind: str
    quantisation: str
    licence: str
    n_params: int
    n_tensors: int
    n_ctx_train: int
    n_layers: int
    n_vocab: int
    n_experts: int
    has_chat_template: bool
    kv_bytes_per_token: int
    split_index: int = 0
    split_count: int = 1
    split_n_tensors: int = 0
    values: dict[str, Value] = field(default_factory=dict, repr=False)
    """Every scalar and short array of the header, by key."""
    lengths: dict[str, int] = field(default_factory=dict, repr=False)
    """The length of every array, kept or not, by key."""
    tensors: tuple[Tensor, ...] = field(default=(), repr=False)
    """The tensor table, where it was asked for."""
    table_at: int = 0
    """Where the tensor table begins in the file."""

    @property
    def chat_template(self) -> str:
        """The Jinja text that puts messages into the model's form; "" where there is none."""
        text = self.values.get(TEMPLATE_KEY)
        return text if isinstance(text, str) else ""


def read_header(path: Path | str, name: str = "", *, keeps_tensors: bool = False) -> GgufHeader:
    """Read and check a header; at most a few megabytes of memory, whatever the file claims.

    `name` stands for the file in sentences, where its path says nothing to a person. The tensor
    table is checked, and given where `keeps_tensors` asks for it.

    Raises `ModelError`, code: missing, not_a_file, no_permission, bad_name (see
    `open_model_file`), not_gguf (the sentence names what it is), unsupported_version, bad_header,
    truncated, unreadable.
    """
    path = Path(path)
    descriptor = open_model_file(path)
    try:
        reader = Reader(FileSource(descriptor), name or show_name(path))
        return _Parser(reader, path, keeps_tensors=keeps_tensors).parse()
    except OSError as error:
        raise ModelError(
            f"{show_name(path)} cannot be read: {error.strerror or error}.",
            "Check the disk, or choose another file.",
            code="unreadable",
        ) from error
    finally:
        os.close(descriptor)


def parse_header(source: Source, name: str) -> GgufHeader:
    """The same for a file that is somewhere else, with its tensor table; `path` is empty.

    Raises what `read_header` raises of the content, and what the source raises.
    """
    return _Parser(Reader(source, name), None, keeps_tensors=True).parse()


def parse_beginning(source: Source, name: str) -> tuple[dict[str, Value], dict[str, int]]:
    """What a header says before `source` gives no more: its values, and the lengths of its lists.

    The list that was being read counts, too: its length stands before it. Raises `ModelError` for
    what is no model.
    """
    parser = _Parser(Reader(source, name), None, keeps_tensors=False)
    return parser.parse_beginning()


def parse_table(
    source: Source, name: str, at: int, n_tensors: int
) -> tuple[tuple[Tensor, ...], int]:
    """The tensor table at a place, checked, and where the file's last tensor ends.

    For a file whose entries before the table are known to be another's. Raises `ModelError`.
    """
    parser = _Parser(Reader(source, name), None, keeps_tensors=True)
    return parser.parse_table(at, n_tensors)


class _Parser:
    """One pass over one header."""

    def __init__(self, reader: Reader, path: Path | None, *, keeps_tensors: bool) -> None:
        self._reader = reader
        self._path = path
        self._keeps_tensors = keeps_tensors
        self._tensors: list[Tensor] = []
        self._table_at = 0
        self._values: dict[str, Value] = {}
        self._lengths: dict[str, int] = {}
        self._room = _KEPT_TOTAL
        self._alignment = _DEFAULT_ALIGNMENT
        self._n_params = 0
        self._elements: Counter[str] = Counter()

    def parse(self) -> GgufHeader:
        version = self._read_version()
        n_tensors = self._reader.take_number(_U64)
        n_keys = self._reader.take_number(_U64)
        self._check_count("entries", n_keys, _MAX_KEYS, _MIN_KEY_ENTRY)
        self._check_count("tensors", n_tensors, _MAX_TENSORS, _MIN_TENSOR_ENTRY)
        self._read_keys(n_keys)
        self._table_at = self._reader.tell()
        data_bytes = self._read_tensors(n_tensors)
        needs_bytes = self._check_size(n_tensors, data_bytes)
        return self._make_header(version, n_tensors, needs_bytes)

    def parse_beginning(self) -> tuple[dict[str, Value], dict[str, int]]:
        try:
            self.parse()
        except NetworkError:
            if not self._values:
                raise
        return self._values, self._lengths

    def parse_table(self, at: int, n_tensors: int) -> tuple[tuple[Tensor, ...], int]:
        self._reader.skip(at)
        data_bytes = self._read_tensors(n_tensors)
        return tuple(self._tensors), self._check_size(n_tensors, data_bytes)

    def _damaged(self, what: str) -> ModelError:
        return ModelError(
            f"{self._reader.name} is damaged: {what}.", "Download it again.", code="bad_header"
        )

    def _read_version(self) -> int:
        reader = self._reader
        head = reader.peek(PEEK_BYTES)
        if not head:
            raise ModelError(
                f"{reader.name} is empty (0 bytes).", "Download it again.", code="truncated"
            )
        if head[:4] == b"FUGG":
            raise self._refuse_big_endian()
        if head[:4] != b"GGUF":
            if b"GGUF".startswith(head):
                reader.need(_U32.size)
            kind = name_file_kind(head)
            raise ModelError(
                f"{reader.name} is {kind}, not a model."
                if kind
                else f"{reader.name} is not a GGUF model file.",
                "Inglenook runs models in the GGUF format: choose a .gguf file.",
                code="not_gguf",
            )
        reader.skip(4)
        version = reader.take_number(_U32)
        if version and version & 0xFFFF == 0:
            raise self._refuse_big_endian()
        if version not in {2, 3}:
            raise self._refuse_version(version)
        return version

    def _refuse_big_endian(self) -> ModelError:
        return ModelError(
            f"{self._reader.name} was made for big-endian machines.",
            "Download the usual, little-endian version of the model.",
            code="unsupported_version",
        )

    def _refuse_version(self, version: int) -> ModelError:
        if version > 3:
            message = f"has GGUF version {version}, which needs a newer engine"
            hint = "Update Inglenook, or download another version of the model."
        elif version == 1:
            message = "has GGUF version 1, an early form that is no longer read"
            hint = "Download a current version of the model."
        else:
            message = f"is damaged: it claims GGUF version {version}"
            hint = "Download it again."
        return ModelError(f"{self._reader.name} {message}.", hint, code="unsupported_version")

    def _check_count(self, what: str, count: int, most: int, entry_bytes: int) -> None:
        if count > most:
            raise self._damaged(f"its header claims {count:,} {what}")
        self._reader.need(count * entry_bytes)

    def _read_keys(self, n_keys: int) -> None:
        seen: set[bytes] = set()
        for _ in range(n_keys):
            raw = self._reader.take_string(_MAX_KEY_BYTES + 1)
            if not raw or len(raw) > _MAX_KEY_BYTES:
                raise self._damaged("an entry of its header has no usable name")
            if raw in seen:
                raise self._damaged(f"its header holds {_show(raw)} twice")
            seen.add(raw)
            self._read_value(raw)

    def _read_value(self, raw_key: bytes) -> None:
        key = raw_key.decode("utf-8", "replace")
        kind = self._reader.take_number(_U32)
        if kind == _ARRAY:
            self._read_array(key)
        elif kind == _STRING:
            is_template = key == TEMPLATE_KEY
            text = self._reader.take_string(
                KEPT_TEMPLATE_BYTES if is_template else KEPT_STRING_BYTES
            )
            self._keep(key, text.decode("utf-8", "replace").strip("\0"))
        elif kind in _NUMBERS:
            (value,) = _NUMBERS[kind].unpack(self._reader.take(_NUMBERS[kind].size))
            self._keep(key, value)
        else:
            raise self._damaged(f"the entry {_show(raw_key)} has the unknown type {kind}")
        if key == "general.alignment":
            self._set_alignment(kind)

    def _keep(self, key: str, value: Value) -> None:
        """Keep a value, until strings and lists together reach a bound that no model needs."""
        self._room -= len(key) + (len(value) if isinstance(value, str | tuple) else 8)
        if self._room > 0:
            self._values[key] = value

    def _set_alignment(self, kind: int) -> None:
        value = self._values.get("general.alignment")
        if kind != _UINT32 or not isinstance(value, int) or value.bit_count() != 1:
            raise self._damaged("its alignment is no power of two")
        self._alignment = value

    def _read_array(self, key: str) -> None:
        reader = self._reader
        kind = reader.take_number(_U32)
        count = reader.take_number(_U64)
        self._lengths[key] = count
        if kind == _STRING:
            self._check_count(f"strings in {key[:80]}", count, _MAX_STRINGS, _U64.size)
            reader.skip_strings(count)
        elif kind in _NUMBERS:
            layout = _NUMBERS[kind]
            reader.need(count * layout.size)
            if count <= _KEPT_ARRAY_ITEMS:
                raw = reader.take(count * layout.size)
                self._keep(key, tuple(item for (item,) in layout.iter_unpack(raw)))
            else:
                reader.skip(count * layout.size)
        else:
            raise self._damaged(f"the list {key[:80]} has the unknown type {kind}")

    def _read_tensors(self, n_tensors: int) -> int:
        """Check the tensor table; returns where the last tensor ends in the data section."""
        seen: set[bytes] = set()
        padded = end = 0
        for _ in range(n_tensors):
            raw = self._reader.take_string(_MAX_TENSOR_NAME_BYTES + 1)
            if len(raw) > _MAX_TENSOR_NAME_BYTES:
                raise self._damaged("the name of a tensor is too long")
            if raw in seen:
                raise self._damaged(f"it holds the tensor {_show(raw)} twice")
            seen.add(raw)
            n_bytes = self._read_tensor(raw)
            if self._reader.take_number(_U64) != padded:
                raise self._damaged(f"the tensor {_show(raw)} is not where it should be")
            end = padded + n_bytes
            padded = end + -end % self._alignment
            if padded > _MAX_I64:
                raise self._damaged("its tensors are larger than any disk")
        return end

    def _read_tensor(self, raw_name: bytes) -> int:
        """Shape and type of one tensor; returns its size in bytes."""
        n_dims = self._reader.take_number(_U32)
        if n_dims > _MAX_DIMS:
            raise self._damaged(f"the tensor {_show(raw_name)} has {n_dims} dimensions")
        shape = [self._reader.take_number(_U64) for _ in range(n_dims)] or [1]
        n_elements = 1
        for length in shape:
            n_elements *= length
        if n_elements > _MAX_I64 or max(shape) > _MAX_I64:
            raise self._damaged(f"the tensor {_show(raw_name)} is larger than any disk")
        kind = self._reader.take_number(_U32)
        if kind not in TENSOR_TYPES:
            raise ModelError(
                f"{self._reader.name} holds weights of type {kind}, which this engine cannot read.",
                "Update Inglenook, or download another version of the model.",
                code="bad_header" if kind > 255 else "unsupported_version",
            )
        name, block, block_bytes = TENSOR_TYPES[kind]
        if shape[0] % block:
            raise self._damaged(f"the rows of tensor {_show(raw_name)} do not fit its type {name}")
        self._n_params += n_elements
        self._elements[name] += n_elements
        n_bytes = n_elements // block * block_bytes
        if self._keeps_tensors:
            text = raw_name.decode("utf-8", "replace")
            self._tensors.append(Tensor(text, name, tuple(shape), n_bytes))
        return n_bytes

    def _check_size(self, n_tensors: int, data_bytes: int) -> int:
        """Where the file must at least end; raises when it ends earlier."""
        position = self._reader.tell()
        if not n_tensors:
            return position
        needs = position + -position % self._alignment + data_bytes
        if needs > self._reader.size:
            has, wanted = describe_pair(self._reader.size, needs)
            raise ModelError(
                f"{self._reader.name} is incomplete: it has {has} and needs {wanted}.",
                "Download it again.",
                code="truncated",
            )
        return needs

    def _make_header(self, version: int, n_tensors: int, needs_bytes: int) -> GgufHeader:
        architecture = self._text("general.architecture")
        return GgufHeader(
            path=str(self._path or ""),
            size_bytes=self._reader.size,
            needs_bytes=needs_bytes,
            version=version,
            architecture=architecture,
            name=self._text("general.name"),
            kind=self._text("general.type") or "model",
            quantisation=self._name_quantisation(),
            licence=self._text("general.license"),
            n_params=self._n_params,
            n_tensors=n_tensors,
            n_ctx_train=self._count(f"{architecture}.context_length"),
            n_layers=self._count(f"{architecture}.block_count"),
            n_vocab=self._lengths.get("tokenizer.ggml.tokens", 0),
            n_experts=self._count(f"{architecture}.expert_count"),
            has_chat_template=bool(self._text(TEMPLATE_KEY)),
            kv_bytes_per_token=self._estimate_kv(architecture),
            split_index=self._count("split.no"),
            split_count=self._count("split.count") or 1,
            split_n_tensors=self._count("split.tensors.count"),
            values=self._values,
            lengths=self._lengths,
            tensors=tuple(self._tensors),
            table_at=self._table_at,
        )

    def _text(self, key: str) -> str:
        value = self._values.get(key)
        return value if isinstance(value, str) else ""

    def _count(self, key: str) -> int:
        value = self._values.get(key)
        return value if type(value) is int and 0 < value <= _MAX_I64 else 0

    def _name_quantisation(self) -> str:
        named = FILE_TYPES.get(self._count("general.file_type") & ~1024)
        if named and ("general.file_type" in self._values):
            return named
        return self._elements.most_common(1)[0][0] if self._elements else ""

    def _estimate_kv(self, architecture: str) -> int:
        """Bytes of an F16 KV cache per token if every layer keeps one; 0 when not told."""
        n_layers = self._count(f"{architecture}.block_count")
        heads = self._values.get(f"{architecture}.attention.head_count")
        n_heads = max(heads, default=0) if isinstance(heads, tuple) else heads
        kv_heads = self._values.get(f"{architecture}.attention.head_count_kv", n_heads)
        if not isinstance(n_heads, int) or n_heads < 1 or n_layers > 1 << 16:
            return 0
        each = self._count(f"{architecture}.embedding_length") // n_heads
        key_length = self._count(f"{architecture}.attention.key_length") or each
        value_length = self._count(f"{architecture}.attention.value_length") or each
        if isinstance(kv_heads, tuple):
            n_kv_heads = sum(int(n) for n in kv_heads if n == n and 0 < n < 1 << 16)
        elif isinstance(kv_heads, int) and 0 < kv_heads < 1 << 16:
            n_kv_heads = kv_heads * n_layers
        else:
            return 0
        return n_kv_heads * (key_length + value_length) * 2


def _show(raw: bytes) -> str:
    text = raw[:80].decode("utf-8", "replace")
    return "".join(letter if letter.isprintable() else "?" for letter in text)
