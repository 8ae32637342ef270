"""Text on its way to the disk and back: what can be stored, its checksum, and what survived."""

import re
import zlib
from typing import Final

_SURROGATES: Final = re.compile("[\ud800-\udfff]")


def clean_text(text: str) -> str:
    """Make `text` valid Unicode: surrogate pairs are joined, lone halves become U+FFFD."""
    if _SURROGATES.search(text) is None:
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def compute_checksum(text: str, start: int = 0) -> int:
    """Compute the CRC-32 of the text's UTF-8 bytes, going on from `start`.

    A CRC finds every flip of up to 32 bits in a row, which is what rots on disks; it is not meant
    to withstand a person.
    """
    return zlib.crc32(text.encode("utf-8", "surrogateescape"), start)


def is_intact(text: object, checksum: object) -> bool:
    """Whether what was read is text with this checksum."""
    return isinstance(text, str) and compute_checksum(text) == checksum


def decode_stored(data: bytes) -> str:
    """Decode what SQLite holds as text, whatever it is: bad bytes come as lone surrogates.

    Set as each connection's `text_factory`, so that one bad byte cannot make a list unreadable.
    """
    return data.decode("utf-8", "surrogateescape")


def show_stored(text: str) -> str:
    """Make text from `decode_stored` fit for showing: bad bytes become U+FFFD."""
    if _SURROGATES.search(text) is None:
        return text
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
