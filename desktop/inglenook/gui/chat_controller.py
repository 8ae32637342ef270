"""Joins the chat page with chat, store and engine: opens, sends, stops, follows live replies.

On the window's thread. What reads or writes the store runs through `Tasks`, in order; what comes
back from chat and engine arrives through the bridge.
"""

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer, Signal

from inglenook.app import App
from inglenook.base.errors import UserError
from inglenook.chat.events import ConversationsChanged, MessageStarted, NotSaved, SavedAgain
from inglenook.engine.protocol import Failed, Finished, Meter, Prefill
from inglenook.gui.bridge import Bridge
from inglenook.gui.chat_page import ChatPage
from inglenook.gui.composer import TIGHT_SHARE
from inglenook.gui.drafts import Drafts
from inglenook.gui.formats import format_count
from inglenook.gui.live import LiveRuns
from inglenook.gui.sidebar.rows import clean_title
from inglenook.gui.starters import Opening
from inglenook.gui.tasks import Tasks
from inglenook.gui.transcript import prepare_views
from inglenook.store.records import Conversation, Message

if TYPE_CHECKING:
    from inglenook.chat.chat import Started

log = logging.getLogger(__name__)

READ_AHEAD_MS = 300
"""So long after the last key, or the opening of a conversation, the engine begins to read."""


