"""The header reader: every way in which a file can be wrong ends in one sentence with a code."""

import os
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inglenook.base.errors import ModelError
from inglenook.base.paths import find_asset
from inglenook.models.gguf import read_header
from support.gguf_bytes import (
    ARRAY,
    STRING,
    U8,
    U64,
    Raw,
    Tensor,
    make_gguf,
    make_keys,
    pack_string,
)

HUGE = 1 << 63
ENDLESS = (1 << 64) - 1


def write(folder: Path, data: bytes, name: str = "model.gguf") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def refuse(path: Path) -> ModelError:
    with pytest.raises(ModelError) as caught:
        read_header(path)
    assert caught.value.message.endswith(".")
    assert caught.value.hint.endswith(".")
    assert caught.value.message.isprintable()
    assert caught.value.code
    return caught.value


def test_reads_what_a_model_says_of_itself(tmp_path: Path) -> None:
    header = read_header(write(tmp_path, make_gguf()))
    assert header.architecture == "llama"
    assert header.name == "Little Model"
    assert header.quantisation == "Q8_0"
    assert header.licence == "mit"
    assert header.n_params == 16
    assert header.n_tensors == 2
    assert header.n_ctx_train == 2048
    assert header.n_layers == 2
    assert header.n_vocab == 3
    assert header.has_chat_template
    assert header.kv_bytes_per_token == 2 * 2 * (16 + 16) * 2
    assert header.needs_bytes == header.size_bytes


def test_reads_the_built_in_model() -> None:
    path = find_asset("assets", "guide.gguf")
    header = read_header(path)
    assert header.architecture == "llama"
    assert header.has_chat_template
    assert header.needs_bytes <= header.size_bytes == path.stat().st_size


def test_old_and_new_versions_of_the_format_are_read(tmp_path: Path) -> None:
    for version in (2, 3):
        assert read_header(write(tmp_path, make_gguf(version=version))).version == version


def test_quantisation_is_the_commonest_type_where_the_file_does_not_say(tmp_path: Path) -> None:
    tensors = [Tensor("a", (256, 4), 12, n_bytes=144 * 4), Tensor("b", (4,))]
    data = make_gguf(make_keys(general__file_type=None), tensors)
    assert read_header(write(tmp_path, data)).quantisation == "Q4_K"


def test_heads_that_differ_by_layer(tmp_path: Path) -> None:
    keys = make_keys(changes={"llama.attention.head_count_kv": [1, 3]})
    assert read_header(write(tmp_path, make_gguf(keys))).kv_bytes_per_token == 4 * 32 * 2


def test_other_alignment(tmp_path: Path) -> None:
    keys = make_keys(general__alignment=64)
    header = read_header(write(tmp_path, make_gguf(keys, alignment=64)))
    assert header.n_tensors == 2


