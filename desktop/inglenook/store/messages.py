"""Messages: a tree by parent, which only grows. A part of `Store`.

The text of a reply has two homes. While it is written it grows in `pieces`, a row for each flush;
when it ends, the whole text moves into its message with its checksum, and is searchable from
then on.
"""

import uuid
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection, func, select, update

from inglenook.base.records import now
from inglenook.store.attachments import (
    NOTHING_ATTACHED,
    drop_draft_attachments,
    fetch_attached,
    insert_attachments,
)
from inglenook.store.conversations import change_conversation, insert_conversation
from inglenook.store.database import Database
from inglenook.store.faults import not_found
from inglenook.store.gate import Presence
from inglenook.store.pieces import drop_pieces, fetch_tails, insert_piece
from inglenook.store.records import Attachment, Message, Role, Statistics, Status
from inglenook.store.rows import Tail, from_statistics, to_message, to_microseconds
from inglenook.store.schema import messages, pieces
from inglenook.store.text import clean_text, compute_checksum, is_intact
from inglenook.store.tree import fetch_siblings, fetch_tree

_BATCH: Final = 500
_NO_STATISTICS: Final = Statistics()
_NO_TAIL: Final = Tail()


class Messages:
    """What can be done with messages; `database` is the open one."""

    _database: Database
    _presence: Presence | None

    # --- growing the tree ---

    def start_conversation(
        self,
        *,
        title: str,
        system_prompt: str | None,
        text: str,
        model_id: str,
        model_name: str,
        n_replies: int = 1,
        attachments: Sequence[Attachment] = (),
    ) -> tuple[Message, ...]:
        """Make a conversation together with its first exchange, in one durable transaction.

        Returns the user's message, then its empty replies.
        """

        def work(connection: Connection) -> tuple[Message, ...]:
            conversation_id = insert_conversation(
                connection, title=title, model_id=model_id, system_prompt=system_prompt
            )
            return self._add_exchange(
                connection,
                conversation_id,
                None,
                text,
                model_id,
                model_name,
                n_replies,
                attachments,
            )

        return self._database.write(work)

    def add_exchange(
        self,
        conversation_id: str,
        *,
        parent_id: str | None,
        text: str,
        model_id: str,
        model_name: str,
        n_replies: int = 1,
        attachments: Sequence[Attachment] = (),
        is_draft: bool = True,
    ) -> tuple[Message, ...]:
        """Add the user's message and the empty replies below it, and show the first one's branch.

        One durable transaction: when this returns, the user's words are on the disk. They were the
        conversation's draft, unless `is_draft` says otherwise: it is emptied. The conversation
        talks with this model from now on. Returns the user's message, then the replies. Raises
        `StorageError` (not_found).
        """

        def work(connection: Connection) -> tuple[Message, ...]:
            added = self._add_exchange(
                connection,
                conversation_id,
                parent_id,
                text,
                model_id,
                model_name,
                n_replies,
                attachments,
            )
            if is_draft:
                change_conversation(connection, conversation_id, draft="")
                drop_draft_attachments(connection, conversation_id)
            return added

        return self._database.write(work)

    def add_reply(
        self,
        conversation_id: str,
        *,
        parent_id: str,
        model_id: str,
        model_name: str,
        content: str = "",
        status: Status = "streaming",
    ) -> Message:
        """Add one more reply below a message, another version beside those that are there."""

        def work(connection: Connection) -> Message:
            _check_parent(connection, conversation_id, parent_id)
            reply_id = _insert(
                connection,
                conversation_id,
                parent_id,
                "assistant",
                content,
                status,
                model_id=model_id,
                model_name=model_name,
                writer=self._token if status == "streaming" else "",
            )
            _show(connection, conversation_id, reply_id, model_id=model_id)
            return fetch_message(connection, reply_id)

        return self._database.write(work)

    def add_replies(
        self, conversation_id: str, *, parent_id: str, model_id: str, model_name: str, n: int
    ) -> tuple[Message, ...]:
        """Add `n` empty replies below a message in one transaction, and show the first of them."""

        def work(connection: Connection) -> tuple[Message, ...]:
            _check_parent(connection, conversation_id, parent_id)
            ids = self._insert_replies(
                connection, conversation_id, parent_id, model_id, model_name, n
            )
            _show(connection, conversation_id, ids[0], model_id=model_id)
            return tuple(_fetch(connection, partial(fetch_siblings, connection), ids))

        return self._database.write(work)

    # --- a reply that is being written ---

    def reopen_reply(self, message_id: str) -> Message:
        """Make a reply that ended grow again; its text stays as it is."""

        def work(connection: Connection) -> Message:
            message = fetch_message(connection, message_id)
            _change(connection, message_id, status="streaming", writer=self._token, error="")
            _show(connection, message.conversation_id, None)
            return fetch_message(connection, message_id)

        return self._database.write(work)

    def append_text(self, message_id: str, piece: str, *, reasoning: str = "") -> None:
        """Save the next piece of a reply, and of its reasoning; costs as much as the pieces.

        Not synchronised at once: a crash of the app loses nothing, a power cut may lose the last
        pieces. Raises `StorageError` (not_found).
        """
        parts = [("reasoning", clean_text(reasoning)), ("answer", clean_text(piece))]

        def work(connection: Connection) -> None:
            last = select(func.max(pieces.c.ordinal)).where(pieces.c.message_id == message_id)
            ordinal = connection.scalar(last)
            if ordinal is None and not _exists(connection, message_id):
                raise not_found("message")
            next_ordinal = 0 if ordinal is None else ordinal + 1
            for part, text in parts:
                if text:
                    insert_piece(connection, message_id, next_ordinal, part, text)
                    next_ordinal += 1

        self._database.write(work, is_durable=False)

    def finish_message(
        self,
        message_id: str,
        *,
        content: str,
        reasoning: str = "",
        status: Status,
        finish_reason: str = "",
        error: str = "",
        statistics: Statistics = _NO_STATISTICS,
    ) -> Message:
        """Write the end of a reply: its whole text and what it took, durably."""
        text, thought = clean_text(content), clean_text(reasoning)

        def work(connection: Connection) -> Message:
            _change(
                connection,
                message_id,
                content=text,
                checksum=compute_checksum(text),
                reasoning=thought,
                reasoning_checksum=compute_checksum(thought),
                status=status,
                finish_reason=finish_reason,
                error=clean_text(error),
                statistics=from_statistics(statistics),
                writer="",
            )
            drop_pieces(connection, message_id)
            message = fetch_message(connection, message_id)
            _show(connection, message.conversation_id, None)
            return message

        return self._database.write(work)

    def mark_interrupted(self) -> tuple[str, ...]:
        """Mark the replies whose writer is gone; their text is what was saved. Returns their ids.

        Replies that another living process is writing are left alone.
        """
        query = select(messages.c.id, messages.c.writer).where(messages.c.status == "streaming")
        if not self._database.read(lambda c: c.execute(query).first()):
            return ()

        def work(connection: Connection) -> tuple[str, ...]:
            gone = [row.id for row in connection.execute(query) if not self._is_alive(row.writer)]
            for message_id in gone:
                _interrupt(connection, message_id)
            return tuple(gone)

        return self._database.write(work)

    # --- reading ---

    def get_message(self, message_id: str) -> Message:
        """Get one message. Raises `StorageError` (not_found)."""
        return self._database.read(lambda c: fetch_message(c, message_id))

    def thread(self, conversation_id: str, leaf_id: str | None = None) -> tuple[Message, ...]:
        """Get the messages from the first to `leaf_id`, or to the leaf that is shown."""
        return self._database.read(lambda c: fetch_thread(c, conversation_id, leaf_id))

    def branch_leaf(self, message_id: str) -> str:
        """Name the newest message below this one (or this one): what to show of its branch."""

        def work(connection: Connection) -> str:
            message = fetch_message(connection, message_id)
            return fetch_tree(connection, message.conversation_id).find_newest_below(message_id)

        return self._database.read(work)

    def list_messages(self, conversation_id: str) -> tuple[Message, ...]:
        """List the messages of all branches, in the order in which they were written."""

        def work(connection: Connection) -> tuple[Message, ...]:
            tree = fetch_tree(connection, conversation_id)
            return tuple(_fetch(connection, tree.list_siblings, tree.list_all()))

        return self._database.read(work)

    # --- inside ---

    def _add_exchange(
        self,
        connection: Connection,
        conversation_id: str,
        parent_id: str | None,
        text: str,
        model_id: str,
        model_name: str,
        n_replies: int,
        attachments: Sequence[Attachment],
    ) -> tuple[Message, ...]:
        _check_parent(connection, conversation_id, parent_id)
        user_id = _insert(connection, conversation_id, parent_id, "user", text, "complete")
        insert_attachments(connection, user_id, attachments)
        ids = self._insert_replies(
            connection, conversation_id, user_id, model_id, model_name, n_replies
        )
        _show(connection, conversation_id, ids[0], model_id=model_id)
        return tuple(_fetch(connection, partial(fetch_siblings, connection), [user_id, *ids]))

    def _insert_replies(
        self,
        connection: Connection,
        conversation_id: str,
        parent_id: str,
        model_id: str,
        model_name: str,
        n: int,
    ) -> list[str]:
        return [
            _insert(
                connection,
                conversation_id,
                parent_id,
                "assistant",
                "",
                "streaming",
                model_id=model_id,
                model_name=model_name,
                writer=self._token,
            )
            for _ in range(n)
        ]

    @property
    def _token(self) -> str:
        return self._presence.token if self._presence is not None else ""

    def _is_alive(self, token: object) -> bool:
        # An own token stays out of this: nothing of this process streams before its start is over.
        return (
            self._presence is not None and isinstance(token, str) and self._presence.is_alive(token)
        )


