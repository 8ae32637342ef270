"""Takes the pictures of every state of the window into assets/screenshots, light and dark.

    python packaging/screenshots.py [NAME ...]

The real app on a profile of its own, with the built-in model in its own process, in a window on an
X display in memory (Xvfb). What cannot be had from the model alone is put into the store or comes
from a stand-in for the hub on this machine; no other network is used.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from unittest.mock import patch

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "desktop"), str(ROOT / "tests")]

from support.display import has_xvfb, open_display  # noqa: E402

TARGET = ROOT / "assets" / "screenshots"
SIZE = (1240, 800)
WAIT_S = 30.0
CATALOGUE_NAME = "qwen3:4b"

QUESTION = (
    "I have a 40 GB CSV and 16 GB of memory. How do I sort it by the second column in Python?"
)
ANSWER = """Sort it on disk: read chunks that fit, sort each, write it out, then **merge** the \
sorted runs. With Polars the engine does this for you, streaming:

```python
import polars as pl

(pl.scan_csv("big.csv")
   .sort("amount")
   .sink_csv("sorted.csv"))   # spills to disk by itself
```

| way | memory | work for you |
| --- | ---: | --- |
| Polars, streaming | about 2 GB | three lines |
| `heapq.merge` over sorted runs | some MB | about thirty lines |
| `sort` of coreutils | what you allow | one line in the shell |

- [x] keeps the header
- [ ] keeps rows with equal keys in their order
"""
CUT_ANSWER = """The runs are sorted one by one and written to files of their own. `heapq.merge` \
then walks all of them at once and only ever holds one line of each, so the memory it"""
TITLES = ("Letter to the landlord", "Sourdough, second try", "Regex for IBANs", "Trip to Tartu",
          "What is a KV cache?", "Release notes 2.4", "Interview questions")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Stage:
    """What a picture is taken of: the open session, and how to wait in it."""

    session: object
    hub: object

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

    @property
    def window(self):  # noqa: ANN201
        """The main window."""
        return self.session.window

    def ask(self, text: str) -> None:
        """Send a message."""
        self.window.chat_page.composer.submitted.emit(text)


# --- what is on show ---


def show_empty(stage: Stage) -> None:
    """A new conversation."""
    stage.window.sidebar.new_requested.emit()


def show_streaming(stage: Stage) -> None:
    """A reply of the built-in model on its way, with the inspector."""
    stage.window.sidebar.new_requested.emit()
    stage.window._set_inspector(True)
    stage.ask("What happens between my question and the first token?")
    live = stage.window.live
    stage.wait_until(
        lambda: any(run.n_tokens > 30 and run.meter for run in live.all()) or not live.all(),
        "a streaming reply",
    )


def show_finished(stage: Stage) -> None:
    """A finished reply with code, a table and tasks."""
    open_by_title(stage, "Sorting a large CSV")


def show_interrupted(stage: Stage) -> None:
    """A reply that a crash cut off."""
    open_by_title(stage, "Without any library")


def show_error(stage: Stage) -> None:
    """A message that does not fit into the model's context."""
    stage.window.sidebar.new_requested.emit()
    stage.ask("Please sum this up. " + "The quick brown fox jumps over the lazy dog. " * 900)
    stage.wait_until(lambda: stage.window.live.all(), "a run")
    stage.wait_until(lambda: not stage.window.live.all(), "the end of the run")


def show_reading(stage: Stage) -> None:
    """A long prompt being read."""
    stage.window.sidebar.new_requested.emit()
    stage.window._set_inspector(True)
    stage.ask("Please sum this up. " + "The quick brown fox jumps over the lazy dog. " * 110)
    live = stage.window.live

    def is_reading() -> bool:
        for run in live.all():
            if run.prefill is not None and 0 < run.prefill.n_done < run.prefill.n_prompt:
                return True
        return False

    stage.wait_until(is_reading, "a prompt being read")


def show_discover(stage: Stage) -> None:
    """The catalogue, with one download on its way."""
    stage.window.show_models()
    page = stage.window._models_page
    stage.wait_until(
        lambda: len(page.discover.cards()) == len(stage.session.app.catalogue.entries), "cards"
    )
    entry = stage.session.app.catalogue.find(CATALOGUE_NAME)
    page.field.setText(entry.name)
    page.transfers.start(f"{entry.repo}:{entry.recommended.quantisation}")
    stage.wait_until(lambda: is_moving(stage), "a moving download")
    page.field.clear()
    stage.wait(0.4)
    bring_to_top(page, entry.name)


