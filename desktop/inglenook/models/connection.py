"""One connection of a transfer: fetches piece after piece into the part, on a thread of its own.

Started and watched by `transfer.py`. The first connection is the patient one: it tries again where
that is worth it, and says what stays wrong. A further connection that meets with any trouble ends,
and what it had not fetched is taken by the others.
"""

import contextlib
import os
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from inglenook.base.errors import NetworkError
from inglenook.base.network import Network, Sockets
from inglenook.models.follower import write_at
from inglenook.models.hub_errors import explain_transport
from inglenook.models.ramp import Throttle
from inglenook.models.ranges import RangeLog, RangeMap, Segment
from inglenook.models.route import PassingError, Route, SpoiledError, StoppedError
from inglenook.models.sizes import describe_pair

if TYPE_CHECKING:
    import httpx2

_MAX_ODD_TRIES: Final = 3
_NOTE_BYTES: Final = 1 << 14
"""What a kill may cost each connection, where bytes come out of order."""
_PROGRESS_BYTES: Final = 16_000
"""A try that brought less counts as one that brought nothing: else a drip would never end."""
_IDLE_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class TransferOptions:
    """How patient a transfer is. `max_tries` counts tries in a row that brought no byte."""

    max_tries: int = 8
    first_wait_s: float = 0.5
    longest_wait_s: float = 30.0
    read_timeout_s: float = 30.0
    reserve_bytes: int = 1_000_000_000
    """Space that must stay free beside the model, so that conversations can be saved."""
    least_bytes_per_s: float = 1000.0
    """A connection that brings less over the read timeout is given up, and begun anew."""
    least_piece_bytes: int = 4 << 20
    most_piece_bytes: int = 64 << 20
    """How much one of several connections fetches at a time."""


@dataclass(slots=True)
class Work:
    """What the connections of one transfer share."""

    network: Network
    route: Route
    map: RangeMap
    log: RangeLog
    file: int
    throttle: Throttle
    options: TransferOptions
    choose_piece: Callable[[], int | None]
    on_note: Callable[[str], None]
    wake: threading.Event
    stopped: threading.Event


