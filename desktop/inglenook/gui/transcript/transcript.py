"""The transcript: the messages of the shown branch, live while a reply streams.

The window tells it what to show and what arrived (`window` connects the bridge's signals to these
methods); it answers by signals. All on the window's thread.
"""

import time
from collections.abc import Sequence
from typing import Final, override

from PySide6.QtCore import QEvent, Qt, QTimer, Signal
from PySide6.QtGui import QAccessible, QAccessibleAnnouncementEvent, QResizeEvent
from PySide6.QtWidgets import QWidget

from inglenook.engine.protocol import Meter
from inglenook.gui.drafts import Draft
from inglenook.gui.formats import format_count, format_time_left
from inglenook.gui.theme import Theme
from inglenook.gui.transcript.column import MessageColumn
from inglenook.gui.transcript.drafts_view import DraftsView
from inglenook.gui.transcript.empty_state import EmptyState
from inglenook.gui.transcript.end_button import EndButton
from inglenook.gui.transcript.formats import Formats
from inglenook.gui.transcript.highlight import Colourist
from inglenook.gui.transcript.prefill import PrefillClock
from inglenook.gui.transcript.reply import ReplyView
from inglenook.gui.transcript.thread import KEPT_LIMIT, STEP, STRETCH, Entry, Thread
from inglenook.gui.transcript.user_card import UserCard
from inglenook.store.records import Attachment, Message

_MARGIN_PX: Final = 700
"""Messages are realised this far beyond the visible part."""

type MessageView = UserCard | ReplyView | DraftsView


