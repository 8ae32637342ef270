"""FAULTS A07 and B13 through the whole app below the window, with a scripted host that aborts."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from inglenook.app import App, open_app
from inglenook.base.errors import ModelError
from inglenook.base.records import InstalledModel
from inglenook.chat.events import MessageFinished
from inglenook.engine import child as child_module
from inglenook.engine.protocol import EngineDied, Loaded
from inglenook.store.records import Message
from support import scripted_host
from support.tiny_gguf import write_tiny_gguf

REPEATS = int(os.environ.get("INGLENOOK_REPEATS", "50"))
WAIT_S = 60.0

pytestmark = [
    pytest.mark.timeout(6000),
    pytest.mark.logs("the engine died", "inglenook.engine.native"),
]


class Listener:
    """What was told, for a test that waits."""

    def __init__(self, app: App) -> None:
        self._changed = threading.Condition()
        self.events: list[object] = []
        app.hub.subscribe(self._take)

    def _take(self, event: object) -> None:
        with self._changed:
            self.events.append(event)
            self._changed.notify_all()

    def count(self, kind: type) -> int:
        return sum(isinstance(event, kind) for event in self.events)

    def wait_for(self, kind: type, n_times: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self.count(kind) >= n_times, WAIT_S)

    def wait_for_end(self, run_id: str) -> Message:
        def find() -> Message | None:
            ends = [e.message for e in self.events if isinstance(e, MessageFinished)]
            return next((m for m in reversed(ends) if m.id == run_id), None)

        with self._changed:
            assert self._changed.wait_for(lambda: find() is not None, WAIT_S)
        message = find()
        assert message is not None
        return message


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[App]:
    mask = os.umask(0o077)
    monkeypatch.setattr(child_module, "start_child", scripted_host.start)
    with open_app(tmp_path / "home") as opened:
        yield opened
    os.umask(mask)


@pytest.fixture
def model(app: App, tmp_path: Path) -> InstalledModel:
    return app.library.import_file(write_tiny_gguf(tmp_path / "breaks.gguf"))


def test_A07_a_model_that_breaks_the_engine_twice_is_flagged_and_can_be_forgiven(
    app: App, model: InstalledModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INGLENOOK_TEST_DEATH", "abort")
    heard = Listener(app)
    for i in range(max(1, REPEATS // 25)):
        app.engine._deaths.clear()  # type: ignore[attr-defined]  # A person does not ask so fast.
        for n in (1, 2):
            reply = app.chat.send(None, "what is a token?", model_id=model.id).reply
            end = heard.wait_for_end(reply.id)
            assert (end.status, end.finish_reason) == ("interrupted", "engine_died")
            assert end.content.count("word") == scripted_host.N_WORDS, "the partial answer is kept"
            heard.wait_for(EngineDied, 2 * i + n)
        with pytest.raises(ModelError, match="stopped each time this model wrote"):
            app.chat.send(None, "once more", model_id=model.id)
        assert app.library.find(model.id).problem
        assert not app.library.forgive(model.id).problem


def test_B13_a_full_card_cuts_off_a_reply_and_one_call_goes_on_on_the_cpu(
    app: App, model: InstalledModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INGLENOOK_TEST_DEATH", "gpu_out_of_memory")
    heard = Listener(app)
    for _ in range(REPEATS):
        reply = app.chat.send(None, "what is a token?", model_id=model.id).reply
        end = heard.wait_for_end(reply.id)
        assert (end.status, end.finish_reason) == ("interrupted", "gpu_out_of_memory")
        heard.events.clear()
        app.chat.continue_without_gpu(reply.id)
        whole = heard.wait_for_end(reply.id)
        assert whole.status == "complete"
        assert whole.content.count("word") == 2 * scripted_host.N_WORDS
        loaded = next(e for e in heard.events if isinstance(e, Loaded))
        assert loaded.device == "CPU"
        assert "on the CPU" in loaded.placement_note
        heard.events.clear()
        app.chat.load_again(model.id)
        heard.wait_for(Loaded, 1)
        assert app.library.find(model.id).problem == ""


def test_B14_after_a_lost_card_the_next_reply_is_written_on_the_cpu_and_says_so(
    app: App, model: InstalledModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INGLENOOK_TEST_DEATH", "gpu_lost")
    heard = Listener(app)
    reply = app.chat.send(None, "what is a token?", model_id=model.id).reply
    assert heard.wait_for_end(reply.id).finish_reason == "gpu_lost"
    heard.events.clear()
    again = app.chat.send(None, "and now?", model_id=model.id).reply
    assert heard.wait_for_end(again.id).status == "complete"
    loaded = next(e for e in heard.events if isinstance(e, Loaded))
    assert loaded.placement_note == (
        "The graphics card stopped working: the model runs on the CPU now."
    )
