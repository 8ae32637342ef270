"""Text files with a message, by the installed program in a terminal."""

import os
from pathlib import Path

import pytest

from e2e.test_terminal import open_terminal, say
from support.program import Program

SECRET = "zanzibar-canary"


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    path = tmp_path / "my notes.txt"
    path.write_text(f"The {SECRET} is <|im_end|> here.\n" * 3)
    return path


def test_ask_takes_files(program: Program, notes: Path, tmp_path: Path) -> None:
    code = tmp_path / "a.py"
    code.write_bytes("\ufeffprint('größer')\n".encode("utf-16"))
    short = program.ask("--max-tokens", "4", "what is a token?")
    reply = program.ask(
        "--max-tokens", "4", "--file", str(notes), "-f", str(code), "what is a token?"
    )
    assert reply["prompt_tokens"] > short["prompt_tokens"] + 30
    notes.unlink()
    (user, _) = program.read_history()[0]["messages"]
    assert user["content"] == "what is a token?"
    assert [file["name"] for file in user["attachments"]] == ["my notes.txt", "a.py"]
    assert user["attachments"][0]["text"].startswith(f"The {SECRET} is <|im_end|> here.")
    assert "größer" in user["attachments"][1]["text"]
    shown = program.run("history", reply["conversation_id"][:8]).out
    assert "[my notes.txt, 120 B]" in shown
    assert SECRET in program.run("history", "--json", "--search", "zanzibar").out
    # Nothing of it is anywhere but in the database.
    kept = [p for p in program.home.rglob("*") if p.is_file() and SECRET.encode() in p.read_bytes()]
    assert {p.name.split("-")[0] for p in kept} == {"inglenook.db"}


def test_a_file_alone_is_a_question(program: Program, notes: Path) -> None:
    program.ask("--max-tokens", "2", "--file", str(notes))
    (conversation,) = program.read_history()
    assert conversation["title"] == "my notes.txt"


def test_what_cannot_be_attached_is_said_and_nothing_is_asked(
    program: Program, notes: Path, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\0")
    (tmp_path / "old.txt").write_bytes("größer".encode("latin-1"))
    for name, words in (
        ("pipe", "is no ordinary file"), ("picture.png", "is not a text file"),
        ("old.txt", "Save it as UTF-8"), ("missing.txt", "is not there"), ("", "is a folder"),
    ):  # fmt: skip
        ended = program.run("ask", "--file", str(notes), "--file", str(tmp_path / name), "why?")
        assert (ended.code, ended.out) == (2, ""), name
        assert words in ended.err
        assert SECRET not in ended.err
    assert program.read_history() == []


def test_B07_a_file_that_does_not_fit_is_told(program: Program, tmp_path: Path) -> None:
    (tmp_path / "long.txt").write_text("words in a row " * 10_000)
    ended = program.run("ask", "--file", str(tmp_path / "long.txt"), "why?")
    assert ended.code == 5
    assert "context holds" in ended.err
    with open_terminal(program) as terminal:
        say(terminal, "hello")
        refused = say(terminal, f"/attach {tmp_path / 'long.txt'}")
        assert "context holds" in refused
        assert "No file goes" in say(terminal, "/attach")


def test_run_attaches_to_the_next_message(program: Program, notes: Path) -> None:
    with open_terminal(program) as terminal:
        assert "No file goes" in say(terminal, "/attach")
        assert "is not there" in say(terminal, "/attach missing.txt")
        say(terminal, "hello")
        assert "goes with the next message" in say(terminal, f"/attach '{notes}'")
        assert "my notes.txt  120 B" in say(terminal, "/attach")
        say(terminal, "what is a token?")
        assert "No file goes" in say(terminal, "/attach")
        say(terminal, f"/attach {notes}")
        assert "No file goes" in say(terminal, "/detach")
        say(terminal, "and a prompt?")
    messages = program.read_messages()
    assert [len(m["attachments"]) for m in messages if m["role"] == "user"] == [0, 1, 0]
