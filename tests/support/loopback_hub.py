"""A stand-in for the hub on this machine: two origins, faults on demand, bytes counted.

    with LoopbackHub() as hub:
        hub.add_repo("maker/Tiny-GGUF", {"tiny-Q8_0.gguf": data})
        hub.faults.cut_every = 1_000_000
        network_client.get(f"{hub.endpoint}/api/models/maker/Tiny-GGUF?blobs=true")

The first origin (`hub.endpoint`, for HF_ENDPOINT) tells about repositories and sends on to the
second one (`hub.store`), which serves large files, as the real hub does. Loopback needs
NO_PROXY=127.0.0.1 where a proxy is set. Faults may be changed while requests run.
"""

import contextlib
import hashlib
import json
import re
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

_CHUNK = 64 * 1024
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


@dataclass
class Answer:
    """An answer that is given instead of the right one; with status 0 the right one is given."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    delay_s: float = 0.0


@dataclass
class Faults:
    """What goes wrong. Queues are used up one answer per request; the rest holds until reset.

    `api`, `resolve`, `store`: answers given instead, first come first served. `cut_every`: the
    store closes the connection after so many bytes of each body (`reset`: with a reset), for the
    next `cuts` bodies (-1: always). `stall_after`: the store sends so many bytes, then nothing, for
    the next `stalls` bodies. `flips`: in so many bodies one byte is wrong. `shorten`: bodies and
    their Content-Length lack so many bytes. `bytes_per_s`: a slow store. `location`: where resolve
    sends on to instead. `oddities`: names of `support.oddities.KINDS`, one for each body of the
    store, "" for a right one. `linked_etag`: the hash that resolve tells instead. `names`: extra
    entries of every repository's listing, `items` of every search's first page, as they are.
    """

    api: deque[Answer] = field(default_factory=deque)
    resolve: deque[Answer] = field(default_factory=deque)
    store: deque[Answer] = field(default_factory=deque)
    cut_every: int = 0
    cuts: int = -1
    reset: bool = False
    stall_after: int = -1
    stalls: int = 1
    flips: int = 0
    shorten: int = 0
    ignore_range: bool = False
    wrong_offset: bool = False
    bytes_per_s: int = 0
    location: str = ""
    linked_etag: str = ""
    names: list[Any] = field(default_factory=list)
    oddities: deque[str] = field(default_factory=deque)
    items: list[Any] = field(default_factory=list)


@dataclass
class Repo:
    """A repository: its files, and what its metadata say."""

    id: str
    files: dict[str, bytes]
    gated: bool | str = False
    lfs: bool = True
    private: bool = False
    tags: tuple[str, ...] = ()
    downloads: int = 7
    likes: int = 1
    trending: int = 0
    updated: str = "2026-05-04T12:00:00.000Z"
    pipeline: str = "text-generation"
    gguf: dict[str, Any] | None = None
    card: str | bytes = b""
    sizes: dict[str, int] = field(default_factory=dict)
    """What the listing says of a file's size, instead of what it is."""

    @property
    def revision(self) -> str:
        """A commit id that changes with the content."""
        digest = hashlib.sha1(usedforsecurity=False)
        for name, data in sorted(self.files.items()):
            digest.update(name.encode() + b"\0" + hashlib.sha256(data).digest())
        return digest.hexdigest()

    def describe(self, extra: list[Any]) -> dict[str, Any]:
        """The answer of /api/models/{id}?blobs=true."""
        siblings = [*(self._describe_file(n) for n in sorted(self.files)), *extra]
        if self.card:
            siblings.append({"rfilename": "README.md", "size": len(self.card), "blobId": "0" * 40})
        return {**self.list_facts(), "sha": self.revision, "siblings": siblings}

    def list_facts(self) -> dict[str, Any]:
        """What a listing can tell, if it is asked to."""
        facts: dict[str, Any] = {
            "_id": hashlib.sha1(self.id.encode(), usedforsecurity=False).hexdigest()[:24],
            "id": self.id,
            "modelId": self.id,
            "author": self.id.partition("/")[0],
            "gated": self.gated,
            "private": self.private,
            "tags": ["gguf", *self.tags],
            "downloads": self.downloads,
            "likes": self.likes,
            "trendingScore": self.trending,
            "lastModified": self.updated,
            "createdAt": self.updated,
            "pipeline_tag": self.pipeline,
        }
        if self.gguf is not None:
            facts["gguf"] = self.gguf
        return facts

    def _describe_file(self, name: str) -> dict[str, Any]:
        data = self.files[name]
        blob = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
        size = self.sizes.get(name, len(data))
        entry: dict[str, Any] = {"rfilename": name, "size": size, "blobId": blob}
        if self.lfs:
            sha256 = hashlib.sha256(data).hexdigest()
            entry["lfs"] = {"sha256": sha256, "size": size, "pointerSize": 135}
        return entry


