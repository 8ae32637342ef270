"""The cheap look at a model file (A13) and the watch over it (A14)."""

import os
import struct
import time
from pathlib import Path

import pytest

from inglenook.base.errors import ModelError
from inglenook.engine.loading.modelfile import ModelFile

HEADER = struct.pack("<4sIQQ", b"GGUF", 3, 0, 0)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "m.gguf"
    path.write_bytes(HEADER + b"x" * 100)
    return path


def refuse(path: Path | str) -> str:
    started = time.monotonic()
    with pytest.raises(ModelError) as caught:
        ModelFile(str(path))
    assert time.monotonic() - started < 5
    assert caught.value.message
    return caught.value.code


def test_A13_fifo_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.gguf")
    assert refuse(tmp_path / "fifo.gguf") == "not_a_file"


def test_A13_what_is_no_file_is_refused(tmp_path: Path) -> None:
    assert refuse(tmp_path) == "not_a_file"
    assert refuse("/dev/null") == "not_a_file"
    assert refuse("/dev/zero") == "not_a_file"
    assert refuse("a\0b") == "not_a_file"
    assert refuse("") == "not_a_file"


def test_A13_links_that_lead_nowhere_or_round(tmp_path: Path) -> None:
    (tmp_path / "dangling.gguf").symlink_to(tmp_path / "gone")
    (tmp_path / "loop.gguf").symlink_to(tmp_path / "loop.gguf")
    assert refuse(tmp_path / "dangling.gguf") == "missing"
    assert refuse(tmp_path / "loop.gguf") == "not_a_file"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_A13_no_permission(model: Path) -> None:
    model.chmod(0)
    assert refuse(model) == "no_permission"


def test_A13_odd_names_are_fine(model: Path) -> None:
    long = model.rename(model.with_name("x" * 250 + ".gguf"))
    ModelFile(str(long)).close()
    odd = long.rename(model.parent / os.fsdecode(b"\xff\xfe \n'.gguf"))
    ModelFile(str(odd)).close()


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "not_gguf"),
        (b"GGUF", "truncated"),
        (HEADER[:20], "truncated"),
        (b"<!DOCTYPE html><html>Not found</html>", "not_gguf"),
        (b"PK\x03\x04" + b"x" * 40, "not_gguf"),
        (struct.pack("<4sIQQ", b"GGUF", 1, 0, 0), "unsupported_version"),
        (struct.pack("<4sIQQ", b"GGUF", 4, 0, 0), "unsupported_version"),
        (struct.pack(">4sIQQ", b"GGUF", 3, 0, 0), "unsupported_version"),
    ],
)
def test_A04_other_content_is_refused(tmp_path: Path, content: bytes, code: str) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(content)
    assert refuse(path) == code


def test_A14_a_file_cut_off_is_noticed(model: Path) -> None:
    file = ModelFile(str(model))
    assert not file.is_damaged()
    assert not file.is_replaced()
    os.truncate(model, 50)
    assert file.is_damaged()
    assert file.is_replaced()
    file.close()


def test_A14_a_file_written_over_is_noticed(model: Path) -> None:
    file = ModelFile(str(model))
    with model.open("r+b") as opened:
        opened.seek(60)
        opened.write(b"!")
    os.utime(model, ns=(1, 1))
    assert file.is_damaged()
    file.close()


def test_A14_a_file_replaced_is_not_damaged(model: Path) -> None:
    file = ModelFile(str(model))
    new = model.with_name("new")
    new.write_bytes(HEADER)
    new.replace(model)
    assert file.is_replaced()
    assert not file.is_damaged()
    model.unlink()
    assert file.is_replaced()
    file.close()
    file.close()
