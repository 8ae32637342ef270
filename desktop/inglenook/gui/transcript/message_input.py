"""A field for a message: grows with its text, Enter sends, pasted text is plain.

The composer and the in-place edit of a message use it, on the window's thread. A very long line
is laid out in parts, since Qt would stall on it; what one gets back is the text as it was put in.
"""

from pathlib import Path
from typing import Final, override

from PySide6.QtCore import QMimeData, QSize, Qt, QTimer, Signal
from PySide6.QtGui import (
    QFocusEvent,
    QInputMethodEvent,
    QKeyEvent,
    QPainter,
    QPaintEvent,
    QTextBlock,
    QTextCursor,
)
from PySide6.QtWidgets import QFrame, QPlainTextEdit, QWidget

from inglenook.gui.theme import TRANSCRIPT_PX, Theme
from inglenook.gui.transcript.cleaning import break_lines

LENGTH_LIMIT: Final = 2_000_000
"""Most characters of one message."""
_CONTINUED: Final = 1
"""Mark of a text block that goes on from the one above without a line break."""
_DRAFT_MS: Final = 400
_DRAFTS_MODIFIERS: Final = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier


class MessageInput(QPlainTextEdit):
    """A plain text field of one to many lines.

    Signals: `submitted()` on Enter; `drafts_wanted()` on Ctrl+Shift+Enter where `offers_drafts`;
    `cancelled()` on Esc; `up_pressed()` on Up in an empty field; `number_pressed(int)` on a number
    up to `n_choices` in an empty field;
    `files_given(list[Path])` for files of this machine that were pasted or dropped;
    `refused(int)` with the length of a text that was too long to take; `settled()` some time after
    the last change; `height_changed()`.
    """

    submitted = Signal()
    drafts_wanted = Signal()
    number_pressed = Signal(int)
    cancelled = Signal()
    up_pressed = Signal()
    files_given = Signal(object)
    refused = Signal(int)
    settled = Signal()
    height_changed = Signal()

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._is_composing = False
        self._shown_height = 0
        self.offers_drafts = False
        self.n_choices = 0
        self.setObjectName("messageInput")
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.document().setDocumentMargin(0)
        self.viewport().setAutoFillBackground(False)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setTabChangesFocus(True)
        self._settle_timer = QTimer(self, singleShot=True, interval=_DRAFT_MS)
        self._settle_timer.timeout.connect(self.settled)
        self.textChanged.connect(self._on_changed)
        self.document().documentLayout().documentSizeChanged.connect(self._on_size_changed)
        theme.changed.connect(self.restyle)
        self.restyle()

    def restyle(self) -> None:
        """Take the font and colours of the theme."""
        colours = self._theme.colours
        size = self._theme.px(TRANSCRIPT_PX)
        # The application's sheet sets a size for every widget; this field has the transcript's.
        self.setStyleSheet(
            f"#messageInput{{font-size:{size}px;background:transparent;border:0;padding:0;"
            f"color:{colours.ink};selection-background-color:{colours.selection};"
            f"selection-color:{colours.ink}}}"
        )
        font = self._theme.font(TRANSCRIPT_PX)
        self.setFont(font)
        self.document().setDefaultFont(font)

    def message(self) -> str:
        """The text as it was typed or pasted."""
        block = self.document().begin()
        parts: list[str] = []
        while block.isValid():
            if parts and block.userState() != _CONTINUED:
                parts.append("\n")
            parts.append(block.text())
            block = block.next()
        return "".join(parts)

    def set_message(self, text: str) -> None:
        """Replace the text."""
        self.setPlainText("")
        self._insert(text[:LENGTH_LIMIT])
        self.moveCursor(QTextCursor.MoveOperation.End)

    def is_empty(self) -> bool:
        """True when nothing is in it."""
        return self.document().isEmpty()

    def line_height(self) -> int:
        """Pixels of one line."""
        return self.fontMetrics().lineSpacing()

    def wanted_height(self, limit: int) -> int:
        """Pixels that show all its text, at most `limit`; the scroll bar comes beyond that."""
        n_lines = max(1, round(self.document().size().height()))
        needed = n_lines * self.line_height() + 4
        off, on = Qt.ScrollBarPolicy.ScrollBarAlwaysOff, Qt.ScrollBarPolicy.ScrollBarAsNeeded
        self.setVerticalScrollBarPolicy(off if needed <= limit else on)
        return min(needed, max(limit, self.line_height() + 4))

    def _insert(self, text: str) -> None:
        """Insert text at the cursor, breaking what Qt could not lay out in time."""
        text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\u2029", "\n")
        text = (
            "".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in text)
            if (not text.isascii())
            else text
        )
        lines, continued = break_lines(text)
        cursor = self.textCursor()
        first = cursor.selectionStart()
        cursor.insertText("\n".join(lines).replace("\x00", "\ufffd"))
        if continued:
            self._mark(self.document().findBlock(first), continued)
        self.setTextCursor(cursor)

    @staticmethod
    def _mark(block: QTextBlock, continued: set[int]) -> None:
        for index in range(max(continued) + 1):
            if index in continued:
                block.setUserState(_CONTINUED)
            block = block.next()

    def _on_changed(self) -> None:
        self._settle_timer.start()

    def _on_size_changed(self) -> None:
        self.height_changed.emit()

    @override
    def canInsertFromMimeData(self, source: QMimeData) -> bool:
        return source.hasText()

    @override
    def createMimeDataFromSelection(self) -> QMimeData:
        data = QMimeData()
        cursor = self.textCursor()
        is_broken = any(
            self.document().findBlockByNumber(number).userState() == _CONTINUED
            for number in range(min(self.blockCount(), 2000))
        )
        whole = (
            cursor.selectionEnd() - cursor.selectionStart() >= self.document().characterCount() - 1
        )
        text = self.message() if is_broken and whole else cursor.selectedText()
        data.setText(text.replace("\u2029", "\n"))
        return data

    @override
    def insertFromMimeData(self, source: QMimeData) -> None:
        if files := list_files(source):
            self.files_given.emit(files)
            return
        text = source.text()
        if len(text) + self.document().characterCount() > LENGTH_LIMIT:
            self.refused.emit(len(text))
            return
        self._insert(text)
        self.ensureCursorVisible()

    @override
    def inputMethodEvent(self, event: QInputMethodEvent) -> None:
        self._is_composing = bool(event.preeditString())
        super().inputMethodEvent(event)

    @override
    def focusOutEvent(self, event: QFocusEvent) -> None:
        self._is_composing = False
        super().focusOutEvent(event)

    @override
    def keyPressEvent(self, event: QKeyEvent) -> None:
        key, modifiers = event.key(), event.modifiers()
        plain = not modifiers & ~Qt.KeyboardModifier.KeypadModifier
        is_enter = key in {Qt.Key.Key_Return, Qt.Key.Key_Enter}
        wants_drafts = modifiers & ~Qt.KeyboardModifier.KeypadModifier == _DRAFTS_MODIFIERS
        if is_enter and not self._is_composing:
            if self.offers_drafts and wants_drafts:
                self.drafts_wanted.emit()
            elif plain or modifiers & Qt.KeyboardModifier.ControlModifier:
                self.submitted.emit()
            else:
                self.textCursor().insertText("\n")
                self.ensureCursorVisible()
        elif key == Qt.Key.Key_Escape and not self._is_composing:
            self.cancelled.emit()
        elif key == Qt.Key.Key_Up and plain and self.is_empty():
            self.up_pressed.emit()
        elif plain and self.is_empty() and (number := self._read_choice(event.text())):
            self.number_pressed.emit(number)
        else:
            super().keyPressEvent(event)

    def _read_choice(self, text: str) -> int:
        """The number that a key is, 0 where it is none that is asked for."""
        number = int(text) if len(text) == 1 and text in "123456789" else 0
        return number if number <= self.n_choices else 0

    @override
    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        if not self.is_empty() or self._is_composing or not self._hint():
            return
        painter = QPainter(self.viewport())
        painter.setFont(self.font())
        painter.setPen(self._theme.colours.colour("quiet"))
        top = Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft
        painter.drawText(self.viewport().rect(), int(top), self._hint())

    def _hint(self) -> str:
        return str(self.property("hint") or "")

    def set_hint(self, hint: str) -> None:
        """What an empty field says."""
        if hint != self._hint():
            self.setProperty("hint", hint)
            self.viewport().update()

    @override
    def sizeHint(self) -> QSize:
        return QSize(200, self.line_height() + 4)

    @override
    def minimumSizeHint(self) -> QSize:
        return QSize(60, self.line_height() + 4)


def list_files(data: QMimeData) -> list[Path]:
    """The files of this machine among what is dragged or pasted."""
    urls = data.urls() if data.hasUrls() else []
    return [Path(url.toLocalFile()) for url in urls if url.isLocalFile()]
