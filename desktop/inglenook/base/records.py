"""Frozen records that cross between the siblings models and store, joined by app and chat."""

from datetime import UTC, datetime
from typing import Literal

import msgspec


def now() -> datetime:
    """The present moment, in UTC."""
    return datetime.now(UTC)


class ModelDefaults(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the app that a model was found in sets for it; None and "" where it says nothing.

    They stand where a person chose nothing else.
    """

    system_prompt: str = ""
    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    repeat_penalty: float | None = None
    seed: int | None = None
    max_tokens: int | None = None
    n_ctx: int | None = None
    stop: tuple[str, ...] = ()


class InstalledModel(msgspec.Struct, frozen=True, kw_only=True):
    """A GGUF model on this disk.

    `id` is stable and unique: `builtin/guide` for the built-in one, `owner/repo/file.gguf` for one
    from the hub, `file:<absolute path>` for one that is used where it lies, `ollama:<name>` for one
    of Ollama's. `sha256` is hex, of several files joined by commas, empty when unknown. A `file` is
    never ours to delete; a `copy` was copied or moved into the models folder. `source` is the app
    that keeps the file, else "".
    """

    id: str
    name: str
    path: str
    size_bytes: int
    origin: Literal["builtin", "hub", "file", "copy"]
    source: str = ""
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
    defaults: ModelDefaults = ModelDefaults()
    notes: tuple[str, ...] = ()
    """Sentences about what is different here from the app that keeps the file."""
    added_at: datetime = msgspec.field(default_factory=now)
    last_used_at: datetime | None = None
    problem: str = ""
    """A sentence when the file is known to be unusable (missing, damaged), else empty."""
