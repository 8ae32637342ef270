"""Does what the sidebar asks for: lists, searches, renames, pins, deletes, brings back.

On the window's thread; the store is asked on worker threads.
"""

import logging
from collections.abc import Callable
from datetime import datetime

from PySide6.QtCore import QObject, Signal

from inglenook.app import App
from inglenook.base.network import NetworkUsed
from inglenook.base.settings import SettingChanged
from inglenook.chat.events import ConversationsChanged
from inglenook.gui.bridge import Bridge
from inglenook.gui.sidebar.pane import Sidebar
from inglenook.gui.sidebar.rows import Row, make_hit_rows, make_rows
from inglenook.gui.tasks import Tasks
from inglenook.store.records import Conversation

log = logging.getLogger(__name__)


class SidebarController(QObject):
    """Joins the sidebar with the store.

    Signals: `deleted(conversation_id)`, `restored(conversation_id)`, `changed(Conversation)`.
    """

    deleted = Signal(str)
    restored = Signal(str)
    changed = Signal(object)

    def __init__(
        self, app: App, sidebar: Sidebar, tasks: Tasks, bridge: Bridge, parent: QObject
    ) -> None:
        super().__init__(parent)
        self._app = app
        self._sidebar = sidebar
        self._tasks = tasks
        self._search = ""
        self._generation = 0
        self._open_id: str | None = None
        sidebar.search_changed.connect(self._on_search_changed)
        sidebar.renamed.connect(self._on_renamed)
        sidebar.pin_requested.connect(self._on_pin_requested)
        sidebar.delete_requested.connect(self.delete)
        sidebar.undo_requested.connect(self.restore)
        bridge.happened.connect(self._on_event)
        self.update_lamp()

    def reload(self) -> None:
        """List or search anew; an answer that was overtaken is dropped."""
        self._generation += 1
        generation, search = self._generation, self._search
        translate = self.tr
        today = datetime.now().astimezone().date()

        def work() -> tuple[Row, ...]:
            store = self._app.store
            if search:
                return make_hit_rows(store.search(search), translate)
            return make_rows(store.list_conversations(), today, translate)

        def done(rows: tuple[Row, ...]) -> None:
            if generation == self._generation:
                self._sidebar.set_rows(rows)
                self._sidebar.set_open(self._open_id)
                log.debug("the sidebar lists %d rows", len(rows))

        self._tasks.run(work, done, owner=self)

    def set_open(self, conversation_id: str | None) -> None:
        """Mark the conversation on show."""
        self._open_id = conversation_id
        self._sidebar.set_open(conversation_id)

    def set_running(self, conversation_ids: frozenset[str]) -> None:
        """Mark the conversations with a live reply."""
        self._sidebar.list.set_running(conversation_ids)

    def delete(self, conversation_id: str) -> None:
        """Move a conversation to Recently deleted and offer to undo it."""
        store = self._app.store

        def work() -> Conversation:
            conversation = store.get_conversation(conversation_id)
            store.trash_conversation(conversation_id)
            return conversation

        def done(conversation: Conversation) -> None:
            self._sidebar.offer_undo(conversation)
            self.deleted.emit(conversation_id)
            self.reload()

        self._tasks.run(work, done, owner=self, in_order=True)

    def restore(self, conversation_id: str) -> None:
        """Bring a conversation back from Recently deleted."""

        def done(_: object) -> None:
            self.restored.emit(conversation_id)
            self.reload()

        self._tasks.run(
            lambda: self._app.store.restore_conversation(conversation_id),
            done,
            owner=self,
            in_order=True,
        )

    def update_lamp(self) -> None:
        """Show how often the network was used in this session."""
        is_offline = bool(self._app.settings.get("privacy.offline"))
        self._sidebar.set_lamp(is_offline, len(self._app.network.ledger()))

    def _on_search_changed(self, text: str) -> None:
        self._search = text
        self.reload()

    def _on_renamed(self, conversation_id: str, title: str) -> None:
        store = self._app.store
        self._update(
            lambda: store.update_conversation(conversation_id, title=title, title_is_chosen=True)
        )

    def _on_pin_requested(self, conversation_id: str, is_pinned: bool) -> None:
        store = self._app.store
        self._update(lambda: store.update_conversation(conversation_id, is_pinned=is_pinned))

    def _update(self, work: Callable[[], Conversation]) -> None:
        def done(conversation: Conversation) -> None:
            self.changed.emit(conversation)
            self.reload()

        self._tasks.run(work, done, owner=self, in_order=True)

    def _on_event(self, event: object) -> None:
        match event:
            case ConversationsChanged():
                self.reload()
            case NetworkUsed() | SettingChanged(key="privacy.offline"):
                self.update_lamp()
            case _:
                pass
