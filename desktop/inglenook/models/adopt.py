"""`Neighbours`: the models that other apps on this computer have, found and used in place.

Owned by app; called by the command line, and through the task runner by the window. Nothing of
another app is ever written, moved or deleted; using a model adds a record, forgetting it takes the
record away. No model is used or loaded that a person did not choose.
"""

import logging
import os
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

import msgspec

from inglenook.base.errors import ModelError
from inglenook.base.records import InstalledModel
from inglenook.models.adopted.candidates import Candidate, Listing, Place
from inglenook.models.adopted.folders import (
    find_folder,
    find_gpt4all,
    find_llama_cpp,
    find_lm_studio,
)
from inglenook.models.adopted.found import FoundModel, HeaderMemory, describe
from inglenook.models.adopted.hugging_face import find_hugging_face
from inglenook.models.adopted.jan import find_jan
from inglenook.models.adopted.ollama import find_ollama
from inglenook.models.library import Library

log = logging.getLogger(__name__)

MAX_FOUND: Final = 2_000

_FINDERS: Final[dict[str, Callable[[Path], Listing]]] = {
    "ollama": find_ollama,
    "lm_studio": find_lm_studio,
    "jan": find_jan,
    "gpt4all": find_gpt4all,
    "llama_cpp": find_llama_cpp,
    "hugging_face": find_hugging_face,
    "folder": find_folder,
}


class Findings(msgspec.Struct, frozen=True, kw_only=True):
    """What one look found. `models` are those that are not used here yet.

    `unusable` are those that cannot be, each with its sentence in `problem`; `remarks` tell of
    what could not be looked at; `folders` are where something was found or may come to be.
    """

    models: tuple[FoundModel, ...] = ()
    unusable: tuple[FoundModel, ...] = ()
    remarks: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()


class Neighbours:
    """Looks around, and takes into the library what a person chooses. Thread-safe."""

    def __init__(
        self, library: Library, places: Callable[[], Iterable[Place]], memory: Path | None = None
    ) -> None:
        self._library = library
        self._places = places
        self._memory = HeaderMemory(memory)
        self._lock = threading.Lock()

    def look(self) -> Findings:
        """Look around once; models in use whose app has another file for them now follow it."""
        with self._lock:
            found, remarks, folders = self._look()
            self._memory.save()
        return self._sort(found, remarks, folders)

    def adopt(self, model_id: str) -> InstalledModel:
        """Use one of the found models, by its id or name. Raises `ModelError`."""
        findings = self.look()
        wanted = model_id.casefold()
        for found in (*findings.models, *findings.unusable):
            names = (found.id, found.name, *found.aliases)
            if wanted in {name.casefold() for name in names}:
                return self._library.adopt(found)
        known = next((m for m in self._library.list() if m.id == model_id and m.source), None)
        if known is not None:
            return known
        raise ModelError(
            "No other app has a model of that name.",
            "See what was found with: inglenook adopt",
            code="unknown_model",
        )

    def adopt_all(self) -> tuple[InstalledModel, ...]:
        """Use everything that was found and can be used; what vanished meanwhile is left out."""
        adopted = []
        for found in self.look().models:
            try:
                adopted.append(self._library.adopt(found))
            except ModelError as error:
                log.info("a found model cannot be used after all (%s)", error.code)
        return tuple(adopted)

    def has(self, name: str) -> FoundModel | None:
        """The found model of a name, for a hint; None when there is none."""
        wanted = name.strip().casefold()
        for found in self.look().models:
            if wanted in {alias.casefold() for alias in (found.name, *found.aliases)}:
                return found
        return None

    def _look(self) -> tuple[list[FoundModel], list[str], list[str]]:
        found: list[FoundModel] = []
        remarks: list[str] = []
        folders: list[str] = []
        seen: set[str] = set()
        for place in self._places():
            listing = _FINDERS[place.app](place.folder)
            remarks += listing.remarks
            folders.append(str(place.folder))
            for candidate in listing.candidates:
                if len(found) >= MAX_FOUND:
                    remarks.append(f"More than {MAX_FOUND:,} models were found; the rest is not.")
                    return found, remarks, folders
                if _is_new(candidate, seen):
                    found.append(describe(candidate, self._memory))
        return found, remarks, folders

    def _sort(self, found: list[FoundModel], remarks: list[str], folders: list[str]) -> Findings:
        used = {model.id: model for model in self._library.list()}
        paths = {os.path.realpath(model.path) for model in used.values()}
        models: list[FoundModel] = []
        unusable: list[FoundModel] = []
        for each in found:
            if (known := used.get(each.id)) is not None:
                self._follow(known, each)
            elif each.problem:
                unusable.append(each)
            elif os.path.realpath(each.path) not in paths:
                models.append(each)
        watched = dict.fromkeys([*folders, *(str(Path(each.path).parent) for each in found)])
        return Findings(
            models=tuple(models),
            unusable=tuple(unusable),
            remarks=tuple(dict.fromkeys(remarks)),
            folders=tuple(watched),
        )

    def _follow(self, known: InstalledModel, found: FoundModel) -> None:
        """A model that is used here has another file now: an update in the other app."""
        is_same = known.path == found.path and known.size_bytes == found.size_bytes
        if not known.source or found.problem or (is_same and known.defaults == found.defaults):
            return
        try:
            self._library.adopt(found)
            log.info("a model follows its file in another app")
        except ModelError as error:
            log.info("a model cannot follow its file in another app (%s)", error.code)


def _is_new(candidate: Candidate, seen: set[str]) -> bool:
    """Whether this file, or this name of Ollama's, has not come up before."""
    marks = {candidate.key} if candidate.key else {os.path.realpath(candidate.path)}
    if candidate.key and not candidate.problem:
        # Two names for one blob are two models; a blob in two folders of one name is one.
        seen.add(os.path.realpath(candidate.path))
    is_new = not marks & seen
    seen |= marks
    return is_new
