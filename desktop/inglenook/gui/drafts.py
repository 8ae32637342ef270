"""Drafts: what was typed and not sent, kept per conversation, saved a moment after the last key."""

from PySide6.QtCore import QObject, QTimer

from inglenook.app import App
from inglenook.base.errors import UserError
from inglenook.gui.tasks import Tasks

PAUSE_MS = 400


class Drafts(QObject):
    """Texts by conversation; None stands for the one that is not stored yet."""

    def __init__(self, app: App, tasks: Tasks, parent: QObject) -> None:
        super().__init__(parent)
        self._app = app
        self._tasks = tasks
        self._texts: dict[str | None, str] = {}
        self._unsaved: set[str] = set()
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(PAUSE_MS)
        self._timer.timeout.connect(self.save_all)

    def of(self, conversation_id: str | None) -> str:
        """The draft as it was last typed in this session."""
        return self._texts.get(conversation_id, "")

    def change(self, conversation_id: str | None, text: str) -> None:
        """Take what was typed; saved after a pause."""
        if self._texts.get(conversation_id, None) == text:
            return
        self._texts[conversation_id] = text
        if conversation_id is not None:
            self._unsaved.add(conversation_id)
            self._timer.start()

    def keep(self, conversation_id: str | None, text: str) -> None:
        """Take what stands in the composer before another conversation is shown."""
        if text != self.of(conversation_id):
            self.change(conversation_id, text)
        self.save_all()

    def clear(self, conversation_id: str | None) -> None:
        """The draft was sent."""
        self.change(conversation_id, "")

    def save_all(self) -> None:
        """Save what is not saved, off the window's thread."""
        self._timer.stop()
        for conversation_id in self._unsaved:
            self._save(conversation_id, self._texts.get(conversation_id, ""))
        self._unsaved.clear()

    def _save(self, conversation_id: str, text: str) -> None:
        def work() -> None:
            self._app.store.update_conversation(conversation_id, draft=text)

        # A draft that cannot be saved stays in memory; the next key tries again.
        def failed(_: UserError) -> None:
            return None

        self._tasks.run(work, None, failed, owner=self, in_order=True)
