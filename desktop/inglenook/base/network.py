"""The one door: every outgoing connection of the app is opened by a client made here.

`Network.client(purpose)` gives an HTTP client that refuses while the app works offline, refuses
addresses that are not https (plain http is for this very machine), and writes each connection into
the ledger that the privacy page shows. Called by the models package from worker threads; the ledger
and the switch may be read from any thread. httpx2 is imported on first use: it is not needed at
start.
"""

import contextlib
import ipaddress
import socket
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from inglenook.base.errors import NetworkError
from inglenook.base.records import now

if TYPE_CHECKING:
    import ssl

    import httpx2

_LEDGER_LENGTH: Final = 1000
_READ_BYTES: Final = 256 << 10
CONNECT_TIMEOUT_S: Final = 15.0
READ_TIMEOUT_S: Final = 30.0
DIRECT: Final = "none"
"""The proxy setting that asks for no proxy at all."""
_CONNECTING: Final = tuple(f"{by}.connect_tcp.started" for by in ("connection", "proxy", "socks"))
_CONNECTED: Final = tuple(f"{by}.connect_tcp.complete" for by in ("connection", "proxy", "socks"))
_SOCKS_REFUSED: Final = "socks.setup_socks5_connection.failed"


@dataclass(frozen=True, slots=True)
class Connection:
    """One line of the ledger: when, where to, why, how much came back, and by which proxy."""

    time: datetime
    host: str
    purpose: str
    n_bytes: int = 0
    n_requests: int = 0
    proxy: str = ""


@dataclass(frozen=True, slots=True)
class NetworkUsed:
    """Published when a line of the ledger begins; the line's bytes may still grow."""

    connection: Connection


@dataclass(frozen=True, slots=True)
class Limits:
    """What a whole answer may take: for the hub's lists, not for the files themselves."""

    max_bytes: int
    max_s: float


