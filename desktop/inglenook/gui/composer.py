"""The composer: a rounded card in which one writes, with Send or Stop and the context gauge.

The window fills it with the conversation's draft and tells it what runs. Window's thread.
"""

from typing import Final, Literal, override

from PySide6.QtCore import QEvent, QRectF, Qt, Signal
from PySide6.QtGui import QMouseEvent, QPainter, QPaintEvent, QPen, QResizeEvent
from PySide6.QtWidgets import QWidget

from inglenook.gui.composer_parts import ROW_PX, TIGHT_SHARE, ContextGauge, SendButton
from inglenook.gui.drafts import Draft
from inglenook.gui.formats import format_count
from inglenook.gui.icons import IconButton
from inglenook.gui.theme import MEASURE_EM, RADIUS_CARD, TRANSCRIPT_PX, Theme
from inglenook.gui.transcript.controls import Figure, Sentence, SwitchButton
from inglenook.gui.transcript.file_chips import FileChips
from inglenook.gui.transcript.message_input import LENGTH_LIMIT, MessageInput
from inglenook.gui.widgets import make_plain_tooltip, make_scroll
from inglenook.store.records import Attachment

_OVERHANG_PX: Final = 20
"""How far the card reaches beyond the transcript's measure on each side."""
_PAD_PX: Final = 14
_CHIPS_PX: Final = 110
"""Tallest part with the chips of files; more of them scroll."""


