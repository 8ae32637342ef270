"""Frozen records that the store hands out; times are UTC."""

from datetime import datetime
from typing import Literal

import msgspec

type Role = Literal["user", "assistant"]
type Status = Literal["streaming", "complete", "stopped", "interrupted", "failed"]
"""An assistant's message is streaming until its run ends; a user's is complete from the start."""


class Conversation(msgspec.Struct, frozen=True, kw_only=True):
    """One conversation, without its messages.

    `leaf_id` is the last message of the branch that is shown; `model_id` the model it talks with.
    """

    id: str
    title: str
    title_is_chosen: bool = False
    model_id: str = ""
    system_prompt: str | None = None
    draft: str = ""
    is_pinned: bool = False
    leaf_id: str | None = None
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None = None


class Statistics(msgspec.Struct, frozen=True, kw_only=True):
    """What an assistant's message took; tokens, seconds, tokens per second.

    As in the engine's `Usage` and `Timings`; JSON in the database, so a number may be added here.
    """

    prompt_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    drafted_tokens: int = 0
    accepted_tokens: int = 0
    n_ctx: int = 0
    seed: int = 0
    queue_s: float = 0.0
    load_s: float = 0.0
    prefill_s: float = 0.0
    reasoning_s: float = 0.0
    decode_s: float = 0.0
    ttft_s: float = 0.0
    total_s: float = 0.0
    prefill_tps: float = 0.0
    decode_tps: float = 0.0


class Attachment(msgspec.Struct, frozen=True, kw_only=True):
    """A text file as it was when it was attached: its name, without folders, and its text."""

    name: str
    text: str


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One message of a conversation's tree.

    `sibling_ids` are the versions at this place, oldest first, with this one among them.
    `reasoning` is what the model thought before `content`; `attachments` are files that a person
    gave with it. `is_intact` is False when a text does not match its checksum.
    """

    id: str
    conversation_id: str
    parent_id: str | None
    role: Role
    content: str
    reasoning: str = ""
    status: Status
    created_at: datetime
    model_id: str = ""
    model_name: str = ""
    finish_reason: str = ""
    error: str = ""
    statistics: Statistics = Statistics()
    sibling_ids: tuple[str, ...] = ()
    is_intact: bool = True
    attachments: tuple[Attachment, ...] = ()


class SearchHit(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation that matches a search; `message_id` is None for a match in the title.

    `snippet` is plain text; `spans` are the (start, end) offsets of what matched in it.
    """

    conversation: Conversation
    message_id: str | None
    snippet: str
    spans: tuple[tuple[int, int], ...] = ()
