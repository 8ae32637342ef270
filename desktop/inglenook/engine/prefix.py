"""How much two token sequences have in common at their beginning. Pure."""

from collections.abc import Sequence


def count_common(first: Sequence[int], second: Sequence[int], limit: int) -> int:
    """Length of the longest common beginning, at most `limit`: halving, on slices compared in C."""
    low, high = 0, min(len(first), len(second), limit)
    while low < high:
        middle = (low + high + 1) // 2
        if first[low:middle] == second[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
