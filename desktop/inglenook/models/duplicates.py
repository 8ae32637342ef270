"""Models that are on this computer more than once, and how their space is shared.

Called on worker threads. Files of one size are compared by SHA-256: what Ollama, the Hugging Face
cache and our downloads name by their hash is believed for finding, and read before anything is
shared. Only a file in our own models folder is ever replaced, and only when a person says so: by a
second name for the other file, so that both stay where they were.
"""

import logging
import os
import threading
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from inglenook.base.errors import ModelError, StorageError
from inglenook.models.adopt import Neighbours
from inglenook.models.hashing import Hashes, hash_file, stamp_file
from inglenook.models.library import Library
from inglenook.models.names import is_sha256
from inglenook.models.reading import show_name
from inglenook.models.splits import parse_part

log = logging.getLogger(__name__)

_OURS: Final = frozenset({"hub", "copy"})


class Copy(msgspec.Struct, frozen=True, kw_only=True):
    """One file of a group. `app` is who keeps it, "" for this program or nobody."""

    id: str
    name: str
    path: str
    app: str
    is_ours: bool
    is_used: bool
    n_names: int = 1
    """Names that the file has on its disk: one that has others gives no space back."""


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Files with the same content, ours last. `shareable` ones can give their space back."""

    sha256: str
    size_bytes: int
    copies: tuple[Copy, ...]

    @property
    def shareable(self) -> tuple[Copy, ...]:
        """Our copies that could be another name for the first one."""
        return tuple(copy for copy in self.copies[1:] if copy.is_ours and copy.n_names == 1)


@dataclass(frozen=True, slots=True)
class Hashing:
    """How far the comparison is, in bytes."""

    done_bytes: int
    size_bytes: int


class Duplicates:
    """Finds and shares. `memory` keeps the hashes of files that were read."""

    def __init__(
        self, models: Path, library: Library, neighbours: Neighbours, memory: Path | None = None
    ) -> None:
        self._models = models
        self._library = library
        self._neighbours = neighbours
        self._hashes = Hashes(memory)

    def find(
        self,
        tell: Callable[[Hashing], None] = lambda _: None,
        stop: threading.Event | None = None,
    ) -> tuple[Group, ...]:
        """The groups of files with one content. Raises `StoppedWorkError` when stopped."""
        stop = stop or threading.Event()
        copies = self._list_copies()
        by_size: dict[int, list[tuple[Copy, str]]] = defaultdict(list)
        for copy, size, known in copies:
            by_size[size].append((copy, known))
        likely = {size: group for size, group in by_size.items() if size and len(group) > 1}
        unknown = [
            Path(copy.path)
            for group in likely.values()
            for copy, known in group
            if not known and not self._hashes.get(Path(copy.path))
        ]
        progress = _Progress(sum(_measure(path) for path in unknown), tell)
        by_hash: dict[tuple[str, int], list[Copy]] = defaultdict(list)
        try:
            for size, group in likely.items():
                for copy, known in group:
                    try:
                        path = Path(copy.path)
                        sha256 = known or self._hashes.compute(path, progress.add, stop)
                    except ModelError:
                        continue
                    by_hash[sha256, size].append(copy)
        finally:
            self._hashes.save()
        groups = [
            Group(sha256=sha256, size_bytes=size, copies=tuple(_order(copies)))
            for (sha256, size), copies in by_hash.items()
            if len(copies) > 1
        ]
        return tuple(sorted(groups, key=lambda group: -group.size_bytes))

    def share(
        self,
        group: Group,
        copy: Copy,
        tell: Callable[[Hashing], None] = lambda _: None,
        stop: threading.Event | None = None,
    ) -> int:
        """Make our copy a second name for the first file of its group; returns the bytes freed.

        Both are read and compared first. Raises `StorageError`: not_ours, changed, other_disk.
        """
        stop = stop or threading.Event()
        kept, ours = Path(group.copies[0].path), Path(copy.path)
        if copy not in group.shareable or not _is_below(ours, self._models):
            raise StorageError(f"{show_name(ours)} is not a file of Inglenook.", code="not_ours")
        real = Path(os.path.realpath(kept))
        before = stamp_file(real), stamp_file(ours)
        progress = _Progress(2 * group.size_bytes, tell)
        hashes = {hash_file(path, progress.add, stop) for path in (real, ours)}
        if len(hashes) != 1 or (stamp_file(real), stamp_file(ours)) != before:
            raise StorageError(
                f"{show_name(ours)} is not like the other file any more; nothing was changed.",
                "Look for duplicates again.",
                code="changed",
            )
        fresh = ours.with_name(f".{ours.name}.shared")
        try:
            fresh.unlink(missing_ok=True)
            os.link(real, fresh, follow_symlinks=False)
            fresh.replace(ours)
        except OSError as error:
            raise StorageError(
                f"The two files cannot share their space: {error.strerror or error}.",
                "If they lie on different disks, use the other one in place and remove this one.",
                code="other_disk",
            ) from error
        log.info("a model shares its space with another file")
        return group.size_bytes

    def _list_copies(self) -> list[tuple[Copy, int, str]]:
        """Every whole file here and in other apps, each inode once, with the hash if known."""
        copies: list[tuple[Copy, int, str]] = []
        seen: set[tuple[int, int]] = set()
        findings = self._neighbours.look()
        for model in self._library.list():
            if model.origin == "builtin":
                continue
            is_ours = model.origin in _OURS and _is_below(Path(model.path), self._models)
            copy = Copy(
                id=model.id, name=model.name, path=model.path, app=model.source,
                is_ours=is_ours, is_used=True,
            )  # fmt: skip
            _add(copies, seen, copy, model.sha256)
        for found in findings.models:
            copy = Copy(
                id=found.id, name=found.name, path=found.path, app=found.app,
                is_ours=False, is_used=False,
            )  # fmt: skip
            _add(copies, seen, copy, found.sha256)
        return copies


class _Progress:
    def __init__(self, size_bytes: int, tell: Callable[[Hashing], None]) -> None:
        self._size_bytes = size_bytes
        self._done_bytes = 0
        self._tell = tell

    def add(self, n_bytes: int) -> None:
        self._done_bytes += n_bytes
        self._tell(Hashing(min(self._done_bytes, self._size_bytes), self._size_bytes))


def _add(
    copies: list[tuple[Copy, int, str]], seen: set[tuple[int, int]], copy: Copy, sha256: str
) -> None:
    stamp = stamp_file(Path(copy.path))
    if stamp is None or parse_part(Path(copy.path).name) or stamp[:2] in seen:
        return
    seen.add(stamp[:2])
    n_names = Path(copy.path).stat().st_nlink
    copy = msgspec.structs.replace(copy, n_names=n_names)
    copies.append((copy, stamp[2], sha256 if is_sha256(sha256) else ""))


def _order(copies: list[Copy]) -> list[Copy]:
    """The file that stays first: another app's or a person's before ours, one in use before not."""
    return sorted(copies, key=lambda copy: (copy.is_ours, not copy.is_used))


def _measure(path: Path) -> int:
    stamp = stamp_file(path)
    return stamp[2] if stamp else 0


def _is_below(path: Path, folder: Path) -> bool:
    return not path.is_symlink() and path.resolve().is_relative_to(folder.resolve())
