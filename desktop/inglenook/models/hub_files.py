"""The files of a repository: which of them are models, and which one to suggest.

Pure; called by `hub.py` on worker threads with a listing that strangers wrote.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from inglenook.models.catalogue import CatalogueEntry
from inglenook.models.names import is_safe_filename, is_sha256, join_hashes
from inglenook.models.splits import list_parts, parse_part

_PREFERRED: Final = (
    "Q4_K_M",
    "Q4_K_S",
    "MXFP4",
    "Q4_0",
    "IQ4_XS",
    "Q5_K_M",
    "Q5_K_S",
    "Q6_K",
    "Q8_0",
    "Q3_K_M",
    "F16",
    "BF16",
    "F32",
)
_QUANTISATION: Final = re.compile(
    r"(?:^|[-._/])((?:I?Q\d+_[0-9A-Z]+(?:_[A-Z]+)?)|MXFP4|NVFP4|TQ\d_0|BF16|F16|F32)(?=$|[-._/])",
    re.IGNORECASE,
)
_PROJECTOR: Final = "mmproj"
_ADD_ONS: Final = ("imatrix", "mtp-", "ggml-vocab", "lora")
_BITS: Final = re.compile(r"I?Q(\d+)_|([BF]{1,2})(16|32)|MXFP(4)|NVFP(4)|TQ(\d)_")


@dataclass(frozen=True, slots=True)
class HubPart:
    """One file to fetch. `git_sha1` identifies small files, which have no SHA-256."""

    path: str
    size_bytes: int
    sha256: str = ""
    git_sha1: str = ""


@dataclass(frozen=True, slots=True)
class HubFile:
    """One model of a repository: a GGUF file, or all the parts of a split one.

    `path` is the (first) file's path in the repository, `size_bytes` the sum.
    """

    repo: str
    path: str
    size_bytes: int
    quantisation: str
    revision: str
    parts: tuple[HubPart, ...]
    needs_token: bool = False
    """Whether the hub gives it only to people whom it knows: gated or private."""

    @property
    def sha256(self) -> str:
        """The hashes of its files, as a record keeps them; "" unless all are known."""
        return join_hashes([part.sha256 for part in self.parts])


def read_parts(siblings: Iterable[Any]) -> list[HubPart]:
    """The GGUF files of a listing that have a harmless name and a believable size.

    `siblings` are huggingface_hub's `RepoSibling`.
    """
    parts: dict[str, HubPart] = {}
    for sibling in siblings:
        path, size = sibling.rfilename, sibling.size
        if not isinstance(path, str) or not is_safe_filename(path):
            continue
        if type(size) is not int or not 0 < size < 1 << 50:
            continue
        sha256 = str(getattr(sibling.lfs, "sha256", "") or "").lower()
        parts[path] = HubPart(
            path,
            size,
            sha256 if is_sha256(sha256) else "",
            str(sibling.blob_id or "").lower() if not sha256 else "",
        )
    return list(parts.values())


def group(
    repo: str, revision: str, parts: Iterable[HubPart], *, needs_token: bool = False
) -> tuple[HubFile, ...]:
    """Bring the parts of split models together; leave out what is no model, or incomplete."""
    by_path = {part.path: part for part in parts}
    files: list[HubFile] = []
    for path in by_path:
        folder, _, filename = path.rpartition("/")
        if is_add_on(filename):
            continue
        split = parse_part(filename)
        if split and split[1] != 1:
            continue
        prefix = f"{folder}/" if folder else ""
        names = [prefix + name for name in list_parts(filename)]
        if not all(name in by_path for name in names):
            continue
        members = tuple(by_path[name] for name in names)
        size = sum(member.size_bytes for member in members)
        files.append(
            HubFile(repo, path, size, find_quantisation(path), revision, members, needs_token)
        )
    return tuple(sorted(files, key=lambda file: (file.size_bytes, file.path)))


def find_projectors(parts: Iterable[HubPart]) -> tuple[HubPart, ...]:
    """The add-ons that let a model see pictures, smallest first."""
    found = [part for part in parts if _PROJECTOR in part.path.rpartition("/")[2].lower()]
    return tuple(sorted(found, key=lambda part: (part.size_bytes, part.path)))


def is_add_on(filename: str) -> bool:
    """Whether a GGUF file only helps a model, or helps to make one."""
    lower = filename.lower()
    return _PROJECTOR in lower or "imatrix" in lower or lower.startswith(_ADD_ONS)


def find_quantisation(path: str) -> str:
    """The quantisation that a file's name tells, "" when it tells none."""
    found = _QUANTISATION.findall(path)
    return found[-1].upper() if found else ""


def count_bits(quantisation: str) -> int:
    """The nominal bits of one weight, 0 where the name tells none: Q4_K_M has 4, BF16 has 16."""
    match = _BITS.match(quantisation)
    if match is None:
        return 0
    return next((int(bits) for bits in match.groups() if bits and bits.isdigit()), 0)


def choose_default(files: Sequence[HubFile], entry: CatalogueEntry | None = None) -> HubFile | None:
    """The file to suggest: the catalogue's, else the best compromise of size and quality."""
    if entry is not None:
        for named in (entry.recommended, *entry.files):
            for file in files:
                if named.matches(file.path.rpartition("/")[2]):
                    return file
    for quantisation in _PREFERRED:
        for file in files:
            if file.quantisation == quantisation:
                return file
    return files[0] if files else None
