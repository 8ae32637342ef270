"""A real window over a real store, chat and library, with a fake engine at the seam."""

import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QWidget

from inglenook.app import App, open_app
from inglenook.base.records import InstalledModel
from inglenook.engine.protocol import LoadFailed
from inglenook.gui.application import WindowSession, make_application
from inglenook.gui.window import MainWindow
from inglenook.store.records import Message
from support.fake_engine import FakeEngine, Reply
from support.rates import write_rates

WAIT_MS = 10_000


@dataclass(slots=True)
class WindowKit:
    """An open window and what is behind it, with shorthands for a test."""

    app: App
    engine: FakeEngine
    session: WindowSession

    @property
    def window(self) -> MainWindow:
        return self.session.window

    def ask(self, text: str) -> None:
        """Type a message and press Enter."""
        composer = self.window.chat_page.composer
        composer.set_text(text)
        composer.input.submitted.emit()

    def messages(self) -> tuple[Message, ...]:
        """The records that the transcript shows."""
        return self.window.chat_page.transcript.messages()

    def last_text(self) -> str:
        """The text of the last message on show."""
        shown = self.messages()
        return self.window.chat_page.transcript.text_of(shown[-1].id) if shown else ""

    def titles(self) -> list[str]:
        """The conversations that the sidebar lists."""
        return [row.text for row in self.window.sidebar.list.rows if row.conversation is not None]

    def is_idle(self) -> bool:
        """Whether no reply is being written."""
        return not self.window.live.all()

    def ask_and_wait(self, text: str) -> None:
        """Ask, and wait for the whole reply."""
        before = len(self.messages())
        self.ask(text)
        wait_until(lambda: len(self.messages()) >= before + 2)
        wait_until(self.is_idle)


@contextmanager
def open_window(
    home: Path,
    replies: Iterable[Reply] = (),
    *,
    load_failures: dict[str, LoadFailed] | None = None,
    load_s: float = 0.0,
    n_ctx: int = 4096,
    is_parallel: bool = False,
) -> Iterator[WindowKit]:
    """Open a window on a profile; closes all that belongs to it."""
    engines: list[FakeEngine] = []

    def make_engine(hub: object, *, in_process: bool) -> FakeEngine:
        engine = FakeEngine(
            hub.publish,  # type: ignore[attr-defined]
            replies,
            load_failures=load_failures,
            load_s=load_s,
            n_ctx=n_ctx,
            is_parallel=is_parallel,
        )
        engines.append(engine)
        return engine

    make_application()
    write_rates(home)
    with patch("inglenook.app._make_engine", make_engine):
        app = open_app(home, is_window=True)
    session = WindowSession(app)
    kit = WindowKit(app, engines[0], session)
    try:
        session.open()
        session.window.resize(1180, 800)
        wait_until(lambda: session.window.models.is_listed)
        yield kit
    finally:
        session.close()
        app.close()
        QTest.qWait(1)


def add_model(kit: WindowKit, path: Path, model_id: str = "file:other") -> InstalledModel:
    """Put a second model into the library's index."""
    path.write_bytes(b"GGUF")
    model = InstalledModel(
        id=model_id, name="Other 1B", path=str(path), size_bytes=4, origin="file"
    )
    kit.app.store.put_model(model)
    kit.window.models.reload()
    wait_until(lambda: kit.window.models.find(model_id) is not None)
    return model


def wait_until(is_true: Callable[[], object], timeout_ms: int = WAIT_MS) -> None:
    """Run Qt's loop until something holds; fails the test after a while."""
    deadline_s = time.monotonic() + timeout_ms / 1000
    while not is_true():
        assert time.monotonic() < deadline_s, "did not come to hold in time"
        QTest.qWait(5)


def split_pieces(text: str) -> tuple[str, ...]:
    """A reply's text in pieces as a tokeniser would give them, about."""
    return tuple(re.findall(r"\S+\s*|\s+", text))


def find_unnamed(root: QWidget) -> list[str]:
    """Visible controls that the keyboard reaches and that have neither a name nor a text."""
    unnamed = []
    for widget in root.findChildren(QWidget):
        takes_focus = widget.focusPolicy().value & Qt.FocusPolicy.TabFocus.value
        if not widget.isVisible() or not takes_focus:
            continue
        text = getattr(widget, "text", None)
        has_text = callable(text) and bool(text())
        if not widget.accessibleName() and not has_text:
            unnamed.append(f"{type(widget).__name__} in {type(widget.parent()).__name__}")
    return unnamed
