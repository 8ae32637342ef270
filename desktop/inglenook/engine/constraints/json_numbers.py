"""Grammars for whole numbers and numbers between two bounds, as JSON writes them.

Pure; called by `json_schema`.
"""

from typing import Final

_LIMIT_DIGITS: Final = 16
_FRACTION: Final = '("." [0-9]{1,16})?'
_NO_FRACTION: Final = '("." "0"{1,16})?'
_TRUE_FRACTION: Final = '"." [0-9]{0,15} [1-9]'


def write_integers(low: int | None, high: int | None) -> str:
    """Whole numbers from `low` to `high`, both included; empty where there are none.

    Without a bound on one side, up to 16 digits, or one more than the other bound has.
    """
    low, high = _close(low, high)
    options = []
    if low < 0 and low <= high:
        options.append(f'"-" ({_write_magnitudes(max(1, -high), -low)})')
    if high >= 0 and low <= high:
        options.append(_write_magnitudes(max(0, low), high))
    return " | ".join(options)


def write_numbers(
    low: int | None, high: int | None, *, low_excluded: bool, high_excluded: bool
) -> str:
    """Numbers between two whole bounds; empty where there are none."""
    low, high = _close(low, high)
    options = []
    if low < 0 and low <= high:
        smallest, is_excluded = (-high, high_excluded) if high < 0 else (0, True)
        text = _write_above(
            smallest, -low, smallest_excluded=is_excluded, largest_excluded=low_excluded
        )
        options += [f'"-" ({text})'] if text else []
    if high >= 0 and low <= high:
        is_excluded = low_excluded if low >= 0 else False
        text = _write_above(
            max(0, low), high, smallest_excluded=is_excluded, largest_excluded=high_excluded
        )
        options += [text] if text else []
    return " | ".join(options)


def _close(low: int | None, high: int | None) -> tuple[int, int]:
    """Put a bound where there is none: as many digits as are sensible."""
    n_digits = max(_LIMIT_DIGITS, *(len(str(abs(b))) + 1 for b in (low, high) if b is not None))
    largest = 10**n_digits - 1
    return (-largest if low is None else low), (largest if high is None else high)


def _write_above(
    smallest: int, largest: int, *, smallest_excluded: bool, largest_excluded: bool
) -> str:
    """Numbers without a sign between two whole ones."""
    if smallest == largest:
        is_excluded = smallest_excluded or largest_excluded
        return "" if is_excluded else f'"{smallest}" {_NO_FRACTION}'
    options = []
    first = smallest
    if smallest_excluded:
        options.append(f'"{smallest}" {_TRUE_FRACTION}')
        first += 1
    if first <= largest - 1:
        options.append(f"({_write_magnitudes(first, largest - 1)}) {_FRACTION}")
    if not largest_excluded:
        options.append(f'"{largest}" {_NO_FRACTION}')
    return " | ".join(options)


def _write_magnitudes(low: int, high: int) -> str:
    """Whole numbers without a sign from `low` to `high`, for 0 <= low <= high."""
    options: list[str] = []
    for n_digits in range(len(str(low)), len(str(high)) + 1):
        first = max(low, 10 ** (n_digits - 1) if n_digits > 1 else 0)
        options += _write_same_length(str(first), str(min(high, 10**n_digits - 1)))
    return " | ".join(options)


def _write_same_length(low: str, high: str) -> list[str]:
    """Digits from `low` to `high`, which have the same length."""
    n_rest = len(low) - 1
    if not n_rest:
        return [f"[{low}-{high}]"]
    head, last = int(low[0]), int(high[0])
    if head == last:
        return [f'"{head}" {text}' for text in _write_same_length(low[1:], high[1:])]
    options = []
    if low[1:].strip("0"):
        options += [f'"{head}" {text}' for text in _write_same_length(low[1:], "9" * n_rest)]
        head += 1
    ends = []
    if high[1:].strip("9"):
        ends = [f'"{last}" {text}' for text in _write_same_length("0" * n_rest, high[1:])]
        last -= 1
    if head <= last:
        options.append(f"[{head}-{last}] [0-9]{{{n_rest}}}")
    return options + ends
