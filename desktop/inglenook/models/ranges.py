"""Which bytes of a file are here, which are on their way, and how that survives a crash.

`RangeMap` is shared by the connections of one transfer and the thread that hashes; `RangeLog` keeps
it in a small file beside the part as soon as bytes come out of order. While they come in order the
part's length says all, and there is no such file.
"""

import contextlib
import os
import struct
import threading
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

type Span = tuple[int, int]
"""Bytes from the first up to, not including, the second."""

_HEAD: Final = struct.Struct("<8sQ64s")
_RECORD: Final = struct.Struct("<QQI")
_MAGIC: Final = b"INGRNG01"
_MAX_LOG_BYTES: Final = 64 << 20
_LONG_BYTES: Final = 2 << 20


@dataclass(slots=True)
class Segment:
    """A piece that one connection fetches: from `begin`, now at `position`, up to `end`.

    Changed by its map alone; `end` may come nearer when another connection takes over the rest.
    """

    begin: int
    position: int
    end: int


class RangeMap:
    """The bytes of one file: what is done, and the segments that are being fetched. Thread-safe."""

    def __init__(self, size_bytes: int, done: Iterable[Span] = ()) -> None:
        self.size_bytes = size_bytes
        self._lock = threading.Lock()
        self._done = merge_spans(done, size_bytes)
        self._live: list[Segment] = []

    @property
    def n_done(self) -> int:
        """How many bytes are here."""
        with self._lock:
            return sum(end - begin for begin, end in self._list_done())

    @property
    def frontier(self) -> int:
        """How many bytes are here from the beginning on, without a gap."""
        with self._lock:
            done = merge_spans(self._list_done(), self.size_bytes)
        return done[0][1] if done and done[0][0] == 0 else 0

    @property
    def is_complete(self) -> bool:
        """Whether every byte is here."""
        return self.frontier == self.size_bytes

    def list_done(self) -> list[Span]:
        """What is here, in order."""
        with self._lock:
            return merge_spans(self._list_done(), self.size_bytes)

    def take(self, most_bytes: int | None, *, least_bytes: int = 1) -> Segment | None:
        """The first piece that nobody fetches, at most so long; else half of another's rest.

        None when there is nothing left, or the rests are shorter than twice `least_bytes`.
        """
        with self._lock:
            gap = self._find_gap() or self._cut_longest(most_bytes, least_bytes)
            if gap is None:
                return None
            begin, end = gap
            if most_bytes is not None and end - begin > most_bytes:
                end = begin + most_bytes
            segment = Segment(begin, begin, end)
            self._live.append(segment)
            return segment

    def find_room(self, segment: Segment) -> int:
        """How many bytes the segment still takes."""
        with self._lock:
            return segment.end - segment.position

    def advance(self, segment: Segment, n_bytes: int) -> None:
        """So many bytes more of the segment are written."""
        with self._lock:
            segment.position = min(segment.position + n_bytes, segment.end)

    def take_back(self, segment: Segment, position: int) -> None:
        """What was written of the segment from `position` on is not to be trusted."""
        with self._lock:
            segment.position = max(segment.begin, min(position, segment.position))

    def release(self, segment: Segment) -> None:
        """Nobody fetches the segment any more; what is missing of it can be taken anew."""
        with self._lock:
            if segment in self._live:
                self._live.remove(segment)
                self._done = merge_spans(
                    [*self._done, (segment.begin, segment.position)], self.size_bytes
                )

    def _list_done(self) -> list[Span]:
        return [*self._done, *((live.begin, live.position) for live in self._live)]

    def _find_gap(self) -> Span | None:
        taken = [*self._done, *((live.begin, live.end) for live in self._live)]
        begin = 0
        for first, end in merge_spans(taken, self.size_bytes):
            if first > begin:
                return begin, first
            begin = end
        return (begin, self.size_bytes) if begin < self.size_bytes else None

    def _cut_longest(self, most_bytes: int | None, least_bytes: int) -> Span | None:
        if not self._live:
            return None
        longest = max(self._live, key=lambda live: live.end - live.position)
        rest = longest.end - longest.position
        if rest < 2 * least_bytes:
            return None
        kept = rest // 2 if most_bytes is None else min(rest // 2, most_bytes)
        end, longest.end = longest.end, longest.position + max(kept, least_bytes)
        return longest.end, end


