"""The byte loop: fetches one file of the hub into a `.part` file, resuming where it stopped.

One `Transfer` works on the thread of one download. huggingface_hub no longer resumes and never
hashes, so this is ours: every attempt asks the hub's address again (a fresh signature), the length
of the part is the resume point, bytes are hashed as they come, and nothing becomes a model before
its hash is right.
"""

import contextlib
import errno
import hashlib
import os
import random
import re
import shutil
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urljoin, urlsplit

from inglenook.base.errors import NetworkError, StorageError, UserError
from inglenook.base.network import Network, Sockets
from inglenook.models.hub import HubPart
from inglenook.models.hub_errors import (
    PASSING_STATUSES,
    explain_status,
    explain_transport,
    read_wait_s,
)
from inglenook.models.sizes import describe_pair, describe_size

if TYPE_CHECKING:
    import httpx2

_CONTENT_RANGE: Final = re.compile(r"bytes (\d+)-(\d+)/(\d+)")
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_MAX_HOPS: Final = 6
_READ_BYTES: Final = 1 << 20
_CHECK_SPACE_BYTES: Final = 64 << 20
_SECOND_ORIGIN_HEADERS: Final = frozenset({"user-agent", "range", "accept-encoding"})


class StoppedError(Exception):
    """The transfer was paused or cancelled; the part is kept."""


class ChangedError(Exception):
    """The file on the hub is another one than was asked for: ask for its description again."""


class _PassingError(Exception):
    """Something that is worth another try: what to say if it stays so, and how long to wait."""

    def __init__(self, told: UserError, wait_s: float = 0.0, *, is_odd: bool = False) -> None:
        super().__init__(told.message)
        self.told = told
        self.wait_s = wait_s
        self.is_odd = is_odd
        """The other side answers, but with something else: a few tries show whether it stays so."""


@dataclass(frozen=True, slots=True)
class TransferOptions:
    """How patient a transfer is. `max_tries` counts tries in a row that brought no byte."""

    max_tries: int = 8
    first_wait_s: float = 0.5
    longest_wait_s: float = 30.0
    read_timeout_s: float = 30.0
    reserve_bytes: int = 1_000_000_000
    """Space that must stay free beside the model, so that conversations can be saved."""


_MAX_ODD_TRIES: Final = 3


