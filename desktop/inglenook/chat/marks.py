"""What loading and using a model told about the model itself, kept with its record in the library.

Made by `Chat`; `take` is called with the engine's events, on the engine's reader thread.
"""

import logging
from typing import Final, Protocol

from inglenook.base.errors import UserError
from inglenook.base.records import InstalledModel
from inglenook.engine.protocol import EngineDied, Finished, Loaded, LoadFailed

log = logging.getLogger(__name__)

ENDED_THE_ENGINE: Final = (
    "The engine stopped when it loaded this model; the file is probably damaged."
)


MAX_BREAKS: Final = 2
"""So often in a row native code may give up while a model writes before the model is blamed."""
BREAKS_THE_ENGINE: Final = (
    "The engine stopped each time this model wrote; the file is probably damaged, or made for "
    "another engine."
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
        self._breaks: dict[str, int] = {}

    def take(self, event: object) -> None:
        """Learn from the end of a load, and of a reply."""
        try:
            match event:
                case Loaded(model_id=model_id) if model_id != self._used_id:
                    # Every prompt asks for its model: the answer "loaded" alone tells nothing new,
                    # and the first text of the reply is waiting behind it.
                    self._used_id = model_id
                    self._library.mark_used(model_id)
                case LoadFailed(code="load_crashed"):
                    self._library.mark_problem(event.model_id, ENDED_THE_ENGINE)
                case Finished() if event.usage.output_tokens:
                    self._breaks.pop(event.model_id, None)
                case EngineDied(broke_on=model_id) if model_id:
                    self._count_break(model_id)
                case _:
                    pass
        except UserError as error:
            log.warning("what a load told of a model could not be kept (%s)", error.code)

    def _count_break(self, model_id: str) -> None:
        """One death may be chance; the next, with no reply between them, is the model's doing."""
        n_breaks = self._breaks.pop(model_id, 0) + 1
        if n_breaks >= MAX_BREAKS:
            self._library.mark_problem(model_id, BREAKS_THE_ENGINE)
        else:
            self._breaks[model_id] = n_breaks
