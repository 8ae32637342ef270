"""Reading ahead: what the next prompt will begin with is read while nothing else is to do.

Made by `Chat`. Called from any thread; `take_end` on the journal's.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from inglenook.base.errors import StorageError
from inglenook.base.settings import Settings
from inglenook.chat.attachments import CHARACTERS_PER_TOKEN
from inglenook.chat.defaults import Readable
from inglenook.chat.events import MessageFinished
from inglenook.chat.options import (
    ReplyOptions,
    choose_model_id,
    choose_system_prompt,
    choose_thinking,
)
from inglenook.chat.prompt import build_prompt
from inglenook.engine.machine import is_on_battery
from inglenook.engine.protocol import ReadAhead
from inglenook.engine.seam import Engine
from inglenook.store.records import Attachment
from inglenook.store.store import Store

_SETTINGS_ONLY: Final = ReplyOptions()


class ReadingAhead:
    """Asks the engine to read; whatever cannot be read ahead is read when it is asked for."""

    def __init__(
        self, store: Store, engine: Engine, settings: Settings, is_busy: Callable[[], bool]
    ) -> None:
        self._store = store
        self._engine = engine
        self._settings = settings
        self._is_busy = is_busy
        self._model_id = ""
        self._model_settings: Readable = settings

    def note_load(self, model_id: str, settings: Readable) -> None:
        """A model is being loaded, under these settings."""
        self._model_id, self._model_settings = model_id, settings

    def read(
        self, conversation_id: str | None, draft: str, files: Sequence[Attachment] = ()
    ) -> None:
        """Let the engine read a conversation and what is being written, files first.

        Only for the model that is in memory.
        """
        loaded = self._engine.state.loaded
        if loaded is None or self._is_busy() or not self._settings.get("engine.reads_ahead"):
            return
        conversation = self._store.get_conversation(conversation_id) if conversation_id else None
        model_id = loaded.model_id
        if conversation is not None:
            model_id = choose_model_id(conversation, self._settings)
        if model_id != loaded.model_id or is_on_battery():
            return
        thread = self._store.thread(conversation.id) if conversation is not None else ()
        settings = self._model_settings if self._model_id == model_id else self._settings
        messages = build_prompt(
            choose_system_prompt(conversation, _SETTINGS_ONLY, settings),
            thread,
            draft=draft.strip(),
            draft_files=files,
        )
        if sum(len(m.content) for m in messages) > loaded.n_ctx * CHARACTERS_PER_TOKEN:
            return
        self._engine.submit(
            ReadAhead(
                messages=messages,
                scope=conversation_id or "",
                thinks=choose_thinking(_SETTINGS_ONLY, self._settings),
            )
        )

    def take_end(self, event: object) -> None:
        """Let an answer be read again without the reasoning before it, while a person reads it.

        The next prompt will hold neither the reasoning nor marks that say that there is none, so
        what is in memory is of use up to there.
        """
        loaded = self._engine.state.loaded
        if not isinstance(event, MessageFinished) or event.message.status != "complete":
            return
        if event.message.reasoning or (loaded is not None and loaded.reasoning != "none"):
            with suppress(StorageError):
                self.read(event.message.conversation_id, "")
