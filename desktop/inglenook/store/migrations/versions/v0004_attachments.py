"""Text files that are attached to messages, and to drafts of messages; those of messages searched.

A row whose checksum is no number is refused: the rescue of a damaged database may take rows of
another table for these.
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_STATEMENTS = (
    """CREATE TABLE attachments (
        number INTEGER NOT NULL PRIMARY KEY,
        message_id TEXT NOT NULL REFERENCES messages (id) ON DELETE CASCADE,
        name TEXT NOT NULL,
        text TEXT NOT NULL,
        checksum BIGINT NOT NULL,
        CONSTRAINT checksum_is_whole CHECK (typeof(checksum) = 'integer'))""",
    "CREATE INDEX attachments_by_message ON attachments (message_id)",
    """CREATE TABLE draft_attachments (
        number INTEGER NOT NULL PRIMARY KEY,
        conversation_id TEXT NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
        name TEXT NOT NULL,
        text TEXT NOT NULL,
        checksum BIGINT NOT NULL,
        CONSTRAINT checksum_is_whole CHECK (typeof(checksum) = 'integer'))""",
    "CREATE INDEX draft_attachments_by_conversation ON draft_attachments (conversation_id)",
    """CREATE VIRTUAL TABLE attachment_search USING fts5(
        name, text, content='attachments', content_rowid='number',
        tokenize='unicode61 remove_diacritics 2', prefix='2 3')""",
    """CREATE TRIGGER attachment_search_insert AFTER INSERT ON attachments BEGIN
        INSERT INTO attachment_search(rowid, name, text)
        VALUES (new.number, new.name, new.text); END""",
    """CREATE TRIGGER attachment_search_delete AFTER DELETE ON attachments BEGIN
        INSERT INTO attachment_search(attachment_search, rowid, name, text)
        VALUES ('delete', old.number, old.name, old.text); END""",
)


def upgrade() -> None:
    """Add the tables; what is there stays as it is."""
    for statement in _STATEMENTS:
        op.execute(statement)
