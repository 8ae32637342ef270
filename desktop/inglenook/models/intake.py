"""Brings a model file into the models folder: copied or moved; whole and verified, or not at all.

Called on a worker thread, with an event that stops it. A copy costs no space where the file system
can share it: by a clone of its blocks, else by a second name for the same file. Else the bytes are
copied into a `.part` file, which a later try goes on with, read back, compared, and renamed.
"""

import contextlib
import os
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal

from inglenook.base.errors import ModelError, StorageError
from inglenook.base.records import InstalledModel
from inglenook.models.adopted.candidates import APP_TITLES
from inglenook.models.inspection import inspect_model
from inglenook.models.library import Library
from inglenook.models.names import is_safe_filename, join_hashes, place_file
from inglenook.models.placing import Bringing, Placing, explain_placing, sync_folder
from inglenook.models.reading import show_name
from inglenook.models.splits import name_part, parse_part

type Way = Literal["in_place", "copy", "move"]

OWNER: Final = "imported"
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._-]+")


class Intake:
    """Copies and moves into one profile's models folder.

    `find_owner` names the app that a path belongs to, "" for none: nothing of another app is moved.
    """

    def __init__(
        self,
        models: Path,
        library: Library,
        find_owner: Callable[[Path], str],
        *,
        may_share: bool = True,
    ) -> None:
        self._models = models
        self._library = library
        self._find_owner = find_owner
        self._may_share = may_share

    def bring_in(
        self,
        path: Path,
        way: Way,
        tell: Callable[[Bringing], None] = lambda _: None,
        stop: threading.Event | None = None,
    ) -> InstalledModel:
        """Bring a model in; a model that is in the models folder already is only listed.

        Raises `ModelError`, `StorageError` (disk_full, not_writable, unverified, not_ours), or
        `StoppedWorkError`; then what was there before is as it was.
        """
        if way == "in_place":
            return self._library.import_file(path)
        path = Path(os.path.abspath(path.expanduser()))  # noqa: PTH100  # keeps links
        if way == "move":
            self._check_owner(path)
        inspection = inspect_model(path)
        if path.resolve().is_relative_to(self._models.resolve()):
            return self._library.import_file(path)
        if not self._models.is_dir():
            raise StorageError(
                f"The models folder {self._models} is not there.",
                "Connect its disk, then try again.",
                code="gone",
            )
        targets = self._choose_targets(inspection.paths)
        work = Placing(
            inspection.size_bytes, tell, stop or threading.Event(), may_share=self._may_share
        )
        placed: list[Path] = []
        try:
            targets[0].parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            hashes = []
            for source, target in zip(inspection.paths, targets, strict=True):
                hashes.append(work.place(Path(os.path.realpath(source)), target))
                placed.append(target)
            sync_folder(targets[0].parent)
            model = self._library.add_copy(targets[0], join_hashes(hashes))
        except OSError as error:
            _take_back(placed)
            raise explain_placing(error) from error
        except BaseException:
            _take_back(placed)
            raise
        if way == "move":
            self._forget_old(inspection.paths)
        return model

    def _check_owner(self, path: Path) -> None:
        if owner := self._find_owner(path) or self._find_owner(Path(os.path.realpath(path))):
            raise StorageError(
                f"{show_name(path)} belongs to {APP_TITLES.get(owner, owner)}, so it is not moved.",
                "Use it where it is, or copy it.",
                code="not_ours",
            )

    def _choose_targets(self, sources: tuple[Path, ...]) -> tuple[Path, ...]:
        """Where the parts go: a folder of their own, in which nothing has their names."""
        folder = _clean_stem(sources[0])
        for number in range(1, 1000):
            repo = f"{OWNER}/{folder}" + (f"-{number}" if number > 1 else "")
            targets = tuple(self._place(repo, source) for source in sources)
            if not any(os.path.lexists(target) for target in targets):
                return targets
        raise StorageError("The models folder holds too many of that name.", code="disk_full")

    def _place(self, repo: str, source: Path) -> Path:
        try:
            return place_file(self._models, repo, source.name)
        except ModelError:
            part, stem = parse_part(source.name), _clean_stem(source)
            name = name_part(stem, part[1], part[2]) if part else f"{stem}.gguf"
            return place_file(self._models, repo, name)

    def _forget_old(self, sources: tuple[Path, ...]) -> None:
        """Take the moved files away from where they were, and the record that pointed there."""
        for source in sources:
            with contextlib.suppress(OSError):
                if not source.is_symlink():
                    source.unlink()
        with contextlib.suppress(ModelError, StorageError):
            self._library.remove(f"file:{sources[0]}")


def _clean_stem(path: Path) -> str:
    """A file's name without its ending, made of what is harmless as a name everywhere."""
    part = parse_part(path.name)
    stem = part[0] if part else path.stem
    clean = _UNSAFE.sub("-", stem.encode("ascii", "replace").decode())
    clean = re.sub(r"\.{2,}", ".", clean)[:60].strip("-._")
    return clean if is_safe_filename(f"{clean}.gguf") else f"model-{clean}".strip("-._")


def _take_back(placed: list[Path]) -> None:
    """Undo what was placed of a model that did not come in whole; its sources are still there."""
    for target in placed:
        with contextlib.suppress(OSError):
            target.unlink()
