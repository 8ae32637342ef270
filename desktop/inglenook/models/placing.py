"""Puts a file at another place: shared where the file system can, else copied and verified.

Called on worker threads by `intake.py` and `moving.py`. A copy is written beside its place, where a
later try goes on with it, read back, compared with the source, and renamed: it is whole or absent.
"""

import contextlib
import errno
import hashlib
import os
import shutil
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from inglenook.base.errors import StorageError
from inglenook.models.hashing import CHUNK_BYTES, StoppedWorkError, hash_file, stamp_file
from inglenook.models.reading import open_model_file, show_name
from inglenook.models.sizes import describe_size

_FICLONE: Final = 0x40049409
"""ioctl of Linux: share the blocks of another file (linux/fs.h)."""
_RESERVE_BYTES: Final = 200_000_000
_CANNOT_SHARE: Final = frozenset(
    {errno.EXDEV, errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL, errno.EPERM, errno.EACCES,
     errno.ENOSYS, errno.EMLINK, errno.ETXTBSY}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Bringing:
    """How far it is: bytes that were read, of the file and then again to verify."""

    done_bytes: int
    size_bytes: int


class Placing:
    """Some files on their way, counted together. `suffix` ends the names of unfinished copies."""

    def __init__(
        self,
        size_bytes: int,
        tell: Callable[[Bringing], None],
        stop: threading.Event,
        *,
        may_share: bool = True,
        suffix: str = ".part",
    ) -> None:
        self._size_bytes = size_bytes
        self._tell = tell
        self._stop = stop
        self._may_share = may_share
        self._suffix = suffix
        self._n_read = 0

    def place(self, source: Path, target: Path) -> str:
        """Put one file in its place; returns its hash where its bytes were read, else ""."""
        part = target.with_name(f".{target.name}{self._suffix}")
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
        _keep_time(source, part)
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


def _write_all(descriptor: int, data: bytes, position: int) -> None:
    os.lseek(descriptor, position, os.SEEK_SET)
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _share(source: Path, target: Path) -> bool:
    """A clone, else a second name; False where the file system has neither."""
    clone = target.with_name(f".{target.name}.clone")
    if _clone(source, clone):
        _keep_time(source, clone)
        clone.replace(target)
        return True
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno in _CANNOT_SHARE:
            return False
        raise
    return True


def _keep_time(source: Path, copy: Path) -> None:
    info = source.stat()
    os.utime(copy, ns=(info.st_atime_ns, info.st_mtime_ns))


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


def sync_folder(folder: Path) -> None:
    """Have the names in a folder last."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def explain_placing(error: OSError) -> StorageError:
    """What a failure to write means."""
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
