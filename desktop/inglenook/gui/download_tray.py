"""The tray: one row above the sidebar's foot while downloads run, wait, or stand still.

It shows what `Transfers` knows, and leads to the Downloads tab. On the window's thread.
"""

from typing import Final, override

from PySide6.QtCore import QPointF, QRectF, QSize, Qt, QTimer
from PySide6.QtGui import QFontMetricsF, QPainter, QPaintEvent
from PySide6.QtWidgets import QAbstractButton, QWidget

from inglenook.gui.formats import format_bytes, format_time_left
from inglenook.gui.icons import draw_pixmap
from inglenook.gui.theme import SMALL_PX, TEXT_PX, Theme
from inglenook.gui.widgets import draw_focus_ring, draw_row_ground
from inglenook.models.progress import DownloadState

_DONE_MS: Final = 8000
_RUNNING: Final = frozenset({"queued", "asking", "downloading", "verifying"})
_ICON_PX: Final = 16


class DownloadTray(QAbstractButton):
    """Name, share and time left of what runs, with a thin bar; hidden where there is nothing.

    Several downloads are told as one. What came to its end is told for some seconds.
    """

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._note = ""
        self._icon = "download"
        self._role = "quiet"
        self._share: float | None = None
        self._known: dict[str, str] = {}
        self._just_done: list[str] = []
        self._forget = QTimer(self)
        self._forget.setSingleShot(True)
        self._forget.setInterval(_DONE_MS)
        self._forget.timeout.connect(self._on_forgotten)
        self._states: tuple[DownloadState, ...] = ()
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setAttribute(Qt.WidgetAttribute.WA_Hover)
        self.setToolTip(self.tr("Show the downloads"))
        self.hide()
        theme.changed.connect(self.updateGeometry)

    @property
    def note(self) -> str:
        """What stands at the right end."""
        return self._note

    def show_states(self, states: tuple[DownloadState, ...]) -> None:
        """Show these downloads, as they are now."""
        for state in states:
            before = self._known.get(state.id)
            if state.phase == "done" and before not in {None, "done"}:
                self._just_done.append(_name(state))
                self._forget.start()
            self._known[state.id] = state.phase
        self._states = states
        self._describe()

    def _describe(self) -> None:
        running = [s for s in self._states if s.phase in _RUNNING]
        stopped = [s for s in self._states if s.phase == "failed" or (s.code and s.error)]
        paused = [s for s in self._states if s.phase == "paused" and not s.error]
        self._share = None
        if running:
            self._describe_running(running)
        elif stopped:
            self._show_row("warning", "brick", self._count(stopped, self.tr("stopped")), "")
        elif self._just_done:
            name = self._just_done[-1]
            self._show_row("check", "moss", name, self.tr("installed"))
        elif paused:
            self._show_row("pause", "quiet", self._count(paused, self.tr("paused")), "")
        else:
            self.hide()
            return
        text = f"{self.text()}, {self._note}" if self._note else self.text()
        self.setAccessibleName(self.tr("Downloads: {state}").replace("{state}", text))
        self.updateGeometry()
        self.show()
        self.update()

    def _describe_running(self, running: list[DownloadState]) -> None:
        size = sum(state.size_bytes for state in running)
        done = sum(state.done_bytes for state in running)
        rate = sum(state.bytes_per_s for state in running)
        self._share = done / size if size else 0.0
        if len(running) == 1:
            name = _name(running[0])
        else:
            name = self.tr("{n} downloads").replace("{n}", str(len(running)))
        note = f"{self._share:.0%}" if size else ""
        if rate > 0 and size:
            note = format_time_left((size - done) / rate)
        if all(state.phase == "verifying" for state in running):
            note = self.tr("checking")
        self._show_row("download", "ember", name, note)
        if rate > 0:
            tip = self.tr("{done} of {size}, {rate} a second").replace("{rate}", format_bytes(rate))
            tip = tip.replace("{done}", format_bytes(done)).replace("{size}", format_bytes(size))
            self.setToolTip(tip)

    def _count(self, states: list[DownloadState], what: str) -> str:
        if len(states) == 1:
            return f"{_name(states[0])} · {what}"
        return (
            self.tr("{n} downloads {what}").replace("{n}", str(len(states))).replace("{what}", what)
        )

    def _show_row(self, icon: str, role: str, text: str, note: str) -> None:
        self._icon, self._role, self._note = icon, role, note
        self.setToolTip(text)
        self.setText(text)

    def _on_forgotten(self) -> None:
        self._just_done.clear()
        self._describe()

    @override
    def sizeHint(self) -> QSize:
        """One row, and room for a bar below where something runs."""
        return QSize(120, self._theme.px(40 if self._share is not None else 33))

    @override
    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the icon, the name, the note and the bar."""
        del event
        colours = self._theme.colours
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        area = QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5)
        draw_row_ground(painter, area, self._theme, is_chosen=False, is_hovered=self.underMouse())
        inner = area.adjusted(10, 0, -10, -6 if self._share is not None else 0)
        icon_px = self._theme.px(_ICON_PX)
        ratio = self.devicePixelRatioF()
        pixmap = draw_pixmap(self._icon, colours.colour(self._role), icon_px, ratio)
        painter.drawPixmap(QPointF(inner.left(), inner.center().y() - icon_px / 2), pixmap)
        inner.adjust(icon_px + 8, 0, 0, 0)
        middle = Qt.AlignmentFlag.AlignVCenter
        painter.setFont(self._theme.font(SMALL_PX))
        painter.setPen(colours.colour("quiet"))
        painter.drawText(inner, middle | Qt.AlignmentFlag.AlignRight, self._note)
        width = QFontMetricsF(painter.font()).horizontalAdvance(self._note)
        inner.adjust(0, 0, -(width + 10 if self._note else 0), 0)
        painter.setFont(self._theme.font(TEXT_PX))
        painter.setPen(colours.colour("ink"))
        name = QFontMetricsF(painter.font()).elidedText(
            self.text(), Qt.TextElideMode.ElideMiddle, inner.width()
        )
        painter.drawText(inner, middle | Qt.AlignmentFlag.AlignLeft, name)
        if self._share is not None:
            self._draw_bar(painter, area)
        if self.hasFocus():
            draw_focus_ring(painter, QRectF(self.rect()), 8, self._theme)

    def _draw_bar(self, painter: QPainter, area: QRectF) -> None:
        bar = QRectF(area.left() + 10, area.bottom() - 7, area.width() - 20, 3)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self._theme.colours.colour("line"))
        painter.drawRoundedRect(bar, 1.5, 1.5)
        bar.setWidth(max(3.0, bar.width() * min(1.0, self._share or 0.0)))
        painter.setBrush(self._theme.colours.colour("ember"))
        painter.drawRoundedRect(bar, 1.5, 1.5)


def _name(state: DownloadState) -> str:
    """The file's name without its ending, else what was asked for."""
    name = state.filename.rpartition("/")[2] or state.name
    return name.removesuffix(".gguf")