def merge_spans(spans: Iterable[Span], size_bytes: int) -> list[Span]:
    """Spans in order, joined where they touch, cut to the file; empty ones left out."""
    merged: list[Span] = []
    for first, last in sorted(spans):
        begin, end = max(0, first), min(last, size_bytes)
        if begin >= end:
            continue
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((begin, end))
    return merged


class RangeLog:
    """The file that says which bytes of a part are here, where its length cannot.

    It is begun whole and renamed; then each record is one append, checked by a CRC when it is read,
    so that a kill loses at most what was not noted yet. `identity` names the content.
    """

    def __init__(self, part: Path, size_bytes: int, identity: str) -> None:
        self.path = name_log(part)
        self._head = _HEAD.pack(_MAGIC, size_bytes, identity.encode()[:64])
        self._size_bytes = size_bytes
        self._file = -1
        self._n_noted = 0
        self._lock = threading.Lock()

    @property
    def is_open(self) -> bool:
        """Whether ranges are being noted."""
        return self._file >= 0

    @property
    def is_long(self) -> bool:
        """Whether it should be begun anew, as what it says could be said shorter."""
        return self.is_open and self._n_noted * _RECORD.size > _LONG_BYTES

    def read(self) -> list[Span] | None:
        """What an earlier run noted; None where there is no log, [] where it is of no use."""
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
        try:
            file = os.open(self.path, flags)
        except FileNotFoundError:
            return None
        except OSError:
            return []
        with os.fdopen(file, "rb") as log:
            data = log.read(_MAX_LOG_BYTES)
        if data[: _HEAD.size] != self._head:
            return []
        spans: list[Span] = []
        for at in range(_HEAD.size, len(data) - _RECORD.size + 1, _RECORD.size):
            begin, end, check = _RECORD.unpack_from(data, at)
            if zlib.crc32(data[at : at + 16]) != check:
                break
            spans.append((begin, end))
        return merge_spans(spans, self._size_bytes)

    def begin(self, done: Iterable[Span]) -> None:
        """Write the log anew and keep it open; raises `OSError`."""
        self.close()
        fresh = self.path.with_name(f"{self.path.name}.new")
        flags = os.O_WRONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
        file = os.open(fresh, flags | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            os.write(file, self._head + b"".join(_pack(*span) for span in done))
        finally:
            os.close(file)
        fresh.replace(self.path)
        self._n_noted = 0
        self._file = os.open(self.path, flags | os.O_APPEND)

    def note(self, begin: int, end: int) -> None:
        """These bytes are in the part; without effect while there is no log."""
        with self._lock:
            if self._file >= 0 and begin < end:
                os.write(self._file, _pack(begin, end))
                self._n_noted += 1

    def close(self) -> None:
        """Note nothing more; the log stays."""
        with self._lock:
            if self._file >= 0:
                os.close(self._file)
                self._file = -1

    def delete(self) -> None:
        """The part's length says all again."""
        self.close()
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)


def name_log(part: Path) -> Path:
    """Where the log of a part is."""
    return part.with_name(f"{part.name}.ranges")


def measure_part(part: Path) -> int:
    """How many bytes of a part are here, as its log or else its length says; 0 where none is."""
    try:
        length = part.lstat().st_size
        data = name_log(part).read_bytes()[:_MAX_LOG_BYTES]
    except OSError:
        with contextlib.suppress(OSError):
            return part.lstat().st_size
        return 0
    if len(data) < _HEAD.size:
        return 0
    _, size_bytes, identity = _HEAD.unpack_from(data)
    log = RangeLog(part, size_bytes, identity.rstrip(b"\0").decode("ascii", "replace"))
    return sum(end - begin for begin, end in merge_spans(log.read() or (), length))


def _pack(begin: int, end: int) -> bytes:
    body = struct.pack("<QQ", begin, end)
    return body + struct.pack("<I", zlib.crc32(body))
