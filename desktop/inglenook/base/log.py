"""The log: one rotating file in the profile, readable by its owner alone, without chat text.

`open_log` is called once by `app.open_app`. The rule that keeps chat text out: our own code logs
counts, kinds and codes, never contents; and of an exception the log keeps its type and where it
came from, but its text only where that text is a sentence of ours or of the system.
"""

import logging
import os
import traceback
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path
from types import TracebackType
from typing import Final

from inglenook.base.errors import UserError

NAME: Final = "inglenook.log"
_ROOT: Final = "inglenook"
_SIZE_BYTES: Final = 1024 * 1024
_N_OLD: Final = 3
_FORMAT: Final = "%(asctime)s %(process)d %(levelname)s %(threadName)s %(name)s: %(message)s"

type ExceptionInfo = (
    tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]
)


class PrivateFormatter(logging.Formatter):
    """Formats exceptions without their values: they may quote what a person wrote."""

    def formatException(self, ei: ExceptionInfo) -> str:  # noqa: N802
        """Tell the chain of types and places, innermost cause first."""
        error = ei[1]
        return "" if error is None else describe_exception(error)


def describe_exception(error: BaseException) -> str:
    """Describe an exception, its causes and places, without any text that could be a person's.

    Used for crash reports, too.
    """
    parts: list[str] = []
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None:
        parts += [describe_exception(cause), "which led to:"]
    parts += [line.rstrip() for line in traceback.format_tb(error.__traceback__)]
    parts.append(f"{type(error).__qualname__}{_describe_values(error)}")
    return "\n".join(parts)


def _describe_values(error: BaseException) -> str:
    if isinstance(error, UserError):
        return f" ({error.code})"
    if isinstance(error, OSError):
        return f": {error.strerror} (errno {error.errno})"
    code = getattr(error, "sqlite_errorname", None) or getattr(error, "code", None)
    return f" ({code})" if isinstance(code, str) and code.isidentifier() else ""


class _PrivateFile(RotatingFileHandler):
    """A rotating file with mode 0600 from its first byte."""

    def _open(self) -> TextIOWrapper:
        file = open(self.baseFilename, "ab", opener=_open_private)  # noqa: SIM115
        return TextIOWrapper(file, encoding=self.encoding)


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


class Log:
    """The open log; `close` gives the file back."""

    def __init__(self, handler: logging.Handler | None) -> None:
        self._handler = handler

    def close(self) -> None:
        """Stop writing and close the file; idempotent."""
        handler, self._handler = self._handler, None
        if handler is not None:
            logging.getLogger(_ROOT).removeHandler(handler)
            handler.close()


def open_log(folder: Path) -> Log:
    """Write warnings and above of all our code, or what INGLENOOK_LOG names, to the folder's log.

    A log that cannot be written must not keep anybody from talking: then there is none.
    """
    name = os.environ.get("INGLENOOK_LOG", "INFO").upper()
    level = logging.getLevelNamesMapping().get(name, logging.INFO)
    try:
        handler = _PrivateFile(
            folder / NAME, maxBytes=_SIZE_BYTES, backupCount=_N_OLD, encoding="utf-8"
        )
    except OSError:
        return Log(None)
    handler.setFormatter(PrivateFormatter(_FORMAT))
    handler.setLevel(level)
    root = logging.getLogger(_ROOT)
    root.setLevel(min(level, logging.INFO))
    root.addHandler(handler)
    return Log(handler)
