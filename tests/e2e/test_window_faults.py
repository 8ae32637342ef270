"""What may happen to the program in its window: kill -9, a dead engine, a close in mid-reply."""

import random
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from inglenook.gui.theme import LIGHT
from support.desktop import TRANSCRIPT, Desktop, OpenWindow
from support.program import Program
from support.screen import Picture, find_changes, find_ink
from support.stored import StoredReply, open_stored, use_model

FLUSH_S = 0.25
SLACK_S = 0.5
"""Two busy cores stand between a piece of text and its place on the disk."""


@dataclass(frozen=True, slots=True)
class Killed:
    """A window that was killed while it wrote: the last that was on the disk, how old that was."""

    seen: StoredReply
    age_s: float
    engine_gone_s: float


def kill_in_mid_reply(
    program: Program, desktop: Desktop, question: str, after_s: float, last: str | None
) -> Killed:
    """Ask, let the reply grow for so long, kill -9; the reply before it is marked by this start."""
    with desktop.open(program) as window, open_stored(program.database) as stored:
        if last is not None:
            stored.wait_for_status(last, "interrupted")
            desktop.press("ctrl+n")  # What was open may be on show again, or about to be.
        window.ask(question)
        seen = stored.wait_for_text(question)
        grew_at = time.monotonic()
        end = grew_at + after_s
        while time.monotonic() < end:
            now = stored.wait_for_text(question)
            if len(now.text) > len(seen.text):
                seen, grew_at = now, time.monotonic()
        age_s = time.monotonic() - grew_at
        return Killed(seen, age_s, window.kill())


