"""What the engine asks of the machine: how many threads to use, and whether it is at work.

Called in the host, from the worker and the heartbeat threads, and by chat.
"""

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_BYTES_PER_THREAD: Final = 48_000_000
_NO_LIMIT: Final = 1 << 60
_CGROUP_KEYS: Final = (
    ("memory.max", "memory.current", ("inactive_file", "active_file")),
    (
        "memory.limit_in_bytes",
        "memory.usage_in_bytes",
        ("total_inactive_file", "total_active_file"),
    ),
)
"""Of control groups, version 2 and 1: the limit, what is taken, what of that can be given back."""


def choose_threads(size_bytes: int) -> int:
    """Threads for a model whose weights take `size_bytes`: at most one per physical core.

    A second one on a core slows decoding. A thread must have enough weights to itself to be worth
    the waiting at every layer: a small model is fastest with one, the more so on a busy machine.
    """
    import psutil

    allowed = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    n_cores = max(1, min(psutil.cpu_count(logical=False) or allowed, allowed))
    return min(n_cores, 1 + size_bytes // _BYTES_PER_THREAD)


def count_free_bytes(root: Path = Path("/")) -> int:
    """Memory that this process can still take: the machine's, its control group's, its own limit.

    What only caches files counts as free. `root` is where /proc and /sys are looked for.
    """
    import psutil

    free = [int(psutil.virtual_memory().available)]
    if sys.platform == "linux":
        free += _list_cgroup_rooms(root)
        free += _list_own_rooms()
    return max(0, min(free))


def _list_cgroup_rooms(root: Path) -> Iterator[int]:
    """What each control group above this process leaves; those of containers begin at their own."""
    with contextlib.suppress(OSError, ValueError):
        for line in (root / "proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers and "memory" not in controllers.split(","):
                continue
            top = root / "sys/fs/cgroup" / ("memory" if controllers else "")
            folder = top / path.strip("/")
            for group in (folder, *folder.parents):
                if group.is_relative_to(top) and (room := _read_room(group)) is not None:
                    yield room


def _read_room(group: Path) -> int | None:
    for limit_name, taken_name, cache_names in _CGROUP_KEYS:
        with contextlib.suppress(OSError, ValueError):
            limit = int((group / limit_name).read_text())
            if limit >= _NO_LIMIT:
                return None
            taken = int((group / taken_name).read_text())
            lines = (group / "memory.stat").read_text().splitlines()
            counts = dict(line.split(" ", 1) for line in lines)
            return limit - taken + sum(int(counts.get(name, 0)) for name in cache_names)
    return None


def _list_own_rooms() -> Iterator[int]:
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY:
        with contextlib.suppress(OSError, ValueError):
            n_pages = int(Path("/proc/self/statm").read_text().split()[0])
            yield limit - n_pages * resource.getpagesize()


def is_on_battery() -> bool:
    """Whether this machine runs on its battery now; False where it has none or does not say."""
    import psutil

    try:
        battery = psutil.sensors_battery()
    except (AttributeError, OSError):
        return False
    return battery is not None and battery.power_plugged is False


def measure_work() -> tuple[float, int]:
    """Processor seconds and disk reads of this process so far: what moves while native code works.

    Two equal answers a while apart mean that nothing happens.
    """
    if sys.platform == "win32":
        return time.process_time(), 0
    import resource

    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime, usage.ru_majflt + usage.ru_inblock


def count_resident_bytes() -> int:
    """The memory that this process occupies now; 0 where it cannot be told."""
    import psutil

    try:
        return int(psutil.Process().memory_info().rss)
    except psutil.Error:
        return 0


def find_cache_bytes(root: Path = Path("/")) -> int:
    """The processor's largest cache, where the system tells it; else 0."""
    sizes = [0]
    for path in root.glob("sys/devices/system/cpu/cpu0/cache/index*/size"):
        with contextlib.suppress(OSError, ValueError):
            text = path.read_text().strip().upper()
            factor = {"K": 1 << 10, "M": 1 << 20}.get(text[-1:], 1)
            sizes.append(int(text.rstrip("KM")) * factor)
    return max(sizes)
