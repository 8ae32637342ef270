"""What a model file's header holds, as lines that people can read.

`read_metadata(path)` is called by the command line and on worker threads by the window.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from inglenook.models.gguf import (
    KEPT_STRING_BYTES,
    KEPT_TEMPLATE_BYTES,
    TEMPLATE_KEY,
    GgufHeader,
    Value,
    read_header,
)
from inglenook.models.sizes import describe_size

MAX_ENTRIES: Final = 5_000
_SHOWN_ITEMS: Final = 8


class Entry(msgspec.Struct, frozen=True):
    """One key of a header and its value as text; long lists are shortened, texts are not."""

    key: str
    value: str


def read_metadata(path: Path | str, try_template: Callable[[str], str]) -> tuple[Entry, ...]:
    """The facts of a file, then every key of its header. Raises what `read_header` raises.

    `try_template` says in a sentence how the chat template did when it was tried.
    """
    header = read_header(path)
    tried = Entry("chat template", try_template(header.chat_template))
    return (*_list_facts(header), tried, *_list_entries(header))


def _list_facts(header: GgufHeader) -> tuple[Entry, ...]:
    return (
        Entry("GGUF version", str(header.version)),
        Entry("size", f"{describe_size(header.size_bytes)} ({header.size_bytes:,} bytes)"),
        Entry("tensors", f"{header.n_tensors:,}"),
        Entry("parameters", f"{header.n_params:,}"),
        Entry("quantisation", header.quantisation or "not said"),
    )


def _list_entries(header: GgufHeader) -> list[Entry]:
    """In the order of the file, lists that were not kept after the others."""
    keys = [*header.values, *(key for key in header.lengths if key not in header.values)]
    entries = []
    for key in keys[:MAX_ENTRIES]:
        shown = "".join(letter if letter.isprintable() else "?" for letter in key)
        entries.append(Entry(shown, _describe(header, key)))
    if len(keys) > MAX_ENTRIES:
        entries.append(Entry("…", f"{len(keys) - MAX_ENTRIES:,} more entries"))
    return entries


def _describe(header: GgufHeader, key: str) -> str:
    value: Value | None = header.values.get(key)
    if value is None:
        return f"{header.lengths[key]:,} items"
    kept_bytes = KEPT_TEMPLATE_BYTES if key == TEMPLATE_KEY else KEPT_STRING_BYTES
    if isinstance(value, str) and len(value.encode()) > kept_bytes - 4:
        return f"{_write(value)}… (the first {kept_bytes:,} bytes)"
    if not isinstance(value, tuple):
        return _write(value)
    shown = ", ".join(_write(item) for item in value[:_SHOWN_ITEMS])
    rest = f", … ({len(value):,} items)" if len(value) > _SHOWN_ITEMS else ""
    return f"[{shown}{rest}]"


def _write(value: float | str) -> str:
    """One value; what cannot be shown of a text is replaced, its lines stay."""
    if isinstance(value, str):
        return "".join(
            c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in value
        )
    if isinstance(value, bool):
        return "true" if value else "false"
    # Most are 32 bits wide, of which seven digits hold.
    return str(value) if isinstance(value, int) else f"{value:.7g}"
