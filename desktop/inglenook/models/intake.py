"""Brings a model file into the models folder: copied or moved; whole and verified, or not at all.

Called on a worker thread, with an event that stops it. A copy costs no space where the file system
can share it: by a clone of its blocks, else by a second name for the same file. Else the bytes are
copied into a `.part` file, which a later try goes on with, read back, compared, and renamed.
"""

import contextlib
import errno
import hashlib
import os
import re
import shutil
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from inglenook.base.errors import ModelError, StorageError
from inglenook.base.records import InstalledModel
from inglenook.models.adopted.candidates import APP_TITLES
from inglenook.models.hashing import CHUNK_BYTES, StoppedWorkError, hash_file, stamp_file
from inglenook.models.inspection import inspect_model
from inglenook.models.library import Library
from inglenook.models.names import is_safe_filename, place_file
from inglenook.models.reading import open_model_file, show_name
from inglenook.models.sizes import describe_size
from inglenook.models.splits import name_part, parse_part

type Way = Literal["in_place", "copy", "move"]

OWNER: Final = "imported"
_FICLONE: Final = 0x40049409
"""ioctl of Linux: share the blocks of another file (linux/fs.h)."""
_RESERVE_BYTES: Final = 200_000_000
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._-]+")
_CANNOT_SHARE: Final = frozenset(
    {errno.EXDEV, errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL, errno.EPERM, errno.EACCES,
     errno.ENOSYS, errno.EMLINK, errno.ETXTBSY}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Bringing:
    """How far it is: bytes that were read, of the file and then again to verify."""

    done_bytes: int
    size_bytes: int


class Intake:
    """Copies and moves into one profile's models folder.

    `find_owner` names the app that a path belongs to, "" for none: nothing of another app is moved.
    """

    def __init__(
        self,
        models: Path,
        library: Library,
        find_owner: Callable[[Path], str],
        *,
        may_share: bool = True,
    ) -> None:
        self._models = models
        self._library = library
        self._find_owner = find_owner
        self._may_share = may_share

    def bring_in(
        self,
        path: Path,
        way: Way,
        tell: Callable[[Bringing], None] = lambda _: None,
        stop: threading.Event | None = None,
    ) -> InstalledModel:
        """Bring a model in; a model that is in the models folder already is only listed.

        Raises `ModelError`, `StorageError` (disk_full, not_writable, unverified, not_ours), or
        `StoppedWorkError`; then what was there before is as it was.
        """
        if way == "in_place":
            return self._library.import_file(path)
        path = Path(os.path.abspath(path.expanduser()))  # noqa: PTH100  # keeps links
        if way == "move":
            self._check_owner(path)
        inspection = inspect_model(path)
        if path.resolve().is_relative_to(self._models.resolve()):
            return self._library.import_file(path)
        targets = self._choose_targets(inspection.paths)
        work = _Work(inspection.size_bytes, tell, stop or threading.Event(), self._may_share)
        placed: list[Path] = []
        try:
            targets[0].parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            hashes = []
            for source, target in zip(inspection.paths, targets, strict=True):
                hashes.append(work.place(Path(os.path.realpath(source)), target))
                placed.append(target)
            _sync_folder(targets[0].parent)
            model = self._library.add_copy(targets[0], hashes[0] if len(hashes) == 1 else "")
        except OSError as error:
            _take_back(placed)
            raise _explain(error) from error
        except BaseException:
            _take_back(placed)
            raise
        if way == "move":
            self._forget_old(inspection.paths)
        return model

    def _check_owner(self, path: Path) -> None:
        if owner := self._find_owner(path) or self._find_owner(Path(os.path.realpath(path))):
            raise StorageError(
                f"{show_name(path)} belongs to {APP_TITLES.get(owner, owner)}, so it is not moved.",
                "Use it where it is, or copy it.",
                code="not_ours",
            )

    def _choose_targets(self, sources: tuple[Path, ...]) -> tuple[Path, ...]:
        """Where the parts go: a folder of their own, in which nothing has their names."""
        folder = _clean_stem(sources[0])
        for number in range(1, 1000):
            repo = f"{OWNER}/{folder}" + (f"-{number}" if number > 1 else "")
            targets = tuple(self._place(repo, source) for source in sources)
            if not any(os.path.lexists(target) for target in targets):
                return targets
        raise StorageError("The models folder holds too many of that name.", code="disk_full")

    def _place(self, repo: str, source: Path) -> Path:
        try:
            return place_file(self._models, repo, source.name)
        except ModelError:
            part, stem = parse_part(source.name), _clean_stem(source)
            name = name_part(stem, part[1], part[2]) if part else f"{stem}.gguf"
            return place_file(self._models, repo, name)

    def _forget_old(self, sources: tuple[Path, ...]) -> None:
        """Take the moved files away from where they were, and the record that pointed there."""
        for source in sources:
            with contextlib.suppress(OSError):
                if not source.is_symlink():
                    source.unlink()
        with contextlib.suppress(ModelError, StorageError):
            self._library.remove(f"file:{sources[0]}")


class _Work:
    """One model on its way."""

    def __init__(
        self,
        size_bytes: int,
        tell: Callable[[Bringing], None],
        stop: threading.Event,
        may_share: bool,
    ) -> None:
        self._size_bytes = size_bytes
        self._tell = tell
        self._stop = stop
        self._may_share = may_share
        self._n_read = 0

    def place(self, source: Path, target: Path) -> str:
        """Put one file in its place; returns its hash where its bytes were read, else ""."""
        part = target.with_name(f".{target.name}.part")
        if self._may_share and _share(source, target):
            self._count(2 * source.stat().st_size)
            return ""
        return self._copy(source, target, part)

    def _copy(self, source: Path, target: Path, part: Path) -> str:
        before = stamp_file(source)
        size = before[2] if before else 0
        there = part.stat().st_size if part.exists() and not part.is_symlink() else 0
        free = shutil.disk_usage(target.parent).free
        if size - there + _RESERVE_BYTES > free:
            raise StorageError(
                f"There is not enough space: {describe_size(size)} are needed and "
                f"{describe_size(free)} are free.",
                "Free some space, or use the file where it is.",
                code="disk_full",
            )
        wanted = self._write(source, part, min(there, size))
        found = hash_file(part, self._count, self._stop)
        if found != wanted or stamp_file(source) != before:
            part.unlink()
            raise StorageError(
                f"The copy of {show_name(source)} is not like the file, and was thrown away.",
                "Try once more; if it happens again, check the disk.",
                code="unverified",
            )
        part.replace(target)
        return wanted

    def _write(self, source: Path, part: Path, there: int) -> str:
        """Copy from where an earlier try ended; returns the hash of all of the source."""
        flags = os.O_WRONLY | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
        reader = open_model_file(source)
        digest = hashlib.sha256()
        try:
            writer = os.open(part, flags, 0o600)
            try:
                os.ftruncate(writer, there)
                position = 0
                while data := os.read(reader, CHUNK_BYTES):
                    if self._stop.is_set():
                        raise StoppedWorkError
                    digest.update(data)
                    begin = min(max(there - position, 0), len(data))
                    _write_all(writer, data[begin:], position + begin)
                    position += len(data)
                    self._count(len(data))
                os.fsync(writer)
            finally:
                os.close(writer)
        finally:
            os.close(reader)
        return digest.hexdigest()

    def _count(self, n_bytes: int) -> None:
        self._n_read += n_bytes
        done = min(self._n_read // 2, self._size_bytes)
        self._tell(Bringing(done, self._size_bytes))


def _clean_stem(path: Path) -> str:
    """A file's name without its ending, made of what is harmless as a name everywhere."""
    part = parse_part(path.name)
    stem = part[0] if part else path.stem
    clean = _UNSAFE.sub("-", stem.encode("ascii", "replace").decode())
    clean = re.sub(r"\.{2,}", ".", clean)[:60].strip("-._")
    return clean if is_safe_filename(f"{clean}.gguf") else f"model-{clean}".strip("-._")


def _write_all(descriptor: int, data: bytes, position: int) -> None:
    os.lseek(descriptor, position, os.SEEK_SET)
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _share(source: Path, target: Path) -> bool:
    """A clone, else a second name; False where the file system has neither."""
    clone = target.with_name(f".{target.name}.clone")
    if _clone(source, clone):
        clone.replace(target)
        return True
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno in _CANNOT_SHARE:
            return False
        raise
    return True


def _clone(source: Path, part: Path) -> bool:
    """Share the blocks of a file, where Linux and the file system can; leaves nothing otherwise."""
    if sys.platform != "linux":
        return False
    import fcntl

    part.unlink(missing_ok=True)
    reader = open_model_file(source)
    try:
        writer = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            fcntl.ioctl(writer, _FICLONE, reader)
            os.fsync(writer)
        except OSError as error:
            part.unlink(missing_ok=True)
            if error.errno in _CANNOT_SHARE:
                return False
            raise
        finally:
            os.close(writer)
    finally:
        os.close(reader)
    return True


def _take_back(placed: list[Path]) -> None:
    """Undo what was placed of a model that did not come in whole; its sources are still there."""
    for target in placed:
        with contextlib.suppress(OSError):
            target.unlink()


def _sync_folder(folder: Path) -> None:
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _explain(error: OSError) -> StorageError:
    if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
        return StorageError(
            "The disk is full; the copy was stopped.",
            "Free some space and try again: it goes on where it was.",
            code="disk_full",
        )
    return StorageError(
        f"The file cannot be brought into the models folder: {error.strerror or error}.",
        "See whether the models folder can be written.",
        code="not_writable",
    )
