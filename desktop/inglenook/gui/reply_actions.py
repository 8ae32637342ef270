"""What the person asks of replies: stop, retry, more drafts, edit, continue, and help.

On the window's thread; what chat does of it runs on a worker through `Tasks`, and comes back as
events.
"""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from PySide6.QtCore import QObject

from inglenook.app import App
from inglenook.base.errors import UserError
from inglenook.gui.bridge import Bridge
from inglenook.gui.chat_page import ChatPage
from inglenook.gui.drafts import Draft
from inglenook.gui.live import LiveRuns
from inglenook.gui.tasks import Tasks
from inglenook.store.records import Attachment

if TYPE_CHECKING:
    from inglenook.chat.chat import Started

N_DRAFTS: Final = 3
"""So many drafts are asked for at once."""


class ReplyActions(QObject):
    """Acts on the conversation that `find_conversation` names."""

    def __init__(
        self,
        app: App,
        page: ChatPage,
        tasks: Tasks,
        bridge: Bridge,
        live: LiveRuns,
        find_conversation: Callable[[], str | None],
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self._app = app
        self._page = page
        self._tasks = tasks
        self._bridge = bridge
        self._live = live
        self._find_conversation = find_conversation
        transcript = page.transcript
        transcript.retry_requested.connect(self.retry)
        transcript.drafts_requested.connect(self.draft_more)
        transcript.stop_requested.connect(lambda message_id: self.stop([message_id]))
        transcript.edit_requested.connect(self.edit)
        transcript.continue_requested.connect(self.continue_reply)
        transcript.help_requested.connect(self.help)

    def stop(self, message_ids: Iterable[str]) -> None:
        """Stop replies, those that wait for the engine first."""
        run_ids = tuple(message_ids)[::-1]
        live = self._live.all_of(self._find_conversation())
        if live and all(run.reply.id in run_ids for run in live):
            self._page.composer.set_ending()

        def work() -> None:
            for run_id in run_ids:
                self._app.chat.stop(run_id)

        if run_ids:
            self._tasks.run(work, None, self._show_error)

    def retry(self, message_id: str) -> None:
        """Write another version of a reply; the earlier ones stay."""
        self._begin(lambda: self._app.chat.retry(message_id))

    def draft_more(self, message_id: str) -> None:
        """Write several other versions of a reply side by side; the earlier ones stay."""
        self._begin(lambda: self._app.chat.draft_more(message_id, N_DRAFTS))

    def edit(self, message_id: str, text: str, files: tuple[Attachment, ...]) -> None:
        """Ask differently; the earlier question and its replies stay as another version."""
        self._begin(
            lambda: self._app.chat.edit(message_id, text, attachments=files),
            lambda: self._page.transcript.edit_again(message_id, Draft(text, files)),
        )

    def continue_reply(self, message_id: str) -> None:
        """Go on where a reply was cut off."""
        self._begin(lambda: self._app.chat.continue_reply(message_id))

    def help(self, message_id: str, name: str) -> None:
        """Do what a reply that was cut off or does not get on needs."""
        chat = self._app.chat
        match name:
            case "leave_gpu":
                self._begin(lambda: chat.continue_without_gpu(message_id))
            case "restart":
                self._tasks.run(chat.restart_engine, None, self._show_error)
            case _:
                self.stop([message_id])

    def _begin(
        self, begin: "Callable[[], Started]", give_back: Callable[[], None] = lambda: None
    ) -> None:
        """Have a reply begun; what was written for it is given back where that cannot be."""
        conversation_id = self._find_conversation()
        if conversation_id is None:
            return
        if self._live.of_conversation(conversation_id) is not None:
            give_back()
            self._page.composer.set_notice(self.tr("Stop the reply first."), "quiet")
            return
        self._page.notice.hide()

        def failed(error: UserError) -> None:
            give_back()
            self._show_error(error)

        self._tasks.run(begin, lambda _: self._bridge.drain(), failed, owner=self, in_order=True)

    def _show_error(self, error: UserError) -> None:
        self._page.composer.set_notice(str(error), "bad")
