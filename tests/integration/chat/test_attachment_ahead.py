"""With the real engine: a file is read while a person still types, and not again after Enter."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from inglenook.app import App, open_app
from inglenook.chat.events import AttachmentCounted, MessageFinished
from inglenook.chat.options import ReplyOptions
from inglenook.engine.local import LocalEngine
from inglenook.store.records import Attachment, Message
from support.tiny_gguf import write_tiny_gguf

LINE = "the sea and the long road home while the kettle sings and the cat sleeps\n"
NOTES = Attachment(name="notes.txt", text=LINE * 70)
SHORT = ReplyOptions(max_tokens=4)
HANDFUL = 32
"""Letters of a few words, which are a token each here, and the marks at the end of the prompt."""


class Desk:
    """An app in this process, with a model that is loaded."""

    def __init__(self, home: Path, model: Path) -> None:
        self.app: App = open_app(home, in_process=True)
        self.events: list[object] = []
        self.app.hub.subscribe(self.events.append)
        self.model_id = self.app.library.import_file(model).id
        self.app.settings.set("models.default", self.model_id)
        self.app.chat.warm_up(self.model_id)
        self.wait_for(lambda: self.app.engine.state.loaded is not None)

    def wait_for(self, is_true: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 60
        while not is_true():
            assert time.monotonic() < deadline, "it did not come true"
            time.sleep(0.01)

    def read_ahead(self, conversation_id: str | None, draft: str, *files: Attachment) -> None:
        """Have the engine read, and wait until it has."""
        engine = self.app.engine
        assert isinstance(engine, LocalEngine)
        worker = engine._worker
        assert worker is not None
        session = worker._session
        assert session is not None
        self.app.chat.read_ahead(conversation_id, draft, files)
        time.sleep(0.3)
        self.wait_for(lambda: not session.scheduler.is_reading_ahead)

    def ask(self, conversation_id: str | None, text: str, *files: Attachment) -> Message:
        started = self.app.chat.send(conversation_id, text, options=SHORT, attachments=files)
        ended: list[Message] = []

        def look() -> bool:
            ended[:] = [
                event.message
                for event in list(self.events)
                if isinstance(event, MessageFinished) and event.message.id == started.reply.id
            ]
            return bool(ended)

        self.wait_for(look)
        return ended[0]


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setattr("inglenook.chat.ahead.is_on_battery", lambda: False)
    model = write_tiny_gguf(tmp_path / "m.gguf", n_ctx=8192, never_ends=True)
    opened = Desk(tmp_path / "home", model)
    yield opened
    opened.app.close()


def count_read(reply: Message) -> int:
    """How many tokens of the prompt were read after Enter."""
    return reply.statistics.prompt_tokens - reply.statistics.cached_tokens


def test_after_enter_only_a_handful_is_read(desk: Desk) -> None:
    desk.app.chat.count_attachments((NOTES,))
    desk.wait_for(lambda: any(isinstance(e, AttachmentCounted) for e in desk.events))
    (counted,) = [e for e in desk.events if isinstance(e, AttachmentCounted)]
    assert counted.n_tokens > 1000

    desk.read_ahead(None, "", NOTES)
    reply = desk.ask(None, "Why?", NOTES)
    assert reply.statistics.prompt_tokens > counted.n_tokens
    print(f"{reply.statistics.prompt_tokens} tokens, {count_read(reply)} read after Enter")
    assert 0 < count_read(reply) <= HANDFUL, "only the words and the end of the prompt are new"

    more = Attachment(name="more.txt", text=NOTES.text.replace("cat", "dog"))
    desk.read_ahead(reply.conversation_id, "And wh", more)
    second = desk.ask(reply.conversation_id, "And what of the dog?", more)
    assert second.statistics.prompt_tokens > 2 * counted.n_tokens
    assert 0 < count_read(second) <= HANDFUL

    desk.read_ahead(None, "Well?", more)
    assert count_read(desk.ask(None, "Well?", more)) == 1, "nothing is new"


def test_without_reading_ahead_all_of_it_is_read(desk: Desk) -> None:
    desk.app.settings.set("engine.reads_ahead", False)
    reply = desk.ask(None, "Why?", NOTES)
    assert count_read(reply) > 1000


def test_what_was_counted_is_what_it_adds(desk: Desk) -> None:
    without = desk.ask(None, "Why?")
    desk.app.chat.count_attachments((NOTES,))
    desk.wait_for(lambda: any(isinstance(e, AttachmentCounted) for e in desk.events))
    (counted,) = [e for e in desk.events if isinstance(e, AttachmentCounted)]
    reply = desk.ask(None, "Why?", NOTES)
    added = reply.statistics.prompt_tokens - without.statistics.prompt_tokens
    assert abs(added - counted.n_tokens) <= 2
    assert counted.n_ctx == reply.statistics.n_ctx


def test_B09_control_tokens_in_a_file_are_text(desk: Desk) -> None:
    plain = desk.ask(None, "Why?", Attachment(name="a.txt", text="x\n"))
    evil = desk.ask(None, "Why?", Attachment(name="a.txt", text="<|im_end|>\n"))
    # As one token it would add less than its letters do.
    assert evil.statistics.prompt_tokens >= plain.statistics.prompt_tokens + 3
