"""Files that are attached to messages, and to what is still being written. A part of `Store`.

Their text is kept as it was when they were attached, with a checksum over name and text. Those of
a draft have a table of their own: they change as the draft does, and are not searched.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Table, delete, select

from inglenook.store.database import Database
from inglenook.store.records import Attachment
from inglenook.store.rows import Attached
from inglenook.store.schema import attachments, draft_attachments
from inglenook.store.text import clean_text, compute_checksum, show_stored

NOTHING_ATTACHED: Final = Attached()


class DraftAttachments:
    """What is attached to the drafts of conversations; `database` is the open one."""

    _database: Database

    def list_draft_attachments(self, conversation_id: str) -> tuple[Attachment, ...]:
        """List what is attached to the draft of a conversation, in its order."""
        table = draft_attachments
        return self._database.read(
            lambda c: (
                _fetch(c, table, table.c.conversation_id, [conversation_id])
                .get(conversation_id, NOTHING_ATTACHED)
                .files
            )
        )

    def set_draft_attachments(self, conversation_id: str, files: Sequence[Attachment]) -> None:
        """Keep these with the draft of a conversation, in place of what was attached before."""

        def work(connection: Connection) -> None:
            drop_draft_attachments(connection, conversation_id)
            _insert(connection, draft_attachments, "conversation_id", conversation_id, files)

        # As with the draft's text, a power cut may cost the last change.
        self._database.write(work, is_durable=False)


def insert_attachments(
    connection: Connection, message_id: str, files: Sequence[Attachment]
) -> None:
    """Insert what is attached to a message."""
    _insert(connection, attachments, "message_id", message_id, files)


def drop_draft_attachments(connection: Connection, conversation_id: str) -> None:
    """Forget what is attached to a draft."""
    table = draft_attachments
    connection.execute(delete(table).where(table.c.conversation_id == conversation_id))


def fetch_attached(connection: Connection, message_ids: Sequence[str]) -> Mapping[str, Attached]:
    """Read what is attached to messages; those without anything are left out."""
    return _fetch(connection, attachments, attachments.c.message_id, message_ids)


def is_file_intact(name: object, text: object, checksum: object) -> bool:
    """Whether what was read is a name and a text with this checksum."""
    return (
        isinstance(name, str)
        and isinstance(text, str)
        and compute_checksum(text, compute_checksum(name)) == checksum
    )


def _insert(
    connection: Connection, table: Table, key: str, owner_id: str, files: Sequence[Attachment]
) -> None:
    for file in files:
        name, text = clean_text(file.name), clean_text(file.text)
        checksum = compute_checksum(text, compute_checksum(name))
        values = {key: owner_id, "name": name, "text": text, "checksum": checksum}
        connection.execute(table.insert().values(**values))


def _fetch(
    connection: Connection, table: Table, owner: Any, owner_ids: Sequence[str]
) -> dict[str, Attached]:
    columns = table.c
    query = (
        select(owner, columns.name, columns.text, columns.checksum)
        .where(owner.in_(owner_ids))
        .order_by(columns.number)
    )
    found: dict[str, Attached] = {}
    for owner_id, name, text, checksum in connection.execute(query):
        before = found.get(owner_id, NOTHING_ATTACHED)
        file = Attachment(name=_show(name), text=_show(text))
        is_intact = before.is_intact and is_file_intact(name, text, checksum)
        found[owner_id] = Attached((*before.files, file), is_intact)
    return found


def _show(value: object) -> str:
    return show_stored(value) if isinstance(value, str) else ""
