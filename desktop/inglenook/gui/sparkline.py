"""A small line of recent values: the live tokens per second."""

from collections import deque
from typing import override

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QPainter, QPainterPath, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from inglenook.gui.theme import Theme

N_VALUES = 120
"""At five numbers a second: the last 24 seconds."""


class Sparkline(QWidget):
    """Values over time as a line on a tint, from zero to a little above the largest."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._values: deque[float] = deque(maxlen=N_VALUES)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName(self.tr("Tokens per second over the last seconds"))
        theme.changed.connect(self.updateGeometry)

    def add(self, value: float) -> None:
        """Add the newest value."""
        self._values.append(max(0.0, value))
        self.update()

    def set_values(self, values: tuple[float, ...]) -> None:
        """Replace all values."""
        self._values.clear()
        self._values.extend(values)
        self.update()

    def values(self) -> tuple[float, ...]:
        """What is shown."""
        return tuple(self._values)

    @override
    def sizeHint(self) -> QSize:
        """Wide and low."""
        return QSize(120, self._theme.px(56))

    @override
    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the line, its tint and the ground line."""
        del event
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        area = QRectF(self.rect()).adjusted(0, 4, 0, -1)
        colours = self._theme.colours
        painter.setPen(QPen(colours.colour("line"), 1))
        painter.drawLine(area.bottomLeft(), area.bottomRight())
        if len(self._values) < 2:
            return
        top = max(self._values) * 1.15 or 1.0
        step = area.width() / (len(self._values) - 1)
        line = QPainterPath()
        for i, value in enumerate(self._values):
            point = QPointF(i * step, area.bottom() - area.height() * value / top)
            line.lineTo(point) if i else line.moveTo(point)
        fill = QPainterPath(line)
        fill.lineTo(area.bottomRight())
        fill.lineTo(area.bottomLeft())
        fill.closeSubpath()
        painter.fillPath(fill, colours.colour("ember_tint"))
        pen = QPen(colours.colour("ember"), 2)
        pen.setJoinStyle(Qt.PenJoinStyle.RoundJoin)
        painter.setPen(pen)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawPath(line)
