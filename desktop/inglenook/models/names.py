"""Names from outside: repositories, their files, and the one function that makes paths of them.

Called by the hub and the downloads, on any thread. A repository's listing is written by strangers:
no name in it becomes a path but through `place_file`, and a name that is not plainly harmless is
refused, not mended.
"""

import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from inglenook.base.errors import ModelError

_REPO: Final = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}", re.ASCII
)
_SHA256: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_REVISION: Final = re.compile(r"[0-9a-f]{40}", re.ASCII)
_RESERVED: Final = frozenset(
    ["con", "prn", "aux", "nul", *(f"com{i}" for i in range(10)), *(f"lpt{i}" for i in range(10))]
)
_FORBIDDEN: Final = frozenset('<>:"|?*\\/')
_MAX_PART_BYTES: Final = 200
_MAX_NAME_BYTES: Final = 600
_MAX_DEPTH: Final = 4


def is_repo(name: str) -> bool:
    """Whether `name` has the form owner/repo, as the hub allows it."""
    return bool(_REPO.fullmatch(name)) and ".." not in name and "--" not in name.partition("/")[0]


def is_sha256(text: str) -> bool:
    """Whether `text` is a SHA-256 in lower-case hex."""
    return bool(_SHA256.fullmatch(text))


def join_hashes(hashes: Sequence[str]) -> str:
    """The hashes of a model's files as a record keeps them; "" unless all are known."""
    return ",".join(hashes) if all(map(is_sha256, hashes)) else ""


def split_hashes(text: str) -> tuple[str, ...]:
    """The hashes of a model's files, in order; nothing where they are not known."""
    hashes = tuple(text.lower().split(","))
    return hashes if all(map(is_sha256, hashes)) else ()


def is_revision(text: str) -> bool:
    """Whether `text` is a full commit id."""
    return bool(_REVISION.fullmatch(text))


def is_safe_filename(name: str) -> bool:
    """Whether a file's path inside a repository can become a path below the models folder."""
    if not name.lower().endswith(".gguf") or not _fits(name, _MAX_NAME_BYTES):
        return False
    parts = name.split("/")
    return len(parts) <= _MAX_DEPTH and all(_is_safe_part(part) for part in parts)


def _fits(text: str, limit: int) -> bool:
    try:
        return len(text.encode("utf-8")) <= limit
    except UnicodeEncodeError:
        return False


def _is_safe_part(part: str) -> bool:
    if not part or part.startswith((".", "-", "~")) or part != part.strip(" .") or part == "..":
        return False
    if not _fits(part, _MAX_PART_BYTES) or unicodedata.normalize("NFC", part) != part:
        return False
    if any(letter in _FORBIDDEN or not letter.isprintable() for letter in part):
        return False
    return part.split(".", 1)[0].strip().casefold() not in _RESERVED


def place_file(models: Path, repo: str, filename: str) -> Path:
    """Where a file of a repository is kept: models/owner/repo/filename, and nowhere else.

    Raises `ModelError` (code hostile_name) for anything that could lead elsewhere: other folders,
    drives, hidden files, reserved names, links inside the models folder.
    """
    if not is_repo(repo) or not is_safe_filename(filename):
        raise refuse_name(f"{repo}/{filename}")
    owner, name = repo.split("/")
    parts = [owner, name, *filename.split("/")]
    if not all(_is_safe_part(part) for part in parts):
        raise refuse_name(f"{repo}/{filename}")
    root = models.resolve()
    path = root.joinpath(*parts)
    if path.resolve().parent != path.parent or not path.parent.is_relative_to(root):
        raise refuse_name(f"{repo}/{filename}")
    if path.is_symlink():
        raise refuse_name(f"{repo}/{filename}")
    return path


def refuse_name(name: str) -> ModelError:
    """What is raised for a name that is not used."""
    shown = "".join(letter if letter.isprintable() else "?" for letter in name[:80])
    return ModelError(
        f"Inglenook stores nothing under the name {shown.encode('utf-8', 'replace').decode()}.",
        "Choose another file or another publisher.",
        code="hostile_name",
    )
