"""Jan's models: a `model.yml` for each, beside its file or pointing to it.

Only the top-level `key: value` lines of that file are read: name, model_path, embedding.
"""

import os
from pathlib import Path
from typing import Final

from inglenook.models.adopted.candidates import Candidate, Listing, show
from inglenook.models.adopted.walk import (
    LIMITS,
    Limits,
    find_inside,
    is_gguf_name,
    join_parts,
    list_files,
    read_small,
)

MANIFEST: Final = "model.yml"
ROOTS: Final = ("llamacpp/models", "models")
"""Below Jan's data folder: today's, and that of earlier versions."""
_MAX_BYTES: Final = 1 << 18


def find_jan(data_folder: Path, limits: Limits = LIMITS) -> Listing:
    """The models below Jan's data folder: those that it lists, then files that it does not."""
    files: list[Path] = []
    remarks: list[str] = []
    for root in ROOTS:
        if (data_folder / root).is_dir():
            more, told = list_files(data_folder / root, _is_wanted, limits)
            files += more
            remarks += told
    real_root = Path(os.path.realpath(data_folder))
    manifests = [path for path in files if path.name == MANIFEST]
    listed = [_read_manifest(path, data_folder, real_root) for path in manifests]
    known = {os.path.realpath(candidate.path) for candidate in listed}
    others = join_parts(path for path in files if path.name != MANIFEST)
    found = [
        Candidate("jan", path, problem=problem)
        for path, problem in others
        if os.path.realpath(path) not in known
    ]
    return Listing((*listed, *found), tuple(remarks))


def _is_wanted(name: str) -> bool:
    return name == MANIFEST or is_gguf_name(name)


def _read_manifest(path: Path, data_folder: Path, real_root: Path) -> Candidate:
    values = parse_flat_yaml(read_small(path, _MAX_BYTES) or b"")
    name = show(values.get("name", "")) or show(path.parent.name)
    told = values.get("model_path", "")
    if not told:
        return Candidate("jan", path, name, problem="Jan's record of it names no file.")
    if values.get("embedding", "").lower() == "true":
        return Candidate("jan", path, name, problem="It is an embedding model.")
    named = data_folder / told if "\0" not in told else path
    if not named.exists():
        return Candidate("jan", named, name, problem="Jan lists it, but its file is not there.")
    if find_inside(named, real_root) is None:
        problem = "Its file lies outside Jan's folder: import the file itself."
        return Candidate("jan", path, name, problem=problem)
    return Candidate("jan", named, name)


def parse_flat_yaml(data: bytes) -> dict[str, str]:
    """The top-level `key: value` lines of a YAML file, values as text without their quotes."""
    values: dict[str, str] = {}
    for line in data.decode("utf-8", "replace").splitlines():
        if not line[:1].isalpha():
            continue
        key, colon, value = line.partition(":")
        value = value.split(" #", 1)[0].strip()
        if value[:1] in {'"', "'"} and value[-1:] == value[:1] and len(value) > 1:
            value = value[1:-1]
        if colon:
            values.setdefault(key.strip(), value)
    return values
