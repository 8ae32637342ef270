"""Odd answers of a store: each kind breaks one promise of HTTP, or keeps all and lies.

`LoopbackHub` gives them by name, one for each body: `hub.faults.oddities.extend(["cut", "flip"])`.
"""

import random
import socket
import struct
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from support.loopback_hub import _StoreHandler

type Oddity = Callable[["_StoreHandler", bytes, int, int, bool], None]


def _head(
    handler: "_StoreHandler",
    data: bytes,
    begin: int,
    end: int,
    is_part: bool,
    more: Mapping[str, str | None] | None = None,
) -> None:
    """The right head for a piece, but for `more`; a value of None leaves a line out."""
    headers: dict[str, str | None] = {"Content-Length": str(end - begin), "ETag": '"store"'}
    if is_part:
        headers["Content-Range"] = f"bytes {begin}-{end - 1}/{len(data)}"
    handler.send_response(206 if is_part else 200)
    for name, value in (headers | dict(more or {})).items():
        if value is not None:
            handler.send_header(name, value)
    handler.end_headers()


def _whole(change: Callable[[bytearray], object]) -> Oddity:
    """A piece whose head is right and whose bytes are not."""

    def send(h: "_StoreHandler", data: bytes, begin: int, end: int, is_part: bool) -> None:
        body = bytearray(data[begin:end])
        change(body)
        _head(h, data, begin, end, is_part)
        h.wfile.write(body)

    return send


def _with_head(**more: str | None) -> Oddity:
    """Right bytes below an odd head."""
    named = {name.replace("_", "-"): value for name, value in more.items()}

    def send(h: "_StoreHandler", data: bytes, begin: int, end: int, is_part: bool) -> None:
        _head(h, data, begin, end, is_part, named)
        h.wfile.write(data[begin:end])

    return send


def _refuse(status: int, headers: Mapping[str, str] | None = None, body: bytes = b"no") -> Oddity:
    def send(h: "_StoreHandler", data: bytes, begin: int, end: int, is_part: bool) -> None:
        from support.loopback_hub import Answer

        h.send_answer(Answer(status, dict(headers or {}), body))

    return send


def _cut(is_reset: bool) -> Oddity:
    def send(h: "_StoreHandler", data: bytes, begin: int, end: int, is_part: bool) -> None:
        _head(h, data, begin, end, is_part)
        h.wfile.write(data[begin : begin + random.randrange(end - begin)])
        h.wfile.flush()
        h.close_connection = True
        if is_reset:
            h.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        h.connection.close() if is_reset else h.connection.shutdown(socket.SHUT_RDWR)

    return send


def _chunked(change: Callable[[bytes], bytes]) -> Oddity:
    """No length is told, and what comes is of another one."""

    def send(h: "_StoreHandler", data: bytes, begin: int, end: int, is_part: bool) -> None:
        body = change(data[begin:end])
        _head(
            h, data, begin, end, is_part, {"Content-Length": None, "Transfer-Encoding": "chunked"}
        )
        h.wfile.write(b"%x\r\n%b\r\n" % (len(body), body) if body else b"")
        h.wfile.write(b"0\r\n\r\n")

    return send


def _drip(h: "_StoreHandler", data: bytes, begin: int, end: int, is_part: bool) -> None:
    _head(h, data, begin, end, is_part)
    for at in range(begin, min(end, begin + 40)):
        h.wfile.write(data[at : at + 1])
        h.wfile.flush()
        if h.hub.is_closing.wait(0.03):
            return
    h.close_connection = True


def _drip_head(h: "_StoreHandler", data: bytes, begin: int, end: int, is_part: bool) -> None:
    h.wfile.write(b"HTTP/1.1 200 OK\r\n")
    for number in range(25):
        h.wfile.write(b"X-%d: y\r\n" % number)
        h.wfile.flush()
        if h.hub.is_closing.wait(0.05):
            return
    h.close_connection = True


