"""Opens a model file without being harmed by what it is, and reads it in small windows.

Called by `gguf.py` on any thread. What it reads is a `Source`: a file here, or one that is asked
for piece by piece (`predict/remote.py`). A FIFO or a device would hang a plain open for ever, and a
memory map of a file that shrinks ends the process, so: `stat` first, open without blocking, and
reads into a window of at most a few hundred kilobytes whatever lengths the file claims.
"""

import os
import stat
import struct
from pathlib import Path
from typing import Final, Protocol

from inglenook.base.errors import ModelError
from inglenook.models.sizes import describe_size

_WINDOW_BYTES: Final = 256 * 1024
_MAX_STRING_BYTES: Final = 1 << 28
_U64: Final = struct.Struct("<Q")


def show_name(path: str | Path) -> str:
    """The file's name as text that can be shown and written anywhere."""
    name = Path(path).name or str(path)
    return name.encode("utf-8", "replace").decode("utf-8")


def open_model_file(path: Path) -> int:
    """Open an ordinary, readable file and return its descriptor, else raise `ModelError`.

    Codes: not_a_file, missing, no_permission, bad_name.
    """
    try:
        str(path).encode("utf-8")
        _check_kind(path, path.stat())
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        descriptor = os.open(path, flags | getattr(os, "O_NOCTTY", 0))
    except UnicodeEncodeError as error:
        raise ModelError(
            f"The name of {show_name(path)} holds bytes that are not text.",
            "Rename the file, then try again.",
            code="bad_name",
        ) from error
    except ValueError as error:
        raise ModelError(
            f"{show_name(path)!r} is no valid path.", "Choose a .gguf file.", code="not_a_file"
        ) from error
    except OSError as error:
        raise _explain_open_error(path, error) from error
    try:
        _check_kind(path, os.fstat(descriptor))
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _check_kind(path: Path, info: os.stat_result) -> None:
    if stat.S_ISREG(info.st_mode):
        return
    kinds = (
        (stat.S_ISDIR, "a folder"),
        (stat.S_ISFIFO, "a pipe"),
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISCHR, "a device"),
        (stat.S_ISBLK, "a device"),
    )
    kind = next((name for test, name in kinds if test(info.st_mode)), "no ordinary file")
    raise ModelError(
        f"{show_name(path)} is {kind}, not a model.", "Choose a .gguf file.", code="not_a_file"
    )


def _explain_open_error(path: Path, error: OSError) -> ModelError:
    name = show_name(path)
    if isinstance(error, FileNotFoundError):
        if path.is_symlink():
            return ModelError(
                f"{name} is a link to a file that is not there.",
                "Put the file back, or choose another one.",
                code="missing",
            )
        return ModelError(
            f"There is no file {name}.", "Check the path, or choose another file.", code="missing"
        )
    if isinstance(error, PermissionError):
        return ModelError(
            f"{name} may not be read by you.",
            "Give yourself the right to read it, or copy it elsewhere.",
            code="no_permission",
        )
    return ModelError(
        f"{name} cannot be opened: {error.strerror or error}.",
        "Choose another file.",
        code="not_a_file",
    )


class Source(Protocol):
    """Bytes that can be read from any place. `size` may turn out smaller than it was told."""

    size: int

    def read(self, position: int, least: int) -> bytes:
        """At least so many bytes from a position, and as many more as come for nothing."""
        ...


class FileSource:
    """An open file."""

    def __init__(self, descriptor: int) -> None:
        self.size = os.fstat(descriptor).st_size
        self._file = descriptor

    def read(self, position: int, least: int) -> bytes:
        """See `Source`; fewer where the file was cut meanwhile. Raises `OSError`."""
        os.lseek(self._file, position, os.SEEK_SET)
        parts: list[bytes] = []
        missing = max(least, min(_WINDOW_BYTES, self.size - position))
        while missing > 0 and (part := os.read(self._file, missing)):
            parts.append(part)
            missing -= len(part)
        return b"".join(parts)


class Reader:
    """Reads forward through a source; every length is checked before it is believed.

    Memory stays below a megabyte. Raises `ModelError` with code truncated where the file ends too
    early and bad_header where a length is absurd.
    """

    def __init__(self, source: Source, name: str) -> None:
        self.name = name
        self.size = source.size
        self._source = source
        self._window = b""
        self._start = 0
        self._position = 0

    def tell(self) -> int:
        """The position in the file."""
        return self._position

    def peek(self, n_bytes: int) -> bytes:
        """Up to `n_bytes` from here, without moving."""
        self._fill(min(n_bytes, self.size - self._position))
        offset = self._position - self._start
        return self._window[offset : offset + n_bytes]

    def take(self, n_bytes: int) -> bytes:
        """Exactly `n_bytes`, moving past them."""
        self._fill(n_bytes)
        offset = self._position - self._start
        self._position += n_bytes
        return self._window[offset : offset + n_bytes]

    def take_number(self, layout: struct.Struct) -> int:
        """One number of the given layout."""
        value: int = layout.unpack(self.take(layout.size))[0]
        return value

    def take_string(self, limit: int) -> bytes:
        """A length-prefixed string, cut to `limit` bytes."""
        length = self._take_length()
        kept = self.take(min(length, limit))
        self.skip(length - len(kept))
        return kept

    def skip(self, n_bytes: int) -> None:
        """Move past `n_bytes`."""
        self.need(n_bytes)
        self._position += n_bytes

    def skip_strings(self, count: int) -> None:
        """Move past `count` length-prefixed strings, quickly: vocabularies hold a few 100,000."""
        unpack = _U64.unpack_from
        while count:
            self._fill(_U64.size)
            window, offset = self._window, self._position - self._start
            last = len(window) - _U64.size
            while count and offset <= last:
                (length,) = unpack(window, offset)
                if length > _MAX_STRING_BYTES:
                    raise self.refuse_length(length)
                offset += _U64.size + length
                count -= 1
            self._position = self._start + offset
            self.need(0)

    def need(self, n_bytes: int) -> None:
        """Raise unless `n_bytes` more are there."""
        if self._position + n_bytes > self.size:
            raise ModelError(
                f"{self.name} is incomplete: it ends after {describe_size(self.size)}, in the "
                "middle of its header.",
                "Download it again.",
                code="truncated",
            )

    def refuse_length(self, length: int) -> ModelError:
        """What is raised for an absurd length."""
        return ModelError(
            f"{self.name} is damaged: its header claims an entry of {length:,} bytes.",
            "Download it again.",
            code="bad_header",
        )

    def _take_length(self) -> int:
        length = self.take_number(_U64)
        if length > _MAX_STRING_BYTES:
            raise self.refuse_length(length)
        self.need(length)
        return length

    def _fill(self, n_bytes: int) -> None:
        offset = self._position - self._start
        if offset >= 0 and offset + n_bytes <= len(self._window):
            return
        self.need(n_bytes)
        self._window = self._source.read(self._position, n_bytes)
        self._start = self._position
        if len(self._window) < n_bytes:
            self.size = self._position + len(self._window)
            self.need(n_bytes)
