"""Downloads: the queue, the threads, the restarts. `start` a name, poll `list`, `wait` for a model.

Owned by app; called by the command line and the window, from any thread, and never blocks but in
`wait` and, shortly, in `close`. One thread per download, a few at once, the others wait in the
order in which they stand. Phase changes are published; progress is polled. `job.py` does the work,
`journal.py` remembers.
"""

import logging
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import msgspec

from inglenook.base.errors import ModelError, NetworkError, UserError
from inglenook.base.network import Network
from inglenook.base.paths import Profile
from inglenook.base.records import InstalledModel
from inglenook.models.connection import TransferOptions
from inglenook.models.disk import explain_disk
from inglenook.models.download import Allowance, Download
from inglenook.models.events import DownloadChanged
from inglenook.models.hub import Hub
from inglenook.models.hub_files import HubFile
from inglenook.models.job import Job, Means, delete_parts, measure_parts
from inglenook.models.journal import Entry, Journal
from inglenook.models.library import Library
from inglenook.models.progress import DownloadState, Phase
from inglenook.models.ramp import Throttle
from inglenook.models.route import StoppedError

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger(__name__)

_JOIN_S: Final = 2.5
_STANDS_STILL: Final = frozenset({"disk_full", "offline", "gone"})


class Downloads:
    """All downloads of this profile; those of earlier starts are listed as paused."""

    def __init__(
        self,
        profile: Profile,
        hub: Hub,
        library: Library,
        network: Network,
        publish: Callable[[object], None],
        *,
        options: TransferOptions | None = None,
        find_allowance: Callable[[], Allowance] = Allowance,
    ) -> None:
        self._find_allowance = find_allowance
        self._means = Means(
            profile.models,
            hub,
            library,
            network,
            options or TransferOptions(),
            Throttle(lambda: find_allowance().bytes_per_s),
            lambda: find_allowance().n_connections,
        )
        self._publish = publish
        is_own = profile.models == profile.own_models
        self._journal = Journal(profile.models, makes_models=is_own)
        self._lock = threading.RLock()
        self._downloads: dict[str, Download] = {}
        self._is_closed = False
        self._recall()

    def start(self, name: str, *, takes_update: bool = False) -> str:
        """Begin to download what `name` means, or go on with it; returns the download's id.

        Where it is installed and the hub has another file by now, the download fails with the code
        update_available, unless `takes_update`; then the installed one stays until the new one is
        verified. Returns at once. Raises `NetworkError` (offline) and `StorageError` (disk_full,
        not_writable); whatever else goes wrong is in the state.
        """
        self._means.network.check()
        name = name.strip()
        with self._lock:
            for known in self._downloads.values():
                is_same = known.entry.name.casefold() == name.casefold()
                if is_same and known.phase not in {"done", "cancelled"}:
                    if takes_update and not known.entry.takes_update:
                        self._change_entry(known, takes_update=True)
                    self.resume(known.entry.id)
                    return known.entry.id
            entry = Entry(
                id=uuid.uuid4().hex, name=name, takes_update=takes_update, place=time.time()
            )
            download = Download(entry, "queued")
            self._remember(download)
            self._downloads[download.entry.id] = download
        self._tell(download)
        self._schedule()
        return download.entry.id

    def resume(self, download_id: str) -> None:
        """Go on with a paused or failed download; no effect on any other."""
        download = self._find(download_id)
        with self._lock:
            if download.phase not in {"paused", "failed"} or self._is_closed:
                return
            download.phase = "queued"
            download.error = None
            download.over.clear()
            self._change_entry(download, is_paused=False)
        self._tell(download)
        self._schedule()

    def resume_interrupted(self) -> None:
        """Go on with what a quit or a crash interrupted; what a person paused stays paused."""
        with self._lock:
            downloads = tuple(self._downloads.values())
        for download in downloads:
            if download.phase == "paused" and not download.entry.is_paused and not download.error:
                self.resume(download.entry.id)

    def pause(self, download_id: str) -> None:
        """Stop, and keep what is there."""
        download = self._find(download_id)
        with self._lock:
            if download.phase in {"done", "cancelled", "failed"}:
                return
            self._change_entry(download, is_paused=True)
        self._stop(download)

    def cancel(self, download_id: str) -> None:
        """Stop, and delete what is there."""
        download = self._find(download_id)
        with self._lock:
            if download.phase in {"done", "cancelled"}:
                return
            download.is_cancelled = True
        self._stop(download)

    def list(self) -> tuple[DownloadState, ...]:
        """All downloads but cancelled ones, in the order of the queue: oldest first."""
        with self._lock:
            shown = [d for d in self._downloads.values() if d.phase != "cancelled"]
            places = {d.entry.id: i for i, d in enumerate(self._list_waiting(), start=1)}
            return tuple(d.snapshot(places.get(d.entry.id, 0)) for d in shown)

    def move_up(self, download_id: str) -> None:
        """Let a download that waits go before the one that waits before it."""
        download = self._find(download_id)
        with self._lock:
            waiting = self._list_waiting()
            index = waiting.index(download) if download in waiting else 0
            if index == 0:
                return
            other = waiting[index - 1]
            mine, theirs = download.entry.place, other.entry.place
            self._change_entry(download, place=theirs)
            self._change_entry(other, place=mine)
            ordered = sorted(self._downloads.values(), key=lambda d: d.entry.place)
            self._downloads = {d.entry.id: d for d in ordered}
        self._tell(download)

    def forget(self, download_id: str) -> None:
        """Take what is done, failed or paused from the list; a part that it left is deleted."""
        download = self._find(download_id)
        with self._lock:
            if download.phase == "done":
                del self._downloads[download_id]
                return
        self.cancel(download_id)

    def use_hub(self, hub: Hub) -> None:
        """Ask another hub from now on; what runs comes to its end with the old one."""
        with self._lock:
            self._means = replace(self._means, hub=hub)

    def adjust(self) -> None:
        """What is allowed has changed: more may run now."""
        self._schedule()

    def get(self, download_id: str) -> DownloadState:
        """One download as it is now. Raises `ModelError` (unknown_download)."""
        download = self._find(download_id)
        with self._lock:
            waiting = self._list_waiting()
            place = waiting.index(download) + 1 if download in waiting else 0
            return download.snapshot(place)

    def wait(self, download_id: str, timeout_s: float | None = None) -> InstalledModel:
        """Wait until nothing more happens; returns the model or raises what went wrong.

        A paused or cancelled download raises `NetworkError` with code paused or cancelled; one
        that takes longer than `timeout_s`, with code timeout.
        """
        download = self._find(download_id)
        if not download.over.wait(timeout_s):
            raise NetworkError("The download is still under way.", code="timeout")
        with self._lock:
            phase, model, error = download.phase, download.model, download.error
        if model:
            return model
        if error:
            raise error
        if phase == "cancelled":
            raise NetworkError("The download was cancelled.", code="cancelled")
        raise NetworkError("The download is paused.", "Resume it when you like.", code="paused")

    def close(self) -> None:
        """Stop all, keep what is there; within three seconds. Idempotent."""
        with self._lock:
            self._is_closed = True
            downloads = tuple(self._downloads.values())
        for download in downloads:
            if not download.over.is_set():
                self._stop(download)
        end = time.monotonic() + _JOIN_S
        for download in downloads:
            if download.thread is not None and download.thread.ident is not None:
                download.thread.join(max(0.0, end - time.monotonic()))

    def _recall(self) -> None:
        """List what earlier starts left, and sweep what belongs to nobody any more."""
        entries, is_whole = self._journal.read()
        owned: list[Path] = []
        oldest = time.time() - len(entries)
        for index, known in enumerate(entries):
            entry = known if known.place else msgspec.structs.replace(known, place=oldest + index)
            download = Download(entry, "paused")
            download.over.set()
            if entry.file:
                try:
                    download.done_bytes, parts = measure_parts(self._means.models, entry.file)
                except ModelError:
                    log.warning("a remembered download is not usable any more")
                    continue
                owned += parts
            self._downloads[entry.id] = download
        if is_whole:
            self._journal.sweep(owned)

    def _schedule(self) -> None:
        """Start as many queued downloads as may run at once."""
        with self._lock:
            n_running = sum(download.is_running for download in self._downloads.values())
            for download in self._list_waiting():
                if self._is_closed or n_running >= self._find_allowance().n_at_once:
                    return
                if not download.is_running:
                    n_running += 1
                    self._begin(download)

    def _list_waiting(self) -> tuple[Download, ...]:
        return tuple(d for d in self._downloads.values() if d.phase == "queued")

    def _begin(self, download: Download) -> None:
        entry = download.entry
        listener = _Listener(self, download)
        download.phase = "asking"
        download.is_running = True
        download.note = ""
        download.job = Job(
            self._means, entry.name, entry.file, listener, takes_update=entry.takes_update
        )
        download.thread = threading.Thread(
            target=self._run,
            args=(download, download.job),
            name=f"download-{entry.id[:8]}",
            daemon=True,
        )
        download.thread.start()

    def _run(self, download: Download, job: Job) -> None:
        """The thread of one download: runs its job and records how it ended."""
        self._tell(download)
        try:
            model = job.run()
            self._journal.forget(download.entry.id)
            self._end(download, "done", model=model)
        except StoppedError:
            self._rest(download)
        except UserError as error:
            if job.is_stopped:
                self._rest(download)
            else:
                phase: Phase = "paused" if error.code in _STANDS_STILL else "failed"
                self._end(download, phase, error=error)
        except OSError as error:
            self._end(download, "failed", error=explain_disk(error))
        except Exception:
            log.exception("a download failed unexpectedly")
            told = NetworkError(
                "The download failed by a fault of Inglenook.",
                "Try again; the log holds the details.",
                code="bug",
            )
            self._end(download, "failed", error=told)
        finally:
            with self._lock:
                download.is_running = False
            self._schedule()

    def _stop(self, download: Download) -> None:
        """End a download's work at once; its thread, or this one, then puts it to rest."""
        with self._lock:
            job = download.job if download.is_running else None
        if job is not None:
            job.stop()
        else:
            self._rest(download)

    def _rest(self, download: Download) -> None:
        """A download that was stopped: paused, or cancelled and swept away."""
        if download.is_cancelled:
            if download.entry.file:
                delete_parts(self._means.models, download.entry.file)
            self._journal.forget(download.entry.id)
        self._end(download, "cancelled" if download.is_cancelled else "paused")

    def _end(
        self,
        download: Download,
        phase: Phase,
        *,
        error: UserError | None = None,
        model: InstalledModel | None = None,
    ) -> None:
        with self._lock:
            download.phase, download.error, download.model = phase, error, model
            if model:
                download.done_bytes = model.size_bytes
        self._tell(download)
        download.over.set()

    def change_phase(self, download: Download, phase: Phase) -> None:
        """A job came into another phase."""
        with self._lock:
            if download.phase == phase:
                return
            download.phase = phase
            if phase == "downloading":
                download.pace.restart(download.done_bytes)
        self._tell(download)

    def change_file(self, download: Download, file: HubFile | None) -> None:
        """A job learned which file is meant; a resting download of the same file is this one now.

        Raises `StorageError` when that cannot be remembered.
        """
        with self._lock:
            if file is None:
                download.done_bytes = 0
            else:
                self._drop_resting(download, file)
            self._change_entry(download, file=file)

    def change_progress(self, download: Download, done_bytes: int) -> None:
        """A job has so many bytes."""
        with self._lock:
            download.done_bytes = done_bytes
            download.pace.note(done_bytes)

    def change_note(self, download: Download, note: str) -> None:
        """A job says why nothing comes just now."""
        with self._lock:
            download.note = note

    def change_connections(self, download: Download, count: int) -> None:
        """A job has so many connections."""
        with self._lock:
            download.n_connections = count

    def _drop_resting(self, download: Download, file: HubFile) -> None:
        for other in tuple(self._downloads.values()):
            known = other.entry.file
            if other is download or not known or (known.repo, known.path) != (file.repo, file.path):
                continue
            if other.phase in {"paused", "failed", "done", "cancelled"} and not other.is_running:
                self._journal.forget(other.entry.id)
                del self._downloads[other.entry.id]

    def _change_entry(self, download: Download, **changes: object) -> None:
        download.entry = msgspec.structs.replace(download.entry, **changes)
        self._remember(download)

    def _remember(self, download: Download) -> None:
        try:
            self._journal.write(download.entry)
        except OSError as error:
            raise explain_disk(error) from error

    def _tell(self, download: Download) -> None:
        with self._lock:
            state = download.snapshot()
        self._publish(DownloadChanged(state))

    def _find(self, download_id: str) -> Download:
        with self._lock:
            download = self._downloads.get(download_id)
        if download is None:
            raise ModelError("There is no such download.", code="unknown_download")
        return download


class _Listener:
    """Passes on what one job tells."""

    def __init__(self, downloads: Downloads, download: Download) -> None:
        self._downloads = downloads
        self._download = download

    def on_phase(self, phase: Phase) -> None:
        self._downloads.change_phase(self._download, phase)

    def on_file(self, file: HubFile | None) -> None:
        self._downloads.change_file(self._download, file)

    def on_progress(self, done_bytes: int) -> None:
        self._downloads.change_progress(self._download, done_bytes)

    def on_note(self, note: str) -> None:
        self._downloads.change_note(self._download, note)

    def on_connections(self, count: int) -> None:
        self._downloads.change_connections(self._download, count)
