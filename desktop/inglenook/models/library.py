"""The models on this disk: list, find by any name people type, import, forget, delete.

Owned by app; called by the command line and through the task runner by the window, on any thread
but the window's. The index is the store's table of models, handed in: siblings do not import each
other. Files are looked at with a `stat` when listed and by their header when added.
"""

import contextlib
import difflib
import logging
import os
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, Protocol

import msgspec

from inglenook.base.errors import ModelError, StorageError
from inglenook.base.paths import Profile
from inglenook.base.records import InstalledModel, now
from inglenook.models.adopted.candidates import APP_TITLES
from inglenook.models.adopted.found import FoundModel
from inglenook.models.catalogue import Catalogue, CatalogueEntry
from inglenook.models.events import ModelsChanged
from inglenook.models.inspection import Inspection, inspect_model
from inglenook.models.reading import show_name
from inglenook.models.splits import list_parts

log = logging.getLogger(__name__)

BUILTIN_ID: Final = "builtin/guide"
FILE_PREFIX: Final = "file:"
_MAX_NAME: Final = 80
_NEAR: Final = 0.6


def _have_none() -> Catalogue:
    return Catalogue(entries=())


class ModelIndex(Protocol):
    """Where records of installed models are kept: the store."""

    def list_models(self) -> tuple[InstalledModel, ...]:
        """All records."""
        ...

    def put_model(self, model: InstalledModel, /) -> None:
        """Add or replace the record with this id."""
        ...

    def remove_model(self, model_id: str, /) -> None:
        """Forget the record with this id."""
        ...


