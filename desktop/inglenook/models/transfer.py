"""The byte loop: fetches one file of the hub into a `.part` file, resuming where it stopped.

One `Transfer` works on the thread of one download. huggingface_hub no longer resumes and never
hashes, so this is ours: it begins with one connection and tries more while the total rate rises
(`ramp.py`); each connection writes its pieces where they belong (`connection.py`, `ranges.py`); a
thread hashes what has become contiguous (`follower.py`); and nothing becomes a model before its
hash is right. This thread only watches: for the end, for trouble, for space, for connections that
bring nothing.
"""

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from inglenook.base.errors import NetworkError
from inglenook.base.network import Network
from inglenook.models.connection import Connection, TransferOptions, Work
from inglenook.models.disk import check_place, check_space, open_part
from inglenook.models.follower import Follower
from inglenook.models.hub_files import HubPart
from inglenook.models.ramp import Ramp, Throttle
from inglenook.models.ranges import RangeLog, RangeMap
from inglenook.models.route import Located, PassingError, Route, SpoiledError, StoppedError

_TICK_S: Final = 0.1
_CHECK_SPACE_BYTES: Final = 64 << 20
_CHECK_S: Final = 2.0
_MAX_ATTEMPTS: Final = 2
_MAX_SPOILED: Final = 3
_REFUSING: Final = frozenset({"rate_limited", "hub_down", "wrong_size", "gated", "hub_answer"})


@dataclass(frozen=True, slots=True)
class Told:
    """Whom a transfer tells how far it is; called on its threads."""

    progress: Callable[[int], None]
    verify: Callable[[], None] = lambda: None
    note: Callable[[str], None] = lambda _: None
    connections: Callable[[int], None] = lambda _: None


class Transfer:
    """Fetches one part. `run` works on one thread; `stop` may be called from any."""

    def __init__(
        self,
        network: Network,
        locate: Callable[[], Located],
        wanted: HubPart,
        part: Path,
        told: Told,
        *,
        options: TransferOptions | None = None,
        throttle: Throttle | None = None,
        n_connections: int | None = None,
    ) -> None:
        self._network = network
        self._route = Route(locate, wanted)
        self._wanted = wanted
        self._part = part
        self._told = told
        self._options = options or TransferOptions()
        self._throttle = throttle or Throttle(lambda: None)
        self._n_connections = n_connections
        self._stopped = threading.Event()
        self._wake = threading.Event()

    def stop(self) -> None:
        """End `run` at once; what came so far is kept."""
        self._stopped.set()
        self._wake.set()

    def run(self) -> None:
        """Fetch what is missing and check the hash; returns when the part is whole and right.

        Raises `StoppedError`, `ChangedError`, `NetworkError` (hash_mismatch, wrong_size and the
        codes of `hub_errors`), `StorageError` (disk_full, not_writable, gone).
        """
        n_spoiled = n_damaged = 0
        ramp = Ramp(self._n_connections)
        while n_damaged < _MAX_ATTEMPTS:
            with open_part(self._part) as file:
                go = _Go(self, file, ramp)
                try:
                    is_right = go.run()
                except SpoiledError as spoiled:
                    n_spoiled += 1
                    go.start_over()
                    if n_spoiled >= _MAX_SPOILED:
                        raise spoiled.told from spoiled
                    ramp = Ramp(1)
                    continue
                if is_right:
                    return
                n_damaged += 1
                go.start_over()
        self._part.unlink(missing_ok=True)
        raise NetworkError(
            f"{self._route.file_name} arrived damaged twice: its SHA-256 is not "
            "the one that the hub tells. It was deleted.",
            "Try again later, or choose another publisher.",
            code="hash_mismatch",
        )

    def is_stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._stopped.is_set()

    def wait(self, timeout_s: float) -> None:
        """Wait until something happened, or so long."""
        self._wake.wait(timeout_s)
        self._wake.clear()

    def make_work(self, file: int, log: RangeLog, ranges: RangeMap, ramp: Ramp) -> Work:
        """What the connections of one go share."""
        options = self._options
        return Work(
            network=self._network,
            route=self._route,
            map=ranges,
            log=log,
            file=file,
            throttle=self._throttle,
            options=options,
            choose_piece=lambda: ramp.choose_piece(
                options.least_piece_bytes, options.most_piece_bytes
            ),
            on_note=self._told.note,
            wake=self._wake,
            stopped=threading.Event(),
        )

    @property
    def wanted(self) -> HubPart:
        """What is fetched."""
        return self._wanted

    @property
    def part(self) -> Path:
        """Where it is written."""
        return self._part

    @property
    def options(self) -> TransferOptions:
        """How patient it is."""
        return self._options

    @property
    def told(self) -> Told:
        """Whom it tells."""
        return self._told

    @property
    def route(self) -> Route:
        """The way to the bytes."""
        return self._route


