"""Says of replies without text yet what they wait for: a load, another model, their turn.

On the window's thread.
"""

from collections.abc import Callable, Sequence
from typing import Final

from PySide6.QtCore import QObject, QTimer

from inglenook.gui.live import LiveRun, LiveRuns
from inglenook.gui.transcript import Transcript

TURN_MS: Final = 600
"""So long after it began, a reply that the engine has not taken up says that it waits."""


class Waits(QObject):
    """Writes into the transcript of the conversation that `find_conversation` names."""

    def __init__(
        self,
        transcript: Transcript,
        live: LiveRuns,
        find_conversation: Callable[[], str | None],
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self._transcript = transcript
        self._live = live
        self._find_conversation = find_conversation
        live.waiting.connect(self.show_wait_of)

    def show(self, text: str, model_id: str) -> None:
        """Say what replies of a model that have no text yet wait for; empty when for nothing."""
        for run in self._live.all_of(self._find_conversation()):
            if not run.has_begun and run.reply.model_id == model_id:
                self._transcript.set_waiting(run.reply.id, text)

    def show_wait_of(self, run: LiveRun) -> None:
        """Say that a reply waits for those of another model."""
        if run.conversation_id != self._find_conversation() or not run.waits_for:
            return
        names = [r.reply.model_name for r in self._live.all() if r.reply.model_id == run.waits_for]
        if not names:
            return
        text = self.tr("Waits until {name} has finished its reply")
        name = names[0] or self.tr("the other model")
        self._transcript.set_waiting(run.reply.id, text.replace("{name}", name))

    def say_turns_soon(self, run_ids: Sequence[str]) -> None:
        """Say of replies that others are before them, if the engine takes them up only later."""
        QTimer.singleShot(TURN_MS, self, lambda: self._say_turns(run_ids))

    def _say_turns(self, run_ids: Sequence[str]) -> None:
        runs = [run for run in map(self._live.find, run_ids) if run is not None]
        has_others = len(self._live.all()) > len(runs)
        for run in runs:
            is_told = bool(run.waits_for) or run.has_begun or self._is_shared(run)
            if has_others and not is_told and run.conversation_id == self._find_conversation():
                text = self.tr("Waits its turn: other replies are being written")
                self._transcript.set_waiting(run.reply.id, text)

    def _is_shared(self, run: LiveRun) -> bool:
        """Whether another draft's prompt is being read for this one."""
        drafts = self._live.set_of(run.reply)
        others = [self._live.find(i) for i in drafts.ids] if drafts is not None else []
        return any(other is not None and other.has_begun for other in others)
