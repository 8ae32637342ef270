"""The access token of the hub: in the system's keyring, else in a file for its owner alone.

Asked for by `hub.py` on worker threads, and only for repositories that are not given to everybody:
a keyring may ask a person for a password. Whether there is a token is known without the keyring's
library, which takes a while to import. The token is in no setting, no log and no ledger.
"""

import logging
import re
import threading
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from inglenook.base.errors import StorageError, UsageError
from inglenook.base.whole_file import write_whole

log = logging.getLogger(__name__)

type Place = Literal["", "keyring", "file"]

_SERVICE: Final = "Inglenook"
_FORM: Final = re.compile(r"[!-~]{8,200}", re.ASCII)


class _Record(msgspec.Struct, frozen=True, kw_only=True):
    """The file: which hub the token is for, and the token itself where no keyring has it."""

    host: str
    token: str = ""


class HubToken:
    """One token for one hub. Thread-safe. `file` is below the profile's data folder."""

    def __init__(self, file: Path, host: str) -> None:
        self._file = file
        self._host = host
        self._lock = threading.Lock()
        self._known: str | None = None

    @property
    def place(self) -> Place:
        """Where a token is kept, "" for nowhere; reads one small file."""
        record = self._read()
        if record is None:
            return ""
        return "file" if record.token else "keyring"

    def load(self) -> str:
        """The token, "" for none; also where the keyring does not give it."""
        with self._lock:
            if self._known is not None:
                return self._known
            record = self._read()
            if record is None:
                return ""
            token = record.token or _ask_keyring(self._account)
            if token:
                self._known = token
            return token

    def save(self, text: str) -> Place:
        """Keep a token; returns where. Raises `UsageError` (no_token), `StorageError`."""
        token = text.strip()
        if not _FORM.fullmatch(token):
            raise UsageError(
                "That is no access token.",
                "Copy it whole from your account's page on the hub; it begins with hf_.",
                code="no_token",
            )
        with self._lock:
            is_in_keyring = _give_keyring(self._account, token)
            self._write(_Record(host=self._host, token="" if is_in_keyring else token))
            self._known = token
        return "keyring" if is_in_keyring else "file"

    def forget(self) -> None:
        """Delete the token everywhere. Raises `StorageError`."""
        with self._lock:
            record = self._read()
            self._known = None
            if record is not None and not record.token:
                _clear_keyring(self._account)
            try:
                self._file.unlink(missing_ok=True)
            except OSError as error:
                raise _explain(error) from error

    @property
    def _account(self) -> str:
        # Two profiles of one person have a token each.
        return f"{self._host} ({self._file.parent})"

    def _read(self) -> _Record | None:
        try:
            record = msgspec.json.decode(self._file.read_bytes(), type=_Record)
        except (OSError, msgspec.MsgspecError):
            return None
        return record if record.host == self._host else None

    def _write(self, record: _Record) -> None:
        """Write the file anew, its owner's alone from its first moment."""
        try:
            write_whole(self._file, msgspec.json.encode(record))
        except OSError as error:
            raise _explain(error) from error


def _explain(error: OSError) -> StorageError:
    return StorageError(
        f"The token cannot be kept: {error.strerror or error}.",
        "Mend the permissions of the data folder, then try again.",
        code="not_writable",
    )


def _find_keyring() -> Any:
    """The keyring's library where it has a safe place for secrets; None otherwise."""
    try:
        import keyring
        from keyring.backends.fail import Keyring as NoKeyring
        from keyring.backends.null import Keyring as NullKeyring

        backend = keyring.get_keyring()
    except Exception:  # noqa: BLE001  a border: its backends are plug-ins of the system
        return None
    is_one = backend.priority > 0 and not isinstance(backend, NoKeyring | NullKeyring)
    # A plug-in that writes plain text is no safer than our own file, and less known.
    return keyring if is_one and "plaintext" not in type(backend).__name__.lower() else None


def _give_keyring(account: str, token: str) -> bool:
    library = _find_keyring()
    if library is None:
        return False
    try:
        library.set_password(_SERVICE, account, token)
        is_kept: bool = library.get_password(_SERVICE, account) == token
    except Exception as error:  # noqa: BLE001  a border: locked, refused, gone
        log.info("the keyring takes no token (%s)", type(error).__name__)
        return False
    return is_kept


def _ask_keyring(account: str) -> str:
    library = _find_keyring()
    if library is None:
        return ""
    try:
        return library.get_password(_SERVICE, account) or ""
    except Exception as error:  # noqa: BLE001  a border: locked, refused, gone
        log.info("the keyring gives no token (%s)", type(error).__name__)
        return ""


def _clear_keyring(account: str) -> None:
    library = _find_keyring()
    if library is None:
        return
    try:
        library.delete_password(_SERVICE, account)
    except Exception as error:  # noqa: BLE001  a border: locked, refused, gone
        log.info("the keyring keeps its token (%s)", type(error).__name__)
