"""Text files that go with a message: read from the disk, and put before a person's words.

Reading is done off the window's thread; nothing of a file's name or text is logged. Pure otherwise.
"""

import codecs
import os
import re
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from inglenook.base.errors import UsageError
from inglenook.store.records import Attachment

FILE_LIMIT_BYTES: Final = 4_000_000
"""Largest file that can be attached; about a million tokens, more than models take."""
TOTAL_LIMIT_BYTES: Final = 8_000_000
COUNT_LIMIT: Final = 20
"""Most files of one message, and the most bytes of all of them."""

CHARACTERS_PER_TOKEN: Final = 12
"""A text with more for each token of the context cannot fit, so that nobody needs to count it."""

_BYTES_PER_TOKEN: Final = 4
_NAME_LENGTH: Final = 120
_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_UNPRINTABLE: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_FENCE: Final = re.compile("`{3,}")
_PLAIN_ONLY: Final = "Only plain text can be attached: save what you need of it as a text file."
_SMALLER: Final = "Attach only the part of it that matters."


def read_attachment(path: Path) -> Attachment:
    """Read a text file as it is now: UTF-8, or UTF-16 and UTF-32 with a byte order mark.

    Raises `UsageError` with a sentence for what cannot be attached: file_missing, not_a_file,
    file_unreadable, file_empty, file_too_large, file_not_text, file_encoding.
    """
    name = clean_name(path.name or str(path))
    data = _read_bytes(path, name)
    text = _decode(data, name)
    if not text.strip():
        raise UsageError(f"{name} is empty.", "There is nothing to attach.", code="file_empty")
    return Attachment(name=name, text=text)


def check_attachments(files: Sequence[Attachment]) -> None:
    """See that these can go with one message. Raises `UsageError` (too_many_files)."""
    if len(files) > COUNT_LIMIT:
        raise UsageError(
            f"A message takes at most {COUNT_LIMIT} files.",
            "Send some of them with the next one.",
            code="too_many_files",
        )
    if sum(count_bytes(file) for file in files) > TOTAL_LIMIT_BYTES:
        raise UsageError(
            f"The files of a message may have {TOTAL_LIMIT_BYTES / 1e6:.0f} MB together.",
            "Attach fewer, or only the parts that matter.",
            code="too_many_files",
        )


def join_message(words: str, files: Sequence[Attachment]) -> str:
    """What the model is told: each file with its name and fenced, then the person's words.

    A fence is longer than any run of backticks in its file, so that nothing in it can end it.
    """
    parts = [_fence(file) for file in files]
    if words or not parts:
        parts.append(words)
    return "\n\n".join(parts)


def estimate_tokens(text: str) -> int:
    """About how many tokens a text has, before a model has counted them."""
    return -(-len(text.encode("utf-8", "replace")) // _BYTES_PER_TOKEN)


def count_bytes(file: Attachment) -> int:
    """The size of a file's text in bytes, as UTF-8."""
    return len(file.text.encode("utf-8", "replace"))


def clean_name(name: str) -> str:
    """A file's name on one short line, with nothing in it that hides or reorders text."""
    shown = " ".join(_UNPRINTABLE.sub("\ufffd", name).split()) or "file"
    if len(shown) <= _NAME_LENGTH:
        return shown
    stem, dot, ending = shown.rpartition(".")
    tail = f"…{dot}{ending}" if stem and len(ending) <= 10 else "…"
    return shown[: _NAME_LENGTH - len(tail)] + tail


def _fence(file: Attachment) -> str:
    longest = max((len(run) for run in _FENCE.findall(file.text)), default=2)
    fence = "`" * (longest + 1)
    end = "" if file.text.endswith("\n") else "\n"
    return f"File: {clean_name(file.name)}\n{fence}\n{file.text}{end}{fence}"


def _read_bytes(path: Path, name: str) -> bytes:
    """Read an ordinary file; a FIFO or a device is never waited for."""
    try:
        # Opened first and then looked at, so that nothing can be put in its place between.
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        with os.fdopen(os.open(path, flags), "rb") as file:
            status = os.fstat(file.fileno())
            _check_kind(status.st_mode, name)
            data = b"" if status.st_size > FILE_LIMIT_BYTES else file.read(FILE_LIMIT_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:
        raise UsageError(
            f"{name} is not there.",
            "See whether it was moved, or its name has changed.",
            code="file_missing",
        ) from error
    except IsADirectoryError as error:
        raise _make_folder_error(name) from error
    except OSError as error:
        reason = (error.strerror or "an error").lower()
        raise UsageError(
            f"{name} cannot be read: {reason}.",
            "See whether you may read it.",
            code="file_unreadable",
        ) from error
    size = max(status.st_size, len(data))
    if size > FILE_LIMIT_BYTES:
        raise UsageError(
            f"{name} has {size / 1e6:,.1f} MB; at most {FILE_LIMIT_BYTES / 1e6:.0f} MB can be "
            "attached.",
            _SMALLER,
            code="file_too_large",
        )
    return data


def _check_kind(mode: int, name: str) -> None:
    if stat.S_ISDIR(mode):
        raise _make_folder_error(name)
    if not stat.S_ISREG(mode):
        raise UsageError(
            f"{name} is no ordinary file.", "Choose a text file on a disk.", code="not_a_file"
        )


def _make_folder_error(name: str) -> UsageError:
    return UsageError(
        f"{name} is a folder.", "Choose the text files in it instead.", code="not_a_file"
    )


def _decode(data: bytes, name: str) -> str:
    encoding = next((known for mark, known in _MARKS if data.startswith(mark)), "utf-8")
    if data.startswith(b"GGUF"):
        raise UsageError(
            f"{name} is a model, not a text.",
            "Import it: drop it on the window, or inglenook import.",
            code="file_not_text",
        )
    is_binary = encoding == "utf-8" and b"\0" in data
    try:
        text = "" if is_binary else data.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding != "utf-8" or not _looks_binary(data):
            raise _make_encoding_error(name, encoding) from error
        is_binary, text = True, ""
    if is_binary or "\0" in text:
        raise UsageError(f"{name} is not a text file.", _PLAIN_ONLY, code="file_not_text")
    return text


def _make_encoding_error(name: str, encoding: str) -> UsageError:
    known = encoding.removesuffix("-sig").upper()
    what = f"{name} is marked as {known}, but part of it is not."
    if encoding == "utf-8":
        what = f"{name} is not in UTF-8, and nothing in it tells which encoding it is in."
    return UsageError(
        what,
        "Save it as UTF-8, which every editor can do, and attach it again.",
        code="file_encoding",
    )


def _looks_binary(data: bytes) -> bool:
    """Whether there is more than a trace of what no text in any 8-bit encoding holds."""
    sample = data[:65536]
    controls = sum(byte < 32 and byte not in b"\t\n\r\f\x1b" for byte in sample)
    return controls > len(sample) / 100