class Transfer:
    """Fetches one part. `run` works on one thread; `stop` may be called from any."""

    def __init__(
        self,
        network: Network,
        locate: Callable[[], tuple[str, dict[str, str]]],
        wanted: HubPart,
        part: Path,
        *,
        on_progress: Callable[[int], None],
        on_verify: Callable[[], None] = lambda: None,
        options: TransferOptions | None = None,
    ) -> None:
        self._network = network
        self._locate = locate
        self._wanted = wanted
        self._part = part
        self._on_progress = on_progress
        self._on_verify = on_verify
        self._options = options or TransferOptions()
        self._stopped = threading.Event()
        self._sockets = Sockets()
        self._hash = start_hash(wanted)
        self._n_done = 0

    def stop(self) -> None:
        """End `run` at once; what came so far is kept."""
        self._stopped.set()
        self._sockets.shut_down()

    def run(self) -> None:
        """Fetch what is missing and check the hash; returns when the part is whole and right.

        Raises `StoppedError`, `ChangedError`, `NetworkError` (hash_mismatch, wrong_size and the
        codes of `hub_errors`), `StorageError` (disk_full, not_writable).
        """
        for attempt in range(2):
            with _open_part(self._part) as file:
                self._take_up(file)
                self._check_space()
                with self._make_client() as client:
                    self._fetch(file, client)
                self._on_verify()
                is_right = self._hash.hexdigest() in {self._wanted.sha256, self._wanted.git_sha1}
                if is_right:
                    os.fsync(file)
                    return
                os.ftruncate(file, 0)
            if attempt == 0:
                continue
        self._part.unlink(missing_ok=True)
        raise NetworkError(
            f"{self._wanted.path.rpartition('/')[2]} arrived damaged twice: its SHA-256 is not "
            "the one that the hub tells. It was deleted.",
            "Try again later, or choose another publisher.",
            code="hash_mismatch",
        )

    def _make_client(self) -> "httpx2.Client":
        return self._network.client(
            "download a model", read_timeout_s=self._options.read_timeout_s, sockets=self._sockets
        )

    def _take_up(self, file: int) -> None:
        """Hash what an earlier run left; a part that is too long belongs to something else."""
        self._restart(file, keep=os.fstat(file).st_size <= self._wanted.size_bytes)
        os.lseek(file, 0, os.SEEK_SET)
        while chunk := os.read(file, _READ_BYTES):
            if self._stopped.is_set():
                raise StoppedError
            self._hash.update(chunk)
            self._n_done += len(chunk)
            self._on_progress(self._n_done)

    def _restart(self, file: int, *, keep: bool = False) -> None:
        if not keep:
            os.ftruncate(file, 0)
            os.lseek(file, 0, os.SEEK_SET)
        self._hash = start_hash(self._wanted)
        self._n_done = 0
        self._on_progress(0)

    def _check_space(self) -> None:
        missing = self._wanted.size_bytes - self._n_done
        check_space(self._part.parent, missing, self._options.reserve_bytes)

    def _fetch(self, file: int, client: "httpx2.Client") -> None:
        """Try until all bytes are there; a try that brought bytes begins the count anew."""
        failures = 0
        while self._n_done < self._wanted.size_bytes:
            before = self._n_done
            try:
                self._try_once(file, client)
            except _PassingError as passing:
                failures = 1 if self._n_done > before else failures + 1
                most = self._options.max_tries
                if failures >= (min(most, _MAX_ODD_TRIES) if passing.is_odd else most):
                    raise passing.told from passing
                self._wait(failures, passing.wait_s)
            if self._stopped.is_set():
                raise StoppedError

    def _wait(self, failures: int, told_s: float) -> None:
        options = self._options
        wait_s = min(options.longest_wait_s, options.first_wait_s * 2 ** (failures - 1))
        wait_s *= random.uniform(0.7, 1.3)  # noqa: S311  # spreads clients, guards nothing
        if self._stopped.wait(max(wait_s, told_s)):
            raise StoppedError

    def _try_once(self, file: int, client: "httpx2.Client") -> None:
        import httpx2

        host = ""
        try:
            self._network.check()
            address, headers = self._locate()
            host = urlsplit(address).hostname or ""
            with contextlib.ExitStack() as stack:
                response = self._ask(stack, client, address, headers)
                host = response.request.url.host
                self._begin_body(file, response)
                self._copy_body(file, response)
        except httpx2.DecodingError as error:
            raise _PassingError(explain_transport(error, host)) from error
        except httpx2.TransportError as error:
            if self._stopped.is_set():
                raise StoppedError from error
            raise _PassingError(explain_transport(error, host)) from error

    def _ask(
        self,
        stack: contextlib.ExitStack,
        client: "httpx2.Client",
        address: str,
        headers: Mapping[str, str],
    ) -> "httpx2.Response":
        """Follow redirects by hand: each hop is checked, and no secret goes to another origin."""
        first = _find_origin(address)
        for _ in range(_MAX_HOPS):
            if self._stopped.is_set():
                raise StoppedError
            asked = {k: v for k, v in headers.items() if k.lower() in _SECOND_ORIGIN_HEADERS}
            if _find_origin(address) == first:
                asked = dict(headers)
            if self._n_done:
                asked["Range"] = f"bytes={self._n_done}-"
            response = stack.enter_context(client.stream("GET", address, headers=asked))
            if response.status_code not in _REDIRECTS:
                self._check_status(response)
                return response
            self._check_identity(response)
            following = urljoin(address, response.headers.get("Location", ""))
            if urlsplit(address).scheme == "https" and urlsplit(following).scheme != "https":
                raise NetworkError(
                    "The hub sends on to an address that is not https, so it is not followed.",
                    "Try again later, or choose another publisher.",
                    code="not_https",
                )
            address = following
        raise _PassingError(
            NetworkError("The hub sends in circles.", "Try again later.", code="hub_answer")
        )

    def _check_identity(self, response: "httpx2.Response") -> None:
        """The hub tells the file's hash and size before it sends on: another file is not begun."""
        tag = response.headers.get("X-Linked-Etag", "").removeprefix("W/").strip('"')
        size = response.headers.get("X-Linked-Size", "")
        is_other = self._wanted.sha256 and len(tag) == 64 and tag != self._wanted.sha256
        if is_other or (size.isdigit() and int(size) != self._wanted.size_bytes):
            raise ChangedError

    def _check_status(self, response: "httpx2.Response") -> None:
        status = response.status_code
        if status in {200, 206, 416}:
            return
        code = response.headers.get("X-Error-Code", "")
        wait_s = read_wait_s(response.headers)
        is_expired = status == 403 and not code
        told = explain_status(status, code, response.request.url.host, wait_s)
        if status in PASSING_STATUSES or status >= 500 or is_expired:
            raise _PassingError(told, wait_s)
        raise told

    def _begin_body(self, file: int, response: "httpx2.Response") -> None:
        """Place the body: only an exact 206 goes on, anything else begins anew."""
        size, begin = self._wanted.size_bytes, self._n_done
        if response.status_code == 416:
            self._restart(file)
            raise self._refuse_body(response, "no such piece")
        if response.status_code == 206:
            match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
            if match and tuple(int(n) for n in match.groups()) == (begin, size - 1, size):
                return
            self._restart(file)
            raise self._refuse_body(response, "another piece of the file")
        self._check_identity(response)
        length = response.headers.get("Content-Length", "")
        if length.isdigit() and int(length) != size:
            if response.headers.get("Content-Type", "").startswith("text/html"):
                raise self._refuse_body(response, "a web page")
            has, wants = describe_pair(int(length), size)
            raise self._refuse_body(response, f"{has} and not {wants}")
        if begin:
            self._restart(file)

    def _refuse_body(self, response: "httpx2.Response", came: str) -> _PassingError:
        name = self._wanted.path.rpartition("/")[2]
        told = NetworkError(
            f"{response.request.url.host} sent {came} for {name}.",
            "Try again later, or choose another publisher.",
            code="wrong_size",
        )
        return _PassingError(told, is_odd=True)

    def _copy_body(self, file: int, response: "httpx2.Response") -> None:
        size = self._wanted.size_bytes
        next_check = self._n_done + _CHECK_SPACE_BYTES
        for chunk in response.iter_raw():
            if self._stopped.is_set():
                raise StoppedError
            if self._n_done + len(chunk) > size:
                self._restart(file)
                raise self._refuse_body(response, "more than the whole")
            _write_all(file, chunk)
            self._hash.update(chunk)
            self._n_done += len(chunk)
            self._on_progress(self._n_done)
            if self._n_done >= next_check:
                self._check_space()
                next_check = self._n_done + _CHECK_SPACE_BYTES
        if self._n_done < size:
            raise self._refuse_body(
                response, "only " + " of ".join(describe_pair(self._n_done, size))
            )


