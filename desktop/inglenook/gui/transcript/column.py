"""The scrolling column of messages: centred, at most 46 em wide, never moving what one reads.

It follows the end only while one is at the end. Otherwise every change of layout keeps the message
at the top of the view where it is. Window's thread.
"""

from typing import Final, Protocol, cast, override, runtime_checkable

from PySide6.QtCore import QCoreApplication, QEvent, QRect, Qt, Signal
from PySide6.QtGui import QKeyEvent, QResizeEvent
from PySide6.QtWidgets import QFrame, QScrollArea, QWidget

from inglenook.gui.theme import MEASURE_EM, TRANSCRIPT_PX, Theme

_TOP_PX: Final = 26
_BOTTOM_PX: Final = 28
_SIDE_PX: Final = 24
_OVERHANG_PX: Final = 8
"""Views reach this far beyond the measure, so that words of buttons end at it."""
_GAP_PX: Final = 2
_AFTER_REPLY_PX: Final = 20
_END_SLACK_PX: Final = 12
_PLACE: Final = QEvent.Type(QEvent.registerEventType())


class Fitting(Protocol):
    """A widget that says how tall it is at a width."""

    def fit(self, width: int) -> int:
        """Place the content for a width; the height that it takes."""
        ...


@runtime_checkable
class Spreading(Protocol):
    """A widget that may take more than the measure."""

    def choose_width(self, measure: int, room: int) -> int:
        """How wide it wants to be, where so much room is."""
        ...


class Sheet(QWidget):
    """The parent of the views; Tab goes through them in the order in which they stand."""

    def __init__(self, column: "MessageColumn") -> None:
        super().__init__()
        self._column = column

    @override
    def focusNextPrevChild(self, next: bool) -> bool:
        places = [
            widget
            for view in self._column.views
            for widget in view.findChildren(QWidget)
            if widget.focusPolicy() & Qt.FocusPolicy.TabFocus
            and widget.isVisibleTo(self)
            and widget.isEnabled()
        ]
        focused = self.window().focusWidget()
        if focused not in places:
            return super().focusNextPrevChild(next)
        index = places.index(focused) + (1 if next else -1)
        target = places[index] if 0 <= index < len(places) else self._find_outside(next)
        target.setFocus(
            Qt.FocusReason.TabFocusReason if next else Qt.FocusReason.BacktabFocusReason
        )
        if self.isAncestorOf(target):
            self._column.ensureWidgetVisible(target, 0, 60)
        return True

    def _find_outside(self, forward: bool) -> QWidget:
        """The next widget of the window that takes the focus and is not in the column."""
        step = QWidget.nextInFocusChain if forward else QWidget.previousInFocusChain
        start: QWidget = self._column
        widget = step(start)
        while widget is not None and widget is not start:
            takes_focus = widget.focusPolicy() & Qt.FocusPolicy.TabFocus
            is_usable = takes_focus and widget.isVisible() and widget.isEnabled()
            if is_usable and not self.isAncestorOf(widget):
                return widget
            widget = step(widget)
        return start


