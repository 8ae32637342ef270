"""What a file holds, as a SHA-256: computed once for each file, with progress, and remembered.

Called on worker threads by `duplicates.py` and `intake.py`.
"""

import contextlib
import hashlib
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from inglenook.base.errors import ModelError
from inglenook.models.reading import open_model_file, show_name

CHUNK_BYTES: Final = 4 << 20
_MAX_MEMORY_BYTES: Final = 16 << 20

type Told = Callable[[int], None]
"""Told of bytes as they are read."""


class StoppedWorkError(Exception):
    """A person stopped it."""


class _Known(msgspec.Struct, frozen=True):
    stamp: tuple[int, int, int, int]
    sha256: str


class Hashes:
    """The hashes that are known, kept in one file by path, size and time."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._kept: dict[str, _Known] = {}
        if path is not None:
            with contextlib.suppress(OSError, msgspec.MsgspecError, ValueError):
                if path.stat().st_size <= _MAX_MEMORY_BYTES:
                    self._kept = msgspec.json.decode(path.read_bytes(), type=dict[str, _Known])

    def get(self, path: Path) -> str:
        """The hash of a file that is as it was when it was hashed; "" when it is not known."""
        with self._lock:
            known = self._kept.get(str(path))
        return known.sha256 if known is not None and known.stamp == stamp_file(path) else ""

    def compute(self, path: Path, tell: Told, stop: threading.Event) -> str:
        """The hash of a file, read if it is not known. Raises `ModelError`, `StoppedWorkError`."""
        if known := self.get(path):
            return known
        before = stamp_file(path)
        sha256 = hash_file(path, tell, stop)
        if before is not None and stamp_file(path) == before:
            with self._lock:
                self._kept[str(path)] = _Known(before, sha256)
        return sha256

    def save(self) -> None:
        """Keep what is known of files that are still there; failing costs only time."""
        if self._path is None:
            return
        with self._lock:
            self._kept = {p: k for p, k in self._kept.items() if stamp_file(Path(p)) == k.stamp}
            data = msgspec.json.encode(self._kept)
        fresh = self._path.with_name(self._path.name + ".new")
        with contextlib.suppress(OSError):
            fresh.write_bytes(data)
            fresh.replace(self._path)


def stamp_file(path: Path) -> tuple[int, int, int, int] | None:
    """What tells a file from another one in its place; None when there is none."""
    try:
        info = path.stat()
    except (OSError, ValueError):
        return None
    return (info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns)


def hash_file(path: Path, tell: Told, stop: threading.Event) -> str:
    """Read a file and hash it. Raises `ModelError`, `StoppedWorkError`."""
    descriptor = open_model_file(path)
    try:
        with open(descriptor, "rb", buffering=0, closefd=False) as file:
            digest = hashlib.sha256()
            while data := file.read(CHUNK_BYTES):
                if stop.is_set():
                    raise StoppedWorkError
                digest.update(data)
                tell(len(data))
            return digest.hexdigest()
    except OSError as error:
        raise ModelError(
            f"{show_name(path)} cannot be read: {error.strerror or error}.",
            "Check the disk.",
            code="unreadable",
        ) from error
    finally:
        os.close(descriptor)
