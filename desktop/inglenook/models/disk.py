"""The disk below a download: opening a part, space, and what a failure to write means.

Called by `transfer.py`, `job.py` and `downloads.py` on the threads of downloads.
"""

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from inglenook.base.errors import StorageError
from inglenook.models.sizes import describe_size

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_GONE: Final = frozenset({errno.ENOENT, errno.ESTALE, errno.ENODEV, errno.ENXIO, errno.ENOTCONN})


@contextlib.contextmanager
def open_part(part: Path) -> Iterator[int]:
    """Open the part for reading and writing, owner only; never through a link."""
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    try:
        part.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = os.open(part, flags, 0o600)
    except OSError as error:
        raise explain_disk(error) from error
    try:
        yield file
    except OSError as error:
        if error.errno is None:
            raise
        raise explain_disk(error) from error
    finally:
        os.close(file)


def check_place(part: Path, file: int) -> None:
    """Refuse to go on where the open part is not at its place any more: `StorageError` (gone)."""
    try:
        is_there = os.path.samestat(part.lstat(), os.fstat(file))
    except FileNotFoundError:
        is_there = False
    if not is_there:
        raise StorageError(
            "The models folder went away while the download was under way.",
            "Bring it back, or try again to begin anew.",
            code="gone",
        )


def check_space(folder: Path, missing_bytes: int, reserve_bytes: int) -> None:
    """Refuse what would fill the disk: `StorageError` (disk_full)."""
    free = shutil.disk_usage(folder).free
    if missing_bytes and free < missing_bytes + reserve_bytes:
        raise StorageError(
            f"The disk has {describe_size(free)} free; the download needs "
            f"{describe_size(missing_bytes)}, and {describe_size(reserve_bytes)} should stay free.",
            "Make room, then resume.",
            code="disk_full",
        )


def explain_disk(error: OSError) -> StorageError:
    """What a failure to write means."""
    if error.errno in _FULL:
        return StorageError(
            "The disk is full, so the download stands still. What is here already is kept.",
            "Make room, then resume.",
            code="disk_full",
        )
    if error.errno in _GONE:
        return StorageError(
            "The models folder is not there any more.",
            "Bring it back, then try again.",
            code="gone",
        )
    return StorageError(
        f"The models folder cannot be written to: {error.strerror or error}.",
        "Mend the folder's permissions, then try again.",
        code="not_writable",
    )
