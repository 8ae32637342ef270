"""Headers of models on the hub: read by ranges, a small part of the file, and checked as any."""

import struct
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import pytest

from inglenook.base.errors import ModelError, NetworkError
from inglenook.base.network import Network
from inglenook.base.paths import Profile
from inglenook.engine.measuring.sample_gguf import SampleGguf, SampleShape, add_layer, add_shape
from inglenook.models.gguf import read_header
from inglenook.models.hub import Hub
from inglenook.models.hub_files import HubFile
from inglenook.models.predict import remote
from inglenook.models.predict.remote import MOST_BYTES, RemoteShapes
from inglenook.models.predict.shape import read_shape
from support.loopback_hub import Answer, LoopbackHub

REPO = "maker/Sample-GGUF"
N_WORDS = 40_000
SHAPE = SampleShape(4, 256, 512, 4, 2, 64, N_WORDS)


class Rig:
    """A hub with some files, and what reads their headers."""

    def __init__(self, loopback: LoopbackHub, profile: Profile) -> None:
        self.is_offline = False
        self.loopback = loopback
        self.network = Network(lambda: self.is_offline)
        self.hub = Hub(self.network, loopback.endpoint)
        self.folder = profile.cache / "shapes"
        self.shapes = self.make()

    def make(self) -> RemoteShapes:
        """As after a restart."""
        return RemoteShapes(self.network, self.hub.locate, self.folder)

    def list_files(self) -> dict[str, HubFile]:
        return {file.path: file for file in self.hub.find_files(REPO)}


@pytest.fixture
def rig(loopback: LoopbackHub, profile: Profile) -> Iterator[Rig]:
    made = Rig(loopback, profile)
    yield made
    made.hub.close()


def list_words() -> Iterator[bytes]:
    for i in range(N_WORDS):
        word = f"word{i}".encode()
        yield struct.pack("<Q", len(word)) + word


def write_model(path: Path, kind: str, *, n_layers: int = SHAPE.n_layers, note: str = "") -> bytes:
    """A model with a vocabulary of some size; `note` makes its header longer."""
    file = SampleGguf("llama")
    file.add_text("general.name", f"Sample {note}")
    add_shape(file, SHAPE)
    key = b"tokenizer.ggml.tokens"
    head = struct.pack("<Q", len(key)) + key + struct.pack("<IIQ", 9, 8, N_WORDS)
    file.add_raw(head + b"".join(list_words()))
    key = b"tokenizer.ggml.token_type"
    head = struct.pack("<Q", len(key)) + key + struct.pack("<IIQ", 9, 5, N_WORDS)
    file.add_raw(head + bytes(4 * N_WORDS))
    file.add_tensor("token_embd.weight", kind, SHAPE.n_embd, N_WORDS)
    file.add_tensor("output_norm.weight", "F32", SHAPE.n_embd)
    for i in range(n_layers):
        add_layer(file, SHAPE, i, kind)
    file.write(path)
    return path.read_bytes()


@pytest.fixture
def files(rig: Rig, tmp_path: Path) -> dict[str, bytes]:
    made = {
        f"sample-{kind}.gguf": write_model(tmp_path / f"{kind}.gguf", kind, note=kind)
        for kind in ("Q8_0", "Q4_0", "F16")
    }
    rig.loopback.add_repo(REPO, made)
    return made


def test_the_shape_is_that_of_the_file_and_costs_a_small_part_of_it(
    rig: Rig, files: dict[str, bytes], tmp_path: Path
) -> None:
    path = "sample-F16.gguf"
    found = rig.shapes.read(rig.list_files()[path])
    header = read_header(tmp_path / "F16.gguf", keeps_tensors=True)
    assert found == read_shape([header], len(files[path]))
    # The vocabulary's words must be gone through; no more than one piece is read too much.
    n_header = header.needs_bytes - sum(tensor.n_bytes for tensor in header.tensors)
    assert rig.shapes.n_fetched < n_header + 600_000
    assert rig.loopback.bytes_served == rig.shapes.n_fetched
    assert rig.shapes.n_fetched < MOST_BYTES


def test_a_second_file_of_the_repository_costs_next_to_nothing(
    rig: Rig, files: dict[str, bytes], tmp_path: Path
) -> None:
    wanted = rig.list_files()
    rig.shapes.read(wanted["sample-F16.gguf"])
    before = rig.shapes.n_fetched
    found = rig.shapes.read(wanted["sample-Q4_0.gguf"])
    assert rig.shapes.n_fetched - before < 200_000
    header = read_header(tmp_path / "Q4_0.gguf", keeps_tensors=True)
    assert found == read_shape([header], len(files["sample-Q4_0.gguf"]))