class _Go:
    """One go at the open part, from what is there to the hash of the whole."""

    def __init__(self, transfer: Transfer, file: int, ramp: Ramp) -> None:
        self._transfer = transfer
        self._file = file
        self._ramp = ramp
        wanted = transfer.wanted
        identity = wanted.sha256 or wanted.git_sha1
        self._log = RangeLog(transfer.part, wanted.size_bytes, identity)
        self._map = self._recall()
        self._work = transfer.make_work(file, self._log, self._map, ramp)
        self._connections: list[Connection] = []
        self._first: Connection | None = None
        self._n_made = 0
        self._next_space_check = 0
        self._next_check_at = 0.0
        self._watched: dict[Connection, tuple[float, int]] = {}

    def run(self) -> bool:
        """Fetch and hash; whether the hash is right. Then the part is safe on the disk."""
        self._tell_progress()
        follower = Follower(self._file, self._transfer.wanted, lambda: self._map.frontier)
        try:
            try:
                self._fetch(follower)
            finally:
                self._end_connections()
                self._tell_progress()
            self._transfer.told.verify()
            while not follower.wait(_TICK_S):
                if self._transfer.is_stopped():
                    raise StoppedError
            wanted = self._transfer.wanted
            if follower.read_digest() not in {wanted.sha256, wanted.git_sha1}:
                return False
        finally:
            follower.stop()
            self._log.close()
        os.fsync(self._file)
        check_place(self._transfer.part, self._file)
        self._log.delete()
        return True

    def start_over(self) -> None:
        """Throw away what is there."""
        os.ftruncate(self._file, 0)
        self._log.delete()
        self._transfer.route.restart()
        self._transfer.told.progress(0)

    def _recall(self) -> RangeMap:
        """What an earlier run left; what cannot be part of this file is thrown away."""
        size, length = self._transfer.wanted.size_bytes, os.fstat(self._file).st_size
        noted = self._log.read()
        done = [(0, length)] if noted is None else [(b, min(e, length)) for b, e in noted]
        if length > size:
            done = []
        ranges = RangeMap(size, done)
        if ranges.n_done == ranges.frontier:
            # In order: the length says all, and a log would only be in the way.
            if ranges.frontier != length:
                os.ftruncate(self._file, ranges.frontier)
            self._log.delete()
        else:
            self._log.begin(ranges.list_done())
        return ranges

    def _fetch(self, follower: Follower) -> None:
        if not self._map.is_complete:
            self._check_space()
            self._add_connection()
        while not self._map.is_complete:
            self._transfer.wait(_TICK_S)
            if self._transfer.is_stopped():
                raise StoppedError
            follower.wait(0)
            self._look_after_connections()
            self._tell_progress()
            self._check_place_and_space()
            self._adjust()

    def _look_after_connections(self) -> None:
        """Raise what ended the first connection; take leave of others that ended."""
        now = time.monotonic()
        for connection in tuple(self._connections):
            if connection.is_alive:
                self._watch(connection, now)
                continue
            self._connections.remove(connection)
            self._watched.pop(connection, None)
            self._transfer.told.connections(len(self._connections))
            if connection is self._first:
                if connection.error is not None:
                    raise connection.error
            elif connection.error is not None:
                self._bear_loss(connection.error)

    def _bear_loss(self, error: BaseException) -> None:
        """A further connection failed: do with fewer, and for good where it was refused."""
        if not isinstance(error, PassingError):
            if isinstance(error, OSError):
                raise error
            return
        is_refused = error.is_odd or error.told.code in _REFUSING
        self._ramp.step_back(len(self._connections), is_final=is_refused)

    def _watch(self, connection: Connection, now: float) -> None:
        """Hang up where nothing comes, be it drop by drop."""
        patience_s = self._transfer.options.read_timeout_s
        if connection.phase == "asking" and now - connection.began_at > 2 * patience_s:
            connection.is_stalled = True
            connection.hang_up()
        if connection.phase != "reading" or self._work.throttle.is_on:
            self._watched.pop(connection, None)
            return
        then, before = self._watched.setdefault(connection, (now, connection.n_received))
        if now - then < patience_s:
            return
        rate = (connection.n_received - before) / (now - then)
        self._watched[connection] = (now, connection.n_received)
        if rate < self._transfer.options.least_bytes_per_s:
            connection.is_stalled = True
            connection.hang_up()

    def _adjust(self) -> None:
        """Open further connections where that pays; those that are too many end by themselves."""
        n_done = self._map.n_done
        wanted = self._ramp.look(
            n_done, self._map.size_bytes - n_done, is_limited=self._work.throttle.is_on
        )
        n_left = self._map.size_bytes - n_done
        useful = 1 + n_left // (2 * self._transfer.options.least_piece_bytes)
        while len(self._connections) < min(wanted, useful):
            self._add_connection()
        for connection in self._connections[wanted:]:
            connection.is_wanted = False

    def _add_connection(self) -> None:
        if self._connections and not self._log.is_open:
            self._log.begin(self._map.list_done())
        connection = Connection(self._work, self._n_made)
        if self._n_made == 0:
            self._first = connection
        self._n_made += 1
        self._connections.append(connection)
        self._transfer.told.connections(len(self._connections))

    def _end_connections(self) -> None:
        self._work.stopped.set()
        for connection in self._connections:
            connection.hang_up()
        for connection in self._connections:
            connection.join()
        self._transfer.told.connections(0)

    def _tell_progress(self) -> None:
        self._transfer.told.progress(self._map.n_done)

    def _check_place_and_space(self) -> None:
        now, n_done = time.monotonic(), self._map.n_done
        if now >= self._next_check_at or n_done >= self._next_space_check:
            self._next_check_at = now + _CHECK_S
            self._next_space_check = n_done + _CHECK_SPACE_BYTES
            check_place(self._transfer.part, self._file)
            self._check_space()
            if self._log.is_long:
                self._log.begin(self._map.list_done())

    def _check_space(self) -> None:
        missing = self._map.size_bytes - self._map.n_done
        check_space(self._transfer.part.parent, missing, self._transfer.options.reserve_bytes)
