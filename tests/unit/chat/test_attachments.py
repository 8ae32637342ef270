"""Reading files that are to be attached, and what the model is told of them."""

import codecs
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inglenook.base.errors import UsageError
from inglenook.chat.attachments import (
    COUNT_LIMIT,
    FILE_LIMIT_BYTES,
    check_attachments,
    clean_name,
    estimate_tokens,
    join_message,
    read_attachment,
)
from inglenook.store.records import Attachment

NOTES = Attachment(name="notes.txt", text="one\ntwo\n")


def write(folder: Path, data: bytes, name: str = "notes.txt") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def refuse(path: Path) -> UsageError:
    with pytest.raises(UsageError) as caught:
        read_attachment(path)
    assert caught.value.message.endswith(".")
    assert caught.value.hint.endswith(".")
    assert "\n" not in str(caught.value)
    return caught.value


# --- the disk ---


@pytest.mark.parametrize(
    "data",
    [
        "größer\r\nals\t✓\n".encode(),
        codecs.BOM_UTF8 + "größer\r\nals\t✓\n".encode(),
        codecs.BOM_UTF16_LE + "größer\r\nals\t✓\n".encode("utf-16-le"),
        codecs.BOM_UTF16_BE + "größer\r\nals\t✓\n".encode("utf-16-be"),
        codecs.BOM_UTF32_LE + "größer\r\nals\t✓\n".encode("utf-32-le"),
    ],
)
def test_text_is_read_as_it_is(tmp_path: Path, data: bytes) -> None:
    assert read_attachment(write(tmp_path, data)) == Attachment(
        name="notes.txt", text="größer\r\nals\t✓\n"
    )


def test_a_later_change_of_the_file_changes_nothing(tmp_path: Path) -> None:
    path = write(tmp_path, b"before")
    read = read_attachment(path)
    path.write_text("after")
    assert read.text == "before"


def test_control_tokens_and_escapes_are_text(tmp_path: Path) -> None:
    text = "<|im_end|>\x1b[31mred\x1b[0m</s>"
    assert read_attachment(write(tmp_path, text.encode())).text == text


@pytest.mark.parametrize(
    ("data", "code", "words"),
    [
        (b"", "file_empty", "is empty"),
        (b" \n\t\n", "file_empty", "is empty"),
        (codecs.BOM_UTF8, "file_empty", "is empty"),
        (b"text\0text", "file_not_text", "is not a text file"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "file_not_text", "is not a text file"),
        (bytes(range(1, 256)) * 4, "file_not_text", "is not a text file"),
        (b"GGUF\x03\0\0\0", "file_not_text", "is a model"),
        ("größer als".encode("latin-1"), "file_encoding", "is not in UTF-8"),
        (codecs.BOM_UTF16_LE + b"\x00\xd8x", "file_encoding", "is marked as UTF-16"),
        (codecs.BOM_UTF8 + b"gr\xf6sser", "file_encoding", "is marked as UTF-8"),
        (codecs.BOM_UTF16_LE + "a\0b".encode("utf-16-le"), "file_not_text", "is not a text file"),
        (b"x" * (FILE_LIMIT_BYTES + 1), "file_too_large", "4.0 MB; at most 4 MB"),
    ],
)
def test_what_is_no_text_is_refused_by_name(
    tmp_path: Path, data: bytes, code: str, words: str
) -> None:
    error = refuse(write(tmp_path, data))
    assert error.code == code
    assert error.message.startswith("notes.txt ")
    assert words in error.message


def test_the_largest_file_is_taken(tmp_path: Path) -> None:
    data = b"x" * FILE_LIMIT_BYTES
    assert len(read_attachment(write(tmp_path, data)).text) == FILE_LIMIT_BYTES


def test_A13_nothing_but_a_file_is_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    assert "is a folder" in refuse(tmp_path).message
    assert refuse(tmp_path / "pipe").code == "not_a_file"
    assert refuse(Path("/dev/zero")).code == "not_a_file"
    assert refuse(tmp_path / "missing.txt").code == "file_missing"
    assert refuse(tmp_path / "gone").code == "file_missing"
    assert refuse(tmp_path / "a\0b").code == "file_missing"
    assert refuse(tmp_path / "loop").code == "file_unreadable"
    assert refuse(tmp_path / ("n" * 300)).code == "file_unreadable"
    assert refuse(write(tmp_path, b"x") / "below").code == "file_missing"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_said(tmp_path: Path) -> None:
    path = write(tmp_path, b"x")
    path.chmod(0)
    assert "permission denied" in refuse(path).message


def test_a_name_is_one_harmless_line(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/a\xff\nb\xe2\x80\xaec.txt"))
    path.write_text("x")
    assert read_attachment(path).name == "a\ufffd\ufffdb\ufffdc.txt"
    assert clean_name("n" * 300 + ".txt") == "n" * 115 + "….txt"
    assert clean_name("\n") == "\ufffd"
    assert clean_name(" ") == "file"


def test_too_much_together_is_refused() -> None:
    check_attachments([NOTES] * COUNT_LIMIT)
    with pytest.raises(UsageError, match="at most 20 files"):
        check_attachments([NOTES] * (COUNT_LIMIT + 1))
    large = Attachment(name="a.txt", text="x" * FILE_LIMIT_BYTES)
    check_attachments([large, large])
    with pytest.raises(UsageError, match="8 MB together"):
        check_attachments([large, large, NOTES])


# --- the prompt ---


def test_files_come_before_the_words() -> None:
    code = Attachment(name="a.py", text="print()")
    assert join_message("Why?", (NOTES, code)) == (
        "File: notes.txt\n```\none\ntwo\n```\n\nFile: a.py\n```\nprint()\n```\n\nWhy?"
    )
    assert join_message("", (code,)) == "File: a.py\n```\nprint()\n```"
    assert join_message("Why?", ()) == "Why?"
    assert join_message("", ()) == ""


@given(st.text(alphabet="`a\n~", max_size=60))
def test_no_fence_in_a_file_ends_it(text: str) -> None:
    lines = join_message("words", (Attachment(name="x", text=text),)).split("\n")
    fence = lines[1]
    assert set(fence) == {"`"}
    assert len(fence) >= 3
    assert fence not in text
    assert lines.index(fence, 2) == len(lines) - 3


def test_a_name_cannot_open_or_end_a_fence() -> None:
    told = join_message("w", (Attachment(name="a\n```\nb", text="x"),))
    assert told.split("\n")[0] == "File: a\ufffd```\ufffdb"


def test_an_estimate_is_of_the_right_size() -> None:
    assert estimate_tokens("") == 0
    assert 800 < estimate_tokens("some words in a row " * 200) < 1200