def test_another_model_in_the_repository_is_not_taken_for_its_neighbour(
    rig: Rig, files: dict[str, bytes], tmp_path: Path
) -> None:
    other = write_model(tmp_path / "other.gguf", "Q8_0", n_layers=2)
    rig.loopback.add_repo(REPO, {**files, "small-Q8_0.gguf": other})
    wanted = rig.list_files()
    rig.shapes.read(wanted["sample-F16.gguf"])
    found = rig.shapes.read(wanted["small-Q8_0.gguf"])
    header = read_header(tmp_path / "other.gguf", keeps_tensors=True)
    assert found == read_shape([header], len(other))


@pytest.mark.usefixtures("files")
def test_what_was_read_is_kept_over_a_restart(rig: Rig) -> None:
    file = rig.list_files()["sample-Q8_0.gguf"]
    found = rig.shapes.read(file)
    rig.is_offline = True
    assert rig.make().read(file) == found
    assert rig.make().find_kept(file) == found


@pytest.mark.usefixtures("files")
def test_offline_nothing_is_asked(rig: Rig) -> None:
    file = rig.list_files()["sample-Q8_0.gguf"]
    rig.is_offline = True
    n_requests = len(rig.loopback.list_requests())
    with pytest.raises(NetworkError) as caught:
        rig.shapes.read(file)
    assert caught.value.code == "offline"
    assert len(rig.loopback.list_requests()) == n_requests


@pytest.mark.usefixtures("files")
def test_a_server_that_ignores_ranges_is_told_from_its_first_answer(rig: Rig) -> None:
    file = rig.list_files()["sample-F16.gguf"]
    rig.loopback.faults.ignore_range = True
    with pytest.raises(NetworkError) as caught:
        rig.shapes.read(file)
    assert caught.value.code == "wrong_size"
    assert rig.shapes.n_fetched == 0


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.usefixtures("files")
def test_a_gated_file_says_so(rig: Rig, status: int) -> None:
    file = rig.list_files()["sample-Q8_0.gguf"]
    gate = Answer(status, {"X-Error-Code": "GatedRepo"})
    rig.loopback.faults.resolve = deque([gate, gate])
    with pytest.raises(NetworkError) as caught:
        rig.shapes.read(file)
    assert caught.value.code == "gated"


@pytest.mark.usefixtures("files")
def test_a_connection_that_breaks_once_is_taken_up_again(rig: Rig) -> None:
    file = rig.list_files()["sample-Q8_0.gguf"]
    rig.loopback.faults.cut_every, rig.loopback.faults.cuts = 10_000, 1
    assert rig.shapes.read(file).n_layers == SHAPE.n_layers


def test_of_a_huge_vocabulary_only_the_beginning_is_read(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write_model(tmp_path / "huge.gguf", "Q8_0")
    rig.loopback.add_repo(REPO, {"huge-Q8_0.gguf": data})
    monkeypatch.setattr(remote, "_WORD_BYTES", 10_000)
    found = rig.shapes.read(rig.list_files()["huge-Q8_0.gguf"])
    assert rig.shapes.n_fetched <= 128 * 1024
    header = read_header(tmp_path / "huge.gguf", keeps_tensors=True)
    exact = read_shape([header], len(data))
    assert exact is not None
    assert found.n_vocab == exact.n_vocab
    assert [layer.key_width for layer in found.layers] == [la.key_width for la in exact.layers]
    told, real = (
        sum(w.n_bytes for layer in shape.layers for w in layer.weights) for shape in (found, exact)
    )
    assert told == pytest.approx(real, rel=0.1)


def test_of_a_header_that_is_too_long_the_beginning_must_do(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write_model(tmp_path / "long.gguf", "Q8_0")
    rig.loopback.add_repo(REPO, {"long-Q8_0.gguf": data})
    monkeypatch.setattr(remote, "MOST_BYTES", 300_000)
    monkeypatch.setattr(remote, "_WORD_BYTES", 0)
    found = rig.shapes.read(rig.list_files()["long-Q8_0.gguf"])
    assert found.n_layers == SHAPE.n_layers
    assert rig.shapes.n_fetched <= max(300_000, 0.01 * len(data)) + 2 * 128 * 1024


@pytest.mark.parametrize(
    ("at", "wrong"),
    [(0, b"HTML"), (8, b"\xff" * 8), (24, b"\xff" * 8), (400, b"\xff" * 64)],
)
def test_a_hostile_header_is_refused_and_nothing_is_kept(
    rig: Rig, tmp_path: Path, at: int, wrong: bytes
) -> None:
    data = bytearray(write_model(tmp_path / "bad.gguf", "Q8_0"))
    data[at : at + len(wrong)] = wrong
    rig.loopback.add_repo(REPO, {"bad-Q8_0.gguf": bytes(data)})
    file = rig.list_files()["bad-Q8_0.gguf"]
    with pytest.raises((ModelError, NetworkError)) as caught:
        rig.shapes.read(file)
    assert caught.value.message.endswith(".")
    assert rig.shapes.find_kept(file) is None
