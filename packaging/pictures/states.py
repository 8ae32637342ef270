"""The states of the window that have a picture: how each comes about, for real where it can be."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec
from PySide6.QtWidgets import QScrollArea

from inglenook.engine.client import ChildEngine
from inglenook.engine.protocol import Loading
from inglenook.gui.drafts import Draft
from inglenook.gui.transcript.outcome import OutcomeBar
from inglenook.gui.transcript.reply import ReplyView
from inglenook.models.progress import DownloadState
from prepared import (
    CATALOGUE_NAME,
    CUT_OFF,
    DROPPED,
    ENDLESS,
    GATED_REPO,
    LARGE,
    MISSING,
    NEARLY_FULL,
    OPEN_REPO,
    SLOW,
    SORTING,
    THINKER,
)
from stage import Stage

STREAMED: Final = 130
"""Letters of a reply on show when its picture is taken."""
LOADED: Final = 0.3
"""How far a load is when its picture is taken."""
DRAFTED: Final = 90
"""Letters of every draft on show when their picture is taken."""
_DRAFTED = "What should I know?"
_LONG = "The quick brown fox jumps over the lazy dog. "


def show_empty(stage: Stage) -> None:
    """A new conversation."""
    stage.window.sidebar.new_requested.emit()


def show_loading(stage: Stage) -> None:
    """A larger model on its way into memory, and a message that waits for it."""
    stage.window.sidebar.new_requested.emit()
    large = next(model for model in stage.app.library.list() if Path(model.path).name == LARGE)
    told: list[Loading] = []
    stage.app.hub.subscribe(lambda e: told.append(e) if isinstance(e, Loading) else None)
    stage.app.settings.set("engine.use_mmap", False)
    stage.window.chat.choose_model(large.id)
    stage.wait_until(lambda: told, "the beginning of the load")
    pid = stage.app.engine.state.pid
    assert pid is not None
    while told[-1].fraction < LOADED:  # The disk is quick: let the load go on in small steps.
        os.kill(pid, signal.SIGSTOP)
        stage.wait(0.03)
        os.kill(pid, signal.SIGCONT)
        time.sleep(0.002)
    os.kill(pid, signal.SIGSTOP)
    stage.ask("Could you look over my letter?")
    stage.wait_until(stage.window.chat_page.transcript.messages, "the message")
    stage.wait(0.3)


def show_streaming(stage: Stage) -> None:
    """A reply of the built-in model on its way, with the inspector."""
    stage.window.sidebar.new_requested.emit()
    stage.window._set_inspector(True)
    stage.ask("What happens between my question and the first token?")
    stage.wait_for_text(STREAMED)


def show_three_drafts(stage: Stage) -> None:
    """Three drafts of one reply being written side by side."""
    begin_drafts(stage)
    pid = stage.app.engine.state.pid
    assert pid is not None
    while stage.count_drafted() < DRAFTED:  # The built-in model is quick: let it go on in steps.
        os.kill(pid, signal.SIGCONT)
        time.sleep(0.004)
        os.kill(pid, signal.SIGSTOP)
        stage.wait(0.03)
    stage.wait(0.3)


def show_three_drafts_done(stage: Stage) -> None:
    """Three drafts that are done; one of them is to be kept."""
    begin_drafts(stage)
    stage.wait_until(stage.window.live.all, "the drafts")
    stage.wait_until(lambda: not stage.window.live.all(), "the end of the drafts")
    stage.wait(1.0)


def begin_drafts(stage: Stage) -> None:
    """Ask for drafts that differ: the built-in model is sure of most of its words."""
    stage.app.settings.set("replies.temperature", 1.0)
    stage.app.settings.set("replies.seed", 3)
    stage.window.sidebar.new_requested.emit()
    stage.ask_for_drafts(_DRAFTED)


def show_three_drafts_narrow(stage: Stage) -> None:
    """Three drafts being written where there is room for one."""
    stage.window._set_inspector(True)
    show_three_drafts(stage)


def show_two_conversations(stage: Stage) -> None:
    """Two conversations whose replies are being written at once; the first is on show."""
    use_slow_model(stage)
    stage.ask("What is a token?")
    stage.wait_for_text(STREAMED)
    first = stage.window.chat.conversation_id
    assert first is not None
    stage.window.sidebar.new_requested.emit()
    stage.ask("How is a reply written?")
    stage.wait_for_text(1)
    stage.window.sidebar.conversation_chosen.emit(first)
    stage.wait_until(lambda: stage.window.chat.conversation_id == first, "the first one again")
    stage.wait(0.5)


def show_waits_for_other_model(stage: Stage) -> None:
    """A message for one model while a reply of another one is being written."""
    use_slow_model(stage)
    stage.ask("What is a token?")
    stage.wait_for_text(1)
    stage.window.sidebar.new_requested.emit()
    stage.window.chat.choose_model("builtin/guide")
    stage.ask("And what is a KV cache?")
    stage.wait_until(stage.window.chat_page.transcript.messages, "the message")
    stage.wait(0.5)


def show_thinking(stage: Stage) -> None:
    """A reply that is being thought about, with its reasoning open; one before it is folded."""
    ask_thinker(stage)
    stage.wait_until(lambda: not stage.window.live.all(), "the end of the first reply")
    stage.ask("Why is that so?")
    transcript = stage.window.chat_page.transcript
    stage.wait_until(lambda: len(transcript.messages()) == 4, "the second message")
    reply = transcript._find_view(transcript.messages()[-1].id)
    assert isinstance(reply, ReplyView)
    stage.wait_until(reply.reasoning.isVisible, "its reasoning")
    reply.reasoning.line.click()
    stage.wait_until(lambda: len(reply._entry.reasoning) > STREAMED, "some reasoning")


def show_thought(stage: Stage) -> None:
    """A reply that was thought about, with its reasoning opened."""
    ask_thinker(stage)
    stage.wait_until(lambda: not stage.window.live.all(), "the end of the reply")
    transcript = stage.window.chat_page.transcript
    reply = transcript._find_view(transcript.messages()[-1].id)
    assert isinstance(reply, ReplyView)
    reply.reasoning.line.click()
    stage.wait(0.5)


def ask_thinker(stage: Stage) -> None:
    """Ask the model that thinks first, in a new conversation."""
    stage.window.sidebar.new_requested.emit()
    thinker = next(m for m in stage.app.library.list() if Path(m.path).name == THINKER)
    stage.window.chat.choose_model(thinker.id)
    stage.ask("What is the sum of the first n odd numbers?")
    stage.wait_until(stage.window.live.all, "the reply")


def use_slow_model(stage: Stage) -> None:
    """Talk with a model that writes for a while, in a new conversation."""
    stage.window.sidebar.new_requested.emit()
    slow = next(model for model in stage.app.library.list() if Path(model.path).name == SLOW)
    stage.window.chat.choose_model(slow.id)

    def is_loaded() -> bool:
        loaded = stage.app.engine.state.loaded
        return loaded is not None and loaded.model_id == slow.id

    stage.wait_until(is_loaded, "the slow model")


def show_finished(stage: Stage) -> None:
    """A finished reply with code, a table and tasks."""
    stage.open_by_title(SORTING)


def show_interrupted(stage: Stage) -> None:
    """A reply that a crash cut off."""
    stage.open_by_title(CUT_OFF)


def show_stuck_engine(stage: Stage) -> None:
    """A reply whose engine shows no sign of work any more."""
    pid = begin_reply(stage)
    os.kill(pid, signal.SIGSTOP)
    transcript = stage.window.chat_page.transcript
    stage.wait_until(
        lambda: any(bar.isVisible() for bar in transcript.findChildren(OutcomeBar)),
        "the word on it",
    )
    stage.wait(0.3)


def show_gpu_out_of_memory(stage: Stage) -> None:
    """A reply that ended with the graphics card's memory: its last words and its end, as told."""
    pid = begin_reply(stage)
    engine = stage.app.engine
    assert isinstance(engine, ChildEngine)
    assert engine._child is not None
    engine._child._last_lines.append("CUDA error: out of memory")
    os.kill(pid, signal.SIGABRT)
    stage.wait_until(lambda: not stage.window.live.all(), "the end of the reply")
    stage.wait(0.5)


