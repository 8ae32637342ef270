"""Working offline: nothing leaves, everything else works (D09); the door and its ledger."""

import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from inglenook.base.errors import NetworkError
from inglenook.base.network import Network, NetworkUsed, is_loopback
from support.loopback_hub import Answer, LoopbackHub, wait_for
from support.models import Rig, make_model

REPO = "maker/Tiny-GGUF"
DATA = make_model(1_500_000)


@pytest.fixture(autouse=True)
def stock(loopback: LoopbackHub) -> None:
    loopback.add_repo(REPO, {"tiny-Q8_0.gguf": DATA})


def test_D09_the_switch_refuses_downloads_and_nothing_else(
    loopback: LoopbackHub, rig: Rig, tmp_path: Path
) -> None:
    rig.is_offline = True
    with pytest.raises(NetworkError) as caught:
        rig.downloads.start(REPO)
    assert caught.value.code == "offline"
    assert "Work offline" in caught.value.hint
    with pytest.raises(NetworkError):
        rig.hub.find_files(REPO)
    assert loopback.list_requests() == []
    assert rig.network.ledger() == ()
    path = tmp_path / "mine.gguf"
    path.write_bytes(DATA)
    assert rig.library.import_file(path).origin == "file"
    assert len(rig.library.list()) == 2


def test_D09_the_switch_stops_what_runs_and_keeps_it(loopback: LoopbackHub, rig: Rig) -> None:
    loopback.faults.bytes_per_s = 1_000_000
    download = rig.downloads.start(REPO)
    wait_for(lambda: rig.downloads.get(download).done_bytes > 200_000)
    rig.is_offline = True
    with pytest.raises(NetworkError) as caught:
        rig.downloads.wait(download, 5)
    assert caught.value.code == "offline"
    state = rig.downloads.get(download)
    assert state.phase == "paused"
    assert state.done_bytes > 200_000
    rig.is_offline = False
    loopback.faults.bytes_per_s = 0
    rig.downloads.resume(download)
    assert Path(rig.downloads.wait(download, 10).path).read_bytes() == DATA


def test_D09_without_a_network_nothing_waits(
    make_rig: Callable[..., Rig], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> socket.socket:
        raise OSError(101, "Network is unreachable")

    monkeypatch.setattr(socket, "create_connection", refuse)
    began = time.perf_counter()
    rig = make_rig()
    assert rig.library.list()[0].id == "builtin/guide"
    assert rig.library.find("guide").problem == ""
    assert time.perf_counter() - began < 1.0
    with pytest.raises(NetworkError) as caught:
        rig.get(REPO)
    assert caught.value.code == "unreachable"


def test_nothing_is_asked_before_a_person_asks(loopback: LoopbackHub, rig: Rig) -> None:
    rig.library.list()
    rig.downloads.list()
    rig.downloads.resume_interrupted()
    assert loopback.list_requests() == []


def test_the_ledger_holds_every_connection(loopback: LoopbackHub, rig: Rig) -> None:
    rig.get(REPO)
    lines = rig.network.ledger()
    api = loopback.endpoint.removeprefix("http://")
    store = loopback.store.removeprefix("http://")
    assert [(line.host, line.purpose) for line in lines] == [
        (api, "look up a model on the hub"),
        (api, "download a model"),
        (store, "download a model"),
    ]
    assert lines[2].n_bytes == len(DATA)
    assert lines[0].n_bytes > 100
    assert sum(line.n_requests for line in lines) == len(loopback.list_requests())
    assert len([e for e in rig.events if isinstance(e, NetworkUsed)]) == 3
    assert [line.time for line in lines] == sorted(line.time for line in lines)


def test_no_telemetry_and_no_side_questions(loopback: LoopbackHub, rig: Rig) -> None:
    rig.get(REPO)
    paths = [path for _, path, _ in loopback.list_requests("api")]
    assert len(paths) == 2
    assert paths[0] == f"/api/models/{REPO}?blobs=true"
    assert f"/{REPO}/resolve/" in paths[1]


def test_what_may_be_opened() -> None:
    network = Network(lambda: False)
    for fine in ("https://huggingface.co/x", "http://127.0.0.1:8/x", "http://[::1]/x",
                 "http://localhost:99/"):  # fmt: skip
        network.check_address(fine)
    for refused in ("http://huggingface.co/x", "http://127.0.0.1.evil.org/", "ftp://x/", "file:///x",
                    "http://localhost.evil.org/", "https:///x", "http://10.0.0.1/"):  # fmt: skip
        with pytest.raises(NetworkError) as caught:
            network.check_address(refused)
        assert caught.value.code == "not_https"


def test_loopback_names() -> None:
    assert is_loopback("127.0.0.1")
    assert is_loopback("127.8.8.8")
    assert is_loopback("::1")
    assert not is_loopback("127.0.0.1.nip.io")
    assert not is_loopback("0.0.0.0")
    assert not is_loopback("example.org")


def test_a_client_of_the_door_counts_and_refuses(loopback: LoopbackHub) -> None:
    network = Network(lambda: False)
    loopback.faults.api.extend([Answer(200, {}, b"x" * 1234), Answer(200, {}, b"y")])
    with network.client("a test") as client:
        client.get(f"{loopback.endpoint}/api/anything")
        client.get(f"{loopback.endpoint}/api/anything")
        with pytest.raises(NetworkError):
            client.get("http://example.org/")
    (line,) = network.ledger()
    assert (line.purpose, line.n_bytes, line.n_requests) == ("a test", 1235, 2)
