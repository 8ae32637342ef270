"""The cheap look at a model file before native code sees it, and the watch over it afterwards.

Called by the loader on the worker thread. A FIFO would hang the native loader for ever and a
directory or a web page ends in a riddle, so they are refused here. The full check of the header is
done when a model is installed; this one costs a stat and 24 bytes.
"""

import os
import stat
import struct
from pathlib import Path
from typing import Final

from inglenook.base.errors import ModelError

_MAGIC: Final = b"GGUF"
_HEADER: Final = struct.Struct("<4sIQQ")
_NEWEST_VERSION: Final = 3
_NON_BLOCKING: Final = getattr(os, "O_NONBLOCK", 0)

type _Stamp = tuple[int, int, int, int]


class ModelFile:
    """A model file that is held open, so that a change to it can be told from a replacement."""

    def __init__(self, path: str) -> None:
        """Open and look; raises `ModelError` saying what the file is instead."""
        self.path = path
        self._fd = _open(path)
        try:
            self._stamp = _take_stamp(self._fd, path)
            _check_header(self._fd, path)
        except BaseException:
            os.close(self._fd)
            raise

    def is_damaged(self) -> bool:
        """Whether the bytes that were loaded have been written over or cut off since."""
        info = os.fstat(self._fd)
        return (info.st_size, info.st_mtime_ns) != self._stamp[2:]

    def is_replaced(self) -> bool:
        """Whether the path now leads to something else than what was loaded."""
        try:
            info = Path(self.path).stat()
        except OSError:
            return True
        return (info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns) != self._stamp

    def close(self) -> None:
        """Let go of the file; idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _open(path: str) -> int:
    try:
        if not stat.S_ISREG(Path(path).stat().st_mode):
            raise _refuse_kind(path)
        return os.open(path, os.O_RDONLY | _NON_BLOCKING | getattr(os, "O_BINARY", 0))
    except ValueError as error:
        raise ModelError("The model's path is not valid.", code="not_a_file") from error
    except FileNotFoundError as error:
        raise ModelError(
            f"The model file {_name(path)} is not there any more.",
            "Put it back, or download it again.",
            code="missing",
        ) from error
    except PermissionError as error:
        raise ModelError(
            f"The model file {_name(path)} may not be read.",
            "Give yourself the right to read it, or copy it elsewhere.",
            code="no_permission",
        ) from error
    except OSError as error:
        raise ModelError(
            f"The model file {_name(path)} cannot be opened: {error.strerror or error}.",
            "Choose another model.",
            code="not_a_file",
        ) from error


def _take_stamp(fd: int, path: str) -> _Stamp:
    info = os.fstat(fd)
    if not stat.S_ISREG(info.st_mode):
        raise _refuse_kind(path)
    return (info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns)


def _refuse_kind(path: str) -> ModelError:
    kind = "a folder" if Path(path).is_dir() else "not an ordinary file"
    return ModelError(
        f"{_name(path)} is {kind}, not a model.", "Choose a .gguf file.", code="not_a_file"
    )


def _check_header(fd: int, path: str) -> None:
    head = os.read(fd, _HEADER.size)
    if head[: len(_MAGIC)] != _MAGIC:
        raise ModelError(
            f"{_name(path)} is not a GGUF model file.", "Choose a .gguf file.", code="not_gguf"
        )
    if len(head) < _HEADER.size:
        raise ModelError(
            f"The model file {_name(path)} is incomplete.",
            "Download it again.",
            code="truncated",
        )
    version = _HEADER.unpack(head)[1]
    if version & 0xFFFF == 0:
        raise ModelError(
            f"The model file {_name(path)} was made for big-endian machines.",
            "Download another version of the model.",
            code="unsupported_version",
        )
    if not 2 <= version <= _NEWEST_VERSION:
        age = "newer" if version > _NEWEST_VERSION else "older"
        raise ModelError(
            f"The model file {_name(path)} has GGUF version {version}, {age} than this engine "
            "can read.",
            "Download another version of the model, or update Inglenook.",
            code="unsupported_version",
        )


def _name(path: str) -> str:
    return (Path(path).name or path).encode("utf-8", "replace").decode()
