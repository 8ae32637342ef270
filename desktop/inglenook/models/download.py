"""One download while the app runs, and what a person allows all of them.

Used by `downloads.py`, which writes the fields of a `Download` under its lock.
"""

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from inglenook.models.journal import Entry
from inglenook.models.progress import DownloadState, Pace, Phase

if TYPE_CHECKING:
    from inglenook.base.errors import UserError
    from inglenook.base.records import InstalledModel
    from inglenook.models.job import Job


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a person allows downloads: how many at once, how fast together, how they connect.

    None is no limit for `bytes_per_s`, and for `n_connections` as many as pay.
    """

    n_at_once: int = 2
    bytes_per_s: float | None = None
    n_connections: int | None = None


class Download:
    """One download while the app runs. Its fields are written under the downloads' lock."""

    def __init__(self, entry: Entry, phase: Phase) -> None:
        self.entry = entry
        self.phase: Phase = phase
        self.done_bytes = 0
        self.error: UserError | None = None
        self.model: InstalledModel | None = None
        self.pace = Pace()
        self.over = threading.Event()
        self.is_cancelled = False
        self.is_running = False
        self.note = ""
        self.n_connections = 0
        self.job: Job | None = None
        self.thread: threading.Thread | None = None

    def snapshot(self, place: int = 0) -> DownloadState:
        """The state as others see it."""
        file, error = self.entry.file, self.error
        size = file.size_bytes if file else 0
        is_moving = self.phase == "downloading"
        speed, left_s = self.pace.measure(self.done_bytes, size) if is_moving else (0.0, None)
        return DownloadState(
            id=self.entry.id,
            name=self.entry.name,
            phase=self.phase,
            repo=file.repo if file else "",
            filename=file.path if file else "",
            quantisation=file.quantisation if file else "",
            size_bytes=size,
            done_bytes=min(self.done_bytes, size),
            bytes_per_s=speed,
            eta_s=left_s,
            error=error.message if error else "",
            hint=error.hint if error else "",
            code=error.code if error else "",
            model_id=self.model.id if self.model else "",
            note=self.note if is_moving else "",
            n_connections=self.n_connections if is_moving else 0,
            place=place,
        )
