"""The look at a LoRA adapter's file before native code sees it.

Called by the loader on the worker thread. The library ends the process over a value of a wrong
type, so all that it reads of the header is checked here. Layout: the GGUF specification.
"""

import hashlib
import struct
from pathlib import Path
from typing import Final

from inglenook.base.errors import ModelError
from inglenook.engine.loading.modelfile import ModelFile

_HEAD: Final = struct.Struct("<4sIQQ")
_U32: Final = struct.Struct("<I")
_U64: Final = struct.Struct("<Q")
_SIZES: Final = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_FLOAT: Final = 6
_STRING: Final = 8
_ARRAY: Final = 9
_MAX_HEADER_BYTES: Final = 8 << 20
_MAX_KEYS: Final = 4096
_TYPES: Final = {
    "general.type": _STRING,
    "general.architecture": _STRING,
    "adapter.type": _STRING,
    "adapter.lora.alpha": _FLOAT,
}
"""What the library reads without asking what it is."""


def check_adapter(path: str, architecture: str) -> None:
    """Raise `ModelError` (bad_adapter, or what a model file raises) unless it fits the model."""
    file = ModelFile(path)
    file.close()
    name = Path(path).name
    values = _read_values(path, name)
    if values.get("general.type") != "adapter" or values.get("adapter.type") != "lora":
        raise ModelError(
            f"{name} is a GGUF file, but no LoRA adapter.",
            "Choose an adapter in Settings > Engine, or take it out there.",
            code="bad_adapter",
        )
    made_for = values.get("general.architecture", "")
    if architecture and made_for != architecture:
        raise ModelError(
            f"The adapter {name} was made for models of the kind {_show(made_for)}, and this one "
            f"is of the kind {_show(architecture)}.",
            "Take the adapter out in Settings > Engine, or choose the model that it was made for.",
            code="bad_adapter",
        )


def read_architecture(path: str) -> str:
    """What a model file says it is; empty where it does not say it near its beginning."""
    try:
        return _read_values(path, Path(path).name, until="general.architecture").get(
            "general.architecture", ""
        )
    except ModelError:
        return ""


def identify_adapter(path: str) -> str:
    """A name for an adapter's content."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _show(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text[:40]) or "unknown"


def _read_values(path: str, name: str, until: str = "") -> dict[str, str]:
    """The strings of a header, with the types of those that matter checked."""
    try:
        with Path(path).open("rb") as file:
            data = file.read(_MAX_HEADER_BYTES)
        return _parse(data, until)
    except (OSError, struct.error, ValueError, KeyError, IndexError) as error:
        raise ModelError(
            f"The adapter {name} cannot be read: its header is damaged.",
            "Download it again, or take it out in Settings > Engine.",
            code="bad_adapter",
        ) from error


def _parse(data: bytes, until: str) -> dict[str, str]:
    *_, n_keys = _HEAD.unpack_from(data)
    if n_keys > _MAX_KEYS:
        raise ValueError("too many keys")
    values: dict[str, str] = {}
    at = _HEAD.size
    for _ in range(n_keys):
        raw, at = _take_string(data, at)
        key = raw.decode("utf-8", "replace")
        (kind,) = _U32.unpack_from(data, at)
        at += _U32.size
        if _TYPES.get(key, kind) != kind or key in values:
            raise ValueError("a value of a wrong type")
        if kind == _STRING:
            text, at = _take_string(data, at)
            values[key] = text.decode("utf-8", "replace")
            if key == until:
                break
        else:
            at = _skip(data, at, kind)
    return values


def _take_string(data: bytes, at: int) -> tuple[bytes, int]:
    (length,) = _U64.unpack_from(data, at)
    start, end = at + _U64.size, at + _U64.size + length
    if end > len(data):
        raise ValueError("a string beyond the header")
    return data[start:end], end


def _skip(data: bytes, at: int, kind: int) -> int:
    if kind != _ARRAY:
        return at + _SIZES[kind]
    inner: int = _U32.unpack_from(data, at)[0]
    count: int = _U64.unpack_from(data, at + _U32.size)[0]
    at += _U32.size + _U64.size
    if inner != _STRING:
        return at + _SIZES[inner] * count
    for _ in range(count):
        _, at = _take_string(data, at)
    return at