def show_downloads(stage: Stage) -> None:
    """The list of downloads."""
    show_discover(stage)
    stage.window.show_models("downloads")


def show_installed(stage: Stage) -> None:
    """The models on this disk."""
    stage.window.show_models("installed")


def show_settings(stage: Stage) -> None:
    """The settings of replies."""
    stage.window.show_settings("replies")


def show_privacy(stage: Stage) -> None:
    """The offline switch and the ledger."""
    show_discover(stage)
    stage.window.show_settings("privacy")


def show_popup(stage: Stage) -> None:
    """The list of installed models below the chip."""
    open_by_title(stage, "Sorting a large CSV")
    stage.window.chooser.open_popup()


def show_search(stage: Stage) -> None:
    """A search over all conversations."""
    open_by_title(stage, "Sorting a large CSV")
    stage.window.sidebar.search.setText("sort")
    stage.wait(0.5)


def show_no_model(stage: Stage) -> None:
    """The model of the conversation is gone from the disk."""
    stage.window.sidebar.new_requested.emit()
    stage.session.app.settings.set("models.default", "file:missing")
    stage.window.chat.choose_model("file:missing")
    stage.wait(0.3)


STATES: dict[str, Callable[[Stage], None]] = {
    "empty": show_empty,
    "streaming": show_streaming,
    "finished": show_finished,
    "interrupted": show_interrupted,
    "error": show_error,
    "reading-a-long-prompt": show_reading,
    "models-discover": show_discover,
    "models-installed": show_installed,
    "models-downloads": show_downloads,
    "model-popup": show_popup,
    "search": show_search,
    "settings": show_settings,
    "privacy": show_privacy,
    "no-model": show_no_model,
}


# --- helpers of the states ---


def open_by_title(stage: Stage, title: str) -> None:
    """Open one of the prepared conversations."""
    store = stage.session.app.store
    found = next(c for c in store.list_conversations() if c.title == title)
    stage.window.sidebar.conversation_chosen.emit(found.id)
    transcript = stage.window.chat_page.transcript
    stage.wait_until(lambda: transcript.messages(), "the conversation")
    stage.wait(0.3)


def is_moving(stage: Stage) -> bool:
    """Whether a download shows its speed."""
    states = stage.window._models_page.transfers.states
    return any(state.bytes_per_s and state.eta_s is not None for state in states)


def bring_to_top(page: object, name: str) -> None:
    """Scroll a card into view."""
    from PySide6.QtWidgets import QScrollArea

    for facts, card in page.discover._cards:
        if facts.title == name:
            scroll = page.discover.findChild(QScrollArea)
            scroll.verticalScrollBar().setValue(max(0, card.y() - 4))


# --- the profile ---


def fill_profile(home: Path) -> None:
    """Conversations as a person might have them, put into the store."""
    from inglenook.app import open_app

    with open_app(home) as app:
        store = app.store
        for i, title in enumerate(TITLES):
            conversation = add_conversation(store, title, "Hello", "Hello.")
            set_age(store, conversation.id, timedelta(days=(1, 1, 1, 1, 4, 12, 30)[i]))
        thesis = add_conversation(store, "Thesis, chapter 3", "Hello", "Hello.")
        store.update_conversation(thesis.id, is_pinned=True)
        add_conversation(store, "Sorting a large CSV", QUESTION, ANSWER)
        path = home / "removed.gguf"
        add_missing_model(store, path)
        add_cut_conversation(store)


def add_conversation(store, title: str, question: str, answer: str):  # noqa: ANN001, ANN201
    """One exchange, complete, with numbers."""
    from inglenook.store.records import Statistics

    user, reply = store.start_conversation(
        title=title, system_prompt=None, text=question, model_id="builtin/guide",
        model_name="Inglenook Guide",
    )  # fmt: skip
    statistics = Statistics(
        prompt_tokens=1042, cached_tokens=1024, output_tokens=214, n_ctx=8192, queue_s=0.002,
        prefill_s=0.29, decode_s=5.1, ttft_s=0.31, total_s=5.4, prefill_tps=612, decode_tps=41.8,
    )  # fmt: skip
    store.finish_message(
        reply.id, content=answer, status="complete", finish_reason="stop", error="",
        statistics=statistics,
    )  # fmt: skip
    return store.update_conversation(user.conversation_id, title_is_chosen=True)