class Connection:
    """A thread with a client. `error` says why it ended, if it was not asked to."""

    def __init__(self, work: Work, number: int) -> None:
        self._work = work
        self._is_first = number == 0
        self._sockets = Sockets()
        self._failures = 0
        self._host = ""
        self.error: BaseException | None = None
        self.phase: Literal["idle", "asking", "reading"] = "idle"
        self.began_at = 0.0
        self.n_received = 0
        self.is_stalled = False
        self.is_wanted = True
        """Cleared to let it end after the piece that it is at."""
        self._thread = threading.Thread(
            target=self._run, name=f"download-connection-{number}", daemon=True
        )
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether it still works."""
        return self._thread.is_alive()

    def hang_up(self) -> None:
        """Break off what it is doing; it begins anew, or ends where the work is stopped."""
        self._sockets.shut_down()

    def join(self) -> None:
        """Wait for its end, which `hang_up` brings about once the work is stopped."""
        self._thread.join()

    def _run(self) -> None:
        try:
            with self._work.network.client(
                "download a model",
                read_timeout_s=self._work.options.read_timeout_s,
                sockets=self._sockets,
            ) as client:
                while self._fetch_next(client):
                    pass
        except StoppedError:
            pass
        except Exception as error:  # noqa: BLE001  # a thread's border: the transfer raises it
            self.error = error
        finally:
            self._work.wake.set()

    def _fetch_next(self, client: "httpx2.Client") -> bool:
        """Fetch one piece; False when there is nothing more to do here."""
        work = self._work
        if work.stopped.is_set():
            raise StoppedError
        if not self.is_wanted:
            return False
        segment = work.map.take(
            work.choose_piece(), least_bytes=max(1, work.options.least_piece_bytes // 2)
        )
        if segment is None:
            return self._is_first and not work.stopped.wait(_IDLE_S)
        begin = segment.position
        try:
            self._try_once(client, segment)
            self._failures = 0
        except PassingError as passing:
            work.route.forget()
            if not self._is_first:
                raise
            n_brought = segment.position - begin
            work.map.release(segment)
            self._have_patience(passing, n_brought)
        finally:
            work.map.release(segment)
            self.phase = "idle"
            if work.map.is_complete:
                work.wake.set()
        return True

    def _have_patience(self, passing: PassingError, n_brought: int) -> None:
        """Wait for another try, or raise what stays wrong."""
        options = self._work.options
        self._failures = 1 if n_brought >= _PROGRESS_BYTES else self._failures + 1
        if isinstance(passing, SpoiledError):
            raise passing
        if passing.is_odd and self._failures == _MAX_ODD_TRIES - 1 and self._work.map.n_done:
            raise SpoiledError(passing.told, is_odd=True) from passing
        most = min(options.max_tries, _MAX_ODD_TRIES) if passing.is_odd else options.max_tries
        if self._failures >= most:
            raise passing.told from passing
        wait_s = min(options.longest_wait_s, options.first_wait_s * 2 ** (self._failures - 1))
        wait_s = max(wait_s * random.uniform(0.7, 1.3), passing.wait_s)  # noqa: S311  # spreads clients
        if wait_s >= 1:
            self._work.on_note(f"{passing.told.message} Trying again in {wait_s:.0f} s.")
        if self._work.stopped.wait(wait_s):
            raise StoppedError

    def _try_once(self, client: "httpx2.Client", segment: Segment) -> None:
        import httpx2

        self._sockets.allow()
        if self._work.stopped.is_set():  # A hang-up before this line would be forgotten.
            raise StoppedError
        self.is_stalled = False
        self.began_at = time.monotonic()
        self.phase = "asking"
        begin, end = segment.position, segment.end
        try:
            self._work.network.check()
            with contextlib.ExitStack() as stack:
                response = self._work.route.open(stack, client, (begin, end))
                self._host = response.request.url.host
                self.phase = "reading"
                self._copy_body(response, segment, end)
        except httpx2.DecodingError as error:
            raise PassingError(explain_transport(error, self._host), is_odd=True) from error
        except httpx2.TransportError as error:
            if self._work.stopped.is_set():
                raise StoppedError from error
            self._work.network.check()
            raise PassingError(self._explain(error)) from error

    def _explain(self, error: "httpx2.TransportError") -> Any:
        request = getattr(error, "_request", None)
        host = request.url.host if request is not None else self._host
        if self.is_stalled:
            return NetworkError(
                f"{host} stopped sending.", "Check the connection, then try again.", code="timeout"
            )
        return explain_transport(error, host)

    def _copy_body(self, response: "httpx2.Response", segment: Segment, end: int) -> None:
        """Write what comes, until the piece is whole or another connection took the rest of it."""
        work = self._work
        begin = noted = segment.position
        is_first_byte = True
        try:
            for chunk in response.iter_raw():
                room = work.map.find_room(segment)
                if not room and segment.end < end:
                    return
                if len(chunk) > room and segment.end == end:
                    self._take_back(segment, begin)
                    raise work.route.refuse_body(response, "more than was asked for")
                self._write(segment, memoryview(chunk)[:room])
                self.n_received += len(chunk)
                if work.log.is_open and segment.position - noted >= _NOTE_BYTES:
                    work.log.note(noted, segment.position)
                    noted = segment.position
                if is_first_byte:
                    is_first_byte = False
                    work.on_note("")
                work.throttle.take(len(chunk), work.stopped)
                if work.stopped.is_set():
                    raise StoppedError
        finally:
            if work.log.is_open:
                work.log.note(min(noted, segment.position), segment.position)
        if segment.position < segment.end:
            has = segment.position - begin
            self._take_back(segment, begin)
            told = "only " + " of ".join(describe_pair(has, end - begin))
            raise work.route.refuse_body(response, told)

    def _take_back(self, segment: Segment, begin: int) -> None:
        """What this answer brought is no part of the file."""
        self._work.map.take_back(segment, begin)
        if not self._work.log.is_open:
            os.ftruncate(self._work.file, begin)

    def _write(self, segment: Segment, data: memoryview) -> None:
        while data:
            n_written = write_at(self._work.file, data, segment.position)
            data = data[n_written:]
            self._work.map.advance(segment, n_written)
