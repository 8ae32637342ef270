"""The line of numbers under a reply: live while it streams, the summary after.

Each number explains itself in a sentence on hover. Window's thread.
"""

from PySide6.QtGui import QFont
from PySide6.QtWidgets import QWidget

from inglenook.engine.protocol import Meter
from inglenook.gui.formats import format_count, format_duration, format_rate
from inglenook.gui.theme import Theme
from inglenook.gui.transcript.controls import Figure, Row
from inglenook.store.records import Statistics


class LiveLine(Row):
    """Numbers of a reply that is being written, or what it waits for."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent, gap=13)
        bold = QFont.Weight.DemiBold
        self._progress = Figure(theme)
        self._rate = Figure(theme, role="ember", weight=bold)
        self._tokens = Figure(theme)
        self._first = Figure(theme)
        self._context = Figure(theme)
        self.add_left(self._progress, self._rate, self._tokens, self._first, self._context)
        self.show_progress("")

    def show_progress(self, text: str) -> None:
        """Show what it waits for, in place of numbers."""
        self._progress.show_figure(text)
        for figure in (self._rate, self._tokens, self._first, self._context):
            figure.hide()

    def show_numbers(self, meter: Meter | None, n_tokens: int) -> None:
        """Show the live numbers; those that are not known yet stay away."""
        self._progress.hide()
        n_tokens = max(n_tokens, meter.n_tokens if meter else 0)
        rate = meter.decode_tps_now or meter.decode_tps_mean if meter else 0.0
        self._rate.show_figure(
            self.tr("{n} tok/s").format(n=format_rate(rate)) if rate else "",
            self.tr("Tokens written in the last second; a token is a piece of a word."),
        )
        self._tokens.show_figure(
            count_tokens(self, n_tokens) if n_tokens else "",
            self.tr("How many tokens this reply has so far."),
        )
        ttft = meter.ttft_s if meter else 0.0
        self._first.show_figure(
            self.tr("first token {time}").format(time=format_duration(ttft)) if ttft else "",
            self.tr("How long it took from sending until the reply's first token."),
        )
        self._context.show_figure(
            self.tr("context {n} of {all}").format(
                n=format_count(meter.n_context), all=format_count(meter.n_ctx)
            )
            if meter and meter.n_ctx
            else "",
            self.tr("How much of the model's memory for this conversation is used, in tokens."),
        )


class SummaryLine(Row):
    """Numbers of a reply that is done."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent, gap=13)
        self._tokens = Figure(theme, role="ink", weight=QFont.Weight.Medium)
        self._rate = Figure(theme)
        self._first = Figure(theme)
        self._reused = Figure(theme)
        self.add_left(self._tokens, self._rate, self._first, self._reused)

    def show_statistics(self, taken: Statistics) -> None:
        """Show what a reply took; what was not measured stays away."""
        n = taken.output_tokens
        self._tokens.show_figure(
            count_tokens(self, n) if n else "",
            self.tr("How many tokens the reply has; a token is a piece of a word."),
        )
        self._rate.show_figure(
            self.tr("{n} tok/s").format(n=format_rate(taken.decode_tps))
            if taken.decode_tps
            else "",
            self.tr("How many tokens were written in each second, on average."),
        )
        self._first.show_figure(
            self.tr("first token {time}").format(time=format_duration(taken.ttft_s))
            if taken.ttft_s
            else "",
            self.tr("How long it took from sending until the reply's first token."),
        )
        self._reused.show_figure(
            self.tr("{n} reused").format(n=format_count(taken.cached_tokens))
            if taken.cached_tokens
            else "",
            self.tr("Tokens of the prompt that were still in memory and not read again."),
        )


def count_tokens(row: Row, n: int) -> str:
    """A number of tokens in words."""
    return row.tr("1 token") if n == 1 else row.tr("{n} tokens").format(n=format_count(n))
