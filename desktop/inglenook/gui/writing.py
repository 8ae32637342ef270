"""What is being written: the composer's draft with its files, per conversation, read ahead.

On the window's thread; joins the composer with drafts, files and the engine's reading ahead.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from PySide6.QtCore import QObject, QTimer

from inglenook.app import App
from inglenook.gui.attachments import Attachments, Taken
from inglenook.gui.bridge import Bridge
from inglenook.gui.chat_page import ChatPage
from inglenook.gui.drafts import EMPTY, Draft, Drafts
from inglenook.gui.tasks import Tasks
from inglenook.store.records import Attachment

READ_AHEAD_MS: Final = 300
"""So long after the last key, or the opening of a conversation, the engine begins to read."""


class Writing(QObject):
    """Keeps a draft for each conversation; `find_conversation` names the one on show."""

    def __init__(
        self,
        app: App,
        page: ChatPage,
        tasks: Tasks,
        bridge: Bridge,
        find_conversation: Callable[[], str | None],
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self._app = app
        self._composer = page.composer
        self._transcript = page.transcript
        self._tasks = tasks
        self._find_conversation = find_conversation
        self.drafts = Drafts(app, tasks, self)
        self.attachments = Attachments(app, page, tasks, bridge, self)
        self._ahead = QTimer(self)
        self._ahead.setSingleShot(True)
        self._ahead.setInterval(READ_AHEAD_MS)
        self._ahead.timeout.connect(self._read_ahead)
        self._composer.draft_changed.connect(self._on_draft_changed)
        self._composer.files_given.connect(self.attach)
        self._composer.files_wanted.connect(self.choose_files)
        self._transcript.file_opened.connect(self.attachments.show_file)
        self._transcript.files_wanted.connect(self._attach_to_edit)

    # --- one conversation after the other ---

    def leave(self) -> None:
        """Keep what stands in the composer: another conversation will be shown."""
        self.drafts.keep(self._find_conversation(), self._composer.draft())

    def enter(self, conversation_id: str | None, stored: Draft = EMPTY) -> None:
        """Show the draft of a conversation; `stored` is what the store holds of it."""
        if conversation_id is None:
            draft = self.drafts.of(None)
        else:
            draft = self.drafts.open(conversation_id, stored)
        self.show(draft)

    def show(self, draft: Draft) -> None:
        """Put a draft into the composer."""
        self._composer.set_draft(draft)
        self.attachments.forget_notices()
        self.attachments.weigh()

    def take_files(self) -> tuple[Attachment, ...]:
        """Empty composer and draft, for what stood there is being sent; returns its files."""
        files = self._composer.chips.files
        self._composer.set_notice("")
        self.show(EMPTY)
        self.drafts.clear(self._find_conversation())
        return files

    def close(self) -> None:
        """Keep and save all drafts."""
        self.leave()
        self.drafts.save_all()

    # --- files ---

    def choose_files(self) -> None:
        """Let the person choose files that go with what is being written."""
        self.attachments.choose(self._make_taker())

    def attach(self, paths: list[Path]) -> None:
        """Have files go with what is being written."""
        self.attachments.read(paths, self._make_taker())

    def _make_taker(self) -> Taken:
        """What takes files that were read, for the conversation that is on show now."""
        conversation_id = self._find_conversation()

        def take(files: tuple[Attachment, ...]) -> None:
            if self._find_conversation() == conversation_id:
                self.attachments.add(files)
                self._composer.focus_input()
            else:
                self.drafts.add_files(conversation_id, files)

        return take

    def _attach_to_edit(self, message_id: str, paths: list[Path]) -> None:
        """Have files go with a message that is being edited; chosen where none are named."""

        def take(files: tuple[Attachment, ...]) -> None:
            self._transcript.add_files(message_id, files)

        if paths:
            self.attachments.read(paths, take)
        else:
            self.attachments.choose(take)

    # --- reading ahead ---

    def _on_draft_changed(self, draft: Draft) -> None:
        self.drafts.change(self._find_conversation(), draft.text, draft.files)
        self.attachments.weigh()
        self.read_ahead_soon()

    def read_ahead_soon(self) -> None:
        """Have the engine read what is there so far, unless more comes at once."""
        self._ahead.start()

    def _read_ahead(self) -> None:
        """Nobody waits for this, so failures are none."""
        conversation_id, draft = self._find_conversation(), self._composer.draft()
        if conversation_id is not None or draft:
            self._tasks.run(
                lambda: self._app.chat.read_ahead(conversation_id, draft.text, draft.files),
                failed=lambda _: None,
            )