def begin_reply(stage: Stage) -> int:
    """Ask and wait for some text; returns the engine's process."""
    use_slow_model(stage)
    stage.ask("What happens between my question and the first token?")
    stage.wait_for_text(STREAMED)
    pid = stage.app.engine.state.pid
    assert pid is not None
    return pid


def show_context_too_long(stage: Stage) -> None:
    """A chosen context that does not fit into memory, and the ways out."""
    stage.window.sidebar.new_requested.emit()
    stage.app.settings.set("engine.context_length", 1_048_576)
    stage.app.settings.set("engine.kv_type", "f32")
    large = next(model for model in stage.app.library.list() if Path(model.path).name == LARGE)
    stage.window.chat.choose_model(large.id)
    stage.wait_until(stage.window.chat_page.notice.isVisible, "the refusal")
    stage.wait(0.3)


def show_asleep(stage: Stage) -> None:
    """A model that was put away because nobody asked."""
    stage.open_by_title(SORTING)
    load = stage.app.chat._make_load(stage.app.library.find("builtin/guide"))
    options = msgspec.structs.replace(load.options, keeps_idle_s=0.2)
    stage.app.engine.submit(msgspec.structs.replace(load, options=options))
    stage.wait_until(lambda: stage.app.engine.state.asleep_id, "the model's sleep")
    stage.wait(0.3)


