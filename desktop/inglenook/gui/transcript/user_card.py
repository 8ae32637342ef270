"""A message that the person wrote: a soft card at the right, with Copy and Edit on hover.

Edit turns the card into a field in place. Window's thread.
"""

from pathlib import Path
from typing import Final, override

from PySide6.QtCore import QEvent, QObject, QRectF, Qt, Signal
from PySide6.QtGui import (
    QEnterEvent,
    QFontMetricsF,
    QGuiApplication,
    QPainter,
    QPaintEvent,
    QPen,
    QTextBlockFormat,
    QTextCursor,
)
from PySide6.QtWidgets import QWidget

from inglenook.chat.attachments import join_message
from inglenook.gui.drafts import Draft
from inglenook.gui.theme import LINE_HEIGHT, RADIUS_CARD, TRANSCRIPT_PX
from inglenook.gui.transcript.blocks import Span
from inglenook.gui.transcript.cleaning import break_lines, clean_text
from inglenook.gui.transcript.controls import BUTTON_PAD, Figure, Row, TextButton
from inglenook.gui.transcript.file_chips import FileChips
from inglenook.gui.transcript.formats import Formats
from inglenook.gui.transcript.message_input import MessageInput
from inglenook.gui.transcript.text_view import TextView
from inglenook.gui.transcript.thread import Entry
from inglenook.gui.transcript.versions import VersionArrows
from inglenook.store.records import Attachment

_SHARE: Final = 0.765
"""Widest card as a share of the measure."""
_PAD_X: Final = 14
_PAD_Y: Final = 10
_FOLD_CHARS: Final = 3000
_UNFOLD_CHARS: Final = 60_000
_ACTIONS_PX: Final = 23


class PlainText(TextView):
    """Text as it was written, in lines that are quick to lay out."""

    def __init__(self, formats: Formats, parent: QWidget | None = None) -> None:
        super().__init__(formats.theme, parent)
        self._formats = formats
        self._continued: set[int] = set()

    def set_text(self, text: str) -> None:
        """Show a text."""
        lines, self._continued = break_lines(clean_text(text))
        cursor = QTextCursor(self.document())
        cursor.beginEditBlock()
        cursor.select(QTextCursor.SelectionType.Document)
        cursor.removeSelectedText()
        block = QTextBlockFormat()
        fixed = QTextBlockFormat.LineHeightTypes.FixedHeight
        block.setLineHeight(self._theme.px(TRANSCRIPT_PX * LINE_HEIGHT), fixed.value)
        cursor.setBlockFormat(block)
        cursor.insertText("\n".join(lines), self._formats.char(Span("")))
        cursor.endEditBlock()

    def natural_width(self, limit: int) -> int:
        """The width that its longest line takes, at most `limit`."""
        metrics = QFontMetricsF(self._theme.font(TRANSCRIPT_PX))
        widest = 0.0
        block = self.document().begin()
        while block.isValid() and widest < limit:
            widest = max(widest, metrics.horizontalAdvance(block.text()))
            block = block.next()
        return min(limit, int(widest) + 3)

    @override
    def copied_text(self, cursor: QTextCursor) -> str:
        start, end = cursor.selectionStart(), cursor.selectionEnd()
        block = self.document().findBlock(start)
        parts: list[str] = []
        while block.isValid() and block.position() <= end:
            if parts and block.blockNumber() not in self._continued:
                parts.append("\n")
            begin = max(0, start - block.position())
            parts.append(block.text()[begin : end - block.position()])
            block = block.next()
        return "".join(parts)


