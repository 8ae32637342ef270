"""The built-in catalogue: the models that the app suggests, from `models.toml`.

`load_catalogue(path)` is called once by app, on any thread. The file ships with the app, so an
error in it is a bug of ours; a test checks every entry.
"""

import fnmatch
from functools import cached_property
from pathlib import Path
from typing import Final, Literal

import msgspec

from inglenook.base.errors import ModelError

type Mark = Literal["vision", "tools", "reasoning", "code", "languages"]

MARKS: Final[tuple[Mark, ...]] = ("vision", "tools", "reasoning", "code", "languages")
"""What people choose models by, here and on the hub."""


class CatalogueFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One quantisation of a model: which file of the repository, and about how large.

    `pattern` is a file name with `*` as in shells, matched without regard to case.
    """

    pattern: str
    quantisation: str
    size_bytes: int
    recommended: bool = False

    def matches(self, filename: str) -> bool:
        """Whether a file of the repository is this one."""
        return fnmatch.fnmatchcase(filename.lower(), self.pattern.lower())


class CatalogueEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One suggested model. `short_names` are what people type, `purpose` is one plain sentence.

    `n_active_params` is smaller than `n_params` for a mixture of experts. `strengths` are words
    like chat, code, reasoning, languages, small. `marks` are what the model can do beside
    reading and writing text. `languages` is a phrase for people.
    """

    id: str
    name: str
    maker: str
    repo: str
    files: tuple[CatalogueFile, ...]
    n_params: int
    n_ctx_train: int
    licence: str
    purpose: str
    n_active_params: int = 0
    strengths: tuple[str, ...] = ()
    marks: tuple[Literal["vision", "tools", "reasoning"], ...] = ()
    languages: str = ""
    short_names: tuple[str, ...] = ()

    @property
    def recommended(self) -> CatalogueFile:
        """The quantisation to suggest."""
        return next((file for file in self.files if file.recommended), self.files[0])

    @property
    def all_marks(self) -> tuple[Mark, ...]:
        """What it can do and what it is good at, in the words that the hub's filters use."""
        named = {*self.marks, *self.strengths}
        return tuple(mark for mark in MARKS if mark in named)

    def find_file(self, quantisation: str) -> CatalogueFile | None:
        """The file with a quantisation, by its name without regard to case."""
        wanted = quantisation.lower()
        return next((file for file in self.files if file.quantisation.lower() == wanted), None)


class Catalogue(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, dict=True):
    """All suggested models, in the file's order: smallest first."""

    entries: tuple[CatalogueEntry, ...]

    @cached_property
    def _by_name(self) -> dict[str, CatalogueEntry]:
        names: dict[str, CatalogueEntry] = {}
        for entry in self.entries:
            for name in (entry.id, entry.name, *entry.short_names):
                names.setdefault(name.casefold(), entry)
        return names

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Every short name and id, for suggestions."""
        return tuple(name for entry in self.entries for name in (*entry.short_names, entry.id))

    def find(self, name: str) -> CatalogueEntry | None:
        """The entry with an id, a name or a short name, without regard to case."""
        return self._by_name.get(name.strip().casefold())

    def find_repo(self, repo: str) -> CatalogueEntry | None:
        """The entry that is downloaded from a repository."""
        wanted = repo.casefold()
        return next((entry for entry in self.entries if entry.repo.casefold() == wanted), None)


def load_catalogue(path: Path) -> Catalogue:
    """Read `models.toml`. Raises `ModelError` when it is missing or does not fit the schema."""
    try:
        return msgspec.toml.decode(path.read_bytes(), type=Catalogue)
    except (OSError, msgspec.MsgspecError) as error:
        raise ModelError(
            f"The list of suggested models cannot be read: {error}.", "Install Inglenook again."
        ) from error