class Sockets:
    """The live sockets of one client, so that a stop need not wait for an answer.

    Closing a client leaves a blocked read for seconds; shutting its socket down ends it at once.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._is_down = False

    def watch(self, event: str, info: dict[str, Any]) -> None:
        """Take note of a new connection; called by the HTTP library as its trace."""
        if event not in _CONNECTED:
            return
        live = info["return_value"].get_extra_info("socket")
        if not isinstance(live, socket.socket):
            return
        with self._lock:
            self._sockets = [s for s in self._sockets if s.fileno() >= 0] + [live]
            is_down = self._is_down
        if is_down:
            self.shut_down()

    def shut_down(self) -> None:
        """End every read and write at once, also on connections that are still to come."""
        with self._lock:
            self._is_down = True
        self.cut()

    def cut(self) -> None:
        """End what is connected now; later connections are not concerned."""
        with self._lock:
            sockets, self._sockets = self._sockets, []
        for live in sockets:
            with contextlib.suppress(OSError):
                live.shutdown(socket.SHUT_RDWR)

    def allow(self) -> None:
        """Take back a shut-down."""
        with self._lock:
            self._is_down = False


class Network:
    """Owns the offline switch's effect, the way through a proxy, and the ledger. Thread-safe.

    `find_proxy` tells the address of the chosen proxy, `DIRECT`, or "" for what the system says
    (HTTPS_PROXY, NO_PROXY and so on). This very machine is never reached through a chosen proxy.
    """

    def __init__(
        self,
        is_offline: Callable[[], bool],
        publish: Callable[[object], None] = lambda _event: None,
        find_proxy: Callable[[], str] = str,
    ) -> None:
        self._is_offline = is_offline
        self._publish = publish
        self._find_proxy = find_proxy
        self._lock = threading.Lock()
        self._context: ssl.SSLContext | None = None
        self._sockets: weakref.WeakSet[Sockets] = weakref.WeakSet()
        self._ledger: deque[_Line] = deque(maxlen=_LEDGER_LENGTH)

    @property
    def is_offline(self) -> bool:
        """Whether the person chose to work offline."""
        return self._is_offline()

    def check(self) -> None:
        """Raise `NetworkError` (code offline) while the app works offline."""
        if self._is_offline():
            raise NetworkError(
                "Inglenook works offline now, so nothing is asked of the network.",
                "Switch off 'Work offline' in Settings, Privacy.",
                code="offline",
            )

    def check_address(self, url: str) -> None:
        """Raise `NetworkError` unless `url` may be opened (codes offline, not_https)."""
        import httpx2

        self.check()
        address = httpx2.URL(url)
        if address.scheme == "https" and address.host:
            return
        if address.scheme == "http" and is_loopback(address.host):
            return
        raise NetworkError(
            f"The address of {address.host or 'an unnamed place'} is not https, so it is "
            "not opened.",
            "Use an https address.",
            code="not_https",
        )

    def client(
        self,
        purpose: str,
        *,
        follow_redirects: bool = False,
        read_timeout_s: float = READ_TIMEOUT_S,
        limits: Limits | None = None,
        sockets: Sockets | None = None,
    ) -> "httpx2.Client":
        """A new HTTP client whose connections are checked and written down; the caller closes it.

        `purpose` is the ledger's "why", in words. Every request has a timeout, and asks for bytes
        as they are: what an answer costs is then what was counted. Raises `NetworkError` (proxy).
        """
        import httpx2

        timeout = httpx2.Timeout(read_timeout_s, connect=CONNECT_TIMEOUT_S)
        watched = sockets if sockets is not None else Sockets()
        visit = _Visit(self, purpose, timeout.as_dict(), limits, watched)
        with self._lock:
            self._sockets.add(watched)
        proxy = self._find_proxy()
        try:
            return httpx2.Client(
                event_hooks={"request": [visit.begin], "response": [visit.count]},
                follow_redirects=follow_redirects,
                timeout=timeout,
                verify=self._share_context(),
                trust_env=not proxy,
                mounts=self._make_mounts(proxy),
            )
        except (ValueError, TypeError, httpx2.InvalidURL) as error:
            raise NetworkError(
                "The proxy that is set cannot be used: see its form.",
                "Set one such as http://127.0.0.1:3128 or socks5://127.0.0.1:9050 in Settings, "
                "Network; none uses no proxy.",
                code="proxy",
            ) from error

    def hang_up(self) -> None:
        """End every connection that is open now: the person went offline."""
        with self._lock:
            sockets = tuple(self._sockets)
        for one in sockets:
            one.cut()

    def ledger(self) -> tuple[Connection, ...]:
        """All connections since the start, oldest first; at most the last 1,000."""
        with self._lock:
            return tuple(line.show() for line in self._ledger)

    def add_line(self, host: str, purpose: str) -> "_Line":
        """Begin a line of the ledger."""
        line = _Line(now(), host, purpose)
        with self._lock:
            self._ledger.append(line)
        self._publish(NetworkUsed(line.show()))
        return line

    def grow(self, line: "_Line", *, n_bytes: int = 0, n_requests: int = 0) -> None:
        """Add to a line."""
        with self._lock:
            line.n_bytes += n_bytes
            line.n_requests += n_requests

    def _share_context(self) -> "ssl.SSLContext":
        """The certificates that are trusted, read once."""
        import httpx2

        with self._lock:
            if self._context is None:
                self._context = httpx2.create_ssl_context()
            return self._context

    def _make_mounts(self, proxy: str) -> "dict[str, httpx2.BaseTransport | None]":
        if proxy in {"", DIRECT}:
            return {}
        import httpx2

        through = httpx2.HTTPTransport(verify=self._share_context(), proxy=proxy, trust_env=False)
        here = dict.fromkeys(("all://127.0.0.1", "all://localhost", "all://[::1]"))
        return {"all://": through, **here}


@dataclass(slots=True)
class _Line:
    time: datetime
    host: str
    purpose: str
    n_bytes: int = 0
    n_requests: int = 0
    proxy: str = ""

    def show(self) -> Connection:
        return Connection(
            self.time, self.host, self.purpose, self.n_bytes, self.n_requests, self.proxy
        )


class _Visit:
    """The hooks of one client: its lines of the ledger, one per host."""

    def __init__(
        self,
        network: Network,
        purpose: str,
        timeout: dict[str, float | None],
        limits: Limits | None,
        sockets: Sockets,
    ) -> None:
        self._network = network
        self._purpose = purpose
        self._timeout = timeout
        self._limits = limits
        self._sockets = sockets
        self._lock = threading.Lock()
        self._lines: dict[str, _Line] = {}

    def begin(self, request: "httpx2.Request") -> None:
        """Check a request before it leaves, redirected ones too."""
        self._network.check_address(str(request.url))
        request.headers["Accept-Encoding"] = "identity"
        extensions = dict(request.extensions)
        if not extensions.get("timeout", {}).get("read"):
            extensions["timeout"] = self._timeout
        line, url = self._find_line(request.url), request.url
        target = f"{url.host}:{url.port or (443 if url.scheme == 'https' else 80)}"
        reached: list[Any] = []
        extensions["trace"] = lambda event, info: self._watch(event, info, line, target, reached)
        request.extensions = extensions
        self._network.grow(line, n_requests=1)

    def _watch(
        self, event: str, info: dict[str, Any], line: _Line, target: str, reached: list[Any]
    ) -> None:
        """Follow what the HTTP library does: where it really connects to, and by which socket."""
        if event in _CONNECTING:
            place = f"{info.get('host')}:{info.get('port')}"
            line.proxy = place if place != target else ""
        self._sockets.watch(event, info)
        if event in _CONNECTED:
            reached[:] = [info["return_value"]]
            _read_widely(info["return_value"])
            if self._network.is_offline:
                self._sockets.cut()
        elif event == _SOCKS_REFUSED:
            for stream in reached:  # The library forgets it open.
                stream.close()

    def count(self, response: "httpx2.Response") -> None:
        """Count the body's bytes as they come in, and hold them to the limits."""
        import httpx2

        if response.headers.get("content-encoding", "identity").lower() != "identity":
            raise httpx2.DecodingError("an answer came packed though it was asked for plain")
        line = self._find_line(response.request.url)
        response.stream = self._watch_body(response.stream, line)

    def _watch_body(self, stream: Any, line: _Line) -> Any:
        import httpx2

        network, limits = self._network, self._limits

        class Body(httpx2.SyncByteStream):
            def __iter__(self) -> Iterator[bytes]:
                n_bytes, began = 0, time.monotonic()
                for chunk in stream:
                    network.check()
                    network.grow(line, n_bytes=len(chunk))
                    n_bytes += len(chunk)
                    if limits and n_bytes > limits.max_bytes:
                        raise httpx2.DecodingError("an answer is larger than it may be")
                    if limits and time.monotonic() - began > limits.max_s:
                        raise httpx2.ReadTimeout("an answer takes too long")
                    yield chunk

            def close(self) -> None:
                stream.close()

        return Body()

    def _find_line(self, url: "httpx2.URL") -> _Line:
        host = url.netloc.decode("ascii", "replace")
        with self._lock:
            if host not in self._lines:
                self._lines[host] = self._network.add_line(host, self._purpose)
            return self._lines[host]


def _read_widely(stream: Any) -> None:
    """Take more at a time than the HTTP library asks for: a fast download costs half as much."""
    read = stream.read

    def read_more(max_bytes: int, timeout: float | None = None) -> bytes:
        data: bytes = read(max(max_bytes, _READ_BYTES), timeout=timeout)
        return data

    stream.read = read_more


def is_loopback(host: str) -> bool:
    """Whether a host name or address can only be this very machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
