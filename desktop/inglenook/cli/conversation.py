"""One reply at a time for the terminal: sends, shows the text as it comes, waits until it is saved.

Events arrive on the engine's and the journal's threads and are queued; the main thread reads.
"""

import queue
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Self

from inglenook.base.errors import EngineError, ModelError, StorageError, UserError
from inglenook.chat.attachments import check_attachments
from inglenook.chat.events import AttachmentCounted, MessageFinished, NotSaved
from inglenook.chat.options import ReplyOptions
from inglenook.cli.output import Output
from inglenook.engine.protocol import Failed, Finished, Loaded, LoadFailed, Loading, Stuck, Text
from inglenook.store.records import Attachment, Message

if TYPE_CHECKING:
    from inglenook.app import App
    from inglenook.chat.chat import Started

SAVE_WAIT_S = 10.0
COUNT_WAIT_S = 10.0
NOT_SAVED_HINT = "See whether the disk is full; what was saved before is as it was."
MODEL_CODES = frozenset({"load_failed", "no_model", "template_failed", "model_changed"})


@dataclass(frozen=True, slots=True)
class Progress:
    """A model that is being loaded, 0.0 to 1.0."""

    fraction: float


@dataclass(frozen=True, slots=True)
class Thought:
    """A piece of what the model thinks before it answers."""

    text: str


@dataclass(frozen=True, slots=True)
class Remark:
    """A sentence beside the reply: where the model runs, that the engine does not get on."""

    text: str


type Shown = str | Thought | Progress | Remark


