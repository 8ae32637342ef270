"""Whether a model's file is still as it was downloaded or brought in, read when a person asks.

Called on worker threads. Every byte is read: a remembered hash would not notice a disk that fails,
for a flipped bit changes neither size nor time. What a file should hold is known from the hub, from
the copy that was made here, or from the first time it was checked.
"""

import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, Literal

import msgspec

from inglenook.base.errors import ModelError
from inglenook.base.records import InstalledModel, now
from inglenook.models.adopted.candidates import APP_TITLES
from inglenook.models.hashing import hash_file
from inglenook.models.inspection import inspect_model
from inglenook.models.library import BUILTIN_ID, Library
from inglenook.models.names import split_hashes

_DAMAGE: Final = frozenset(
    {"truncated", "bad_header", "not_gguf", "unsupported_version", "wrong_part"}
)
_MAX_MEMORY_BYTES: Final = 4 << 20

type Outcome = Literal["intact", "damaged", "remembered", "read"]


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What a check found. `sha256` is hex, one for each file of the model, in order.

    intact: as it should be. damaged: not so, and the model is marked. remembered: nothing was known
    of how it should be; the next check compares with this one. read: the same for the built-in
    model, which comes with each version.
    """

    model_id: str
    outcome: Outcome
    message: str
    sha256: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Checking:
    """How far a check is, in bytes."""

    done_bytes: int
    size_bytes: int


class _Seen(msgspec.Struct, frozen=True):
    """What an earlier check read, of the record that was added then; and the mark it left."""

    added_at: datetime
    checked_at: datetime
    sha256: tuple[str, ...] = ()
    mark: str = ""


class Verifier:
    """Checks files and marks what is damaged. `memory` keeps what first checks read."""

    def __init__(self, library: Library, memory: Path) -> None:
        self._library = library
        self._memory = memory

    def verify(
        self,
        model_id: str,
        tell: Callable[[Checking], None] = lambda _: None,
        stop: threading.Event | None = None,
    ) -> Verdict:
        """Read a model's files and compare; a damaged one is marked, a mark of ours is taken back.

        Raises `ModelError` (unknown_model, missing, no_permission, unreadable), or
        `StoppedWorkError` when stopped; then nothing is changed.
        """
        model = self._library.find(model_id)
        try:
            inspection = inspect_model(model.path)
        except ModelError as error:
            if error.code not in _DAMAGE:
                raise
            return self._mark_damaged(model, f"{error.message} {_fix(model)}", ())
        stop = stop or threading.Event()
        done = 0

        def count(n_bytes: int) -> None:
            nonlocal done
            done += n_bytes
            tell(Checking(min(done, inspection.size_bytes), inspection.size_bytes))

        read = tuple(hash_file(path, count, stop) for path in inspection.paths)
        wanted, since = self._find_wanted(model, len(read))
        if any(w and w != r for w, r in zip(wanted, read, strict=True)):
            return self._tell_damaged(model, read, since)
        self._take_back(model)
        if not all(wanted):
            self._remember(model, read=read)
        return self._tell_intact(model, read, since, knows_all=all(wanted))

    def _find_wanted(
        self, model: InstalledModel, n_files: int
    ) -> tuple[list[str], datetime | None]:
        """What each file should hold, "" where unknown; and when that was read, if by a check."""
        wanted = [""] * n_files
        seen = self._load().get(model.id)
        since = None
        if seen and seen.added_at == model.added_at and len(seen.sha256) == n_files:
            wanted, since = list(seen.sha256), seen.checked_at
        hashes = split_hashes(model.sha256)
        if len(hashes) == n_files:
            return list(hashes), None
        if hashes:
            wanted[0] = hashes[0]  # Of another app's model, whose first file alone it told.
        return wanted, since

    def _tell_damaged(
        self, model: InstalledModel, read: tuple[str, ...], since: datetime | None
    ) -> Verdict:
        mark = f"The file is damaged: it is not {_name_past(model, since)}. {_fix(model)}"
        return self._mark_damaged(model, mark, read)

    def _mark_damaged(self, model: InstalledModel, mark: str, read: tuple[str, ...]) -> Verdict:
        self._remember(model, mark=mark)
        self._library.mark_problem(model.id, mark)
        return Verdict(
            model_id=model.id, outcome="damaged", message=f"{model.name}: {mark}", sha256=read
        )

    def _tell_intact(
        self,
        model: InstalledModel,
        read: tuple[str, ...],
        since: datetime | None,
        *,
        knows_all: bool,
    ) -> Verdict:
        if not knows_all and model.id == BUILTIN_ID:
            message = f"{model.name} was read to its end without an error."
            return Verdict(model_id=model.id, outcome="read", message=message, sha256=read)
        if not knows_all:
            message = (
                f"{model.name} was read without an error. How it should be is not known, so this "
                "check is remembered, and the next one compares with it."
            )
            return Verdict(model_id=model.id, outcome="remembered", message=message, sha256=read)
        message = f"{model.name} is {_name_past(model, since)}."
        return Verdict(model_id=model.id, outcome="intact", message=message, sha256=read)

    def _load(self) -> dict[str, _Seen]:
        with contextlib.suppress(OSError, msgspec.MsgspecError, ValueError):
            if self._memory.stat().st_size <= _MAX_MEMORY_BYTES:
                return msgspec.json.decode(self._memory.read_bytes(), type=dict[str, _Seen])
        return {}

    def _take_back(self, model: InstalledModel) -> None:
        """Take back a mark that an earlier check left; one that the engine left stays."""
        seen = self._load().get(model.id)
        if seen and seen.mark:
            self._remember(model)
            if model.problem == seen.mark:
                self._library.mark_problem(model.id, "")

    def _remember(
        self, model: InstalledModel, *, read: tuple[str, ...] = (), mark: str = ""
    ) -> None:
        """Keep what was read, or the mark; of what was removed meanwhile nothing stays.

        The built-in model comes with each version, so nothing of it is held against the next.
        """
        known = {m.id for m in self._library.list()} - {BUILTIN_ID}
        memory = self._load()
        before = memory.get(model.id)
        if before is not None and before.added_at == model.added_at and not read:
            fresh = msgspec.structs.replace(before, mark=mark)
        else:
            fresh = _Seen(model.added_at, now(), read, mark)
        kept = {k: seen for k, seen in {**memory, model.id: fresh}.items() if k in known}
        part = self._memory.with_name(self._memory.name + ".new")
        with contextlib.suppress(OSError):
            part.write_bytes(msgspec.json.encode(kept))
            part.replace(self._memory)


def _name_past(model: InstalledModel, since: datetime | None) -> str:
    if since is not None:
        return f"as it was on {since.astimezone():%d %B %Y}"
    return {"hub": "as it was downloaded", "copy": "as it was brought in"}.get(
        model.origin, "as the one who made it says"
    )


def _fix(model: InstalledModel) -> str:
    """What a person does with a damaged file."""
    if model.source not in {"", "folder"}:
        return f"Download it again with {APP_TITLES.get(model.source, 'the app that keeps it')}."
    if model.origin == "hub":
        return "Remove it and download it again."
    if model.origin == "copy":
        return "Remove it and bring in a good copy."
    return "Install Inglenook again." if model.origin == "builtin" else "Bring in a good copy."
