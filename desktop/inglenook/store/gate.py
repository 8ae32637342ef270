"""One writer at a time, over all processes on one profile, and who of them still lives.

WORKAROUND: SQLite 3.7.0 to 3.51.2 can, rarely, damage a database when two connections write and
checkpoint at the same instant (https://sqlite.org/wal.html, "The WAL-Reset Bug"). Every write and
every checkpoint of this app, in the window or in a command beside it, happens inside the gate.
"""

import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from inglenook.base.errors import StorageError

_POLL_S: Final = 0.005
_TOKEN: Final = re.compile("[0-9a-f]{32}")


class Gate:
    """A lock file beside the database; the system frees it when its holder dies."""

    def __init__(self, path: Path) -> None:
        self._lock = FileLock(path, mode=0o600, thread_local=False)

    @contextmanager
    def hold(self, wait_s: float) -> Iterator[None]:
        """Hold the gate inside; `StorageError` (busy) when others hold it for `wait_s`."""
        try:
            self._lock.acquire(timeout=wait_s, poll_interval=_POLL_S)
        except Timeout as error:
            raise StorageError(
                "Another Inglenook is writing to the database of conversations.",
                "Try again in a moment.",
                code="busy",
            ) from error
        except OSError as error:
            raise explain_refused_folder() from error
        try:
            yield
        finally:
            self._lock.release()


class Presence:
    """This process's sign of life: a locked file named by a random token.

    A message that is being written names the token of its writer. Ids of processes are used again
    by the system, and a clock can jump; a lock that the system frees at death does neither.

    It is made and asked about inside the gate: a file that is there and not locked yet would look
    like that of a dead process, and be removed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.token = uuid.uuid4().hex
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = FileLock(folder / self.token, mode=0o600, thread_local=False)
        self._lock.acquire(timeout=0)

    def is_alive(self, token: str) -> bool:
        """Whether the process with this token still runs; removes the file of one that does not."""
        if token == self.token:
            return True
        path = self._folder / token
        if not _TOKEN.fullmatch(token) or not path.is_file():
            return False
        probe = FileLock(path, thread_local=False)
        try:
            probe.acquire(timeout=0)
        except Timeout:
            return True
        except OSError:
            return False
        with suppress(OSError):
            path.unlink()
        probe.release()
        return False

    def sweep(self) -> None:
        """Remove the files of processes that ended without a goodbye."""
        for path in self._folder.iterdir():
            self.is_alive(path.name)

    def close(self) -> None:
        """Say goodbye; idempotent."""
        with suppress(OSError):
            (self._folder / self.token).unlink()
        self._lock.release()


def explain_refused_folder() -> StorageError:
    """Make the `StorageError` (io) for a data folder that takes no file."""
    return StorageError(
        "The data folder cannot be written.",
        "See whether it exists, is yours and has space left.",
        code="io",
    )
