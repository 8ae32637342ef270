"""Whether the hub has newer files of installed models. Shown on demand, never taken by itself.

Called on worker threads; each look asks the hub once for every repository.
"""

from dataclasses import dataclass

from inglenook.base.errors import NetworkError
from inglenook.base.records import InstalledModel
from inglenook.models.hub import Hub
from inglenook.models.hub_files import HubFile
from inglenook.models.job import is_other_content
from inglenook.models.library import Library

_ENDS_IT = frozenset({"offline", "unreachable", "timeout", "tls", "proxy", "rate_limited"})


@dataclass(frozen=True, slots=True)
class Update:
    """A newer file of an installed model; `name` is what a download of it is started with."""

    model_id: str
    name: str
    size_bytes: int
    revision: str


class Updates:
    """Compares what is installed with what the hub lists."""

    def __init__(self, library: Library, hub: Hub) -> None:
        self._library = library
        self._hub = hub

    def look(self) -> tuple[Update, ...]:
        """The newer files of all models that came from the hub.

        A repository that is gone or closed by now has no newer files. Raises `NetworkError` where
        the hub cannot be asked at all.
        """
        models = [m for m in self._library.list() if m.origin == "hub" and m.repo]
        found: list[Update] = []
        for repo in dict.fromkeys(model.repo for model in models):
            try:
                files = self._hub.find_files(repo)
            except NetworkError as error:
                if error.code in _ENDS_IT:
                    raise
                continue
            found += compare(models, files)
        return tuple(found)


def compare(models: list[InstalledModel], files: tuple[HubFile, ...]) -> list[Update]:
    """Which of the models have another file in this listing of one repository."""
    listed = {f"{file.repo}/{file.path}": file for file in files}
    return [
        Update(model.id, model.id, file.size_bytes, file.revision)
        for model in models
        if (file := listed.get(model.id)) is not None
        and model.revision != file.revision
        and is_other_content(model, file)
    ]