def show_inspector(stage: Stage) -> None:
    """All that is in force for a conversation."""
    stage.app.settings.set("replies.temperature", 0.7)
    stage.app.settings.set("replies.dry_multiplier", 0.8)
    stage.app.settings.set("replies.stop", "User:\nAssistant:")
    stage.open_by_title(SORTING)
    stage.window.inspector.show_sampling()
    stage.window._set_inspector(True)
    stage.wait(0.3)
    scroll = stage.window.inspector.findChild(QScrollArea)
    scroll.verticalScrollBar().setValue(10_000)


def show_error(stage: Stage) -> None:
    """A message that does not fit into the model's context."""
    stage.window.sidebar.new_requested.emit()
    stage.ask("Please sum this up. " + _LONG * 900)
    live = stage.window.live
    stage.wait_until(live.all, "a run")
    stage.wait_until(lambda: not live.all(), "the end of the run")


def show_reading(stage: Stage) -> None:
    """A long prompt being read."""
    stage.window.sidebar.new_requested.emit()
    stage.window._set_inspector(True)
    stage.ask("Please sum this up. " + _LONG * 110)
    live = stage.window.live

    def is_reading() -> bool:
        return any(
            run.prefill is not None and 0 < run.prefill.n_done < run.prefill.n_prompt
            for run in live.all()
        )

    stage.wait_until(is_reading, "a prompt being read")


def show_attachments(stage: Stage) -> None:
    """A question that went with a file, and two more files that will go with the next one."""
    log, code, _ = write_files(stage.home.parent / "Documents")
    stage.window.sidebar.new_requested.emit()
    attach(stage, log)
    stage.ask("What is a token?")
    stage.wait_until(stage.window.live.all, "a reply")
    stage.wait_until(lambda: not stage.window.live.all(), "the end of the reply")
    attach(stage, log, code)
    stage.window.chat_page.composer.set_text("Which of the two comes first?")
    stage.wait(0.5)


