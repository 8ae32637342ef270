"""Models that another app keeps: which app, what it sets for them, and what is different here."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Give models a source, the values that it sets for them, and notes."""
    for name in ("source", "defaults", "notes"):
        op.execute(f"ALTER TABLE models ADD COLUMN {name} TEXT NOT NULL DEFAULT ''")
