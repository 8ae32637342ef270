"""The downloads' memory: one small file per download, so that a restart finds what was begun.

Used by `downloads.py` alone, under its lock. A journal is written whole and renamed, so it is the
old one or the new one, never half. Nothing in it becomes a path without `names.place_file`.
"""

import logging
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

from inglenook.base.whole_file import write_whole
from inglenook.models.hub_files import HubFile

log = logging.getLogger(__name__)

_FOLDER: Final = ".downloads"
_ORPHAN_AGE_S: Final = 7 * 24 * 3600
_MAX_BYTES: Final = 1 << 20


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One download as it is remembered. `file` is None until the hub has been asked."""

    id: str
    name: str
    file: HubFile | None = None
    is_paused: bool = False
    """Paused by a person, so it does not go on by itself after a restart."""
    takes_update: bool = False
    """A newer file of a model that is installed was asked for."""
    place: float = 0.0
    """Where it stands in the queue: the smallest goes first; 0.0 is where its age puts it."""


class Journal:
    """The folder of journals below the models folder.

    The models folder is made anew where it is gone and `makes_models` allows it: not where it may
    be on a disk that is not connected now.
    """

    def __init__(self, models: Path, *, makes_models: bool = False) -> None:
        self._models = models
        self._makes_models = makes_models
        self._folder = models / _FOLDER

    def write(self, entry: Entry) -> None:
        """Remember a download; raises `OSError` when it cannot be written."""
        self._folder.mkdir(mode=0o700, parents=self._makes_models, exist_ok=True)
        path = self._folder / f"{entry.id}.json"
        write_whole(path, msgspec.json.encode(entry))

    def forget(self, download_id: str) -> None:
        """A download is over."""
        (self._folder / f"{download_id}.json").unlink(missing_ok=True)

    def is_empty(self) -> bool:
        """Whether no download is remembered; a look into the folder, no more."""
        return next(self._folder.glob("*.json"), None) is None

    def read(self) -> tuple[tuple[Entry, ...], bool]:
        """All remembered downloads, oldest first, and whether every journal could be read."""
        entries: list[tuple[float, Entry]] = []
        is_whole = True
        for path in sorted(self._folder.glob("*.json")):
            try:
                info = path.lstat()
                if info.st_size > _MAX_BYTES:
                    raise ValueError("too large")  # noqa: TRY301
                entry = msgspec.json.decode(path.read_bytes(), type=Entry)
            except (OSError, ValueError, msgspec.MsgspecError):
                log.warning("a download's journal cannot be read: %s", path.name)
                is_whole = False
                continue
            if entry.id == path.stem:
                entries.append((entry.place or info.st_mtime, entry))
        entries.sort(key=lambda pair: pair[0])
        return tuple(entry for _, entry in entries), is_whole

    def sweep(self, owned: Iterable[Path]) -> int:
        """Delete parts that no download owns and that are older than seven days.

        Called only when every journal could be read: what cannot be read may own a part.
        """
        kept = set(owned)
        n_deleted = 0
        oldest = time.time() - _ORPHAN_AGE_S
        for pattern in (".*.part", ".*.part.lock", ".*.part.ranges", ".*.part.ranges.new"):
            for path in self._models.glob(f"*/*/**/{pattern}"):
                try:
                    is_old = path.lstat().st_mtime < oldest
                    if _name_part(path) not in kept and is_old:
                        path.unlink()
                        n_deleted += 1
                except OSError:
                    continue
        return n_deleted


def _name_part(path: Path) -> Path:
    """The part that a file beside it belongs to."""
    return path.with_name(path.name.partition(".part")[0] + ".part")