def show_attachment_edited(stage: Stage) -> None:
    """A message with files that is being edited."""
    show_attachments(stage)
    stage.window.chat.writing.show(Draft())
    stage.window.chat_page.transcript.edit_last()
    stage.wait(0.3)


def show_attachment_open(stage: Stage) -> None:
    """The text of an attached file."""
    _, code, _ = write_files(stage.home.parent / "Documents")
    stage.window.sidebar.new_requested.emit()
    attach(stage, code)
    stage.window.chat_page.composer.chips.chips[0].click()
    stage.wait(0.3)


def show_attachment_too_large(stage: Stage) -> None:
    """A file that does not fit into the context, and one that is no text."""
    _, code, book = write_files(stage.home.parent / "Documents")
    stage.window.sidebar.new_requested.emit()
    attach(stage, code, book)
    stage.wait(0.3)


def write_files(folder: Path) -> tuple[Path, Path, Path]:
    """A short log, some code, and a long text."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = {
        "meeting notes 2026-11.md": "# Notes\n\n- The hub answers slowly after noon.\n" * 6,
        "sort_runs.py": "import heapq\n\n\ndef merge(*runs):\n    return heapq.merge(*runs)\n" * 3,
        "The whole report, second edition, with all appendices and tables.txt": _LONG * 2_000,
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    log, code, book = (folder / name for name in texts)
    return log, code, book


def attach(stage: Stage, *paths: Path) -> None:
    """Have files go with the next message, and wait until the model has counted them."""
    stage.window.chat.writing.attach(list(paths))
    chips = stage.window.chat_page.composer.chips

    def is_counted() -> bool:
        sizes = [chip.size_text for chip in chips.chips]
        return len(sizes) == len(paths) and sizes[0].removesuffix(" tokens").isdigit()

    stage.wait_until(is_counted, "counted files")


def show_full_context(stage: Stage) -> None:
    """A conversation that has nearly filled what the model can read."""
    stage.open_by_title(NEARLY_FULL)


def show_disk_full(stage: Stage) -> None:
    """A reply that goes on in memory while the disk takes nothing more."""
    stage.window.sidebar.new_requested.emit()
    stage.ask("What happens between my question and the first token?")
    stage.wait_until(stage.app.chat.live_runs, "a reply")
    writer = stage.app.store._database._writer_dbapi()
    writer.execute("PRAGMA max_page_count = 1").fetchone()
    stage.wait_until(stage.window.chat_page.notice.isVisible, "the banner")


def show_offline(stage: Stage) -> None:
    """The offline switch on, and the models page says what it means."""
    stage.app.settings.set("privacy.offline", True)
    stage.window.show_models()
    stage.wait(0.6)


def show_long(stage: Stage) -> None:
    """Ten thousand messages."""
    stage.open_by_title(ENDLESS)


def show_discover(stage: Stage) -> None:
    """The catalogue, with one download on its way."""
    stage.app.forecasts.measure()
    stage.window.show_models()
    page = stage.models_page
    n_entries = len(stage.app.catalogue.entries)
    stage.wait_until(lambda: len(page.discover.cards()) == n_entries, "cards")
    entry = stage.app.catalogue.find(CATALOGUE_NAME)
    assert entry is not None
    page.transfers.start(f"{entry.repo}:{entry.recommended.quantisation}")
    stage.wait_until(
        lambda: any(s.bytes_per_s and s.eta_s is not None for s in page.transfers.states),
        "a moving download",
    )
    stage.wait(0.4)
    _bring_to_top(stage, entry.name)


def show_models_search(stage: Stage) -> None:
    """Words that the catalogue and the hub know."""
    search(stage, "qwen3")


def show_models_nothing(stage: Stage) -> None:
    """Words that nobody knows."""
    search(stage, "purple elephants")


def show_models_search_offline(stage: Stage) -> None:
    """Words while the app works offline."""
    stage.app.settings.set("privacy.offline", True)
    search(stage, "qwen3")


def show_models_hub_down(stage: Stage) -> None:
    """A hub that has had too many questions."""
    search(stage, "mistral small")


def show_models_repository(stage: Stage) -> None:
    """One repository: its files, and its card."""
    open_repository(stage, OPEN_REPO)


def show_models_all_files(stage: Stage) -> None:
    """All files of a repository, by their bits."""
    open_repository(stage, OPEN_REPO)
    view = stage.models_page.discover.repo_view
    view.unfold()
    stage.wait_until(lambda: not view._waiting, "all files")
    stage.wait(0.4)


def show_models_gated(stage: Stage) -> None:
    """A repository that is given only to people who accepted its licence."""
    open_repository(stage, GATED_REPO)


def search(stage: Stage, words: str) -> None:
    """Type words into the models page, and wait for what comes."""
    stage.app.forecasts.measure()
    stage.window.show_models()
    page = stage.models_page
    n_entries = len(stage.app.catalogue.entries)
    stage.wait_until(lambda: len(page.discover.cards()) == n_entries, "cards")
    page.field.setFocus()
    page.field.setText(words)
    stage.wait_until(lambda: page.discover.hub.phase in {"done", "failed"}, "results")
    stage.wait(0.3)


def open_repository(stage: Stage, repo: str) -> None:
    """Open a repository by its name."""
    stage.window.show_models()
    view = stage.models_page.discover.repo_view
    stage.models_page.field.setText(repo)
    stage.models_page.field.returnPressed.emit()
    stage.wait_until(lambda: view.facts is not None and not view._waiting, "a repository")
    stage.wait(0.5)


class _StandIn:
    """Downloads in states that take long to come about."""

    def __init__(self, *states: DownloadState) -> None:
        self._states = states

    def list(self) -> tuple[DownloadState, ...]:
        return self._states

    def close(self) -> None:
        """Nothing runs."""


def _make_download(name: str, phase: str, size_gb: float, share: float, **more) -> DownloadState:  # noqa: ANN003
    owner, _, file = name.partition("/")
    size = round(size_gb * 1e9)
    return DownloadState(
        id=name, name=name, phase=phase, repo=f"{owner}/{file.rpartition('-')[0]}-GGUF",
        filename=f"{file}.gguf", size_bytes=size, done_bytes=round(size * share), **more,
    )  # fmt: skip


def _put_downloads(stage: Stage, *states: DownloadState) -> None:
    stage.app._downloads = _StandIn(*states)  # type: ignore[assignment]
    transfers = stage.window.transfers
    stage.wait_until(lambda: transfers.refresh() or transfers.states == states, "downloads")
    stage.wait(0.5)


def show_downloads(stage: Stage) -> None:
    """The list of downloads: what runs, waits, stands still, went wrong, is done; and the tray."""
    _put_downloads(
        stage,
        _make_download("bartowski/Llama-3.2-3B-Instruct-Q4_K_M", "done", 2.0, 1.0),
        _make_download(
            "unsloth/Qwen3-4B-Instruct-2507-Q4_K_M", "downloading", 2.5, 0.62,
            bytes_per_s=31.4e6, eta_s=30.3, n_connections=3,
        ),
        _make_download(
            "ggml-org/gemma-3-12b-it-Q4_K_M", "downloading", 7.3, 0.21,
            note="The connection to cdn-lfs.hf.co broke off. Trying again in 4 s.",
        ),
        _make_download("ggml-org/gpt-oss-20b-mxfp4", "queued", 12.1, 0.0, place=1),
        _make_download("unsloth/Qwen3-30B-A3B-Instruct-2507-Q4_K_M", "queued", 18.6, 0.4, place=2),
        _make_download("bartowski/Mistral-Nemo-Instruct-2407-Q4_K_M", "paused", 7.5, 0.35),
        _make_download(
            "lmstudio-community/phi-4-Q4_K_M", "failed", 9.1, 0.82,
            error="cdn-lfs.hf.co cannot be reached.",
            hint="Check the connection to the internet, then try again.", code="unreachable",
        ),
        _make_download(
            "ggml-org/SmolLM3-3B-Q4_K_M", "failed", 1.9, 0.0, code="update_available",
            error="SmolLM3 3B is installed, and the hub has a newer file of it by now. The "
            "installed one was left as it is.",
        ),
    )  # fmt: skip
    stage.window.show_models("downloads")
    stage.wait(0.5)


def show_tray(stage: Stage) -> None:
    """A download in the tray, beside a conversation."""
    stage.open_by_title(SORTING)
    _put_downloads(
        stage,
        _make_download(
            "unsloth/Qwen3-4B-Instruct-2507-Q4_K_M", "downloading", 2.5, 0.62,
            bytes_per_s=31.4e6, eta_s=30.3,
        ),
    )  # fmt: skip


def show_tray_failed(stage: Stage) -> None:
    """The tray says that a download stands still."""
    stage.open_by_title(SORTING)
    _put_downloads(
        stage,
        _make_download("bartowski/Mistral-Nemo-Instruct-2407-Q4_K_M", "paused", 7.5, 0.35),
        _make_download(
            "lmstudio-community/phi-4-Q4_K_M", "failed", 9.1, 0.82, code="unreachable",
            error="cdn-lfs.hf.co cannot be reached.",
        ),
    )  # fmt: skip


def show_settings_network(stage: Stage) -> None:
    """Limit, queue, connections, mirror and proxy."""
    stage.window.show_settings("network")
    stage.app.settings.set("network.download_limit", 8.0)
    stage.wait(0.5)


def show_installed(stage: Stage) -> None:
    """The models on this disk, with what is predicted and what is free."""
    stage.window.show_models("installed")
    tab = stage.models_page.installed
    stage.wait_until(lambda: tab.cards, "the cards")
    stage.wait_until(
        lambda: any(card.forecast.isVisible() for card in tab.cards.values()), "the predictions"
    )
    stage.wait_until(lambda: "free" in tab.total.text(), "the free space")


def show_found(stage: Stage) -> None:
    """What other apps have on this computer, below the installed models; one of them is used."""
    stage.app.neighbours.adopt("llama3:8b")
    stage.window.show_models("installed")
    stage.wait_until(lambda: stage.window.found.findings, "a look around")
    section = stage.models_page.installed.found
    stage.wait_until(lambda: section.buttons, "what was found")
    section.unusable_button.click()
    stage.wait(0.6)
    scroll = stage.models_page.installed.findChild(QScrollArea)
    scroll.verticalScrollBar().setValue(scroll.verticalScrollBar().maximum())


def show_import(stage: Stage) -> None:
    """A model file was dropped on the window."""
    stage.window.show_models("installed")
    stage.models_page.offer_files([stage.home.parent / "Downloads" / DROPPED])
    stage.wait_until(stage.models_page.installed.import_bar.isVisible, "the question")
    stage.wait(0.6)


def show_settings(stage: Stage) -> None:
    """The settings of replies."""
    stage.window.show_settings("replies")


def show_settings_models(stage: Stage) -> None:
    """Where models are found and kept."""
    stage.window.show_settings("models")
    stage.wait(0.5)


def show_settings_engine(stage: Stage) -> None:
    """The engine's settings: what automatic chose, and a change that waits for the next load."""
    stage.window.show_settings("engine")
    stage.app.settings.set("engine.context_length", 4096)
    stage.wait(0.5)


