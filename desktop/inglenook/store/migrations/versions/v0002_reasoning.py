"""What a model thought before it answered: beside a message's text, and in the pieces of a reply.

The defaults are those of messages without reasoning: no text, and the checksum of no text.
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_STATEMENTS = (
    "ALTER TABLE messages ADD COLUMN reasoning TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE messages ADD COLUMN reasoning_checksum BIGINT NOT NULL DEFAULT 0",
    "ALTER TABLE pieces ADD COLUMN part TEXT NOT NULL DEFAULT 'answer'",
)


def upgrade() -> None:
    """Add the columns; what is there stays as it is."""
    for statement in _STATEMENTS:
        op.execute(statement)