class LoopbackHub:
    """The two servers. Attributes: endpoint, store, faults, requests, bytes_served."""

    def __init__(self) -> None:
        self.faults = Faults()
        self.repos: dict[str, Repo] = {}
        self.requests: list[tuple[str, str, str, dict[str, str]]] = []
        self.bytes_served = 0
        self.tokens: dict[str, set[str]] = {}
        """Which closed repositories an access token opens."""
        self.is_closing = threading.Event()
        self._lock = threading.Lock()
        self._servers = [_make_server(self, _ApiHandler), _make_server(self, _StoreHandler)]
        self.endpoint, self.store = (
            f"http://127.0.0.1:{server.server_address[1]}" for server in self._servers
        )
        self._threads = [
            threading.Thread(
                target=server.serve_forever, args=(0.02,), name="loopback-hub", daemon=True
            )
            for server in self._servers
        ]
        for thread in self._threads:
            thread.start()

    def add_repo(self, repo: str, files: Mapping[str, bytes], **facts: Any) -> Repo:
        """Add or replace a repository."""
        self.repos[repo] = Repo(repo, dict(files), **facts)
        return self.repos[repo]

    def list_requests(self, origin: str = "") -> list[tuple[str, str, dict[str, str]]]:
        """(method, path, headers) of all requests so far; `origin` is "api", "store" or all."""
        with self._lock:
            return [(m, p, h) for o, m, p, h in self.requests if origin in {"", o}]

    def note_request(self, origin: str, handler: BaseHTTPRequestHandler) -> None:
        """Write a request down."""
        with self._lock:
            headers = {name.lower(): value for name, value in handler.headers.items()}
            self.requests.append((origin, handler.command, handler.path, headers))

    def note_bytes(self, n_bytes: int) -> None:
        """Count bytes of bodies of the store."""
        with self._lock:
            self.bytes_served += n_bytes

    def take(self, name: str) -> bool:
        """Use up one of a counted fault; -1 never ends."""
        with self._lock:
            left = int(getattr(self.faults, name))
            if left > 0:
                setattr(self.faults, name, left - 1)
            return left != 0

    def next_answer(self, queue: deque[Answer]) -> Answer | None:
        """The next answer that is given instead of the right one."""
        with self._lock:
            return queue.popleft() if queue else None

    def next_oddity(self) -> str:
        """The kind of odd answer that is given next, "" for a right one."""
        with self._lock:
            return self.faults.oddities.popleft() if self.faults.oddities else ""

    def close(self) -> None:
        """End both servers and every answer under way."""
        self.is_closing.set()
        for server in self._servers:
            server.shutdown()
            server.server_close()
        for thread in self._threads:
            thread.join(5)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64
    hub: LoopbackHub

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that go away are what many tests are about."""


def _make_server(hub: LoopbackHub, handler: type[BaseHTTPRequestHandler]) -> _Server:
    server = _Server(("127.0.0.1", 0), handler)
    server.hub = hub
    return server


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server
    origin = ""

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Keep tests quiet."""

    @property
    def hub(self) -> LoopbackHub:
        return self.server.hub

    def do_GET(self) -> None:
        self.hub.note_request(self.origin, self)
        with contextlib.suppress(ConnectionError, TimeoutError):
            self.answer(urlsplit(self.path))

    do_HEAD = do_POST = do_GET  # noqa: N815  # the server finds them by these names

    def answer(self, address: Any) -> None:
        raise NotImplementedError

    def send_answer(self, answer: Answer) -> None:
        """Send a whole answer."""
        if answer.delay_s and self.hub.is_closing.wait(answer.delay_s):
            self.close_connection = True
            return
        self.send_response(answer.status)
        headers = {"Content-Length": str(len(answer.body)), **answer.headers}
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def send_json(self, document: Any, **headers: str) -> None:
        body = json.dumps(document).encode()
        self.send_answer(Answer(200, {"Content-Type": "application/json", **headers}, body))

    def refuse(self, status: int, code: str) -> None:
        headers = {"X-Error-Code": code, "X-Error-Message": code}
        self.send_answer(Answer(status, headers, b'{"error":"%s"}' % code.encode()))