def show_settings_advanced(stage: Stage) -> None:
    """All of the engine's settings, some of them chosen."""
    show_settings_engine(stage)
    stage.app.settings.set("engine.kv_type", "q8_0")
    page = stage.window._settings_page
    assert page is not None
    page.folds["engine"].set_open(True)
    stage.wait(0.5)
    scroll = page._stack.currentWidget()
    assert isinstance(scroll, QScrollArea)
    scroll.verticalScrollBar().setValue(page.folds["engine"].y() - 60)


def show_settings_found(stage: Stage) -> None:
    """The settings that a search found."""
    stage.window.show_settings("appearance")
    page = stage.window._settings_page
    assert page is not None
    page.search.setText("penalty")
    stage.wait(0.5)


def show_settings_token(stage: Stage) -> None:
    """Where a token of the hub is kept."""
    stage.app.hub_token.save("hf_0123456789abcdef")
    stage.window.show_settings("models")
    stage.wait(0.5)


def show_privacy(stage: Stage) -> None:
    """The offline switch and the ledger."""
    show_discover(stage)
    stage.window.show_settings("privacy")


def show_popup(stage: Stage) -> None:
    """The list of installed models below the chip."""
    stage.open_by_title(SORTING)
    stage.window.chooser.open_popup()


def show_search(stage: Stage) -> None:
    """A search over all conversations."""
    stage.open_by_title(SORTING)
    stage.window.sidebar.search.setText("sort")
    stage.wait(0.5)


