"""Moves the models folder to another place, such as another disk, while everything goes on working.

All files are first put at the new place, shared or copied and verified; until then nothing of the
old place changes, and a later try goes on where this one was. Then the records point to the new
place, and at last the old files are deleted, each only while its twin is there. Called on a worker
thread.
"""

import contextlib
import logging
import os
import shutil
import stat
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import msgspec
from filelock import FileLock, Timeout

from inglenook.base.errors import StorageError
from inglenook.base.models_folder import read_models_folder, write_models_folder
from inglenook.base.paths import Profile
from inglenook.models.hashing import stamp_file
from inglenook.models.library import Library
from inglenook.models.placing import Bringing, Placing, explain_placing, sync_folder
from inglenook.models.sizes import describe_size

log = logging.getLogger(__name__)

_SUFFIX: Final = ".moving"
_RESERVE_BYTES: Final = 200_000_000
_LOCK: Final = ".part.lock"
_SLACK_NS: Final = 2_000_000_000
"""Some file systems keep the time of a file only to two seconds."""


class FolderMove:
    """One move of a profile's models, remembered in its data folder."""

    def __init__(self, profile: Profile, library: Library) -> None:
        self._profile = profile
        self._library = library

    def run(
        self,
        target: Path,
        tell: Callable[[Bringing], None],
        stop: threading.Event,
        use: Callable[[Path], None],
    ) -> None:
        """Move everything; `use` is called when all is at the new place.

        Raises `StorageError` (gone, bad_folder, not_writable, busy, disk_full, unverified, taken)
        or `StoppedWorkError`; then the models are where they were.
        """
        models = self._profile.models
        check_target(models, target)
        self._note(target=str(target))
        copy_folder(models, target, tell, stop)
        chosen = "" if target == self._profile.own_models else str(target)
        self._note(folder=chosen, target="", left=str(models))
        use(target)
        self._profile = replace(self._profile, models=target)
        self.finish()

    def finish(self) -> None:
        """After a move, or a crash in it: the records follow, and the old files go.

        A model in use stays in memory; its next prompt loads it from its new place. Where a file
        in use cannot be deleted, the next start does it. Raises `StorageError`.
        """
        models = self._profile.models
        left = read_models_folder(self._profile.data).left
        if not left or not models.is_dir():
            return
        self._library.follow(Path(left), models)
        if clear_folder(Path(left), models):
            self._note(left="")
            log.info("the models folder was moved")

    def _note(self, **changes: str) -> None:
        data = self._profile.data
        try:
            write_models_folder(data, msgspec.structs.replace(read_models_folder(data), **changes))
        except OSError as error:
            raise StorageError(
                f"The data folder cannot be written to: {error.strerror or error}.",
                "Mend its permissions, or make room, then try again.",
                code="not_writable",
            ) from error


def check_target(models: Path, target: Path) -> None:
    """Refuse a place that models cannot move to: `StorageError` (bad_folder, not_writable, busy).

    It may hold what an earlier try left; whatever else it holds stays as it is.
    """
    old, new = models.resolve(), target.resolve()
    if not models.is_dir():
        raise StorageError(
            f"The models folder {models} is not there.",
            "Connect its disk, then try again.",
            code="gone",
        )
    if new == old:
        raise StorageError("The models are there already.", code="bad_folder")
    if new.is_relative_to(old) or old.is_relative_to(new):
        raise StorageError(
            "One of the two folders is inside the other.",
            "Choose a folder beside it, or on another disk.",
            code="bad_folder",
        )
    try:
        target.mkdir(mode=0o700, parents=True, exist_ok=True)
        probe = target / f".inglenook{_SUFFIX}"
        probe.touch(mode=0o600)
        probe.unlink()
    except OSError as error:
        raise StorageError(
            f"The folder {target} cannot be written to: {error.strerror or error}.",
            "Choose another folder.",
            code="not_writable",
        ) from error
    for lock in models.glob(f"*/*/**/.*{_LOCK}"):
        _check_unused(lock)


def copy_folder(
    models: Path, target: Path, tell: Callable[[Bringing], None], stop: threading.Event
) -> None:
    """Put every file at the new place; what is there already, and the same, is left alone.

    Raises `StorageError` (disk_full, not_writable, unverified, taken) or `StoppedWorkError`.
    """
    files = [path for path in _list_files(models) if not _is_there(models, target, path)]
    size_bytes = sum(path.stat().st_size for path in files)
    _check_space(models, target, size_bytes)
    work = Placing(size_bytes, tell, stop, suffix=_SUFFIX)
    try:
        for source in files:
            place = target / source.relative_to(models)
            is_ours = any(name.startswith(".") for name in source.relative_to(models).parts)
            if os.path.lexists(place) and not is_ours:
                raise StorageError(
                    f"There is another file at {place}.",
                    "Choose an empty folder, or take that file away.",
                    code="taken",
                )
            place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            place.unlink(missing_ok=True)  # An older journal or part of a download.
            work.place(source, place)
            sync_folder(place.parent)
    except OSError as error:
        raise explain_placing(error) from error


def clear_folder(models: Path, target: Path) -> bool:
    """Delete the old files whose twins are at the new place; whether all of those could go."""
    is_clear = True
    for path in list(_list_files(models)):
        if _is_there(models, target, path):
            try:
                path.unlink()
            except OSError:
                is_clear = False
    for folder, _, _ in os.walk(models, topdown=False):
        with contextlib.suppress(OSError):
            Path(folder).rmdir()  # Only where it is empty.
    return is_clear


def _list_files(models: Path) -> Iterator[Path]:
    """All files of the models folder, but for locks and what unfinished work of our own left."""
    for folder, folders, names in os.walk(models):
        folders.sort()
        for name in sorted(names):
            path = Path(folder, name)
            if name.endswith((_LOCK, _SUFFIX)) or not stat.S_ISREG(path.lstat().st_mode):
                continue
            yield path


def _is_there(models: Path, target: Path, path: Path) -> bool:
    """Whether a file is at the new place: the same one, or a copy of as long and as old a one.

    A copy gets its name and its time only when it has been verified.
    """
    twin = stamp_file(target / path.relative_to(models))
    own = stamp_file(path)
    if twin is None or own is None:
        return False
    return twin[:2] == own[:2] or (twin[2] == own[2] and abs(twin[3] - own[3]) <= _SLACK_NS)


def _check_space(models: Path, target: Path, size_bytes: int) -> None:
    if models.stat().st_dev == target.stat().st_dev:
        return  # Most file systems share; where this one cannot, each copy looks for itself.
    free = shutil.disk_usage(target).free
    if size_bytes + _RESERVE_BYTES > free:
        raise StorageError(
            f"There is not enough space: {describe_size(size_bytes)} are needed and "
            f"{describe_size(free)} are free.",
            "Free some space there, or choose another disk.",
            code="disk_full",
        )


def _check_unused(path: Path) -> None:
    """Refuse while another process downloads into the folder."""
    lock = FileLock(path, timeout=0, mode=0o600)
    try:
        lock.acquire()
    except Timeout as error:
        raise StorageError(
            "A download is under way.", "Pause it, or wait for its end.", code="busy"
        ) from error
    except OSError:
        return
    lock.release()