class Library:
    """All models that can be used now. Thread-safe as far as the index is."""

    def __init__(
        self,
        profile: Profile,
        index: ModelIndex,
        builtin: Path,
        publish: Callable[[object], None],
        catalogue: Callable[[], Catalogue] = _have_none,
    ) -> None:
        self._models = profile.models
        self._index = index
        self._builtin = builtin
        self._publish = publish
        self._load_catalogue = catalogue
        self._lock = threading.Lock()
        self._problems: dict[str, str] = {}
        self._seen_builtin: tuple[tuple[int, ...], Inspection] | None = None

    def list(self) -> tuple[InstalledModel, ...]:
        """The built-in model, then the others, last added first.

        A record whose file is gone, cut or known to be unusable has a sentence in `problem`.
        """
        others = sorted(self._index.list_models(), key=lambda m: m.added_at, reverse=True)
        gone = None if self._models.is_dir() else self._models
        return (self._describe_builtin(), *(_add_problem(model, gone) for model in others))

    def find(self, name_or_path: str) -> InstalledModel:
        """Find a model by id, short name, name, owner/repo, owner/repo:QUANTISATION or file path.

        The path of a file that is not in the library gives a record with the id `file:<path>`, its
        header checked. Raises `ModelError`: code unknown_model with near names in the hint, or the
        codes of `inspect_model` for a path.
        """
        name = name_or_path.strip()
        models = self.list()
        found = _match(models, name) or self._match_catalogue(models, name)
        if found:
            return found
        path = _as_path(name)
        if path is None:
            raise self._refuse_unknown(name, models)
        same = next((model for model in models if Path(model.path) == path), None)
        return same or self._describe_file(path, inspect_model(path))

    def import_file(self, path: Path) -> InstalledModel:
        """Take a model file into the library where it is; nothing is copied.

        Raises `ModelError` when the file is no model that can be used.
        """
        path = _normalise(path)
        inspection = inspect_model(path)
        known = next((m for m in self.list() if Path(m.path) == path), None)
        if known and (known.origin != "file" or known.id != f"{FILE_PREFIX}{path}"):
            return known
        with self._lock:
            self._problems.pop(f"{FILE_PREFIX}{path}", None)
            model = self._describe_file(path, inspection)
            model = msgspec.structs.replace(model, aliases=self._free_aliases(model))
            self._index.put_model(model)
        self._publish(ModelsChanged(model.id))
        return model

    def add_downloaded(
        self,
        path: Path,
        *,
        repo: str,
        filename: str,
        revision: str,
        sha256: str,
        entry: CatalogueEntry | None = None,
    ) -> InstalledModel:
        """Take in a download that was verified and moved to its place; `filename` as on the hub."""
        inspection = inspect_model(path)
        entry = entry or self._load_catalogue().find_repo(repo)
        model = self._describe(
            f"{repo}/{filename}",
            inspection,
            name=entry.name if entry else _clean_name(inspection.header.name) or repo,
            origin="hub",
            repo=repo,
            filename=filename,
            revision=revision,
            sha256=sha256,
            licence=inspection.header.licence or (entry.licence if entry else ""),
            aliases=entry.short_names if entry else (_slug(Path(filename).stem),),
        )
        with self._lock:
            model = msgspec.structs.replace(model, aliases=self._free_aliases(model))
            self._index.put_model(model)
            self._problems.pop(model.id, None)
        self._publish(ModelsChanged(model.id))
        return model

    def adopt(self, found: FoundModel) -> InstalledModel:
        """Use a model where another app keeps it; the file is only ever read.

        Raises `ModelError` when it is no model that can be used.
        """
        if found.problem:
            raise ModelError(
                found.problem, "Choose another model.", code=found.code or "not_usable"
            )
        path = Path(found.path)
        inspection = inspect_model(path, found.name if found.app == "ollama" else "")
        model = self._describe(
            found.id,
            inspection,
            name=_clean_name(found.name) or "Model",
            origin="file",
            source=found.app,
            repo=found.repo if found.app == "hugging_face" else "",
            filename=path.name if found.app != "ollama" else "",
            sha256=found.sha256,
            aliases=found.aliases or (_slug(path.stem),),
            defaults=found.defaults,
            notes=found.notes,
        )
        with self._lock:
            known = next((m for m in self._index.list_models() if m.id == model.id), None)
            if known is not None:
                model = msgspec.structs.replace(
                    model, added_at=known.added_at, last_used_at=known.last_used_at
                )
            model = msgspec.structs.replace(model, aliases=self._free_aliases(model))
            self._index.put_model(model)
            self._problems.pop(model.id, None)
        self._publish(ModelsChanged(model.id))
        return model

    def add_copy(self, path: Path, sha256: str) -> InstalledModel:
        """Take in a file that was copied or moved into the models folder, and is ours from now."""
        inspection = inspect_model(path)
        with self._lock:
            model = self._describe_file(path, inspection)
            model = msgspec.structs.replace(model, origin="copy", sha256=sha256)
            model = msgspec.structs.replace(model, aliases=self._free_aliases(model))
            self._index.put_model(model)
        self._publish(ModelsChanged(model.id))
        return model

    def relocate(self, model: InstalledModel, path: Path) -> InstalledModel:
        """Point a record at the place where its file lies now; the caller has compared them.

        A file outside the models folder is not ours to delete. Raises `ModelError` (unknown_model).
        """
        path = _normalise(path)
        with self._lock:
            stored = next((m for m in self._index.list_models() if m.id == model.id), None)
            if stored is None:
                raise self._refuse_unknown(model.id, self.list())
            is_ours = path.resolve().is_relative_to(self._models.resolve())
            origin = stored.origin if is_ours or stored.origin == "file" else "file"
            # Where another app kept it before, that app keeps it no more.
            moved = msgspec.structs.replace(stored, path=str(path), origin=origin, source="")
            self._index.put_model(moved)
        self._publish(ModelsChanged(model.id))
        return moved

    def use_folder(self, models: Path) -> None:
        """From now on what is ours lies there."""
        self._models = models

    def follow(self, old: Path, new: Path) -> int:
        """Point the records of files that were moved along with their folder to the new place.

        Only those whose file is there; returns how many.
        """
        n_moved = 0
        with self._lock:
            for model in self._index.list_models():
                path = Path(model.path)
                if not path.is_relative_to(old):
                    continue
                place = new / path.relative_to(old)
                if place.is_file():
                    self._index.put_model(msgspec.structs.replace(model, path=str(place)))
                    n_moved += 1
        if n_moved:
            self._publish(ModelsChanged())
        return n_moved

    def remove(self, model_id: str) -> int:
        """Delete a model that is ours, forget any other; returns the bytes that are freed.

        Raises `ModelError` (builtin, unknown_model) or `StorageError` when a file cannot go.
        """
        model = next((model for model in self.list() if model.id == model_id), None)
        if model is None:
            raise self._refuse_unknown(model_id, self.list())
        if model.origin == "builtin":
            raise ModelError(
                "The built-in guide comes with Inglenook and is not removed.", code="builtin"
            )
        freed = self._delete_files(model) if model.origin in {"hub", "copy"} else 0
        self._index.remove_model(model.id)
        self._publish(ModelsChanged(model.id))
        return freed

    def mark_problem(self, model_id: str, problem: str) -> None:
        """Note a sentence about why a model cannot be used; "" takes it back.

        Kept with the record, so that a file that ended the engine is not loaded again at the next
        start; of the built-in model and of plain paths it is remembered until the end.
        """
        with self._lock:
            self._problems[model_id] = problem
            stored = next((m for m in self._index.list_models() if m.id == model_id), None)
            if stored and stored.problem != problem:
                self._index.put_model(msgspec.structs.replace(stored, problem=problem))
        self._publish(ModelsChanged(model_id))

    def forgive(self, model_id: str) -> InstalledModel:
        """Take a mark back, so that the model may be tried again; its file is looked at anew.

        Raises `ModelError` (unknown_model).
        """
        self.mark_problem(model_id, "")
        return self.find(model_id)

    def mark_used(self, model_id: str) -> None:
        """Note that a model answered now."""
        with self._lock:
            stored = next((m for m in self._index.list_models() if m.id == model_id), None)
            if stored:
                self._index.put_model(msgspec.structs.replace(stored, last_used_at=now()))

    def _describe_builtin(self) -> InstalledModel:
        aliases = ("guide", "inglenook-guide")
        try:
            inspection = self._inspect_builtin()
        except ModelError as error:
            return InstalledModel(
                id=BUILTIN_ID,
                name="Inglenook Guide",
                path=str(self._builtin),
                size_bytes=0,
                origin="builtin",
                aliases=aliases,
                problem=f"{error.message} Install Inglenook again.",
            )
        model = self._describe(
            BUILTIN_ID, inspection, name="Inglenook Guide", origin="builtin", aliases=aliases
        )
        return msgspec.structs.replace(model, problem=self._problems.get(BUILTIN_ID, ""))

    def _inspect_builtin(self) -> Inspection:
        """Look at the built-in model, which every prompt asks for, only when its file is another.

        Raises `ModelError`.
        """
        with contextlib.suppress(OSError):
            stat = self._builtin.stat()
            key = (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns)
            if self._seen_builtin is None or self._seen_builtin[0] != key:
                self._seen_builtin = (key, inspect_model(self._builtin))
            return self._seen_builtin[1]
        return inspect_model(self._builtin)

    def _describe_file(self, path: Path, inspection: Inspection) -> InstalledModel:
        name = _clean_name(inspection.header.name) or _clean_name(path.stem) or "Model"
        model_id = f"{FILE_PREFIX}{path}"
        return self._describe(
            model_id,
            inspection,
            name=name,
            origin="file",
            filename=path.name,
            aliases=(_slug(path.stem),),
            problem=self._problems.get(model_id, ""),
        )

    @staticmethod
    def _describe(
        model_id: str, inspection: Inspection, *, licence: str = "", **more: object
    ) -> InstalledModel:
        header = inspection.header
        facts = {
            "id": model_id,
            "path": header.path,
            "size_bytes": inspection.size_bytes,
            "architecture": header.architecture,
            "quantisation": header.quantisation,
            "n_params": inspection.n_params,
            "n_ctx_train": header.n_ctx_train,
            "licence": _clean_name(licence or header.licence),
            "added_at": now(),
        }
        return msgspec.convert({**facts, **more}, InstalledModel)

    def _free_aliases(self, model: InstalledModel) -> tuple[str, ...]:
        """The short names that no other model has."""
        taken = {a.casefold() for m in self.list() if m.id != model.id for a in (*m.aliases, m.id)}
        return tuple(dict.fromkeys(a for a in model.aliases if a and a.casefold() not in taken))

    def _match_catalogue(
        self, models: Iterable[InstalledModel], name: str
    ) -> InstalledModel | None:
        entry = self._load_catalogue().find(name)
        if entry is None:
            return None
        return next((m for m in models if m.repo.casefold() == entry.repo.casefold()), None)

    def _refuse_unknown(self, name: str, models: Iterable[InstalledModel]) -> ModelError:
        shown = "".join(letter if letter.isprintable() else "?" for letter in name[:80])
        message = f"There is no model named {shown.encode('utf-8', 'replace').decode()} here."
        known = self._load_catalogue().find(name)
        if known:
            hint = f"Download it with: inglenook pull {name}"
        elif near := _find_near(name, [n for m in models for n in (*m.aliases, m.name, m.id)]):
            hint = f"Did you mean {' or '.join(near)}?"
        elif near := _find_near(name, self._load_catalogue().names):
            hint = f"Did you mean {' or '.join(near)}? Download it with: inglenook pull {near[0]}"
        else:
            hint = "See the installed ones with: inglenook list"
        return ModelError(message, hint, code="unknown_model")

    def _delete_files(self, model: InstalledModel) -> int:
        """Delete a downloaded model's files, never one outside the models folder."""
        path = Path(model.path)
        root = self._models.resolve()
        freed = 0
        for name in list_parts(path.name):
            part = path.with_name(name)
            if not part.parent.resolve().is_relative_to(root):
                log.warning("a model outside the models folder is forgotten, not deleted")
                return 0
            try:
                info = part.lstat()
                part.unlink()
                freed += info.st_size if info.st_nlink == 1 else 0
            except FileNotFoundError:
                continue
            except OSError as error:
                raise StorageError(
                    f"{show_name(part)} cannot be deleted: {error.strerror or error}.",
                    "Close the programs that use it, then try again.",
                ) from error
        _remove_empty_folders(path.parent, root)
        return freed


