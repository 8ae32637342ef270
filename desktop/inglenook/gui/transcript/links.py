"""Which addresses in a text may be opened. No Qt here; nothing is ever fetched."""

import re
from typing import Final
from urllib.parse import urlsplit

LENGTH_LIMIT: Final = 2000

_BARE: Final = re.compile(r"https?://[^\s<>\"'`\\^{|}\u2028]+")
_TRAILING: Final = ".,;:!?*_~"


def is_openable(address: str) -> bool:
    """True for http, https and mailto addresses of sane form; all else stays plain text.

    An address with a user name before the host is refused: it is made to look like another.
    """
    if not address or len(address) > LENGTH_LIMIT or not address.isprintable() or " " in address:
        return False
    try:
        parts = urlsplit(address)
        host = parts.hostname
    except ValueError:
        return False
    if parts.scheme == "mailto":
        return "@" in parts.path
    return parts.scheme in {"http", "https"} and bool(host) and "@" not in parts.netloc


def find_addresses(text: str) -> list[tuple[int, int]]:
    """Start and end of each bare web address in a text, without the sentence's punctuation."""
    found = []
    for match in _BARE.finditer(text):
        start, end = match.span()
        while end > start and _ends_outside(text[start:end]):
            end -= 1
        if is_openable(text[start:end]):
            found.append((start, end))
    return found


def _ends_outside(address: str) -> bool:
    last = address[-1]
    return last in _TRAILING or (
        last in ")]" and address.count(last) > address.count("(" if last == ")" else "[")
    )
