"""Search in titles (any part of them) and texts (words by their beginnings). A part of `Store`."""

import re
from functools import partial
from typing import Final

from sqlalchemy import Connection, LargeBinary, TextClause, cast, func, select, text

from inglenook.store.database import Database
from inglenook.store.records import Conversation, SearchHit
from inglenook.store.rows import to_conversation
from inglenook.store.schema import conversations, messages
from inglenook.store.snippets import cut_around_part, cut_around_words, find_spans, list_words
from inglenook.store.text import clean_text, show_stored

_MAX_ROWS: Final = 20_000
"""How many matching messages are looked at, at most, to find enough conversations."""

_WITHOUT_SPACES: Final = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]"
)
"""Thai, Lao, Burmese, Khmer, Japanese, Chinese, Korean: no spaces tell where a word begins."""

_INDEXED: Final = text(
    """SELECT m.number, m.conversation_id
    FROM message_search
    CROSS JOIN messages m ON m.number = message_search.rowid
    CROSS JOIN conversations c ON c.id = m.conversation_id
    WHERE message_search MATCH :query AND c.deleted_at IS NULL
    ORDER BY message_search.rowid DESC LIMIT :limit"""
)

_SCANNED: Final = text(
    """SELECT m.number, m.conversation_id
    FROM messages m
    CROSS JOIN conversations c ON c.id = m.conversation_id
    WHERE contains_folded(CAST(m.content AS BLOB), :query) AND c.deleted_at IS NULL
    ORDER BY m.number DESC LIMIT :limit"""
)


class Search:
    """Search over the open `database`."""

    _database: Database

    def search(self, text: str, *, limit: int = 200) -> tuple[SearchHit, ...]:
        """Find conversations: first by title, then by text, each with its newest matching message.

        A title matches when it contains `text`; a message when each word of `text` begins one of
        its words. At most one hit by title and one by text for each conversation; what is in the
        trash is not searched.
        """
        needle = clean_text(text).strip().casefold().replace("\0", "")
        if not needle:
            return ()
        return self._database.read(lambda c: _find(c, needle, limit))


def _find(connection: Connection, needle: str, limit: int) -> tuple[SearchHit, ...]:
    hits = _find_titles(connection, needle, limit)
    return (*hits, *_find_texts(connection, needle, limit))[:limit]


def _find_titles(connection: Connection, needle: str, limit: int) -> list[SearchHit]:
    table = conversations.c
    title = cast(table.title, LargeBinary)
    query = (
        select(conversations)
        .where(table.deleted_at.is_(None), func.contains_folded(title, needle) == 1)
        .order_by(table.is_pinned.desc(), table.updated_at.desc())
        .limit(limit)
    )
    hits = []
    for row in connection.execute(query).mappings():
        conversation = to_conversation(row)
        spans = find_spans(conversation.title, needle)
        hits.append(
            SearchHit(
                conversation=conversation,
                message_id=None,
                snippet=conversation.title,
                spans=spans,
            )
        )
    return hits


def _find_texts(connection: Connection, needle: str, limit: int) -> list[SearchHit]:
    words = list_words(needle)
    if _WITHOUT_SPACES.search(needle):
        newest = _find_newest(connection, _SCANNED, needle, limit)
        cut = partial(cut_around_part, needle=needle)
    elif words and len(needle) > 1:
        newest = _find_newest(connection, _INDEXED, _make_query(words), limit)
        cut = partial(cut_around_words, words=words)
    else:
        return []
    if not newest:
        return []
    owners = _fetch_conversations(connection, list(newest))
    query = select(messages.c.conversation_id, messages.c.id, messages.c.content).where(
        messages.c.number.in_(newest.values())
    )
    hits: dict[str, SearchHit] = {}
    for conversation_id, message_id, content in connection.execute(query):
        snippet, spans = cut(show_stored(str(content)))
        hits[conversation_id] = SearchHit(
            conversation=owners[conversation_id],
            message_id=message_id,
            snippet=snippet,
            spans=spans,
        )
    return [hits[conversation_id] for conversation_id in newest if conversation_id in hits]


def _make_query(words: tuple[str, ...]) -> str:
    """Make the index's query: all words by their beginnings, single letters as they are."""
    return " ".join(f'"{word}"*' if len(word) > 1 else f'"{word}"' for word in words)


def _find_newest(
    connection: Connection, statement: TextClause, query: str, limit: int
) -> dict[str, int]:
    """Find the newest matching message of each conversation, the newest conversation first."""
    newest: dict[str, int] = {}
    values = {"query": query, "limit": _MAX_ROWS}
    with connection.execute(statement, values) as rows:
        for number, conversation_id in rows:
            newest.setdefault(conversation_id, number)
            if len(newest) >= limit:
                break
    return newest


def _fetch_conversations(connection: Connection, ids: list[str]) -> dict[str, Conversation]:
    query = select(conversations).where(conversations.c.id.in_(ids))
    found = (to_conversation(row) for row in connection.execute(query).mappings())
    return {conversation.id: conversation for conversation in found}
