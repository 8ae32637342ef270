"""The installed models as the window knows them: listed off its thread, kept until they change."""

from PySide6.QtCore import QObject, Signal

from inglenook.app import App
from inglenook.base.records import InstalledModel
from inglenook.gui.bridge import Bridge
from inglenook.gui.tasks import Tasks
from inglenook.models.events import ModelsChanged

type Listed = tuple[tuple[InstalledModel, ...], frozenset[str], dict[str, int]]
"""The models, the ids of those whose file is missing, and what removing each frees."""


class InstalledModels(QObject):
    """A kept copy of `library.list()`.

    Signals: `changed()` after each listing that differs from the one before.
    """

    changed = Signal()

    def __init__(self, app: App, tasks: Tasks, bridge: Bridge, parent: QObject) -> None:
        super().__init__(parent)
        self._app = app
        self._tasks = tasks
        self.models: tuple[InstalledModel, ...] = ()
        self.missing: frozenset[str] = frozenset()
        """The ids of those whose file is not where it was."""
        self.freed: dict[str, int] = {}
        """The bytes that removing each gives back, by its id."""
        self.is_listed = False
        bridge.happened.connect(self._on_event)

    def reload(self) -> None:
        """List anew."""

        def work() -> Listed:
            # The library is named here: its first use opens the store, and may wait for that.
            from inglenook.models.library import is_missing, measure_freed

            models = tuple(self._app.library.list())
            missing = frozenset(m.id for m in models if m.problem and is_missing(m))
            return models, missing, {m.id: measure_freed(m) for m in models}

        self._tasks.run(work, self._on_listed, owner=self)

    def find(self, model_id: str) -> InstalledModel | None:
        """The installed model of an id."""
        return next((model for model in self.models if model.id == model_id), None)

    @property
    def size_bytes(self) -> int:
        """What all of them take on the disk."""
        return sum(model.size_bytes for model in self.models)

    def _on_listed(self, listed: "Listed") -> None:
        is_first, self.is_listed = not self.is_listed, True
        if is_first or listed != (self.models, self.missing, self.freed):
            self.models, self.missing, self.freed = listed
            self.changed.emit()

    def _on_event(self, event: object) -> None:
        if isinstance(event, ModelsChanged):
            self.reload()
