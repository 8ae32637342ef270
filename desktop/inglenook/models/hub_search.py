"""Search of the hub for GGUF models: the question, one page of answers, and where the next begins.

Called by `hub.py` on worker threads. huggingface_hub's own `list_models` has no way to stop, no
timeout, no second page once its generator is gone, and tries five times where the hub is down; so
its parts are used instead: its headers, and `ModelInfo`, which reads what the hub answers.
Words are all that is sent, never a token.
"""

import threading
import time
from collections import OrderedDict
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import urlsplit

import msgspec

from inglenook.base.network import Limits, Network, Sockets
from inglenook.models.catalogue import Mark
from inglenook.models.hub_errors import explain, explain_status, read_wait_s
from inglenook.models.hub_summary import RepoSummary, read_item

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx2

__all__ = ["SORT_ORDERS", "Query", "RepoSummary", "Search", "SearchPage", "SortOrder"]

type SortOrder = Literal["trending", "downloads", "likes", "recent"]

SORT_ORDERS: Final[tuple[SortOrder, ...]] = ("trending", "downloads", "likes", "recent")
PAGE_LENGTH: Final = 50
_SORT_KEYS: Final = {
    "trending": "trendingScore",
    "downloads": "downloads",
    "likes": "likes",
    "recent": "lastModified",
}
_EXPANDED: Final = (
    "author",
    "downloads",
    "gated",
    "gguf",
    "lastModified",
    "likes",
    "pipeline_tag",
    "private",
    "tags",
    "trendingScore",
)
_LIMITS: Final = Limits(max_bytes=16_000_000, max_s=30.0)
_TIMEOUT_S: Final = 15.0
_PURPOSE: Final = "search the hub for models"
_FRESH_S: Final = 300.0
_MAX_KEPT: Final = 64
_MAX_WORDS: Final = 200
_UNSPECIFIC_WAIT_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for. `maker` is an owner on the hub, `licence` one of its identifiers.

    Parameters are counted in billions, 0.0 for no bound. `mark` is something the model must be
    able to do.
    """

    words: str = ""
    sort: SortOrder = "trending"
    min_billions: float = 0.0
    max_billions: float = 0.0
    licence: str = ""
    maker: str = ""
    mark: Mark | None = None


@dataclass(frozen=True, slots=True)
class SearchPage:
    """Some results. `following` is handed to the next `search`; "" where there is no more.

    `n_left_out` results cannot hold a conversation, do not fit the query or cannot be read.
    """

    results: tuple[RepoSummary, ...]
    following: str = ""
    n_left_out: int = 0


class Search:
    """Asks one page at a time; thread-safe. What was asked in the last minutes is not asked again.

    One connection is kept for the next question; `close` ends it.
    """

    def __init__(self, network: Network, endpoint: str) -> None:
        self._network = network
        self._endpoint = endpoint
        self._host = urlsplit(endpoint).hostname or endpoint
        self._lock = threading.Lock()
        self._idle: _Line | None = None
        self._busy: dict[int, _Line] = {}
        self._kept: OrderedDict[tuple[Query, str], tuple[float, SearchPage]] = OrderedDict()
        self._blocked_until_s = 0.0
        self._is_closed = False

    def ask(self, query: Query, following: str = "") -> SearchPage:
        """One page of results.

        Raises `NetworkError`: offline, timeout, unreachable, connection (also where `stop` ended
        it), rate_limited, hub_down, hub_answer, tls.
        """
        self._network.check()
        if (page := self._find_kept(query, following)) is not None:
            return page
        self._check_rate()
        page = self._fetch(query, following)
        with self._lock:
            self._kept[query, following] = (time.monotonic(), page)
            while len(self._kept) > _MAX_KEPT:
                self._kept.popitem(last=False)
        return page

    def stop(self) -> None:
        """End the questions under way at once; they fail as broken connections."""
        with self._lock:
            lines = list(self._busy.values())
        for line in lines:
            line.was_stopped = True
            line.sockets.shut_down()

    def close(self) -> None:
        """End all questions and the kept connection."""
        with self._lock:
            self._is_closed = True
            idle, self._idle = self._idle, None
        if idle is not None:
            idle.client.close()
        self.stop()

    def _find_kept(self, query: Query, following: str) -> SearchPage | None:
        with self._lock:
            known = self._kept.get((query, following))
        if known is None or time.monotonic() - known[0] > _FRESH_S:
            return None
        return known[1]

    def _check_rate(self) -> None:
        """Where the hub asked for patience, it is not asked: that would make it worse."""
        left_s = self._blocked_until_s - time.monotonic()
        if left_s > 0:
            raise explain_status(429, "", self._host, max(1.0, left_s))

    def _fetch(self, query: Query, following: str) -> SearchPage:
        import huggingface_hub.utils

        library: Any = huggingface_hub.utils
        headers = library.build_hf_headers(token=False, library_name="inglenook")
        address = following or f"{self._endpoint}/api/models"
        params = None if following else make_params(query)
        try:
            with self._open_line() as line:
                response = line.client.get(address, params=params, headers=headers)
            self._check_status(response)
            items = _decode(response.content)
            return read_page(items, query, self._find_following(response))
        except Exception as error:
            told = explain(error, self._host)
            if told is None:
                raise
            raise told from error

    def _check_status(self, response: "httpx2.Response") -> None:
        if response.status_code == 200:
            return
        wait_s = read_wait_s(response.headers)
        if response.status_code == 429:
            self._blocked_until_s = time.monotonic() + (wait_s or _UNSPECIFIC_WAIT_S)
        code = response.headers.get("X-Error-Code", "") or "none"
        raise explain_status(response.status_code, code, self._host, wait_s)

    def _find_following(self, response: "httpx2.Response") -> str:
        """The address of the next page; only the hub itself may be the one that has it."""
        try:
            address = str(response.links.get("next", {}).get("url", ""))
            is_ours = urlsplit(address)[:3] == urlsplit(f"{self._endpoint}/api/models")[:3]
        except ValueError:
            return ""
        return address if is_ours and len(address) < 4000 else ""

    @contextmanager
    def _open_line(self) -> "Iterator[_Line]":
        """The kept connection, or a new one; kept again where all went well."""
        with self._lock:
            line, self._idle = self._idle, None
            if line is None:
                line = _make_line(self._network)
            self._busy[id(line)] = line
        is_well = False
        try:
            yield line
            is_well = True
        finally:
            with self._lock:
                del self._busy[id(line)]
                is_kept = is_well and not line.was_stopped and not self._is_closed
                is_kept = is_kept and self._idle is None
                if is_kept:
                    self._idle = line
            if not is_kept:
                line.client.close()


def _decode(data: bytes) -> list[Any]:
    try:
        return msgspec.json.decode(data, type=list[Any])
    except RecursionError as error:
        raise ValueError("nested beyond reason") from error


@dataclass(slots=True)
class _Line:
    client: "httpx2.Client"
    sockets: Sockets = field(repr=False)
    was_stopped: bool = False


def _make_line(network: Network) -> _Line:
    sockets = Sockets()
    client = network.client(
        _PURPOSE,
        follow_redirects=True,
        read_timeout_s=_TIMEOUT_S,
        limits=_LIMITS,
        sockets=sockets,
    )
    return _Line(client, sockets)


def make_params(query: Query) -> list[tuple[str, str | int | float | bool | None]]:
    """The query as the hub's `GET /api/models` takes it."""
    params: list[tuple[str, str | int | float | bool | None]] = [("filter", "gguf")]
    if query.licence:
        params.append(("filter", f"license:{query.licence}"))
    if query.mark == "vision":
        params.append(("pipeline_tag", "image-text-to-text"))
    if query.maker:
        params.append(("author", query.maker))
    if words := " ".join(query.words.split())[:_MAX_WORDS]:
        params.append(("search", words))
    if bounds := describe_bounds(query):
        params.append(("num_parameters", bounds))
    params += [("sort", _SORT_KEYS[query.sort]), ("limit", PAGE_LENGTH)]
    params += [("expand", name) for name in _EXPANDED]
    return params


def describe_bounds(query: Query) -> str:
    """The bounds of size as the hub writes them: `min:4B,max:9B`."""
    bounds = []
    if query.min_billions:
        bounds.append(f"min:{query.min_billions:g}B")
    if query.max_billions:
        bounds.append(f"max:{query.max_billions:g}B")
    return ",".join(bounds)


def read_page(items: list[Any], query: Query, following: str) -> SearchPage:
    """What of the hub's answer can be used."""
    results: dict[str, RepoSummary] = {}
    for item in items:
        found = read_item(item)
        if found is not None and found.can_talk and _suits(found, query):
            results.setdefault(found.repo, found)
    return SearchPage(tuple(results.values()), following, len(items) - len(results))


def _suits(found: RepoSummary, query: Query) -> bool:
    """What the hub cannot sort out by itself."""
    if query.mark is not None and query.mark not in found.marks:
        return False
    billions = found.n_params / 1e9
    if not billions:
        return True
    is_too_small = bool(query.min_billions) and billions < query.min_billions * 0.98
    is_too_large = bool(query.max_billions) and billions > query.max_billions * 1.02
    return not is_too_small and not is_too_large