BAD_STRUCTURE: dict[str, tuple[bytes, str]] = {
    "wrong magic": (make_gguf(magic=b"FOOF"), "not_gguf"),
    "version 0": (make_gguf(version=0), "unsupported_version"),
    "version 1": (make_gguf(version=1), "unsupported_version"),
    "version 4": (make_gguf(version=4), "unsupported_version"),
    "endless tensors": (make_gguf(n_tensors=ENDLESS), "bad_header"),
    "endless entries": (make_gguf(n_keys=ENDLESS), "bad_header"),
    "one tensor too many": (make_gguf(n_tensors=70_000), "truncated"),
    "key of endless length": (
        make_gguf([], n_keys=1, tensors=()) + struct.pack("<Q", ENDLESS) + bytes(64),
        "bad_header",
    ),
    "empty key": (make_gguf([("", 1), *make_keys()]), "bad_header"),
    "key without end": (make_gguf([("k" * 300, 1), *make_keys()]), "bad_header"),
    "unknown value type": (make_gguf([("k", Raw(13, bytes(8))), *make_keys()]), "bad_header"),
    "value type beyond all": (
        make_gguf([("k", Raw(0xFFFFFFFF, bytes(8))), *make_keys()]),
        "bad_header",
    ),
    "unknown list type": (
        make_gguf([("k", Raw(ARRAY, struct.pack("<IQ", 99, 1) + bytes(8))), *make_keys()]),
        "bad_header",
    ),
    "list of lists": (
        make_gguf([("k", Raw(ARRAY, struct.pack("<IQ", ARRAY, 1) + bytes(32))), *make_keys()]),
        "bad_header",
    ),
    "string of endless length": (
        make_gguf([("k", Raw(STRING, struct.pack("<Q", HUGE) + b"x")), *make_keys()]),
        "bad_header",
    ),
    "list of endless length": (
        make_gguf([("k", Raw(ARRAY, struct.pack("<IQ", U8, ENDLESS))), *make_keys()]),
        "truncated",
    ),
    "string list of endless length": (
        make_gguf([("k", Raw(ARRAY, struct.pack("<IQ", STRING, ENDLESS))), *make_keys()]),
        "bad_header",
    ),
    "same key twice": (make_gguf([*make_keys(), ("general.name", "again")]), "bad_header"),
    "alignment 0": (make_gguf(make_keys(general__alignment=0)), "bad_header"),
    "alignment 13": (make_gguf(make_keys(general__alignment=13)), "bad_header"),
    "alignment of another type": (
        make_gguf(make_keys(general__alignment=Raw(U64, struct.pack("<Q", 32)))),
        "bad_header",
    ),
    "alignment as text": (make_gguf(make_keys(general__alignment="32")), "bad_header"),
    "tensor name too long": (make_gguf(tensors=[Tensor("t" * 64)]), "bad_header"),
    "five dimensions": (make_gguf(tensors=[Tensor("a", (1, 1, 1, 1, 1))]), "bad_header"),
    "endless dimensions": (
        make_gguf(tensors=[Tensor("a", (4,), n_dims=0xFFFFFFFF)]),
        "bad_header",
    ),
    "negative dimension": (make_gguf(tensors=[Tensor("a", (ENDLESS,), n_bytes=4)]), "bad_header"),
    "elements overflow": (
        make_gguf(tensors=[Tensor("a", (1 << 32, 1 << 32), n_bytes=4)]),
        "bad_header",
    ),
    "bytes overflow": (
        make_gguf(tensors=[Tensor("a", (1 << 61, 2), n_bytes=4)]),
        "bad_header",
    ),
    "padding wraps": (
        make_gguf(tensors=[Tensor("a", (4, (1 << 30) - 1, (1 << 30) + 1), n_bytes=4)]),
        "bad_header",
    ),
    "sizes add up beyond all": (
        make_gguf(
            tensors=[
                Tensor("a", (HUGE - 64,), 24, n_bytes=HUGE - 64),
                Tensor("b", (HUGE - 64,), 24, n_bytes=64),
            ],
            data=bytes(64),
        ),
        "bad_header",
    ),
    "unknown tensor type": (make_gguf(tensors=[Tensor("a", kind=4711)]), "bad_header"),
    "tensor type of tomorrow": (make_gguf(tensors=[Tensor("a", kind=77)]), "unsupported_version"),
    "removed tensor type": (make_gguf(tensors=[Tensor("a", kind=31)]), "unsupported_version"),
    "row shorter than a block": (
        make_gguf(tensors=[Tensor("a", (31,), 2, n_bytes=18)]),
        "bad_header",
    ),
    "wrong offset": (make_gguf(tensors=[Tensor("a", offset=32)]), "bad_header"),
    "offset off by one": (make_gguf(tensors=[Tensor("a", offset=1)]), "bad_header"),
    "same tensor twice": (make_gguf(tensors=[Tensor("a"), Tensor("a")]), "bad_header"),
    "offsets of another alignment": (
        make_gguf(make_keys(general__alignment=128), alignment=32),
        "bad_header",
    ),
    "data missing": (make_gguf(data=b""), "truncated"),
    "data one byte short": (make_gguf()[:-1], "truncated"),
}


@pytest.mark.parametrize("case", BAD_STRUCTURE)
def test_A02_bad_structure_is_refused(tmp_path: Path, case: str) -> None:
    data, code = BAD_STRUCTURE[case]
    assert refuse(write(tmp_path, data)).code == code


def test_A03_missing_data_is_told_in_sizes(tmp_path: Path) -> None:
    tensors = [Tensor("a", (1_000_000,))]
    whole = make_gguf(tensors=tensors, data=bytes(4_000_000))
    error = refuse(write(tmp_path, whole[:-1_000_000]))
    assert error.code == "truncated"
    assert "it has 3.0 MB and needs 4.0 MB" in error.message


def test_A03_sizes_that_round_alike_are_told_in_bytes(tmp_path: Path) -> None:
    whole = make_gguf(tensors=[Tensor("a", (1_000_000,))], data=bytes(4_000_000))
    error = refuse(write(tmp_path, whole[:-1]))
    assert f"it has {len(whole) - 1:,} bytes and needs {len(whole):,} bytes" in error.message


