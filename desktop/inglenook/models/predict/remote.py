"""Reads the header of a model on the hub by byte ranges, before any of it is downloaded.

Called through `chat/forecasts.py` on worker threads; every byte goes through the one network door.
A header is mostly its vocabulary, which nothing here depends on: lists of numbers are jumped over,
lists of words must be gone through. Files of one repository share it, so of a second one only the
beginning and the table of its weights are read, and both are checked. Shapes are kept in the cache
folder by what the hub says the content is.
"""

import contextlib
import hashlib
import logging
import struct
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from inglenook.base.errors import ModelError, NetworkError
from inglenook.base.network import Network, Sockets
from inglenook.models.gguf import GgufHeader, parse_beginning, parse_header, parse_table
from inglenook.models.hub_errors import explain_transport
from inglenook.models.hub_files import HubFile, HubPart
from inglenook.models.predict.learned import write_json
from inglenook.models.predict.shape import ModelShape, read_shape, sketch_shape
from inglenook.models.route import ChangedError, Located, PassingError, Route

if TYPE_CHECKING:
    import httpx2

log = logging.getLogger(__name__)

MOST_BYTES: Final = 12_000_000
"""So much is read of one file at most; one in a hundred of a larger one."""
_SHARE: Final = 0.01
_FIRST_BYTES: Final = 64 * 1024
_MOST_AT_ONCE: Final = 512 * 1024
_AROUND_BYTES: Final = 8 * 1024
"""How far the table of a second file may lie from where it lies in the first."""
_TABLE_ENTRY_BYTES: Final = 128
_TRIES: Final = 2
_WORD_BYTES: Final = 56
"""What a header usually spends on each word of a vocabulary, merges and all."""
_PURPOSE: Final = "read the header of a model"
_MAX_KEPT: Final = 200
_HEAD: Final = struct.Struct("<4sIQQ")
_U64: Final = struct.Struct("<Q")

type Locate = Callable[[HubFile, HubPart], Located]


class RemoteSource:
    """Bytes of a file on the hub, asked for in pieces that grow as more is wanted."""

    def __init__(
        self, route: Route, client: "httpx2.Client", size_bytes: int, most_bytes: int
    ) -> None:
        self.size = size_bytes
        self.n_fetched = 0
        self._route = route
        self._client = client
        self._most = most_bytes
        self._next = _FIRST_BYTES

    def read(self, position: int, least: int) -> bytes:
        """At least so many bytes from a position; raises `NetworkError`."""
        wanted = max(least, min(self._next, self.size - position))
        if self.n_fetched + wanted > self._most:
            wanted = max(least, self._most - self.n_fetched)
        if wanted <= 0 or self.n_fetched + wanted > self._most:
            raise NetworkError(
                "The header of this file is too long to be read before a download.",
                code="too_long",
            )
        self._next = min(_MOST_AT_ONCE, self._next * 2)
        return self._fetch(position, position + wanted)

    def _fetch(self, begin: int, end: int) -> bytes:
        import httpx2

        for left in reversed(range(_TRIES)):
            try:
                with contextlib.ExitStack() as stack:
                    response = self._route.open(stack, self._client, (begin, end))
                    return self._take(response, end - begin)
            except PassingError as passing:
                if not left or passing.is_odd:
                    raise passing.told from passing
                self._route.forget()
            except ChangedError as error:
                raise NetworkError(
                    "The file on the hub has changed meanwhile.",
                    "Look at the list of its files again.",
                    code="changed",
                ) from error
            except (httpx2.TransportError, httpx2.DecodingError) as error:
                if not left:
                    raise explain_transport(error, "the hub") from error
                self._route.forget()
        raise AssertionError

    def _take(self, response: "httpx2.Response", wanted: int) -> bytes:
        """The body, and not a byte more than was asked for."""
        parts: list[bytes] = []
        n_bytes = 0
        for chunk in response.iter_raw():
            parts.append(chunk)
            n_bytes += len(chunk)
            self.n_fetched += len(chunk)
            if n_bytes > wanted:
                raise self._route.refuse_body(response, "more than was asked for")
        if n_bytes < wanted:
            raise self._route.refuse_body(response, "less than was asked for")
        return b"".join(parts)