def add_cut_conversation(store) -> None:  # noqa: ANN001
    """A reply whose end never came: the next start finds it and marks it."""
    _, reply = store.start_conversation(
        title="Without any library", system_prompt=None, text="And without any library?",
        model_id="builtin/guide", model_name="Inglenook Guide",
    )  # fmt: skip
    store.append_text(reply.id, CUT_ANSWER)


def add_missing_model(store, path: Path) -> None:  # noqa: ANN001
    """A model that was imported, and whose file is gone since."""
    from inglenook.base.records import InstalledModel

    store.put_model(
        InstalledModel(
            id="file:missing", name="Qwen3 4B", path=str(path), size_bytes=2_600_000_000,
            origin="file", quantisation="Q4_K_M", n_params=4_000_000_000, n_ctx_train=32_768,
            architecture="qwen3", licence="apache-2.0",
        )
    )  # fmt: skip


def set_age(store, conversation_id: str, age: timedelta) -> None:  # noqa: ANN001
    """Date a conversation back, as only time does it otherwise."""
    import sqlite3
    from datetime import UTC, datetime

    path = store.database if hasattr(store, "database") else None
    if path is None:
        return
    with sqlite3.connect(path) as database:
        moment = (datetime.now(UTC) - age).timestamp()
        database.execute(
            "UPDATE conversations SET updated_at = ? WHERE id = ?", (moment, conversation_id)
        )


# --- taking pictures ---


@contextmanager
def open_stage(home: Path, scheme: str, hub: object) -> Iterator[Stage]:
    """The app with its window on a profile."""
    from inglenook.app import open_app
    from inglenook.gui.application import WindowSession, make_application

    make_application()
    app = open_app(home, is_window=True)
    app.settings.set("appearance.theme", scheme)
    session = WindowSession(app)
    stage = Stage(session, hub)
    try:
        session.open()
        session.window.resize(*SIZE)
        session.window.move(0, 0)
        stage.wait_until(lambda: app.engine.state.phase == "ready", "a loaded model")
        stage.wait(0.3)
        yield stage
    finally:
        session.close()
        app.close()


def take(name: str, scheme: str) -> None:
    """Take one picture."""
    from support.loopback_hub import LoopbackHub

    with tempfile.TemporaryDirectory() as folder, LoopbackHub() as hub:
        home = Path(folder) / "inglenook"
        prepare_hub(hub)
        with patch.dict(os.environ, {"HF_ENDPOINT": hub.endpoint, "NO_PROXY": "127.0.0.1"}):
            fill_profile(home)
            with open_stage(home, scheme, hub) as stage:
                STATES[name](stage)
                stage.wait(0.05)
                save(stage.window, TARGET / f"{name}-{scheme}.png")


def prepare_hub(hub) -> None:  # noqa: ANN001
    """A repository of the catalogue with a file that comes slowly."""
    from inglenook.base.paths import find_asset
    from inglenook.models.catalogue import load_catalogue

    entry = load_catalogue(find_asset("models.toml")).find(CATALOGUE_NAME)
    name = entry.recommended.pattern.replace("*", "")
    hub.add_repo(entry.repo, {name: bytes(64_000_000)})
    hub.faults.bytes_per_s = 6_000_000


def save(window, path: Path) -> None:  # noqa: ANN001
    """What the X display shows of the window, as a small PNG."""
    picture = window.screen().grabWindow(window.winId()).toImage()
    path.parent.mkdir(parents=True, exist_ok=True)
    if not picture.save(str(path), "PNG", 0):
        raise RuntimeError(f"cannot write {path}")
    print(f"{path.relative_to(ROOT)}  {path.stat().st_size // 1000} kB", flush=True)


def main(names: list[str]) -> int:
    """Take the named pictures, or all."""
    unknown = [name for name in names if name not in STATES]
    if unknown or not has_xvfb():
        print(f"unknown: {', '.join(unknown)}" if unknown else "Xvfb is not installed")
        return 2
    with open_display(SIZE[0] + 40, SIZE[1] + 40) as display:
        os.environ["DISPLAY"] = display
        os.environ["QT_QPA_PLATFORM"] = "xcb"
        for name in names or STATES:
            for scheme in ("light", "dark"):
                take(name, scheme)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
