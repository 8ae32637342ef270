"""Models in several files: `name-00001-of-00003.gguf`, and the names of their parts.

Called by `inspection.py` for files on disk and by `hub.py` for names in a repository. The naming is
llama.cpp's; it finds the other parts by the first one's name.
"""

import re
from typing import Final

_PART: Final = re.compile(r"^(?P<stem>.+)-(?P<index>\d{5})-of-(?P<count>\d{5})\.gguf$", re.DOTALL)
MAX_PARTS: Final = 999


def parse_part(name: str) -> tuple[str, int, int] | None:
    """The stem, the number from 1 and the count of a part's name; None for any other name."""
    match = _PART.match(name)
    if not match:
        return None
    index, count = int(match["index"]), int(match["count"])
    return (match["stem"], index, count) if 1 <= index <= count <= MAX_PARTS else None


def name_part(stem: str, index: int, count: int) -> str:
    """The name of part `index`, counted from 1."""
    return f"{stem}-{index:05d}-of-{count:05d}.gguf"


def list_parts(name: str) -> tuple[str, ...]:
    """The names of all parts of the model that `name` is a part of; only itself for a whole one."""
    part = parse_part(name)
    if part is None:
        return (name,)
    stem, _, count = part
    return tuple(name_part(stem, index, count) for index in range(1, count + 1))
