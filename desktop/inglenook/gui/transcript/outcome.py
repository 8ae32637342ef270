"""How a reply ended when it did not end by itself, and the button that helps. Window's thread."""

from dataclasses import dataclass
from typing import Final, Literal, override

from PySide6.QtCore import QObject, QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QWidget

from inglenook.gui.theme import RADIUS_CONTROL, Theme
from inglenook.gui.transcript.cleaning import clean_text
from inglenook.gui.transcript.controls import Sentence, TextButton
from inglenook.store.records import Message

type Tone = Literal["quiet", "amber", "brick"]
type Help = Literal["stop", "restart", "leave_gpu"]
"""What helps beyond going on and trying again."""

_TINTS: Final[dict[Tone, str]] = {
    "quiet": "user_card",
    "amber": "amber_tint",
    "brick": "brick_tint",
}
_ERROR_CHARS: Final = 600
_GPU_FAULTS: Final = frozenset({"gpu_out_of_memory", "gpu_lost"})


@dataclass(frozen=True, slots=True)
class Outcome:
    """A sentence on how a reply ended; empty when there is nothing to say."""

    sentence: str = ""
    tone: Tone = "quiet"
    can_continue: bool = False
    can_retry: bool = False
    helps: tuple[Help, ...] = ()


def judge_stuck(speaker: QObject) -> Outcome:
    """What to say of a reply that is being written while the engine shows no sign of work."""
    sentence = speaker.tr("No progress for 10 seconds: the engine may be stuck.")
    return Outcome(sentence, "amber", helps=("restart", "stop"))


def judge_outcome(message: Message, speaker: QObject) -> Outcome:
    """What to say of a reply that is not being written; `speaker` translates."""
    if not message.is_intact:
        sentence = speaker.tr("This text was damaged on the disk. What is left is shown.")
        return Outcome(sentence, "brick", can_retry=True)
    has_text = bool(message.content.strip() or message.reasoning)
    match message.status:
        case "interrupted" if message.finish_reason in _GPU_FAULTS:
            return _judge_gpu_fault(message, speaker)
        case "interrupted" if message.finish_reason == "engine_hung":
            sentence = speaker.tr("The engine was stuck and was ended. The text is kept.")
            return Outcome(sentence, "amber", can_continue=True)
        case "interrupted":
            sentence = speaker.tr("Interrupted. The text up to here was saved.")
            if not has_text:
                sentence = speaker.tr("Interrupted before the first word.")
            return Outcome(sentence, "amber", can_continue=True)
        case "stopped":
            return Outcome(speaker.tr("Stopped"), "quiet", can_continue=True)
        case "failed":
            sentence = clean_text(message.error)[:_ERROR_CHARS]
            sentence = sentence or speaker.tr("The reply could not be written.")
            return Outcome(sentence, "brick", can_continue=has_text, can_retry=True)
        case _:
            return _judge_complete(message, speaker)


def _judge_gpu_fault(message: Message, speaker: QObject) -> Outcome:
    if message.finish_reason == "gpu_lost":
        sentence = speaker.tr(
            "The graphics card stopped working. The text up to here is kept; it goes on on the CPU."
        )
        return Outcome(sentence, "amber", helps=("leave_gpu",))
    sentence = speaker.tr("The graphics card ran out of memory. The text up to here is kept.")
    return Outcome(sentence, "amber", can_continue=True, helps=("leave_gpu",))


def _judge_complete(message: Message, speaker: QObject) -> Outcome:
    if message.finish_reason == "length":
        return Outcome(speaker.tr("Reached the token limit"), "quiet", can_continue=True)
    if message.finish_reason == "context_full":
        sentence = speaker.tr(
            "The context is full: the model cannot take in more of this conversation. "
            "Start a new one, or give the model a longer context in Settings."
        )
        return Outcome(sentence, "amber", can_retry=True)
    if not message.content and message.status == "complete":
        thought = bool(message.reasoning)
        nothing = speaker.tr("The model had nothing to say.")
        sentence = speaker.tr("The model thought, but gave no answer.") if thought else nothing
        return Outcome(sentence, "quiet", can_continue=thought, can_retry=True)
    return Outcome()


class OutcomeBar(QWidget):
    """A soft bar with the sentence and its buttons.

    Signals: `continued()`, `retried()`, `helped(Help)`.
    """

    continued = Signal()
    retried = Signal()
    helped = Signal(str)

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._outcome = Outcome()
        self._sentence = Sentence(theme, self)
        self._continue = TextButton(theme, self.tr("Continue"), self, look="outline")
        self._continue.setAccessibleName(self.tr("Continue this reply"))
        self._continue.clicked.connect(self.continued)
        self._retry = TextButton(theme, self.tr("Retry"), self, look="outline")
        self._retry.clicked.connect(self.retried)
        words: dict[Help, str] = {
            "stop": self.tr("Stop"),
            "restart": self.tr("Restart engine"),
            "leave_gpu": self.tr("Continue on the CPU"),
        }
        self._helps: dict[Help, TextButton] = {}
        for name, text in words.items():
            button = self._helps[name] = TextButton(theme, text, self, look="outline")
            button.clicked.connect(lambda _=False, name=name: self.helped.emit(name))

    def show_outcome(self, outcome: Outcome) -> None:
        """Show how the reply ended, or hide when it ended by itself."""
        self._outcome = outcome
        self._sentence.set_sentence(outcome.sentence)
        self._continue.setVisible(outcome.can_continue)
        self._retry.setVisible(outcome.can_retry)
        for name, button in self._helps.items():
            button.setVisible(name in outcome.helps)
        self.setVisible(bool(outcome.sentence))
        self.update()

    def fit(self, width: int) -> int:
        """Place everything for a width; the height that it takes."""
        px = self._theme.px
        every = (self._retry, self._continue, *self._helps.values())
        buttons = [button for button in every if not button.isHidden()]
        taken = sum(button.sizeHint().width() + px(8) for button in buttons)
        text_left = px(30)
        text_width = max(px(120), width - text_left - taken - px(16))
        text_height = self._sentence.fit(text_width)
        button_height = max((button.sizeHint().height() for button in buttons), default=0)
        height = max(text_height, button_height) + 2 * px(7)
        self._sentence.setGeometry(text_left, (height - text_height) // 2, text_width, text_height)
        right = width - px(8)
        for button in buttons:
            size = button.sizeHint()
            right -= size.width()
            button.setGeometry(right, (height - size.height()) // 2, size.width(), size.height())
            right -= px(8)
        return height

    @override
    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        colours = self._theme.colours
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colours.colour(_TINTS[self._outcome.tone]))
        painter.drawRoundedRect(QRectF(self.rect()), RADIUS_CONTROL, RADIUS_CONTROL)
        painter.setBrush(colours.colour(self._outcome.tone))
        radius = self._theme.px(3.5)
        painter.drawEllipse(QPointF(self._theme.px(16), self.height() / 2), radius, radius)
