"""A code block: its language, Wrap and Copy above, the code below, coloured bit by bit.

Only the first lines of very long code are laid out, more on request; Copy takes all of it.
"""

from collections import defaultdict
from collections.abc import Iterator
from functools import partial
from time import perf_counter
from typing import Final, override

from PySide6.QtCore import QRectF, Qt, QThreadPool, QTimer, Signal
from PySide6.QtGui import (
    QGuiApplication,
    QPainter,
    QPaintEvent,
    QPen,
    QTextCursor,
    QTextLayout,
    QTextOption,
    QWheelEvent,
)
from PySide6.QtWidgets import QWidget

from inglenook.gui.theme import RADIUS_CONTROL
from inglenook.gui.transcript.blocks import Code
from inglenook.gui.transcript.cleaning import break_lines
from inglenook.gui.transcript.controls import Figure, Row, TextButton
from inglenook.gui.transcript.formats import LIST_INDENT, Formats
from inglenook.gui.transcript.highlight import Colourist, can_colour, find_language
from inglenook.gui.transcript.text_view import TextView

LINES_AT_ONCE: Final = 400
_SLICE_S: Final = 0.003
_PAUSE_MS: Final = 60
_REST: Final = 8
"""Code that still grows is coloured anew after so many times the time that colouring took."""
_COLOUR_LIMIT_S: Final = 1.5
"""After so much work on one block its rest stays plain."""
_HEADER_PX: Final = 32