def test_A03_every_truncation_is_refused(tmp_path: Path) -> None:
    whole = make_gguf()
    for length in [*range(0, len(whole), 7), len(whole) - 1]:
        error = refuse(write(tmp_path, whole[:length]))
        assert error.code == "truncated", length


def test_A03_a_header_cut_in_the_middle_says_so(tmp_path: Path) -> None:
    error = refuse(write(tmp_path, make_gguf()[:60]))
    assert "in the middle of its header" in error.message


KINDS = {
    "a web page": b"<!DOCTYPE html><html><body>404</body></html>",
    "a ZIP archive": b"PK\x03\x04" + bytes(60),
    "a safetensors file": struct.pack("<Q", 80) + b'{"__metadata__":{}}' + bytes(80),
    "a Python pickle": b"\x80\x04\x95" + bytes(40),
    "a model in the old GGML format": b"lmgg" + bytes(60),
    "a model in the old GGJT format": b"tjgg" + bytes(60),
    "a gzip archive": b"\x1f\x8b\x08" + bytes(60),
    "a Git LFS pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 5\n",
    "a JSON document": b'{"error": "not found"}',
    "a PDF document": b"%PDF-1.7 ...",
    "a program": b"\x7fELF" + bytes(60),
    "a picture": b"\x89PNG\r\n\x1a\n" + bytes(60),
    "a text file": b"Access denied.\n",
    "a file of zeros": bytes(4096),
    "a TAR archive": bytes([1]) * 257 + b"ustar" + bytes(250),
}


@pytest.mark.parametrize("kind", KINDS)
def test_A04_says_what_a_file_is_instead(tmp_path: Path, kind: str) -> None:
    path = write(tmp_path, KINDS[kind], "page.gguf")
    began = time.perf_counter()
    error = refuse(path)
    assert time.perf_counter() - began < 0.1
    assert error.code == "not_gguf"
    assert error.message.startswith("page.gguf is ")
    assert kind in error.message
    assert error.message.endswith(", not a model.")


def test_A04_sizes_of_nothing(tmp_path: Path) -> None:
    assert "is empty" in refuse(write(tmp_path, b"")).message
    assert refuse(write(tmp_path, b"GG")).code == "truncated"
    assert refuse(write(tmp_path, b"GGUF")).code == "truncated"
    assert refuse(write(tmp_path, make_gguf([], ())[:20])).code == "truncated"


def test_A04_noise_is_no_model(tmp_path: Path) -> None:
    error = refuse(write(tmp_path, bytes(range(128, 256)) * 8))
    assert error.code == "not_gguf"
    assert "is not a GGUF model file" in error.message


def test_A04_versions_and_byte_order_are_named(tmp_path: Path) -> None:
    assert "version 1" in refuse(write(tmp_path, make_gguf(version=1))).message
    assert "newer engine" in refuse(write(tmp_path, make_gguf(version=9))).message
    for data in (make_gguf(version=3 << 24), make_gguf(magic=b"FUGG")):
        error = refuse(write(tmp_path, data))
        assert error.code == "unsupported_version"
        assert "big-endian" in error.message


BOMBS = {
    "entries": make_gguf(n_keys=(1 << 31) - 1),
    "tensors": make_gguf(n_tensors=1 << 62),
    "strings": make_gguf([("k", Raw(ARRAY, struct.pack("<IQ", STRING, 10**9)))], n_keys=1),
    "numbers": make_gguf([("k", Raw(ARRAY, struct.pack("<IQ", U64, 1 << 61)))], n_keys=1),
    "string": make_gguf([("k", Raw(STRING, struct.pack("<Q", (1 << 63) - 1)))], n_keys=1),
    "name": make_gguf(tensors=(), n_tensors=1) + struct.pack("<Q", 1 << 40) + bytes(64),
}

