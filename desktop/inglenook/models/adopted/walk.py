"""Walks a folder of another app: bounded, without following links out of it, never for ever.

Links to folders are not followed at all, so there are no loops; links to files are followed where
their target lies in the same folder. Whatever is left out is told in a sentence.
"""

import contextlib
import os
import stat
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from inglenook.base.errors import ModelError
from inglenook.models.adopted.candidates import AppName, Candidate, Listing, show
from inglenook.models.reading import open_model_file
from inglenook.models.splits import name_part, parse_part


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of one place is looked at."""

    n_entries: int = 200_000
    n_files: int = 20_000
    depth: int = 10
    seconds: float = 20.0


LIMITS: Final = Limits()
SUFFIX: Final = ".gguf"


def list_files(
    root: Path, wanted: Callable[[str], bool], limits: Limits = LIMITS
) -> tuple[list[Path], tuple[str, ...]]:
    """The ordinary files below `root` whose name is wanted, in order, and what was left out."""
    walk = _Walk(root, wanted, limits)
    walk.run()
    return sorted(walk.files), walk.describe()


class _Walk:
    def __init__(self, root: Path, wanted: Callable[[str], bool], limits: Limits) -> None:
        self.files: list[Path] = []
        self._root = root
        self._real_root = Path(os.path.realpath(root))
        self._wanted = wanted
        self._limits = limits
        self._n_entries = 0
        self._left_out: Counter[str] = Counter()
        self._stopped = ""
        self._deadline_s = time.monotonic() + limits.seconds

    def run(self) -> None:
        waiting = [(self._root, 0)]
        while waiting and not self._stopped:
            folder, depth = waiting.pop()
            try:
                with os.scandir(folder) as entries:
                    for entry in entries:
                        if self._is_enough():
                            break
                        if self._look_at(entry):
                            waiting.append((folder / entry.name, depth + 1))
            except FileNotFoundError:
                continue
            except OSError:
                self._left_out["unreadable"] += 1
            if depth + 1 >= self._limits.depth:
                n_deeper = len(waiting)
                waiting = [pair for pair in waiting if pair[1] <= depth]
                self._left_out["deep"] += n_deeper - len(waiting)

    def _is_enough(self) -> bool:
        self._n_entries += 1
        if self._n_entries > self._limits.n_entries or len(self.files) >= self._limits.n_files:
            self._stopped = "it holds too many files"
        elif not self._n_entries % 256 and time.monotonic() > self._deadline_s:
            self._stopped = "it takes too long"
        return bool(self._stopped)

    def _look_at(self, entry: "os.DirEntry[str]") -> bool:
        """Keep a wanted file; returns whether the entry is a folder to go into."""
        try:
            entry.name.encode("utf-8")
        except UnicodeEncodeError:
            self._left_out["names"] += 1
            return False
        try:
            if entry.is_dir(follow_symlinks=False):
                return not entry.name.startswith(".")
            if not self._wanted(entry.name):
                if entry.is_symlink() and entry.is_dir():
                    self._left_out["links"] += 1
                return False
            if entry.is_symlink() and find_inside(self._root / entry.path, self._real_root) is None:
                self._left_out["links"] += 1
            elif entry.is_file():
                self.files.append(Path(entry.path))
        except OSError:
            self._left_out["unreadable"] += 1
        return False

    def describe(self) -> tuple[str, ...]:
        name = show(self._root.name) or "/"
        told = {
            "unreadable": "{n} of the folders and files in {name} may not be read by you.",
            "links": "{n} links in {name} lead out of it or nowhere, and are not followed.",
            "names": "{n} names in {name} hold bytes that are not text.",
            "deep": "{n} folders in {name} lie too deep to be looked at.",
        }
        remarks = [
            told[what].replace("{n}", f"{n:,}").replace("{name}", name)
            for what, n in self._left_out.items()
            if n
        ]
        if self._stopped:
            remarks.append(f"Not all of {name} was looked at: {self._stopped}.")
        return tuple(remarks)


def find_inside(path: Path, real_root: Path) -> Path | None:
    """Where a file really lies, if that is an existing place below `real_root`; else None."""
    try:
        real = Path(os.path.realpath(path, strict=True))
    except (OSError, ValueError):
        return None
    return real if real.is_relative_to(real_root) else None


def read_small(path: Path, limit: int) -> bytes | None:
    """The whole of an ordinary file of at most `limit` bytes; None for anything else."""
    with contextlib.suppress(OSError, ModelError):
        descriptor = open_model_file(path)
        try:
            info = os.fstat(descriptor)
            if stat.S_ISREG(info.st_mode) and info.st_size <= limit:
                data = os.read(descriptor, limit + 1)
                return data if len(data) <= limit else None
        finally:
            os.close(descriptor)
    return None


def is_gguf_name(name: str) -> bool:
    """Whether a file's name is that of a model."""
    return name[-len(SUFFIX) :].lower() == SUFFIX


def join_parts(files: Iterable[Path]) -> list[tuple[Path, str]]:
    """One path for each model, the first part of a split one; a sentence where that is missing."""
    whole: list[tuple[Path, str]] = []
    split: dict[tuple[Path, str, int], list[Path]] = {}
    for path in files:
        part = parse_part(path.name)
        if part is None:
            whole.append((path, ""))
        else:
            split.setdefault((path.parent, part[0], part[2]), []).append(path)
    for (folder, stem, count), parts in split.items():
        first = folder / name_part(stem, 1, count)
        if first in parts:
            whole.append((first, ""))
        else:
            whole.append((min(parts), f"Part 1 of {count} is missing: {show(first.name)}."))
    return sorted(whole)


def list_models(root: Path, app: AppName, limits: Limits = LIMITS) -> Listing:
    """Every .gguf file below a folder as a candidate."""
    files, remarks = list_files(root, is_gguf_name, limits)
    candidates = (Candidate(app, path, problem=problem) for path, problem in join_parts(files))
    return Listing(tuple(candidates), remarks)