def check_space(folder: Path, missing_bytes: int, reserve_bytes: int) -> None:
    """Refuse what would fill the disk: `StorageError` (disk_full)."""
    free = shutil.disk_usage(folder).free
    if missing_bytes and free < missing_bytes + reserve_bytes:
        raise StorageError(
            f"The disk has {describe_size(free)} free; the download needs "
            f"{describe_size(missing_bytes)}, and {describe_size(reserve_bytes)} should stay free.",
            "Make room, then resume.",
            code="disk_full",
        )


def start_hash(wanted: HubPart) -> Any:
    """The hash that the hub tells of a file: SHA-256, or git's own SHA-1 for a small one."""
    if wanted.sha256:
        return hashlib.sha256()
    header = f"blob {wanted.size_bytes}\0".encode()
    return hashlib.sha1(header, usedforsecurity=False)


@contextlib.contextmanager
def _open_part(part: Path) -> Any:
    """Open the part for reading and writing, owner only; never through a link."""
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    try:
        part.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = os.open(part, flags, 0o600)
    except OSError as error:
        raise explain_disk(error) from error
    try:
        yield file
    except OSError as error:
        if error.errno is None:
            raise
        raise explain_disk(error) from error
    finally:
        os.close(file)


def _write_all(file: int, chunk: bytes) -> None:
    view = memoryview(chunk)
    while view:
        view = view[os.write(file, view) :]


def explain_disk(error: OSError) -> StorageError:
    """What a failure to write means."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
        return StorageError(
            "The disk is full, so the download stands still. What is here already is kept.",
            "Make room, then resume.",
            code="disk_full",
        )
    return StorageError(
        f"The models folder cannot be written to: {error.strerror or error}.",
        "Mend the folder's permissions, then try again.",
        code="not_writable",
    )


def _find_origin(address: str) -> tuple[str, str]:
    parts = urlsplit(address)
    return parts.scheme, parts.netloc
