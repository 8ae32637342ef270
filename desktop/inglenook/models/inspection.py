"""Says whether a file is a language model that this version can run, before native code sees it.

`inspect_model(path)` is called by the library before a model is listed and by the downloads before
one is installed, on any thread but the window's.
"""

import math
from dataclasses import dataclass
from pathlib import Path

from inglenook.base.errors import ModelError
from inglenook.models.architectures import ARCHITECTURES
from inglenook.models.formats import OTHER_KINDS, OTHER_TYPES
from inglenook.models.gguf import GgufHeader, read_header
from inglenook.models.reading import show_name
from inglenook.models.splits import list_parts, parse_part


@dataclass(frozen=True, slots=True)
class Inspection:
    """A usable model: its (first) header, all its files, and the sums over them."""

    header: GgufHeader
    paths: tuple[Path, ...]
    size_bytes: int
    n_params: int


def inspect_model(path: Path | str, name: str = "") -> Inspection:
    """Check a model and, where it is split, all of its parts.

    `name` stands for the file in sentences.

    Raises `ModelError`: the codes of `read_header`, and not_first_part, missing_part, wrong_part,
    not_a_language_model, unsupported_architecture, bad_header.
    """
    path = Path(path)
    name = name or show_name(path)
    header = read_header(path, name)
    _check_kind(header, name)
    headers = [header] if header.split_count == 1 else _read_parts(path, header, name)
    _check_architecture(header, name)
    if sum(part.n_tensors for part in headers) == 0:
        raise ModelError(
            f"{name} holds no weights, so it cannot answer.",
            "Choose the model file itself.",
            code="bad_header",
        )
    _check_numbers(header, name)
    return Inspection(
        header=header,
        paths=tuple(Path(part.path) for part in headers),
        size_bytes=sum(part.size_bytes for part in headers),
        n_params=sum(part.n_params for part in headers),
    )


def _check_kind(header: GgufHeader, name: str) -> None:
    kind = OTHER_TYPES.get(header.kind) or OTHER_KINDS.get(header.architecture)
    if kind:
        raise ModelError(
            f"{name} is {kind}: it cannot hold a conversation.",
            "Choose a language model.",
            code="not_a_language_model",
        )


def _check_architecture(header: GgufHeader, name: str) -> None:
    if not header.architecture:
        raise ModelError(
            f"{name} does not say which kind of model it is.",
            "Download it again, or choose another model.",
            code="bad_header",
        )
    if header.architecture not in ARCHITECTURES:
        shown = "".join(c if c.isprintable() else "?" for c in header.architecture[:40])
        raise ModelError(
            f"{name} has the architecture {shown}, which needs a newer engine than this "
            "version of Inglenook has.",
            "Update Inglenook, or choose another model.",
            code="unsupported_architecture",
        )


def _read_parts(path: Path, first: GgufHeader, name: str) -> list[GgufHeader]:
    """Read the headers of all parts, which lie beside the first one."""
    named = parse_part(path.name)
    count = first.split_count
    if named is None or named[2] != count:
        raise ModelError(
            f"{name} is one part of a model in {count} files, but its name does not say which.",
            "Give the parts their original names, like model-00001-of-00003.gguf.",
            code="wrong_part",
        )
    parts = list_parts(path.name)
    if first.split_index != 0 or named[1] != 1:
        raise ModelError(
            f"{name} is part {named[1]} of {count} of a model.",
            f"Choose the first part, {parts[0]}.",
            code="not_first_part",
        )
    headers = [first]
    for index, part in enumerate(parts[1:], start=1):
        headers.append(_read_part(path.with_name(part), index, count))
    wanted = first.split_n_tensors
    if wanted and sum(header.n_tensors for header in headers) != wanted:
        raise ModelError(
            f"The {count} parts of {name} do not belong together.",
            "Download the model again.",
            code="wrong_part",
        )
    return headers


def _read_part(path: Path, index: int, count: int) -> GgufHeader:
    try:
        header = read_header(path)
    except ModelError as error:
        if error.code != "missing":
            raise
        raise ModelError(
            f"Part {index + 1} of {count} is missing: {show_name(path)}.",
            "Put it beside the other parts, or download the model again.",
            code="missing_part",
        ) from error
    if header.split_index != index or header.split_count != count:
        raise ModelError(
            f"{show_name(path)} is not part {index + 1} of {count}, though its name says so.",
            "Download the model again.",
            code="wrong_part",
        )
    return header


def _check_numbers(header: GgufHeader, name: str) -> None:
    """Refuse the numbers that would end the engine while it loads or writes."""
    problem = _find_bad_number(header)
    if problem:
        raise ModelError(
            f"{name} is damaged: {problem}.",
            "Download it again, or choose another model.",
            code="bad_header",
        )


def _find_bad_number(header: GgufHeader) -> str:
    prefix = header.architecture
    for key, most in (
        ("block_count", 1 << 12),
        ("embedding_length", 1 << 20),
        ("context_length", 1 << 31),
        ("attention.head_count", 1 << 16),
        ("attention.key_length", 1 << 16),
        ("attention.value_length", 1 << 16),
        ("rope.dimension_count", 1 << 16),
    ):
        value = header.values.get(f"{prefix}.{key}")
        if isinstance(value, int) and not 0 < value <= most and not _may_be_zero(prefix, key):
            return f"it claims a {key.rsplit('.', 1)[-1].replace('_', ' ')} of {value}"
    for key in ("layer_norm_rms_epsilon", "layer_norm_epsilon"):
        value = header.values.get(f"{prefix}.attention.{key}")
        if isinstance(value, float) and not (math.isfinite(value) and 0 <= value < 1):
            return f"it claims an epsilon of {value}"
    for key, value in header.values.items():
        is_number = isinstance(value, float) and math.isfinite(value)
        if key.startswith(f"{prefix}.rope.") and isinstance(value, float) and not is_number:
            return f"the entry {key[len(prefix) + 1 :]} is not a number"
    return _find_bad_heads(header)


def _may_be_zero(architecture: str, key: str) -> bool:
    """State space models have no attention heads and no rope."""
    return key not in {"block_count", "embedding_length", "context_length"} and (
        architecture.startswith(("mamba", "rwkv", "arwkv")) or key == "rope.dimension_count"
    )


def _find_bad_heads(header: GgufHeader) -> str:
    n_heads = header.values.get(f"{header.architecture}.attention.head_count")
    n_kv_heads = header.values.get(f"{header.architecture}.attention.head_count_kv")
    if not isinstance(n_kv_heads, int):
        return ""
    if n_kv_heads < 0:
        return f"it claims {n_kv_heads} key heads"
    if isinstance(n_heads, int) and n_kv_heads and n_heads % n_kv_heads:
        return f"{n_heads} heads cannot share {n_kv_heads} key heads"
    return ""