def show_no_model(stage: Stage) -> None:
    """The model of the conversation is gone from the disk."""
    stage.window.sidebar.new_requested.emit()
    stage.app.settings.set("models.default", MISSING)
    stage.window.chat.choose_model(MISSING)
    stage.wait(0.3)


STATES: Final[dict[str, Callable[[Stage], None]]] = {
    "empty": show_empty,
    "loading": show_loading,
    "streaming": show_streaming,
    "three-drafts": show_three_drafts,
    "three-drafts-done": show_three_drafts_done,
    "three-drafts-narrow": show_three_drafts_narrow,
    "two-conversations": show_two_conversations,
    "waits-for-other-model": show_waits_for_other_model,
    "thinking": show_thinking,
    "thought": show_thought,
    "finished": show_finished,
    "interrupted": show_interrupted,
    "error": show_error,
    "stuck-engine": show_stuck_engine,
    "gpu-out-of-memory": show_gpu_out_of_memory,
    "context-too-long": show_context_too_long,
    "model-asleep": show_asleep,
    "inspector": show_inspector,
    "reading-a-long-prompt": show_reading,
    "full-context": show_full_context,
    "attachments": show_attachments,
    "attachment-edited": show_attachment_edited,
    "attachment-open": show_attachment_open,
    "attachment-too-large": show_attachment_too_large,
    "disk-full": show_disk_full,
    "long-conversation": show_long,
    "models-discover": show_discover,
    "models-search": show_models_search,
    "models-search-nothing": show_models_nothing,
    "models-search-offline": show_models_search_offline,
    "models-hub-down": show_models_hub_down,
    "models-repository": show_models_repository,
    "models-all-files": show_models_all_files,
    "models-gated": show_models_gated,
    "models-installed": show_installed,
    "models-found": show_found,
    "models-import": show_import,
    "models-downloads": show_downloads,
    "download-tray": show_tray,
    "download-tray-failed": show_tray_failed,
    "models-offline": show_offline,
    "model-popup": show_popup,
    "no-model": show_no_model,
    "search": show_search,
    "settings": show_settings,
    "settings-models": show_settings_models,
    "settings-engine": show_settings_engine,
    "settings-advanced": show_settings_advanced,
    "settings-found": show_settings_found,
    "settings-network": show_settings_network,
    "settings-token": show_settings_token,
    "privacy": show_privacy,
}


def _bring_to_top(stage: Stage, name: str) -> None:
    """Scroll a card into view."""
    discover = stage.models_page.discover
    for facts, card in discover.catalogue.made:
        if facts.title == name:
            scroll = discover.catalogue.findChild(QScrollArea)
            scroll.verticalScrollBar().setValue(max(0, card.y() - 4))
