"""A picture's stage: the real app with its window on a prepared profile."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from inglenook.app import App, open_app
from inglenook.gui.application import WindowSession, make_application

if TYPE_CHECKING:
    from inglenook.gui.models_page import ModelsPage
    from inglenook.gui.window import MainWindow

WAIT_S = 30.0


@dataclass(frozen=True, slots=True)
class Stage:
    """What a picture is taken of, and how to wait in it."""

    home: Path
    app: App
    session: WindowSession

    @property
    def window(self) -> "MainWindow":
        """The main window."""
        return self.session.window

    @property
    def models_page(self) -> "ModelsPage":
        """The models page, once it was shown."""
        page = self.window._models_page
        assert page is not None
        return page

    def wait(self, seconds: float) -> None:
        """Let the window live for a while."""
        from PySide6.QtTest import QTest

        QTest.qWait(round(seconds * 1000))

    def wait_until(self, is_true: Callable[[], object], what: str) -> None:
        """Let the window live until something holds."""
        deadline_s = time.monotonic() + WAIT_S
        while not is_true():
            if time.monotonic() > deadline_s:
                raise RuntimeError(f"did not happen: {what}")
            self.wait(0.005)

    def ask(self, text: str) -> None:
        """Send a message."""
        self.window.chat_page.composer.submitted.emit(text)

    def ask_for_drafts(self, text: str) -> None:
        """Send a message for three drafts."""
        self.window.chat_page.composer.drafts_requested.emit(text)

    def count_drafted(self) -> int:
        """How many letters the shortest of the drafts has; 0 before there are any."""
        transcript = self.window.chat_page.transcript
        return min((len(transcript.text_of(d.id)) for d in transcript.drafts()), default=0)

    def wait_for_text(self, n_letters: int) -> None:
        """Wait until the last message shows so much text."""
        transcript = self.window.chat_page.transcript

        def is_shown() -> bool:
            shown = transcript.messages()
            return bool(shown) and len(transcript.text_of(shown[-1].id)) >= n_letters

        self.wait_until(is_shown, f"{n_letters} letters of a reply")

    def open_by_title(self, title: str) -> None:
        """Open one of the prepared conversations."""
        found = next(c for c in self.app.store.list_conversations() if c.title == title)
        self.window.sidebar.conversation_chosen.emit(found.id)
        self.wait_until(self.window.chat_page.transcript.messages, "the conversation")
        self.wait(1.0)  # Code is coloured when the window has nothing else to do.


@contextmanager
def open_stage(home: Path, scheme: str, size: tuple[int, int]) -> Iterator[Stage]:
    """The app with its window on a profile, its model loaded."""
    make_application()
    app = open_app(home, is_window=True)
    app.settings.set("appearance.theme", scheme)
    session = WindowSession(app)
    stage = Stage(home, app, session)
    try:
        session.open()
        session.window.resize(*size)
        session.window.move(0, 0)
        stage.wait_until(lambda: app.engine.state.phase == "ready", "a loaded model")
        stage.wait(0.3)
        yield stage
    finally:
        session.close()
        app.close()
        stage.wait(0.01)  # What the window left to be deleted goes before its theme does.
