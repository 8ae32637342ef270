"""Models that other apps have on this computer, looked at by our own header reader."""

import contextlib
import logging
import os
import time
from pathlib import Path
from typing import Final

import msgspec

from inglenook.base.errors import ModelError
from inglenook.base.records import ModelDefaults
from inglenook.models.adopted.candidates import AppName, Candidate, show
from inglenook.models.inspection import inspect_model
from inglenook.models.splits import list_parts

log = logging.getLogger(__name__)

_OWN_FORM: Final = "Ollama's own engine reads it; this version of Inglenook does not."
_NO_TEMPLATE: Final = (
    "Its file holds no chat template, and Ollama's is not used: replies may be poor."
)
_MAX_MEMORY_BYTES: Final = 32 << 20
_REST_S: Final = 0.01
"""After each header that was read anew: nobody waits for this, and others run in this process."""


class FoundModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model of another app. `id` is the one that it has once it is used here.

    `problem` is a sentence when it cannot be used, with its `code`; `notes` are sentences about
    what is different here.
    """

    id: str
    app: AppName
    name: str
    path: str
    size_bytes: int = 0
    architecture: str = ""
    quantisation: str = ""
    n_params: int = 0
    n_ctx_train: int = 0
    kv_bytes_per_token: int = 0
    licence: str = ""
    repo: str = ""
    sha256: str = ""
    aliases: tuple[str, ...] = ()
    defaults: ModelDefaults = ModelDefaults()
    notes: tuple[str, ...] = ()
    problem: str = ""
    code: str = ""


class _Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What a file's header told, as long as the file is the same."""

    stamp: tuple[tuple[int, int, int, int], ...]
    name: str = ""
    size_bytes: int = 0
    architecture: str = ""
    quantisation: str = ""
    n_params: int = 0
    n_ctx_train: int = 0
    kv_bytes_per_token: int = 0
    licence: str = ""
    has_template: bool = False
    problem: str = ""
    code: str = ""


class HeaderMemory:
    """Headers that were read before, in one file, so that looking again costs a `stat` each."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._kept: dict[str, _Facts] = {}
        self._used: set[str] = set()
        self._is_changed = False
        if path is not None:
            with contextlib.suppress(OSError, msgspec.MsgspecError, ValueError):
                if path.stat().st_size <= _MAX_MEMORY_BYTES:
                    self._kept = msgspec.json.decode(path.read_bytes(), type=dict[str, _Facts])

    def inspect(self, candidate: Candidate) -> _Facts:
        """What a candidate's file is, from memory where it has not changed."""
        key = str(candidate.path)
        stamp = _stamp(candidate.path)
        known = self._kept.get(key)
        self._used.add(key)
        if known is not None and stamp and known.stamp == stamp:
            return known
        facts = _read(candidate, stamp)
        time.sleep(_REST_S)
        self._kept[key] = facts
        self._is_changed = True
        return facts

    def save(self) -> None:
        """Keep what the last look used, and nothing else. A disk that refuses costs only time."""
        kept = {key: facts for key, facts in self._kept.items() if key in self._used}
        is_changed = self._is_changed or len(kept) != len(self._kept)
        self._kept, self._used, self._is_changed = kept, set(), False
        if self._path is None or not is_changed:
            return
        fresh = self._path.with_name(self._path.name + ".new")
        try:
            fresh.write_bytes(msgspec.json.encode(kept))
            fresh.replace(self._path)
        except OSError as error:
            log.info("what was found cannot be kept (errno %s)", error.errno)


def describe(candidate: Candidate, memory: HeaderMemory) -> FoundModel:
    """Look at a candidate's file and say what it is. Never raises for what it holds."""
    name = candidate.name
    model_id = candidate.key or f"file:{candidate.path}"
    if candidate.problem:
        return FoundModel(
            id=model_id,
            app=candidate.app,
            name=name or show(candidate.path.stem),
            path=str(candidate.path),
            size_bytes=_measure(candidate.path),
            problem=candidate.problem,
            code="not_usable",
        )
    facts = memory.inspect(candidate)
    notes = candidate.notes
    if candidate.app == "ollama" and not facts.has_template and not facts.problem:
        notes = (_NO_TEMPLATE, *(note for note in notes if "template" not in note))
    return FoundModel(
        id=model_id,
        app=candidate.app,
        name=name or show(facts.name) or show(candidate.path.stem),
        path=str(candidate.path),
        size_bytes=facts.size_bytes,
        architecture=facts.architecture,
        quantisation=facts.quantisation,
        n_params=facts.n_params,
        n_ctx_train=facts.n_ctx_train,
        kv_bytes_per_token=facts.kv_bytes_per_token,
        licence=show(facts.licence),
        repo=candidate.repo,
        sha256=candidate.sha256,
        aliases=candidate.aliases,
        defaults=candidate.defaults,
        notes=notes,
        problem=facts.problem,
        code=facts.code,
    )


def _read(candidate: Candidate, stamp: tuple[tuple[int, int, int, int], ...]) -> _Facts:
    name = candidate.name if candidate.app == "ollama" else ""
    try:
        inspection = inspect_model(candidate.path, name)
    except ModelError as error:
        problem = error.message
        if candidate.app == "ollama" and error.code == "unsupported_architecture":
            problem = _OWN_FORM
        return _Facts(
            stamp=stamp, size_bytes=_measure(candidate.path), problem=problem, code=error.code
        )
    header = inspection.header
    return _Facts(
        stamp=stamp,
        name=header.name,
        size_bytes=inspection.size_bytes,
        architecture=header.architecture,
        quantisation=header.quantisation,
        n_params=inspection.n_params,
        n_ctx_train=header.n_ctx_train,
        kv_bytes_per_token=header.kv_bytes_per_token,
        licence=header.licence,
        has_template=header.has_chat_template,
    )


def _stamp(path: Path) -> tuple[tuple[int, int, int, int], ...]:
    """What tells a file from another one in its place; of all parts. Empty when any is absent."""
    stamps = []
    try:
        for name in list_parts(path.name):
            info = path.with_name(name).stat()
            stamps.append((info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns))
    except (OSError, ValueError):
        return ()
    return tuple(stamps)


def _measure(path: Path) -> int:
    try:
        return path.stat().st_size if os.path.isfile(path) else 0  # noqa: PTH113  # no raise
    except OSError:
        return 0
