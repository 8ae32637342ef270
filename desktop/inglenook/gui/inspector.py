"""The right pane (Ctrl+I): the numbers of the reply on show, of this machine and of the sampling.

On the window's thread; fed by `chat_controller` through `Figures` and by the engine's facts.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from PySide6.QtCore import Qt
from PySide6.QtGui import QFont
from PySide6.QtWidgets import QFrame, QHBoxLayout, QVBoxLayout, QWidget

from inglenook.base.declarations import SETTINGS
from inglenook.base.setting import Value
from inglenook.base.settings import Settings
from inglenook.engine.protocol import EngineReady, Loaded
from inglenook.gui.formats import format_bytes, format_count, format_duration, format_rate
from inglenook.gui.shortcuts import translate
from inglenook.gui.sparkline import Sparkline
from inglenook.gui.theme import Theme
from inglenook.gui.widgets import (
    Segment,
    SegmentedBar,
    clear_layout,
    make_label,
    make_plain_tooltip,
    make_scroll,
)
from inglenook.store.records import Statistics

if TYPE_CHECKING:
    from inglenook.models.predict.learned import Run
    from inglenook.models.predict.prediction import Prediction

_PROMPT_CHARS: Final = 600
_VALUE_CHARS: Final = 24
_SHOWN_SETTINGS: Final = frozenset(
    f"replies.{name}"
    for name in (
        "temperature", "top_k", "top_p", "min_p", "repeat_penalty", "max_tokens", "seed",
        "system_prompt",
    )
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Figures:
    """What is known of one reply; None where it is not known yet. Seconds and tokens."""

    is_live: bool = False
    tps_now: float | None = None
    tps_mean: float | None = None
    ttft_s: float | None = None
    n_new: int | None = None
    n_reused: int | None = None
    prefill_tps: float | None = None
    queue_s: float | None = None
    prefill_s: float | None = None
    decode_s: float | None = None
    n_history: int = 0
    n_output: int = 0
    n_ctx: int = 0
    n_threads: int = 0


def figures_of(statistics: Statistics) -> Figures:
    """The figures of a reply that has ended."""
    if statistics.total_s <= 0 and statistics.output_tokens == 0:
        return Figures()
    return Figures(
        tps_now=statistics.decode_tps or None,
        tps_mean=statistics.decode_tps or None,
        ttft_s=statistics.ttft_s or None,
        n_new=statistics.prompt_tokens - statistics.cached_tokens,
        n_reused=statistics.cached_tokens,
        prefill_tps=statistics.prefill_tps or None,
        queue_s=statistics.queue_s + statistics.load_s,
        prefill_s=statistics.prefill_s,
        decode_s=statistics.decode_s,
        n_history=statistics.prompt_tokens,
        n_output=statistics.output_tokens,
        n_ctx=statistics.n_ctx,
    )


class FigureRow(QWidget):
    """A name on the left, its value on the right; hovering explains it in a sentence."""

    def __init__(self, name: str, explanation: str) -> None:
        super().__init__()
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 2, 0, 2)
        row.setSpacing(8)
        self._name = name
        self._value = make_label("-")
        self._value.setAlignment(Qt.AlignmentFlag.AlignRight)
        row.addWidget(make_label(name, "quiet"))
        row.addWidget(self._value, 1)
        self.setToolTip(make_plain_tooltip(explanation))
        self.setAccessibleName(name)

    def set_value(self, value: str | None) -> None:
        """Show a value, or a dash."""
        self._value.setText(value or "-")
        self.setAccessibleName(f"{self._name}: {value or self.tr('not known')}")

    def value(self) -> str:
        """What it shows."""
        return self._value.text()


class Inspector(QFrame):
    """Live speed, where the time went, context, this machine, sampling."""

    def __init__(self, theme: Theme, settings: Settings, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._settings = settings
        self.setProperty("surface", "paper")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.setAccessibleName(self.tr("Inspector"))
        self.setMinimumWidth(220)
        content = QWidget()
        self._column = QVBoxLayout(content)
        self._column.setContentsMargins(16, 14, 16, 16)
        self._column.setSpacing(0)
        self._make_live()
        self._make_time()
        self._make_context()
        self._make_machine()
        self._make_sampling()
        self._column.addStretch(1)
        scroll = make_scroll(content, self.tr("Inspector"))
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(scroll)
        self._set_number_font()
        theme.changed.connect(self._set_number_font)
        self.show_figures(Figures())
        self.show_sampling()

    # --- what it shows ---

    def add_speed(self, tps: float) -> None:
        """Add a point to the line."""
        self.sparkline.add(tps)

    def start_speed(self) -> None:
        """Begin a new line."""
        self.sparkline.set_values(())

    def show_figures(self, figures: Figures) -> None:
        """Show the numbers of a reply."""
        self._live_name.setText(self.tr("Live") if figures.is_live else self.tr("Last reply"))
        self.number.setText(_say(figures.tps_now, format_rate))
        self.ttft.set_value(_say(figures.ttft_s, format_duration))
        prompt = None
        if figures.n_new is not None:
            prompt = self.tr("{new} new · {reused} reused")
            prompt = prompt.replace("{new}", format_count(figures.n_new))
            prompt = prompt.replace("{reused}", format_count(figures.n_reused or 0))
        self.prompt.set_value(prompt)
        per_s = self.tr("{n} tok/s")
        self.prompt_speed.set_value(
            per_s.replace("{n}", format_rate(figures.prefill_tps)) if figures.prefill_tps else None
        )
        self.mean.set_value(
            per_s.replace("{n}", format_rate(figures.tps_mean)) if figures.tps_mean else None
        )
        if figures.n_threads:
            self.threads.set_value(str(figures.n_threads))
        self._show_time(figures)
        self._show_context(figures)

    def show_engine(self, loaded: Loaded | None, ready: EngineReady | None) -> None:
        """Show the facts of the loaded model and of this machine."""
        where = None
        if loaded is not None:
            where = self.tr("{size} on {device}").replace("{size}", format_bytes(loaded.size_bytes))
            where = where.replace("{device}", loaded.device.split(" ")[0])
        self.model_bytes.set_value(where)
        kept = f"{format_bytes(loaded.kv_bytes)} · {loaded.kv_type}" if loaded is not None else None
        self.kv_bytes.set_value(kept)
        attention = None
        if loaded is not None:
            attention = self.tr("on") if loaded.flash_attention else self.tr("off")
        self.flash_attention.set_value(attention)
        adapters = loaded.adapters if loaded is not None else ()
        self.adapters.set_value(", ".join(adapters))
        self.adapters.setVisible(bool(adapters))
        self.layers.set_value(
            f"{loaded.n_layers_gpu} / {loaded.n_layers + 1}" if loaded is not None else None
        )
        note = loaded.placement_note if loaded is not None else ""
        self.placement.setText(note)
        self.placement.setVisible(bool(note))
        self.threads.set_value(str(loaded.n_threads) if loaded else None)
        self.backend.set_value(ready.backend if ready is not None else None)

    def show_forecast(self, prediction: "Prediction | None", run: "Run | None") -> None:
        """Show what was predicted of the loaded model beside what was measured."""
        from inglenook.models.predict.words import describe

        if prediction is None:
            self.predicted.set_value(None)
            self.measured.set_value(None)
            return
        takes = run.resident_bytes if run is not None else 0
        writes = run.write_tps if run is not None else 0.0
        self.predicted.set_value(self._join_figures(prediction.needs_bytes, prediction.write_tps))
        self.measured.set_value(self._join_figures(takes, writes))
        self.predicted.setToolTip(make_plain_tooltip("\n".join(describe(prediction))))

    def _join_figures(self, n_bytes: int, tps: float) -> str:
        speed = self.tr("{n} tok/s").replace("{n}", format_rate(tps)) if tps else ""
        return " · ".join(
            part for part in (format_bytes(n_bytes) if n_bytes else "", speed) if part
        )

    def show_sampling(self) -> None:
        """Show the sampling values in force."""
        automatic = self.tr("automatic")

        def say(key: str, shape: str) -> str:
            value = self._settings.get(f"replies.{key}")
            return automatic if value is None else format(value, shape)

        self.temperature.set_value(say("temperature", ".2f"))
        self.top_k.set_value(say("top_k", "d"))
        self.top_p.set_value(f"{say('top_p', '.2f')} · {say('min_p', '.2f')}")
        self.penalty.set_value(say("repeat_penalty", ".2f"))
        self.longest.set_value(say("max_tokens", ",d"))
        self.seed.set_value(say("seed", "d"))
        self._show_others()

    def show_system_prompt(self, text: str, *, is_own: bool) -> None:
        """Say what is said to the model first; `is_own` of one that only this conversation has."""
        where = self.tr("this conversation's") if is_own else self.tr("from the settings")
        self.system_prompt.set_value(where if text else self.tr("none"))
        self.system_prompt.setToolTip(
            make_plain_tooltip(text[:_PROMPT_CHARS] or self.tr("Nothing is said to it first."))
        )

    def _show_others(self) -> None:
        """The values of replies that were chosen and have no row of their own."""
        clear_layout(self._others)
        for setting in SETTINGS.values():
            is_other = setting.section == "replies" and setting.key not in _SHOWN_SETTINGS
            if is_other and self._settings.is_chosen(setting.key):
                row = FigureRow(translate(setting.label), translate(setting.help))
                row.set_value(_describe_value(self._settings.get(setting.key)))
                self._others.addWidget(row)

    # --- its parts ---

    def _make_live(self) -> None:
        self._live_name = make_label("", "group")
        self._column.addWidget(self._live_name)
        row = QHBoxLayout()
        row.setSpacing(8)
        self.number = make_label("-")
        self.number.setAccessibleName(self.tr("Tokens per second"))
        row.addWidget(self.number, 0, Qt.AlignmentFlag.AlignBaseline)
        row.addWidget(make_label(self.tr("tok/s"), "quiet"), 0, Qt.AlignmentFlag.AlignBaseline)
        row.addStretch(1)
        self._column.addLayout(row)
        self.sparkline = Sparkline(self._theme)
        self._column.addWidget(self.sparkline)
        self._column.addSpacing(6)
        self.ttft = self._add(
            self.tr("Time to first token"),
            self.tr(
                "From Enter until the first piece of the reply: waiting and reading the prompt."
            ),
        )
        self.prompt = self._add(
            self.tr("Prompt read"),
            self.tr("Tokens read for this reply, and those that were still in memory."),
        )
        self.prompt_speed = self._add(
            self.tr("Prompt speed"),
            self.tr("How fast new prompt tokens are read; arithmetic decides it."),
        )
        self.mean = self._add(
            self.tr("Mean this reply"),
            self.tr("Tokens written per second over the whole reply; memory speed decides it."),
        )

    def _make_time(self) -> None:
        self._add_group(self.tr("Where the time went"))
        self.time_bar = SegmentedBar(self._theme, self.tr("Where the time went"))
        self._column.addWidget(self.time_bar)
        self.time_note = make_label("", "small", wraps=True)
        self.time_note.setContentsMargins(0, 4, 0, 0)
        self._column.addWidget(self.time_note)

    def _make_context(self) -> None:
        self._add_group(self.tr("Context"))
        self.context_bar = SegmentedBar(self._theme, self.tr("Context"))
        self._column.addWidget(self.context_bar)
        row = QHBoxLayout()
        row.setContentsMargins(0, 4, 0, 0)
        self.context_note = make_label("", "small")
        self.context_share = make_label("", "small")
        row.addWidget(self.context_note, 1)
        row.addWidget(self.context_share)
        self._column.addLayout(row)

    def _make_machine(self) -> None:
        self._add_group(self.tr("This machine"))
        self.model_bytes = self._add(
            self.tr("Model"), self.tr("The size of the model in memory and where it runs.")
        )
        self.kv_bytes = self._add(
            self.tr("Conversation memory"),
            self.tr("The KV cache: what the model keeps of the conversation."),
        )
        self.predicted = self._add(
            self.tr("Predicted"),
            self.tr("The memory and the speed of writing to be expected, worked out beforehand."),
        )
        self.measured = self._add(
            self.tr("Measured"),
            self.tr("The memory that the engine takes, and how fast this model wrote here last."),
        )
        self.flash_attention = self._add(
            self.tr("Flash attention"),
            self.tr("Whether long contexts are read the faster way, with less memory."),
        )
        self.adapters = self._add(
            self.tr("LoRA adapters"), self.tr("Files that change the model, from the settings.")
        )
        self.adapters.hide()
        self.layers = self._add(
            self.tr("Layers on the GPU"),
            self.tr("As the engine reports it; the output layer counts as one."),
        )
        self.placement = make_label("", "small", wraps=True)
        self.placement.hide()
        self._column.addWidget(self.placement)
        self.threads = self._add(
            self.tr("Threads"),
            self.tr("Processor threads that write the reply; chosen anew while it runs."),
        )
        self.backend = self._add(
            self.tr("Backend"), self.tr("What the engine was built for and has found.")
        )

    def _make_sampling(self) -> None:
        self._add_group(self.tr("Sampling"))
        self.temperature = self._add(
            self.tr("Temperature"), self.tr("How freely the next token is drawn.")
        )
        self.top_k = self._add(self.tr("Top-k"), self.tr("How many tokens can be drawn at most."))
        self.top_p = self._add(
            self.tr("Top-p · min-p"), self.tr("Which unlikely tokens are left out.")
        )
        self.penalty = self._add(
            self.tr("Repeat penalty"), self.tr("Above 1, words just used become less likely.")
        )
        self.longest = self._add(
            self.tr("Longest reply"), self.tr("In tokens; automatic: until the context is full.")
        )
        self.seed = self._add(
            self.tr("Seed"), self.tr("The same seed, prompt and settings give the same reply.")
        )
        self._others = QVBoxLayout()
        self._others.setSpacing(0)
        self._column.addLayout(self._others)
        self.system_prompt = self._add(
            self.tr("System prompt"), self.tr("What is said to the model first.")
        )

    def _add_group(self, name: str) -> None:
        label = make_label(name, "group")
        label.setContentsMargins(0, 16, 0, 6)
        self._column.addWidget(label)

    def _add(self, name: str, explanation: str) -> FigureRow:
        row = FigureRow(name, explanation)
        self._column.addWidget(row)
        return row

    def _show_time(self, figures: Figures) -> None:
        parts = (
            (self.tr("queue"), figures.queue_s, "quiet"),
            (self.tr("prompt"), figures.prefill_s, "amber"),
            (self.tr("generate"), figures.decode_s, "ember"),
        )
        known = [(name, value, role) for name, value, role in parts if value is not None]
        self.time_bar.set_segments([Segment(value, role, name) for name, value, role in known])
        self.time_note.setText(
            " · ".join(f"{name} {format_duration(value)}" for name, value, _ in known)
            or self.tr("shown when the reply has ended")
        )

    def _show_context(self, figures: Figures) -> None:
        if not figures.n_ctx:
            self.context_bar.set_segments((), 1.0)
            self.context_note.setText(self.tr("nothing read yet"))
            self.context_share.setText("")
            return
        self.context_bar.set_segments(
            (
                Segment(figures.n_history, "syntax_name", self.tr("prompt")),
                Segment(figures.n_output, "ember", self.tr("reply")),
            ),
            figures.n_ctx,
        )
        text = self.tr("prompt {p} · reply {r} of {n}")
        text = text.replace("{p}", format_count(figures.n_history))
        text = text.replace("{r}", format_count(figures.n_output))
        self.context_note.setText(text.replace("{n}", format_count(figures.n_ctx)))
        share = (figures.n_history + figures.n_output) / figures.n_ctx
        self.context_share.setText(f"{share:.0%}".replace("%", " %"))

    def _set_number_font(self) -> None:
        # Set by a style sheet of its own: the application's would overrule a font set in code.
        self.number.setStyleSheet(
            f"font-size: {self._theme.px(34)}px; font-weight: {QFont.Weight.DemiBold.value};"
        )


def _describe_value(value: Value) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    lines = str(value).splitlines()
    first = lines[0][:_VALUE_CHARS] if lines else ""
    return first if len(lines) <= 1 else f"{first} +{len(lines) - 1}"


def _say(value: float | None, shape: object) -> str:
    if value is None or not callable(shape):
        return "-"
    return str(shape(value))
