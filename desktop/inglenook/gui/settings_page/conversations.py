"""Settings, Conversations: what was deleted in the last 30 days."""

from datetime import UTC, datetime, timedelta

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QVBoxLayout, QWidget

from inglenook.app import App
from inglenook.gui.dialogs import ask
from inglenook.gui.sidebar.rows import clean_title
from inglenook.gui.tasks import Tasks
from inglenook.gui.theme import Theme
from inglenook.gui.widgets import (
    ElidedLabel,
    clear_layout,
    make_button,
    make_label,
    make_line,
)
from inglenook.store.records import Conversation

KEPT = timedelta(days=30)
N_SHOWN = 200


class DeletedConversations(QWidget):
    """Restore or delete forever.

    Signals: `restored(conversation_id)`.
    """

    restored = Signal(str)

    def __init__(self, app: App, theme: Theme, tasks: Tasks) -> None:
        super().__init__()
        self._app = app
        self._theme = theme
        self._tasks = tasks
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        column.addWidget(make_label(self.tr("Recently deleted"), "strong"))
        note = self.tr("Deleted conversations are kept for 30 days, then they go for good.")
        column.addWidget(make_label(note, "small", wraps=True))
        self._card = QFrame()
        self._card.setProperty("surface", "card")
        self._rows = QVBoxLayout(self._card)
        self._rows.setContentsMargins(16, 6, 10, 6)
        self._rows.setSpacing(0)
        self._empty = make_label(self.tr("Nothing was deleted."), "quiet")
        column.addWidget(self._card)
        column.addWidget(self._empty)
        self._card.hide()

    def reload(self) -> None:
        """Ask the store."""
        store = self._app.store
        self._tasks.run(lambda: store.list_conversations(deleted=True), self._show, owner=self)

    def _show(self, conversations: tuple[Conversation, ...]) -> None:
        clear_layout(self._rows)
        for i, conversation in enumerate(conversations[:N_SHOWN]):
            if i:
                self._rows.addWidget(make_line())
            self._rows.addLayout(self._make_row(conversation))
        self._card.setVisible(bool(conversations))
        self._empty.setVisible(not conversations)

    def _make_row(self, conversation: Conversation) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setContentsMargins(0, 6, 0, 6)
        row.setSpacing(8)
        title = clean_title(conversation.title, self.tr)
        row.addWidget(ElidedLabel(title), 1)
        row.addWidget(make_label(self._describe_rest(conversation), "small"))
        restore = make_button(self.tr("Restore"))
        restore.clicked.connect(lambda: self._restore(conversation.id))
        forever = make_button(self.tr("Delete forever"), "danger")
        forever.clicked.connect(lambda: self._ask_to_delete(conversation))
        for button in (restore, forever):
            button.setAccessibleName(f"{button.text()}: {title}")
            row.addWidget(button)
        return row

    def _describe_rest(self, conversation: Conversation) -> str:
        if conversation.deleted_at is None:
            return ""
        rest = conversation.deleted_at + KEPT - datetime.now(UTC)
        text = self.tr("1 day left") if rest.days == 1 else self.tr("{n} days left")
        return text.replace("{n}", str(max(0, rest.days)))

    def _restore(self, conversation_id: str) -> None:
        def done(_: object) -> None:
            self.restored.emit(conversation_id)
            self.reload()

        store = self._app.store
        self._tasks.run(
            lambda: store.restore_conversation(conversation_id), done, owner=self, in_order=True
        )

    def _ask_to_delete(self, conversation: Conversation) -> None:
        ask(
            self._theme,
            self,
            self.tr("Delete this conversation forever?"),
            self.tr("“{title}” and all its messages go for good. This cannot be undone.").replace(
                "{title}", clean_title(conversation.title, self.tr)
            ),
            self.tr("Delete forever"),
            lambda: self._delete(conversation.id),
        )

    def _delete(self, conversation_id: str) -> None:
        self._tasks.run(
            lambda: self._app.chat.delete_forever(conversation_id),
            lambda _: self.reload(),
            owner=self,
            in_order=True,
        )