def fetch_message(connection: Connection, message_id: str) -> Message:
    """Read one message with its siblings. Raises `StorageError` (not_found)."""
    found = _fetch(connection, partial(fetch_siblings, connection), [message_id])
    if not found:
        raise not_found("message")
    return found[0]


def fetch_thread(
    connection: Connection, conversation_id: str, leaf_id: str | None
) -> tuple[Message, ...]:
    """Read the messages from the first to the leaf; from the newest where the leaf is not known."""
    tree = fetch_tree(connection, conversation_id)
    if leaf_id is None:
        leaf_id = tree.shown_leaf_id
    elif leaf_id not in tree:
        raise not_found("message")
    return tuple(_fetch(connection, tree.list_siblings, tree.list_path(leaf_id)))


def _fetch(
    connection: Connection, list_siblings: Callable[[str], tuple[str, ...]], ids: list[str]
) -> list[Message]:
    """Read messages in the given order; one that cannot be found is left out."""
    found: dict[str, Message] = {}
    for start in range(0, len(ids), _BATCH):
        batch = ids[start : start + _BATCH]
        tails, attached = fetch_tails(connection, batch), fetch_attached(connection, batch)
        rows = connection.execute(select(messages).where(messages.c.id.in_(batch))).mappings()
        for row in rows:
            message_id = row["id"]
            tail = tails.get(message_id, _NO_TAIL)
            files = attached.get(message_id, NOTHING_ATTACHED)
            found[message_id] = to_message(row, tail, files, list_siblings(message_id))
    return [found[message_id] for message_id in ids if message_id in found]