@pytest.mark.timeout(6000)
def test_C01_G02_killed_in_mid_reply(
    window_program: Program, desktop: Desktop, steady: Path, repeats: int
) -> None:
    """A fifth of the rounds: a window costs seconds; all of them run in test_kill.py."""
    use_model(window_program, steady)
    rng = random.Random(3)
    questions = [f"question {i}" for i in range(max(2, repeats // 5))]
    last, longest_s, n_late = None, 0.0, 0
    for question in questions:
        killed = kill_in_mid_reply(window_program, desktop, question, rng.uniform(0.0, 1.5), last)
        with open_stored(window_program.database) as stored:
            reply = stored.find(question)
        assert reply is not None, "the prompt was lost"
        assert reply.status == "streaming"
        assert reply.text.startswith(killed.seen.text), "what was on the disk was lost"
        n_late += killed.age_s > FLUSH_S + SLACK_S
        last, longest_s = question, max(longest_s, killed.engine_gone_s)
    # Now and then the model itself waits so long for a busy processor; then nothing was due.
    assert n_late <= len(questions) // 5, "text older than the flush was not on the disk"
    history = window_program.read_history()
    assert {c["messages"][0]["content"] for c in history} == set(questions)
    assert {c["messages"][1]["status"] for c in history} == {"interrupted"}
    report = window_program.run("doctor", "--json").read_json()
    assert report["database"]["integrity"] == "ok"
    print(f"\n{len(questions)} kills; the engine was gone within {longest_s * 1000:.0f} ms")


def test_C01_what_was_on_the_screen_is_there_again_and_goes_on(
    window_program: Program, desktop: Desktop, steady: Path
) -> None:
    use_model(window_program, steady, appearance__theme="light")
    with desktop.open(window_program) as window, open_stored(window_program.database) as stored:
        window.ask("the sea")
        stored.wait_for_text("the sea", 400)
        shown = window.look()
        time.sleep(FLUSH_S + SLACK_S)
        window.kill()
    with desktop.open(window_program) as window, open_stored(window_program.database) as stored:
        kept = stored.wait_for_status("the sea", "interrupted")
        window.wait_for_bar(LIGHT.amber_tint)  # What was open is on show by itself.
        check_shown_again(shown, look_from_top(window))

        desktop.press("ctrl+n")
        window.search_and_open("the sea")
        window.press_continue(LIGHT.amber_tint)
        grown = stored.wait_for_text("the sea", len(kept.text) + 20)
        assert grown.text.startswith(kept.text)
        desktop.press("Escape")
        stored.wait_for_status("the sea", "stopped")
        window.close_politely()


def look_from_top(window: OpenWindow) -> Picture:
    """The beginning of the conversation."""
    window.desktop.roll_up(*TRANSCRIPT.middle)
    return window.wait_until_still()


def check_shown_again(shown: Picture, again: Picture) -> None:
    """All lines but the last, which grew, stand where they stood."""
    ink, changes = find_ink(shown), find_changes(shown, again)
    assert ink is not None
    assert ink.height > 120, "several lines must have been shown"
    assert changes is not None, "below them it says how the reply ended"
    assert changes.top > ink.bottom - 75, "a line that was shown is not there again"


def test_B01_the_engine_dies_and_the_window_goes_on(
    window_program: Program, desktop: Desktop, steady: Path
) -> None:
    """Twice: a third death within a minute would be a crash loop, which waits."""
    use_model(window_program, steady, appearance__theme="light")
    with desktop.open(window_program) as window, open_stored(window_program.database) as stored:
        for number in (signal.SIGABRT, signal.SIGSEGV):
            question = f"what of {number.name.lower()}"
            window.ask(question)
            before = stored.wait_for_text(question, 60)
            window.find_engine().send_signal(number)
            reply = stored.wait_for_status(question, "interrupted")
            assert reply.text.startswith(before.text)
            assert reply.error
            window.press_continue(LIGHT.amber_tint)
            grown = stored.wait_for_text(question, len(reply.text) + 20)
            assert grown.text.startswith(reply.text)
            desktop.press("Escape")
            stored.wait_for_status(question, "stopped")
            assert window.is_open()
        window.ask("and on")
        stored.wait_for_text("and on", 30)
        window.close_politely()


def test_B02_a_stuck_engine_is_told_after_ten_seconds_and_stopped_by_one_click(
    window_program: Program, desktop: Desktop, steady: Path
) -> None:
    use_model(window_program, steady, appearance__theme="light")
    with desktop.open(window_program) as window, open_stored(window_program.database) as stored:
        window.ask("what of a hang")
        before = stored.wait_for_text("what of a hang", 60)
        frozen_at = time.monotonic()
        window.find_engine().send_signal(signal.SIGSTOP)
        window.wait_for_bar(LIGHT.amber_tint)
        assert time.monotonic() - frozen_at > 9
        assert window.is_open()
        window.press_continue(LIGHT.amber_tint)  # "Stop" stands at the end of the bar.
        reply = stored.wait_for_status("what of a hang", "stopped")
        assert reply.text.startswith(before.text)
        window.ask("and on")
        stored.wait_for_text("and on", 30)
        window.close_politely()


@pytest.mark.timeout(6000)
def test_B06_G01_models_are_switched_and_the_window_is_closed_in_mid_reply(
    window_program: Program, desktop: Desktop, steady: Path, repeats: int
) -> None:
    """Few rounds: the engine's own test of B06 runs all of them."""
    use_model(window_program, steady, appearance__theme="light")
    for i in range(max(2, repeats // 25)):
        with desktop.open(window_program) as window, open_stored(window_program.database) as stored:
            window.wait_for_lamp(LIGHT.moss)
            desktop.press("ctrl+n")
            window.ask(f"long {i}")
            stored.wait_for_text(f"long {i}", 10)

            desktop.press("ctrl+n")
            window.choose_in_chip("Up")
            window.ask(f"to the guide {i}")  # Waits: one model at a time.
            window.search_and_open(f"long {i}")
            desktop.press("Escape")
            assert stored.wait_for_status(f"long {i}", "stopped").text
            assert stored.wait_for_status(f"to the guide {i}", "complete").text

            desktop.press("ctrl+n")
            window.choose_in_chip("Down")
            window.ask(f"last {i}")
            stored.wait_for_text(f"last {i}", 10)
            window.close_politely()
            assert stored.wait_for_status(f"last {i}", "stopped").text
    log = (window_program.home / "logs" / "inglenook.log").read_text()
    assert "the engine died" not in log
