"""The pieces of a reply that is being written: a row for each flush, until the reply ends.

Called by `messages`, inside its transactions.
"""

from itertools import groupby

from sqlalchemy import Connection, delete, select

from inglenook.store.rows import Tail
from inglenook.store.schema import pieces
from inglenook.store.text import compute_checksum


def fetch_tails(connection: Connection, ids: list[str]) -> dict[str, Tail]:
    """Read what was saved of replies since they last ended."""
    query = (
        select(pieces.c.message_id, pieces.c.text, pieces.c.checksum, pieces.c.part)
        .where(pieces.c.message_id.in_(ids))
        .order_by(pieces.c.message_id, pieces.c.ordinal)
    )
    tails: dict[str, Tail] = {}
    for message_id, rows in groupby(connection.execute(query), key=lambda row: str(row[0])):
        parts = [(str(row[1]), row[2], row[3]) for row in rows]
        tails[message_id] = Tail(
            "".join(text for text, _, part in parts if part != "reasoning"),
            "".join(text for text, _, part in parts if part == "reasoning"),
            all(compute_checksum(text) == checksum for text, checksum, _ in parts),
        )
    return tails


def insert_piece(
    connection: Connection, message_id: str, ordinal: int, part: str, text: str
) -> None:
    """Save a piece of a reply, or of its reasoning."""
    connection.execute(
        pieces.insert().values(
            message_id=message_id,
            ordinal=ordinal,
            text=text,
            checksum=compute_checksum(text),
            part=part,
        )
    )


def drop_pieces(connection: Connection, message_id: str) -> None:
    """Forget the pieces of a reply whose text stands in its message now."""
    connection.execute(delete(pieces).where(pieces.c.message_id == message_id))
