"""The model chip: which model, where it runs, how far it is loaded; its popup chooses another."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, override

from PySide6.QtCore import QEvent, QObject, QPoint, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QFont,
    QFontMetricsF,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPainterPath,
    QPaintEvent,
    QPen,
)
from PySide6.QtWidgets import (
    QAbstractButton,
    QFrame,
    QGraphicsDropShadowEffect,
    QScrollArea,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from inglenook.gui.icons import draw_pixmap
from inglenook.gui.theme import SMALL_PX, TEXT_PX, Theme
from inglenook.gui.widgets import (
    draw_focus_ring,
    make_button,
    make_label,
    make_line,
    make_plain_tooltip,
)

type ChipPhase = Literal["ready", "loading", "idle", "asleep", "problem"]

_LAMPS = {
    "ready": "moss",
    "loading": "ember",
    "idle": "quiet",
    "asleep": "quiet",
    "problem": "brick",
}


@dataclass(frozen=True, slots=True)
class ChipState:
    """What the chip shows. `fraction` is the progress of a load, 0.0 to 1.0.

    `note` says why a loaded model runs where it does, where that is not as one may expect it.
    """

    name: str
    details: str = ""
    phase: ChipPhase = "idle"
    fraction: float = 0.0
    problem: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """A row of the popup."""

    model_id: str
    name: str
    details: str
    is_current: bool
    problem: str = ""


class ModelChip(QAbstractButton):
    """The chip itself; paints its progress inside."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self.state = ChipState("")
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
        self.setAttribute(Qt.WidgetAttribute.WA_Hover)
        theme.changed.connect(self.updateGeometry)

    def show_state(self, state: ChipState) -> None:
        """Show another state."""
        if state == self.state:
            return
        self.state = state
        said = {
            "ready": self.tr("ready"),
            "loading": self.tr("loading"),
            "idle": self.tr("not loaded"),
            "asleep": self.tr(
                "Put away because nobody asked; it comes back with your next message."
            ),
            "problem": state.problem or self.tr("cannot be used"),
        }[state.phase]
        self.setAccessibleName(
            self.tr("Model: {name}").replace("{name}", f"{state.name}, {state.details}, {said}")
        )
        self.setToolTip(make_plain_tooltip(state.note if state.phase == "ready" else said))
        self.updateGeometry()
        self.update()

    def _fonts(self) -> tuple[QFont, QFont]:
        return (
            self._theme.font(TEXT_PX, weight=QFont.Weight.DemiBold),
            self._theme.font(TEXT_PX),
        )

    @override
    def sizeHint(self) -> QSize:
        """Dot, name, details, chevron."""
        bold, plain = self._fonts()
        width = 28 + QFontMetricsF(bold).horizontalAdvance(self.state.name) + 34
        if self.state.details:
            width += 8 + QFontMetricsF(plain).horizontalAdvance(self.state.details)
        return QSize(round(width), self._theme.px(31))

    @override
    def minimumSizeHint(self) -> QSize:
        """May shrink: the details go first, then the name is cut."""
        return QSize(self._theme.px(120), self._theme.px(31))

    @override
    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw ground, progress, lamp and texts."""
        del event
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        area = QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5)
        radius = area.height() / 2
        self._paint_ground(painter, area, radius)
        if self.hasFocus():
            draw_focus_ring(painter, area.adjusted(-0.5, -0.5, 0.5, 0.5), radius, self._theme)
        lamp = self._theme.colours.colour(_LAMPS[self.state.phase])
        is_hollow = self.state.phase == "asleep"
        painter.setPen(QPen(lamp, 1.5) if is_hollow else Qt.PenStyle.NoPen)
        painter.setBrush(Qt.BrushStyle.NoBrush if is_hollow else lamp)
        painter.drawEllipse(QPointF(area.left() + 16, area.center().y()), 4, 4)
        side = self._theme.px(14)
        chevron = draw_pixmap(
            "chevron-down", self._theme.colours.colour("ink"), side, self.devicePixelRatioF()
        )
        painter.drawPixmap(
            QPointF(area.right() - side - 9, area.center().y() - side / 2 + 1), chevron
        )
        self._paint_texts(painter, area.adjusted(28, 0, -side - 14, 0))

    def _paint_ground(self, painter: QPainter, area: QRectF, radius: float) -> None:
        colours = self._theme.colours
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colours.colour("user_card" if self.underMouse() else "raised"))
        painter.drawRoundedRect(area, radius, radius)
        if self.state.phase == "loading":
            clip = QPainterPath()
            clip.addRoundedRect(area, radius, radius)
            painter.setClipPath(clip)
            filled = QRectF(area)
            filled.setWidth(max(radius, area.width() * self.state.fraction))
            painter.setBrush(colours.colour("ember_tint"))
            painter.drawRect(filled)
            painter.setClipping(False)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(colours.colour("line"), 1))
        painter.drawRoundedRect(area, radius, radius)

    def _paint_texts(self, painter: QPainter, area: QRectF) -> None:
        bold, plain = self._fonts()
        middle = Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft
        metrics = QFontMetricsF(bold)
        name = metrics.elidedText(self.state.name, Qt.TextElideMode.ElideRight, area.width())
        painter.setFont(bold)
        painter.setPen(self._theme.colours.colour("ink"))
        painter.drawText(area, middle, name)
        rest = area.adjusted(metrics.horizontalAdvance(name) + 8, 0, 0, 0)
        if rest.width() > 24 and self.state.details:
            painter.setFont(plain)
            painter.setPen(self._theme.colours.colour("quiet"))
            shown = QFontMetricsF(plain).elidedText(
                self.state.details, Qt.TextElideMode.ElideRight, rest.width()
            )
            painter.drawText(rest, middle, shown)


class ChoiceRow(QAbstractButton):
    """One installed model in the popup: its name, and below it what it is and where it runs."""

    def __init__(self, theme: Theme, choice: ModelChoice, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self.setCheckable(True)
        self.show_choice(choice)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAttribute(Qt.WidgetAttribute.WA_Hover)
        self.setCursor(Qt.CursorShape.PointingHandCursor)

    def show_choice(self, choice: ModelChoice) -> None:
        """Show this of the model."""
        self._choice = choice
        self.setAccessibleName(f"{choice.name}, {choice.details} {choice.problem}".strip())
        self.setChecked(choice.is_current)
        self.update()

    @property
    def details(self) -> str:
        """What its second line says."""
        return self._choice.problem or self._choice.details

    @override
    def sizeHint(self) -> QSize:
        """Two lines."""
        return QSize(300, self._theme.px(50))

    @override
    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the row."""
        del event
        colours = self._theme.colours
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        area = QRectF(self.rect()).adjusted(1, 1, -1, -1)
        if self.underMouse() or self.hasFocus():
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(colours.colour("user_card"))
            painter.drawRoundedRect(area, 8, 8)
        if self.hasFocus():
            draw_focus_ring(painter, area, 8, self._theme)
        left = area.left() + 12
        if self._choice.is_current:
            side = self._theme.px(16)
            check = draw_pixmap("check", colours.colour("ember"), side, self.devicePixelRatioF())
            painter.drawPixmap(
                QPointF(area.right() - side - 10, area.center().y() - side / 2), check
            )
        inner = QRectF(left, area.top() + 6, area.width() - 52, area.height() - 12)
        painter.setFont(self._theme.font(TEXT_PX, weight=QFont.Weight.Medium))
        painter.setPen(colours.colour("ink"))
        top = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop
        painter.drawText(inner, top | Qt.TextFlag.TextSingleLine, self._choice.name)
        painter.setFont(self._theme.font(SMALL_PX))
        painter.setPen(colours.colour("brick" if self._choice.problem else "quiet"))
        bottom = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignBottom
        note = self.details
        shown = QFontMetricsF(painter.font()).elidedText(
            note, Qt.TextElideMode.ElideRight, inner.width()
        )
        painter.drawText(inner, bottom | Qt.TextFlag.TextSingleLine, shown)


