"""What attached files add to a prompt, in tokens, as the loaded model counts them.

Made by `Chat`. `ask` may be called from any thread; `take` is called with the engine's events, on
its reader thread, and tells each count as `AttachmentCounted`.
"""

import threading
import uuid
from collections.abc import Callable, Sequence

from inglenook.chat.attachments import CHARACTERS_PER_TOKEN, estimate_tokens
from inglenook.chat.events import AttachmentCounted
from inglenook.chat.prompt import build_prompt
from inglenook.engine.protocol import CountTokens, Loaded, TokenCount, Unloaded
from inglenook.engine.seam import Engine
from inglenook.store.records import Attachment

_WORD = "x"


class AttachmentCounter:
    """Asks the engine for the tokens of a message with a file, and of one without."""

    def __init__(self, engine: Engine, publish: Callable[[object], None]) -> None:
        self._engine = engine
        self._publish = publish
        self._lock = threading.Lock()
        self._asked: dict[str, Attachment | None] = {}
        self._n_without = -1
        self._model_id = ""

    def ask(self, files: Sequence[Attachment]) -> None:
        """Have files counted; nothing is told of them while no model is loaded.

        Tokenising what is far too long would only hold up the prompts that fit.
        """
        loaded = self._engine.state.loaded
        if loaded is None or not files:
            return
        with self._lock:
            self._model_id = loaded.model_id
        self._submit(None)  # What a message without a file takes comes first.
        for file in files:
            if len(file.text) > loaded.n_ctx * CHARACTERS_PER_TOKEN:
                n_tokens = estimate_tokens(file.text)
                self._publish(AttachmentCounted(file, n_tokens, loaded.n_ctx, is_exact=False))
            else:
                self._submit(file)

    def _submit(self, file: Attachment | None) -> None:
        request_id = uuid.uuid4().hex
        with self._lock:
            self._asked[request_id] = file
        files = () if file is None else (file,)
        messages = build_prompt("", (), draft=_WORD, draft_files=files)
        self._engine.submit(CountTokens(request_id=request_id, messages=messages))

    def take(self, event: object) -> None:
        """Learn a count; what was asked of another model will not be answered."""
        match event:
            case TokenCount():
                self._take_count(event)
            case Loaded() if event.model_id == self._model_id:
                pass  # What is loaded already is told again with each message.
            case Loaded() | Unloaded():
                with self._lock:
                    self._asked.clear()
                    self._n_without = -1
            case _:
                pass

    def _take_count(self, event: TokenCount) -> None:
        with self._lock:
            if event.request_id not in self._asked:
                return
            file = self._asked.pop(event.request_id)
            if file is None:
                self._n_without = event.n_tokens
            n_tokens = event.n_tokens - self._n_without
            is_known = event.n_tokens >= 0 and self._n_without >= 0
        if file is not None and is_known:
            self._publish(AttachmentCounted(file, max(0, n_tokens), event.n_ctx))
