"""The journal: carries streaming text from the engine's events into the store.

Text arrives on the engine's reader thread and only joins a list there; the journal's own thread
saves it, at most `FLUSH_S` after it came. When saving fails (a full disk, a locked database), the
text stays in memory, the failure is told once, and it is tried again until it is saved.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from inglenook.base.errors import StorageError
from inglenook.chat.endings import Ending, describe_ending, join_statistics
from inglenook.chat.events import MessageFinished, NotSaved, SavedAgain
from inglenook.engine.protocol import Failed, Finished, Part, Text
from inglenook.store.records import Message, Statistics
from inglenook.store.store import Store

log = logging.getLogger(__name__)

FLUSH_S: Final = 0.25
RETRY_S: Final = 1.0
_CLOSE_WAIT_S: Final = 5.0


@dataclass(slots=True)
class _Run:
    """One reply that is being written. `pieces[:n_saved]` are in the store."""

    id: str
    base: str
    base_reasoning: str
    statistics: Statistics
    pieces: list[tuple[Part, str]] = field(default_factory=list)
    n_saved: int = 0
    due_at: float | None = None
    ending: Ending | None = None
    is_unsaved: bool = False


class Journal:
    """Saves the replies of this process. Owns the thread `journal`; `close` joins it."""

    def __init__(
        self,
        store: Store,
        publish: Callable[[object], None],
        drop: Callable[[str], None],
        *,
        flush_s: float = FLUSH_S,
        retry_s: float = RETRY_S,
    ) -> None:
        self._store = store
        self._publish = publish
        self._drop = drop
        self._flush_s = flush_s
        self._retry_s = retry_s
        self._changed = threading.Condition()
        self._runs: dict[str, _Run] = {}
        self._is_closing = False
        self._thread: threading.Thread | None = None

    # --- from any thread ---

    def open(self, reply: Message) -> None:
        """Expect text for this reply, which follows what it holds already."""
        with self._changed:
            self._runs[reply.id] = _Run(reply.id, reply.content, reply.reasoning, reply.statistics)
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="journal", daemon=True)
                self._thread.start()

    def take(self, event: object) -> None:
        """Note an event of the engine; returns at once."""
        match event:
            case Text():
                self._note_text(event)
            case Finished() | Failed():
                self._end(event.run_id, describe_ending(event))
            case _:
                pass

    def list_live(self) -> tuple[str, ...]:
        """List the runs whose end has not come."""
        with self._changed:
            return tuple(run.id for run in self._runs.values() if run.ending is None)

    def is_open(self, run_id: str) -> bool:
        """Whether this reply is being written, or has ended and is not saved yet."""
        return run_id in self._runs

    def wait_until_saved(self, wait_s: float) -> bool:
        """Wait until every reply has ended and is saved; whether that came true in time."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._runs, timeout=wait_s)

    def close(self) -> None:
        """End what is live as stopped, save it all once more, and join the thread. Idempotent."""
        with self._changed:
            self._is_closing = True
            for run in self._runs.values():
                run.ending = run.ending or Ending("stopped", "cancelled")
                run.due_at = time.monotonic()
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(timeout=_CLOSE_WAIT_S)

    # --- noting ---

    def _note_text(self, event: Text) -> None:
        with self._changed:
            run = self._runs.get(event.run_id)
            if run is None or run.ending is not None:
                return
            run.pieces.append((event.part, event.piece))
            if run.due_at is None:
                run.due_at = time.monotonic() + self._flush_s
                self._changed.notify_all()

    def _end(self, run_id: str, ending: Ending) -> None:
        with self._changed:
            run = self._runs.get(run_id)
            if run is None or run.ending is not None:
                return
            run.ending = ending
            run.due_at = time.monotonic()
            self._changed.notify_all()

    # --- the thread ---

    def _serve(self) -> None:
        while True:
            with self._changed:
                due = self._wait_for_due()
                is_last = self._is_closing
            for run in due:
                self._save(run)
            if is_last:
                self._tell_lost()
                return

    def _wait_for_due(self) -> list[_Run]:
        while True:
            now = time.monotonic()
            due = [r for r in self._runs.values() if r.due_at is not None and r.due_at <= now]
            if due or self._is_closing:
                return due
            times = [run.due_at for run in self._runs.values() if run.due_at is not None]
            self._changed.wait(timeout=min(times) - now if times else None)

    def _save(self, run: _Run) -> None:
        try:
            if run.ending is None:
                self._append(run)
            else:
                self._finish(run, run.ending)
        except StorageError as error:
            self._postpone(run, error)
        except Exception:
            # The border of a thread: the text is worth more than the order of things.
            log.exception("saving a reply failed")
            self._postpone(run, StorageError("The reply could not be saved."))

    def _append(self, run: _Run) -> None:
        with self._changed:
            if run.ending is not None:
                return  # it ended just now, and is due with its whole text
            n_pieces = len(run.pieces)
            pieces = run.pieces[run.n_saved :]
            run.due_at = None  # what comes from here on sets a new time
        self._store.append_text(
            run.id, _join(pieces, "answer"), reasoning=_join(pieces, "reasoning")
        )
        run.n_saved = n_pieces
        self._tell_saved(run)

    def _finish(self, run: _Run, ending: Ending) -> None:
        message = self._store.finish_message(
            run.id,
            content=run.base + _join(run.pieces, "answer"),
            reasoning=run.base_reasoning + _join(run.pieces, "reasoning"),
            status=ending.status,
            finish_reason=ending.finish_reason,
            error=ending.error,
            statistics=join_statistics(run.statistics, ending.statistics),
        )
        with self._changed:
            self._runs.pop(run.id, None)
            self._changed.notify_all()
        self._publish(MessageFinished(message))
        self._tell_saved(run)

    def _postpone(self, run: _Run, error: StorageError) -> None:
        if error.code == "not_found":
            # Deleted for ever while it was written: there is nothing to save it for.
            with self._changed:
                self._runs.pop(run.id, None)
                self._changed.notify_all()
            self._drop(run.id)
            return
        with self._changed:
            run.due_at = time.monotonic() + self._retry_s
        if not run.is_unsaved:
            run.is_unsaved = True
            log.error("a reply cannot be saved now (%s)", error.code)
            self._publish(NotSaved(run.id, error.message))

    def _tell_saved(self, run: _Run) -> None:
        if not run.is_unsaved:
            return
        run.is_unsaved = False
        with self._changed:
            is_all_saved = not any(other.is_unsaved for other in self._runs.values())
        if is_all_saved:
            log.warning("replies are saved again")
            self._publish(SavedAgain())

    def _tell_lost(self) -> None:
        if self._runs:
            log.error("%d replies could not be saved before the end", len(self._runs))


def _join(pieces: list[tuple[Part, str]], wanted: Part) -> str:
    return "".join(text for part, text in pieces if part == wanted)
