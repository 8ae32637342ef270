"""Joins the chat page with chat, store and engine: opens, sends, stops, follows live replies.

On the window's thread. What reads or writes the store runs through `Tasks`, in order; what comes
back from chat and engine arrives through the bridge.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from inglenook.app import App
from inglenook.base.errors import UserError
from inglenook.chat.events import ConversationsChanged, MessageStarted, NotSaved, SavedAgain
from inglenook.engine.protocol import Failed, Finished, Meter, Prefill, Stuck
from inglenook.gui.bridge import Bridge
from inglenook.gui.chat_page import ChatPage
from inglenook.gui.composer_parts import TIGHT_SHARE
from inglenook.gui.drafts import EMPTY, Draft
from inglenook.gui.formats import format_count
from inglenook.gui.live import DraftSet, LiveRun, LiveRuns
from inglenook.gui.reply_actions import N_DRAFTS, ReplyActions
from inglenook.gui.sidebar.rows import clean_title
from inglenook.gui.starters import Opening
from inglenook.gui.tasks import Tasks
from inglenook.gui.transcript import prepare_views
from inglenook.gui.waits import Waits
from inglenook.gui.writing import Writing
from inglenook.store.records import Conversation, Message

if TYPE_CHECKING:
    from inglenook.chat.chat import Started

log = logging.getLogger(__name__)

type Branch = tuple[tuple[Message, ...], tuple[Message, ...]]
"""The messages on show, and the drafts of which the last one is one."""


@dataclass(slots=True, eq=False)
class _Sending:
    """A message on its way into the store; its reply is not known yet."""

    conversation_id: str | None
    is_stopped: bool = False
    """Whether the reply is to be stopped as soon as it is known."""


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
        self.writing = Writing(app, page, tasks, bridge, lambda: self.conversation_id, self)
        self.waits = Waits(page.transcript, live, lambda: self.conversation_id, self)
        self._opening = Opening(self)
        self._actions = ReplyActions(
            app, page, tasks, bridge, live, lambda: self.conversation_id, self
        )
        self.conversation: Conversation | None = None
        self._picked_model_id: str | None = None
        self._wanted_id = ""
        self._unsaved: set[str] = set()
        self._reply_id = ""
        """The reply whose numbers are shown, one of them where there are several drafts."""
        self._sending: list[_Sending] = []
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
        self.writing.leave()
        self._wanted_id = ""
        self._show_conversation(None)
        self._show_empty(greets=greets)
        self.writing.enter(None)
        self._page.composer.focus_input()
        self.opened.emit("")

    def open(self, conversation_id: str, message_id: str | None = None) -> None:
        """Show a conversation, at a message where one is named."""
        if conversation_id == self.conversation_id and message_id is None:
            self._wanted_id = conversation_id
            self.writing.stay()
            self._page.composer.focus_input()
            return
        if conversation_id != self.conversation_id:
            self.writing.leave()
        self._open(conversation_id, message_id)

    def _open(self, conversation_id: str, message_id: str | None = None) -> None:
        """Read it and show it. Who has begun a new one meanwhile, and chose none, stays in that."""
        self._wanted_id = conversation_id
        read = self._make_reader(conversation_id)

        def work() -> tuple[Conversation, Branch, Draft]:
            prepare_views()
            store = self._app.store
            if message_id is not None:
                leaf_id = store.branch_leaf(message_id)
                store.update_conversation(conversation_id, leaf_id=leaf_id)
            conversation = store.get_conversation(conversation_id)
            files = store.list_draft_attachments(conversation_id)
            return conversation, read(), Draft(conversation.draft, files)

        def done(answer: tuple[Conversation, Branch, Draft]) -> None:
            if self._wanted_id != conversation_id:
                return
            if self.conversation is None and self.writing.has_begun:
                self._stay_in_new()
                return
            conversation, (messages, drafts), stored = answer
            is_other = conversation.id != self.conversation_id
            self._show_conversation(conversation)
            self._show_thread(messages, drafts)
            if is_other:
                self.writing.enter(conversation_id, stored)
            else:
                self.writing.stay()
            if message_id is not None:
                self._page.transcript.scroll_to_message(message_id)
            self._page.composer.focus_input()
            self.opened.emit(conversation_id)
            self.writing.read_ahead_soon()
            log.debug("a conversation is shown, of %d messages", len(messages))

        def failed(error: UserError) -> None:
            if self._wanted_id == conversation_id:
                self._wanted_id = self.conversation_id or ""
                self.writing.stay()
                self.opened.emit(self._wanted_id)
            self._show_error(error)

        self._tasks.run(work, done, failed, owner=self, in_order=True)

    def open_last(self, conversation_id: str) -> None:
        """Show what was open at the end of the last session, if it is still there.

        Whoever has begun to write by then stays in the new conversation.
        """
        self._wanted_id = conversation_id

        def done(conversation: Conversation | None) -> None:
            if self._wanted_id != conversation_id:
                return
            is_there = conversation is not None and conversation.deleted_at is None
            if is_there and not self.writing.has_begun:
                self._open(conversation_id)
            else:
                self._stay_in_new()

        self._tasks.run(
            lambda: self._app.store.get_conversation(conversation_id),
            done,
            lambda _: done(None),
            owner=self,
        )

    def _stay_in_new(self) -> None:
        self._wanted_id = ""
        self._show_empty()

    def on_conversation_changed(self, conversation: Conversation) -> None:
        """Take a new title or model of the conversation on show."""
        if conversation.id == self.conversation_id:
            self._show_conversation(conversation)

    def on_conversation_deleted(self, conversation_id: str) -> None:
        """Leave a conversation that was deleted."""
        for run in self._live.all_of(conversation_id):
            self._app.chat.stop(run.reply.id)
        if conversation_id == self.conversation_id:
            self.open_new()  # What was to be said there stays with it, should it come back.

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
        self.writing.close()

    # --- what the person asks for ---

    def send(self, text: str, n_drafts: int = 1) -> None:
        """Send a message; the composer is emptied at once and gets its text back on failure."""
        composer = self._page.composer
        if not (text.strip() or composer.chips.files):
            return
        if self._live.of_conversation(self.conversation_id) is not None:
            composer.set_text(text)
            return
        if held_back := self._explain_wait():
            composer.set_text(text)
            composer.set_notice(held_back)
            return
        conversation_id, model_id = self.conversation_id, self.model_id
        self._page.notice.hide()
        files = self.writing.take_files()
        composer.set_running(True)
        sending = _Sending(conversation_id)
        self._sending.append(sending)
        if conversation_id is None:
            self._wanted_id = ""  # what is still being opened would hide what was just begun
        wanted = self._wanted_id

        def done(started: "Started") -> None:
            self._sending.remove(sending)
            self._bridge.drain()
            if sending.is_stopped:
                self._actions.stop(reply.id for reply in started.replies)
            if conversation_id is None and self._wanted_id == wanted:
                self._wanted_id = started.conversation.id
                self._show_conversation(started.conversation)
                self.writing.settle()
                self._show_thread((started.user, started.reply), started.replies)
                self.opened.emit(started.conversation.id)
            self._update_running()

        def failed(error: UserError) -> None:
            self._sending.remove(sending)
            self.writing.give_back(conversation_id, Draft(text, files))
            self._update_running()
            self._show_error(error)

        self._tasks.run(
            lambda: self._app.chat.send(
                conversation_id,
                text,
                model_id=model_id,
                n_drafts=n_drafts,
                attachments=files,
            ),
            done,
            failed,
            owner=self,
            in_order=True,
        )

    def _send_starter(self, text: str) -> None:
        """Send a question that is offered; what stands in the composer stays there."""
        draft = self._page.composer.draft()
        self._page.composer.set_draft(EMPTY)
        self.send(text)
        if draft:
            self.writing.give_back(self.conversation_id, draft)

    def _explain_wait(self) -> str:
        """Why nothing can be sent now; empty where it can."""
        if self._page.transcript.drafts():
            return self.tr("Keep one of the drafts first: the conversation goes on with that one.")
        if self.writing.attachments.hold_up():
            return self.tr(
                "The files are still being read. Press Enter again to send without them."
            )
        return ""

    def send_drafts(self, text: str) -> None:
        """Send a message and have several drafts of the reply written side by side."""
        self.send(text, N_DRAFTS)

    def stop(self) -> None:
        """Stop the reply of the conversation on show, and all drafts of it, begun or not."""
        for sending in self._sending:
            sending.is_stopped |= sending.conversation_id == self.conversation_id
        self._actions.stop(run.reply.id for run in self._live.all_of(self.conversation_id))

    def keep_by_number(self, number: int) -> None:
        """Keep one of the drafts on show, counted from 1."""
        drafts = self._page.transcript.drafts()
        if 1 <= number <= len(drafts):
            self.keep_draft(drafts[number - 1].id)

    def keep_draft(self, message_id: str) -> None:
        """Go on with one draft: those still being written stop, and stay as its versions."""
        drafts = next((d for d in self._sets() if message_id in d.ids), None)
        if drafts is None:
            return
        others = [i for i in drafts.ids if i != message_id and self._live.find(i) is not None]
        chat, read = self._app.chat, self._make_reader(drafts.conversation_id)

        def work() -> Branch:
            chat.choose_sibling(message_id)
            for other in others:
                chat.stop(other)
            return read()

        def done(branch: Branch) -> None:
            self._live.drop_set(drafts)
            if self.conversation_id == drafts.conversation_id:
                self._page.composer.set_notice("")
                self._show_thread(branch[0])

        self._run(work, done)

    def choose_sibling(self, message_id: str) -> None:
        """Show another version at one place of the conversation."""
        conversation_id = self.conversation_id
        if conversation_id is None:
            return

        read = self._make_reader(conversation_id)

        def work() -> Branch:
            self._app.chat.choose_sibling(message_id)
            return read()

        def done(branch: Branch) -> None:
            if self.conversation_id == conversation_id:
                self._show_thread(*branch)
                self._page.transcript.scroll_to_message(message_id)

        self._run(work, done)

    # --- showing ---

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
        self._page.composer.set_choices(0)
        self._page.composer.set_context(0, 0)
        self._tell_shown(None)

    def _show_thread(self, messages: tuple[Message, ...], drafts: tuple[Message, ...] = ()) -> None:
        merged = self._live.merge(messages)
        if not merged:
            self._show_empty()
            return
        transcript = self._page.transcript
        kept_open = self._live.set_of(merged[-1])  # One may have been kept since they were read.
        shown = self._live.merge(drafts) if kept_open is not None else ()
        transcript.show_thread(merged, shown, self._choose_note(kept_open))
        self._page.composer.set_has_messages(True)
        self._page.composer.set_choices(len(shown))
        for message in (*merged, *shown):
            if message.id in self._unsaved:
                transcript.mark_not_saved(message.id, True)
        replies = [m for m in merged if m.role == "assistant"]
        last = replies[-1] if replies else None
        self._show_context_of(last)
        self._tell_shown(last)
        self._update_running()
        for run in self._live.all_of(self.conversation_id):
            self._show_progress_of(run)

    def _show_progress_of(self, run: LiveRun) -> None:
        """Say of a live reply on show what it does, or what it waits for."""
        if run.thinks_since and not run.pieces:
            self._page.transcript.append_reasoning(run.reply.id, "", run.n_tokens, run.thinks_since)
        if run.meter is not None:
            self._on_meter(run.meter)
        elif run.prefill is not None and not run.n_tokens:
            self._on_prefill(run.prefill)
        elif not run.has_begun:
            self.waits.show_wait_of(run)

    def _tell_shown(self, reply: Message | None) -> None:
        self._reply_id = reply.id if reply is not None else ""
        self.reply_shown.emit(reply)

    def _on_draft_shown(self, message_id: str) -> None:
        """Another draft is looked at: its numbers are shown."""
        shown = next((m for m in self._page.transcript.drafts() if m.id == message_id), None)
        if shown is not None:
            self._show_context_of(shown)
            self._tell_shown(shown)

    def _choose_note(self, drafts: DraftSet | None) -> str:
        if drafts is None or not drafts.is_freer:
            return ""
        return self.tr(
            "At temperature 0 the drafts would all be alike, so these are drawn at the "
            "model's own temperature."
        )

    def _sets(self) -> tuple[DraftSet, ...]:
        return self._live.sets_of(self.conversation_id or "")

    def _make_reader(self, conversation_id: str) -> Callable[[], Branch]:
        """What reads the branch on show, and the drafts at its end, on a worker thread."""
        sets = {drafts.parent_id: drafts.ids for drafts in self._live.sets_of(conversation_id)}
        store = self._app.store

        def read() -> Branch:
            messages = store.thread(conversation_id)
            last = messages[-1] if messages else None
            ids = sets.get(last.parent_id or "", ()) if last is not None else ()
            drafts = tuple(map(store.get_message, ids)) if last and last.id in ids else ()
            return messages, drafts

        return read

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

    def _update_running(self) -> None:
        runs = self._live.all_of(self.conversation_id)
        self._page.composer.set_running(bool(runs))
        if runs and all(run.is_over for run in runs):
            self._page.composer.set_ending()

    def _show_error(self, error: UserError) -> None:
        self._page.composer.set_notice(str(error), "bad")

    def _run[T](self, work: Callable[[], T], done: Callable[[T], None]) -> None:
        self._tasks.run(work, done, self._show_error, owner=self, in_order=True)

    # --- what happens ---

    def _connect_page(self) -> None:
        transcript, composer = self._page.transcript, self._page.composer
        transcript.draft_kept.connect(self.keep_draft)
        transcript.draft_shown.connect(self._on_draft_shown)
        transcript.sibling_chosen.connect(self.choose_sibling)
        transcript.starter_chosen.connect(self._send_starter)
        composer.submitted.connect(self.send)
        composer.drafts_requested.connect(self.send_drafts)
        composer.choice_made.connect(self.keep_by_number)
        composer.stop_requested.connect(self.stop)
        composer.edit_last_requested.connect(transcript.edit_last)

    def _connect_events(self) -> None:
        self._live.started.connect(self._on_started)
        self._live.finished.connect(self._on_finished)
        self._live.changed.connect(self._on_runs_changed)
        self._bridge.text_arrived.connect(self._on_text)
        self._bridge.reasoning_arrived.connect(self._on_reasoning)
        self._bridge.prefill_moved.connect(self._on_prefill)
        self._bridge.meter_moved.connect(self._on_meter)
        self._bridge.run_ended.connect(self._on_ended)
        self._bridge.engine_changed.connect(self._on_engine_changed)
        self._bridge.happened.connect(self._on_event)

    def _is_on_show(self, run_id: str) -> bool:
        run = self._live.find(run_id)
        return run is not None and run.conversation_id == self.conversation_id

    def _on_started(self, event: MessageStarted) -> None:
        """A reply began: a new exchange, another version, or one that goes on."""
        self.waits.say_turns_soon([reply.id for reply in event.replies])
        if event.reply.conversation_id != self.conversation_id:
            return
        self._page.composer.set_has_messages(True)
        if event.others:
            note = self._choose_note(self._live.set_of(event.reply))
            self._page.transcript.add_drafts(event.user, event.replies, note)
        else:
            self._page.transcript.add_exchange(event.user, event.reply)
        self._page.composer.set_choices(len(self._page.transcript.drafts()))
        self._tell_shown(event.reply)

    def _on_finished(self, message: Message) -> None:
        if message.conversation_id != self.conversation_id:
            return
        self._page.transcript.update_message(message)
        if message.id == self._reply_id:
            self._show_context_of(message)
            self._tell_shown(message)

    def _on_runs_changed(self) -> None:
        self._update_running()
        if self._live.of_conversation(self.conversation_id) is None:
            self._page.composer.send_due()

    def _on_text(self, run_id: str, piece: str, n_tokens: int) -> None:
        if self._is_on_show(run_id):
            self._page.transcript.append_text(run_id, piece, n_tokens)

    def _on_reasoning(self, run_id: str, piece: str, n_tokens: int) -> None:
        run = self._live.find(run_id)
        if run is not None and self._is_on_show(run_id):
            self._page.transcript.append_reasoning(run_id, piece, n_tokens, run.thinks_since)

    def _on_prefill(self, event: Prefill) -> None:
        if not self._is_on_show(event.run_id):
            return
        for run_id in (event.run_id, *self._list_sharing(event.run_id)):
            self._page.transcript.set_prefill(run_id, event.n_done, event.n_prompt, event.n_cached)

    def _on_meter(self, event: Meter) -> None:
        if self._is_on_show(event.run_id):
            self._page.transcript.set_meter(event.run_id, event)
        if event.run_id == self._reply_id:
            self._page.composer.set_context(event.n_context, event.n_ctx)

    def _on_ended(self, event: Finished | Failed) -> None:
        if event.run_id == self._reply_id and isinstance(event, Finished):
            used = event.usage.prompt_tokens + event.usage.output_tokens
            self._page.composer.set_context(used, event.usage.n_ctx)
        self._update_running()

    def _list_sharing(self, run_id: str) -> list[str]:
        """The drafts for which this one's prompt is read, too, and which have not begun."""
        drafts = next((d for d in self._sets() if run_id in d.ids), None)
        runs = [self._live.find(i) for i in drafts.ids if i != run_id] if drafts else []
        return [run.reply.id for run in runs if run is not None and not run.has_begun]

    def _on_engine_changed(self, event: object) -> None:
        if isinstance(event, Stuck):
            for run_id in event.run_ids:
                self._page.transcript.set_stuck(run_id, event.silent_s > 0)

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
