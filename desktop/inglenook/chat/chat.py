"""`Chat`: what a person does with conversations, as the window, the terminal and the server do it.

Every method may be called from any thread and returns without waiting for the engine: what it
asks for is on the disk when it returns, and the reply comes as events whose `run_id` is the id of
the reply's message. Retry and edit add versions; nothing that was written is ever overwritten.

The only thing that is waited for is the disk: while another program holds the database, what was
asked for waits its turn, for a minute at most. The window therefore asks from a worker thread.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from inglenook.base.errors import ModelError, StorageError, UsageError
from inglenook.base.events import EventHub
from inglenook.base.records import InstalledModel
from inglenook.base.settings import Settings
from inglenook.chat.ahead import ReadingAhead
from inglenook.chat.attachments import check_attachments
from inglenook.chat.counting import AttachmentCounter
from inglenook.chat.defaults import settings_for
from inglenook.chat.dispatch import Dispatcher
from inglenook.chat.drafts import check_drafts, is_freer, spread_sampling
from inglenook.chat.events import ConversationsChanged, MessageStarted
from inglenook.chat.journal import FLUSH_S, Journal
from inglenook.chat.marks import ModelLibrary, ModelMarks
from inglenook.chat.options import (
    ReplyOptions,
    choose_max_tokens,
    choose_model_id,
    choose_reasoning_budget,
    choose_stops,
    choose_system_prompt,
    choose_thinking,
    make_load,
    make_sampling,
)
from inglenook.chat.placement import Placements
from inglenook.chat.prompt import TITLE_LENGTH, build_prompt, make_title
from inglenook.chat.trash import Trash
from inglenook.engine.protocol import Generate, Load, Restart, Unload
from inglenook.engine.seam import Engine
from inglenook.store.records import Attachment, Conversation, Message
from inglenook.store.store import TRASH_KEPT, Store

__all__ = ["Chat", "ReplyOptions", "Started"]

_SETTINGS_ONLY: Final = ReplyOptions()
_CLOSE_WAIT_S: Final = 0.7
_BUSY_WAIT_S: Final = 60.0
_BUSY_STEP_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class Started:
    """A reply that was begun: its conversation, the user's message before it, and itself, empty.

    `others` are the further drafts that were begun with it.
    """

    conversation: Conversation
    user: Message
    reply: Message
    others: tuple[Message, ...] = ()

    @property
    def replies(self) -> tuple[Message, ...]:
        """All that was begun."""
        return (self.reply, *self.others)


class Chat:
    """The use cases. Subscribes to the hub's engine events; `close` ends what is live."""

    def __init__(
        self,
        store: Store,
        engine: Engine,
        library: ModelLibrary,
        settings: Settings,
        hub: EventHub,
        *,
        flush_s: float = FLUSH_S,
        snapshot_folder: Path | None = None,
    ) -> None:
        self._store = store
        self._snapshot_folder = snapshot_folder
        self._library = library
        self._settings = settings
        self._hub = hub
        self._lock = threading.RLock()
        self._is_closing = threading.Event()
        self._engine = engine
        self._dispatcher = Dispatcher(engine, hub.publish)
        self._placements = Placements(settings)
        self._journal = Journal(store, hub.publish, self._dispatcher.stop, flush_s=flush_s)
        self._ahead = ReadingAhead(store, engine, settings, lambda: bool(self.live_runs()))
        self._trash = Trash(store, hub.publish, snapshot_folder)
        self._counter = AttachmentCounter(engine, hub.publish)
        # The journal hears first: when others hear that a run ended, its text is in good hands.
        self._unsubscribe = (
            hub.subscribe(self._journal.take),
            hub.subscribe(self._dispatcher.take),
            hub.subscribe(self._placements.take),
            hub.subscribe(ModelMarks(library).take),
            hub.subscribe(self._ahead.take_end),
            hub.subscribe(self._counter.take),
        )

    # --- replies ---

    def send(
        self,
        conversation_id: str | None,
        text: str,
        *,
        model_id: str | None = None,
        options: ReplyOptions = _SETTINGS_ONLY,
        n_drafts: int = 1,
        attachments: Sequence[Attachment] = (),
    ) -> Started:
        """Say something and begin the reply; None begins a conversation, titled by its first words.

        With `n_drafts`, so many replies are begun at once, each another version. Raises
        `UsageError` (empty, too_many_files, reply_running, n_drafts, drafts_alike), `ModelError`,
        or `StorageError`; then nothing was written and the text is still the caller's.
        """
        _check_said(text, attachments)
        check_drafts(n_drafts, options)
        with self._lock:
            before: tuple[Message, ...] = ()
            if conversation_id is None:
                model = self._find_model(model_id or self._settings.get("models.default"))
                user, *replies = self._insist(
                    self._store.start_conversation,
                    title=_name(text, attachments),
                    system_prompt=options.system_prompt,
                    text=text,
                    model_id=model.id,
                    model_name=model.name,
                    n_replies=n_drafts,
                    attachments=attachments,
                )
            else:
                conversation = self._store.get_conversation(conversation_id)
                model = self._find_model(model_id or self._name_model(conversation))
                before = self._read_settled(conversation)
                user, *replies = self._insist(
                    self._store.add_exchange,
                    conversation.id,
                    parent_id=before[-1].id if before else None,
                    text=text,
                    model_id=model.id,
                    model_name=model.name,
                    n_replies=n_drafts,
                    attachments=attachments,
                )
                if not before and not conversation.title_is_chosen:
                    title = _name(text, attachments)
                    self._store.update_conversation(conversation.id, title=title)
            thread = (*before, user)
            return self._begin("send", user, replies, model, options, thread, is_new_user=True)

    def retry(self, message_id: str, *, options: ReplyOptions = _SETTINGS_ONLY) -> Started:
        """Begin another version of a reply, with the model that the conversation has now.

        For a user's message it begins (another) reply to it.
        """
        return self._begin_more("retry", message_id, 1, options)

    def draft_more(
        self, message_id: str, n_drafts: int, *, options: ReplyOptions = _SETTINGS_ONLY
    ) -> Started:
        """Begin several more versions of a reply at once; what is there already stays.

        Raises `UsageError` (reply_running, n_drafts, drafts_alike), or as `retry` does.
        """
        check_drafts(n_drafts, options)
        return self._begin_more("drafts", message_id, n_drafts, options)

    def edit(
        self,
        message_id: str,
        text: str,
        *,
        options: ReplyOptions = _SETTINGS_ONLY,
        attachments: Sequence[Attachment] | None = None,
    ) -> Started:
        """Begin another branch, with a user's message said differently; the old one stays.

        It goes with the same files unless others, or none, are given. Raises as `send` does.
        """
        with self._lock:
            message = self._store.get_message(message_id)
            files = message.attachments if attachments is None else attachments
            _check_said(text, files)
            if message.role != "user":
                raise UsageError("Only your own messages can be edited.", code="not_yours")
            conversation = self._store.get_conversation(message.conversation_id)
            self._read_settled(conversation)
            model = self._find_model(self._name_model(conversation))
            user, reply = self._insist(
                self._store.add_exchange,
                conversation.id,
                parent_id=message.parent_id,
                text=text,
                model_id=model.id,
                model_name=model.name,
                attachments=files,
                is_draft=False,
            )
            if message.parent_id is None and not conversation.title_is_chosen:
                self._store.update_conversation(conversation.id, title=_name(text, files))
            return self._begin("edit", user, [reply], model, options, is_new_user=True)

    def continue_reply(self, message_id: str, *, options: ReplyOptions = _SETTINGS_ONLY) -> Started:
        """Let a reply that ended go on from its last word; what it holds stays as it is."""
        with self._lock:
            message = self._store.get_message(message_id)
            if message.role != "assistant":
                raise UsageError("Only a reply can be continued.", code="not_a_reply")
            self._check_settled(message, of=(message.id,))
            user = self._store.get_message(_get_parent(message))
            conversation = self._store.get_conversation(message.conversation_id)
            model = self._find_model(self._name_model(conversation))
            reply = self._insist(self._store.reopen_reply, message.id)
            is_continued = bool(reply.content or reply.reasoning)
            return self._begin("continue", user, [reply], model, options, is_continued=is_continued)

    def stop(self, run_id: str) -> None:
        """Stop a reply; what it holds stays. Nothing happens for one that is not live."""
        if run_id in self._journal.list_live():
            self._dispatcher.stop(run_id)

    def live_runs(self) -> tuple[str, ...]:
        """List the replies of this process whose end has not come."""
        return self._journal.list_live()

    # --- around them ---

    def choose_sibling(self, message_id: str) -> None:
        """Show another version at its place, with the newest that follows it."""
        message = self._store.get_message(message_id)
        leaf_id = self._store.branch_leaf(message_id)
        self._store.update_conversation(message.conversation_id, leaf_id=leaf_id)
        self._hub.publish(ConversationsChanged(message.conversation_id, "sibling"))

    def set_model(self, conversation_id: str, model_id: str) -> None:
        """Let a conversation go on with another model. Raises `ModelError`."""
        model = self._find_model(model_id)
        self._store.update_conversation(conversation_id, model_id=model.id)
        self._hub.publish(ConversationsChanged(conversation_id, "model"))

    def warm_up(self, model_id: str) -> None:
        """Load a model before its first prompt. Raises `ModelError`."""
        self._dispatcher.warm_up(self._make_load(self._find_model(model_id)))

    def load_again(self, model_id: str) -> None:
        """Load a model anew, as the settings say. Raises `ModelError`, `UsageError`."""
        self._placements.forget(model_id)
        self._load_anew(model_id)

    def load_without_gpu(self, model_id: str) -> None:
        """Load a model on the CPU, for this session. Raises `ModelError`, `UsageError`."""
        self._placements.leave_gpu(model_id)
        self._load_anew(model_id)

    def load_shortened(self, model_id: str, n_ctx: int) -> None:
        """Load a model with so long a context, for this session. Raises as `load_again` does."""
        self._placements.shorten(model_id, n_ctx)
        self._load_anew(model_id)

    def continue_without_gpu(self, message_id: str) -> Started:
        """Let a reply that a graphics card cut off go on on the CPU."""
        message = self._store.get_message(message_id)
        conversation = self._store.get_conversation(message.conversation_id)
        self._placements.leave_gpu(self._find_model(self._name_model(conversation)).id)
        return self.continue_reply(message_id)

    def restart_engine(self) -> None:
        """End an engine that does not get on; what it was writing is kept and can go on."""
        self._engine.submit(Restart())

    def _load_anew(self, model_id: str) -> None:
        load = self._make_load(self._find_model(model_id))
        if self.live_runs():
            raise UsageError(
                "A reply is being written.", "Stop it first, or wait for it.", code="reply_running"
            )
        self._engine.submit(Unload())
        self._dispatcher.warm_up(load)

    def delete_forever(self, conversation_id: str) -> None:
        """Erase a conversation, and what the engine keeps of it on the disk."""
        self._trash.delete_forever(conversation_id)

    def read_ahead(
        self, conversation_id: str | None, draft: str, attachments: Sequence[Attachment] = ()
    ) -> None:
        """Let the engine read what the next prompt will begin with, while nothing else is to do.

        Only for the model that is in memory; whatever cannot be read ahead is read when asked.
        """
        self._ahead.read(conversation_id, draft, attachments)

    def count_attachments(self, attachments: Sequence[Attachment]) -> None:
        """Have the loaded model count files; each is told as `AttachmentCounted`."""
        self._counter.ask(attachments)

    def recover(self, *, keep_trash: timedelta = TRASH_KEPT) -> tuple[str, ...]:
        """Mark the replies that a crash cut off, and begin to empty the trash of what is too old.

        Called once, before anything else runs. Returns the ids of the marked replies.
        """
        if self._store.is_read_only:
            return ()
        marked = self._store.mark_interrupted()
        if marked:
            self._hub.publish(ConversationsChanged(None, "recover"))
        self._trash.begin_emptying(keep_trash)
        return marked

    def close(self) -> None:
        """Stop what is live, save it, and stop listening. Idempotent."""
        self._is_closing.set()
        for run_id in reversed(self.live_runs()):  # those that wait for the engine first
            self._dispatcher.stop(run_id)
        self._journal.wait_until_saved(_CLOSE_WAIT_S)
        self._journal.close()
        self._trash.close()
        for unsubscribe in self._unsubscribe:
            unsubscribe()

    # --- inside ---

    def _make_load(self, model: InstalledModel) -> Load:
        self._ahead.note_load(model.id, settings_for(model, self._settings))
        load = make_load(model, self._settings, self._snapshot_folder)
        return self._placements.apply(load)

    def _begin_more(
        self, origin: str, message_id: str, n_replies: int, options: ReplyOptions
    ) -> Started:
        """Begin versions of a reply, beside those that are there."""
        with self._lock:
            message = self._store.get_message(message_id)
            self._check_settled(message)
            user = message
            if message.role == "assistant":
                user = self._store.get_message(_get_parent(message))
            conversation = self._store.get_conversation(message.conversation_id)
            model = self._find_model(self._name_model(conversation))
            replies = self._insist(
                self._store.add_replies,
                conversation.id,
                parent_id=user.id,
                model_id=model.id,
                model_name=model.name,
                n=n_replies,
            )
            return self._begin(origin, user, replies, model, options)

    def _begin(
        self,
        origin: str,
        user: Message,
        replies: Sequence[Message],
        model: InstalledModel,
        options: ReplyOptions,
        thread: tuple[Message, ...] = (),
        *,
        is_new_user: bool = False,
        is_continued: bool = False,
    ) -> Started:
        """Hand replies to the engine; `thread` is what the prompt is made of, if it is known."""
        reply, *others = replies
        conversation = self._store.get_conversation(reply.conversation_id)
        if not thread:
            thread = self._store.thread(conversation.id, reply.id if is_continued else user.id)
        settings = settings_for(model, self._settings)
        messages = build_prompt(
            choose_system_prompt(conversation, options, settings),
            thread,
            is_continued=is_continued,
        )
        sampling = make_sampling(options, settings)
        generates = [
            Generate(
                run_id=each.id,
                messages=messages,
                sampling=drawn,
                max_tokens=choose_max_tokens(options, settings),
                stop=choose_stops(settings),
                continue_last=is_continued,
                scope=conversation.id,
                constraint=options.constraint,
                thinks=choose_thinking(options, self._settings),
                reasoning_budget=choose_reasoning_budget(options, self._settings),
            )
            for each, drawn in zip(replies, spread_sampling(sampling, len(replies)), strict=True)
        ]
        for each in replies:
            self._journal.open(each)
        self._hub.publish(
            MessageStarted(
                user if is_new_user else None,
                reply,
                tuple(others),
                is_freer=is_freer(sampling, len(replies)),
            )
        )
        self._dispatcher.start(self._make_load(model), *generates)
        self._hub.publish(ConversationsChanged(conversation.id, origin))
        return Started(conversation, user, reply, tuple(others))

    def _insist[**P, R](self, write: Callable[P, R], *args: P.args, **options: P.kwargs) -> R:
        """Write as soon as another program lets go of the database."""
        deadline = time.monotonic() + _BUSY_WAIT_S
        while True:
            try:
                return write(*args, **options)
            except StorageError as error:
                if error.code != "busy" or time.monotonic() > deadline:
                    raise
                if self._is_closing.wait(_BUSY_STEP_S):
                    raise

    def _name_model(self, conversation: Conversation) -> str:
        return choose_model_id(conversation, self._settings)

    def _find_model(self, model_id: str) -> InstalledModel:
        model = self._library.find(model_id)
        if model.problem:
            raise ModelError(model.problem, "Choose another model.", code="model_problem")
        return model

    def _read_settled(self, conversation: Conversation) -> tuple[Message, ...]:
        """Read the branch on show, which no reply is being written to."""
        thread = self._store.thread(conversation.id)
        if thread:
            self._check_settled(thread[-1])
        return thread

    def _check_settled(self, message: Message, of: Sequence[str] = ()) -> None:
        """See that no version at a message's place is being written, or none of those named."""
        names = of or (message.id, *message.sibling_ids)
        if message.status == "streaming" or any(map(self._journal.is_open, names)):
            raise UsageError(
                "A reply is still being written here.",
                "Wait for it, or stop it first.",
                code="reply_running",
            )


def _check_said(text: str, files: Sequence[Attachment]) -> None:
    if not text.strip() and not files:
        raise UsageError("There is nothing to send.", code="empty")
    check_attachments(files)


def _name(text: str, files: Sequence[Attachment]) -> str:
    """The title of a conversation that begins with this."""
    return make_title(text) if text.strip() else files[0].name[:TITLE_LENGTH]


def _get_parent(message: Message) -> str:
    if message.parent_id is None:
        raise StorageError("The message before this reply is missing.", code="not_found")
    return message.parent_id