def _add_problem(model: InstalledModel, gone: Path | None) -> InstalledModel:
    """Look at the file again: gone, replaced or cut models say so.

    `gone` is the models folder, where the whole of it is not there.
    """
    if model.problem:
        return model
    path = Path(model.path)
    size = 0
    try:
        for name in list_parts(path.name):
            size += path.with_name(name).stat().st_size
    except (OSError, ValueError):
        is_in_gone = gone is not None and path.is_relative_to(gone)
        problem = _describe_gone(gone) if is_in_gone else _describe_absence(model)
    else:
        problem = "" if size == model.size_bytes else "The file has changed since it was added."
    return msgspec.structs.replace(model, problem=problem) if problem else model


def is_missing(model: InstalledModel) -> bool:
    """Whether a model's file, or one of its parts, is not where it was."""
    path = Path(model.path)
    return not all(path.with_name(name).is_file() for name in list_parts(path.name))


def measure_freed(model: InstalledModel) -> int:
    """The bytes that removing a model gives back: none where its file is not ours, or shared."""
    if model.origin not in {"hub", "copy"}:
        return 0
    path = Path(model.path)
    freed = 0
    for name in list_parts(path.name):
        with contextlib.suppress(OSError, ValueError):
            info = path.with_name(name).lstat()
            freed += info.st_size if info.st_nlink == 1 else 0
    return freed


