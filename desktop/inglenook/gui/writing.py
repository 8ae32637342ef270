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
        self._is_between = False
        """Whether a conversation is being opened: what is typed belongs to that one."""
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

    @property
    def has_begun(self) -> bool:
        """Whether something stands in the composer that belongs to the conversation on show."""
        return not self._is_between and bool(self._composer.draft())

    # --- one conversation after the other ---

    def leave(self) -> None:
        """Keep what stands in the composer: another conversation will be shown.

        What is typed until then goes with that one, and Enter waits for it. Where yet another one
        is chosen meanwhile, the words go with that, and an Enter that was meant for the first does
        not.
        """
        if not self._is_between:
            self.drafts.keep(self._find_conversation(), self._composer.draft())
            self._is_between = True
            self._composer.set_draft(EMPTY)
        self._composer.hold()

    def enter(self, conversation_id: str | None, stored: Draft = EMPTY) -> None:
        """Show the draft of a conversation; `stored` is what the store holds of it."""
        typed = self._composer.draft() if self._is_between else EMPTY
        is_due = self._is_between and self._composer.is_due
        self._is_between = False
        if conversation_id is None:
            draft = self.drafts.of(None)
        else:
            draft = self.drafts.open(conversation_id, stored)
        self.show(draft + typed)
        if typed:
            self._on_draft_changed(draft + typed)
        if is_due and not draft:  # A draft that nobody has seen yet is not sent.
            self._composer.submit()

    def settle(self) -> None:
        """The new conversation is stored and has a name: what was written since is its draft."""
        self.drafts.clear(None)
        self._on_draft_changed(self._composer.draft())

    def stay(self) -> None:
        """The conversation on show stays: none is being opened any more, and nothing is sent."""
        if self._is_between:
            self._composer.hold()
            self.enter(self._find_conversation())

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

    def give_back(self, conversation_id: str | None, draft: Draft) -> None:
        """Put back what could not be sent, before what was written since."""
        if self._find_conversation() == conversation_id and not self._is_between:
            draft += self._composer.draft()
            self.show(draft)
            self._on_draft_changed(draft)
        else:
            draft += self.drafts.of(conversation_id)
            self.drafts.change(conversation_id, draft.text, draft.files)

    def close(self) -> None:
        """Keep and save all drafts."""
        self.stay()
        self.drafts.keep(self._find_conversation(), self._composer.draft())

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
        if self._is_between:
            return
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