def _insert(
    connection: Connection,
    conversation_id: str,
    parent_id: str | None,
    role: Role,
    content: str,
    status: Status,
    *,
    model_id: str = "",
    model_name: str = "",
    writer: str = "",
) -> str:
    new_id = uuid.uuid4().hex
    text = clean_text(content)
    connection.execute(
        messages.insert().values(
            id=new_id,
            conversation_id=conversation_id,
            parent_id=parent_id,
            role=role,
            content=text,
            checksum=compute_checksum(text),
            reasoning="",
            reasoning_checksum=compute_checksum(""),
            status=status,
            created_at=to_microseconds(now()),
            model_id=model_id,
            model_name=model_name,
            finish_reason="",
            error="",
            statistics="{}",
            writer=writer,
        )
    )
    return new_id


def _change(connection: Connection, message_id: str, **values: object) -> None:
    query = update(messages).where(messages.c.id == message_id).values(**values)
    if connection.execute(query).rowcount == 0:
        raise not_found("message")


def _interrupt(connection: Connection, message_id: str) -> None:
    columns = messages.c
    query = select(
        columns.content, columns.checksum, columns.reasoning, columns.reasoning_checksum
    ).where(columns.id == message_id)
    content, checksum, reasoning, reasoning_checksum = connection.execute(query).one()
    tail = fetch_tails(connection, [message_id]).get(message_id, _NO_TAIL)
    values: dict[str, Any] = {"status": "interrupted", "finish_reason": "", "writer": ""}
    if tail.is_intact and is_intact(content, checksum) and is_intact(reasoning, reasoning_checksum):
        values |= {
            "content": content + tail.text,
            "checksum": compute_checksum(tail.text, checksum),
            "reasoning": reasoning + tail.reasoning,
            "reasoning_checksum": compute_checksum(tail.reasoning, reasoning_checksum),
        }
        drop_pieces(connection, message_id)
    # Text that rotted stays where it is, so that its checksum goes on telling of it.
    _change(connection, message_id, **values)


def _show(
    connection: Connection, conversation_id: str, leaf_id: str | None, **values: object
) -> None:
    if leaf_id is not None:
        values["leaf_id"] = leaf_id
    change_conversation(connection, conversation_id, updated_at=to_microseconds(now()), **values)


def _exists(connection: Connection, message_id: str) -> bool:
    return (
        connection.scalar(select(messages.c.number).where(messages.c.id == message_id)) is not None
    )


def _check_parent(connection: Connection, conversation_id: str, parent_id: str | None) -> None:
    if parent_id is None:
        return
    query = select(messages.c.conversation_id).where(messages.c.id == parent_id)
    if connection.scalar(query) != conversation_id:
        raise not_found("message")