def _describe_gone(models: Path | None) -> str:
    return f"The models folder {models} is not there: is its disk connected?"


def _describe_absence(model: InstalledModel) -> str:
    if not model.source or model.source == "folder":
        return "The file is not there any more."
    return f"{APP_TITLES.get(model.source, 'The other app')} has removed it."


def _match(models: Iterable[InstalledModel], name: str) -> InstalledModel | None:
    """By id, short name, name, then repository; None when nothing is meant exactly."""
    if not name:
        return None
    wanted = name.casefold()
    for test in (
        lambda m: m.id == name,
        lambda m: any(alias.casefold() == wanted for alias in m.aliases),
        lambda m: wanted in {m.id.casefold(), m.name.casefold()},
        lambda m: bool(m.repo) and m.repo.casefold() == wanted,
        lambda m: bool(m.repo) and f"{m.repo}:{m.quantisation}".casefold() == wanted,
        lambda m: wanted in {m.filename.casefold(), Path(m.filename).stem.casefold()},
    ):
        found = next((model for model in models if test(model)), None)
        if found:
            return found
    return None


def _as_path(name: str) -> Path | None:
    """The path that a person means, or None when it looks like a name."""
    if name.startswith(FILE_PREFIX):
        return _normalise(Path(name[len(FILE_PREFIX) :]))
    if not name or "\0" in name:
        return None
    looks = name.startswith(("/", "./", "../", "~", "\\")) or name.lower().endswith(".gguf")
    path = Path(name)
    return _normalise(path) if looks or path.is_absolute() or os.path.lexists(path) else None


def _normalise(path: Path) -> Path:
    with contextlib.suppress(RuntimeError):
        path = path.expanduser()
    return Path(os.path.abspath(path))  # noqa: PTH100  # keeps links, drops dots


def _find_near(name: str, names: Iterable[str]) -> list[str]:
    folded = {candidate.casefold(): candidate for candidate in names}
    near = difflib.get_close_matches(name.casefold(), list(folded), n=2, cutoff=_NEAR)
    return [folded[candidate] for candidate in near]


def _clean_name(text: str) -> str:
    """A name from a file's header as one short printable line."""
    words = "".join(letter if letter.isprintable() else " " for letter in text).split()
    return " ".join(words)[:_MAX_NAME].strip()


def _slug(text: str) -> str:
    """A name that can be typed: lower case, no spaces."""
    return "-".join(_clean_name(text).lower().split())


def _remove_empty_folders(folder: Path, root: Path) -> None:
    while folder != root and folder.is_relative_to(root):
        try:
            folder.rmdir()
        except OSError:
            return
        folder = folder.parent
