"""The installed program in a real window: what a person does in it, and what they then see.

Keys and clicks go in as X events; the screen, the disk and the log are watched from outside.
"""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from inglenook.gui.theme import LIGHT
from support.desktop import CONVERSATIONS, TRANSCRIPT, Desktop, OpenWindow
from support.program import Program
from support.screen import Picture, count_dark, find_changes
from support.scripted_gguf import write_scripted_gguf
from support.stored import Stored, open_stored, use_model
from support.waiting import wait_for

QUESTION = "how do I add a bigger model?"
QUESTION_PX = 75
"""Where a question of one line ends in the picture of a conversation."""


def test_a_newcomer_asks_closes_and_finds_the_answer_again(
    window_program: Program, desktop: Desktop
) -> None:
    with desktop.open(window_program) as window:
        greeting = window.wait_until_still()
        no_rows = window.look(CONVERSATIONS)
        desktop.type(QUESTION)
        assert find_changes(greeting, window.look()) is None, "nothing is sent before Enter"
        desktop.press("Return")
        with open_stored(window_program.database) as stored:
            pictures = window.watch(lambda: has_ended(stored, QUESTION))
            reply = stored.wait_for_status(QUESTION, "complete")
        check_growth(pictures)
        assert "Models" in reply.text or "Ctrl+M" in reply.text
        assert reply.statistics["decode_tps"] > 0
        assert reply.statistics["output_tokens"] > 10
        answer = window.look()
        window.close_politely()

    with desktop.open(window_program) as window:
        window.wait_until_shown(answer)  # What was open is open again.
        start_anew(window, greeting)
        click_last_row(window, no_rows)
        window.wait_until_shown(answer)

        start_anew(window, greeting)
        window.search("zebra")
        desktop.press("Return")
        assert find_changes(greeting, window.wait_until_still()) is None
        window.search_and_open("bigger mod")
        window.wait_until_shown(answer)

        window.ask("and what is a token?")
        with open_stored(window_program.database) as stored:
            second = stored.wait_for_status("and what is a token?", "complete")
        assert second.conversation_id == reply.conversation_id
        window.close_politely(lambda: desktop.press("ctrl+q"))
    assert [m["role"] for m in window_program.read_messages()] == ["user", "assistant"] * 2


def has_ended(stored: Stored, question: str) -> bool:
    reply = stored.find(question)
    return reply is not None and reply.status != "streaming"


def check_growth(pictures: list[Picture]) -> None:
    """Below the question, which stays, the text grows before it is whole.

    The built-in model is quick: a busy machine may show few of the steps to whoever looks.
    """
    whole = pictures[-1]
    asked = [p for p in pictures if find_changes(p[:QUESTION_PX], whole[:QUESTION_PX]) is None]
    amounts = [count_dark(picture[QUESTION_PX:]) for picture in asked]
    steps = {amount for amount in amounts if 0 < amount < amounts[-1]}
    assert steps, f"the reply must grow on the screen: {amounts}"


def start_anew(window: OpenWindow, greeting: Picture) -> None:
    """Leave the conversation for a new one."""
    window.desktop.press("ctrl+n")
    window.wait_until_shown(greeting)


def click_last_row(window: OpenWindow, no_rows: Picture) -> None:
    """Open the last conversation in the list."""
    rows = wait_for(lambda: find_changes(no_rows, window.look(CONVERSATIONS)), "there is a list")
    window.desktop.click(CONVERSATIONS.left + rows.middle[0], CONVERSATIONS.top + rows.bottom - 10)


def wait_for_ink(window: OpenWindow, n_dark: int) -> int:
    """Wait until more text than so many dark pixels is shown, for what is saved is shown, too."""

    def look() -> int | None:
        n_now = count_dark(window.look())
        return n_now if n_now > n_dark else None

    return wait_for(look, "more text is shown")