class TerminalConversation:
    """One conversation, held by one reader. Use as a context manager, so that it unsubscribes."""

    def __init__(self, app: "App", model_id: str | None, options: ReplyOptions) -> None:
        self._app = app
        self._model_id = model_id
        self._options = options
        self._events: queue.SimpleQueue[object] = queue.SimpleQueue()
        self._unsubscribe = app.hub.subscribe(self._events.put)
        self.id: str | None = None
        self.last: Message | None = None
        self.run_id: str | None = None
        self.was_stopped = False
        self._told_note = ""
        self.attached: tuple[Attachment, ...] = ()
        """Files that go with the next message."""
        self._later: dict[str, deque[object]] = {}
        """What came of further drafts while another one was shown."""

    def close(self) -> None:
        """Stop listening."""
        self._unsubscribe()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def set_model(self, model_id: str) -> None:
        """Talk with another model from the next message on."""
        self._model_id = model_id
        if self.id is not None:
            self._app.chat.set_model(self.id, model_id)

    def get_last(self) -> Message:
        """The last reply, as it was saved; raises `UserError` when there is none yet."""
        if self.last is None:
            raise UserError("There is no reply yet.")
        return self.last

    def reset(self) -> None:
        """Begin a new conversation with the next message."""
        self.id = None
        self.last = None

    def attach(self, *files: Attachment) -> None:
        """Have files go with the next message. Raises `UsageError` (too_many_files)."""
        check_attachments((*self.attached, *files))
        self.attached = (*self.attached, *files)

    def detach(self) -> None:
        """Have no files go with the next message."""
        self.attached = ()

    def count_tokens(self, file: Attachment) -> AttachmentCounted | None:
        """What a file adds to a prompt, and what the model can take; None while none is loaded."""
        self._forget_events()
        self._app.chat.count_attachments([file])
        if self._app.engine.state.loaded is None:
            return None
        deadline = time.monotonic() + COUNT_WAIT_S
        while (left_s := deadline - time.monotonic()) > 0:
            try:
                event = self._events.get(timeout=left_s)
            except queue.Empty:
                break
            if isinstance(event, AttachmentCounted) and event.file is file:
                return event
        return None

    def send(self, text: str) -> Iterator[Shown]:
        """Send a message and give the reply's pieces as they come; `last` is the saved reply then.

        Raises `UserError` when the reply failed; what came before it is saved all the same.
        """
        self._forget_events()
        return self._follow(self._send(text))

    def send_drafts(self, text: str, n_drafts: int) -> list[Callable[[], Iterator[Shown]]]:
        """Send a message for several drafts; each is then shown by what is returned, in order.

        They are written at once: what comes of one while another is shown waits for it.
        """
        self._forget_events()
        started = self._send(text, n_drafts)
        self._later = {reply.id: deque() for reply in started.replies}
        return [partial(self._follow, started, reply) for reply in started.replies]

    def _send(self, text: str, n_drafts: int = 1) -> "Started":
        started = self._app.chat.send(
            self.id,
            text,
            model_id=self._model_id,
            options=self._options,
            n_drafts=n_drafts,
            attachments=self.attached,
        )
        self.detach()
        return started

    def retry(self) -> Iterator[Shown]:
        """Write another version of the last reply."""
        self._forget_events()
        return self._follow(self._app.chat.retry(self.get_last().id, options=self._options))

    def stop(self) -> None:
        """Stop the reply that is being begun or written; its iterator then ends in order.

        Drafts are all stopped.
        """
        self.was_stopped = True
        for run_id in {self.run_id, *self._later} - {None}:
            self._app.chat.stop(str(run_id))

    def _follow(self, started: "Started", reply: Message | None = None) -> Iterator[Shown]:
        self.id = started.conversation.id
        self.run_id = (reply or started.reply).id
        if self.was_stopped:
            self.stop()
        failure: UserError | None = None
        not_saved: StorageError | None = None
        ended_at: float | None = None
        while True:
            event = self._next_event(ended_at, not_saved)
            match event:
                case Loading():
                    yield Progress(event.fraction)
                case Loaded() | Stuck():
                    yield from self._remark_on(event)
                case LoadFailed():
                    failure = ModelError(event.message, event.hint, code=event.code)
                case Text() if event.run_id == self.run_id:
                    yield Thought(event.piece) if event.part == "reasoning" else event.piece
                case Finished() if event.run_id == self.run_id:
                    ended_at = time.monotonic()
                case Failed() if event.run_id == self.run_id:
                    failure = failure or make_error(event)
                    ended_at = time.monotonic()
                case NotSaved() if event.message_id == self.run_id:
                    not_saved = StorageError(event.reason, NOT_SAVED_HINT, code="not_saved")
                case MessageFinished() if event.message.id == self.run_id:
                    self.last = event.message
                    self.run_id = None
                    break
                case _:
                    pass
        if failure is not None:
            raise failure

    def _remark_on(self, event: Loaded | Stuck) -> Iterator[Shown]:
        match event:
            case Loaded() if event.placement_note not in {"", self._told_note}:
                self._told_note = event.placement_note
                yield Remark(event.placement_note)
            case Stuck() if self.run_id in event.run_ids and event.silent_s > 0:
                yield Remark(
                    f"No progress for {event.silent_s:.0f} seconds: the engine may be stuck. "
                    "Ctrl+C stops the reply."
                )
            case _:
                pass

    def _forget_events(self) -> None:
        """What came before a reply was asked for, such as a load ahead of it, is no news."""
        while not self._events.empty():
            self._events.get()

    def _next_event(self, ended_at: float | None, not_saved: StorageError | None) -> object:
        """The next event that is not another draft's, which is kept until that one is shown."""
        early = self._later.get(self.run_id or "")
        if early:
            return early.popleft()
        while True:
            event = self._await_event(ended_at, not_saved)
            run_id = find_run_id(event)
            if run_id == self.run_id or run_id not in self._later:
                return event
            self._later[run_id].append(event)

    def _await_event(self, ended_at: float | None, not_saved: StorageError | None) -> object:
        """The next event; once a reply has ended, its saving is waited for only so long."""
        if ended_at is None:
            return self._events.get()
        patience = SAVE_WAIT_S if not_saved is None else 1.0
        try:
            return self._events.get(timeout=max(0.0, ended_at + patience - time.monotonic()))
        except queue.Empty:
            raise not_saved or StorageError("The reply could not be saved.") from None


