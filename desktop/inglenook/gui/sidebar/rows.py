"""The sidebar's rows as plain values: groups by date, conversations, search hits.

Pure; called on a worker thread, since a profile may hold many thousand conversations.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal

from inglenook.store.records import Conversation, SearchHit

type RowKind = Literal["group", "conversation", "hit", "note"]
type Translate = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the list. `conversation` is None for a group's name and for a note."""

    kind: RowKind
    text: str
    conversation: Conversation | None = None
    message_id: str | None = None
    snippet: str = ""
    spans: tuple[tuple[int, int], ...] = ()


def make_rows(
    conversations: Iterable[Conversation], today: date, translate: Translate
) -> tuple[Row, ...]:
    """Group conversations as Pinned, Today, Yesterday, Previous 7 days, Older; newest first."""
    groups: dict[str, list[Row]] = {
        name: [] for name in ("Pinned", "Today", "Yesterday", "Previous 7 days", "Older")
    }
    for conversation in conversations:
        name = "Pinned" if conversation.is_pinned else _name_day(conversation.updated_at, today)
        groups[name].append(
            Row("conversation", clean_title(conversation.title, translate), conversation)
        )
    rows: list[Row] = []
    for name, members in groups.items():
        if members:
            rows += [Row("group", translate(name)), *members]
    return tuple(rows)


def make_hit_rows(hits: Sequence[SearchHit], translate: Translate) -> tuple[Row, ...]:
    """Rows for what a search found, best first; one line that says so when it found nothing."""
    if not hits:
        return (Row("note", translate("Nothing found")),)
    found = tuple(
        Row(
            "hit",
            clean_title(hit.conversation.title, translate),
            hit.conversation,
            hit.message_id,
            hit.snippet,
            hit.spans,
        )
        for hit in hits
    )
    return (Row("group", translate("Found")), *found)


def clean_title(title: str, translate: Translate) -> str:
    """A title on one line, without control characters; a name for those that have none yet."""
    shown = "".join(c for c in title if c.isprintable() or c.isspace())
    return " ".join(shown.split())[:300] or translate("New conversation")


def _name_day(moment: datetime, today: date) -> str:
    day = moment.astimezone().date()
    if day >= today:
        return "Today"
    if day == today - timedelta(days=1):
        return "Yesterday"
    return "Previous 7 days" if day > today - timedelta(days=8) else "Older"
