"""Conversations: the list, its order, the trash. A part of `Store`."""

import uuid
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import Connection, Select, delete, func, select, update

from inglenook.base.records import now
from inglenook.store import search_index
from inglenook.store.database import Database
from inglenook.store.faults import not_found
from inglenook.store.records import Conversation
from inglenook.store.rows import to_conversation, to_microseconds
from inglenook.store.schema import conversations, messages
from inglenook.store.text import clean_text

_UNSET: Final[Any] = object()


class Conversations:
    """What can be done with conversations; `database` is the open one."""

    _database: Database

    def create_conversation(
        self, *, title: str = "", model_id: str = "", system_prompt: str | None = None
    ) -> Conversation:
        """Make a conversation without messages."""

        def work(connection: Connection) -> Conversation:
            new_id = insert_conversation(
                connection, title=title, model_id=model_id, system_prompt=system_prompt
            )
            return fetch_conversation(connection, new_id)

        return self._database.write(work)

    def list_conversations(self, *, deleted: bool = False) -> tuple[Conversation, ...]:
        """List what is not deleted, pinned first, then the newest; or the trash, newest first."""
        table = conversations.c
        query = select(conversations)
        if deleted:
            query = query.where(table.deleted_at.is_not(None)).order_by(table.deleted_at.desc())
        else:
            query = query.where(table.deleted_at.is_(None)).order_by(
                table.is_pinned.desc(), table.updated_at.desc()
            )
        return self._database.read(
            lambda connection: tuple(
                to_conversation(row) for row in connection.execute(query).mappings()
            )
        )

    def get_conversation(self, conversation_id: str) -> Conversation:
        """Get one conversation, deleted or not. Raises `StorageError` (not_found)."""
        return self._database.read(lambda c: fetch_conversation(c, conversation_id))

    def update_conversation(
        self,
        conversation_id: str,
        *,
        title: str = _UNSET,
        title_is_chosen: bool = _UNSET,
        model_id: str = _UNSET,
        system_prompt: str | None = _UNSET,
        draft: str = _UNSET,
        is_pinned: bool = _UNSET,
        leaf_id: str | None = _UNSET,
    ) -> Conversation:
        """Change what is given and nothing else. Raises `StorageError` (not_found).

        The time of the last change, which orders the list, moves only with messages.
        """
        given = {
            "title": title,
            "title_is_chosen": title_is_chosen,
            "model_id": model_id,
            "system_prompt": system_prompt,
            "draft": draft,
            "is_pinned": is_pinned,
            "leaf_id": leaf_id,
        }
        values = {key: _to_value(value) for key, value in given.items() if value is not _UNSET}

        def work(connection: Connection) -> Conversation:
            if values:
                change_conversation(connection, conversation_id, **values)
            return fetch_conversation(connection, conversation_id)

        # A draft is typed text that changes with every pause; a power cut may cost the last words.
        return self._database.write(work, is_durable=set(values) != {"draft"})

    def trash_conversation(self, conversation_id: str) -> None:
        """Move to the trash, where it stays for thirty days."""
        moment = to_microseconds(now())
        self._database.write(lambda c: change_conversation(c, conversation_id, deleted_at=moment))

    def restore_conversation(self, conversation_id: str) -> None:
        """Take back out of the trash."""
        self._database.write(lambda c: change_conversation(c, conversation_id, deleted_at=None))

    def delete_forever(self, conversation_id: str) -> None:
        """Delete a conversation with all its messages so that no byte of them stays in the file.

        Freed pages are overwritten with zeros (secure_delete), the search index is merged, and
        the write-ahead log is emptied. Raises `StorageError` (not_found).
        """

        def work(connection: Connection) -> None:
            fetch_conversation(connection, conversation_id)
            _erase(connection, [conversation_id])

        self._database.write(work)
        self._database.checkpoint()

    def has_old_trash(self, older_than: timedelta) -> bool:
        """Whether something was moved to the trash longer ago than this."""
        query = _select_old_trash(older_than)
        return self._database.read(lambda c: c.scalars(query).first()) is not None

    def purge_trash(self, older_than: timedelta) -> int:
        """Delete forever what was moved to the trash longer ago than this; how many there were."""
        if not self.has_old_trash(older_than):
            return 0
        query = _select_old_trash(older_than)

        def work(connection: Connection) -> int:
            ids = [str(one) for one in connection.scalars(query)]
            _erase(connection, ids)
            return len(ids)

        n_deleted = self._database.write(work)
        self._database.checkpoint()
        return n_deleted


def insert_conversation(
    connection: Connection, *, title: str, model_id: str, system_prompt: str | None
) -> str:
    """Insert an empty conversation; returns its id."""
    new_id = uuid.uuid4().hex
    moment = to_microseconds(now())
    connection.execute(
        conversations.insert().values(
            id=new_id,
            title=clean_text(title),
            title_is_chosen=0,
            model_id=model_id,
            system_prompt=None if system_prompt is None else clean_text(system_prompt),
            draft="",
            is_pinned=0,
            created_at=moment,
            updated_at=moment,
        )
    )
    return new_id


def fetch_conversation(connection: Connection, conversation_id: str) -> Conversation:
    """Read one conversation. Raises `StorageError` (not_found)."""
    query = select(conversations).where(conversations.c.id == conversation_id)
    row = connection.execute(query).mappings().first()
    if row is None:
        raise not_found("conversation")
    return to_conversation(row)


def change_conversation(connection: Connection, conversation_id: str, **values: object) -> None:
    """Set columns of one conversation. Raises `StorageError` (not_found)."""
    query = update(conversations).where(conversations.c.id == conversation_id).values(**values)
    if connection.execute(query).rowcount == 0:
        raise not_found("conversation")


def _select_old_trash(older_than: timedelta) -> Select[tuple[str]]:
    limit = to_microseconds(now() - older_than)
    return select(conversations.c.id).where(conversations.c.deleted_at < limit)


def _erase(connection: Connection, ids: list[str]) -> None:
    # The tree's own references would be followed message by message; the whole goes at once.
    count = select(func.count()).select_from(messages).where(messages.c.conversation_id.in_(ids))
    has_messages = connection.scalar(count)
    connection.execute(delete(conversations).where(conversations.c.id.in_(ids)))
    if has_messages:
        for purge in search_index.PURGES:
            connection.exec_driver_sql(purge)


def _to_value(value: object) -> object:
    if isinstance(value, bool):
        return int(value)
    return clean_text(value) if isinstance(value, str) else value
