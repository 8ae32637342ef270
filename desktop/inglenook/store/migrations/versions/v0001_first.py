"""The first schema: conversations, messages as a tree, pieces of replies, models, settings, search.

The statements are written out, not derived from `schema`: they must mean the same for ever.
"""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_STATEMENTS = (
    """CREATE TABLE conversations (
        id TEXT NOT NULL PRIMARY KEY,
        title TEXT NOT NULL,
        title_is_chosen INTEGER NOT NULL,
        model_id TEXT NOT NULL,
        system_prompt TEXT,
        draft TEXT NOT NULL,
        is_pinned INTEGER NOT NULL,
        leaf_id TEXT,
        created_at BIGINT NOT NULL,
        updated_at BIGINT NOT NULL,
        deleted_at BIGINT)""",
    "CREATE INDEX conversations_in_order ON conversations (deleted_at, is_pinned, updated_at)",
    """CREATE TABLE messages (
        number INTEGER NOT NULL PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        conversation_id TEXT NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
        parent_id TEXT REFERENCES messages (id) ON DELETE CASCADE,
        role TEXT NOT NULL,
        content TEXT NOT NULL,
        checksum BIGINT NOT NULL,
        status TEXT NOT NULL,
        created_at BIGINT NOT NULL,
        model_id TEXT NOT NULL,
        model_name TEXT NOT NULL,
        finish_reason TEXT NOT NULL,
        error TEXT NOT NULL,
        statistics TEXT NOT NULL,
        writer TEXT NOT NULL,
        CONSTRAINT role_is_known CHECK (role IN ('user', 'assistant')))""",
    "CREATE INDEX messages_in_order ON messages (conversation_id, number, id, parent_id)",
    "CREATE INDEX messages_by_parent ON messages (parent_id)",
    "CREATE INDEX messages_streaming ON messages (writer) WHERE status = 'streaming'",
    """CREATE TABLE pieces (
        message_id TEXT NOT NULL REFERENCES messages (id) ON DELETE CASCADE,
        ordinal INTEGER NOT NULL,
        text TEXT NOT NULL,
        checksum BIGINT NOT NULL,
        PRIMARY KEY (message_id, ordinal)) WITHOUT ROWID""",
    """CREATE TABLE models (
        id TEXT NOT NULL PRIMARY KEY,
        name TEXT NOT NULL,
        path TEXT NOT NULL,
        size_bytes BIGINT NOT NULL,
        origin TEXT NOT NULL,
        aliases TEXT NOT NULL,
        repo TEXT NOT NULL,
        filename TEXT NOT NULL,
        revision TEXT NOT NULL,
        sha256 TEXT NOT NULL,
        architecture TEXT NOT NULL,
        quantisation TEXT NOT NULL,
        n_params BIGINT NOT NULL,
        n_ctx_train BIGINT NOT NULL,
        licence TEXT NOT NULL,
        added_at BIGINT NOT NULL,
        last_used_at BIGINT,
        problem TEXT NOT NULL)""",
    "CREATE TABLE settings (key TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL)",
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
)


def upgrade() -> None:
    """Make the tables of an empty database."""
    for statement in _STATEMENTS:
        op.execute(statement)
