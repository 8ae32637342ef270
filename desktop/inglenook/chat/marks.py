"""What loading a model told about the model itself, kept with its record in the library.

Made by `Chat`; `take` is called with the engine's events, on the engine's reader thread.
"""

import logging
from typing import Final, Protocol

from inglenook.base.errors import UserError
from inglenook.base.records import InstalledModel
from inglenook.engine.protocol import Loaded, LoadFailed

log = logging.getLogger(__name__)

ENDED_THE_ENGINE: Final = (
    "The engine stopped when it loaded this model; the file is probably damaged."
)


class ModelLibrary(Protocol):
    """The part of the model library that chat needs."""

    def find(self, name_or_path: str) -> InstalledModel:
        """Find an installed model by id, name or path. Raises `ModelError`."""
        ...

    def mark_problem(self, model_id: str, problem: str) -> None:
        """Note why a model cannot be used."""
        ...

    def mark_used(self, model_id: str) -> None:
        """Note that a model was loaded now."""
        ...


class ModelMarks:
    """Marks models that were used, and those that ended the engine: no start tries them again."""

    def __init__(self, library: ModelLibrary) -> None:
        self._library = library
        self._used_id = ""

    def take(self, event: object) -> None:
        """Learn from the end of a load."""
        try:
            match event:
                case Loaded(model_id=model_id) if model_id != self._used_id:
                    # Every prompt asks for its model: the answer "loaded" alone tells nothing new,
                    # and the first text of the reply is waiting behind it.
                    self._used_id = model_id
                    self._library.mark_used(model_id)
                case LoadFailed(code="load_crashed"):
                    self._library.mark_problem(event.model_id, ENDED_THE_ENGINE)
                case _:
                    pass
        except UserError as error:
            log.warning("what a load told of a model could not be kept (%s)", error.code)
