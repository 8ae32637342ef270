"""Models whose file was moved: found again, by a person or by looking where models lie.

Called on worker threads. A file is taken for the missing one when its size is the same and its
SHA-256 is the known one; where none is known, when its header says the same of the model. Only the
record changes: no file is ever moved or written here.
"""

import logging
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

from inglenook.base.errors import ModelError
from inglenook.base.records import InstalledModel
from inglenook.models.adopt import Neighbours
from inglenook.models.hashing import Hashes
from inglenook.models.inspection import Inspection, inspect_model
from inglenook.models.library import Library, is_missing
from inglenook.models.names import split_hashes
from inglenook.models.reading import show_name
from inglenook.models.sizes import describe_pair
from inglenook.models.splits import list_parts

log = logging.getLogger(__name__)

MAX_FILES: Final = 20_000
_SKIPPED: Final = ".downloads"


class Relocation:
    """Finds missing files again. `memory` keeps the hashes of files that were read."""

    def __init__(
        self, models: Path, library: Library, neighbours: Neighbours, memory: Path | None = None
    ) -> None:
        self._models = models
        self._library = library
        self._neighbours = neighbours
        self._hashes = Hashes(memory)

    def find_by_hand(
        self,
        model_id: str,
        path: Path,
        tell: Callable[[int], None] = lambda _: None,
        stop: threading.Event | None = None,
    ) -> InstalledModel:
        """Take a file that a person chose as the model's.

        Raises `ModelError`: unknown_model, another_file (it says what differs), and the codes of
        `inspect_model`; or `StoppedWorkError`.
        """
        model = self._library.find(model_id)
        path = Path(os.path.abspath(path.expanduser()))  # noqa: PTH100  # keeps links
        inspection = inspect_model(path)
        self._compare(model, inspection, tell, stop or threading.Event())
        return self._library.relocate(model, path)

    def look(self, stop: threading.Event | None = None) -> tuple[InstalledModel, ...]:
        """Look for every missing file in the models folder and where models are found.

        What is not found stays as it was. Raises `StoppedWorkError` when stopped.
        """
        models = self._library.list()
        missing = [m for m in models if m.origin != "builtin" and is_missing(m)]
        if not missing:
            return ()
        stop = stop or threading.Event()
        taken = {os.path.realpath(m.path) for m in models if not is_missing(m)}
        found = []
        sizes = {model.size_bytes for model in missing}
        for path in self._list_files(sizes):
            if os.path.realpath(path) in taken:
                continue
            model = self._match(path, missing, stop)
            if model is not None:
                missing.remove(model)
                taken.add(os.path.realpath(path))
                found.append(self._library.relocate(model, path))
            if not missing:
                break
        self._hashes.save()
        if found:
            log.info("%d moved models were found again", len(found))
        return tuple(found)

    def _match(
        self, path: Path, missing: Iterable[InstalledModel], stop: threading.Event
    ) -> InstalledModel | None:
        try:
            inspection = inspect_model(path)
        except ModelError:
            return None
        for model in missing:
            try:
                self._compare(model, inspection, lambda _: None, stop)
            except ModelError:
                continue
            return model
        return None

    def _list_files(self, sizes: set[int]) -> Iterator[Path]:
        """Model files, first parts of split ones, that have one of the sizes in all."""
        for n, path in enumerate(self._walk()):
            if n >= MAX_FILES:
                return
            if _measure(path) in sizes:
                yield path

    def _walk(self) -> Iterator[Path]:
        for folder, folders, names in os.walk(self._models):
            folders[:] = sorted(name for name in folders if name != _SKIPPED)
            for name in sorted(names):
                if name.lower().endswith(".gguf"):
                    yield Path(folder, name)
        for found in self._neighbours.look().models:
            yield Path(found.path)

    def _compare(
        self,
        model: InstalledModel,
        inspection: Inspection,
        tell: Callable[[int], None],
        stop: threading.Event,
    ) -> None:
        """Raise `ModelError` (another_file) unless it is the model's file."""
        name = show_name(inspection.paths[0])
        if inspection.size_bytes != model.size_bytes:
            has, needs = describe_pair(inspection.size_bytes, model.size_bytes)
            raise _refuse(f"{name} is another file: it has {has}, and {model.name} has {needs}.")
        if hashes := split_hashes(model.sha256):
            for path, sha256 in zip(inspection.paths, hashes, strict=False):
                if self._hashes.compute(path, tell, stop) != sha256:
                    raise _refuse(
                        f"{name} is as large as {model.name}, but it holds something else."
                    )
            return
        header = inspection.header
        says = (header.architecture, header.quantisation, inspection.n_params, header.n_ctx_train)
        wanted = (model.architecture, model.quantisation, model.n_params, model.n_ctx_train)
        if says != wanted:
            raise _refuse(f"{name} is another model than {model.name}.")


def _refuse(message: str) -> ModelError:
    return ModelError(
        message, "Choose the file that was moved, or import this one.", code="another_file"
    )


def _measure(path: Path) -> int:
    try:
        return sum(path.with_name(part).stat().st_size for part in list_parts(path.name))
    except (OSError, ValueError):
        return 0