class MessageColumn(QScrollArea):
    """Message views from top to bottom.

    Signals: `scrolled()`; `end_reached(bool)` when one comes to the end or leaves it.
    """

    scrolled = Signal()
    end_reached = Signal(bool)

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._views: list[QWidget] = []
        self._gaps: dict[QWidget, int] = {}
        self._heights: dict[QWidget, tuple[int, int]] = {}
        self._placed: set[QWidget] = set()
        self._follows = True
        self._ceiling: QWidget | None = None
        self.has_more_below = False
        """Messages below the last view have no views yet: its end is not the end."""
        self._is_placing = False
        self._sheet = Sheet(self)
        self._sheet.setProperty("surface", "none")
        self.setWidget(self._sheet)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.viewport().setAutoFillBackground(False)
        self._sheet.setAutoFillBackground(False)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.verticalScrollBar().setSingleStep(theme.px(40))
        self.verticalScrollBar().valueChanged.connect(self._on_scrolled)
        self._is_asked = False

    # --- what stands in it ---

    @property
    def views(self) -> tuple[QWidget, ...]:
        """The views from top to bottom."""
        return tuple(self._views)

    @property
    def sheet(self) -> QWidget:
        """The parent of all views."""
        return self._sheet

    def insert(self, index: int, view: QWidget, *, is_reply: bool) -> None:
        """Put a view in; `place` shows it."""
        view.setParent(self._sheet)
        self._views.insert(index, view)
        self._gaps[view] = _AFTER_REPLY_PX if is_reply else _GAP_PX
        view.show()

    def remove(self, view: QWidget) -> None:
        """Take a view out and let it go."""
        self._views.remove(view)
        self._gaps.pop(view, None)
        self._heights.pop(view, None)
        self._placed.discard(view)
        if view is self._ceiling:
            self._ceiling = None
        view.hide()
        view.deleteLater()

    # --- layout ---

    def measure(self) -> int:
        """The width of the messages in pixels."""
        widest = self._theme.px(TRANSCRIPT_PX * MEASURE_EM)
        return max(120, min(widest, self.viewport().width() - 2 * _SIDE_PX))

    def changed(self, view: QWidget) -> None:
        """A view needs another height; it gets it before the next repaint."""
        self._heights.pop(view, None)
        self._ask()

    def forget_heights(self) -> None:
        """Every view is to be laid out anew."""
        self._heights.clear()
        self._ask()

    def _ask(self) -> None:
        """Have everything placed soon: a timer, even of 0 ms, would come after the repaint."""
        if not self._is_asked:
            self._is_asked = True
            QCoreApplication.postEvent(self, QEvent(_PLACE))

    def place(self) -> None:
        """Lay out what changed, keeping the end or the message at the top where it is."""
        if self._is_placing:
            return
        self._is_asked = False
        self._is_placing = True
        anchor = None if self._follows else self._find_anchor()
        measure, room = self.measure(), self.viewport().width() - 2 * _SIDE_PX
        y = self._theme.px(_TOP_PX)
        for view in self._views:
            width = view.choose_width(measure, room) if isinstance(view, Spreading) else measure
            left = (self.viewport().width() - width) // 2
            known = self._heights.get(view)
            if known is None or known[0] != width:
                known = (width, cast("Fitting", view).fit(width))
                self._heights[view] = known
            place = QRect(left, y, width + _OVERHANG_PX, known[1])
            if view.geometry() != place:
                view.setGeometry(place)
            self._placed.add(view)
            y += known[1] + self._theme.px(self._gaps[view])
        y += self._theme.px(_BOTTOM_PX)
        self._sheet.resize(self.viewport().width(), max(y, self.viewport().height()))
        bar = self.verticalScrollBar()
        # A hidden area hears of the new size only when it is shown; the range must hold now.
        bar.setRange(0, max(0, self._sheet.height() - self.viewport().height()))
        bar.setPageStep(self.viewport().height())
        if anchor is not None:
            bar.setValue(anchor[0].y() - anchor[1])
        elif self._follows:
            bar.setValue(min(bar.maximum(), self._find_limit()))
        self._is_placing = False
        self.scrolled.emit()

    def _find_anchor(self) -> tuple[QWidget, int] | None:
        """The first view that reaches into the visible part, and how far its top is above it."""
        top = self.verticalScrollBar().value()
        for view in self._views:
            if view in self._placed and view.y() + view.height() > top:
                return view, view.y() - top
        return None

    # --- scrolling ---

    @property
    def follows(self) -> bool:
        """True while one is at the end, so that the view goes along with new text."""
        return self._follows

    def go_to_end(self) -> None:
        """Show the end and stay there."""
        self._ceiling = None
        self._set_follows(True)
        self.place()

    def set_ceiling(self, view: QWidget) -> None:
        """Follow the end only until this view is at the top.

        What grows side by side is read from there, for nobody reads all of it at its end.
        """
        self._ceiling = view
        self.place()

    def _find_limit(self) -> int:
        """How far one is taken along at most."""
        if self._ceiling is None:
            return self.verticalScrollBar().maximum()
        return max(0, self._ceiling.y() - self._theme.px(_TOP_PX))

    def put_at(self, view: QWidget, top: int) -> None:
        """Have a view's top stand so far below the upper edge, if there is text enough."""
        self.place()
        self._set_follows(False)
        bar = self.verticalScrollBar()
        bar.setValue(view.y() - top)
        self._set_follows(self.distance_below() <= _END_SLACK_PX and not self.has_more_below)

    def top_of(self, view: QWidget) -> int:
        """How far a view's top is below the upper edge; negative above it."""
        return view.y() - self.verticalScrollBar().value()

    def go_to(self, view: QWidget) -> None:
        """Bring a view's top near the top of the visible part."""
        self.place()
        self._set_follows(False)
        self.verticalScrollBar().setValue(max(0, view.y() - self._theme.px(_SIDE_PX)))

    def distance_above(self) -> int:
        """Pixels of messages above the visible part."""
        return self.verticalScrollBar().value()

    def distance_below(self) -> int:
        """Pixels of messages below the visible part."""
        bar = self.verticalScrollBar()
        return bar.maximum() - bar.value()

    def first_visible(self) -> QWidget | None:
        """The view at the top of the visible part."""
        found = self._find_anchor()
        return found[0] if found else None

    def _set_follows(self, follows: bool) -> None:
        if follows != self._follows:
            self._follows = follows
            self.end_reached.emit(follows)

    def _on_scrolled(self) -> None:
        if self._is_placing:
            return
        is_at_end = self.distance_below() <= _END_SLACK_PX
        if self.verticalScrollBar().value() > self._find_limit():
            self._ceiling = None  # One went further by oneself.
        self._set_follows(is_at_end and not self.has_more_below)
        self.scrolled.emit()

    @override
    def event(self, event: QEvent) -> bool:
        if event.type() != _PLACE:
            return super().event(event)
        if self._is_asked:
            self.place()
        return True

    @override
    def resizeEvent(self, event: QResizeEvent) -> None:
        was_placing, self._is_placing = self._is_placing, True
        super().resizeEvent(event)
        self._is_placing = was_placing
        self.place()

    @override
    def keyPressEvent(self, event: QKeyEvent) -> None:
        bar = self.verticalScrollBar()
        match event.key():
            case Qt.Key.Key_Home:
                bar.setValue(0)
            case Qt.Key.Key_End:
                self.go_to_end()
            case Qt.Key.Key_Space | Qt.Key.Key_PageDown:
                bar.triggerAction(bar.SliderAction.SliderPageStepAdd)
            case Qt.Key.Key_PageUp:
                bar.triggerAction(bar.SliderAction.SliderPageStepSub)
            case _:
                super().keyPressEvent(event)
