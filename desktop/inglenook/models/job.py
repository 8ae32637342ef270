"""The work of one download, from a name to an installed model; runs on that download's thread.

Made by `downloads.py`, which owns the queue and the thread. Order: ask the hub, check space and
names, fetch every file, look at the headers, rename, tell the library. A kill at any step leaves a
part that is resumed, or a whole file that is recognised.
"""

import contextlib
import logging
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from filelock import FileLock, Timeout

from inglenook.base.errors import ModelError, NetworkError, StorageError
from inglenook.base.network import Network
from inglenook.base.records import InstalledModel
from inglenook.models.connection import TransferOptions
from inglenook.models.disk import check_space, explain_disk
from inglenook.models.follower import start_hash
from inglenook.models.gguf import read_header
from inglenook.models.hub import Hub, Wanted
from inglenook.models.hub_files import HubFile, HubPart
from inglenook.models.inspection import inspect_model
from inglenook.models.library import Library
from inglenook.models.names import place_file
from inglenook.models.progress import Phase
from inglenook.models.ramp import Throttle
from inglenook.models.ranges import measure_part, name_log
from inglenook.models.route import ChangedError, StoppedError
from inglenook.models.transfer import Told, Transfer

log = logging.getLogger(__name__)

_ASK_AGAIN: Final = frozenset({"timeout", "unreachable", "connection", "hub_down", "rate_limited"})
_MAX_ASKS: Final = 3
_MAX_CHANGES: Final = 3
_READ_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Means:
    """What every download works with."""

    models: Path
    hub: Hub
    library: Library
    network: Network
    options: TransferOptions
    throttle: Throttle
    find_connections: Callable[[], int | None]
    """How many connections a person chose for one file; None finds out what pays."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where one file of a download goes: `part` while it comes, `path` when it is whole."""

    wanted: HubPart
    path: Path
    part: Path


class Listener(Protocol):
    """Whom a job tells how far it is."""

    def on_phase(self, phase: Phase) -> None:
        """The work came into another phase."""
        ...

    def on_file(self, file: HubFile | None) -> None:
        """The hub said which file is meant; None when it must be asked again."""
        ...

    def on_progress(self, done_bytes: int) -> None:
        """So many bytes of all files are there."""
        ...

    def on_note(self, note: str) -> None:
        """Why nothing comes just now, and what is done about it; "" when it goes on."""
        ...

    def on_connections(self, count: int) -> None:
        """So many connections are at work."""
        ...


