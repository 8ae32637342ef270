"""Whether a model fits this machine, where it runs and how fast, as a pill with its arithmetic."""

from typing import override

from PySide6.QtCore import QPoint, QRectF, Qt, Signal
from PySide6.QtGui import QEnterEvent, QFocusEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QToolTip

from inglenook.gui.formats import format_bytes
from inglenook.gui.models_page.results_rows import describe_verdict
from inglenook.gui.sidebar.rows import Translate
from inglenook.gui.theme import Theme
from inglenook.gui.widgets import Pill, draw_focus_ring, make_plain_tooltip
from inglenook.models.fit import Fit


class FitPill(Pill):
    """The verdict in a few words; the sums are its tooltip, which the keyboard shows, too.

    Signals: `asked()` when pointer or keyboard come to it, for whoever can tell more exactly.
    """

    asked = Signal()

    def __init__(self, theme: Theme, fit: Fit, translate: Translate) -> None:
        super().__init__(theme, "", "quiet")
        self._translate = translate
        self.fit = fit
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.show_fit(fit)

    def show_fit(self, fit: Fit, note: str = "") -> None:
        """Show a verdict; `note` says why it is not told more exactly."""
        self.fit = fit
        text, tone = describe_verdict(fit, self._translate)
        if fit.verdict == "too_large":
            needs = self._translate("too large: needs {size}")
            text = needs.replace("{size}", format_bytes(fit.needs_bytes))
        self.set_text(text, tone)
        lines = fit.lines or (fit.reason,)
        reason = "\n".join((*lines, note) if note else lines)
        self.setToolTip(make_plain_tooltip(reason))
        self.setAccessibleName(f"{text}. {' '.join(lines)}")
        if self.hasFocus():
            self._show_sums()

    @override
    def enterEvent(self, event: QEnterEvent) -> None:
        """Tell that somebody wants to know more."""
        super().enterEvent(event)
        self.asked.emit()

    @override
    def focusInEvent(self, event: QFocusEvent) -> None:
        """Show the sums to whoever comes by keyboard."""
        super().focusInEvent(event)
        self._show_sums()
        self.update()
        self.asked.emit()

    @override
    def focusOutEvent(self, event: QFocusEvent) -> None:
        """Take the sums away."""
        super().focusOutEvent(event)
        QToolTip.hideText()
        self.update()

    @override
    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw it, with a ring when it has the keyboard."""
        super().paintEvent(event)
        if self.hasFocus():
            area = QRectF(self.rect())
            draw_focus_ring(QPainter(self), area, area.height() / 2, self._theme)

    def _show_sums(self) -> None:
        QToolTip.showText(self.mapToGlobal(QPoint(0, self.height())), self.toolTip(), self)


def make_fit_pill(theme: Theme, fit: Fit, translate: Translate) -> FitPill:
    """The pill of one file."""
    return FitPill(theme, fit, translate)
