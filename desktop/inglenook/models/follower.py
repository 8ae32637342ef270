"""Hashes a part while it comes: a thread that reads, in order, what has become contiguous.

Started by `transfer.py`. What connections bring out of order waits in the page cache for its turn,
so that the hash is known a moment after the last byte, without a second pass over the file.
"""

import hashlib
import os
import threading
from collections.abc import Callable
from typing import Any, Final

from inglenook.models.hub_files import HubPart

CHUNK_BYTES: Final = 1 << 20
_PAUSE_S: Final = 0.02


class Follower:
    """The hash of the first `frontier()` bytes of an open file, ever closer behind it."""

    def __init__(self, file: int, wanted: HubPart, frontier: Callable[[], int]) -> None:
        self._file = file
        self._size_bytes = wanted.size_bytes
        self._frontier = frontier
        self._digest = start_hash(wanted)
        self._stopped = threading.Event()
        self._done = threading.Event()
        self._error: OSError | None = None
        self.n_hashed = 0
        self._thread = threading.Thread(target=self._run, name="download-hash", daemon=True)
        self._thread.start()

    def wait(self, timeout_s: float) -> bool:
        """Wait until the whole file is hashed; False when it is not by then. Raises `OSError`."""
        is_done = self._done.wait(timeout_s)
        if self._error is not None:
            raise self._error
        return is_done

    def read_digest(self) -> str:
        """The hash in hex, once `wait` has said True."""
        return str(self._digest.hexdigest())

    def stop(self) -> None:
        """End the thread, and wait for it; the file may be closed then."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            self._follow()
        except OSError as error:
            self._error = error
            self._done.set()

    def _follow(self) -> None:
        memory = bytearray(CHUNK_BYTES)
        view = memoryview(memory)
        while self.n_hashed < self._size_bytes and not self._stopped.is_set():
            ready = min(self._frontier() - self.n_hashed, CHUNK_BYTES)
            is_last = self.n_hashed + ready == self._size_bytes
            if ready < CHUNK_BYTES and not is_last:
                self._stopped.wait(_PAUSE_S)
                continue
            n_read = read_at(self._file, view[:ready], self.n_hashed)
            if n_read == 0:  # taken back a moment ago
                self._stopped.wait(_PAUSE_S)
                continue
            self._digest.update(view[:n_read])
            self.n_hashed += n_read
        if self.n_hashed == self._size_bytes:
            self._done.set()


def start_hash(wanted: HubPart) -> Any:
    """The hash that the hub tells of a file: SHA-256, or git's own SHA-1 for a small one."""
    if wanted.sha256:
        return hashlib.sha256()
    header = f"blob {wanted.size_bytes}\0".encode()
    return hashlib.sha1(header, usedforsecurity=False)


if hasattr(os, "preadv"):

    def read_at(file: int, target: memoryview, position: int) -> int:
        """Read into `target` what stands at `position`; returns how much it was."""
        return os.preadv(file, [target], position)

    def write_at(file: int, data: memoryview, position: int) -> int:
        """Write `data` at `position`; returns how much of it was taken."""
        return os.pwrite(file, data, position)

else:  # Windows has one position for each file, so one thread at a time moves it.
    _moving = threading.Lock()

    def read_at(file: int, target: memoryview, position: int) -> int:
        """Read into `target` what stands at `position`; returns how much it was."""
        with _moving:
            os.lseek(file, position, os.SEEK_SET)
            data = os.read(file, len(target))
        target[: len(data)] = data
        return len(data)

    def write_at(file: int, data: memoryview, position: int) -> int:
        """Write `data` at `position`; returns how much of it was taken."""
        with _moving:
            os.lseek(file, position, os.SEEK_SET)
            return os.write(file, data)