class Job:
    """One run of one download. `run` works on one thread; `stop` may be called from any."""

    def __init__(
        self,
        means: Means,
        name: str,
        file: HubFile | None,
        listener: Listener,
        *,
        takes_update: bool = False,
    ) -> None:
        self._means = means
        self._takes_update = takes_update
        self._name = name
        self._file = file
        self._listener = listener
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._transfer: Transfer | None = None
        self._is_asking = False

    @property
    def is_stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._stopped.is_set()

    def stop(self) -> None:
        """End `run` at once; what came so far is kept."""
        with self._lock:
            self._stopped.set()
            transfer, is_asking = self._transfer, self._is_asking
        if transfer is not None:
            transfer.stop()
        if is_asking:
            self._means.hub.interrupt()

    def run(self) -> InstalledModel:
        """Download and install. Raises `StoppedError` or the `UserError` that stands in the way."""
        for _ in range(_MAX_CHANGES):
            file = self._file or self._ask()
            try:
                return self._fetch_all(file)
            except ChangedError:
                log.info("a file changed on the hub while it was downloaded: asking again")
                delete_parts(self._means.models, file)
                self._forget_file()
            except NetworkError as error:
                if error.code != "not_found":
                    raise
                self._forget_file()
        raise NetworkError(
            "The hub does not have the file that it lists.",
            "Try again later.",
            code="changed",
        )

    def _forget_file(self) -> None:
        self._file = None
        self._listener.on_file(None)

    def _ask(self) -> HubFile:
        """Find out which file is meant; passing faults are tried again."""
        self._listener.on_phase("asking")
        for attempt in range(1, _MAX_ASKS + 1):
            try:
                wanted = self._ask_once()
                break
            except NetworkError as error:
                if self.is_stopped:
                    raise StoppedError from error
                if error.code not in _ASK_AGAIN or attempt == _MAX_ASKS:
                    raise
                if self._stopped.wait(self._means.options.first_wait_s * 2**attempt):
                    raise StoppedError from error
        if self.is_stopped:
            raise StoppedError
        self._file = wanted.file
        self._listener.on_file(wanted.file)
        return wanted.file

    def _ask_once(self) -> Wanted:
        with self._lock:
            if self._stopped.is_set():
                raise StoppedError
            self._is_asking = True
        try:
            return self._means.hub.resolve(self._name)
        finally:
            with self._lock:
                self._is_asking = False

    def _fetch_all(self, file: HubFile) -> InstalledModel:
        installed = self._find_installed(file)
        if installed:
            return installed
        places = place_parts(self._means.models, file)
        try:
            places[0].path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise explain_disk(error) from error
        with self._claim(places[0]):
            self._check_space(file, places)
            before = 0
            for place in places:
                self._fetch_part(file, place, before)
                before += place.wanted.size_bytes
            return self._install(file, places)

    def _find_installed(self, file: HubFile) -> InstalledModel | None:
        """The same version of the same file, if it is here and unharmed."""
        model = self._find_known(file)
        if model is None or model.problem:
            return None
        if model.revision == file.revision and model.sha256 in {"", file.sha256}:
            return model
        if not self._takes_update and is_other_content(model, file):
            raise ModelError(
                f"{model.name} is installed, and the hub has a newer file of it by now. "
                "The installed one was left as it is.",
                f"Take the newer one with Update, or: inglenook pull --update {self._name}",
                code="update_available",
            )
        return None

    def _find_known(self, file: HubFile) -> InstalledModel | None:
        model_id = f"{file.repo}/{file.path}"
        return next((m for m in self._means.library.list() if m.id == model_id), None)

    @contextlib.contextmanager
    def _claim(self, place: Place) -> Iterator[None]:
        """Hold the part against another window or command that downloads the same file."""
        lock = FileLock(_name_lock(place.part), timeout=0, mode=0o600, thread_local=False)
        try:
            lock.acquire()
        except Timeout as error:
            raise ModelError(
                f"{self._name} is being downloaded already.",
                "Let the other download come to its end.",
                code="busy",
            ) from error
        try:
            yield
        finally:
            if not place.part.exists():
                _name_lock(place.part).unlink(missing_ok=True)
            lock.release()

    def _check_space(self, file: HubFile, places: tuple[Place, ...]) -> None:
        known = self._find_known(file)
        # An older version stays until the new one is verified, so it saves no space.
        is_update = known is not None and is_other_content(known, file)
        there = sum(
            measure_part(place.part) or (0 if is_update else _measure(place.path))
            for place in places
        )
        reserve = self._means.options.reserve_bytes
        if reserve:
            reserve = max(reserve, file.size_bytes // 10)
        check_space(places[0].path.parent, max(0, file.size_bytes - there), reserve)

    def _fetch_part(self, file: HubFile, place: Place, before: int) -> None:
        """Fetch one file, unless an earlier run brought it to its end."""
        if _measure(place.path) == place.wanted.size_bytes and not place.part.exists():
            self._listener.on_phase("verifying")
            if self._is_right(place):
                return
        hub = self._means.hub
        transfer = Transfer(
            self._means.network,
            lambda: hub.locate(file, place.wanted),
            place.wanted,
            place.part,
            Told(
                progress=lambda n_done: self._listener.on_progress(before + n_done),
                verify=lambda: self._listener.on_phase("verifying"),
                note=self._listener.on_note,
                connections=self._listener.on_connections,
            ),
            options=self._means.options,
            throttle=self._means.throttle,
            n_connections=self._means.find_connections(),
        )
        with self._lock:
            if self._stopped.is_set():
                raise StoppedError
            self._transfer = transfer
        self._listener.on_phase("downloading")
        transfer.run()

    def _is_right(self, place: Place) -> bool:
        """Whether a file that is already in its place is the one that is wanted."""
        digest = start_hash(place.wanted)
        try:
            with place.path.open("rb", buffering=0) as file:
                while chunk := file.read(_READ_BYTES):
                    if self.is_stopped:
                        raise StoppedError
                    digest.update(chunk)
        except OSError as error:
            raise StorageError(
                f"{place.path.name} cannot be read: {error.strerror or error}.", code="unreadable"
            ) from error
        return digest.hexdigest() in {place.wanted.sha256, place.wanted.git_sha1}

    def _install(self, file: HubFile, places: tuple[Place, ...]) -> InstalledModel:
        """Look at the headers, then put every file in its place, then tell the library."""
        self._listener.on_phase("verifying")
        look = read_header if len(places) > 1 else inspect_model
        try:
            for place in places:
                look(place.part if place.part.exists() else place.path, place.path.name)
        except ModelError:
            delete_parts(self._means.models, file)
            raise
        for place in places:
            if place.part.exists():
                place.part.replace(place.path)
        _sync_folder(places[0].path.parent)
        try:
            return self._means.library.add_downloaded(
                places[0].path,
                repo=file.repo,
                filename=file.path,
                revision=file.revision,
                sha256=file.sha256,
            )
        except ModelError:
            for place in places:
                place.path.unlink(missing_ok=True)
            raise


def is_other_content(model: InstalledModel, file: HubFile) -> bool:
    """Whether the hub's file differs from the installed one, by hashes, else by size."""
    if model.sha256 and file.sha256:
        return model.sha256 != file.sha256
    return model.size_bytes != file.size_bytes


def place_parts(models: Path, file: HubFile) -> tuple[Place, ...]:
    """Where the files go. Raises `ModelError` (hostile_name, no_hash)."""
    places = []
    for index, wanted in enumerate(file.parts):
        path = place_file(models, file.repo, wanted.path)
        identity = wanted.sha256 or wanted.git_sha1
        if not identity.isalnum() or len(identity) > 64:
            raise ModelError(
                f"The hub tells no hash of {path.name}, so it cannot be checked.",
                "Choose another publisher.",
                code="no_hash",
            )
        places.append(Place(wanted, path, path.with_name(f".{identity}.{index}.part")))
    return tuple(places)


def measure_parts(models: Path, file: HubFile) -> tuple[int, tuple[Path, ...]]:
    """How many bytes an earlier run left, and the parts' paths."""
    places = place_parts(models, file)
    there = sum(measure_part(place.part) or _measure(place.path) for place in places)
    return min(there, file.size_bytes), tuple(place.part for place in places)


def delete_parts(models: Path, file: HubFile) -> None:
    """Delete what a download left, and its folders where they are empty."""
    with contextlib.suppress(ModelError, OSError):
        for place in place_parts(models, file):
            place.part.unlink(missing_ok=True)
            name_log(place.part).unlink(missing_ok=True)
            _name_lock(place.part).unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                place.path.parent.rmdir()
                place.path.parent.parent.rmdir()


def _name_lock(part: Path) -> Path:
    return part.with_name(f"{part.name}.lock")


def _measure(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:
        return 0


def _sync_folder(folder: Path) -> None:
    """Make renames last through a power cut, where the system can."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
