"""Alembic's entry: runs the migrations on the connection that `upgrade` hands over."""

from alembic import context
from sqlalchemy import Connection


def run() -> None:
    """Run the wanted migrations; the caller owns the transaction and sets `user_version`."""
    connection = context.config.attributes["connection"]
    if not isinstance(connection, Connection):
        raise TypeError("the migrations run on a connection, not from a command line")
    context.configure(
        connection=connection, transactional_ddl=True, transaction_per_migration=False
    )
    context.run_migrations()


run()
