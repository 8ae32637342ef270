"""Frozen records that cross between the siblings models and store, joined by app and chat."""

from datetime import UTC, datetime
from typing import Literal

import msgspec


def now() -> datetime:
    """The present moment, in UTC."""
    return datetime.now(UTC)


class InstalledModel(msgspec.Struct, frozen=True, kw_only=True):
    """A GGUF model on this disk.

    `id` is stable and unique: `builtin/guide` for the built-in one, `owner/repo/file.gguf` for one
    from the hub, `file:<absolute path>` for an imported one. `sha256` is hex, empty when unknown.
    """

    id: str
    name: str
    path: str
    size_bytes: int
    origin: Literal["builtin", "hub", "file"]
    aliases: tuple[str, ...] = ()
    repo: str = ""
    filename: str = ""
    revision: str = ""
    sha256: str = ""
    architecture: str = ""
    quantisation: str = ""
    n_params: int = 0
    n_ctx_train: int = 0
    licence: str = ""
    added_at: datetime = msgspec.field(default_factory=now)
    last_used_at: datetime | None = None
    problem: str = ""
    """A sentence when the file is known to be unusable (missing, damaged), else empty."""
