"""The text of a reply: one view for each section of its Markdown, stacked over the full measure.

Text may arrive in pieces; a long text is taken in slices between which the window goes on. Used by
`reply` on the window's thread.
"""

from itertools import count
from time import perf_counter
from typing import Final

from PySide6.QtCore import QTimer, Signal
from PySide6.QtWidgets import QWidget

from inglenook.gui.transcript.blocks import Code, Table
from inglenook.gui.transcript.code_view import CodeView
from inglenook.gui.transcript.controls import TextButton
from inglenook.gui.transcript.formats import Formats
from inglenook.gui.transcript.run_view import RunView
from inglenook.gui.transcript.sections import Run, Section, Sections
from inglenook.gui.transcript.stream import MarkdownStream
from inglenook.gui.transcript.table_view import TableView

SHOWN_LIMIT: Final = 200_000
"""Characters of one reply that are laid out before one asks for more."""
_SLICE_CHARS: Final = 1000
_SLICES: Final = 5
"""At most so many slices are read and laid out before the window has its turn."""
_SLICE_S: Final = 0.008
_GAP_PX: Final = 12

type SectionView = RunView | CodeView | TableView


class ReplyBody(QWidget):
    """The Markdown of one reply.

    Signals: `height_changed()`; `link_clicked(str)`.
    """

    height_changed = Signal()
    link_clicked = Signal(str)

    def __init__(self, formats: Formats, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._formats = formats
        self._timer = QTimer(self, interval=0)
        self._timer.timeout.connect(self._on_slice_due)
        self._more: TextButton | None = None
        self._views: list[SectionView] = []
        self._shows_cursor = False
        self._width = 0
        self._reset()

    def _reset(self) -> None:
        self._stream = MarkdownStream()
        self._sections = Sections()
        self._text = ""
        self._n_fed = 0
        self._limit = SHOWN_LIMIT
        self._is_last = False
        self._heights: dict[SectionView, tuple[int, int]] = {}
        for view in self._views:
            view.hide()
            view.deleteLater()
        self._views = []

    @property
    def text(self) -> str:
        """The Markdown source so far."""
        return self._text

    @property
    def views(self) -> tuple[SectionView, ...]:
        """The views from top to bottom."""
        return tuple(self._views)

    def set_text(self, text: str, *, is_last: bool) -> None:
        """Show a whole text; what is shown already and still holds is kept."""
        if self._text.rstrip() == text.rstrip() and len(self._text) > len(text):
            text = self._text
        if not text.startswith(self._text) or (self._is_last and text != self._text):
            self._reset()
        self._text = text
        self._is_last = is_last
        self._feed_some()

    def append(self, piece: str) -> None:
        """Add a piece that arrived."""
        self._text += piece
        self._feed_some()

    def set_shows_cursor(self, shows: bool) -> None:
        """Show or hide the block at the end of a reply that still grows."""
        self._shows_cursor = shows
        self._place_cursor()

    def fit(self, width: int) -> int:
        """Place the views for a width; the height that they take."""
        self._width = width
        gap = self._formats.theme.px(_GAP_PX)
        y = 0
        for index, view in enumerate(self._views):
            known = self._heights.get(view)
            if known is None or known[0] != width:
                known = (width, view.fit(width))
                self._heights[view] = known
            y += gap if index else 0
            view.setGeometry(0, y, width, known[1])
            y += known[1]
        if self._more is not None and not self._more.isHidden():
            size = self._more.sizeHint()
            self._more.setGeometry(-6, y + gap, size.width(), size.height())
            y += gap + size.height()
        return y

    def _feed_some(self) -> None:
        """Read for some milliseconds; the rest follows when the window has had its turn."""
        started = perf_counter()
        end = min(len(self._text), self._limit)
        for n_slices in count(1):
            piece = self._text[self._n_fed : min(end, self._n_fed + _SLICE_CHARS)]
            self._n_fed += len(piece)
            is_done = self._n_fed >= end
            is_late = n_slices >= _SLICES or perf_counter() - started > _SLICE_S
            is_pause = is_done or is_late
            is_end = self._is_last and self._n_fed >= len(self._text)
            self._stream.feed(piece, is_last=is_end, more_follows=not is_pause)
            if is_pause:
                break
        self._show_sections()
        if is_done:
            self._timer.stop()
        elif not self._timer.isActive():
            self._timer.start()
        has_more = self._n_fed >= self._limit < len(self._text)
        if has_more and self._more is None:
            self._more = TextButton(self._formats.theme, self.tr("Show more of this reply"), self)
            self._more.clicked.connect(self._on_more)
        if self._more is not None:
            self._more.setVisible(has_more)

    def _on_slice_due(self) -> None:
        self._feed_some()
        self.height_changed.emit()

    def _on_more(self) -> None:
        self._limit += SHOWN_LIMIT
        self._feed_some()
        self.height_changed.emit()

    def _show_sections(self) -> None:
        first = self._sections.update(self._stream.settled, self._stream.tail)
        sections = self._sections.all
        for index in range(first, len(sections)):
            section = sections[index]
            view = self._views[index] if index < len(self._views) else None
            if view is None or not _suits(view, section):
                view = self._replace_view(index, section)
            _fill(view, section)
            self._heights.pop(view, None)
        for view in self._views[len(sections) :]:
            self._discard(view)
        del self._views[len(sections) :]
        self._place_cursor()

    def _replace_view(self, index: int, section: Section) -> SectionView:
        made = self._make_view(section)
        if self._width and not isinstance(section, Table):
            made.set_width(self._width)
        made.show()
        if index < len(self._views):
            self._discard(self._views[index])
            self._views[index] = made
        else:
            self._views.append(made)
        return made

    def _make_view(self, section: Section) -> SectionView:
        if isinstance(section, Code):
            code = CodeView(self._formats, self)
            code.height_changed.connect(self._on_view_changed)
            return code
        made = (
            TableView(self._formats, self)
            if isinstance(section, Table)
            else RunView(self._formats, self)
        )
        made.link_clicked.connect(self.link_clicked)
        return made

    def _discard(self, view: SectionView) -> None:
        self._heights.pop(view, None)
        view.hide()
        view.deleteLater()

    def _on_view_changed(self) -> None:
        sender = self.sender()
        if isinstance(sender, CodeView):
            self._heights.pop(sender, None)
        self.height_changed.emit()

    def _place_cursor(self) -> None:
        if self._shows_cursor and not self._views:
            empty = RunView(self._formats, self)
            empty.set_run(Run(()))
            empty.show()
            self._views.append(empty)
        for index, view in enumerate(self._views):
            is_end = self._shows_cursor and index == len(self._views) - 1
            if not isinstance(view, TableView):
                view.set_shows_cursor(is_end)


def _suits(view: SectionView, section: Section) -> bool:
    match section:
        case Run():
            return isinstance(view, RunView)
        case Code():
            return isinstance(view, CodeView)
        case Table():
            return isinstance(view, TableView)


def _fill(view: SectionView, section: Section) -> None:
    if isinstance(view, RunView) and isinstance(section, Run):
        view.set_run(section)
    elif isinstance(view, CodeView) and isinstance(section, Code):
        view.set_code(section)
    elif isinstance(view, TableView) and isinstance(section, Table):
        view.set_table(section)