PROBE = """
import resource, sys
limit = 400 * 1024 * 1024
from inglenook.base.errors import ModelError
from inglenook.models.gguf import read_header
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
for path in sys.argv[1:]:
    try:
        read_header(path)
    except ModelError as error:
        print(error.code)
    else:
        print("accepted")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no resource limits")
def test_A05_claims_of_size_cost_no_memory(tmp_path: Path) -> None:
    """Bombs, and files that are truly large: 90,000 entries' worth, 200,000 long strings."""
    words = pack_string("w" * 200) * 200_000
    vocabulary = Raw(ARRAY, struct.pack("<IQ", STRING, 200_000) + words)
    numbers = Raw(ARRAY, struct.pack("<IQ", U8, 1024) + bytes(1024))
    true = {
        "vocabulary": make_gguf(make_keys(tokenizer__ggml__tokens=vocabulary)),
        "entries-many": make_gguf(
            [*make_keys(), *((f"key.{i}", "v" * 500) for i in range(40_000))]
        ),
        "lists": make_gguf([*make_keys(), *((f"list.{i}", numbers) for i in range(20_000))]),
        "tensors-many": make_gguf(tensors=[Tensor(f"t{i}", (8,)) for i in range(60_000)]),
    }
    paths = [write(tmp_path, data, f"{name}.gguf") for name, data in (BOMBS | true).items()]
    done = subprocess.run(
        [sys.executable, "-c", PROBE, *map(str, paths)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    *codes, grown_kb = done.stdout.split()
    assert all(code in {"bad_header", "truncated"} for code in codes[: len(BOMBS)]), codes
    assert codes[len(BOMBS) :] == ["accepted"] * len(true)
    assert int(grown_kb) < 100_000


def test_A05_bombs_are_refused_at_once(tmp_path: Path) -> None:
    for name, data in BOMBS.items():
        path = write(tmp_path, data, f"{name}.gguf")
        began = time.perf_counter()
        refuse(path)
        assert time.perf_counter() - began < 0.1, name


def test_A13_folder_pipe_socket_device(tmp_path: Path) -> None:
    folder = tmp_path / "folder.gguf"
    folder.mkdir()
    error = refuse(folder)
    assert error.code == "not_a_file"
    assert "is a folder" in error.message
    if hasattr(os, "mkfifo"):
        pipe = tmp_path / "pipe.gguf"
        os.mkfifo(pipe)
        began = time.perf_counter()
        assert "is a pipe" in refuse(pipe).message
        assert time.perf_counter() - began < 0.5
        assert "is a device" in refuse(Path("/dev/zero")).message


def test_A13_links(tmp_path: Path) -> None:
    good = write(tmp_path, make_gguf(), "good.gguf")
    link = tmp_path / "link.gguf"
    link.symlink_to(good)
    assert read_header(link).architecture == "llama"
    dangling = tmp_path / "dangling.gguf"
    dangling.symlink_to(tmp_path / "nowhere.gguf")
    error = refuse(dangling)
    assert error.code == "missing"
    assert "link" in error.message
    loop = tmp_path / "loop.gguf"
    loop.symlink_to(loop)
    assert refuse(loop).code in {"not_a_file", "missing"}


def test_A13_no_permission_and_no_file(tmp_path: Path) -> None:
    assert refuse(tmp_path / "none.gguf").code == "missing"
    assert refuse(tmp_path / "none" / "deep.gguf").code == "missing"
    closed = write(tmp_path, make_gguf(), "closed.gguf")
    closed.chmod(0)
    if not os.access(closed, os.R_OK):
        assert refuse(closed).code == "no_permission"


def test_A13_names(tmp_path: Path) -> None:
    longest = "n" * (255 - len(".gguf")) + ".gguf"
    assert read_header(write(tmp_path, make_gguf(), longest)).architecture == "llama"
    assert refuse(tmp_path / ("n" * 300 + ".gguf")).code == "not_a_file"
    assert refuse(Path("a\0b.gguf")).code == "not_a_file"
    if sys.platform == "linux":
        odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/odd-\xff.gguf"))
        odd.write_bytes(make_gguf())
        error = refuse(odd)
        assert error.code == "bad_name"
        error.message.encode()


def test_names_in_sentences_stay_one_printable_line(tmp_path: Path) -> None:
    keys = [*make_keys(), ("evil\n\x1b[31m", 1), ("evil\n\x1b[31m", 1)]
    message = refuse(write(tmp_path, make_gguf(keys))).message
    assert message.isprintable()


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(st.tuples(st.integers(0, 700), st.integers(0, 255)), min_size=1, max_size=8),
    st.integers(0, 900),
)
def test_any_mutation_is_accepted_or_refused_with_a_sentence(
    tmp_path: Path, changes: list[tuple[int, int]], length: int
) -> None:
    data = bytearray(make_gguf())
    for place, value in changes:
        data[place % len(data)] = value
    path = write(tmp_path, bytes(data[: max(length, 1)]))
    try:
        header = read_header(path)
    except ModelError:
        refuse(path)
    else:
        assert header.needs_bytes <= header.size_bytes


def test_string_that_holds_everything_is_skipped_not_kept(tmp_path: Path) -> None:
    keys = make_keys(tokenizer__chat_template="t" * 2_000_000)
    header = read_header(write(tmp_path, make_gguf(keys)))
    assert header.has_chat_template
    assert len(header.chat_template) <= 65_536
