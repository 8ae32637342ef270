"""The composer's own controls: Send or Stop, and the bar that shows how full the context is.

They draw themselves by role, on the window's thread.
"""

from typing import Final, override

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QFontMetrics, QPainter, QPainterPath, QPaintEvent, QPen
from PySide6.QtWidgets import QPushButton, QWidget

from inglenook.gui.theme import RADIUS_CONTROL, Theme
from inglenook.gui.transcript.controls import paint_focus

ROW_PX: Final = 32
TIGHT_SHARE: Final = 0.85
"""From this share of the context on, the gauge warns."""


class SendButton(QPushButton):
    """An arrow in the accent that sends; a square with its key that stops while a reply runs."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._stops = False
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setAttribute(Qt.WidgetAttribute.WA_Hover)
        self.set_stops(False)

    def set_stops(self, stops: bool) -> None:
        """Be the Stop button, or the Send button."""
        self._stops = stops
        self.setAccessibleName(self.tr("Stop the reply") if stops else self.tr("Send"))
        self.setToolTip(self.tr("Stop the reply (Esc)") if stops else self.tr("Send (Enter)"))
        self.updateGeometry()
        self.update()

    @override
    def sizeHint(self) -> QSize:
        px = self._theme.px
        if not self._stops:
            return QSize(px(38), px(ROW_PX))
        metrics = QFontMetrics(self._theme.font(13))
        words = self.tr("Stop") + self.tr("Esc")
        return QSize(metrics.horizontalAdvance(words) + px(54), px(ROW_PX))

    @override
    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        area = QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5)
        if self._stops:
            self._paint_stop(painter, area)
        else:
            self._paint_send(painter, area)
        if self.hasFocus():
            ring = "ink" if not self._stops and self.isEnabled() else "ember"
            paint_focus(painter, self._theme, area, RADIUS_CONTROL, role=ring)

    def _paint_send(self, painter: QPainter, area: QRectF) -> None:
        colours, px = self._theme.colours, self._theme.px
        painter.setPen(Qt.PenStyle.NoPen)
        ground = colours.colour("ember" if self.isEnabled() else "line")
        painter.setBrush(ground.lighter(108) if self.underMouse() and self.isEnabled() else ground)
        painter.drawRoundedRect(area, RADIUS_CONTROL, RADIUS_CONTROL)
        ink = colours.colour("on_ember" if self.isEnabled() else "quiet")
        cap, join = Qt.PenCapStyle.RoundCap, Qt.PenJoinStyle.RoundJoin
        painter.setPen(QPen(ink, self._theme.zoom * 1.8, Qt.PenStyle.SolidLine, cap, join))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        middle = area.center()
        reach = px(6)
        arrow = QPainterPath(middle + QPointF(0, reach))
        arrow.lineTo(middle + QPointF(0, -reach))
        arrow.moveTo(middle + QPointF(-reach * 0.8, -reach * 0.2))
        arrow.lineTo(middle + QPointF(0, -reach))
        arrow.lineTo(middle + QPointF(reach * 0.8, -reach * 0.2))
        painter.drawPath(arrow)

    def _paint_stop(self, painter: QPainter, area: QRectF) -> None:
        colours, px = self._theme.colours, self._theme.px
        painter.setPen(QPen(colours.colour("line"), 1))
        painter.setBrush(colours.colour("user_card" if self.underMouse() else "raised"))
        painter.drawRoundedRect(area, RADIUS_CONTROL, RADIUS_CONTROL)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colours.colour("ember"))
        side = px(10)
        painter.drawRoundedRect(QRectF(px(14), (self.height() - side) / 2, side, side), 2, 2)
        painter.setFont(self._theme.font(13))
        painter.setPen(colours.colour("ink"))
        left = px(31)
        flags = int(Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft)
        painter.drawText(self.rect().adjusted(left, 0, 0, 0), flags, self.tr("Stop"))
        left += QFontMetrics(painter.font()).horizontalAdvance(self.tr("Stop")) + px(8)
        painter.setPen(colours.colour("quiet"))
        painter.drawText(self.rect().adjusted(left, 0, 0, 0), flags, self.tr("Esc"))


class ContextGauge(QWidget):
    """A thin bar: how much of the context is used."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._share = 0.0
        self.setAccessibleName(self.tr("Context used"))

    def set_share(self, share: float) -> None:
        """0 is empty, 1 is full."""
        self._share = min(1.0, max(0.0, share))
        self.setAccessibleDescription(f"{self._share:.0%}")
        self.update()

    @override
    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        colours = self._theme.colours
        height = self._theme.px(4)
        bar = QRectF(0, (self.height() - height) / 2, self.width(), height)
        painter.setBrush(colours.colour("line"))
        painter.drawRoundedRect(bar, height / 2, height / 2)
        if self._share > 0:
            bar.setWidth(max(height, bar.width() * self._share))
            painter.setBrush(colours.colour("brick" if self._share >= TIGHT_SHARE else "ember"))
            painter.drawRoundedRect(bar, height / 2, height / 2)
