"""Length-prefixed MessagePack frames over a pipe, with a cap on their length.

Used by the client and the host (commands and events), and by the host and its template renderer.
A frame is four bytes of length, little-endian, then that many bytes.
"""

import os
import struct
import threading
from typing import Any, Final

import msgspec

from inglenook.engine.protocol import FRAME_LIMIT_BYTES

_LENGTH: Final = struct.Struct("<I")
_READ_BYTES: Final = 1 << 16


class BadFrameError(Exception):
    """The other side sent what no honest one would: too long, cut off, or not a message of ours."""


def encode_frame(message: msgspec.Struct) -> bytes:
    """A message as one frame; raises `BadFrameError` when it is longer than the cap."""
    body = msgspec.msgpack.encode(message)
    if len(body) > FRAME_LIMIT_BYTES:
        raise BadFrameError("frame too long")
    return _LENGTH.pack(len(body)) + body


class FrameWriter:
    """Writes frames to a file descriptor; thread-safe, waits while the pipe is full."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._lock = threading.Lock()

    def write(self, message: msgspec.Struct) -> None:
        """Write one message; raises `OSError` when the other side is gone."""
        self.write_bytes(encode_frame(message))

    def write_bytes(self, frame: bytes) -> None:
        """Write one frame that is encoded already."""
        with self._lock:
            rest = memoryview(frame)
            while rest:
                rest = rest[os.write(self._fd, rest) :]


class FrameReader[T]:
    """Reads frames of one union of message types from a file descriptor; one thread."""

    def __init__(self, fd: int, types: Any) -> None:
        self._fd = fd
        self._decoder: msgspec.msgpack.Decoder[T] = msgspec.msgpack.Decoder(types)
        self._rest = bytearray()

    def read(self) -> T | None:
        """The next message, or None at the end; raises `BadFrameError`."""
        header = self._take(_LENGTH.size)
        if header is None:
            return None
        (n_bytes,) = _LENGTH.unpack(header)
        if n_bytes > FRAME_LIMIT_BYTES:
            raise BadFrameError("frame too long")
        body = self._take(n_bytes)
        if body is None:
            raise BadFrameError("frame cut off")
        try:
            return self._decoder.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise BadFrameError("not a message") from error

    def _take(self, n_bytes: int) -> bytes | None:
        while len(self._rest) < n_bytes:
            piece = os.read(self._fd, _READ_BYTES)
            if not piece:
                if self._rest:
                    raise BadFrameError("frame cut off")
                return None
            self._rest += piece
        taken = bytes(self._rest[:n_bytes])
        del self._rest[:n_bytes]
        return taken
