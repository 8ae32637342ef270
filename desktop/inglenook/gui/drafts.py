"""Drafts: what was typed and attached and not sent, kept per conversation, saved after a moment."""

from dataclasses import dataclass
from typing import Final

from PySide6.QtCore import QObject, QTimer

from inglenook.app import App
from inglenook.base.errors import UserError
from inglenook.gui.tasks import Tasks
from inglenook.store.records import Attachment

PAUSE_MS: Final = 400


@dataclass(frozen=True, slots=True)
class Draft:
    """What stands in the composer."""

    text: str = ""
    files: tuple[Attachment, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.text or self.files)

    def __add__(self, later: "Draft") -> "Draft":
        """Both, with what was written later on lines of its own at the end; no file twice."""
        new = tuple(file for file in later.files if file not in self.files)
        text = "\n".join(filter(None, (self.text, later.text)))
        return Draft(text, (*self.files, *new))


EMPTY: Final = Draft()


class Drafts(QObject):
    """Drafts by conversation; None stands for the one that is not stored yet."""

    def __init__(self, app: App, tasks: Tasks, parent: QObject) -> None:
        super().__init__(parent)
        self._app = app
        self._tasks = tasks
        self._drafts: dict[str | None, Draft] = {}
        self._saved_files: dict[str, tuple[Attachment, ...]] = {}
        self._unsaved: set[str] = set()
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(PAUSE_MS)
        self._timer.timeout.connect(self.save_all)

    def of(self, conversation_id: str | None) -> Draft:
        """The draft as it was last changed in this session."""
        return self._drafts.get(conversation_id, EMPTY)

    def open(self, conversation_id: str, stored: Draft) -> Draft:
        """The draft of a conversation that is shown; `stored` is what the store holds."""
        self._saved_files.setdefault(conversation_id, stored.files)
        return self.of(conversation_id) or stored

    def change(
        self, conversation_id: str | None, text: str, files: tuple[Attachment, ...] = ()
    ) -> None:
        """Take what was typed and attached; saved after a pause."""
        draft = Draft(text, files)
        if self._drafts.get(conversation_id) == draft:
            return
        self._drafts[conversation_id] = draft
        if conversation_id is not None:
            self._unsaved.add(conversation_id)
            self._timer.start()

    def keep(self, conversation_id: str | None, draft: Draft) -> None:
        """Take what stands in the composer before another conversation is shown."""
        if draft != self.of(conversation_id):
            self.change(conversation_id, draft.text, draft.files)
        self.save_all()

    def add_files(self, conversation_id: str | None, files: tuple[Attachment, ...]) -> None:
        """Attach files to a draft that is not on show any more."""
        draft = self.of(conversation_id) + Draft(files=files)
        self.change(conversation_id, draft.text, draft.files)

    def clear(self, conversation_id: str | None) -> None:
        """The draft was sent."""
        self.change(conversation_id, "")

    def save_all(self) -> None:
        """Save what is not saved, off the window's thread."""
        self._timer.stop()
        for conversation_id in self._unsaved:
            self._save(conversation_id, self.of(conversation_id))
        self._unsaved.clear()

    def _save(self, conversation_id: str, draft: Draft) -> None:
        """Save a draft; its files only when they changed, for they may be large."""
        has_new_files = self._saved_files.get(conversation_id) != draft.files

        def work() -> None:
            store = self._app.store
            store.update_conversation(conversation_id, draft=draft.text)
            if has_new_files:
                store.set_draft_attachments(conversation_id, draft.files)

        # A draft that cannot be saved stays in memory; the next key tries again.
        def failed(_: UserError) -> None:
            self._saved_files.pop(conversation_id, None)

        self._saved_files[conversation_id] = draft.files
        self._tasks.run(work, None, failed, owner=self, in_order=True)
