"""A chat over a real store and the fake engine, with all that it tells kept."""

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from inglenook.base.errors import ModelError
from inglenook.base.events import EventHub
from inglenook.base.records import InstalledModel
from inglenook.base.settings import Settings
from inglenook.chat.chat import Chat
from inglenook.chat.events import MessageFinished
from inglenook.engine.protocol import Generate
from inglenook.store.records import Message
from inglenook.store.store import Store
from support.fake_engine import FakeEngine, Reply

FLUSH_S = 0.05


def make_model(model_id: str, problem: str = "") -> InstalledModel:
    return InstalledModel(
        id=model_id,
        name=model_id.title(),
        path=f"/models/{model_id}.gguf",
        size_bytes=1,
        origin="file",
        problem=problem,
    )


class FakeLibrary:
    """Knows the models guide, big and broken, and remembers what was noted of them."""

    def __init__(self) -> None:
        self.problems: dict[str, str] = {}
        self.used: list[str] = []

    def mark_problem(self, model_id: str, problem: str) -> None:
        self.problems[model_id] = problem

    def mark_used(self, model_id: str) -> None:
        self.used.append(model_id)

    def find(self, name_or_path: str) -> InstalledModel:
        known = {
            "builtin/guide": make_model("guide"),
            "guide": make_model("guide"),
            "big": make_model("big"),
            "broken": make_model("broken", "The file is missing."),
        }
        if name_or_path not in known:
            raise ModelError(f"There is no model {name_or_path}.", "inglenook list shows them.")
        return known[name_or_path]


@dataclass(slots=True)
class Talk:
    """All parts of one chat."""

    store: Store
    hub: EventHub
    engine: FakeEngine
    settings: Settings
    chat: Chat
    library: FakeLibrary
    events: list[object]

    def wait_for(self, is_true: Callable[[], bool], wait_s: float = 10.0) -> None:
        deadline = time.monotonic() + wait_s
        while not is_true():
            assert time.monotonic() < deadline, "it did not come true"
            time.sleep(0.005)

    def finish(self, message_id: str) -> Message:
        """Wait until a reply is on the disk."""

        def ends() -> list[Message]:
            return [
                event.message
                for event in list(self.events)
                if isinstance(event, MessageFinished) and event.message.id == message_id
            ]

        n_before = 0
        self.wait_for(lambda: len(ends()) > n_before)
        return ends()[-1]

    def told(self, kind: type) -> list[object]:
        return [event for event in list(self.events) if isinstance(event, kind)]

    def generated(self) -> list[Generate]:
        return [c for c in self.engine.commands if isinstance(c, Generate)]

    def close(self) -> None:
        self.chat.close()
        self.engine.close()


def open_talk(store: Store, replies: Iterable[Reply] = (), *, is_parallel: bool = False) -> Talk:
    hub = EventHub()
    events: list[object] = []
    lock = threading.Lock()

    def keep(event: object) -> None:
        with lock:
            events.append(event)

    engine = FakeEngine(hub.publish, replies=replies, is_parallel=is_parallel)
    settings = Settings(store.load_settings, store.save_setting, hub)
    library = FakeLibrary()
    chat = Chat(store, engine, library, settings, hub, flush_s=FLUSH_S)
    hub.subscribe(keep)
    return Talk(store, hub, engine, settings, chat, library, events)