class _ApiHandler(_Handler):
    """The first origin: metadata, and where files are."""

    origin = "api"

    def answer(self, address: Any) -> None:
        path = unquote(address.path)
        is_api = path.startswith("/api/")
        faults = self.hub.faults
        fault = self.hub.next_answer(faults.api if is_api else faults.resolve)
        if fault and fault.status:
            self.send_answer(fault)
        elif path == "/api/models":
            self._list(parse_qs(address.query))
        elif match := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/([^/]+))?", path):
            self._describe(match[1], match[2] or "main")
        elif match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/tree/([^/]+)(?:/.*)?", path):
            self._list_tree(match[1], match[2])
        elif match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/auth-check", path):
            self._check_access(match[1])
        elif path == "/api/whoami-v2":
            self._tell_who()
        elif match := re.fullmatch(
            r"/api/resolve-cache/models/([^/]+/[^/]+)/[^/]+/README.md", path
        ):
            self._send_card(match[1])
        elif match := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path, re.DOTALL):
            self._resolve(match[1], match[2], match[3])
        else:
            self.refuse(404, "RepoNotFound")

    def _read_token(self) -> str:
        return str(self.headers.get("Authorization", "")).removeprefix("Bearer ")

    def _is_known(self) -> bool:
        """Whether there is no token, or one that the hub gave out; else it is refused."""
        token = self._read_token()
        if token and token not in self.hub.tokens:
            message = "Invalid credentials in Authorization header"
            self.send_answer(Answer(401, {"X-Error-Message": message}, b'{"error":"..."}'))
            return False
        return True

    def _may_read(self, repo: Repo) -> bool:
        is_closed = bool(repo.gated or repo.private)
        return not is_closed or repo.id in self.hub.tokens.get(self._read_token(), set())

    def _find(self, repo_id: str, revision: str) -> Repo | None:
        repo = self.hub.repos.get(repo_id)
        if not self._is_known():
            return None
        if repo is None or (repo.private and not self._may_read(repo)):
            self.refuse(401, "RepoNotFound")
        elif revision not in {"main", repo.revision}:
            self.refuse(404, "RevisionNotFound")
        else:
            return repo
        return None

    def _check_access(self, repo_id: str) -> None:
        if repo := self._find(repo_id, "main"):
            if self._may_read(repo):
                self.send_json({})
            else:
                self.refuse(403 if self._read_token() else 401, "GatedRepo")

    def _tell_who(self) -> None:
        token = self._read_token()
        if token in self.hub.tokens:
            self.send_json({"type": "user", "name": "somebody"})
        else:
            message = "Invalid credentials in Authorization header"
            self.send_answer(Answer(401, {"X-Error-Message": message}, b'{"error":"..."}'))

    def _send_card(self, repo_id: str) -> None:
        if repo := self._find(repo_id, "main"):
            body = repo.card if isinstance(repo.card, bytes) else repo.card.encode()
            headers = {"Content-Type": "text/plain", "X-Repo-Commit": repo.revision}
            self.send_answer(Answer(200, headers, body))

    def _list(self, query: dict[str, list[str]]) -> None:
        found = [repo for repo in self.hub.repos.values() if _suits(repo, query)]
        key = query.get("sort", [""])[0]
        facts = [repo.list_facts() for repo in found]
        facts.sort(key=lambda one: one["id"])
        if key:
            facts.sort(key=lambda one: one[key], reverse=True)
        begin = int(query.get("cursor", ["0"])[0])
        limit = int(query.get("limit", ["1000"])[0])
        page = facts[begin : begin + min(limit, 100)]
        headers = {}
        if begin + len(page) < len(facts):
            following = {**query, "cursor": [str(begin + len(page))]}
            link = f"{self.hub.endpoint}/api/models?{urlencode(following, doseq=True)}"
            headers["Link"] = f'<{link}>; rel="next"'
        wanted = {"_id", "id", "modelId", *query.get("expand", ("tags",))}
        shown: list[Any] = [{k: v for k, v in one.items() if k in wanted} for one in page]
        self.send_json([*shown, *(self.hub.faults.items if not begin else [])], **headers)

    def _describe(self, repo_id: str, revision: str) -> None:
        if repo := self._find(repo_id, revision):
            self.send_json(repo.describe(self.hub.faults.names))

    def _list_tree(self, repo_id: str, revision: str) -> None:
        if repo := self._find(repo_id, revision):
            entries = []
            for sibling in repo.describe([])["siblings"]:
                entry = {"type": "file", "path": sibling["rfilename"], "size": sibling["size"]}
                entry["oid"] = sibling["blobId"]
                if "lfs" in sibling:
                    lfs = sibling["lfs"]
                    entry["lfs"] = {"oid": lfs["sha256"], "size": lfs["size"], "pointerSize": 135}
                entries.append(entry)
            self.send_json(entries)

    def _resolve(self, repo_id: str, revision: str, name: str) -> None:
        repo = self._find(repo_id, revision)
        if repo is None:
            return
        if not self._may_read(repo):
            self.refuse(403 if self._read_token() else 401, "GatedRepo")
            return
        if name == "README.md" and repo.card:
            # Small files: on to another address of the same origin.
            path = f"/api/resolve-cache/models/{repo_id}/{repo.revision}/README.md"
            self.send_answer(Answer(307, {"Location": path, "X-Repo-Commit": repo.revision}))
            return
        data = repo.files.get(name)
        if data is None:
            self.refuse(404, "EntryNotFound")
            return
        sha256 = hashlib.sha256(data).hexdigest()
        location = self.hub.faults.location or f"{self.hub.store}/{sha256}?signature=fresh"
        headers = {
            "Location": location,
            "X-Repo-Commit": repo.revision,
            "X-Linked-Size": str(len(data)),
            "X-Linked-Etag": f'"{self.hub.faults.linked_etag or sha256}"',
            "ETag": f'"{sha256}"',
            "Accept-Ranges": "bytes",
        }
        self.send_answer(Answer(302, headers))


