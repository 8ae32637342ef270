"""What the engine asks of the machine: how many threads to use, and whether it is at work.

Called in the host, from the worker and the heartbeat threads, and by chat.
"""

import os
import sys
import time
from typing import Final

_BYTES_PER_THREAD: Final = 48_000_000


def choose_threads(size_bytes: int) -> int:
    """Threads for a model whose weights take `size_bytes`: at most one per physical core.

    A second one on a core slows decoding. A thread must have enough weights to itself to be worth
    the waiting at every layer: a small model is fastest with one, the more so on a busy machine.
    """
    import psutil

    allowed = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    n_cores = max(1, min(psutil.cpu_count(logical=False) or allowed, allowed))
    return min(n_cores, 1 + size_bytes // _BYTES_PER_THREAD)


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
