"""From rows to frozen records and back: times, checksums, and values that rotted on the disk.

SQLite keeps what it is given and a flipped bit may change a value's type, so nothing here trusts
a row: what cannot be understood gets a harmless value, and one bad row never hides the others.
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, get_args

import msgspec

from inglenook.base.records import InstalledModel, ModelDefaults
from inglenook.base.setting import Value
from inglenook.store.records import Attachment, Conversation, Message, Role, Statistics, Status
from inglenook.store.text import is_intact, show_stored

log = logging.getLogger(__name__)

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_STATUSES: Final = frozenset(get_args(Status.__value__))
_ROLES: Final = frozenset(get_args(Role.__value__))
_ORIGINS: Final = frozenset({"builtin", "hub", "file", "copy"})

if TYPE_CHECKING:
    from sqlalchemy import RowMapping

type Row = RowMapping


def to_microseconds(moment: datetime) -> int:
    """Count the microseconds from 1970 to a moment with a time zone."""
    return (moment - _EPOCH) // _MICROSECOND


def to_datetime(value: object) -> datetime:
    """Make a moment in UTC out of stored microseconds; 1970 where they make no sense."""
    if not isinstance(value, int):
        return _EPOCH
    try:
        return _EPOCH + timedelta(microseconds=value)
    except OverflowError:
        return _EPOCH


def to_conversation(row: Row) -> Conversation:
    """Make a conversation out of a row of `conversations`."""
    return Conversation(
        id=_to_text(row["id"]),
        title=_to_text(row["title"]),
        title_is_chosen=row["title_is_chosen"] == 1,
        model_id=_to_text(row["model_id"]),
        system_prompt=None if row["system_prompt"] is None else _to_text(row["system_prompt"]),
        draft=_to_text(row["draft"]),
        is_pinned=row["is_pinned"] == 1,
        leaf_id=None if row["leaf_id"] is None else _to_text(row["leaf_id"]),
        created_at=to_datetime(row["created_at"]),
        updated_at=to_datetime(row["updated_at"]),
        deleted_at=None if row["deleted_at"] is None else to_datetime(row["deleted_at"]),
    )


@dataclass(frozen=True, slots=True)
class Attached:
    """What is attached to one message, and whether all of it is what was stored."""

    files: tuple[Attachment, ...] = ()
    is_intact: bool = True


@dataclass(frozen=True, slots=True)
class Tail:
    """What was saved of a reply since it last ended: the text of its pieces."""

    text: str = ""
    reasoning: str = ""
    is_intact: bool = True


def to_message(row: Row, tail: Tail, attached: Attached, siblings: tuple[str, ...]) -> Message:
    """Make a message out of a row of `messages`, its pieces and what is attached to it."""
    text, text_is_intact = _read_text(row["content"], row["checksum"])
    reasoning, reasoning_is_intact = _read_text(row["reasoning"], row["reasoning_checksum"])
    status, role = row["status"], row["role"]
    return Message(
        id=_to_text(row["id"]),
        conversation_id=_to_text(row["conversation_id"]),
        parent_id=None if row["parent_id"] is None else _to_text(row["parent_id"]),
        role=role if role in _ROLES else "assistant",
        content=show_stored(text + tail.text),
        reasoning=show_stored(reasoning + tail.reasoning),
        status=status if status in _STATUSES else "interrupted",
        created_at=to_datetime(row["created_at"]),
        model_id=_to_text(row["model_id"]),
        model_name=_to_text(row["model_name"]),
        finish_reason=_to_text(row["finish_reason"]),
        error=_to_text(row["error"]),
        statistics=_to_statistics(row["statistics"]),
        sibling_ids=siblings,
        is_intact=all((text_is_intact, reasoning_is_intact, tail.is_intact, attached.is_intact)),
        attachments=attached.files,
    )


def from_statistics(statistics: Statistics) -> str:
    """Make the stored form of statistics: JSON, with only what differs from nothing."""
    values = msgspec.structs.asdict(statistics)
    return msgspec.json.encode({key: value for key, value in values.items() if value}).decode()


def to_model(row: Row) -> InstalledModel | None:
    """Make an installed model out of a row of `models`; None when the row makes no sense."""
    if row["origin"] not in _ORIGINS:
        return None
    return InstalledModel(
        id=_to_text(row["id"]),
        name=_to_text(row["name"]),
        path=_to_text(row["path"]),
        size_bytes=_to_int(row["size_bytes"]),
        origin=row["origin"],
        source=_to_text(row["source"]),
        aliases=_decode(row["aliases"], tuple[str, ...], ()),
        repo=_to_text(row["repo"]),
        filename=_to_text(row["filename"]),
        revision=_to_text(row["revision"]),
        sha256=_to_text(row["sha256"]),
        architecture=_to_text(row["architecture"]),
        quantisation=_to_text(row["quantisation"]),
        n_params=_to_int(row["n_params"]),
        n_ctx_train=_to_int(row["n_ctx_train"]),
        licence=_to_text(row["licence"]),
        defaults=_decode(row["defaults"], ModelDefaults, ModelDefaults()),
        notes=_decode(row["notes"], tuple[str, ...], ()),
        added_at=to_datetime(row["added_at"]),
        last_used_at=None if row["last_used_at"] is None else to_datetime(row["last_used_at"]),
        problem=_to_text(row["problem"]),
    )


def from_model(model: InstalledModel) -> dict[str, Any]:
    """Make the values of a row of `models`."""
    values = msgspec.structs.asdict(model)
    for key in ("aliases", "defaults", "notes"):
        values[key] = msgspec.json.encode(values[key]).decode()
    values["added_at"] = to_microseconds(model.added_at)
    values["last_used_at"] = model.last_used_at and to_microseconds(model.last_used_at)
    return values


def to_settings(rows: Iterable[tuple[object, object]]) -> Mapping[str, Value]:
    """Make chosen settings out of keys and values; a value that cannot be read is left out."""
    loaded: dict[str, Value] = {}
    for key, value in rows:
        try:
            loaded[str(key)] = msgspec.json.decode(str(value), type=Value.__value__)
        except (msgspec.MsgspecError, UnicodeError):
            log.warning("a stored setting cannot be read and is ignored")
    return loaded


def _to_statistics(value: object) -> Statistics:
    try:
        return msgspec.json.decode(_to_text(value), type=Statistics)
    except (msgspec.MsgspecError, UnicodeError):
        return Statistics()


def _read_text(value: object, checksum: object) -> tuple[str, bool]:
    """A stored text, and whether it is what was stored."""
    return value if isinstance(value, str) else "", is_intact(value, checksum)


def _decode[T](value: object, kind: type[T], instead: T) -> T:
    try:
        return msgspec.json.decode(_to_text(value) or "null", type=kind)
    except (msgspec.MsgspecError, UnicodeError):
        return instead


def _to_text(value: object) -> str:
    return show_stored(value) if isinstance(value, str) else ""


def _to_int(value: object) -> int:
    return value if isinstance(value, int) else 0
