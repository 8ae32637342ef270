"""What the engine asks of the machine: how many threads to use, and whether it is at work.

Called in the host, from the worker and the heartbeat threads.
"""

import os
import sys
import time


def count_default_threads() -> int:
    """One per physical core that this process may run on: a second one per core slows decoding."""
    import psutil

    allowed = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return max(1, min(psutil.cpu_count(logical=False) or allowed, allowed))


def measure_work() -> tuple[float, int]:
    """Processor seconds and disk reads of this process so far: what moves while native code works.

    Two equal answers a while apart mean that nothing happens.
    """
    if sys.platform == "win32":
        return time.process_time(), 0
    import resource

    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime, usage.ru_majflt + usage.ru_inblock
