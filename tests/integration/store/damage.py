"""How tests harm a database, and what they put into it first."""

import sqlite3
from contextlib import closing
from pathlib import Path

from inglenook.store.store import Store

CANARY = "xylophone-canary"


def fill(path: Path, n_conversations: int = 20, n_exchanges: int = 3) -> dict[str, list[str]]:
    """Make conversations; returns their texts by id."""
    store = Store.open(path)
    for c in range(n_conversations):
        user, reply = store.start_conversation(
            title=f"Conversation {c}",
            system_prompt=None,
            text=f"q{c}.0",
            model_id="",
            model_name="",
        )
        for i in range(n_exchanges):
            store.finish_message(reply.id, content=f"a{c}.{i} " + "word " * 60, status="complete")
            if i + 1 < n_exchanges:
                user, reply = store.add_exchange(
                    user.conversation_id,
                    parent_id=reply.id,
                    text=f"q{c}.{i + 1}",
                    model_id="",
                    model_name="",
                )
    texts = read_all(store)
    store.close()
    return texts


def read_all(store: Store) -> dict[str, list[str]]:
    return {c.id: [m.content for m in store.thread(c.id)] for c in store.list_conversations()}


def overwrite(path: Path, offset: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


def run_sql(path: Path, sql: str, *values: object) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(sql, values)
