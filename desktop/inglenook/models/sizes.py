"""Sizes in words, for the sentences of this package."""

from typing import Final

_UNITS: Final = (("GB", 1e9, 1), ("MB", 1e6, 1), ("kB", 1e3, 0))


def describe_size(n_bytes: float) -> str:
    """A size as people read it: decimal units, one digit after the point."""
    for unit, factor, digits in _UNITS:
        if n_bytes >= factor:
            return f"{n_bytes / factor:,.{digits}f} {unit}"
    return "1 byte" if n_bytes == 1 else f"{n_bytes:,.0f} bytes"


def describe_pair(has: int, needs: int) -> tuple[str, str]:
    """Two sizes in words that stay different when rounding would make them look alike."""
    short = describe_size(has), describe_size(needs)
    return short if short[0] != short[1] else (f"{has:,} bytes", f"{needs:,} bytes")
