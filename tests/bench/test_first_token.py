"""From Enter to the first text of the reply on the screen, against the engine alone.

    pytest tests/bench/test_first_token.py -m bench -s

A real window (drawn into memory) over a real store, with the built-in model loaded in the engine's
own process; each question is typed into the composer and sent with Enter, and the clock stops when
a view of the reply has painted its first text. The peer is a second engine of the same kind that
is asked the same through its client, in turns, until its first text arrives: what is above it is
the cost of store, chat and window. Prints medians, 95th percentiles and ratios; asserts nothing on
time.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest
from PySide6.QtCore import QEventLoop, Qt, QTimer
from PySide6.QtGui import QPaintEvent
from PySide6.QtTest import QTest

from inglenook.app import App, open_app
from inglenook.base.paths import find_asset
from inglenook.chat.events import MessageStarted
from inglenook.chat.options import ReplyOptions, make_sampling
from inglenook.chat.prompt import build_prompt
from inglenook.engine.client import ChildEngine
from inglenook.engine.protocol import Event, Finished, Generate, Loaded, Text
from inglenook.gui.application import WindowSession, make_application
from inglenook.gui.transcript.text_view import TextView
from support.figures import format_table, median_ratio, milliseconds, percentile
from support.recorder import Recorder

N_ROUNDS: Final = 3
N_PER_CONVERSATION: Final = 5
WAIT_S: Final = 60.0
QUESTIONS: Final = (
    "What can you do?",
    "What is a token?",
    "How do I add a bigger model?",
    "What does time to first token mean?",
    "Where are my conversations kept?",
    "What is a context window?",
    "How do I stop a reply?",
    "What does quantisation do?",
    "Can you search the web?",
    "What is the KV cache?",
)


@dataclass(slots=True)
class Answered:
    """Moments of one question, in seconds of the monotonic clock; the engine's own time at last."""

    asked: float
    run_id: str = ""
    stored: float = 0.0
    text: float = 0.0
    painted: float = 0.0
    engine_ttft_s: float = 0.0


@dataclass(slots=True)
class Measured:
    """Seconds of all questions, in their order."""

    shown: list[float] = field(default_factory=list)
    stored: list[float] = field(default_factory=list)
    engine: list[float] = field(default_factory=list)
    engine_own: list[float] = field(default_factory=list)
    drawing: list[float] = field(default_factory=list)
    alone: list[float] = field(default_factory=list)


class Watch:
    """Notes when a question's message is stored, its first text arrives, and that is painted."""

    def __init__(self, session: WindowSession) -> None:
        self._transcript = session.window.chat_page.transcript
        self.now = Answered(0.0)
        session.app.hub.subscribe(self.take)

    def take(self, event: object) -> None:
        """Any thread."""
        match event:
            case MessageStarted():
                self.now.run_id, self.now.stored = event.reply.id, time.perf_counter()
            case Text(run_id=run_id) if run_id == self.now.run_id and not self.now.text:
                self.now.text = time.perf_counter()
            case Finished(run_id=run_id) if run_id == self.now.run_id:
                self.now.engine_ttft_s = event.timings.ttft_s
            case _:
                pass

    def note_paint(self, view: TextView) -> None:
        """A text was painted: is it the reply's, and is there something in it?"""
        reply = self._transcript._views.get(self.now.run_id)
        is_reply = reply is not None and reply.isAncestorOf(view)
        if is_reply and not self.now.painted and not view.document().isEmpty():
            self.now.painted = time.perf_counter()


def run_until(is_true: Callable[[], object]) -> None:
    """Run Qt's loop as the app does, without pauses of a test's own, until something holds."""
    deadline = time.monotonic() + WAIT_S
    loop, timer = QEventLoop(), QTimer()
    timer.timeout.connect(lambda: loop.quit() if is_true() else None)
    timer.start(5)
    while not is_true():
        assert time.monotonic() < deadline, "did not come to hold in time"
        loop.exec()


@contextmanager
def open_session(home: Path) -> Iterator[WindowSession]:
    """An open window whose engine has the guide loaded."""
    make_application()
    app = open_app(home, is_window=True)
    session = WindowSession(app)
    try:
        session.open()
        session.window.resize(1180, 800)
        app.settings.set("replies.temperature", 0.0)
        run_until(lambda: app.engine.state.loaded is not None)
        yield session
    finally:
        session.close()
        app.close()