def test_escape_stops_a_reply_and_the_next_prompt_works(
    window_program: Program, desktop: Desktop, steady: Path
) -> None:
    model_id = window_program.run("import", str(steady), "--json").read_json()["id"]
    with desktop.open(window_program) as window, open_stored(window_program.database) as stored:
        window.wait_for_lamp(LIGHT.moss)
        window.choose_in_chip("Down")
        wait_for(lambda: stored.read_setting("models.default") == model_id, "it is chosen")
        window.ask("the sea")
        n_dark = 0
        for n_chars in (1, 150, 300):
            before = stored.wait_for_text("the sea", n_chars)
            n_dark = wait_for_ink(window, n_dark)

        desktop.press("Escape")
        reply = stored.wait_for_status("the sea", "stopped")
        assert reply.finish_reason == "cancelled"
        assert reply.text.startswith(before.text)
        assert reply.statistics["output_tokens"] > 0

        window.ask("and on")
        second = stored.wait_for_text("and on", 30)
        assert second.conversation_id == reply.conversation_id
        desktop.click(*TRANSCRIPT.middle)
        desktop.press("Escape")  # Wherever the keyboard is.
        stored.wait_for_status("and on", "stopped")
        assert stored.find("the sea") == reply
        window.close_politely(lambda: desktop.press("ctrl+q"))


def test_C10_a_second_start_brings_the_first_window_to_the_front(
    window_program: Program, desktop: Desktop, tmp_path: Path
) -> None:
    other = Program(tmp_path / "other" / "home", **desktop.env)
    with desktop.open(window_program) as first, desktop.open(other) as cover:
        assert desktop.window_at(*TRANSCRIPT.middle) == cover.id
        second = window_program.run()
        assert (second.code, second.out, second.err) == (0, "", "")
        wait_for(lambda: desktop.window_at(*TRANSCRIPT.middle) == first.id, "it comes to the front")
        assert first.is_open()
        assert cover.is_open(), "a window on another profile is left alone"
        for window in (first, cover):
            window.close_politely()


# --- a long reply ---

BLOCK = re.compile(r"WARNING .*blocked for (\d+ ms \(\d+ ms of work\) in .*)")
LONGEST = re.compile(r"longest block while replies were written: (\d+) ms; .*: (\d+) ms")
N_TOKENS = 2000


@pytest.fixture(scope="session")
def essayist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that writes Markdown of every kind."""
    path = tmp_path_factory.mktemp("models") / "essayist.gguf"
    return write_scripted_gguf(path, make_essay(N_TOKENS + 100), name="Essayist")


def make_essay(n_pieces: int) -> list[str]:
    """Headings, paragraphs, lists, code and tables in pieces as large as tokens, no two alike."""
    pieces: list[str] = []
    while len(pieces) < n_pieces:
        n = len(pieces)
        pieces += [f"\n\n## Part{n}\n\n", *(f"word{n + k} " for k in range(60))]
        pieces += [f"**bold{n}** ", f"`code{n}` ", f"*soft{n}*, ", f"[link{n}](https://a.b/{n})."]
        pieces += [f"\n- point{n + k} " if k % 8 == 0 else f"of{n + k} " for k in range(40)]
        pieces += [f"\n\n```python\ndef f{n}():\n"]
        pieces += [f"    x{n + k} = {n + k}  # why\n" for k in range(30)]
        pieces += [f"```\n\n| a{n} | b |\n| --- | ---: |\n"]
        pieces += [f"| cell{n + k} | {n + k} |\n" for k in range(12)]
    return pieces


def test_G04_a_long_reply_never_blocks_the_window(
    make_program: Callable[..., Program], desktop: Desktop, essayist: Path
) -> None:
    """Prints the longest block of the window's thread, which a busy machine makes longer."""
    program = make_program(INGLENOOK_LOG="DEBUG", **desktop.env)
    use_model(program, essayist, replies__max_tokens=N_TOKENS)
    log = program.home / "logs" / "inglenook.log"
    with desktop.open(program) as window, open_stored(program.database) as stored:
        window.wait_for_lamp(LIGHT.moss)
        n_before = len(log.read_text())
        window.ask("an essay, please")
        reply = stored.wait_for_status("an essay, please", "complete")
        window.wait_until_still()
        lines = log.read_text()[n_before:]
        window.close_politely()
    assert reply.statistics["output_tokens"] == N_TOKENS
    assert reply.finish_reason == "length"
    longest = LONGEST.search(lines)
    assert longest is not None, "the recorder must have watched"
    print(
        f"\n{N_TOKENS} tokens at {reply.statistics['decode_tps']:.0f} per second: "
        f"longest block {longest[1]} ms, most work at once {longest[2]} ms; "
        f"over 50 ms: {BLOCK.findall(lines)}"
    )
    assert int(longest[1]) < 5000
