"""What a conversation shows before its first message: a greeting and three starters.

Window's thread.
"""

from collections.abc import Sequence
from typing import override

from PySide6.QtCore import QRect, QSize, Qt, Signal
from PySide6.QtGui import QFont, QFontMetrics, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QPushButton, QWidget

from inglenook.gui.theme import RADIUS_CARD, Theme
from inglenook.gui.transcript.controls import TextButton, escape_mnemonic, paint_focus


class StarterButton(QPushButton):
    """A question to begin with, as a card."""

    def __init__(self, theme: Theme, text: str, parent: QWidget | None = None) -> None:
        super().__init__(escape_mnemonic(text), parent)
        self._theme = theme
        self.question = text
        self.setAccessibleName(text)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setAttribute(Qt.WidgetAttribute.WA_Hover)

    def fit(self, width: int) -> int:
        """The height that the question needs at a width."""
        px = self._theme.px
        area = QRect(0, 0, width - px(32), 1000)
        wrap = int(Qt.TextFlag.TextWordWrap)
        metrics = QFontMetrics(self._theme.font(14))
        return metrics.boundingRect(area, wrap, self.question).height() + px(26)

    @override
    def sizeHint(self) -> QSize:
        return QSize(self._theme.px(220), self.fit(self._theme.px(220)))

    @override
    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        colours = self._theme.colours
        px = self._theme.px
        area = self.rect().toRectF().adjusted(0.5, 0.5, -0.5, -0.5)
        is_warm = self.underMouse() or self.isDown()
        painter.setPen(QPen(colours.colour("quiet" if is_warm else "line"), 1))
        painter.setBrush(colours.colour("user_card" if self.isDown() else "raised"))
        painter.drawRoundedRect(area, RADIUS_CARD, RADIUS_CARD)
        painter.setPen(colours.colour("ink"))
        painter.setFont(self._theme.font(14))
        inner = self.rect().adjusted(px(16), px(10), -px(16), -px(10))
        flags = Qt.TextFlag.TextWordWrap | Qt.AlignmentFlag.AlignVCenter
        painter.drawText(inner, int(flags), self.question)
        if self.hasFocus():
            paint_focus(painter, self._theme, area, RADIUS_CARD)


class EmptyState(QWidget):
    """Greeting, starters and the way to a stronger model.

    Signals: `starter_chosen(str)`; `stronger_model_requested()`.
    """

    starter_chosen = Signal(str)
    stronger_model_requested = Signal()

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._greeting = ""
        self._greeting_area = QRect()
        self._starters: list[StarterButton] = []
        self._stronger = TextButton(theme, self.tr("Get a stronger model"), self, look="outline")
        self._stronger.clicked.connect(self.stronger_model_requested)

    def set_content(self, greeting: str, starters: Sequence[str]) -> None:
        """Say this greeting and offer these questions."""
        self._greeting = greeting
        self.setAccessibleName(greeting)
        for button in self._starters:
            button.hide()
            button.deleteLater()
        self._starters = [StarterButton(self._theme, text, self) for text in starters]
        before: QWidget | None = None
        for button in self._starters:
            button.clicked.connect(self._on_starter)
            button.show()
            if before is not None:
                QWidget.setTabOrder(before, button)
            before = button
        if before is not None:
            QWidget.setTabOrder(before, self._stronger)
        self.updateGeometry()

    def fit(self, width: int) -> int:
        """Place everything for a width; the height that it takes."""
        px = self._theme.px
        metrics = QFontMetrics(self._greeting_font())
        wrap = int(Qt.TextFlag.TextWordWrap | Qt.AlignmentFlag.AlignHCenter)
        height = metrics.boundingRect(QRect(0, 0, width, 1000), wrap, self._greeting).height()
        hearth = px(56)
        self._greeting_area = QRect(0, hearth, width, height + 4)
        y = hearth + height + px(28)
        gap = px(12)
        columns = len(self._starters) if width >= px(560) else 1
        if self._starters:
            each = (width - gap * (columns - 1)) // max(1, columns)
            tall = max(button.fit(each) for button in self._starters)
            for index, button in enumerate(self._starters):
                row, column = divmod(index, columns)
                button.setGeometry(column * (each + gap), y + row * (tall + gap), each, tall)
            y += -(-len(self._starters) // columns) * (tall + gap)
        size = self._stronger.sizeHint()
        self._stronger.setGeometry((width - size.width()) // 2, y + px(12), *size.toTuple())
        return y + px(12) + size.height()

    def _greeting_font(self) -> QFont:
        return self._theme.font(24, weight=QFont.Weight.DemiBold)

    def _on_starter(self) -> None:
        sender = self.sender()
        if isinstance(sender, StarterButton):
            self.starter_chosen.emit(sender.question)

    @override
    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        self._paint_hearth(painter)
        painter.setPen(self._theme.colours.colour("ink"))
        painter.setFont(self._greeting_font())
        flags = Qt.TextFlag.TextWordWrap | Qt.AlignmentFlag.AlignHCenter
        painter.drawText(self._greeting_area, int(flags), self._greeting)

    def _paint_hearth(self, painter: QPainter) -> None:
        """The project's hearth, in the accent."""
        from inglenook.gui.icons import draw_pixmap

        side = self._theme.px(36)
        ratio = self.devicePixelRatioF()
        pixmap = draw_pixmap("hearth", self._theme.colours.colour("ember"), side, ratio)
        painter.drawPixmap((self.width() - side) // 2, 0, pixmap)
