"""Reasoning in the terminal: the answer alone is the result; what was thought only on demand."""

import json
from pathlib import Path

import pytest

from support.chat_templates import NEMOTRON3
from support.program import Program
from support.scripted_gguf import write_scripted_gguf

THOUGHTS = ("Six ", "times ", "seven.")
ANSWER = ("It ", "is ", "42.")


@pytest.fixture
def thinker(tmp_path: Path) -> str:
    """A model that thinks before it answers."""
    script = (*THOUGHTS, "</think>", *ANSWER)
    path = write_scripted_gguf(
        tmp_path / "thinker.gguf", script, template=NEMOTRON3, marks=("</think>", *script)
    )
    return str(path)


def test_the_answer_alone_is_on_stdout(program: Program, thinker: str) -> None:
    quiet = program.run("ask", "--model", thinker, "How much?")
    assert (quiet.code, quiet.out.strip()) == (0, "It is 42.")
    assert "Six" not in quiet.err
    shown = program.run("ask", "--model", thinker, "--show-reasoning", "How much?")
    assert (shown.code, shown.out.strip()) == (0, "It is 42.")
    assert shown.err.startswith("Six times seven.\n")


def test_json_holds_both_and_history_keeps_them(program: Program, thinker: str) -> None:
    reply = program.ask("--model", thinker, "How much?")
    assert (reply["reasoning"], reply["text"]) == ("Six times seven.", "It is 42.")
    assert reply["reasoning_tokens"] == len(THOUGHTS) + 1
    assert reply["reasoning_s"] > 0.0
    told = json.loads(program.run("history", "--json").out)
    assert told[0]["messages"][-1]["reasoning"] == "Six times seven."


def test_it_is_turned_off_and_kept_short(program: Program, thinker: str) -> None:
    off = program.ask("--model", thinker, "--no-think", "How much?")
    assert (off["reasoning"], off["text"]) == ("", "It is 42.")
    short = program.ask("--model", thinker, "--reasoning-budget", "2", "How much?")
    assert (short["reasoning"], short["text"]) == ("Six times", "It is 42.")
    refused = program.run("ask", "--reasoning-budget", "-1", "How much?")
    assert refused.code == 2