def _silence(h: "_StoreHandler", data: bytes, begin: int, end: int, is_part: bool) -> None:
    _head(h, data, begin, end, is_part)
    h.wfile.write(data[begin : (begin + end) // 2])
    h.wfile.flush()
    h.hub.is_closing.wait(1.0)
    h.close_connection = True


def _no_head(h: "_StoreHandler", data: bytes, begin: int, end: int, is_part: bool) -> None:
    h.wfile.write(random.randbytes(200))
    h.close_connection = True


def _shift(h: "_StoreHandler", data: bytes, begin: int, end: int, is_part: bool) -> None:
    """Bytes of another place below the head of the right one."""
    _head(h, data, begin, end, is_part)
    at = random.randrange(len(data))
    h.wfile.write((data[at:] + data[:at])[: end - begin])


def _ignore(h: "_StoreHandler", data: bytes, begin: int, end: int, is_part: bool) -> None:
    """The whole file, whatever was asked for."""
    _head(h, data, 0, len(data), False)
    h.wfile.write(data)


def _two_ranges(h: "_StoreHandler", data: bytes, begin: int, end: int, is_part: bool) -> None:
    """Two parts in one body, as for a list of ranges."""
    line = f"Content-Range: bytes {begin}-{end - 1}/{len(data)}"
    part = b"--x\r\n" + line.encode() + b"\r\n\r\n" + data[begin:end] + b"\r\n"
    body = part + part + b"--x--\r\n"
    kind = {"Content-Type": "multipart/byteranges; boundary=x", "Content-Length": str(len(body))}
    _head(h, data, begin, end, is_part, {**kind, "Content-Range": None})
    h.wfile.write(body)


def _send_on(location: str) -> Oddity:
    return _refuse(302, {"Location": location}, b"")


def _flip(body: bytearray) -> None:
    body[random.randrange(len(body))] ^= 1 << random.randrange(8)


def _zero(body: bytearray) -> None:
    at = random.randrange(len(body))
    body[at:] = bytes(len(body) - at)


KINDS: Final[dict[str, Oddity]] = {
    "flip": _whole(_flip),
    "zeros": _whole(_zero),
    "backwards": _whole(bytearray.reverse),
    "shift": _shift,
    "cut": _cut(is_reset=False),
    "reset": _cut(is_reset=True),
    "chunked_short": _chunked(lambda body: body[: len(body) // 2]),
    "chunked_long": _chunked(lambda body: body + b"more" * 100),
    "chunked_empty": _chunked(lambda _: b""),
    "chunked_other": _chunked(lambda body: b"<html>" * (len(body) // 12)),
    "drip": _drip,
    "drip_head": _drip_head,
    "silence": _silence,
    "no_head": _no_head,
    "ignore_range": _ignore,
    "two_ranges": _two_ranges,
    "wrong_range": _with_head(Content_Range="bytes 0-9/10"),
    "no_range": _with_head(Content_Range=None),
    "nonsense_range": _with_head(Content_Range="bytes all of it"),
    "other_tag": _with_head(ETag='"another version"'),
    "gzip": _with_head(Content_Encoding="gzip"),
    "html": _refuse(200, {"Content-Type": "text/html"}, b"<html>please sign in</html>"),
    "html_206": _with_head(Content_Type="text/html"),
    "empty": _refuse(200, {}, b""),
    "204": _refuse(204, {}, b""),
    "403": _refuse(403, {}, b"expired"),
    "404": _refuse(404, {}, b"gone"),
    "408": _refuse(408),
    "416": _refuse(416, {"Content-Range": "bytes */7"}),
    "429": _refuse(429, {"Retry-After": "0"}),
    "500": _refuse(500),
    "502": _refuse(502),
    "503": _refuse(503, {"Retry-After": "0"}),
    "to_http": _send_on("http://example.org/x"),
    "to_file": _send_on("file:///etc/passwd"),
    "to_itself": _send_on("/x?again"),
}