class RemoteShapes:
    """The shapes of models on the hub. Thread-safe; two that ask for one file wait for one look."""

    def __init__(self, network: Network, locate: Locate, folder: Path) -> None:
        self._network = network
        self._locate = locate
        self._folder = folder
        self._lock = threading.Lock()
        self._sockets = Sockets()
        self._twins: dict[tuple[str, str], GgufHeader] = {}
        self.n_fetched = 0
        """Bytes that were read of files so far."""

    def stop(self) -> None:
        """End what is being read at once; it fails as a broken connection."""
        self._sockets.shut_down()

    def find_kept(self, file: HubFile) -> ModelShape | None:
        """What an earlier look found; asks nobody."""
        path = self._name_kept(file)
        try:
            return msgspec.json.decode(path.read_bytes(), type=ModelShape)
        except (OSError, msgspec.MsgspecError):
            return None

    def read(self, file: HubFile) -> ModelShape:
        """The shape of a file, or of all parts of a split one.

        Raises `NetworkError` (the codes of `hub_errors`, too_long) and `ModelError` for what is no
        model that could be understood.
        """
        kept = self.find_kept(file)
        if kept is not None:
            return kept
        with self._lock:
            kept = self.find_kept(file)
            if kept is None:
                kept = self._read_now(file)
                self._keep(file, kept)
            return kept

    def _read_now(self, file: HubFile) -> ModelShape:
        self._network.check()
        with self._network.client(_PURPOSE, sockets=self._sockets) as client:
            shape = self._sketch(file, client, is_needed=False)
            try:
                if shape is None:
                    headers = [self._read_part(file, part, client) for part in file.parts]
                    shape = read_shape(headers, file.size_bytes)
            except NetworkError as error:
                if error.code != "too_long":
                    raise
                shape = self._sketch(file, client, is_needed=True)
        if shape is None:
            raise ModelError(
                "The header of this file does not say how the model is built.", code="bad_header"
            )
        return shape

    def _sketch(
        self, file: HubFile, client: "httpx2.Client", *, is_needed: bool
    ) -> ModelShape | None:
        """The shape by the entries at a header's beginning.

        None where the vocabulary is small enough for the table of weights behind it to be read,
        unless that failed and this `is_needed`.
        """
        part = file.parts[0]
        if (file.repo, file.revision) in self._twins and not is_needed:
            return None
        route = Route(lambda: self._locate(file, part), part)
        source = RemoteSource(route, client, part.size_bytes, 2 * _FIRST_BYTES)
        try:
            values, lengths = parse_beginning(source, part.path.rpartition("/")[2])
        finally:
            self.n_fetched += source.n_fetched
        n_vocab = lengths.get("tokenizer.ggml.tokens", 0)
        most = max(MOST_BYTES, round(part.size_bytes * _SHARE))
        if n_vocab * _WORD_BYTES <= most and not is_needed:
            return None
        return sketch_shape(values, lengths, file.size_bytes, file.quantisation)

    def _read_part(self, file: HubFile, part: HubPart, client: "httpx2.Client") -> GgufHeader:
        name = part.path.rpartition("/")[2]
        most = max(MOST_BYTES, round(part.size_bytes * _SHARE))
        source = RemoteSource(
            Route(lambda: self._locate(file, part), part), client, part.size_bytes, most
        )
        twin = self._twins.get((file.repo, file.revision)) if len(file.parts) == 1 else None
        try:
            header = self._read_like(source, name, twin) if twin is not None else None
            if header is None:
                header = parse_header(source, name)
        finally:
            self.n_fetched += source.n_fetched
            log.debug("%d bytes of a header were read", source.n_fetched)
        self._twins[file.repo, file.revision] = header
        return header

    def _read_like(self, source: RemoteSource, name: str, twin: GgufHeader) -> GgufHeader | None:
        """The header of a file that has the same vocabulary; None where it is another model."""
        first = twin.tensors[0].name.encode() if twin.tensors else b""
        most_bytes = twin.n_tensors * _TABLE_ENTRY_BYTES + 2 * _AROUND_BYTES
        if not first or most_bytes > MOST_BYTES // 2 or source.size <= twin.table_at + most_bytes:
            return None
        magic, version, n_tensors, _ = _HEAD.unpack(source.read(0, _HEAD.size)[: _HEAD.size])
        if (magic, version, n_tensors) != (b"GGUF", twin.version, twin.n_tensors):
            return None
        begin = max(0, twin.table_at - _AROUND_BYTES)
        window = _Window(source, begin, source.read(begin, most_bytes))
        place = window.data.find(_U64.pack(len(first)) + first)
        if place < 0:
            return None
        try:
            tensors, needs_bytes = parse_table(window, name, begin + place, n_tensors)
        except ModelError:
            return None
        if [(t.name, t.shape) for t in tensors] != [(t.name, t.shape) for t in twin.tensors]:
            return None
        if not 0 <= source.size - needs_bytes <= _AROUND_BYTES:
            return None
        return replace(
            twin, tensors=tensors, size_bytes=source.size, needs_bytes=needs_bytes,
            table_at=begin + place,
        )  # fmt: skip

    def _name_kept(self, file: HubFile) -> Path:
        what = [(part.path, part.sha256 or part.git_sha1, part.size_bytes) for part in file.parts]
        key = repr((file.repo, file.revision, what))
        return self._folder / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.json"

    def _keep(self, file: HubFile, shape: ModelShape) -> None:
        write_json(self._name_kept(file), shape)
        with contextlib.suppress(OSError):
            kept = sorted(self._folder.glob("*.json"), key=lambda path: path.stat().st_mtime)
            for path in kept[:-_MAX_KEPT]:
                path.unlink()


class _Window:
    """A piece of a remote file that is here already, as a source."""

    def __init__(self, source: RemoteSource, begin: int, data: bytes) -> None:
        self.size = source.size
        self._source = source
        self._begin = begin
        self.data = data

    def read(self, position: int, least: int) -> bytes:
        """From what is here, else from the hub."""
        offset = position - self._begin
        if offset >= 0 and offset + least <= len(self.data):
            return self.data[offset:]
        return self._source.read(position, least)
