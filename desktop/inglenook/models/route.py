"""The way to a file's bytes: the hub's address, its redirects, and what may be taken for the file.

Shared by the connections of one transfer; each asks through it with a client of its own. Redirects
are followed by hand: each hop is checked, no secret goes to another origin, and what the hub tells
of the file's identity on the way is compared before a byte is taken.
"""

import contextlib
import re
import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final
from urllib.parse import urljoin, urlsplit

from inglenook.base.errors import NetworkError, UserError
from inglenook.models.hub_errors import PASSING_STATUSES, explain_status, read_wait_s
from inglenook.models.hub_files import HubPart
from inglenook.models.ranges import Span
from inglenook.models.sizes import describe_pair

if TYPE_CHECKING:
    import httpx2

type Located = tuple[str, dict[str, str]]

_CONTENT_RANGE: Final = re.compile(r"bytes (\d+)-(\d+)/(\d+)")
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_MAX_HOPS: Final = 6
_SECOND_ORIGIN_HEADERS: Final = frozenset({"user-agent", "range", "accept-encoding"})
_KNOWN_FOR_S: Final = 300.0


class StoppedError(Exception):
    """The transfer was paused or cancelled; the part is kept."""


class ChangedError(Exception):
    """The file on the hub is another one than was asked for: ask for its description again."""


class PassingError(Exception):
    """Something that is worth another try: what to say if it stays so, and how long to wait."""

    def __init__(self, told: UserError, wait_s: float = 0.0, *, is_odd: bool = False) -> None:
        super().__init__(told.message)
        self.told = told
        self.wait_s = wait_s
        self.is_odd = is_odd
        """The other side answers, but with something else: a few tries show whether it stays so."""


class SpoiledError(PassingError):
    """As above, and what came so far cannot be built upon."""


