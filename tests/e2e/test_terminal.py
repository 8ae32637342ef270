"""`inglenook run` in a real (pseudo) terminal, with the keys that a person presses."""

import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pexpect
import psutil
import pytest

from support.program import EXECUTABLE, Program, find_engine, wait_until_gone

PROMPT = ">>> "
NUMBERS = re.compile(
    r"[\d,]+ tokens · [\d,.]+ tok/s · first token \d+\.\d\d s( · [\d,]+ reused)?( · stopped)?"
)
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


@contextmanager
def open_terminal(program: Program, *arguments: str) -> "Iterator[pexpect.spawn[str]]":
    """The conversation in a terminal of its own; ended at the latest when the block ends."""
    terminal = pexpect.spawn(
        str(EXECUTABLE),
        ["run", *arguments, "--home", str(program.home)],
        env=program.env,
        encoding="utf-8",
        codec_errors="replace",  # Ctrl+C has the terminal drop what is on its way, in mid-letter.
        timeout=40,
        dimensions=(40, 200),
    )
    try:
        terminal.expect_exact(PROMPT)
        yield terminal
    finally:
        terminal.close(force=True)


def say(terminal: "pexpect.spawn[str]", text: str) -> str:
    """Type a line; returns all that is shown until the next prompt."""
    terminal.sendline(text)
    terminal.expect_exact(PROMPT)
    assert terminal.before is not None
    shown = ESCAPES.sub("", terminal.before).replace("\r", "")
    assert "Traceback" not in shown
    return shown.removeprefix(text + "\n")


def begin(terminal: "pexpect.spawn[str]", text: str) -> None:
    """Type a line, and wait until some words of the reply are on the screen."""
    terminal.sendline(text)
    terminal.expect_exact(f"{text}\r\n")
    shown = ""
    while len(re.sub(r"Loading the model, \d+%|\s", "", ESCAPES.sub("", shown))) < 20:
        shown += terminal.read_nonblocking(size=200, timeout=40)


def leave(terminal: "pexpect.spawn[str]") -> None:
    """Ctrl+D; the program then ends in order."""
    terminal.sendeof()
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0


def test_a_conversation_of_several_turns_reuses_what_was_read(program: Program) -> None:
    with open_terminal(program) as terminal:
        first = say(terminal, "what is a token?")
        second = say(terminal, "and what is a prompt?")
        leave(terminal)
    for shown in (first, second):
        assert NUMBERS.search(shown), shown
    assert "reused" not in first
    messages = program.read_messages()
    assert [m["role"] for m in messages] == ["user", "assistant"] * 2
    assert messages[1]["content"].strip() in first
    assert messages[1]["statistics"]["cached_tokens"] == 0
    turn = messages[3]["statistics"]
    assert turn["cached_tokens"] > messages[1]["statistics"]["prompt_tokens"]
    assert turn["prompt_tokens"] > turn["cached_tokens"]
    assert f"{turn['cached_tokens']:,} reused" in second


def test_the_reply_is_shown_as_it_is_written_and_ctrl_c_stops_only_it(
    program: Program, slow: Path
) -> None:
    with open_terminal(program, str(slow)) as terminal:
        begin(terminal, "the sea")
        terminal.sendintr()
        terminal.expect_exact(PROMPT)
        assert terminal.before is not None
        assert "stopped" in terminal.before
        assert terminal.isalive()
        leave(terminal)
    reply = program.read_messages()[1]
    assert (reply["status"], reply["finish_reason"]) == ("stopped", "cancelled")
    assert reply["content"]


READLINE_S = 0.1
"""While readline is busy with its prompt or a line it misses a signal; nobody types that fast."""


def press_until(terminal: "pexpect.spawn[str]", told: str) -> None:
    """Press Ctrl+C, once more where readline missed it, until the program answers."""
    for _ in range(4):
        time.sleep(READLINE_S)
        terminal.sendintr()
        if terminal.expect_exact([told, pexpect.TIMEOUT], timeout=10) == 0:
            return
    raise AssertionError("Ctrl+C is not answered")