class _StoreHandler(_Handler):
    """The second origin: large files by their hash, with ranges and every fault of transport."""

    origin = "store"

    def answer(self, address: Any) -> None:
        fault = self.hub.next_answer(self.hub.faults.store)
        if fault:
            self.send_answer(fault)
            return
        data = self._find(address.path.strip("/"))
        if data is None:
            self.send_answer(Answer(404, {}, b"no such file"))
            return
        faults = self.hub.faults
        wanted = _RANGE.fullmatch(self.headers.get("Range", ""))
        begin = int(wanted[1]) if wanted and not faults.ignore_range else 0
        end = int(wanted[2]) + 1 if wanted and wanted[2] and not faults.ignore_range else len(data)
        if begin and begin >= len(data):
            self.send_answer(Answer(416, {"Content-Range": f"bytes */{len(data)}"}))
            return
        is_part = bool(wanted) and not faults.ignore_range
        oddity = self.hub.next_oddity()
        if oddity:
            from support.oddities import KINDS

            KINDS[oddity](self, data, begin, end, is_part)
            return
        self._send(data, begin, min(end, len(data)), is_part=is_part)

    def _find(self, sha256: str) -> bytes | None:
        for repo in self.hub.repos.values():
            for data in repo.files.values():
                if hashlib.sha256(data).hexdigest() == sha256:
                    return data
        return None

    def _send(self, data: bytes, begin: int, end: int, *, is_part: bool) -> None:
        faults = self.hub.faults
        if faults.wrong_offset and is_part and begin:
            begin -= 1
        body = bytearray(memoryview(data)[begin : min(end, len(data) - faults.shorten)])
        if body and faults.flips and self.hub.take("flips"):
            body[len(body) // 2] ^= 0x40
        self.send_response(206 if is_part else 200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", '"store"')
        self.send_header("Content-Type", "application/octet-stream")
        if is_part:
            last = begin + len(body) - 1
            self.send_header("Content-Range", f"bytes {begin}-{last}/{len(data) - faults.shorten}")
        self.end_headers()
        if self.command != "HEAD":
            self._send_body(memoryview(bytes(body)))

    def _send_body(self, body: memoryview) -> None:
        faults = self.hub.faults
        end = len(body)
        is_cut = 0 < faults.cut_every < end and self.hub.take("cuts")
        is_stalled = 0 <= faults.stall_after < end and self.hub.take("stalls")
        stop = faults.cut_every if is_cut else faults.stall_after if is_stalled else end
        for piece in self._pace(body[:stop]):
            self.wfile.write(piece)
            self.hub.note_bytes(len(piece))
        if is_stalled:
            self.hub.is_closing.wait(60)
        if is_cut or is_stalled:
            self._hang_up(is_reset=faults.reset)

    def _pace(self, body: memoryview) -> Iterator[memoryview]:
        for begin in range(0, len(body), _CHUNK):
            piece = body[begin : begin + _CHUNK]
            yield piece
            speed = self.hub.faults.bytes_per_s
            if speed and self.hub.is_closing.wait(len(piece) / speed):
                return

    def _hang_up(self, *, is_reset: bool) -> None:
        self.wfile.flush()
        self.close_connection = True
        if is_reset:
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.connection.close()
        else:
            with contextlib.suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)


def _suits(repo: Repo, query: dict[str, list[str]]) -> bool:
    """Whether a listing has a repository: as the hub sorts them out."""
    if repo.private:
        return False
    words = query.get("search", [""])[0].lower().split()
    if not all(word in repo.id.lower() for word in words):
        return False
    if "author" in query and query["author"][0].lower() != repo.id.partition("/")[0].lower():
        return False
    if "pipeline_tag" in query and query["pipeline_tag"][0] != repo.pipeline:
        return False
    if not {"gguf", *repo.tags} >= set(query.get("filter", ())):
        return False
    n_params = (repo.gguf or {}).get("total", 0)
    for bound in query.get("num_parameters", [""])[0].split(","):
        name, _, size = bound.partition(":")
        billions = float(size.removesuffix("B") or 0)
        if name == "min" and n_params < billions * 1e9:
            return False
        if name == "max" and n_params > billions * 1e9:
            return False
    return True


def wait_for(condition: Any, timeout_s: float = 10.0) -> None:
    """Wait until `condition()` is true; fails the test when it never is."""
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)