class ModelPopup(QWidget):
    """The list below the chip: an overlay over the window that a click outside or Esc closes.

    Signals: `chosen(model_id)`, `more_requested()`.
    """

    chosen = Signal(str)
    more_requested = Signal()

    def __init__(self, theme: Theme, window: QWidget) -> None:
        super().__init__(window)
        self._theme = theme
        self._window = window
        self._before: QWidget | None = None
        self.rows: dict[str, ChoiceRow] = {}
        self.card = QFrame(self)
        self.card.setProperty("surface", "card")
        self.card.setAccessibleName(self.tr("Installed models"))
        shadow = QGraphicsDropShadowEffect(self.card)
        shadow.setBlurRadius(28)
        shadow.setOffset(0, 6)
        ink = theme.colours.colour("ink")
        ink.setAlpha(50)
        shadow.setColor(ink)
        self.card.setGraphicsEffect(shadow)
        column = QVBoxLayout(self.card)
        column.setContentsMargins(6, 8, 6, 6)
        column.setSpacing(2)
        heading = make_label(self.tr("Installed models"), "group")
        heading.setContentsMargins(12, 2, 0, 4)
        column.addWidget(heading)
        self._rows = QWidget()
        self._rows.setProperty("surface", "none")
        self._rows_column = QVBoxLayout(self._rows)
        self._rows_column.setContentsMargins(0, 0, 0, 0)
        self._rows_column.setSpacing(1)
        self._scroll = QScrollArea()
        self._scroll.setWidgetResizable(True)
        self._scroll.setFrameShape(QFrame.Shape.NoFrame)
        self._scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._scroll.setWidget(self._rows)
        column.addWidget(self._scroll, 1)
        column.addWidget(make_line())
        more = make_button(self.tr("Get more models"), "link")
        more.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        more.clicked.connect(self._on_more)
        column.addWidget(more, 0, Qt.AlignmentFlag.AlignLeft)
        window.installEventFilter(self)
        self.hide()

    def renew(self, choices: Sequence[ModelChoice]) -> None:
        """Say more of the choices that are on show."""
        if self.isVisible():
            for choice in choices:
                if (row := self.rows.get(choice.model_id)) is not None:
                    row.show_choice(choice)

    def open_below(self, anchor: QWidget, choices: Sequence[ModelChoice]) -> None:
        """Show the choices below a widget of the window."""
        from inglenook.gui.widgets import clear_layout

        window = self._window
        clear_layout(self._rows_column)
        self.rows.clear()
        first: ChoiceRow | None = None
        for choice in choices:
            row = ChoiceRow(self._theme, choice)
            row.clicked.connect(lambda _=False, key=choice.model_id: self._on_chosen(key))
            self._rows_column.addWidget(row)
            self.rows[choice.model_id] = row
            if first is None or choice.is_current:
                first = row
        self._rows_column.addStretch(1)
        self.setGeometry(window.rect())
        corner = anchor.mapTo(window, QPoint(0, anchor.height() + 6))
        rows_height = len(choices) * (self._theme.px(50) + 1) + 4
        height = min(rows_height + self._theme.px(34) + 54, window.height() - corner.y() - 24)
        width = max(anchor.width(), self._theme.px(330))
        self.card.setGeometry(corner.x(), corner.y(), width, max(120, height))
        self._before = window.focusWidget()
        self.raise_()
        self.show()
        if first is not None:
            first.setFocus(Qt.FocusReason.PopupFocusReason)

    def close_popup(self) -> None:
        """Hide, and give the focus back."""
        self.hide()
        if self._before is not None:
            self._before.setFocus(Qt.FocusReason.PopupFocusReason)

    def _on_chosen(self, model_id: str) -> None:
        self.close_popup()
        self.chosen.emit(model_id)

    def _on_more(self) -> None:
        self.close_popup()
        self.more_requested.emit()

    @override
    def mousePressEvent(self, event: QMouseEvent) -> None:
        """A click outside closes."""
        if not self.card.geometry().contains(event.position().toPoint()):
            self.close_popup()

    @override
    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Esc closes, the arrows walk."""
        match event.key():
            case Qt.Key.Key_Escape:
                self.close_popup()
            case Qt.Key.Key_Down:
                self.focusNextChild()
            case Qt.Key.Key_Up:
                self.focusPreviousChild()
            case Qt.Key.Key_Return | Qt.Key.Key_Enter:
                focused = self.focusWidget()
                if isinstance(focused, QAbstractButton):
                    focused.click()
            case _:
                super().keyPressEvent(event)

    @override
    def focusNextPrevChild(self, is_next: bool) -> bool:
        """Tab stays inside while the popup is open."""
        stops = [w for w in self.card.findChildren(QAbstractButton) if w.isVisibleTo(self)]
        if not stops:
            return False
        focused = self.focusWidget()
        at = stops.index(focused) if focused in stops else -1
        stops[(at + (1 if is_next else -1)) % len(stops)].setFocus(Qt.FocusReason.TabFocusReason)
        return True

    @override
    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Close when the window changes its size below the popup."""
        if event.type() == QEvent.Type.Resize and self.isVisible():
            self.close_popup()
        return super().eventFilter(watched, event)
