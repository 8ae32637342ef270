"""Figures of a bench: medians, percentiles, ratios between runs that took turns, and one table."""

from collections.abc import Iterable, Sequence
from statistics import median
from typing import Final

_MISSING: Final = "-"


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` of all values do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, round(share * len(ordered)) - 1))]


def median_ratio(ours: Sequence[float], peers: Sequence[float]) -> float:
    """The median of the ratios of runs that stood side by side."""
    return median(one / other for one, other in zip(ours, peers, strict=True))


def format_table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Columns below each other: the first to the left, numbers to the right."""
    cells = [[str(cell) for cell in row] for row in (head, *rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    )


def milliseconds(values: Sequence[float]) -> str:
    """The median of times in seconds."""
    return f"{median(values) * 1000:,.0f} ms" if values else _MISSING


def mebibytes(values: Sequence[float]) -> str:
    """The median of sizes in bytes."""
    return f"{median(values) / 1024**2:,.0f} MiB" if values else _MISSING