class Transcript(QWidget):
    """One conversation's messages, or a greeting.

    Signals: `retry_requested(id)`, `drafts_requested(id)`, `edit_requested(id, text, files)`,
    `file_opened(Attachment)`, `files_wanted(id, paths)` for a message that is being edited,
    `continue_requested(id)`, `stop_requested(id)` and `draft_kept(id)` for one of several drafts,
    `draft_shown(id)` when another one is looked at, `sibling_chosen(id)`,
    `starter_chosen(text)`, `stronger_model_requested()`,
    `link_requested(address)` for a web or mail address that one clicked.
    """

    retry_requested = Signal(str)
    drafts_requested = Signal(str)
    stop_requested = Signal(str)
    draft_kept = Signal(str)
    draft_shown = Signal(str)
    edit_requested = Signal(str, str, object)
    file_opened = Signal(object)
    files_wanted = Signal(str, object)
    continue_requested = Signal(str)
    help_requested = Signal(str, str)
    sibling_chosen = Signal(str)
    starter_chosen = Signal(str)
    stronger_model_requested = Signal()
    link_requested = Signal(str)

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._colourist = Colourist()
        self._formats = Formats(theme, self._colourist)
        self._thread = Thread()
        self._views: dict[str, MessageView] = {}
        self._clocks: dict[str, PrefillClock] = {}
        self._edits: dict[str, tuple[Draft, bool]] = {}
        """Messages being edited that have no view, and whether the keyboard was there."""
        self.setAccessibleName(self.tr("Conversation"))
        self.column = MessageColumn(theme, self)
        self.column.setAccessibleName(self.tr("Messages"))
        self.column.scrolled.connect(self._on_scrolled)
        self.empty_state = EmptyState(theme, self)
        self.empty_state.starter_chosen.connect(self.starter_chosen)
        self.empty_state.stronger_model_requested.connect(self.stronger_model_requested)
        self.empty_state.hide()
        self._end_button = EndButton(theme, self)
        self._end_button.clicked.connect(self._on_end_clicked)
        self._end_button.hide()
        self._filler = QTimer(self, interval=0)
        self._filler.timeout.connect(self._fill_some)
        theme.changed.connect(self._on_theme_changed)

    # --- whole threads ---

    def show_thread(
        self, messages: Sequence[Message], drafts: Sequence[Message] = (), note: str = ""
    ) -> None:
        """Show the messages of a branch, root to leaf; what is shown already stays in place.

        `drafts` stand side by side in the place of the last message, which is one of them; `note`
        is said above them.
        """
        self.empty_state.hide()
        self.column.show()
        was_shown = {entry.message.id for entry in self._thread.entries}
        drafts_top = self._find_drafts_top()
        same = self._thread.set_messages(messages, drafts, note)
        known = {message.id for message in messages} & was_shown
        self._drop_views_from(same)
        if not known:
            self._thread.first = self._thread.last = len(messages)
            self.column.go_to_end()
        elif self._thread.last < same:
            pass
        else:
            self._realise_end()
        self._fill_visible()
        if not known:
            self.column.go_to_end()
            if drafts:
                self._begin_at_drafts()
        elif drafts_top is not None and messages[-1].id in self._views and not drafts:
            self.column.put_at(self._views[messages[-1].id], drafts_top)

    def clear(self) -> None:
        """Show nothing."""
        self._thread.truncate(0)
        self._drop_views_from(0)
        self._clocks.clear()
        self.empty_state.hide()
        self.column.show()
        self.column.go_to_end()

    def show_empty(self, greeting: str, starters: Sequence[str]) -> None:
        """Show the greeting and the starters of a new conversation."""
        self.clear()
        self.empty_state.set_content(greeting, starters)
        self.column.hide()
        self._end_button.hide()
        self.empty_state.show()
        self._place_overlays()

    # --- one reply ---

    def add_exchange(self, user: Message | None, reply: Message) -> None:
        """Add a message and its reply, or one more reply; what followed their parent gives way."""
        self.empty_state.hide()
        self.column.show()
        messages = [message for message in (user, reply) if message is not None]
        if user is None and self._thread.find(reply.id) is not None:
            self._reopen(reply)
        else:
            place = self._thread.place_for(messages[0])
            self._thread.truncate(place)
            self._drop_views_from(place)
            for message in messages:
                self._thread.append(message)
            self._realise_end()
        self._fill_visible()
        self.column.go_to_end()

    def add_drafts(self, user: Message | None, drafts: Sequence[Message], note: str = "") -> None:
        """Add a message and several drafts of its reply; what followed their parent gives way."""
        self.empty_state.hide()
        self.column.show()
        place = self._thread.place_for(user or drafts[0])
        self._thread.truncate(place)
        self._drop_views_from(place)
        if user is not None:
            self._thread.append(user)
        self._thread.append_drafts(drafts, drafts[0].id, note)
        self._realise_end()
        self._fill_visible()
        self.column.go_to_end()
        self._begin_at_drafts()

    def drafts(self) -> tuple[Message, ...]:
        """The records of the drafts that stand side by side at the end, if any do."""
        last = self._thread.entries[-1] if self._thread.entries else None
        return tuple(entry.message for entry in last.drafts) if last is not None else ()

    def _begin_at_drafts(self) -> None:
        """Follow their growth only until their question, or they, are at the top."""
        entries = self._thread.entries
        views = [self._views.get(entry.message.id) for entry in entries[-2:]]
        above, drafts = (None, *views)[-2:]
        has_room = above is not None and above.height() < self.column.viewport().height() // 4
        ceiling = above if has_room else drafts
        if ceiling is not None:
            self.column.set_ceiling(ceiling)

    def _find_drafts_top(self) -> int | None:
        """Where on the screen drafts begin that may give way to the one that is kept."""
        view = (
            self._views.get(self._thread.entries[-1].message.id) if self._thread.entries else None
        )
        return self.column.top_of(view) if isinstance(view, DraftsView) else None

    def _reopen(self, reply: Message) -> None:
        """A reply goes on where it ended."""
        place = self._thread.place(reply.id)
        assert place is not None
        self._thread.truncate(place + 1)
        self._drop_views_from(place + 1)
        self.update_message(reply)

    def update_message(self, message: Message) -> None:
        """Show a message's new record: its final text, how it ended, its numbers."""
        entry = self._thread.find(message.id)
        if entry is None:
            return
        is_end = message.status != "streaming"
        entry.message, entry.progress = message, ""
        if is_end:
            entry.end_thinking(time.monotonic())
        entry.take_record()
        if is_end or not entry.text.startswith(message.content):
            entry.text = message.content
        entry.meter, entry.n_tokens = None, 0
        self._clocks.pop(message.id, None)
        view = self._find_view(message.id)
        if view is not None:
            view.update_entry()
        holder = self._find_holder(message.id)
        if isinstance(holder, DraftsView):
            holder.update_state()
        if holder is not None:
            self._refit(holder)

    def append_text(self, run_id: str, piece: str, n_tokens: int) -> None:
        """Text of a reply arrived; `n_tokens` is the reply's count so far."""
        entry = self._thread.find(run_id)
        if entry is None or not piece:
            return
        entry.text += piece
        entry.end_thinking(time.monotonic())
        entry.n_tokens = n_tokens
        entry.progress = ""
        view = self._find_view(run_id)
        if isinstance(view, ReplyView):
            view.append(piece)
            view.show_live()

    def append_reasoning(self, run_id: str, piece: str, n_tokens: int, since: float) -> None:
        """Reasoning of a reply arrived; it began at `since`, on the monotonic clock."""
        entry = self._thread.find(run_id)
        if entry is None:
            return
        entry.think(piece, since)
        entry.n_tokens = n_tokens
        entry.progress = ""
        view = self._find_view(run_id)
        if isinstance(view, ReplyView):
            view.think()
            view.show_live()

    def set_prefill(self, run_id: str, n_done: int, n_prompt: int, n_cached: int) -> None:
        """The prompt is being read: `n_done` of `n_prompt` tokens, `n_cached` of them reused."""
        clock = self._clocks.setdefault(run_id, PrefillClock())
        left_s = clock.tell(n_done, n_prompt, n_cached)
        text = self.tr("Reading the prompt {n} of {all}").format(
            n=format_count(n_done), all=format_count(n_prompt)
        )
        if left_s is not None and left_s >= 1:
            text += self.tr(", {time} left").format(time=format_time_left(left_s))
        self.set_waiting(run_id, text)

    def set_waiting(self, run_id: str, text: str) -> None:
        """Say what a reply waits for, for example "Loading Qwen3 4B, 34 %"."""
        entry = self._thread.find(run_id)
        if entry is None or entry.progress == text:
            return
        entry.progress = text
        view, holder = self._find_view(run_id), self._find_holder(run_id)
        if isinstance(view, ReplyView) and holder is not None:
            view.show_live()
            self._refit(holder)

    def set_stuck(self, run_id: str, is_stuck: bool) -> None:
        """Say that the engine shows no sign of work while this is written, or take that back."""
        entry = self._thread.find(run_id)
        if entry is None or entry.is_stuck == is_stuck:
            return
        entry.is_stuck = is_stuck
        view, holder = self._find_view(run_id), self._find_holder(run_id)
        if isinstance(view, ReplyView) and holder is not None:
            view.show_stuck()
            self._refit(holder)

    def set_meter(self, run_id: str, meter: Meter) -> None:
        """Live numbers of a reply."""
        entry = self._thread.find(run_id)
        if entry is None:
            return
        entry.meter = meter
        entry.progress = ""
        view = self._find_view(run_id)
        if isinstance(view, ReplyView):
            view.show_live()

    def mark_not_saved(self, message_id: str, is_unsaved: bool) -> None:
        """Mark a message whose text is not on the disk yet, or take the mark away."""
        entry = self._thread.find(message_id)
        if entry is None or entry.is_unsaved == is_unsaved:
            return
        entry.is_unsaved = is_unsaved
        view, holder = self._find_view(message_id), self._find_holder(message_id)
        if isinstance(view, ReplyView) and holder is not None:
            view.show_unsaved()
            self._refit(holder)

    # --- finding one's way ---

    def edit_last(self) -> None:
        """Open the person's last message for editing."""
        for entry in reversed(self._thread.entries):
            if entry.message.role == "user":
                self.scroll_to_message(entry.message.id)
                view = self._views.get(entry.message.id)
                if isinstance(view, UserCard):
                    view.begin_edit()
                return

    def add_files(self, message_id: str, files: tuple[Attachment, ...]) -> None:
        """Have files go with a message that is being edited."""
        view = self._views.get(message_id)
        if isinstance(view, UserCard):
            view.add_files(files)
        elif message_id in self._edits:
            draft, had_keyboard = self._edits[message_id]
            self._edits[message_id] = draft + Draft(files=files), had_keyboard

    def edit_again(self, message_id: str, draft: Draft) -> None:
        """Give a draft that could not be sent back to the message that it was made from."""
        view = self._views.get(message_id)
        if isinstance(view, UserCard):
            view.end_edit()
            view.begin_edit(draft)
        else:
            self._edits[message_id] = draft, False

    def scroll_to_message(self, message_id: str) -> None:
        """Bring a message into view, however far away it is."""
        place = self._thread.place(message_id)
        if place is None:
            return
        if not self._thread.first <= place < self._thread.last:
            self._drop_views_from(0)
            self._thread.first = self._thread.last = place
            self._extend_down(6)
            self._extend_up(6)
        holder = self._find_holder(message_id)
        if holder is not None:
            self.column.go_to(holder)
        self._fill_visible()

    def messages(self) -> tuple[Message, ...]:
        """The records of the shown branch."""
        return tuple(entry.message for entry in self._thread.entries)

    def text_of(self, message_id: str) -> str:
        """The text of a message so far, "" for one that is not shown."""
        entry = self._thread.find(message_id)
        return entry.text if entry else ""

    # --- realising messages ---

    def _find_holder(self, message_id: str) -> MessageView | None:
        """The view in the column that shows a message, alone or among drafts."""
        holder = self._thread.find_holder(message_id)
        return self._views.get(holder.message.id) if holder is not None else None

    def _find_view(self, message_id: str) -> UserCard | ReplyView | None:
        """The view of one message."""
        holder = self._find_holder(message_id)
        return holder.find_reply(message_id) if isinstance(holder, DraftsView) else holder

    def _make_drafts(self, entry: Entry) -> DraftsView:
        view = DraftsView(self._formats, entry.drafts, entry.note, self.column.sheet)
        view.kept.connect(self.draft_kept)
        view.stopped.connect(self.stop_requested)
        view.shown.connect(self.draft_shown)
        view.retried.connect(self.retry_requested)
        view.continued.connect(self.continue_requested)
        view.helped.connect(self.help_requested)
        view.link_clicked.connect(self.link_requested)
        view.height_changed.connect(self._on_height_changed)
        for card in view.cards:
            card.reply.finished.connect(self._on_reply_finished)
        self._views[entry.message.id] = view
        return view

    def _make_view(self, entry: Entry) -> MessageView:
        if entry.drafts:
            return self._make_drafts(entry)
        view: UserCard | ReplyView
        if entry.message.role == "user":
            view = UserCard(self._formats, entry, self.column.sheet)
            if (edit := self._edits.pop(entry.message.id, None)) is not None:
                view.begin_edit(edit[0], takes_keyboard=edit[1])
            view.edited.connect(self.edit_requested)
            view.file_opened.connect(self.file_opened)
            view.files_wanted.connect(self.files_wanted)
        else:
            view = ReplyView(self._formats, entry, self.column.sheet)
            view.retried.connect(self.retry_requested)
            view.drafts_wanted.connect(self.drafts_requested)
            view.continued.connect(self.continue_requested)
            view.helped.connect(self.help_requested)
            view.link_clicked.connect(self.link_requested)
            view.finished.connect(self._on_reply_finished)
            view.unfolded.connect(self._on_unfolded)
        view.version_chosen.connect(self.sibling_chosen)
        view.height_changed.connect(self._on_height_changed)
        self._views[entry.message.id] = view
        return view

    def _extend_up(self, count: int) -> None:
        for _ in range(min(count, self._thread.first)):
            self._thread.first -= 1
            entry = self._thread.entries[self._thread.first]
            is_reply = entry.message.role == "assistant"
            self.column.insert(0, self._make_view(entry), is_reply=is_reply)

    def _extend_down(self, count: int) -> None:
        for _ in range(min(count, len(self._thread.entries) - self._thread.last)):
            entry = self._thread.entries[self._thread.last]
            self._thread.last += 1
            is_reply = entry.message.role == "assistant"
            self.column.insert(len(self.column.views), self._make_view(entry), is_reply=is_reply)
        self._tell_end()

    def _tell_end(self) -> None:
        self.column.has_more_below = self._thread.last < len(self._thread.entries)

    def _realise_end(self) -> None:
        """Make sure that the last messages have views."""
        n = len(self._thread.entries)
        if n - self._thread.last > STEP:
            self._drop_views_from(0)
            self._thread.first = self._thread.last = n
        else:
            self._extend_down(n - self._thread.last)

    def _drop_view(self, message_id: str) -> None:
        """Let go of a view; a message that is being edited in it is when it has one again."""
        view = self._views.pop(message_id)
        if isinstance(view, UserCard) and view.is_editing:
            self._edits[message_id] = view.draft(), view.has_keyboard
        self.column.remove(view)

    def _drop_views_from(self, place: int) -> None:
        kept = {entry.message.id for entry in self._thread.entries[:place]}
        for message_id in [key for key in self._views if key not in kept]:
            self._drop_view(message_id)
        if place == 0:
            self._thread.first = self._thread.last = 0
        self._thread.last = min(self._thread.last, place)
        self._thread.first = min(self._thread.first, self._thread.last)
        self._tell_end()

    def _fill_visible(self) -> None:
        """Realise at once what the visible part needs; the rest follows in small steps."""
        self._tell_end()
        self.column.place()
        for _ in range(STRETCH):
            is_short = self.column.distance_above() < self._theme.px(200)
            if not self._thread.first or not is_short:
                break
            self._extend_up(1)
            self.column.place()
        self._filler.start()

    def _fill_some(self) -> None:
        """One message more above or below, while there is too little there."""
        margin = self._theme.px(_MARGIN_PX)
        if self._thread.first and self.column.distance_above() < margin:
            self._extend_up(1)
            self.column.place()
        elif (
            self._thread.last < len(self._thread.entries) and self.column.distance_below() < margin
        ):
            self._extend_down(1)
            self.column.place()
        else:
            self._filler.stop()
            self._let_go()

    def _let_go(self) -> None:
        """Let go of messages far from what is read, when there are many."""
        views = self.column.views
        if len(views) <= KEPT_LIMIT:
            return
        anchor = self.column.first_visible()
        place = views.index(anchor) if anchor in views else len(views)
        entries = self._thread.entries
        while len(self._views) > KEPT_LIMIT:
            if place > len(views) // 2:
                entry = entries[self._thread.first]
                self._thread.first += 1
            else:
                self._thread.last -= 1
                entry = entries[self._thread.last]
            if entry.message.status == "streaming":
                break
            self._drop_view(entry.message.id)
        self._tell_end()
        self.column.place()

    # --- events ---

    def _refit(self, view: MessageView) -> None:
        self.column.changed(view)

    def _on_height_changed(self) -> None:
        sender = self.sender()
        if isinstance(sender, (UserCard, ReplyView, DraftsView)):
            self.column.changed(sender)

    def _on_unfolded(self) -> None:
        """Keep the line that was clicked where it is; what is still thought is followed."""
        sender = self.sender()
        if not isinstance(sender, ReplyView):
            return
        top = self.column.top_of(sender)
        self.column.changed(sender)
        if not sender.is_thinking:
            self.column.put_at(sender, top)

    def _on_reply_finished(self) -> None:
        sender = self.sender()
        if isinstance(sender, ReplyView) and sender.was_streaming:
            self._announce(sender)

    def _announce(self, view: ReplyView) -> None:
        """Tell screen readers that a reply is done."""
        event = QAccessibleAnnouncementEvent(view, self.tr("Reply finished."))
        QAccessible.updateAccessibility(event)

    def _on_scrolled(self) -> None:
        margin = self._theme.px(_MARGIN_PX)
        is_near_top = self._thread.first > 0 and self.column.distance_above() < margin
        is_near_end = (
            self._thread.last < len(self._thread.entries) and self.column.distance_below() < margin
        )
        if (is_near_top or is_near_end) and not self._filler.isActive():
            self._filler.start()
        self._show_end_button()

    def _show_end_button(self) -> None:
        is_far = self.column.distance_below() > self._theme.px(80)
        shows = not self.column.isHidden() and (
            is_far or self._thread.last < len(self._thread.entries)
        )
        if shows == self._end_button.isHidden():
            self._end_button.setVisible(shows)
            self._place_overlays()

    def _on_end_clicked(self) -> None:
        self._realise_end()
        self.column.go_to_end()
        self._fill_visible()
        self.column.go_to_end()

    def _on_theme_changed(self) -> None:
        self._formats = Formats(self._theme, self._colourist)
        n_first, n_last = self._thread.first, self._thread.last
        top = self.column.first_visible()
        top_id = next((key for key, view in self._views.items() if view is top), "")
        self._drop_views_from(0)
        self._thread.first = self._thread.last = n_first
        self._extend_down(n_last - n_first)
        self.column.forget_heights()
        self.column.place()
        if not self.column.follows and top_id in self._views:
            self.column.go_to(self._views[top_id])
        self._place_overlays()
        self._fill_visible()

    def _place_overlays(self) -> None:
        px = self._theme.px
        size = self._end_button.sizeHint()
        self._end_button.setGeometry(
            (self.width() - size.width()) // 2, self.height() - size.height() - px(10),
            size.width(), size.height(),
        )  # fmt: skip
        self._end_button.raise_()
        width = min(px(690), self.width() - px(48))
        height = self.empty_state.fit(width)
        top = max(px(16), (self.height() - height) * 2 // 5)
        self.empty_state.setGeometry((self.width() - width) // 2, top, width, height)

    @override
    def resizeEvent(self, event: QResizeEvent) -> None:
        self.column.setGeometry(self.rect())
        self._place_overlays()

    @override
    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.LanguageChange:
            self._on_theme_changed()

    def focus_messages(self) -> None:
        """Give the keyboard to the messages, to scroll with it."""
        self.column.setFocus(Qt.FocusReason.OtherFocusReason)