class ChatController(QObject):
    """What the window shows of one conversation at a time.

    Signals: `opened(conversation_id | "")`, `model_wanted(model_id)` when the model of the
    conversation on show changed, `reply_shown(Message | None)` with the last reply on show.
    """

    opened = Signal(str)
    model_wanted = Signal(str)
    reply_shown = Signal(object)

    def __init__(
        self,
        app: App,
        page: ChatPage,
        tasks: Tasks,
        bridge: Bridge,
        live: LiveRuns,
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self._app = app
        self._page = page
        self._tasks = tasks
        self._bridge = bridge
        self._live = live
        self._drafts = Drafts(app, tasks, self)
        self._opening = Opening(self)
        self.conversation: Conversation | None = None
        self._picked_model_id: str | None = None
        self._wanted_id = ""
        self._unsaved: set[str] = set()
        self._n_sending = 0
        self._ahead = QTimer(self)
        self._ahead.setSingleShot(True)
        self._ahead.setInterval(READ_AHEAD_MS)
        self._ahead.timeout.connect(self._read_ahead)
        self._connect_page()
        self._connect_events()

    # --- which conversation ---

    @property
    def conversation_id(self) -> str | None:
        """The conversation on show, None for a new one."""
        return self.conversation.id if self.conversation is not None else None

    @property
    def model_id(self) -> str:
        """The model that the next reply will be written with."""
        chosen = self.conversation.model_id if self.conversation is not None else ""
        default = str(self._app.settings.get("models.default"))
        return self._picked_model_id or chosen or default

    def open_new(self, *, greets: bool = True) -> None:
        """Show an empty conversation; it is stored with its first message."""
        self._drafts.keep(self.conversation_id, self._page.composer.text())
        self._wanted_id = ""
        self._show_conversation(None)
        self._show_empty(greets=greets)
        self._page.composer.set_text(self._drafts.of(None))
        self._page.composer.focus_input()
        self.opened.emit("")

    def open(self, conversation_id: str, message_id: str | None = None) -> None:
        """Show a conversation, at a message where one is named."""
        if conversation_id == self.conversation_id and message_id is None:
            self._page.composer.focus_input()
            return
        self._drafts.keep(self.conversation_id, self._page.composer.text())
        self._wanted_id = conversation_id

        def work() -> tuple[Conversation, tuple[Message, ...]]:
            prepare_views()
            store = self._app.store
            if message_id is not None:
                leaf_id = store.branch_leaf(message_id)
                store.update_conversation(conversation_id, leaf_id=leaf_id)
            return store.get_conversation(conversation_id), store.thread(conversation_id)

        def done(answer: tuple[Conversation, tuple[Message, ...]]) -> None:
            if self._wanted_id != conversation_id:
                return
            conversation, messages = answer
            is_other = conversation.id != self.conversation_id
            self._show_conversation(conversation)
            self._show_thread(messages)
            if is_other:
                draft = self._drafts.of(conversation_id)
                self._page.composer.set_text(draft or conversation.draft)
            if message_id is not None:
                self._page.transcript.scroll_to_message(message_id)
            self._page.composer.focus_input()
            self.opened.emit(conversation_id)
            self._ahead.start()
            log.debug("a conversation is shown, of %d messages", len(messages))

        self._run(work, done)

    def open_last(self, conversation_id: str) -> None:
        """Show what was open at the end of the last session, if it is still there.

        Whoever has begun to write by then stays in the new conversation.
        """
        self._wanted_id = conversation_id

        def done(conversation: Conversation | None) -> None:
            if self._wanted_id != conversation_id:
                return
            is_there = conversation is not None and conversation.deleted_at is None
            if is_there and not self._page.composer.text():
                self.open(conversation_id)
            else:
                self._wanted_id = ""
                self._show_empty()

        self._tasks.run(
            lambda: self._app.store.get_conversation(conversation_id),
            done,
            lambda _: done(None),
            owner=self,
        )

    def on_conversation_changed(self, conversation: Conversation) -> None:
        """Take a new title or model of the conversation on show."""
        if conversation.id == self.conversation_id:
            self._show_conversation(conversation)

    def on_conversation_deleted(self, conversation_id: str) -> None:
        """Leave a conversation that was deleted."""
        if (run := self._live.of_conversation(conversation_id)) is not None:
            self._app.chat.stop(run.reply.id)
        if conversation_id == self.conversation_id:
            self.conversation = None
            self._page.composer.set_text("")
            self.open_new()

    def choose_model(self, model_id: str) -> None:
        """Talk with another model from the next message on, and load it when nothing runs."""
        conversation_id = self.conversation_id
        self._picked_model_id = model_id  # A message sent before it is stored is meant for it too.
        self.model_wanted.emit(model_id)
        if conversation_id is None:
            self._show_empty()

        def work() -> Conversation | None:
            conversation = None
            if conversation_id is None:
                self._app.settings.set("models.default", model_id)
            else:
                self._app.chat.set_model(conversation_id, model_id)
                conversation = self._app.store.get_conversation(conversation_id)
            if not self._app.chat.live_runs():
                self._app.chat.warm_up(model_id)
            return conversation

        def done(conversation: Conversation | None) -> None:
            if conversation is not None:
                self.on_conversation_changed(conversation)

        self._page.notice.hide()
        self._run(work, done)

    def close(self) -> None:
        """Keep the draft that is being written."""
        self._drafts.keep(self.conversation_id, self._page.composer.text())
        self._drafts.save_all()

    # --- what the person asks for ---

    def send(self, text: str) -> None:
        """Send a message; the composer is emptied at once and gets its text back on failure."""
        if not text.strip() or self._live.of_conversation(self.conversation_id) is not None:
            return
        conversation_id, model_id = self.conversation_id, self.model_id
        self._page.notice.hide()
        self._page.composer.set_notice("", "quiet")
        self._page.composer.set_text("")
        self._page.composer.set_running(True)
        self._drafts.clear(conversation_id)
        self._n_sending += 1
        if conversation_id is None:
            self._wanted_id = ""  # what is still being opened would hide what was just begun
        wanted = self._wanted_id

        def done(started: "Started") -> None:
            self._n_sending -= 1
            self._bridge.drain()
            if conversation_id is None and self._wanted_id == wanted:
                self._wanted_id = started.conversation.id
                self._show_conversation(started.conversation)
                self._show_thread(self._with_user(started))
                self.opened.emit(started.conversation.id)
            self._update_running()

        def failed(error: UserError) -> None:
            self._n_sending -= 1
            if self.conversation_id == conversation_id and not self._page.composer.text():
                self._page.composer.set_text(text)
            self._update_running()
            self._show_error(error)

        self._tasks.run(
            lambda: self._app.chat.send(conversation_id, text, model_id=model_id),
            done,
            failed,
            owner=self,
            in_order=True,
        )

    def stop(self) -> None:
        """Stop the reply of the conversation on show."""
        if (run := self._live.of_conversation(self.conversation_id)) is not None:
            run_id = run.reply.id
            self._tasks.run(lambda: self._app.chat.stop(run_id), None, self._show_error)

    def retry(self, message_id: str) -> None:
        """Write another version of a reply; the earlier ones stay."""
        self._start(lambda: self._app.chat.retry(message_id))

    def edit(self, message_id: str, text: str) -> None:
        """Ask differently; the earlier question and its replies stay as another version."""
        self._start(lambda: self._app.chat.edit(message_id, text))

    def continue_reply(self, message_id: str) -> None:
        """Go on where a reply was cut off."""
        self._start(lambda: self._app.chat.continue_reply(message_id))

    def choose_sibling(self, message_id: str) -> None:
        """Show another version at one place of the conversation."""
        conversation_id = self.conversation_id
        if conversation_id is None:
            return

        def work() -> tuple[Message, ...]:
            self._app.chat.choose_sibling(message_id)
            return self._app.store.thread(conversation_id)

        def done(messages: tuple[Message, ...]) -> None:
            if self.conversation_id == conversation_id:
                self._show_thread(messages)
                self._page.transcript.scroll_to_message(message_id)

        self._run(work, done)

    # --- showing ---

    def _start(self, begin: "Callable[[], Started]") -> None:
        conversation_id = self.conversation_id
        if conversation_id is None:
            return
        if self._live.of_conversation(conversation_id) is not None:
            self._page.composer.set_notice(self.tr("Stop the reply first."), "quiet")
            return
        self._page.notice.hide()

        self._run(begin, lambda _: self._bridge.drain())

    def _show_conversation(self, conversation: Conversation | None) -> None:
        is_other = conversation is None or conversation.id != self.conversation_id
        is_stored = conversation is not None and conversation.model_id == self._picked_model_id
        if is_other or is_stored:
            self._picked_model_id = None
        self.conversation = conversation
        if conversation is not None:
            self._page.set_title(clean_title(conversation.title, self.tr))
        else:
            self._page.set_title("")
        self._page.composer.set_notice("", "quiet")
        self._page.notice.hide()
        self.model_wanted.emit(self.model_id)
        self._update_running()

    def _show_empty(self, *, greets: bool = True) -> None:
        if greets:
            self._page.transcript.show_empty(*self._opening.make(self.model_id))
        else:
            self._page.transcript.clear()
        self._page.composer.set_has_messages(False)
        self._page.composer.set_context(0, 0)
        self.reply_shown.emit(None)

    def _show_thread(self, messages: tuple[Message, ...]) -> None:
        merged = self._live.merge(messages)
        if not merged:
            self._show_empty()
            return
        transcript = self._page.transcript
        transcript.show_thread(merged)
        self._page.composer.set_has_messages(True)
        for message in merged:
            if message.id in self._unsaved:
                transcript.mark_not_saved(message.id, True)
        replies = [m for m in merged if m.role == "assistant"]
        last = replies[-1] if replies else None
        self._show_context_of(last)
        self.reply_shown.emit(last)
        self._update_running()
        run = self._live.of_conversation(self.conversation_id)
        if run is not None and run.prefill is not None and not run.n_tokens:
            self._on_prefill(run.prefill)

    def _show_context_of(self, reply: Message | None) -> None:
        statistics = reply.statistics if reply is not None else None
        if statistics is not None and statistics.n_ctx:
            used = statistics.prompt_tokens + statistics.output_tokens
            self._page.composer.set_context(used, statistics.n_ctx)
            n_left = statistics.n_ctx - used
            if n_left < (1 - TIGHT_SHARE) * statistics.n_ctx:
                text = self.tr(
                    "The context is nearly full: {n} tokens are left for your next message and "
                    "its reply. Settings > Engine gives more; a new conversation starts afresh."
                )
                self._page.composer.set_notice(text.replace("{n}", format_count(max(0, n_left))))

    def _with_user(self, started: "Started") -> tuple[Message, ...]:
        return (started.user, started.reply)

    def _update_running(self) -> None:
        run = self._live.of_conversation(self.conversation_id)
        self._page.composer.set_running(run is not None)

    def _show_error(self, error: UserError) -> None:
        self._page.composer.set_notice(str(error), "bad")

    def _run[T](self, work: Callable[[], T], done: Callable[[T], None]) -> None:
        self._tasks.run(work, done, self._show_error, owner=self, in_order=True)

    # --- what happens ---

    def _connect_page(self) -> None:
        transcript, composer = self._page.transcript, self._page.composer
        transcript.retry_requested.connect(self.retry)
        transcript.edit_requested.connect(self.edit)
        transcript.continue_requested.connect(self.continue_reply)
        transcript.sibling_chosen.connect(self.choose_sibling)
        transcript.starter_chosen.connect(self.send)
        composer.submitted.connect(self.send)
        composer.stop_requested.connect(self.stop)
        composer.edit_last_requested.connect(transcript.edit_last)
        composer.draft_changed.connect(self._on_draft_changed)

    def _connect_events(self) -> None:
        self._live.started.connect(self._on_started)
        self._live.finished.connect(self._on_finished)
        self._live.changed.connect(self._update_running)
        self._bridge.text_arrived.connect(self._on_text)
        self._bridge.prefill_moved.connect(self._on_prefill)
        self._bridge.meter_moved.connect(self._on_meter)
        self._bridge.run_ended.connect(self._on_ended)
        self._bridge.happened.connect(self._on_event)

    def _on_draft_changed(self, text: str) -> None:
        self._drafts.change(self.conversation_id, text)
        self._ahead.start()

    def _read_ahead(self) -> None:
        """Let the engine read what is there so far; nobody waits for this, so failures are none."""
        conversation_id, draft = self.conversation_id, self._page.composer.text()
        if conversation_id is not None or draft:
            self._tasks.run(
                lambda: self._app.chat.read_ahead(conversation_id, draft), failed=lambda _: None
            )

    def _is_on_show(self, run_id: str) -> bool:
        run = self._live.find(run_id)
        return run is not None and run.conversation_id == self.conversation_id

    def _on_started(self, event: MessageStarted) -> None:
        """A reply began: a new exchange, another version, or one that goes on."""
        if event.reply.conversation_id != self.conversation_id:
            return
        self._page.composer.set_has_messages(True)
        self._page.transcript.add_exchange(event.user, event.reply)
        self.reply_shown.emit(event.reply)

    def _on_finished(self, message: Message) -> None:
        if message.conversation_id != self.conversation_id:
            return
        self._page.transcript.update_message(message)
        self._show_context_of(message)
        self.reply_shown.emit(message)

    def _on_text(self, run_id: str, piece: str, n_tokens: int) -> None:
        if self._is_on_show(run_id):
            self._page.transcript.append_text(run_id, piece, n_tokens)

    def _on_prefill(self, event: Prefill) -> None:
        if self._is_on_show(event.run_id):
            self._page.transcript.set_prefill(
                event.run_id, event.n_done, event.n_prompt, event.n_cached
            )

    def _on_meter(self, event: Meter) -> None:
        if self._is_on_show(event.run_id):
            self._page.transcript.set_meter(event.run_id, event)
            self._page.composer.set_context(event.n_context, event.n_ctx)

    def _on_ended(self, event: Finished | Failed) -> None:
        if self._is_on_show(event.run_id) and isinstance(event, Finished):
            used = event.usage.prompt_tokens + event.usage.output_tokens
            self._page.composer.set_context(used, event.usage.n_ctx)

    def show_waiting(self, text: str) -> None:
        """Say what a reply that has no text yet waits for; empty when for nothing."""
        run = self._live.of_conversation(self.conversation_id)
        if run is not None and not run.n_tokens and run.prefill is None:
            self._page.transcript.set_waiting(run.reply.id, text)

    def _on_event(self, event: object) -> None:
        match event:
            case NotSaved():
                self._unsaved.add(event.message_id)
                self._page.transcript.mark_not_saved(event.message_id, True)
                self._page.notice.set_surface("bad")
                text = self.tr("{reason} The reply goes on in memory, and is saved as soon as ")
                text += self.tr("that is possible.")
                self._page.notice.show_notice(text.replace("{reason}", event.reason))
            case SavedAgain():
                for message_id in self._unsaved:
                    self._page.transcript.mark_not_saved(message_id, False)
                self._unsaved.clear()
                self._page.notice.hide()
            case ConversationsChanged(conversation_id=changed) if changed == self.conversation_id:
                self._refresh_title()
            case _:
                pass

    def _refresh_title(self) -> None:
        conversation_id = self.conversation_id
        if conversation_id is None:
            return

        def done(conversation: Conversation) -> None:
            if conversation.id == self.conversation_id:
                self.conversation = conversation
                self._page.set_title(clean_title(conversation.title, self.tr))

        self._tasks.run(
            lambda: self._app.store.get_conversation(conversation_id),
            done,
            lambda _: None,
            owner=self,
        )