class CodeText(TextView):
    """The text of a code block; scrolls sideways when lines are not wrapped."""

    def __init__(self, formats: Formats, parent: QWidget | None = None) -> None:
        super().__init__(formats.theme, parent)
        self._formats = formats
        self._lines: list[str] = []
        self._continued: set[int] = set()
        self._colours: dict[int, list[tuple[int, int, str]]] = {}
        self.set_wraps(False)

    def set_wraps(self, wraps: bool) -> None:
        """Wrap long lines, or scroll sideways."""
        wrap = QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere
        self.setWordWrapMode(wrap if wraps else QTextOption.WrapMode.NoWrap)
        off, needed = Qt.ScrollBarPolicy.ScrollBarAlwaysOff, Qt.ScrollBarPolicy.ScrollBarAsNeeded
        self.setHorizontalScrollBarPolicy(off if wraps else needed)

    def set_lines(self, lines: list[str], continued: set[int]) -> int:
        """Show these lines; the index of the first one that changed."""
        same = 0
        for first, second in zip(self._lines, lines, strict=False):
            if first != second:
                break
            same += 1
        old, self._lines, self._continued = self._lines, lines, continued
        if same == len(old) == len(lines):
            return same
        cursor = QTextCursor(self.document())
        cursor.beginEditBlock()
        if same < min(len(old), len(lines)) and lines[same].startswith(old[same]):
            block = self.document().findBlockByNumber(same)
            cursor.setPosition(block.position() + block.length() - 1)
            cursor.insertText(lines[same][len(old[same]) :], self._formats.code_char())
            self._cut(cursor, same + 1, len(old))
            self._add(cursor, lines[same + 1 :], is_first=False)
        else:
            self._cut(cursor, same, len(old))
            self._add(cursor, lines[same:], is_first=same == 0)
        cursor.endEditBlock()
        return same

    def _cut(self, cursor: QTextCursor, index: int, n_lines: int) -> None:
        if index >= n_lines:
            return
        for line in range(index, n_lines):
            self._colours.pop(line, None)
        block = self.document().findBlockByNumber(index)
        cursor.setPosition(block.position() - (1 if index else 0))
        cursor.movePosition(QTextCursor.MoveOperation.End, QTextCursor.MoveMode.KeepAnchor)
        cursor.removeSelectedText()

    def _add(self, cursor: QTextCursor, lines: list[str], *, is_first: bool) -> None:
        cursor.movePosition(QTextCursor.MoveOperation.End)
        char, block = self._formats.code_char(), self._formats.code_block()
        if is_first:
            cursor.setBlockFormat(block)
            cursor.setBlockCharFormat(char)
        if lines:
            cursor.insertText("" if is_first else "\n", char)
            cursor.insertText("\n".join(lines), char)

    def set_colours(self, index: int, ranges: list[tuple[int, int, str]]) -> None:
        """Colour one line: start, length and role of each stretch."""
        if self._colours.get(index, []) == ranges:
            return
        block = self.document().findBlockByNumber(index)
        if not block.isValid():
            return
        self._colours[index] = ranges
        formats = []
        for start, length, role in ranges:
            part = QTextLayout.FormatRange()
            part.start, part.length = start, length
            part.format = self._formats.code_char(role)
            formats.append(part)
        block.layout().setFormats(formats)
        self.document().markContentsDirty(block.position(), block.length())

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

    @override
    def fit(self, width: int) -> int:
        height = super().fit(width)
        is_wide = self.wordWrapMode() == QTextOption.WrapMode.NoWrap and (
            self.document().idealWidth() > width
        )
        return height + (self.horizontalScrollBar().sizeHint().height() + 2 if is_wide else 0)

    @override
    def wheelEvent(self, event: QWheelEvent) -> None:
        delta = event.angleDelta()
        is_sideways = abs(delta.x()) > abs(delta.y()) or bool(
            event.modifiers() & Qt.KeyboardModifier.ShiftModifier
        )
        if is_sideways and self.horizontalScrollBar().maximum() > 0:
            bar = self.horizontalScrollBar()
            bar.setValue(bar.value() - (delta.x() or delta.y()) // 2)
            event.accept()
            return
        event.ignore()


class CodeView(QWidget):
    """A code block with its header.

    Signals: `height_changed()` when it needs another height for the same width.
    """

    height_changed = Signal()

    def __init__(self, formats: Formats, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._formats = formats
        self._theme = formats.theme
        self._code = Code("", "")
        self._n_shown = LINES_AT_ONCE
        self._n_lines = 0
        self._job: Iterator[tuple[int, list[tuple[int, int, str]]]] | None = None
        self._job_s = 0.0
        self._loading = ""
        self._left = 0
        self._build()
        self._timer = QTimer(self, interval=0)
        self._timer.timeout.connect(self._colour_some)
        self._start_timer = QTimer(self, singleShot=True, interval=_PAUSE_MS)
        self._start_timer.timeout.connect(self._start_colouring)

    def _build(self) -> None:
        self.text = CodeText(self._formats, self)
        self.text.setAccessibleName(self.tr("Code"))
        self._header = Row(self, gap=9)
        self._language = Figure(self._theme, self.tr("code"))
        self._wrap = TextButton(self._theme, self.tr("Wrap"))
        self._wrap.setCheckable(True)
        self._wrap.setAccessibleName(self.tr("Wrap long lines"))
        self._wrap.toggled.connect(self._on_wrap_toggled)
        self._copy = TextButton(self._theme, self.tr("Copy"))
        self._copy.setAccessibleName(self.tr("Copy the code"))
        self._copy.clicked.connect(self._on_copy)
        self._header.add_left(self._language)
        self._header.add_right(self._wrap, self._copy)
        self._more = TextButton(self._theme, "", self)
        self._more.clicked.connect(self._on_more)
        self._more.hide()

    def set_code(self, code: Code) -> None:
        """Show a code block, or the next state of the one that is shown."""
        if code == self._code and self._n_lines:
            return
        self._code = code
        self._language.setText(code.language or self.tr("code"))
        self.text.setAccessibleName(
            self.tr("Code, {language}").format(language=self._language.text())
        )
        self._show_lines()

    def _show_lines(self) -> None:
        lines, continued = break_lines(self._code.text)
        self._n_lines = len(lines)
        self.text.set_lines(lines[: self._n_shown], continued)
        n_more = self._n_lines - self._n_shown
        self._more.setVisible(n_more > 0)
        if n_more > 0:
            self._more.setText(self.tr("{n} more lines, show them").format(n=f"{n_more:,}"))
        if not self._start_timer.isActive() and find_language(self._code.language):
            self._start_timer.start()

    def set_shows_cursor(self, shows: bool) -> None:
        """Show or hide the block at the end of code that still grows."""
        self.text.set_shows_cursor(shows)

    def set_width(self, width: int) -> None:
        """Lay the code out for a width from now on."""
        px = self._theme.px
        self.text.set_width(max(40, width - self._code.depth * px(LIST_INDENT) - px(28)))

    def fit(self, width: int) -> int:
        """Place everything for a width; the height that it takes."""
        px = self._theme.px
        self._left = self._code.depth * px(LIST_INDENT)
        inner = width - self._left
        header = px(_HEADER_PX)
        row_height = self._header.fit(inner - px(18))
        self._header.setGeometry(
            self._left + px(12), (header - row_height) // 2 + 1, inner - px(18), row_height
        )
        text_width = max(40, inner - px(28))
        text_height = self.text.fit(text_width)
        top = header + px(12)
        self.text.setGeometry(self._left + px(14), top, text_width, text_height)
        bottom = top + text_height + px(12)
        if not self._more.isHidden():
            size = self._more.sizeHint()
            self._more.setGeometry(self._left + px(8), bottom - px(6), size.width(), size.height())
            bottom += size.height()
        return bottom

    def _start_colouring(self) -> None:
        shown, language = self._code.text, self._code.language
        if not can_colour(shown):
            return
        colourist = self._formats.colourist
        if not colourist.is_ready(language):
            self._load_lexer(colourist, language)
            return
        self._job = _colour_lines(colourist, shown, language)
        self._job_s = 0.0
        self._timer.start()

    def _load_lexer(self, colourist: Colourist, language: str) -> None:
        """Load the language's lexer on a worker thread and look again soon."""
        if self._loading != language:
            self._loading = language
            QThreadPool.globalInstance().start(partial(colourist.load, language))
        self._start_timer.start()

    def _colour_some(self) -> None:
        """Colour for a few milliseconds, then let the window go on."""
        started = perf_counter()
        while self._job is not None and perf_counter() - started < _SLICE_S:
            step = next(self._job, None)
            if step is None or self._job_s > _COLOUR_LIMIT_S:
                self._job = None
            elif step[1]:
                self.text.set_colours(*step)
        self._job_s += perf_counter() - started
        if self._job is None:
            self._timer.stop()
            self._start_timer.setInterval(max(_PAUSE_MS, round(self._job_s * 1000 * _REST)))

    def _on_copy(self) -> None:
        QGuiApplication.clipboard().setText(self._code.text)
        self._copy.show_done(self.tr("Copied"))

    def _on_wrap_toggled(self, wraps: bool) -> None:
        self.text.set_wraps(wraps)
        self.height_changed.emit()

    def _on_more(self) -> None:
        self._n_shown += 2 * LINES_AT_ONCE
        self._show_lines()
        self.height_changed.emit()

    @override
    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        colours = self._theme.colours
        area = QRectF(self.rect()).adjusted(self._left + 0.5, 0.5, -0.5, -0.5)
        painter.setPen(QPen(colours.colour("line"), 1))
        painter.setBrush(colours.colour("code_ground"))
        painter.drawRoundedRect(area, RADIUS_CONTROL, RADIUS_CONTROL)
        y = self._theme.px(_HEADER_PX) + 0.5
        painter.drawLine(round(area.left()), round(y), round(area.right()), round(y))


def _colour_lines(
    colourist: Colourist, text: str, language: str
) -> Iterator[tuple[int, list[tuple[int, int, str]]]]:
    """The coloured stretches of each line; an empty step now and then, to be able to stop."""
    starts = [0]
    for line in text.split("\n"):
        starts.append(starts[-1] + len(line) + 1)
    found: dict[int, list[tuple[int, int, str]]] = defaultdict(list)
    index = 0
    for start, length, role in colourist.colour(text, language):
        while start >= starts[index + 1]:
            yield index, found.pop(index, [])
            index += 1
        if role:
            _add_stretch(found, starts, index, start, length, role)
        else:
            yield index, []
    while index < len(starts) - 1:
        yield index, found.pop(index, [])
        index += 1


def _add_stretch(
    found: dict[int, list[tuple[int, int, str]]],
    starts: list[int],
    index: int,
    start: int,
    length: int,
    role: str,
) -> None:
    end = start + length
    while start < end:
        stop = min(end, starts[index + 1] - 1)
        if stop > start:
            found[index].append((start - starts[index], stop - start, role))
        start = starts[index + 1]
        index += 1