@contextmanager
def stop_on_interrupt(conversation: TerminalConversation) -> Iterator[None]:
    """Let Ctrl+C stop the reply and not the program; a second one ends the wait for it."""
    conversation.was_stopped = False

    def stop(_number: int, _frame: object) -> None:
        if conversation.was_stopped:
            raise KeyboardInterrupt
        conversation.stop()

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def show_reply(
    output: Output,
    conversation: TerminalConversation,
    begin: Callable[[], Iterator[Shown]],
    *,
    shows_reasoning: bool = False,
) -> None:
    """Begin a reply and show it as it comes (not with `--json`); Ctrl+C stops it.

    What the model thinks is shown on stderr, and only where that is wanted.
    """
    last = "\n"
    thinking = _Thinking(output, shows=shows_reasoning)
    try:
        with stop_on_interrupt(conversation):
            for part in begin():
                if isinstance(part, Progress):
                    output.progress(f"Loading the model, {part.fraction:.0%}")
                elif isinstance(part, Remark):
                    output.progress("")
                    output.note(part.text if last.endswith("\n") else f"\n{part.text}")
                elif isinstance(part, Thought):
                    thinking.take(part.text)
                elif not output.is_json:
                    if last == "\n":
                        thinking.end()
                    output.piece(part)
                    last = part
    except BrokenPipeError:
        conversation.stop()
        raise
    finally:
        thinking.end()
        if not last.endswith("\n"):
            output.line()


class _Thinking:
    """Shows that the model thinks, and what; takes its line away when the answer begins."""

    def __init__(self, output: Output, *, shows: bool) -> None:
        self._output = output
        self._shows = shows and not output.is_json
        self._last = "\n"
        self._began = 0.0

    def take(self, text: str) -> None:
        """Take the next piece of the reasoning."""
        self._began = self._began or time.monotonic()
        if not self._shows:
            self._output.progress(f"Thinking, {time.monotonic() - self._began:.0f} s")
            return
        if self._last == "\n":
            self._output.progress("")
        self._output.aside(text)
        self._last = text

    def end(self) -> None:
        """The answer begins, or the reply has ended."""
        if not self._last.endswith("\n"):
            self._output.aside("\n\n")
            self._last = "\n"
        self._output.progress("")


def describe_numbers(reply: Message) -> str:
    """The line under a reply: 214 tokens · 41.8 tok/s · first token 0.31 s · 1,024 reused.

    Where it thought first, for how long.
    """
    numbers = reply.statistics
    parts = []
    if numbers.output_tokens:
        parts.append(f"{numbers.output_tokens:,} tokens")
    if numbers.decode_tps:
        parts.append(f"{numbers.decode_tps:,.1f} tok/s")
    if numbers.ttft_s:
        parts.append(f"first token {numbers.ttft_s:.2f} s")
    if numbers.reasoning_tokens:
        parts.append(f"thought for {numbers.reasoning_s:.1f} s")
    if numbers.cached_tokens:
        parts.append(f"{numbers.cached_tokens:,} reused")
    if reply.status == "stopped":
        parts.append("stopped")
    elif reply.finish_reason in {"length", "context_full"}:
        full = reply.finish_reason == "context_full"
        parts.append("the context is full" if full else "reached the token limit")
    return " · ".join(parts)


def find_run_id(event: object) -> str:
    """The reply that an event is about; empty where it is about none."""
    match event:
        case Text() | Finished() | Failed():
            return event.run_id
        case NotSaved():
            return event.message_id
        case MessageFinished():
            return event.message.id
        case _:
            return ""


def make_error(event: Failed) -> UserError:
    """The error of the world that a failed reply is."""
    kind = ModelError if event.code in MODEL_CODES else EngineError
    return kind(event.message, event.hint, code=event.code)