class Composer(QWidget):
    """Where one writes.

    Signals: `submitted(str)`; `drafts_requested(str)` for several replies at once;
    `choice_made(int)` for one of the drafts on show; `stop_requested()`; `edit_last_requested()`;
    `draft_changed(Draft)` shortly after typing stops, and when files come or go;
    `files_given(list[Path])` dropped or pasted; `files_wanted()` by the paper clip;
    `file_opened(Attachment)`; `context_shown()`; `thinking_chosen(bool)`.
    """

    submitted = Signal(str)
    drafts_requested = Signal(str)
    choice_made = Signal(int)
    stop_requested = Signal()
    edit_last_requested = Signal()
    draft_changed = Signal(object)
    files_given = Signal(object)
    files_wanted = Signal()
    file_opened = Signal(object)
    context_shown = Signal()
    thinking_chosen = Signal(bool)

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._is_running = False
        self._is_ending = False
        self._is_held = False
        self.is_due = False
        """Whether Enter was pressed on what is to be sent in a moment: see `set_ending`, `hold`."""
        self._asks_to_wait = False
        self._is_quiet = False
        self._has_messages = False
        self._last_draft = Draft()
        self._card = QRectF()
        self._is_target = False
        self.n_used = self.n_ctx = 0
        """Tokens of the conversation, and of what the model can take."""
        self._attached = (0, 0)
        self.setAccessibleName(self.tr("Composer"))
        self._build()
        self._connect()
        theme.changed.connect(self._on_theme_changed)
        self._refresh()

    def _build(self) -> None:
        self.input = MessageInput(self._theme, self)
        self.input.setAccessibleName(self.tr("Message"))
        self.input.setAccessibleDescription(
            self.tr("Enter sends, Shift and Enter begins a new line.")
        )
        self.input.offers_drafts = True
        self.chips = FileChips(self._theme, can_remove=True)
        self._chip_area = make_scroll(self.chips, self.tr("Attached files"))
        self._chip_area.setParent(self)
        self._chip_area.setWidgetResizable(False)
        self._chip_area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.clip_button = IconButton(
            self._theme, "clip", self.tr("Attach text files (Ctrl+O)"), self
        )
        self.button = SendButton(self._theme, self)
        self.drafts_button = IconButton(
            self._theme, "columns", self.tr("Send for three drafts (Ctrl+Shift+Enter)"), self
        )
        self.think_button = SwitchButton(self._theme, self.tr("Think"), self)
        self.think_button.setAccessibleName(self.tr("Think before answering"))
        self.think_button.setToolTip(
            make_plain_tooltip(
                self.tr(
                    "Whether the model thinks before it answers: slower, and often better for "
                    "what takes several steps."
                )
            )
        )
        self.think_button.hide()
        self._gauge = ContextGauge(self._theme, self)
        self._context = Figure(self._theme, parent=self)
        self._hint = Figure(self._theme, parent=self)
        self._notice = Sentence(self._theme, self, role="quiet")
        self._notice.hide()
        self._gauge.hide()
        self._context.hide()
        self._hint.setText(self.tr("Enter sends, Shift+Enter makes a new line"))
        self.set_has_messages(False)

    def _connect(self) -> None:
        self.input.submitted.connect(self.submit)
        self.input.drafts_wanted.connect(self._submit_drafts)
        self.input.number_pressed.connect(self.choice_made)
        self.drafts_button.clicked.connect(self._submit_drafts)
        self.input.cancelled.connect(self.stop)
        self.input.up_pressed.connect(self.edit_last_requested)
        self.input.refused.connect(self._on_refused)
        self.input.settled.connect(self.flush_draft)
        self.input.height_changed.connect(self._place)
        self.input.textChanged.connect(self._on_text_changed)
        self.input.files_given.connect(self.files_given)
        self.clip_button.clicked.connect(self.files_wanted)
        self.chips.opened.connect(self.file_opened)
        self.chips.changed.connect(self._on_file_removed)
        self.button.clicked.connect(self._on_button)
        self.think_button.clicked.connect(self.thinking_chosen)

    # --- what the window calls ---

    def text(self) -> str:
        """What stands in it, as it was typed or pasted."""
        return self.input.message()

    def set_text(self, text: str) -> None:
        """Put a conversation's draft in; nothing is signalled."""
        self._is_quiet = True
        self.input.set_message(text)
        self.is_due = False
        self._last_draft = self.draft()
        self._is_quiet = False
        self._refresh()

    def draft(self) -> Draft:
        """What stands in it, with what is attached."""
        return Draft(self.input.message(), self.chips.files)

    def set_draft(self, draft: Draft) -> None:
        """Put a conversation's draft in; nothing is signalled."""
        self.chips.set_files(draft.files)
        self.set_text(draft.text)
        self._is_ending = self._is_held = False  # They were another conversation's.
        self._place()

    def add_files(self, files: tuple[Attachment, ...]) -> None:
        """Attach files; one that is attached already is not taken twice."""
        all_files = (self.draft() + Draft(files=files)).files
        if all_files != self.chips.files:
            self.chips.set_files(all_files)
            self._on_files_changed()

    def flush_draft(self) -> None:
        """Signal the draft now if it changed since it was last signalled."""
        draft = self.draft()
        if draft != self._last_draft:
            self._last_draft = draft
            self.draft_changed.emit(draft)

    def set_running(self, is_running: bool) -> None:
        """Turn Send into Stop while a reply is being written."""
        self._is_running = is_running
        self._is_ending = self._is_ending and is_running
        if self._asks_to_wait and not is_running:
            self.set_notice("")
        self.button.set_stops(is_running)
        self._refresh()
        self._place()

    def set_has_messages(self, has_messages: bool) -> None:
        """Ask for a first question or for a follow-up."""
        self._has_messages = has_messages
        asks = self.tr("Ask a follow-up…") if has_messages else self.tr("Ask anything…")
        if self.input.n_choices:
            asks = self.tr("Keep a draft to go on: press 1 to {n}…").replace(
                "{n}", str(self.input.n_choices)
            )
        self.input.set_hint(asks)

    def set_choices(self, n_drafts: int) -> None:
        """Have numbers in the empty field keep one of so many drafts; 0 is none."""
        self.input.n_choices = n_drafts
        self.set_has_messages(self._has_messages)

    def set_thinking(self, is_on: bool | None) -> None:
        """Show whether the model thinks before it answers; None where nobody can choose."""
        self.think_button.setVisible(is_on is not None)
        self.think_button.setChecked(bool(is_on))
        self._place()

    def set_context(self, n_used: int, n_ctx: int) -> None:
        """Show how much of the context is used, in tokens; nothing when `n_ctx` is 0."""
        self.n_used, self.n_ctx = n_used, n_ctx
        self.context_shown.emit()
        self._show_context()

    def set_attached(self, n_tokens: int, n_ctx: int) -> None:
        """Count in what is attached, in tokens; `n_ctx` stands where none is known yet."""
        if (n_tokens, n_ctx if n_tokens else 0) != self._attached:
            self._attached = (n_tokens, n_ctx if n_tokens else 0)
            self._show_context()

    def _show_context(self) -> None:
        n_attached, n_ctx_loaded = self._attached
        n_used, n_ctx = self.n_used + n_attached, self.n_ctx or n_ctx_loaded
        is_known = n_ctx > 0
        self._gauge.setVisible(is_known)
        self._gauge.set_share(n_used / n_ctx if is_known else 0.0)
        text = self.tr("context {n} of {all}").format(
            n=format_count(n_used), all=format_count(n_ctx)
        )
        tip = self.tr("How much of what the model can take in this conversation uses, in tokens.")
        if n_attached:
            tip += " " + self.tr("{n} of them are attached to what you write.").format(
                n=format_count(n_attached)
            )
        self._context.show_figure(text if is_known else "", tip)
        is_tight = is_known and n_used >= TIGHT_SHARE * n_ctx
        self._context.set_role("brick" if is_tight else "quiet")
        self._place()

    def set_is_target(self, is_target: bool) -> None:
        """Show that files which are dragged over the window can be dropped."""
        self._is_target = is_target
        self.update()

    def set_notice(self, text: str, tone: Literal["quiet", "bad"] = "quiet") -> None:
        """Say something above the card; nothing when the text is empty."""
        self._asks_to_wait = False
        self._notice.set_sentence(text)
        self._notice.set_role("brick" if tone == "bad" else "quiet")
        self._notice.setVisible(bool(text))
        self._place()

    def stop(self) -> None:
        """Ask to stop the reply that is being written, if there is one: what Esc does."""
        if self._is_running:
            self.set_ending()
            self.stop_requested.emit()

    def set_ending(self) -> None:
        """What is being written is over soon: Enter is kept until it is."""
        self._is_ending = self._is_running

    def hold(self) -> None:
        """Another draft comes: from now on Enter is kept until it is there."""
        self._is_held = True
        self.is_due = False

    def send_due(self) -> None:
        """Send what Enter was pressed on while the reply before was about to end."""
        if self.is_due:
            self.is_due = False
            self.submit()

    def submit(self) -> None:
        """Send what stands in it, or say why not: what Enter does."""
        if self._can_send():
            self.submitted.emit(self._take_text())
        elif self._is_ending or self._is_held:
            self.is_due = bool(self.draft())
        elif self._is_running and self.draft():
            self.set_notice(self.tr("The reply is still being written. Esc stops it."))
            self._asks_to_wait = True

    def focus_input(self) -> None:
        """Give the keyboard to the field."""
        self.input.setFocus(Qt.FocusReason.OtherFocusReason)

    # --- inner ---

    def _submit_drafts(self) -> None:
        if self._can_send():
            self.drafts_requested.emit(self._take_text())

    def _can_send(self) -> bool:
        has_something = bool(self.input.message().strip() or self.chips.files)
        return has_something and not self._is_running and not self._is_held

    def _take_text(self) -> str:
        """What is to be sent; what is attached stays for whoever sends it."""
        text = self.input.message().strip()
        self.set_text("")
        self.set_notice("")
        return text

    def _on_file_removed(self) -> None:
        if not self.chips.files:
            self.focus_input()
        self._on_files_changed()

    def _on_files_changed(self) -> None:
        self._refresh()
        self._place()
        self.flush_draft()

    def _on_button(self) -> None:
        if self._is_running:
            self.stop()
        else:
            self.submit()

    def _on_refused(self, n_characters: int) -> None:
        self.set_notice(
            self.tr(
                "The pasted text has {n} characters; a message holds at most {most}. "
                "Nothing was pasted."
            ).format(n=format_count(n_characters), most=format_count(LENGTH_LIMIT)),
            "bad",
        )

    def _on_text_changed(self) -> None:
        self._refresh()

    def _refresh(self) -> None:
        has_something = not self.input.is_empty() or bool(self.chips.files)
        self.button.setEnabled(self._is_running or has_something)
        self.drafts_button.setEnabled(has_something)
        self.drafts_button.setVisible(not self._is_running)

    def _place(self) -> None:
        """Lay everything out for the present width, and take the height that it needs."""
        px = self._theme.px
        width = min(px(TRANSCRIPT_PX * MEASURE_EM) + 2 * _OVERHANG_PX, self.width())
        left = (self.width() - width) // 2
        card_top = top = self._place_notice(left + px(_PAD_PX), width - 2 * px(_PAD_PX))
        pad = px(_PAD_PX)
        inner = max(60, width - 2 * pad)
        window = self.window().height() if self.window() is not self else 720
        if self.chips.files:
            chips_width, chips_height = inner, self.chips.fit(inner)
            if chips_height > px(_CHIPS_PX):
                chips_width = inner - px(16)  # Beside the scroll bar.
                chips_height = self.chips.fit(chips_width)
            self.chips.resize(chips_width, chips_height)
            shown_height = min(chips_height, px(_CHIPS_PX))
            self._chip_area.setGeometry(left + pad, top + px(10), inner, shown_height)
            top += shown_height + px(8) - (pad - px(10))
        self._chip_area.setVisible(bool(self.chips.files))
        self.input.resize(inner, self.input.height())
        height = self.input.wanted_height(max(px(60), window // 3 - px(70)))
        self.input.setGeometry(left + pad, top + pad, inner, height)
        row = top + pad + height + px(10)
        self._place_row(left + pad, row, inner)
        bottom = row + px(ROW_PX) + px(12)
        self._card = QRectF(left, card_top, width, bottom - card_top)
        wanted = bottom
        if wanted != self.minimumHeight() or wanted != self.maximumHeight():
            self.setFixedHeight(wanted)
        self.update()

    def _place_notice(self, left: int, width: int) -> int:
        if self._notice.isHidden():
            return 0
        height = self._notice.fit(width)
        self._notice.setGeometry(left, 0, width, height)
        return height + self._theme.px(6)

    def _place_row(self, left: int, top: int, width: int) -> None:
        px = self._theme.px
        height = px(ROW_PX)
        size = self.button.sizeHint()
        right = left + width - size.width()
        self.button.setGeometry(right, top, size.width(), height)
        if not self.drafts_button.isHidden():
            right -= height + px(4)
            self.drafts_button.setGeometry(right, top, height, height)
        if not self.think_button.isHidden():
            size = self.think_button.sizeHint()
            right -= size.width() + px(6)
            self.think_button.setGeometry(
                right, top + (height - size.height()) // 2, size.width(), size.height()
            )
        right -= px(12)
        self.clip_button.setGeometry(left - px(5), top, height, height)
        left += height + px(2)
        self._hint.setVisible(self._gauge.isHidden())
        if self._gauge.isHidden():
            self._hint.setGeometry(left, top, max(0, right - left), height)
            return
        text_width = self._context.sizeHint().width()
        self._context.setGeometry(right - text_width, top, text_width, height)
        right -= text_width + px(12)
        self._gauge.setGeometry(left, top, max(0, right - left), height)

    def _on_theme_changed(self) -> None:
        self._place()
        self.update()

    @override
    def resizeEvent(self, event: QResizeEvent) -> None:
        self._place()

    @override
    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.ParentChange:
            self._place()

    @override
    def mousePressEvent(self, event: QMouseEvent) -> None:
        if self._card.contains(event.position()):
            self.focus_input()

    @override
    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        colours = self._theme.colours
        is_target = self._is_target
        painter.setPen(QPen(colours.colour("ember" if is_target else "line"), 1 + is_target))
        painter.setBrush(colours.colour("raised"))
        area = self._card.adjusted(0.5, 0.5, -0.5, -0.5)
        painter.drawRoundedRect(area, RADIUS_CARD, RADIUS_CARD)
