"""What is in a profile's database, read from beside the program that writes it; and settings."""

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from inglenook.base.events import EventHub
from inglenook.base.settings import Settings
from inglenook.store.store import Store
from support.program import Program
from support.waiting import wait_for

_QUERY = """
SELECT u.conversation_id, u.content, r.status, r.finish_reason, r.error, r.statistics,
       r.content || coalesce((SELECT group_concat(text, '') FROM
       (SELECT text FROM pieces WHERE message_id = r.id AND part = 'answer' ORDER BY ordinal)), '')
FROM messages AS r JOIN messages AS u ON r.parent_id = u.id ORDER BY r.number
"""


@dataclass(frozen=True, slots=True)
class StoredReply:
    """A question and its reply as they are on the disk, with what was saved while it streams."""

    conversation_id: str
    question: str
    status: str
    finish_reason: str
    error: str
    statistics: dict[str, Any]
    text: str


class Stored:
    """A connection that only reads."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def list_replies(self) -> list[StoredReply]:
        """All replies, in the order in which they were begun."""
        return [_make_reply(row) for row in self._connection.execute(_QUERY)]

    def find(self, question: str) -> StoredReply | None:
        """The reply to a question that was asked once."""
        found = [reply for reply in self.list_replies() if reply.question == question]
        assert len(found) < 2, f"{question!r} is there {len(found)} times"
        return found[0] if found else None

    def wait_for_text(self, question: str, n_chars: int = 1) -> StoredReply:
        """The reply to a question once so much of it is there; it must still go on."""
        reply = self._wait(question, lambda r: len(r.text) >= n_chars, f"has {n_chars} characters")
        assert reply.status == "streaming", reply
        return reply

    def wait_for_status(self, question: str, status: str) -> StoredReply:
        """The reply to a question once it has ended, which must be in this way."""
        reply = self._wait(question, lambda r: r.status != "streaming", "ends")
        assert reply.status == status, reply
        return reply

    def _wait(
        self, question: str, is_wanted: Callable[[StoredReply], bool], what: str
    ) -> StoredReply:
        def look() -> StoredReply | None:
            reply = self.find(question)
            return reply if reply is not None and is_wanted(reply) else None

        return wait_for(look, f"the reply to {question!r} {what}")

    def read_setting(self, key: str) -> Any:
        """What was chosen; None for what was not."""
        row = self._connection.execute(
            "SELECT value FROM settings WHERE key = ?", (key,)
        ).fetchone()
        return None if row is None else json.loads(row[0])


def _make_reply(row: tuple[Any, ...]) -> StoredReply:
    conversation_id, question, status, finish_reason, error, statistics, text = row
    return StoredReply(
        conversation_id=conversation_id,
        question=question,
        status=status,
        finish_reason=finish_reason,
        error=error,
        statistics=json.loads(statistics or "{}"),
        # Text that holds a NUL comes out of SQLite's operators as bytes.
        text=text if isinstance(text, str) else text.decode(),
    )


@contextmanager
def open_stored(database: Path) -> Iterator[Stored]:
    """Read a database that another process may be writing."""
    address = f"file:{quote(str(database))}?mode=ro"
    with closing(sqlite3.connect(address, uri=True, timeout=20)) as connection:
        yield Stored(connection)


def choose(program: Program, **settings: object) -> None:
    """Choose settings, as the settings page does; dots in their names are written as __."""
    store = Store.open(program.database)
    try:
        chosen = Settings(store.load_settings, store.save_setting, EventHub())
        for name, value in settings.items():
            chosen.set(name.replace("__", "."), value)
    finally:
        store.close()


def use_model(program: Program, model: Path, **settings: object) -> str:
    """Import a model and choose it for new conversations; returns its id.

    On one thread: two that wait for each other suffer more on a busy machine.
    """
    model_id: str = program.run("import", str(model), "--json").read_json()["id"]
    choose(program, models__default=model_id, engine__threads=1, **settings)
    return model_id
