"""A process that downloads in children of its own, so that these can be killed at any moment.

    python -m support.killed_downloads HOME ENDPOINT REPO

It imports all that a download needs once. For each line on stdin, "N" connections (0: as many as
pay), it forks a child that downloads, prints its process id, and after its end its status.
"""

import os
import sys
from pathlib import Path

import huggingface_hub  # noqa: F401  imported before the first fork

from inglenook.base.paths import open_profile
from inglenook.models.connection import TransferOptions
from inglenook.models.download import Allowance
from support.models import Rig

PIECES = TransferOptions(
    first_wait_s=0.002,
    longest_wait_s=0.02,
    read_timeout_s=20.0,
    reserve_bytes=0,
    least_piece_bytes=1 << 19,
    most_piece_bytes=2 << 20,
)


def main(home: str, endpoint: str, repo: str) -> None:
    """Serve lines until stdin ends."""
    for line in sys.stdin:
        n_connections = int(line) or None
        pid = os.fork()
        if pid == 0:
            rig = Rig(
                open_profile(Path(home)),
                endpoint,
                options=PIECES,
                find_allowance=lambda: Allowance(n_connections=n_connections),  # noqa: B023
            )
            rig.get(repo, 120)
            rig.downloads.close()
            os._exit(0)
        print(pid, flush=True)
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
