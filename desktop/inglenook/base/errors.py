"""Errors of the world: each is a sentence for the person, with what to do now.

::

    UserError                 shown as text, never as a traceback
    ├── UsageError            the command or the input cannot be understood        exit 2
    ├── ModelError            a model is missing, damaged or cannot be used        exit 3
    ├── NetworkError          the hub or the network did not do its part           exit 4
    ├── EngineError           the engine failed, died or refused                   exit 5
    └── StorageError          the disk or the database did not do its part         exit 6

Everything that is not a `UserError` is a bug of ours (exit 1). No decision is ever made on the
text of a message: decide on the class or on `code`.
"""

from enum import IntEnum


class ExitCode(IntEnum):
    """What the process returns to the shell; scripts may rely on it."""

    DONE = 0
    BUG = 1
    USAGE = 2
    MODEL = 3
    NETWORK = 4
    ENGINE = 5
    STORAGE = 6
    INTERRUPTED = 130


class UserError(Exception):
    """An error of the world: what happened and why in `message`, what to do now in `hint`."""

    exit_code = ExitCode.USAGE

    def __init__(self, message: str, hint: str = "", *, code: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code or type(self).__name__

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class UsageError(UserError):
    """The command or the input cannot be understood."""

    exit_code = ExitCode.USAGE


class ModelError(UserError):
    """A model is missing, damaged, of a wrong kind or cannot be used here."""

    exit_code = ExitCode.MODEL


class NetworkError(UserError):
    """The hub or the network did not do its part, or the app works offline."""

    exit_code = ExitCode.NETWORK


class EngineError(UserError):
    """The engine failed, died or refused a request."""

    exit_code = ExitCode.ENGINE


class StorageError(UserError):
    """The disk or the database did not do its part."""

    exit_code = ExitCode.STORAGE
