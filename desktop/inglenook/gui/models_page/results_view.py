"""The view of a search's results: rows that open, a button at the end of each, more at the foot."""

from typing import Any, Final, override

from PySide6.QtCore import QModelIndex, QRect, Qt, QTimer, Signal
from PySide6.QtGui import QFocusEvent, QKeyEvent, QMouseEvent, QResizeEvent
from PySide6.QtWidgets import QAbstractItemView, QListView, QWidget

from inglenook.gui.models_page.results_model import Index, ResultsModel
from inglenook.gui.models_page.results_painter import ResultsPainter
from inglenook.gui.models_page.results_rows import ResultRow
from inglenook.gui.theme import Theme

NEAR_END_PX: Final = 900
"""So near the end the next page is asked for, before anybody reaches it."""


class ResultsView(QListView):
    """Signals: `row_opened(ResultRow)`, `button_pressed(ResultRow)`, `end_neared()`."""

    row_opened = Signal(object)
    button_pressed = Signal(object)
    end_neared = Signal()

    def __init__(self, theme: Theme, rows: ResultsModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._list = rows
        self._pressed: tuple[QModelIndex, bool] = (QModelIndex(), False)
        self.painter_of_rows = ResultsPainter(theme, rows, self)
        self.setModel(rows)
        self.setItemDelegate(self.painter_of_rows)
        self.setAccessibleName(self.tr("Models that were found"))
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setMouseTracking(True)
        self.setViewportMargins(16, 0, 16, 0)
        self.verticalScrollBar().setSingleStep(theme.px(24))
        self.verticalScrollBar().valueChanged.connect(self._look_ahead)
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(0)
        self._soon.timeout.connect(self._look_ahead)
        rows.rowsInserted.connect(self._soon.start)
        theme.changed.connect(self.doItemsLayout)

    def press(self, row: int) -> None:
        """Do what a row's button does."""
        found = self._list.row_at(self._list.index(row))
        if found is not None and self._list.state_of(found)[0] not in {"", "wait"}:
            self.button_pressed.emit(found)

    def button_area(self, row: int) -> QRect:
        """Where a row's button is in the viewport; empty where it has none or is not on show."""
        index = self._list.index(row)
        return self.painter_of_rows.find_button(index, self.visualRect(index))

    def _look_ahead(self, *_: Any) -> None:
        self.executeDelayedItemsLayout()
        bar = self.verticalScrollBar()
        if bar.maximum() - bar.value() < NEAR_END_PX:
            self.end_neared.emit()

    def _find_button(self, event: QMouseEvent) -> QModelIndex:
        """The row whose button is below the pointer; invalid for none."""
        place = event.position().toPoint()
        index = self.indexAt(place)
        if index.isValid() and self.button_area(index.row()).contains(place):
            return index
        return QModelIndex()

    def _row_at(self, index: Index) -> ResultRow | None:
        return self._list.row_at(index) if index.isValid() else None

    @override
    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Show what can be pressed."""
        super().mouseMoveEvent(event)
        row = self._row_at(self.indexAt(event.position().toPoint()))
        hovered = self._find_button(event).row()
        can_press = hovered >= 0 or (row is not None and bool(row.repo))
        shape = Qt.CursorShape.PointingHandCursor if can_press else Qt.CursorShape.ArrowCursor
        if self.viewport().cursor().shape() != shape:
            self.viewport().setCursor(shape)
        if hovered != self.painter_of_rows.hovered_button:
            self.painter_of_rows.hovered_button = hovered
            self.viewport().update()

    @override
    def mousePressEvent(self, event: QMouseEvent) -> None:
        """A click begins here; it counts where it also ends here."""
        self.painter_of_rows.shows_focus = False
        super().mousePressEvent(event)
        index = self.indexAt(event.position().toPoint())
        self._pressed = (index, self._find_button(event).isValid())

    @override
    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Open a row, or do what its button does."""
        super().mouseReleaseEvent(event)
        index = self.indexAt(event.position().toPoint())
        is_on_button = self._find_button(event).isValid()
        is_click = (index, is_on_button) == self._pressed
        if event.button() != Qt.MouseButton.LeftButton or not index.isValid() or not is_click:
            return
        row = self._row_at(index)
        if is_on_button:
            self.press(index.row())
        elif row is not None and row.repo:
            self.row_opened.emit(row)

    @override
    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Enter opens a row; Space does what its button does."""
        self.painter_of_rows.shows_focus = True
        row = self._row_at(self.currentIndex())
        if row is not None and event.key() in {Qt.Key.Key_Return, Qt.Key.Key_Enter}:
            if row.repo:
                self.row_opened.emit(row)
            else:
                self.press(self.currentIndex().row())
        elif row is not None and event.key() == Qt.Key.Key_Space:
            self.press(self.currentIndex().row())
        else:
            super().keyPressEvent(event)

    @override
    def focusInEvent(self, event: QFocusEvent) -> None:
        """Who comes by the keyboard sees where it is."""
        by_keys = {Qt.FocusReason.TabFocusReason, Qt.FocusReason.BacktabFocusReason}
        self.painter_of_rows.shows_focus = event.reason() in by_keys
        super().focusInEvent(event)
        if not self.currentIndex().isValid():
            self.setCurrentIndex(self._list.find_first())

    @override
    def resizeEvent(self, event: QResizeEvent) -> None:
        """A taller view may show the end."""
        super().resizeEvent(event)
        self._soon.start()
