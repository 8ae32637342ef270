"""Proxies: of the system and chosen ones, HTTP and SOCKS."""

import contextlib
import socket
import socketserver
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from inglenook.base.errors import NetworkError, UsageError
from inglenook.base.network import Network
from inglenook.base.setting_forms import read_proxy
from support.loopback_hub import Answer, LoopbackHub
from support.models import Rig, make_model

REPO = "maker/Tiny-GGUF"
FILE = "tiny-Q8_0.gguf"
DATA = make_model(400_000)


@pytest.fixture(autouse=True)
def stock(loopback: LoopbackHub) -> None:
    loopback.add_repo(REPO, {FILE: DATA})


class Proxy(BaseHTTPRequestHandler):
    """Hands plain requests on, and refuses tunnels; writes down what it was asked for."""

    asked: list[str]

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Keep tests quiet."""

    def do_GET(self) -> None:
        self.asked.append(f"GET {self.path}")
        headers = {k: v for k, v in self.headers.items() if k.lower() != "connection"}
        host, _, port = self.headers["Host"].partition(":")
        with socket.create_connection((host, int(port))) as onward:
            path = "/" + self.path.split("/", 3)[3]
            lines = [f"GET {path} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items())]
            onward.sendall("\r\n".join([*lines, "Connection: close", "", ""]).encode())
            while data := onward.recv(65536):
                self.wfile.write(data)
        self.close_connection = True

    def do_CONNECT(self) -> None:
        self.asked.append(f"CONNECT {self.path}")
        self.send_error(403)


@pytest.fixture
def proxy() -> Iterator[tuple[str, list[str]]]:
    """The address of a proxy, and what it was asked for."""
    asked: list[str] = []
    handler = type("Handler", (Proxy,), {"asked": asked})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", asked
    server.shutdown()
    server.server_close()
    thread.join()


def test_the_systems_proxy_is_used(
    rig: Rig, proxy: tuple[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, asked = proxy
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("http_proxy", address)
    assert Path(rig.get(REPO).path).read_bytes() == DATA
    assert len(asked) == 3
    lines = rig.network.ledger()
    assert {line.proxy for line in lines} == {address.removeprefix("http://")}


def test_a_chosen_proxy_takes_everything_but_this_machine(
    loopback: LoopbackHub, proxy: tuple[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    import httpx2

    address, asked = proxy
    chosen = [address]
    network = Network(lambda: False, find_proxy=lambda: chosen[0])
    loopback.faults.api.append(Answer(200, {}, b"here"))
    with network.client("a test") as client:
        assert client.get(f"{loopback.endpoint}/api/x").text == "here"
        assert asked == []
        with pytest.raises(httpx2.TransportError):
            client.get("https://hub.example/x")
    assert asked == ["CONNECT hub.example:443"]
    assert [line.host for line in network.ledger()][1:] == ["hub.example"]
    monkeypatch.setenv("https_proxy", address)
    chosen[0] = "none"
    with network.client("a test") as client:
        monkeypatch.setattr(socket, "create_connection", _refuse)
        with pytest.raises(httpx2.TransportError):
            client.get("https://hub.example/x")
    assert len(asked) == 1


class SocksProxy(socketserver.StreamRequestHandler):
    """A SOCKS5 proxy (RFC 1928) that reaches this machine alone."""

    asked: list[str]

    def handle(self) -> None:
        _, n_methods = self.rfile.read(2)
        self.rfile.read(n_methods)
        self.wfile.write(b"\x05\x00")
        *_, kind = self.rfile.read(4)
        is_name = kind == 3
        host = self.rfile.read(self.rfile.read(1)[0] if is_name else 4)
        place = host.decode() if is_name else socket.inet_ntoa(host)
        port = int.from_bytes(self.rfile.read(2))
        self.asked.append(f"{place}:{port}")
        if is_name:
            self.wfile.write(b"\x05\x04\x00\x01" + bytes(6))
            return
        with socket.create_connection((place, port)) as onward:
            self.wfile.write(b"\x05\x00\x00\x01" + bytes(6))
            back = threading.Thread(target=self._send_on, args=(onward, self.connection))
            back.start()
            self._send_on(self.connection, onward)
            back.join()

    @staticmethod
    def _send_on(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)


@pytest.fixture
def socks() -> Iterator[tuple[str, list[str]]]:
    """The place of a SOCKS proxy, and where it was asked to connect to."""
    asked: list[str] = []
    handler = type("Handler", (SocksProxy,), {"asked": asked})
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield f"127.0.0.1:{server.server_address[1]}", asked
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("scheme", ["socks5", "socks5h"])
def test_a_file_comes_through_a_socks_proxy(
    rig: Rig, socks: tuple[str, list[str]], scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, asked = socks
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("all_proxy", f"{scheme}://{place}")
    assert Path(rig.get(REPO).path).read_bytes() == DATA
    assert asked
    assert {line.proxy for line in rig.network.ledger()} == {place}


def test_a_socks_proxy_resolves_names_itself(
    socks: tuple[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    import httpx2

    place, asked = socks
    network = Network(lambda: False, find_proxy=lambda: f"socks5://{place}")
    with network.client("a test") as client:
        find = socket.getaddrinfo
        monkeypatch.setattr(
            socket,
            "getaddrinfo",
            lambda host, *rest, **more: (
                _refuse() if host == "hub.example" else find(host, *rest, **more)
            ),
        )
        with pytest.raises(httpx2.TransportError):
            client.get("https://hub.example/x")
    assert asked == ["hub.example:443"]


def _refuse(*_: object, **__: object) -> socket.socket:
    raise OSError(101, "Network is unreachable")


@pytest.mark.parametrize(
    "address", ["socks4://127.0.0.1:9050", "ftp://x", "http://[::1", "nonsense"]
)
def test_a_proxy_that_cannot_be_used_is_told(
    loopback: LoopbackHub, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = Network(lambda: False, find_proxy=lambda: address)
    with pytest.raises(NetworkError) as caught:
        network.client("a test")
    assert caught.value.code == "proxy"


@pytest.mark.parametrize(
    "text", ["http://127.0.0.1:3128", "https://proxy.example", "socks5://[::1]:9050", "None"]
)
def test_a_proxys_address_can_be_set(text: str) -> None:
    assert read_proxy(f" {text} ") in {text, "none"}


@pytest.mark.parametrize("text", ["", "proxy", "socks4://127.0.0.1:1", "http://a/b", "http://[::1"])
def test_what_is_no_proxys_address_is_told(text: str) -> None:
    with pytest.raises(UsageError, match="no proxy that can be used"):
        read_proxy(text)
