"""The pill over the transcript's end that leads to the end. Window's thread."""

from typing import override

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QFontMetrics, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QPushButton, QWidget

from inglenook.gui.theme import Theme
from inglenook.gui.transcript.controls import paint_focus


class EndButton(QPushButton):
    """A round button that says "To the end", with an arrow."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self.setText(self.tr("To the end"))
        self.setAccessibleName(self.text())
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setAttribute(Qt.WidgetAttribute.WA_Hover)

    @override
    def sizeHint(self) -> QSize:
        px = self._theme.px
        metrics = QFontMetrics(self._theme.font(13))
        return QSize(metrics.horizontalAdvance(self.text()) + px(48), px(34))

    @override
    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        colours, px = self._theme.colours, self._theme.px
        area = QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5)
        radius = area.height() / 2
        painter.setPen(QPen(colours.colour("line"), 1))
        painter.setBrush(colours.colour("user_card" if self.underMouse() else "raised"))
        painter.drawRoundedRect(area, radius, radius)
        painter.setPen(QPen(colours.colour("ember"), 1.6, c=Qt.PenCapStyle.RoundCap))
        middle = QPointF(px(19), self.height() / 2)
        reach = px(4.5)
        painter.drawLine(middle + QPointF(0, -reach), middle + QPointF(0, reach))
        painter.drawLine(middle + QPointF(-reach * 0.8, reach * 0.2), middle + QPointF(0, reach))
        painter.drawLine(middle + QPointF(reach * 0.8, reach * 0.2), middle + QPointF(0, reach))
        painter.setPen(colours.colour("ink"))
        painter.setFont(self._theme.font(13))
        text_area = self.rect().adjusted(px(32), 0, -px(10), 0)
        painter.drawText(
            text_area, int(Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft), self.text()
        )
        if self.hasFocus():
            paint_focus(painter, self._theme, area, radius)
