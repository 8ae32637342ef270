"""Deleting for ever: conversations that lie in the trash for too long, and what the engine kept.

Made by `Chat`; emptying the trash takes its time in a large database, so a thread of its own does
it.
"""

import logging
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Final

from inglenook.base.errors import StorageError
from inglenook.chat.events import ConversationsChanged
from inglenook.engine.snapshots import remove_scopes
from inglenook.store.store import Store

log = logging.getLogger(__name__)

_PURGE_WAIT_S: Final = 5.0


class Trash:
    """Erases conversations; `snapshot_folder` is where the engine keeps memory of them."""

    def __init__(
        self, store: Store, publish: Callable[[object], None], snapshot_folder: Path | None
    ) -> None:
        self._store = store
        self._publish = publish
        self._snapshot_folder = snapshot_folder
        self._purger: threading.Thread | None = None

    def delete_forever(self, conversation_id: str) -> None:
        """Erase a conversation, and what the engine keeps of it on the disk."""
        self._store.delete_forever(conversation_id)
        self._forget_snapshots()

    def begin_emptying(self, keep: timedelta) -> None:
        """Begin to erase what was deleted longer ago than this; nobody should wait for it."""
        if self._store.has_old_trash(keep):
            self._purger = threading.Thread(
                target=self._purge, args=(keep,), name="trash", daemon=True
            )
            self._purger.start()

    def close(self) -> None:
        """Wait a while for what was begun."""
        if self._purger is not None:
            self._purger.join(timeout=_PURGE_WAIT_S)

    def _purge(self, keep: timedelta) -> None:
        try:
            self._store.purge_trash(keep)
            self._forget_snapshots()
        except StorageError as error:
            log.warning("the trash could not be emptied now (%s)", error.code)
        else:
            self._publish(ConversationsChanged(None, "recover"))

    def _forget_snapshots(self) -> None:
        """Delete the kept memory of conversations that are gone for good."""
        if self._snapshot_folder is not None:
            remove_scopes(self._snapshot_folder, self._is_gone)

    def _is_gone(self, conversation_id: str) -> bool:
        try:
            self._store.get_conversation(conversation_id)
        except StorageError as error:
            return error.code == "not_found"
        return False
