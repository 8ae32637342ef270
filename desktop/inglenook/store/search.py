"""Search in titles (any part of them), texts and attached files (words by their beginnings).

A part of `Store`.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import partial
from typing import Final

from sqlalchemy import Connection, LargeBinary, TextClause, cast, func, select, text

from inglenook.store.database import Database
from inglenook.store.records import Conversation, SearchHit
from inglenook.store.rows import to_conversation
from inglenook.store.schema import attachments, conversations, messages
from inglenook.store.snippets import cut_around_part, cut_around_words, find_spans, list_words
from inglenook.store.text import clean_text, show_stored

_MAX_ROWS: Final = 20_000
"""How many matching messages are looked at, at most, to find enough conversations."""

_WITHOUT_SPACES: Final = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]"
)
"""Thai, Lao, Burmese, Khmer, Japanese, Chinese, Korean: no spaces tell where a word begins."""

_FILE_SNIPPET_CHARS: Final = 100_000
"""So much of an attached file is looked through for what to show of it."""

_INDEXED: Final = text(
    """SELECT m.number, m.conversation_id, NULL
    FROM message_search
    CROSS JOIN messages m ON m.number = message_search.rowid
    CROSS JOIN conversations c ON c.id = m.conversation_id
    WHERE message_search MATCH :query AND c.deleted_at IS NULL
    ORDER BY message_search.rowid DESC LIMIT :limit"""
)

_INDEXED_FILES: Final = text(
    """SELECT m.number, m.conversation_id, a.number
    FROM attachment_search
    CROSS JOIN attachments a ON a.number = attachment_search.rowid
    CROSS JOIN messages m ON m.id = a.message_id
    CROSS JOIN conversations c ON c.id = m.conversation_id
    WHERE attachment_search MATCH :query AND c.deleted_at IS NULL
    ORDER BY attachment_search.rowid DESC LIMIT :limit"""
)

_SCANNED: Final = text(
    """SELECT m.number, m.conversation_id, NULL
    FROM messages m
    CROSS JOIN conversations c ON c.id = m.conversation_id
    WHERE contains_folded(CAST(m.content AS BLOB), :query) AND c.deleted_at IS NULL
    ORDER BY m.number DESC LIMIT :limit"""
)

_SCANNED_FILES: Final = text(
    """SELECT m.number, m.conversation_id, a.number
    FROM attachments a
    CROSS JOIN messages m ON m.id = a.message_id
    CROSS JOIN conversations c ON c.id = m.conversation_id
    WHERE contains_folded(CAST(a.name || ' ' || a.text AS BLOB), :query) AND c.deleted_at IS NULL
    ORDER BY a.number DESC LIMIT :limit"""
)


@dataclass(frozen=True, slots=True, order=True)
class _Place:
    """A message that matches by its number, and the attached file in which it does, if by one."""

    message_number: int
    is_text: bool
    file_number: int = 0


class Search:
    """Search over the open `database`."""

    _database: Database

    def search(self, text: str, *, limit: int = 200) -> tuple[SearchHit, ...]:
        """Find conversations: first by title, then by text, each with its newest matching message.

        A title matches when it contains `text`; a message when each word of `text` begins one of
        its words, or one of the words of a file that is attached to it. At most one hit by title
        and one by text for each conversation; what is in the trash is not searched.
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
        newest = _find_newest(connection, (_SCANNED, _SCANNED_FILES), needle, limit)
        cut = partial(cut_around_part, needle=needle)
    elif words and len(needle) > 1:
        newest = _find_newest(connection, (_INDEXED, _INDEXED_FILES), _make_query(words), limit)
        cut = partial(cut_around_words, words=words)
    else:
        return []
    if not newest:
        return []
    owners = _fetch_conversations(connection, list(newest))
    shown = _fetch_shown(connection, newest.values())
    hits = []
    for conversation_id, place in newest.items():
        if place not in shown:
            continue
        message_id, content = shown[place]
        snippet, spans = cut(content)
        hits.append(
            SearchHit(
                conversation=owners[conversation_id],
                message_id=message_id,
                snippet=snippet,
                spans=spans,
            )
        )
    return hits


def _fetch_shown(
    connection: Connection, places: Collection[_Place]
) -> dict[_Place, tuple[str, str]]:
    """Read the id of the message at each place, and what matches there."""
    number = messages.c.number
    texts = {place.message_number: place for place in places if place.is_text}
    files = {place.file_number: place for place in places if not place.is_text}
    query = select(number, messages.c.id, messages.c.content).where(number.in_(texts))
    shown = {
        texts[key]: (message_id, show_stored(str(content)))
        for key, message_id, content in connection.execute(query)
    }
    table = attachments.c
    part = func.substr(table.text, 1, _FILE_SNIPPET_CHARS)
    query_files = select(table.number, table.message_id, table.name, part).where(
        table.number.in_(files)
    )
    for key, message_id, name, content in connection.execute(query_files):
        shown[files[key]] = (message_id, show_stored(f"{name}: {content}"))
    return shown


def _make_query(words: tuple[str, ...]) -> str:
    """Make the index's query: all words by their beginnings, single letters as they are."""
    return " ".join(f'"{word}"*' if len(word) > 1 else f'"{word}"' for word in words)


def _find_newest(
    connection: Connection, statements: tuple[TextClause, ...], query: str, limit: int
) -> dict[str, _Place]:
    """Find the newest matching message of each conversation, the newest conversation first."""
    newest: dict[str, _Place] = {}
    for statement in statements:
        found: set[str] = set()
        values = {"query": query, "limit": _MAX_ROWS}
        with connection.execute(statement, values) as rows:
            for number, conversation_id, file_number in rows:
                found.add(conversation_id)
                place = _Place(number, file_number is None, file_number or 0)
                newest[conversation_id] = max(newest.get(conversation_id, place), place)
                if len(found) >= limit:
                    break
    ordered = sorted(newest.items(), key=lambda item: item[1], reverse=True)
    return dict(ordered[:limit])


def _fetch_conversations(connection: Connection, ids: list[str]) -> dict[str, Conversation]:
    query = select(conversations).where(conversations.c.id.in_(ids))
    found = (to_conversation(row) for row in connection.execute(query).mappings())
    return {conversation.id: conversation for conversation in found}
