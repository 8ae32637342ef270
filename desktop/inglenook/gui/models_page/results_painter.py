"""Paints the rows of a search's results: a model in two lines with one button at its end."""

from typing import Any, Final, override

from PySide6.QtCore import QEvent, QPoint, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QFont, QFontMetricsF, QPainter, QPen
from PySide6.QtWidgets import QStyle, QStyledItemDelegate, QStyleOptionViewItem, QWidget

from inglenook.gui.models_page.results_model import Index, ResultsModel
from inglenook.gui.models_page.results_rows import (
    ResultRow,
    describe_row_size,
    describe_verdict,
)
from inglenook.gui.theme import SMALL_PX, TEXT_PX, Theme
from inglenook.gui.widgets import (
    PILL_ROLES,
    PillTone,
    draw_focus_ring,
    draw_row_ground,
    make_plain_tooltip,
)

_LEFT: Final = Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft
_MIDDLE: Final = Qt.AlignmentFlag.AlignCenter
_HEIGHTS: Final = {"group": 40, "entry": 66, "result": 66, "note": 44}
_PAD: Final = 14
_GAP: Final = 8
_BUTTON_PX: Final = 104


class ResultsPainter(QStyledItemDelegate):
    """The look of the rows. What a click means is the view's to say: `find_button`."""

    def __init__(self, theme: Theme, rows: ResultsModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._list = rows
        self.hovered_button: int = -1
        """The row whose button the pointer is over."""
        self.shows_focus = False
        """Whether the keyboard is in use, and where it is has to be seen."""

    def find_button(self, index: Index, area: QRect) -> QRect:
        """Where a row's button is, within the row's own area; empty for none."""
        row = self._list.row_at(index)
        if row is None or not self._list.state_of(row)[0]:
            return QRect()
        theme = self._theme
        height, width = theme.px(30), theme.px(_BUTTON_PX)
        top = area.center().y() - height // 2 + 1
        return QRect(area.right() - theme.px(_PAD) - width, top, width, height)

    @override
    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        """As high as its kind."""
        del option
        row = self._list.row_at(index)
        return QSize(100, self._theme.px(_HEIGHTS[row.kind]) if row is not None else 0)

    @override
    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        """Paint one row."""
        row = self._list.row_at(index)
        if row is None:
            return
        area: QRect = _rect(option)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if row.kind == "group":
            self._paint_group(painter, QRectF(area), row)
        else:
            self._paint_ground(painter, option, QRectF(area), row)
            button = self.find_button(index, area)
            inner = QRectF(area).adjusted(self._theme.px(_PAD), 0, -self._theme.px(_PAD), 0)
            if not button.isEmpty():
                inner.setRight(button.left() - self._theme.px(12))
                self._paint_button(painter, button, row, index.row() == self.hovered_button)
            if row.kind == "note":
                self._paint_note(painter, inner, row)
            else:
                self._paint_model(painter, inner, row)
        painter.restore()

    def _paint_group(self, painter: QPainter, area: QRectF, row: ResultRow) -> None:
        painter.setPen(self._theme.colours.colour("quiet"))
        painter.setFont(self._theme.font(SMALL_PX, weight=QFont.Weight.Medium))
        bottom = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignBottom
        painter.drawText(area.adjusted(self._theme.px(_PAD), 0, 0, -8), bottom, row.title)

    def _paint_ground(
        self, painter: QPainter, option: QStyleOptionViewItem, area: QRectF, row: ResultRow
    ) -> None:
        state = _state(option)
        inner = area.adjusted(0.5, 1.5, -0.5, -1.5)
        is_open = bool(row.repo)
        is_hovered = is_open and bool(state & QStyle.StateFlag.State_MouseOver)
        draw_row_ground(painter, inner, self._theme, is_chosen=False, is_hovered=is_hovered)
        if is_open:
            painter.setPen(QPen(self._theme.colours.colour("line"), 1))
            painter.drawLine(area.bottomLeft(), area.bottomRight())
        has_focus = self.shows_focus and bool(state & QStyle.StateFlag.State_HasFocus)
        if has_focus and (row.repo or row.action):
            draw_focus_ring(painter, inner, 8, self._theme)

    def _paint_note(self, painter: QPainter, area: QRectF, row: ResultRow) -> None:
        painter.setFont(self._theme.font(TEXT_PX))
        painter.setPen(self._theme.colours.colour("brick" if row.is_bad else "quiet"))
        flags = _LEFT | Qt.TextFlag.TextWordWrap
        painter.drawText(area, flags, row.title)

    def _paint_model(self, painter: QPainter, area: QRectF, row: ResultRow) -> None:
        theme = self._theme
        line = area.height() / 2
        top = QRectF(area.left(), area.top() + theme.px(7), area.width(), line - theme.px(7))
        below = QRectF(area.left(), top.bottom(), area.width(), line - theme.px(7))
        right = self._paint_fit(painter, top, row)
        self._paint_title(painter, QRectF(top.topLeft(), QRectF(top.left(), top.top(),
                          right - top.left() - _GAP, top.height()).bottomRight()), row)  # fmt: skip
        room = below
        if size := describe_row_size(row):
            font = theme.font(SMALL_PX)
            painter.setFont(font)
            painter.setPen(theme.colours.colour("quiet"))
            width = QFontMetricsF(font).horizontalAdvance(size)
            painter.drawText(
                below, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight, size
            )
            room = below.adjusted(0, 0, -width - 16, 0)
        problem = self._list.problem_of(row)
        self._draw(painter, room, problem or row.details, SMALL_PX, "brick" if problem else "quiet")

    def _paint_title(self, painter: QPainter, area: QRectF, row: ResultRow) -> None:
        theme = self._theme
        pills: list[tuple[str, PillTone]] = [(mark, "quiet") for mark in row.marks]
        if row.is_gated:
            pills.insert(0, (self.tr("needs access"), "warn"))
        widths = [self._measure_pill(text) for text, _ in pills]
        # A narrow row keeps its name, then the maker, then as many words as there is room for.
        left = area.left()
        left += self._draw(
            painter, area, row.title, TEXT_PX, "ink", QFont.Weight.DemiBold
        ) + theme.px(_GAP)
        rest = QRectF(left, area.top(), max(0.0, area.right() - left), area.height())
        if rest.width() < theme.px(40):
            return
        left += self._draw(painter, rest, row.maker, SMALL_PX, "quiet") + theme.px(_GAP)
        for (text, tone), width in zip(pills, widths, strict=True):
            if left + width > area.right():
                break
            self._paint_pill(painter, left, area, text, tone)
            left += width + 6

    def _paint_fit(self, painter: QPainter, area: QRectF, row: ResultRow) -> float:
        """The verdict at the right end; where it begins."""
        if row.fit is None:
            return area.right()
        text, tone = describe_verdict(row.fit, self.tr)
        left = area.right() - self._measure_pill(text)
        self._paint_pill(painter, left, area, text, tone)
        return left

    def _measure_pill(self, text: str) -> float:
        font = self._theme.font(SMALL_PX, weight=QFont.Weight.Medium)
        return QFontMetricsF(font).horizontalAdvance(text) + 16

    def _paint_pill(
        self, painter: QPainter, left: float, line: QRectF, text: str, tone: PillTone
    ) -> None:
        ink, ground = PILL_ROLES[tone]
        font = self._theme.font(SMALL_PX, weight=QFont.Weight.Medium)
        height = QFontMetricsF(font).height() + 4
        box = QRectF(left, line.center().y() - height / 2, self._measure_pill(text), height)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self._theme.colours.colour(ground))
        painter.drawRoundedRect(box, height / 2, height / 2)
        painter.setPen(self._theme.colours.colour(ink))
        painter.setFont(font)
        painter.drawText(box, _MIDDLE, text)

    def _paint_button(
        self, painter: QPainter, area: QRect, row: ResultRow, is_hovered: bool
    ) -> None:
        action, text = self._list.state_of(row)
        colours = self._theme.colours
        box = QRectF(area).adjusted(0.5, 0.5, -0.5, -0.5)
        if action == "wait":
            painter.setPen(colours.colour("quiet"))
            painter.setFont(self._theme.font(SMALL_PX))
            painter.drawText(box, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight, text)
            return
        is_strong = action == "use"
        painter.setPen(QPen(colours.colour("ember" if is_strong else "line"), 1))
        ground = "ember" if is_strong else "user_card" if is_hovered else "raised"
        painter.setBrush(colours.colour(ground))
        painter.drawRoundedRect(box, 8, 8)
        painter.setPen(colours.colour("on_ember" if is_strong else "ink"))
        painter.setFont(self._theme.font(TEXT_PX, weight=QFont.Weight.Medium))
        painter.drawText(box, _MIDDLE, text)

    def _draw(
        self,
        painter: QPainter,
        area: QRectF,
        text: str,
        size_px: int,
        role: str,
        weight: QFont.Weight = QFont.Weight.Normal,
    ) -> float:
        """One line, shortened to its room; the width that it takes."""
        font = self._theme.font(size_px, weight=weight)
        metrics = QFontMetricsF(font)
        shown = metrics.elidedText(text, Qt.TextElideMode.ElideRight, area.width())
        painter.setFont(font)
        painter.setPen(self._theme.colours.colour(role))
        painter.drawText(area, _LEFT | Qt.TextFlag.TextSingleLine, shown)
        return metrics.horizontalAdvance(shown)

    @override
    def helpEvent(self, event: Any, view: Any, option: QStyleOptionViewItem, index: Index) -> bool:
        """The sums behind the verdict, and all of what may be shortened; as plain text."""
        from PySide6.QtWidgets import QToolTip

        row = self._list.row_at(index)
        if event.type() != QEvent.Type.ToolTip or row is None:
            return False
        problem = self._list.problem_of(row)
        parts = (problem, row.repo, row.details, row.fit.reason if row.fit is not None else "")
        text = "\n".join(part for part in parts if part) if row.repo else ""
        place: QPoint = event.globalPos()
        QToolTip.showText(place, make_plain_tooltip(text), view, _rect(option))
        return True


def _rect(option: QStyleOptionViewItem) -> Any:
    return option.rect


def _state(option: QStyleOptionViewItem) -> Any:
    return option.state
