"""KV memory on the disk: a long conversation goes on without being read again after a restart.

One file for each snapshot, in a folder of the model's own below the cache folder, where anything
may be deleted at any time. Named by scope, which is the conversation's id, and by the tokens. Used
on the worker thread, but for the writing itself, which has a thread of its own.

A file is: magic; CRC-32 of all that follows it; number of tokens; number of data bytes; the tokens
as 32-bit integers; the state of one sequence as llama.cpp gives it. All little-endian.
"""

import contextlib
import hashlib
import logging
import os
import shutil
import struct
import threading
import zlib
from array import array
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from inglenook.engine.prefix import count_common

log = logging.getLogger(__name__)

MIN_TOKENS: Final = 64
"""Shorter ones are read again in a moment. Not many more: what is not on the disk stays in memory,
where each step of another conversation goes through it, too."""
MIN_GAIN: Final = 32
"""A snapshot must save the reading of so many tokens more than what is in memory."""
_MAX_STATE_BYTES: Final = 2_000_000_000
_MAX_FILES: Final = 500
_MAGIC: Final = b"INGLEKV1"
_HEAD: Final = struct.Struct("<8sIIQ")
_SAMPLE_BYTES: Final = 1 << 16
_N_SAMPLES: Final = 16
_SUFFIX: Final = ".kv"
_FRESH_SUFFIX: Final = ".new"
_KEPT_FREE_BYTES: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One file: the tokens whose memory it holds."""

    path: Path
    tokens: "array[int]"
    n_bytes: int


@dataclass(frozen=True, slots=True)
class _Order:
    scope: str
    tokens: "array[int]"
    data: memoryview


def identify_model(path: str, library_version: str, settings: str = "") -> str:
    """A name for a model's content: its size, both ends and samples between, and the library.

    `settings` names what else decides what is in its memory after a text, such as adapters.
    """
    digest = hashlib.sha256(f"{library_version}\n{settings}".encode())
    with Path(path).open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        digest.update(size.to_bytes(8, "little"))
        digest.update(file.read(16 * _SAMPLE_BYTES))
        for i in range(1, _N_SAMPLES + 1):
            file.seek(max(0, size * i // _N_SAMPLES - _SAMPLE_BYTES))
            digest.update(file.read(_SAMPLE_BYTES))
    return digest.hexdigest()[:32]


class Snapshots:
    """The snapshots of one model. `limit_bytes` bounds those of all models together."""

    def __init__(self, root: Path, identity: str, limit_bytes: int) -> None:
        self._root = root
        self._folder = root / identity
        self._limit_bytes = limit_bytes
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._orders: deque[_Order] = deque()
        self._is_closed = False
        self._is_writing = False
        self._known = {s.path: s for s in _read_folder(self._folder)}
        self._thread: threading.Thread | None = None

    def find(
        self, tokens: Sequence[int], n_in_memory: int, n_ctx: int, *, is_whole: bool
    ) -> tuple[Snapshot, int] | None:
        """The snapshot that saves most reading, and how many tokens it shares with the prompt.

        With `is_whole`, only those of which everything is shared: for memory that cannot be cut.
        """
        prompt = array("i", tokens)
        best: tuple[Snapshot, int] | None = None
        with self._lock:
            known = tuple(self._known.values())
        for snapshot in known:
            n_shared = count_common(snapshot.tokens, prompt, len(prompt) - 1)
            if len(snapshot.tokens) > n_ctx or (is_whole and n_shared < len(snapshot.tokens)):
                continue
            if n_shared >= n_in_memory + MIN_GAIN and (best is None or n_shared > best[1]):
                best = (snapshot, n_shared)
        return best

    def read(self, snapshot: Snapshot) -> bytearray | None:
        """A snapshot's state; None, and it is deleted, when the file is not what was written."""
        try:
            with snapshot.path.open("rb") as file:
                head = file.read(_HEAD.size)
                rest = bytearray(os.fstat(file.fileno()).st_size - _HEAD.size)
                n_read = file.readinto(rest)
            _, crc, n_tokens, n_data = _HEAD.unpack(head)
            is_whole = n_read == len(rest) == 4 * n_tokens + n_data
            if is_whole and zlib.crc32(rest) == crc:
                os.utime(snapshot.path)
                del rest[: 4 * n_tokens]
                return rest
        except (OSError, struct.error, ValueError, MemoryError) as error:
            log.info("a snapshot cannot be read (%s)", type(error).__name__)
        self.drop(snapshot)
        return None

    def drop(self, snapshot: Snapshot) -> None:
        """Delete one that is of no use."""
        with self._lock:
            self._known.pop(snapshot.path, None)
        with contextlib.suppress(OSError):
            snapshot.path.unlink()

    def wants(self, tokens: Sequence[int], n_bytes: int) -> bool:
        """Whether a state is worth keeping and not kept yet."""
        if len(tokens) < MIN_TOKENS or n_bytes > min(_MAX_STATE_BYTES, self._limit_bytes):
            return False
        return not self.holds(tokens)

    def holds(self, tokens: Sequence[int]) -> bool:
        """Whether the state after these tokens is on the disk."""
        whole = array("i", tokens)
        with self._lock:
            return any(
                count_common(s.tokens, whole, len(whole)) == len(whole)
                for s in self._known.values()
            )

    def keep(self, scope: str, tokens: Sequence[int], data: memoryview) -> None:
        """Have a state written; returns at once."""
        with self._changed:
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._serve, name="engine-snapshots", daemon=True
                )
                self._thread.start()
            self._orders.append(_Order(scope, array("i", tokens), data))
            self._changed.notify_all()

    def wait(self, limit_s: float) -> bool:
        """Wait until all is written; False when it took longer."""
        with self._changed:
            return self._changed.wait_for(lambda: not (self._orders or self._is_writing), limit_s)

    def close(self, limit_s: float) -> None:
        """Write what waits, as far as the time allows, and end the thread."""
        self.wait(limit_s)
        with self._changed:
            self._is_closed = True
            self._orders.clear()
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(limit_s)

    # --- the writing thread ---

    def _serve(self) -> None:
        while True:
            with self._changed:
                self._is_writing = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: bool(self._orders) or self._is_closed)
                if self._is_closed:
                    return
                order = self._orders.popleft()
                self._is_writing = True
            try:
                self._write(order)
            except OSError as error:
                log.info("a snapshot could not be written (errno %s)", error.errno)
            except Exception:
                log.exception("a snapshot could not be written")

    def _write(self, order: _Order) -> None:
        raw = order.tokens.tobytes()
        n_bytes = _HEAD.size + len(raw) + len(order.data)
        if not self._make_room(n_bytes):
            return
        name = f"{order.scope}-{hashlib.sha256(raw).hexdigest()[:16]}"
        path, fresh = self._folder / (name + _SUFFIX), self._folder / (name + _FRESH_SUFFIX)
        crc = zlib.crc32(order.data, zlib.crc32(raw))
        try:
            with open(fresh, "wb", opener=_open_private) as file:
                file.write(_HEAD.pack(_MAGIC, crc, len(order.tokens), len(order.data)))
                file.write(raw)
                file.write(order.data)
            fresh.replace(path)
        except OSError:
            fresh.unlink(missing_ok=True)
            raise
        self._take_over(order.scope, Snapshot(path, order.tokens, n_bytes))

    def _take_over(self, scope: str, new: Snapshot) -> None:
        """The new one replaces those of the same conversation that it goes on from, or nearly."""
        with self._lock:
            old = [
                s
                for s in self._known.values()
                if s.path != new.path
                and s.path.name.startswith(f"{scope}-")
                and count_common(s.tokens, new.tokens, len(s.tokens)) >= len(s.tokens) - MIN_GAIN
            ]
            self._known[new.path] = new
        for snapshot in old:
            self.drop(snapshot)

    def _make_room(self, n_bytes: int) -> bool:
        """Delete the longest unused ones of any model until this one fits."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        files = sorted(_list_files(self._root), key=lambda pair: pair[1].st_mtime)
        taken = sum(info.st_size for _, info in files) + n_bytes
        short = n_bytes + _KEPT_FREE_BYTES - shutil.disk_usage(self._folder).free
        for path, info in files:
            if taken <= self._limit_bytes and short <= 0:
                break
            path.unlink(missing_ok=True)
            with self._lock:
                self._known.pop(path, None)
            taken -= info.st_size
            short -= info.st_size
        return taken <= self._limit_bytes and short <= 0


def remove_scopes(root: Path, is_gone: Callable[[str], bool]) -> int:
    """Delete the snapshots of conversations that are gone for good; returns how many."""
    n_removed = 0
    for path, _ in _list_files(root):
        scope, dash, _ = path.name.rpartition("-")
        if dash and is_gone(scope):
            with contextlib.suppress(OSError):
                path.unlink()
                n_removed += 1
    return n_removed


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _list_files(root: Path) -> list[tuple[Path, os.stat_result]]:
    found = []
    for pattern in ("*/*" + _SUFFIX, "*/*" + _FRESH_SUFFIX):
        for path in root.glob(pattern):
            with contextlib.suppress(OSError):
                found.append((path, path.lstat()))
    return found


def _read_folder(folder: Path) -> Iterator[Snapshot]:
    """The heads of all files; what is no snapshot is deleted."""
    for fresh in folder.glob("*" + _FRESH_SUFFIX):
        fresh.unlink(missing_ok=True)
    for path in sorted(folder.glob("*" + _SUFFIX))[:_MAX_FILES]:
        try:
            with path.open("rb") as file:
                magic, _, n_tokens, n_data = _HEAD.unpack(file.read(_HEAD.size))
                size = os.fstat(file.fileno()).st_size
                if magic != _MAGIC or size != _HEAD.size + 4 * n_tokens + n_data:
                    raise ValueError("not a snapshot")  # noqa: TRY301
                tokens = array("i")
                tokens.frombytes(file.read(4 * n_tokens))
        except (OSError, struct.error, ValueError):
            with contextlib.suppress(OSError):
                path.unlink()
            continue
        yield Snapshot(path, tokens, size)