@pytest.fixture
def session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[WindowSession, Watch]]:
    """The window, and the watch over it."""
    mask = os.umask(0o077)
    with open_session(tmp_path / "home") as opened:
        watch = Watch(opened)
        paint = TextView.paintEvent

        def paint_and_note(view: TextView, event: QPaintEvent) -> None:
            paint(view, event)
            watch.note_paint(view)

        monkeypatch.setattr(TextView, "paintEvent", paint_and_note)
        yield opened, watch
    os.umask(mask)


def ask_window(session: WindowSession, watch: Watch, question: str) -> Answered:
    """Type, press Enter, and wait until the reply has ended and is at rest."""
    window = session.window
    window.chat_page.composer.set_text(question)
    QTest.qWait(100)
    watch.now = Answered(time.perf_counter())
    QTest.keyClick(window.chat_page.composer.input, Qt.Key.Key_Return)
    run_until(lambda: watch.now.painted)
    run_until(lambda: watch.now.engine_ttft_s and not window.live.all())
    return watch.now


def ask_engine(engine: ChildEngine, recorder: Recorder, generate: Generate) -> float:
    """Ask the engine alone; the seconds until its first text arrives."""
    first: list[float] = []

    def is_first(event: Event) -> bool:
        return isinstance(event, Text) and event.run_id == generate.run_id

    asked = time.perf_counter()
    engine.submit(generate)
    recorder.wait_for(is_first)
    first.append(time.perf_counter() - asked)
    recorder.wait_for_end(generate.run_id)
    return first[0]


def make_same(app: App, run_id: str) -> Generate:
    """What chat asked the engine for this reply."""
    reply = app.store.get_message(run_id)
    thread = app.store.thread(reply.conversation_id, reply.parent_id)
    return Generate(
        run_id=run_id,
        messages=build_prompt("", thread),
        sampling=make_sampling(ReplyOptions(), app.settings),
    )


@pytest.mark.bench
@pytest.mark.timeout(900)
@pytest.mark.logs("window's thread was blocked")
def test_time_until_the_first_token_shows(session: tuple[WindowSession, Watch]) -> None:
    window_session, watch = session
    app = window_session.app
    recorder = Recorder()
    engine = ChildEngine(recorder)
    measured = Measured()
    try:
        guide = find_asset("assets", "guide.gguf")
        assert isinstance(recorder.load(engine, guide, n_threads=None), Loaded)
        ask_window(window_session, watch, "Hello")
        for i, question in enumerate(QUESTIONS * N_ROUNDS):
            if i % N_PER_CONVERSATION == 0:
                window_session.window.chat.open_new()
            answered = ask_window(window_session, watch, question)
            alone_s = ask_engine(engine, recorder, make_same(app, answered.run_id))
            keep(measured, answered, alone_s)
    finally:
        engine.close()
    print("\n\n" + format_measured(measured))


def keep(measured: Measured, answered: Answered, alone_s: float) -> None:
    """Add one question to the figures."""
    measured.shown.append(answered.painted - answered.asked)
    measured.stored.append(answered.stored - answered.asked)
    measured.engine.append(answered.text - answered.stored)
    measured.engine_own.append(answered.engine_ttft_s)
    measured.drawing.append(answered.painted - answered.text)
    measured.alone.append(alone_s)


def format_measured(measured: Measured) -> str:
    """The window beside its peer, and where its time goes."""
    head = (f"{len(measured.shown)} questions", "median", "95 % within")
    rows = (
        ("Enter until the first text is painted", measured.shown),
        ("  Enter until the message is on the disk", measured.stored),
        ("  until the first text arrives", measured.engine),
        ("  until it is painted", measured.drawing),
        ("the engine's own time to first token", measured.engine_own),
        ("the engine alone, through its client", measured.alone),
    )
    table = format_table(
        head,
        (
            (name, milliseconds(times), milliseconds([percentile(times, 0.95)]))
            for name, times in rows
        ),
    )
    ratio = median_ratio(measured.shown, measured.alone)
    return f"{table}\nthe window over the engine alone: {ratio:.2f} times"