class Route:
    """Finds the bytes of one file. Thread-safe."""

    def __init__(self, locate: Callable[[], Located], wanted: HubPart) -> None:
        self._locate = locate
        self._wanted = wanted
        self._lock = threading.Lock()
        self._known: tuple[str, dict[str, str], float] | None = None
        self._is_vouched = False
        self._tag = ""

    @property
    def file_name(self) -> str:
        """The file's name, without its folders."""
        return self._wanted.path.rpartition("/")[2]

    def forget(self) -> None:
        """Ask the hub for the address again the next time."""
        with self._lock:
            self._known = None

    def restart(self) -> None:
        """Forget all that was learned of the file's content as well."""
        with self._lock:
            self._known, self._is_vouched, self._tag = None, False, ""

    def open(
        self, stack: contextlib.ExitStack, client: "httpx2.Client", span: Span
    ) -> "httpx2.Response":
        """The answer that holds the bytes of `span`, its body still to come; `stack` closes it.

        An address that the hub gave is used for the next pieces too, for some minutes, until
        anything goes wrong. Raises `PassingError`, `SpoiledError`, `ChangedError`, `NetworkError`,
        and what httpx2 raises.
        """
        with self._lock:
            known = self._known
        if known is not None and time.monotonic() < known[2]:
            response = stack.enter_context(
                client.stream("GET", known[0], headers=self._name_range(known[1], span))
            )
            if response.status_code in {200, 206, 416}:
                self._check_body(response, span)
                return response
            response.close()
            self.forget()
        response = self._walk(stack, client, span)
        self._check_status(response)
        self._check_body(response, span)
        return response

    def _walk(
        self, stack: contextlib.ExitStack, client: "httpx2.Client", span: Span
    ) -> "httpx2.Response":
        address, headers = self._locate()
        first = _find_origin(address)
        for hop in range(_MAX_HOPS):
            asked: Mapping[str, str] = headers
            if _find_origin(address) != first:
                asked = {k: v for k, v in headers.items() if k.lower() in _SECOND_ORIGIN_HEADERS}
            response = stack.enter_context(
                client.stream("GET", address, headers=self._name_range(asked, span))
            )
            if response.status_code not in _REDIRECTS:
                if response.status_code in {200, 206} and hop:
                    self._keep(address, dict(asked))
                return response
            self._check_identity(response)
            following = urljoin(address, response.headers.get("Location", ""))
            response.close()
            if urlsplit(address).scheme == "https" and urlsplit(following).scheme != "https":
                raise NetworkError(
                    "The hub sends on to an address that is not https, so it is not followed.",
                    "Try again later, or choose another publisher.",
                    code="not_https",
                )
            address = following
        raise PassingError(
            NetworkError("The hub sends in circles.", "Try again later.", code="hub_answer")
        )

    def _keep(self, address: str, headers: dict[str, str]) -> None:
        with self._lock:
            self._known = (address, headers, time.monotonic() + _KNOWN_FOR_S)

    def _name_range(self, headers: Mapping[str, str], span: Span) -> dict[str, str]:
        begin, end = span
        asked = dict(headers)
        if end < self._wanted.size_bytes:
            asked["Range"] = f"bytes={begin}-{end - 1}"
        elif begin:
            asked["Range"] = f"bytes={begin}-"
        return asked

    def _check_identity(self, response: "httpx2.Response") -> None:
        """The hub tells the file's hash and size before it sends on: another file is not begun."""
        tag = response.headers.get("X-Linked-Etag", "").removeprefix("W/").strip('"')
        size = response.headers.get("X-Linked-Size", "")
        is_other = self._wanted.sha256 and len(tag) == 64 and tag != self._wanted.sha256
        if is_other or (size.isdigit() and int(size) != self._wanted.size_bytes):
            raise ChangedError
        if self._wanted.sha256 and tag == self._wanted.sha256:
            with self._lock:
                self._is_vouched = True

    def _check_status(self, response: "httpx2.Response") -> None:
        status = response.status_code
        if status in {200, 206, 416}:
            return
        code = response.headers.get("X-Error-Code", "")
        wait_s = read_wait_s(response.headers)
        is_expired = status == 403 and not code
        told = explain_status(status, code, response.request.url.host, wait_s)
        if status in PASSING_STATUSES or status >= 500 or is_expired:
            raise PassingError(told, wait_s)
        if status < 400:
            raise PassingError(told, is_odd=True)
        raise told

    def _check_body(self, response: "httpx2.Response", span: Span) -> None:
        """Refuse a body that is not exactly the bytes that were asked for."""
        size, (begin, end) = self._wanted.size_bytes, span
        length = response.headers.get("Content-Length", "")
        if response.status_code == 416:
            raise self.refuse_body(response, "no such piece")
        if response.status_code == 206:
            match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
            if not match or tuple(int(n) for n in match.groups()) != (begin, end - 1, size):
                raise self.refuse_body(response, "another piece of the file")
            if length.isdigit() and int(length) != end - begin:
                raise self.refuse_body(response, "a piece of another length")
        else:
            self._check_whole(response, span, length)
        self._check_tag(response)

    def _check_whole(self, response: "httpx2.Response", span: Span, length: str) -> None:
        """An answer with status 200 holds the file from its beginning."""
        if response.headers.get("Content-Type", "").lower().startswith("text/html"):
            raise self.refuse_body(response, "a web page")
        self._check_identity(response)
        if length.isdigit() and int(length) != self._wanted.size_bytes:
            has, wants = describe_pair(int(length), self._wanted.size_bytes)
            raise self.refuse_body(response, f"{has} and not {wants}")
        if span != (0, self._wanted.size_bytes):
            raise self.refuse_body(response, "the whole file and not the missing piece")

    def _check_tag(self, response: "httpx2.Response") -> None:
        """Where the hub vouches for no content, all pieces must at least be of one version."""
        tag = response.headers.get("ETag", "")
        with self._lock:
            if self._is_vouched or not tag:
                return
            is_other = bool(self._tag) and tag != self._tag
            self._tag = self._tag or tag
        if is_other:
            raise SpoiledError(
                self.refuse_body(response, "a piece of another version").told, is_odd=True
            )

    def refuse_body(self, response: "httpx2.Response", came: str) -> PassingError:
        """What is raised for an answer that is not what was asked for."""
        told = NetworkError(
            f"{response.request.url.host} sent {came} for {self.file_name}.",
            "Try again later, or choose another publisher.",
            code="wrong_size",
        )
        return PassingError(told, is_odd=True)


def _find_origin(address: str) -> tuple[str, str]:
    parts = urlsplit(address)
    return parts.scheme, parts.netloc
