"""A02: the 27 classes of bad files that llama.cpp's own tests refuse, one case for each.

Named as in its `tests/test-gguf.cpp`, and refused before native code sees them: one plain sentence,
nothing but a `ModelError`, and memory that does not grow with what the file claims.
"""

import struct
import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pytest

from inglenook.base.errors import ModelError
from inglenook.models.gguf import read_header
from inglenook.models.inspection import inspect_model
from support.gguf_bytes import I32, Raw, Tensor, make_gguf, make_keys

ENDLESS: Final = (1 << 64) - 1
TYPE_COUNT: Final = 13
TENSOR_TYPE_COUNT: Final = 43
I8, I64 = 24, 27
MAX_BYTES: Final = 4 << 20
PLAIN: Final = (Tensor("my_tensor_0", (4, 3)), Tensor("my_tensor_1", (5,)))
LONG: Final = "my_tensor_0_with_a_very_long_name_which_is_longer_than_what_is_allowed_for_ggml"
NEAR_END: Final = (1 << 63) - 64


def align(value: Any) -> list[tuple[str, Any]]:
    """The header with an alignment of its own, last, as llama.cpp's tests write it."""
    return make_keys(general__alignment=value)


def one(*shape: int, kind: int = 0) -> bytes:
    """A file with one tensor, which claims a shape and brings 64 bytes."""
    return make_gguf(tensors=[Tensor("my_tensor_0", shape, kind, n_bytes=64)])


def key_of_endless_length() -> bytes:
    whole = make_gguf([("my_key_0", 1), *make_keys()])
    return whole.replace(struct.pack("<Q", 8) + b"my_key_0", struct.pack("<Q", ENDLESS), 1)


def tensors(*table: Tensor, keys: Sequence[tuple[str, Any]] | None = None, **more: Any) -> bytes:
    return make_gguf(keys, table, **more)


# The class, the file, the code of the refusal, and a word that the sentence holds.
CLASSES: Final[dict[str, tuple[bytes, str, str]]] = {
    "HEADER_BAD_MAGIC": (make_gguf(magic=b"FUGG"), "unsupported_version", "big-endian"),
    "HEADER_BAD_VERSION_0": (make_gguf(version=0), "unsupported_version", "version 0"),
    "HEADER_BAD_VERSION_1": (make_gguf(version=1), "unsupported_version", "version 1"),
    "HEADER_BAD_VERSION_FUTURE": (make_gguf(version=4), "unsupported_version", "newer engine"),
    "HEADER_BAD_N_TENSORS": (make_gguf(n_tensors=ENDLESS), "bad_header", "tensors"),
    "HEADER_BAD_N_KV": (make_gguf(n_keys=ENDLESS), "bad_header", "entries"),
    "KV_BAD_KEY_SIZE": (key_of_endless_length(), "bad_header", "claims an entry of"),
    "KV_EMPTY_KEY": (make_gguf([("", 1), *make_keys()]), "bad_header", "no usable name"),
    "KV_BAD_TYPE": (
        make_gguf([("my_key_0", Raw(TYPE_COUNT, b"\0")), *make_keys()]),
        "bad_header",
        "unknown type",
    ),
    "KV_DUPLICATE_KEY": (
        make_gguf([("my_key_0", 1), ("my_key_0", 2), *make_keys()]),
        "bad_header",
        "twice",
    ),
    "KV_BAD_ALIGN": (make_gguf(align(13), ()), "bad_header", "alignment"),
    "KV_WRONG_TYPE_ALIGN": (
        make_gguf(align(Raw(I32, struct.pack("<i", 32))), ()),
        "bad_header",
        "alignment",
    ),
    "TENSORS_BAD_NAME_SIZE": (tensors(Tensor(LONG)), "bad_header", "too long"),
    "TENSORS_BAD_N_DIMS": (tensors(Tensor("a", (4, 3), n_dims=5)), "bad_header", "5 dimensions"),
    "TENSORS_BAD_SHAPE": (one(ENDLESS, ENDLESS), "bad_header", "larger than any disk"),
    "TENSORS_NE_TOO_BIG": (
        one(4 * ((1 << 31) - 1), 4 * ((1 << 31) - 1)),
        "bad_header",
        "larger than any disk",
    ),
    "TENSORS_NBYTES_TOO_BIG": (one(1_533_916_891, 1_533_916_891, kind=I64), "bad_header", "disk"),
    "TENSORS_NBYTES_PAD_WRAP": (one(4, (1 << 30) - 1, (1 << 30) + 1), "bad_header", "disk"),
    "TENSORS_BAD_TYPE": (one(4, kind=TENSOR_TYPE_COUNT), "unsupported_version", "weights of type"),
    "TENSORS_BAD_OFFSET": (
        tensors(Tensor("a", offset=ENDLESS)),
        "bad_header",
        "not where it should be",
    ),
    "TENSORS_DUPLICATE_NAME": (tensors(Tensor("my_tensor"), Tensor("my_tensor")), "bad_header", ""),
    "TENSORS_BAD_ALIGN": (tensors(*PLAIN, keys=align(13), alignment=13), "bad_header", "alignment"),
    "TENSORS_INCONSISTENT_ALIGN": (
        tensors(*PLAIN, alignment=1),
        "bad_header",
        "not where it should be",
    ),
    "DATA_NOT_ENOUGH_DATA": (tensors(*PLAIN)[:-1], "truncated", "needs"),
    "DATA_BAD_ALIGN": (
        tensors(*PLAIN, keys=align(13), alignment=13, data=bytes(4096)),
        "bad_header",
        "alignment",
    ),
    "DATA_INCONSISTENT_ALIGN": (
        tensors(*PLAIN, alignment=1, data=bytes(4096)),
        "bad_header",
        "not where it should be",
    ),
    "DATA_MEM_SIZE_OVERFLOW": (
        tensors(
            Tensor("my_tensor_0", (NEAR_END,), I8, n_bytes=NEAR_END),
            Tensor("my_tensor_1", (NEAR_END,), I8, n_bytes=NEAR_END),
            data=bytes(32),
        ),
        "bad_header",
        "disk",
    ),
}


def write(folder: Path, data: bytes) -> Path:
    path = folder / "model.gguf"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("name", CLASSES)
def test_A02_must_refuse(tmp_path: Path, name: str) -> None:
    data, code, word = CLASSES[name]
    path = write(tmp_path, data)
    tracemalloc.start()
    try:
        for look in (read_header, inspect_model):
            with pytest.raises(ModelError) as caught:
                look(path)
            assert caught.value.code == code
            assert word in caught.value.message
            assert caught.value.message.startswith("model.gguf ")
            assert caught.value.message.endswith(".")
            assert caught.value.message.isprintable()
            assert caught.value.hint.endswith(".")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < MAX_BYTES


def test_A02_the_classes_are_all_there() -> None:
    assert len(CLASSES) == 27


# What llama.cpp's own tests accept, so that no refusal above is for another reason.
ACCEPTED: Final[dict[str, bytes]] = {
    "HEADER_EMPTY": make_gguf([], ()),
    "KV_SUCCESS": make_gguf(make_keys(), ()),
    "TENSORS_ZERO_DIM": tensors(Tensor("a", (4, 0), n_bytes=0), data=b""),
    "TENSORS_CUSTOM_ALIGN": tensors(*PLAIN, keys=align(1), alignment=1),
    "DATA_SUCCESS": tensors(*PLAIN),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_A02_what_is_well_formed_is_read(tmp_path: Path, name: str) -> None:
    assert read_header(write(tmp_path, ACCEPTED[name])).version == 3
