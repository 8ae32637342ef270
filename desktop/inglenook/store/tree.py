"""The shape of one conversation: which message follows which, without their texts.

Read whole, for its index alone holds it (10,000 messages in about 10 ms); walked here, so that a
damaged reference ends a walk instead of the program.
"""

from collections.abc import Iterable

from sqlalchemy import Connection, select

from inglenook.store.schema import conversations, messages


class Tree:
    """Ids of messages with their parents, in the order in which they were inserted."""

    def __init__(self, edges: Iterable[tuple[str, str | None]], shown_leaf_id: str | None) -> None:
        self._parents = dict(edges)
        self._children: dict[str | None, list[str]] = {}
        for message_id, parent_id in self._parents.items():
            self._children.setdefault(parent_id, []).append(message_id)
        newest = next(reversed(self._parents), None)
        self.shown_leaf_id = shown_leaf_id if shown_leaf_id in self._parents else newest

    def __contains__(self, message_id: str) -> bool:
        return message_id in self._parents

    def list_path(self, leaf_id: str | None) -> list[str]:
        """List the ids from the first message to the leaf."""
        path: list[str] = []
        seen: set[str] = set()
        current = leaf_id
        while current is not None and current in self._parents and current not in seen:
            seen.add(current)
            path.append(current)
            current = self._parents[current]
        path.reverse()
        return path

    def list_all(self) -> list[str]:
        """List all ids in the order in which they were inserted."""
        return list(self._parents)

    def list_siblings(self, message_id: str) -> tuple[str, ...]:
        """List the versions at this place, oldest first, with this one among them."""
        if message_id not in self._parents:
            return (message_id,)
        return tuple(self._children[self._parents[message_id]])

    def find_newest_below(self, message_id: str) -> str:
        """Find the newest message that follows this one, at any distance; else this one."""
        below = {message_id}
        newest = message_id
        for candidate, parent_id in self._parents.items():
            if parent_id in below and candidate not in below:
                below.add(candidate)
                newest = candidate
        return newest


def fetch_siblings(connection: Connection, message_id: str) -> tuple[str, ...]:
    """Read the versions at one message's place, oldest first, without the rest of its tree."""
    place = connection.execute(
        select(messages.c.conversation_id, messages.c.parent_id).where(messages.c.id == message_id)
    ).first()
    if place is None:
        return (message_id,)
    query = (
        select(messages.c.id)
        .where(
            messages.c.conversation_id == place[0],
            messages.c.parent_id.is_not_distinct_from(place[1]),
        )
        .order_by(messages.c.number)
    )
    return tuple(row[0] for row in connection.execute(query))


def fetch_tree(connection: Connection, conversation_id: str) -> Tree:
    """Read the shape of a conversation; empty for one that is not there."""
    query = (
        select(messages.c.id, messages.c.parent_id)
        .where(messages.c.conversation_id == conversation_id)
        .order_by(messages.c.number)
    )
    edges = [(row[0], row[1]) for row in connection.execute(query)]
    leaf = select(conversations.c.leaf_id).where(conversations.c.id == conversation_id)
    return Tree(edges, connection.scalar(leaf))
