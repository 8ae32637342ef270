"""The tables, as SQLAlchemy sees them. What is on the disk is made by `migrations/`, never by this.

Times are whole microseconds since 1970 in UTC; truth values are 0 and 1. `messages.number` grows
with every insert: it orders siblings, and is the row id that the search index points to. The text
of a reply that is being written stands in `pieces` until the reply ends, so that saving a few
tokens costs a few tokens, however long the reply is, and never touches what was saved before. A
piece belongs to the reply's reasoning or to its answer; only answers are searched. Files that are
attached to a message are kept as the text that they held then.
"""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    text,
)

metadata = MetaData()

conversations = Table(
    "conversations",
    metadata,
    Column("id", Text, primary_key=True),
    Column("title", Text, nullable=False),
    Column("title_is_chosen", Integer, nullable=False),
    Column("model_id", Text, nullable=False),
    Column("system_prompt", Text),
    Column("draft", Text, nullable=False),
    Column("is_pinned", Integer, nullable=False),
    Column("leaf_id", Text),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("deleted_at", BigInteger),
    Index("conversations_in_order", "deleted_at", "is_pinned", "updated_at"),
)

messages = Table(
    "messages",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column(
        "conversation_id",
        Text,
        ForeignKey("conversations.id", ondelete="CASCADE"),
        nullable=False,
    ),
    Column("parent_id", Text, ForeignKey("messages.id", ondelete="CASCADE")),
    Column("role", Text, nullable=False),
    Column("content", Text, nullable=False),
    Column("checksum", BigInteger, nullable=False),
    Column("status", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("model_id", Text, nullable=False),
    Column("model_name", Text, nullable=False),
    Column("finish_reason", Text, nullable=False),
    Column("error", Text, nullable=False),
    Column("statistics", Text, nullable=False),
    Column("writer", Text, nullable=False),
    Column("reasoning", Text, nullable=False),
    Column("reasoning_checksum", BigInteger, nullable=False),
    CheckConstraint("role IN ('user', 'assistant')", name="role_is_known"),
    Index("messages_in_order", "conversation_id", "number", "id", "parent_id"),
    Index("messages_by_parent", "parent_id"),
    Index("messages_streaming", "writer", sqlite_where=text("status = 'streaming'")),
)

pieces = Table(
    "pieces",
    metadata,
    Column("message_id", Text, ForeignKey("messages.id", ondelete="CASCADE"), primary_key=True),
    Column("ordinal", Integer, primary_key=True),
    Column("text", Text, nullable=False),
    Column("checksum", BigInteger, nullable=False),
    Column("part", Text, nullable=False),
    sqlite_with_rowid=False,
)

attachments = Table(
    "attachments",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("message_id", Text, ForeignKey("messages.id", ondelete="CASCADE"), nullable=False),
    Column("name", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("checksum", BigInteger, nullable=False),
    CheckConstraint("typeof(checksum) = 'integer'", name="checksum_is_whole"),
    Index("attachments_by_message", "message_id"),
)

draft_attachments = Table(
    "draft_attachments",
    metadata,
    Column("number", Integer, primary_key=True),
    Column(
        "conversation_id",
        Text,
        ForeignKey("conversations.id", ondelete="CASCADE"),
        nullable=False,
    ),
    Column("name", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("checksum", BigInteger, nullable=False),
    CheckConstraint("typeof(checksum) = 'integer'", name="checksum_is_whole"),
    Index("draft_attachments_by_conversation", "conversation_id"),
)

models = Table(
    "models",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("origin", Text, nullable=False),
    Column("aliases", Text, nullable=False),
    Column("repo", Text, nullable=False),
    Column("filename", Text, nullable=False),
    Column("revision", Text, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("architecture", Text, nullable=False),
    Column("quantisation", Text, nullable=False),
    Column("n_params", BigInteger, nullable=False),
    Column("n_ctx_train", BigInteger, nullable=False),
    Column("licence", Text, nullable=False),
    Column("added_at", BigInteger, nullable=False),
    Column("last_used_at", BigInteger),
    Column("problem", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("defaults", Text, nullable=False),
    Column("notes", Text, nullable=False),
)

settings = Table(
    "settings",
    metadata,
    Column("key", Text, primary_key=True),
    Column("value", Text, nullable=False),
)


@dataclass(frozen=True, slots=True)
class SearchIndex:
    """A full-text index over a table, kept in step by triggers. It can be made again."""

    table: str
    content: str
    """The table that it indexes."""
    ddl: tuple[str, ...]
    """Makes the index, then its triggers."""
    triggers: tuple[str, ...]

    @property
    def shadows(self) -> tuple[str, ...]:
        """The tables in which FTS5 keeps it."""
        parts = ("data", "idx", "docsize", "config", "content")
        return tuple(f"{self.table}_{part}" for part in parts)


SEARCH_INDEXES: Final = (
    SearchIndex(
        "message_search",
        "messages",
        (
            """CREATE VIRTUAL TABLE message_search USING fts5(
                content, content='messages', content_rowid='number',
                tokenize='unicode61 remove_diacritics 2', prefix='2 3')""",
            """CREATE TRIGGER message_search_insert AFTER INSERT ON messages BEGIN
                INSERT INTO message_search(rowid, content) VALUES (new.number, new.content); END""",
            """CREATE TRIGGER message_search_delete AFTER DELETE ON messages BEGIN
                INSERT INTO message_search(message_search, rowid, content)
                VALUES ('delete', old.number, old.content); END""",
            """CREATE TRIGGER message_search_update AFTER UPDATE OF content ON messages BEGIN
                INSERT INTO message_search(message_search, rowid, content)
                VALUES ('delete', old.number, old.content);
                INSERT INTO message_search(rowid, content) VALUES (new.number, new.content); END""",
        ),
        ("message_search_insert", "message_search_delete", "message_search_update"),
    ),
    SearchIndex(
        "attachment_search",
        "attachments",
        (
            """CREATE VIRTUAL TABLE attachment_search USING fts5(
                name, text, content='attachments', content_rowid='number',
                tokenize='unicode61 remove_diacritics 2', prefix='2 3')""",
            """CREATE TRIGGER attachment_search_insert AFTER INSERT ON attachments BEGIN
                INSERT INTO attachment_search(rowid, name, text)
                VALUES (new.number, new.name, new.text); END""",
            """CREATE TRIGGER attachment_search_delete AFTER DELETE ON attachments BEGIN
                INSERT INTO attachment_search(attachment_search, rowid, name, text)
                VALUES ('delete', old.number, old.name, old.text); END""",
        ),
        ("attachment_search_insert", "attachment_search_delete"),
    ),
)
