"""Whether a model fits this machine, where it runs and how fast, as a pill with its arithmetic."""

from typing import override

from PySide6.QtCore import Signal
from PySide6.QtGui import QEnterEvent

from inglenook.gui.formats import format_bytes
from inglenook.gui.models_page.results_rows import describe_verdict
from inglenook.gui.sidebar.rows import Translate
from inglenook.gui.theme import Theme
from inglenook.gui.widgets import Pill, make_plain_tooltip
from inglenook.models.fit import Fit


class FitPill(Pill):
    """The verdict in a few words; the sums are its tooltip.

    Signals: `hovered()` when the pointer rests on it, for whoever can tell more exactly.
    """

    hovered = Signal()

    def __init__(self, theme: Theme, fit: Fit, translate: Translate) -> None:
        super().__init__(theme, "", "quiet")
        self._translate = translate
        self.fit = fit
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

    @override
    def enterEvent(self, event: QEnterEvent) -> None:
        """Tell that somebody wants to know more."""
        super().enterEvent(event)
        self.hovered.emit()


def make_fit_pill(theme: Theme, fit: Fit, translate: Translate) -> FitPill:
    """The pill of one file."""
    return FitPill(theme, fit, translate)
