"""Whether a GGUF file is a language model of ours: kind, architecture, parts, deadly numbers."""

import struct
from pathlib import Path

import pytest

from inglenook.base.errors import ModelError
from inglenook.models.inspection import inspect_model
from support.gguf_bytes import F32, U16, U64, Raw, Tensor, make_gguf, make_keys

NAME = "little"


def write(folder: Path, data: bytes, name: str = "model.gguf") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def refuse(path: Path) -> ModelError:
    with pytest.raises(ModelError) as caught:
        inspect_model(path)
    assert caught.value.message.endswith(".")
    assert caught.value.hint.endswith(".")
    return caught.value


def u16(value: int) -> Raw:
    return Raw(U16, struct.pack("<H", value))


def write_parts(folder: Path, count: int = 3, *, told: int | None = None) -> list[Path]:
    """A model in `count` parts of one tensor each; `told` is the sum that the first one tells."""
    paths = []
    for index in range(count):
        keys = make_keys() if index == 0 else []
        keys += [("split.no", u16(index)), ("split.count", u16(count))]
        keys += [("split.tensors.count", Raw(5, struct.pack("<i", told or count)))]
        name = f"{NAME}-{index + 1:05d}-of-{count:05d}.gguf"
        paths.append(write(folder, make_gguf(keys, [Tensor(f"t{index}", (8,))]), name))
    return paths


def test_a_whole_model(tmp_path: Path) -> None:
    path = write(tmp_path, make_gguf())
    inspection = inspect_model(path)
    assert inspection.paths == (path,)
    assert inspection.size_bytes == path.stat().st_size
    assert inspection.n_params == 16


def test_A11_architecture_of_tomorrow(tmp_path: Path) -> None:
    error = refuse(write(tmp_path, make_gguf(make_keys("foo9000"))))
    assert error.code == "unsupported_architecture"
    assert "foo9000" in error.message
    assert "newer engine" in error.message
    assert "Update Inglenook" in error.hint


def test_A11_hostile_architecture_name_is_shown_harmless(tmp_path: Path) -> None:
    error = refuse(write(tmp_path, make_gguf(make_keys("\x1b[2J" + "x" * 500))))
    assert error.message.isprintable()
    assert len(error.message) < 250


@pytest.mark.parametrize(
    ("keys", "what"),
    [
        (make_keys("clip"), "mmproj"),
        (make_keys("bert"), "embedding"),
        (make_keys(general__type="adapter"), "LoRA"),
        (make_keys("whisper"), "speech"),
    ],
)
def test_A04_other_kinds_of_gguf(tmp_path: Path, keys: list[tuple[str, object]], what: str) -> None:
    error = refuse(write(tmp_path, make_gguf(keys)))
    assert error.code == "not_a_language_model"
    assert what in error.message


def test_A04_a_vocabulary_has_no_weights(tmp_path: Path) -> None:
    assert refuse(write(tmp_path, make_gguf(tensors=()))).code == "bad_header"


def test_A04_twenty_four_bytes(tmp_path: Path) -> None:
    data = make_gguf([], ())
    assert len(data) == 24
    assert refuse(write(tmp_path, data)).code == "bad_header"


BAD_NUMBERS: dict[str, dict[str, object]] = {
    "no layers": {"llama.block_count": 0},
    "too many layers": {"llama.block_count": 100_000},
    "no width": {"llama.embedding_length": 0},
    "no context": {"llama.context_length": 0},
    "no heads": {"llama.attention.head_count": 0},
    "heads that do not share": {"llama.attention.head_count_kv": 3},
    "epsilon below zero": {"llama.attention.layer_norm_rms_epsilon": -1.0},
    "epsilon is no number": {"llama.attention.layer_norm_rms_epsilon": float("nan")},
    "endless rope": {"llama.rope.freq_base": float("inf")},
}


@pytest.mark.parametrize("case", BAD_NUMBERS)
def test_A07_numbers_that_would_end_the_engine(tmp_path: Path, case: str) -> None:
    data = make_gguf(make_keys(changes=BAD_NUMBERS[case]))
    error = refuse(write(tmp_path, data))
    assert error.code == "bad_header"
    assert "damaged" in error.message


def test_numbers_of_other_types_are_no_reason_to_refuse(tmp_path: Path) -> None:
    keys = make_keys(
        changes={
            "llama.context_length": Raw(U64, struct.pack("<Q", 4096)),
            "llama.rope.freq_base": Raw(F32, struct.pack("<f", 1e6)),
        }
    )
    assert inspect_model(write(tmp_path, make_gguf(keys))).header.n_ctx_train == 4096


def test_A12_all_parts_are_one_model(tmp_path: Path) -> None:
    paths = write_parts(tmp_path)
    inspection = inspect_model(paths[0])
    assert inspection.paths == tuple(paths)
    assert inspection.size_bytes == sum(path.stat().st_size for path in paths)
    assert inspection.n_params == 24


def test_A12_missing_part_is_named(tmp_path: Path) -> None:
    paths = write_parts(tmp_path)
    paths[1].unlink()
    error = refuse(paths[0])
    assert error.code == "missing_part"
    assert error.message == f"Part 2 of 3 is missing: {paths[1].name}."


def test_A12_a_later_part_points_to_the_first(tmp_path: Path) -> None:
    paths = write_parts(tmp_path)
    error = refuse(paths[2])
    assert error.code == "not_first_part"
    assert paths[0].name in error.hint


def test_A12_duplicated_and_renamed_parts(tmp_path: Path) -> None:
    paths = write_parts(tmp_path)
    paths[2].write_bytes(paths[1].read_bytes())
    assert refuse(paths[0]).code == "wrong_part"
    renamed = paths[0].rename(tmp_path / "renamed.gguf")
    error = refuse(renamed)
    assert error.code == "wrong_part"
    assert "original names" in error.hint


def test_A12_parts_of_another_model(tmp_path: Path) -> None:
    paths = write_parts(tmp_path, told=4)
    assert refuse(paths[0]).code == "wrong_part"


def test_A12_damaged_part_is_named(tmp_path: Path) -> None:
    paths = write_parts(tmp_path)
    paths[1].write_bytes(paths[1].read_bytes()[:-8])
    error = refuse(paths[0])
    assert error.code == "truncated"
    assert paths[1].name in error.message


def test_a_name_can_stand_for_the_path(tmp_path: Path) -> None:
    path = write(tmp_path, b"<html>", ".abc.part")
    with pytest.raises(ModelError, match=r"^model\.gguf is a web page"):
        inspect_model(path, "model.gguf")
