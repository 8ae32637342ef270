"""The cache that Hugging Face's own library and newer llama.cpp fill.

`models--owner--repo/snapshots/<commit>/file.gguf` is a link to `blobs/<sha256>`. What is on its way
has another ending and lies among the blobs, where nobody looks.
"""

import os
from pathlib import Path
from typing import Final

from inglenook.models.adopted.candidates import Candidate, Listing
from inglenook.models.adopted.walk import (
    LIMITS,
    Limits,
    is_gguf_name,
    join_parts,
    list_files,
    read_small,
)
from inglenook.models.names import is_repo, is_revision, is_sha256

_PREFIX: Final = "models--"
_MAX_REF_BYTES: Final = 200


def find_hugging_face(folder: Path, limits: Limits = LIMITS) -> Listing:
    """The models in the cache, each once: of several commits the one that main points to."""
    files, remarks = list_files(folder, is_gguf_name, limits)
    mains: dict[str, str] = {}
    placed: list[tuple[bool, Path]] = []
    for path in files:
        parts = path.relative_to(folder).parts
        if len(parts) < 4 or not parts[0].startswith(_PREFIX) or parts[1] != "snapshots":
            continue
        if parts[0] not in mains:
            mains[parts[0]] = _read_main(folder / parts[0])
        placed.append((parts[2] != mains[parts[0]], path))
    seen: set[str] = set()
    candidates = []
    order = {path: is_old for is_old, path in placed}
    whole = join_parts(path for _, path in placed)
    for path, problem in sorted(whole, key=lambda pair: (order[pair[0]], pair[0])):
        real = os.path.realpath(path)
        if real in seen:
            continue
        seen.add(real)
        repo = path.relative_to(folder).parts[0][len(_PREFIX) :].replace("--", "/", 1)
        blob = Path(real).name
        candidates.append(
            Candidate(
                "hugging_face",
                path,
                repo=repo if is_repo(repo) else "",
                sha256=blob if is_sha256(blob) else "",
                problem=problem,
            )
        )
    return Listing(tuple(candidates), remarks)


def _read_main(repo_folder: Path) -> str:
    data = read_small(repo_folder / "refs" / "main", _MAX_REF_BYTES) or b""
    commit = data.decode("ascii", "replace").strip()
    return commit if is_revision(commit) else ""