def test_ctrl_c_at_once_and_again_and_again(program: Program, slow: Path) -> None:
    with open_terminal(program, str(slow)) as terminal:
        for pause_s in (0.03, 0.06, 0.1, 0.3):
            time.sleep(READLINE_S)
            terminal.sendline("sea")
            time.sleep(pause_s)
            terminal.sendintr()
            terminal.expect_exact(PROMPT)
        for _ in range(2):
            press_until(terminal, "Ctrl+D or /bye leaves")
            terminal.expect_exact(PROMPT)
        time.sleep(READLINE_S)
        assert terminal.isalive()
        terminal.sendline("/bye")
        terminal.expect(pexpect.EOF)
        terminal.close()
        assert terminal.exitstatus == 0
    assert all(
        message["status"] in {"stopped", "complete"}
        for conversation in program.read_history()
        for message in conversation["messages"]
    )


def test_commands(program: Program, tiny: Path) -> None:
    with open_terminal(program) as terminal:
        shown = say(terminal, "/help")
        for name in ("/new", "/retry", "/model", "/help", "/bye", "Ctrl+C"):
            assert name in shown
        assert "no reply yet" in say(terminal, "/retry")
        assert "no command /quack" in say(terminal, "/quack")
        assert "Inglenook Guide" in say(terminal, "/model")
        assert "no model named nothing" in say(terminal, "/model nothing")

        say(terminal, "hello")
        assert NUMBERS.search(say(terminal, "/retry"))
        assert "Now talking with" in say(terminal, f"/model {tiny}")
        terminal.sendline("hello again")
        terminal.expect_exact("hello again\r\n")
        time.sleep(0.5)
        terminal.sendintr()
        terminal.expect_exact(PROMPT)
        assert "new conversation" in say(terminal, "/new")
        assert "nothing" not in say(terminal, "")
        leave(terminal)
    (conversation,) = program.read_history()
    user, first, second, again, other = conversation["messages"]
    assert user["content"] == "hello"
    assert first["parent_id"] == second["parent_id"] == user["id"]
    assert first["sibling_ids"] == [first["id"], second["id"]]
    assert again["parent_id"] == second["id"]
    assert other["model_id"] == f"file:{tiny}"


def test_new_begins_another_conversation(program: Program) -> None:
    with open_terminal(program) as terminal:
        say(terminal, "one")
        say(terminal, "/new")
        say(terminal, "two \\\nlines")
        terminal.sendline("/bye")
        terminal.expect(pexpect.EOF)
    second, first = program.read_history()
    assert first["messages"][0]["content"] == "one"
    assert second["messages"][0]["content"] == "two \nlines"


def test_B01_the_engine_dies_and_the_conversation_goes_on(program: Program, slow: Path) -> None:
    with open_terminal(program, str(slow)) as terminal:
        begin(terminal, "the sea")
        engine = find_engine(terminal.pid)
        engine.send_signal(signal.SIGKILL)
        terminal.expect("engine stopped unexpectedly")
        terminal.expect_exact(PROMPT)
        assert "Now talking with" in say(terminal, "/model guide")
        assert NUMBERS.search(say(terminal, "hello"))
        leave(terminal)
    messages = program.read_messages()
    assert [m["status"] for m in messages] == ["complete", "interrupted", "complete", "complete"]
    assert messages[1]["content"]


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM])
def test_G01_a_closed_terminal_ends_everything(
    program: Program, slow: Path, number: signal.Signals
) -> None:
    with open_terminal(program, str(slow)) as terminal:
        begin(terminal, "the sea")
        processes = [find_engine(terminal.pid), psutil.Process(terminal.pid)]
        terminal.kill(number)
        terminal.expect(pexpect.EOF)
        terminal.close()
        wait_until_gone(processes, 3)
    assert program.read_messages()[1]["status"] == "stopped"


def test_a_script_may_drive_it_through_a_pipe(
    make_program: Callable[..., Program],
) -> None:
    program = make_program()
    ended = program.run("run", piped="hello\n/new\nwhat is a token?\n")
    assert ended.code == 0
    assert PROMPT not in ended.out
    second, first = program.read_history()
    assert ended.out == "".join(c["messages"][1]["content"] + "\n" for c in (first, second))
    assert len(NUMBERS.findall(ended.err)) == 2