class UserCard(QWidget):
    """One message of the person.

    Signals: `height_changed()`; `edited(str, str, tuple[Attachment, ...])` with id, new text and
    files; `file_opened(Attachment)`; `files_wanted(str, list[Path])` with its id and what was
    dropped or pasted while it is edited, nothing where the person is to choose;
    `version_chosen(str)`.
    """

    height_changed = Signal()
    edited = Signal(str, str, object)
    file_opened = Signal(object)
    files_wanted = Signal(str, object)
    version_chosen = Signal(str)

    def __init__(self, formats: Formats, entry: Entry, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._formats = formats
        self._theme = formats.theme
        self._entry = entry
        self._card = QRectF()
        self._editor: MessageInput | None = None
        self._shown_chars = _FOLD_CHARS
        self.text = PlainText(formats, self)
        self.text.setAccessibleName(self.tr("Your message"))
        self.chips = FileChips(self._theme, self)
        self.chips.opened.connect(self.file_opened)
        self.chips.changed.connect(self._on_file_removed)
        self._edit_row: Row | None = None
        self._more: TextButton | None = None
        self._build_actions()
        self.update_entry()

    def _build_actions(self) -> None:
        self._actions = Row(self, gap=4)
        self._copy = TextButton(self._theme, self.tr("Copy"))
        self._copy.setAccessibleName(self.tr("Copy your message"))
        self._copy.clicked.connect(self._on_copy)
        self._edit = TextButton(self._theme, self.tr("Edit"))
        self._edit.setAccessibleName(self.tr("Edit your message"))
        self._edit.clicked.connect(self._on_edit)
        self._versions = VersionArrows(self._theme)
        self._versions.chosen.connect(self.version_chosen)
        self._damaged = Figure(self._theme, role="brick")
        self._actions.add_right(self._damaged, self._versions, self._copy, self._edit)
        for button in (self._copy, self._edit):
            button.installEventFilter(self)
        self._show_actions(False)

    def _make_edit_row(self) -> Row:
        row = Row(self, gap=24)
        self._cancel = TextButton(self._theme, self.tr("Cancel"), look="outline")
        self._cancel.clicked.connect(self.end_edit)
        self._send = TextButton(self._theme, self.tr("Send"), look="primary")
        self._send.clicked.connect(self._on_send)
        self._attach = TextButton(self._theme, self.tr("Attach files"))
        self._attach.clicked.connect(lambda: self._ask_for_files([]))
        row.add_left(self._attach)
        row.add_right(self._cancel, self._send)
        return row

    def _show_more_button(self, shows: bool) -> None:
        if shows and self._more is None:
            self._more = TextButton(self._theme, self.tr("Show more"), self)
            self._more.clicked.connect(self._on_more)
        if self._more is not None:
            self._more.setVisible(shows)

    def update_entry(self) -> None:
        """Show what the entry holds now."""
        message = self._entry.message
        text = message.content
        self.text.set_text(text[: self._shown_chars].rstrip("\n") or text[:1])
        self.text.setVisible(bool(text) and self._editor is None)
        if self._editor is None:
            self.chips.set_files(message.attachments, can_remove=False)
        self._show_more_button(len(text) > self._shown_chars)
        self._versions.set_versions(message.sibling_ids, message.id)
        self._damaged.show_figure(
            "" if message.is_intact else self.tr("This text was damaged on the disk"),
            self.tr("The text does not match the checksum that was saved with it."),
        )

    def begin_edit(self, draft: Draft | None = None, *, takes_keyboard: bool = True) -> None:
        """Turn the card into a field, with a draft or the message's own text and files."""
        if self._editor is not None:
            self._editor.setFocus()
            return
        message = self._entry.message
        draft = draft or Draft(message.content, message.attachments)
        editor = MessageInput(self._theme, self)
        editor.setAccessibleName(self.tr("Edit your message"))
        editor.set_message(draft.text)
        editor.files_given.connect(self._ask_for_files)
        editor.submitted.connect(self._on_send)
        editor.cancelled.connect(self.end_edit)
        editor.height_changed.connect(self.height_changed)
        self._editor = editor
        self.chips.set_files(draft.files, can_remove=True)
        self.text.hide()
        self._show_more_button(False)
        self._actions.hide()
        self._edit_row = self._edit_row or self._make_edit_row()
        self._edit_row.show()
        editor.show()
        self.height_changed.emit()
        if takes_keyboard:
            editor.setFocus(Qt.FocusReason.OtherFocusReason)

    def end_edit(self) -> None:
        """Turn the field back into the card, as it was."""
        if self._editor is None:
            return
        self._editor.hide()
        self._editor.deleteLater()
        self._editor = None
        if self._edit_row is not None:
            self._edit_row.hide()
        self._actions.show()
        self.update_entry()
        self.height_changed.emit()

    def draft(self) -> Draft:
        """What stands in the field now, with the files at it."""
        return Draft(self._editor.message(), self.chips.files) if self._editor else Draft()

    def add_files(self, files: tuple[Attachment, ...]) -> None:
        """Have files go with the message that is being edited."""
        if self._editor is not None:
            self.chips.set_files((self.draft() + Draft(files=files)).files)
            self.height_changed.emit()
            self._editor.setFocus()

    def _on_file_removed(self) -> None:
        self.height_changed.emit()
        if self._editor is not None and not self.chips.files:
            self._editor.setFocus()

    def _ask_for_files(self, paths: list[Path]) -> None:
        self.files_wanted.emit(self._entry.message.id, paths)

    @property
    def is_editing(self) -> bool:
        """True while the field is open."""
        return self._editor is not None

    @property
    def has_keyboard(self) -> bool:
        """Whether one writes in the field now."""
        return self._editor is not None and self._editor.hasFocus()

    def fit(self, width: int) -> int:
        """Place everything for a width; the height that it takes."""
        return self._fit_editor(width) if self._editor else self._fit_card(width)

    def _fit_card(self, width: int) -> int:
        px = self._theme.px
        pad_x, pad_y = px(_PAD_X), px(_PAD_Y)
        widest = int(width * _SHARE) - 2 * pad_x
        inner = max(self.text.natural_width(widest), self.chips.natural_width(widest))
        left = width - inner - 2 * pad_x
        bottom = pad_y
        if self.chips.files:
            chips_height = self.chips.fit(inner)
            self.chips.setGeometry(left + pad_x, bottom + px(2), inner, chips_height)
            bottom += chips_height + px(4)
        if not self.text.isHidden():
            bottom += px(6) if self.chips.files else 0
            height = self.text.fit(inner)
            self.text.setGeometry(left + pad_x, bottom, inner, height)
            bottom += height
        if self._more is not None and not self._more.isHidden():
            size = self._more.sizeHint()
            self._more.setGeometry(left + pad_x - 6, bottom, size.width(), size.height())
            bottom += size.height()
        self._card = QRectF(left, 0, width - left, bottom + pad_y)
        top = round(self._card.bottom())
        wide = width + BUTTON_PAD
        self._actions.setGeometry(0, top + 1, wide, px(_ACTIONS_PX) - 1)
        self._actions.fit(wide)
        return top + px(_ACTIONS_PX)

    def _fit_editor(self, width: int) -> int:
        assert self._editor is not None
        assert self._edit_row is not None
        px = self._theme.px
        pad = top = px(_PAD_X)
        if self.chips.files:
            chips_height = self.chips.fit(width - 2 * pad)
            self.chips.setGeometry(pad, top, width - 2 * pad, chips_height)
            top += chips_height + px(10)
        self._editor.resize(width - 2 * pad, self._editor.height())
        height = self._editor.wanted_height(px(320))
        self._editor.setGeometry(pad, top, width - 2 * pad, height)
        row_height = self._edit_row.sizeHint().height()
        top += height + px(12)
        self._edit_row.setGeometry(pad, top, width - 2 * pad, row_height)
        self._edit_row.fit(width - 2 * pad)
        self._card = QRectF(0, 0, width, top + row_height + pad)
        return round(self._card.bottom()) + px(_ACTIONS_PX)

    def _show_actions(self, shows: bool) -> None:
        # They stay in the keyboard's way and to screen readers: only their ink is left out.
        self._copy.set_is_faint(not shows)
        self._edit.set_is_faint(not shows)

    def _on_edit(self) -> None:
        self.begin_edit()

    def _on_copy(self) -> None:
        message = self._entry.message
        text = message.content or join_message("", message.attachments)
        QGuiApplication.clipboard().setText(text)
        self._copy.show_done(self.tr("Copied"))
        self._actions.fit(self._actions.width())

    def _on_more(self) -> None:
        self._shown_chars += _UNFOLD_CHARS
        self.update_entry()
        self.height_changed.emit()

    def _on_send(self) -> None:
        if self._editor is None:
            return
        message = self._entry.message
        text, files = self._editor.message().strip(), self.chips.files
        is_same = text == message.content.strip() and files == message.attachments
        if not text and not files:
            return
        self.end_edit()
        if not is_same:
            self.edited.emit(message.id, text, files)

    @override
    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() in {QEvent.Type.FocusIn, QEvent.Type.FocusOut}:
            has_focus = event.type() == QEvent.Type.FocusIn
            self._show_actions(has_focus or self.underMouse())
        return super().eventFilter(watched, event)

    @override
    def enterEvent(self, event: QEnterEvent) -> None:
        self._show_actions(True)

    @override
    def leaveEvent(self, event: QEvent) -> None:
        self._show_actions(self._copy.hasFocus() or self._edit.hasFocus())

    @override
    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        colours = self._theme.colours
        if self._editor is None:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(colours.colour("user_card"))
            painter.drawRoundedRect(self._card, RADIUS_CARD, RADIUS_CARD)
            return
        painter.setPen(QPen(colours.colour("ember"), 1))
        painter.setBrush(colours.colour("raised"))
        area = self._card.adjusted(0.5, 0.5, -0.5, -0.5)
        painter.drawRoundedRect(area, RADIUS_CARD, RADIUS_CARD)
