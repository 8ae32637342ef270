"""FAULTS B01: the engine dies while it writes, over and over; the app keeps the text, goes on."""

import os
import random
import signal
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

import inglenook.app
import inglenook.chat.marks
from inglenook.app import App, open_app
from inglenook.base.events import EventHub
from inglenook.chat.events import MessageFinished
from inglenook.engine.client import ChildEngine, CrashPolicy
from inglenook.engine.protocol import Text
from inglenook.store.records import Message
from support.scripted_gguf import write_scripted_gguf

SIGNALS = (signal.SIGABRT, signal.SIGSEGV, signal.SIGKILL)
WAIT_S = 60.0


def make_tireless(hub: EventHub, *, in_process: bool) -> ChildEngine:
    """An engine that does not mind how often it is killed."""
    return ChildEngine(hub.publish, crashes=CrashPolicy(n_deaths=1_000_000))


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[App]:
    """The whole app below the window, with a real engine."""
    mask = os.umask(0o077)
    monkeypatch.setattr(inglenook.app, "_make_engine", make_tireless)
    monkeypatch.setattr(inglenook.chat.marks, "MAX_BREAKS", 1_000_000)
    with open_app(tmp_path / "home") as opened:
        opened.settings.set("engine.threads", 1)
        yield opened
    os.umask(mask)


class Listener:
    """What was told of each reply."""

    def __init__(self, hub: EventHub) -> None:
        self._changed = threading.Condition()
        self._pieces: dict[str, list[str]] = defaultdict(list)
        self._ends: dict[str, Message] = {}
        hub.subscribe(self._take)

    def wait_for_pieces(self, run_id: str, n_pieces: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self._pieces[run_id]) >= n_pieces, WAIT_S)

    def wait_for_end(self, run_id: str) -> Message:
        with self._changed:
            assert self._changed.wait_for(lambda: run_id in self._ends, WAIT_S)
            return self._ends[run_id]

    def read_text(self, run_id: str) -> str:
        return "".join(self._pieces[run_id])

    def _take(self, event: object) -> None:
        with self._changed:
            match event:
                case Text():
                    self._pieces[event.run_id].append(event.piece)
                case MessageFinished():
                    self._ends[event.message.id] = event.message
                case _:
                    return
            self._changed.notify_all()


@pytest.mark.timeout(6000)
@pytest.mark.logs("the engine died", "inglenook.engine.native")
def test_B01_each_death_leaves_the_text_marked_and_the_next_prompt_works(
    app: App, tmp_path: Path
) -> None:
    repeats = int(os.environ.get("INGLENOOK_REPEATS", "50"))
    words = [f"word{i} " for i in range(300)]
    path = write_scripted_gguf(tmp_path / "m.gguf", words, n_embd=128, never_ends=True)
    model = app.library.import_file(path)
    listener, rng = Listener(app.hub), random.Random(11)
    longest_s = 0.0
    for i in range(repeats):
        asked_at = time.monotonic()
        run_id = app.chat.send(None, f"question {i}", model_id=model.id).reply.id
        listener.wait_for_pieces(run_id, 1)
        longest_s = max(longest_s, time.monotonic() - asked_at)
        listener.wait_for_pieces(run_id, rng.randrange(1, 80))
        pid = app.engine.state.pid
        assert pid is not None
        os.kill(pid, rng.choice(SIGNALS))
        end = listener.wait_for_end(run_id)
        assert (end.status, end.finish_reason) == ("interrupted", "engine_died")
        assert end.content == listener.read_text(run_id)
        assert end.error
        kept = app.store.get_message(run_id)
        assert (kept.status, kept.content, kept.is_intact) == (end.status, end.content, True)

    again = app.chat.continue_reply(run_id).reply.id
    listener.wait_for_pieces(again, len(end.content.split()) + 20)
    app.chat.stop(again)
    print(f"\n{repeats} deaths; a new engine wrote its first word within {longest_s:.2f} s")
