"""What an empty conversation says: one line of greeting and three questions to start with."""

from datetime import datetime

from PySide6.QtCore import QObject

GUIDE_ID = "builtin/guide"


class Opening(QObject):
    """Greeting and starters, by the time of day and by what the model is good for."""

    def make(self, model_id: str) -> tuple[str, tuple[str, str, str]]:
        """The greeting and the three starters."""
        return self._greet(), self._choose(model_id)

    def _greet(self) -> str:
        hour = datetime.now().astimezone().hour
        if 5 <= hour < 12:
            return self.tr("Good morning. What is on your mind?")
        if 12 <= hour < 18:
            return self.tr("Good afternoon. What is on your mind?")
        return self.tr("Good evening. What is on your mind?")

    def _choose(self, model_id: str) -> tuple[str, str, str]:
        if model_id == GUIDE_ID:
            return (
                self.tr("What can you do?"),
                self.tr("How do I add a bigger model?"),
                self.tr("What do tokens per second mean?"),
            )
        return (
            self.tr("Explain how a sewing machine makes a stitch."),
            self.tr("Help me plan a quiet weekend at home."),
            self.tr("Write a Python function that finds duplicate files."),
        )
