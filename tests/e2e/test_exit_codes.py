"""Everything that can go wrong gives one sentence, its exit code, and no harm to what is kept."""

import os
import resource
import signal
import socket
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from support.program import Ended, Program, find_engine, read_some
from support.stored import choose
from support.tiny_gguf import write_tiny_gguf

MAX_WORDS = 60


def check_refusal(ended: Ended, code: int) -> dict[str, str]:
    """One JSON object on stderr, nothing on stdout, in words for people."""
    assert (ended.code, ended.out) == (code, ""), ended
    assert ended.err.count("\n") == 1
    error = ended.read_error()
    assert error["error"].strip().endswith((".", "?"))
    assert len(f"{error['error']} {error['hint']}".split()) < MAX_WORDS
    return error


# --- 2: usage ---


@pytest.mark.parametrize(
    "arguments",
    [
        ["bogus"],
        ["ask"],
        ["ask", "--nope", "hi"],
        ["ask", "--max-tokens", "many", "hi"],
        ["ask", "--max-tokens", "0", "hi"],
        ["ask", "--temperature", "-1", "hi"],
        ["ask", "--temperature", "nan", "hi"],
        ["ask", "--seed", "99999999999", "hi"],
        ["ask", "--json-schema", '{"type": "thing"}', "hi"],
        ["ask", "--json-schema", "{", "hi"],
        ["ask", "--json-schema", "no/such/file.json", "hi"],
        ["ask", "--grammar", "no/such/file.gbnf", "hi"],
        ["ask", "--grammar", ".", "hi"],
        ["ask", "--grammar", "/dev/null", "hi"],
        ["ask", "--grammar", "/etc/passwd", "--json-schema", "{}", "hi"],
        ["rm"],
        ["list", "everything"],
    ],
    ids=" ".join,
)
def test_2_usage(program: Program, arguments: list[str]) -> None:
    check_refusal(program.run("--json", *arguments), 2)
    assert not program.database.exists()


# --- 3: models ---


def make_missing(folder: Path) -> Path:
    return folder / "missing.gguf"


def make_truncated(folder: Path) -> Path:
    whole = write_tiny_gguf(folder / "whole.gguf")
    path = folder / "truncated.gguf"
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
    return path


def make_header_only(folder: Path) -> Path:
    path = folder / "short.gguf"
    path.write_bytes(b"GGUF\x03\0\0\0" + bytes(9))
    return path


def make_empty(folder: Path) -> Path:
    path = folder / "empty.gguf"
    path.touch()
    return path


def make_page(folder: Path) -> Path:
    path = folder / "page.gguf"
    path.write_text("<!DOCTYPE html><html><body>404</body></html>")
    return path


def make_zip(folder: Path) -> Path:
    path = folder / "archive.gguf"
    path.write_bytes(b"PK\x03\x04" + bytes(500))
    return path


def make_fifo(folder: Path) -> Path:
    path = folder / "pipe.gguf"
    os.mkfifo(path)
    return path


def make_directory(folder: Path) -> Path:
    path = folder / "folder.gguf"
    path.mkdir()
    return path


def make_dangling(folder: Path) -> Path:
    path = folder / "link.gguf"
    path.symlink_to(folder / "nowhere.gguf")
    return path


def make_loop(folder: Path) -> Path:
    path = folder / "loop.gguf"
    path.symlink_to(path)
    return path


def make_device(folder: Path) -> Path:
    return Path("/dev/zero")


def make_strange(folder: Path) -> Path:
    path = write_tiny_gguf(folder / "strange.gguf")
    path.write_bytes(path.read_bytes().replace(b"llama", b"foo90"))
    return path


@pytest.mark.parametrize(
    "make",
    [
        make_missing,
        make_truncated,
        make_header_only,
        make_empty,
        make_page,
        make_zip,
        make_fifo,
        make_directory,
        make_dangling,
        make_loop,
        make_device,
        make_strange,
    ],
    ids=lambda make: make.__name__.removeprefix("make_"),
)
@pytest.mark.parametrize("command", [["ask", "hi", "--model"], ["import"]], ids=["ask", "import"])
def test_3_a_file_that_is_no_model(
    program: Program, tmp_path: Path, make: Callable[[Path], Path], command: list[str]
) -> None:
    ended = program.run("--json", *command, str(make(tmp_path)))
    error = check_refusal(ended, 3)
    assert error["hint"]
    assert ended.took_s < 20
    with closing(sqlite3.connect(program.database)) as database:
        (n_messages,) = database.execute("SELECT count(*) FROM messages").fetchone()
    assert n_messages == 0


def test_3_a_file_that_may_not_be_read(program: Program, tiny: Path, tmp_path: Path) -> None:
    path = tmp_path / "locked.gguf"
    path.write_bytes(tiny.read_bytes())
    path.chmod(0)
    # Root reads everything, unless it lays down that right.
    wrapper = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    ended = program.run(
        "--json", "ask", "hi", "--model", str(path), wrapper=[] if os.getuid() else wrapper
    )
    assert "locked.gguf" in check_refusal(ended, 3)["error"]


def test_3_an_unknown_name_gets_near_ones(program: Program) -> None:
    assert "guide" in check_refusal(program.run("--json", "ask", "x", "-m", "giude"), 3)["hint"]
    assert "inglenook pull" in check_refusal(program.run("--json", "run", "llama3:8b"), 3)["hint"]
    check_refusal(program.run("--json", "rm", "no such thing"), 3)


def test_3_a_model_that_vanished_is_told_and_the_rest_goes_on(
    program: Program, tmp_path: Path
) -> None:
    path = write_tiny_gguf(tmp_path / "gone.gguf")
    assert program.run("import", str(path)).code == 0
    path.unlink()
    check_refusal(program.run("--json", "ask", "hi", "--model", "gone"), 3)
    assert "not there" in program.run("list").out
    assert program.ask("--max-tokens", "3", "hello")["text"]


# --- 4: hub and network ---


def test_4_a_dead_hub(make_program: Callable[..., Program]) -> None:
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))  # bound and not listening: nobody else gets this port
        address = f"http://127.0.0.1:{door.getsockname()[1]}"
        program = make_program(HF_ENDPOINT=address, NO_PROXY="127.0.0.1")
        error = check_refusal(program.run("--json", "pull", "maker/Tiny-GGUF"), 4)
    assert error["hint"]
    assert program.ask("--max-tokens", "3", "hello")["text"]


def test_4_working_offline(make_program: Callable[..., Program]) -> None:
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        door.listen()
        door.settimeout(0.2)
        address = f"http://127.0.0.1:{door.getsockname()[1]}"
        program = make_program(HF_ENDPOINT=address, NO_PROXY="127.0.0.1")
        assert program.run("list").code == 0
        choose(program, privacy__offline=True)
        error = check_refusal(program.run("--json", "pull", "maker/Tiny-GGUF"), 4)
        with pytest.raises(TimeoutError):
            door.accept()
    assert "ffline" in error["error"] + error["hint"]


# --- 5: the engine ---


def test_5_b01_the_engine_is_killed_in_mid_reply(program: Program, slow: Path) -> None:
    with program.start("ask", "--model", str(slow), "the sea") as process:
        read_some(process, 40)
        find_engine(process.pid).send_signal(signal.SIGSEGV)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 5
    assert err.decode().count("\n") == 1
    assert "Traceback" not in err.decode()
    reply = program.read_messages()[1]
    assert reply["status"] == "interrupted"
    assert reply["content"]
    assert reply["error"]
    assert program.ask("--max-tokens", "3", "hello")["text"]


def test_5_b07_a_prompt_that_does_not_fit(program: Program, tmp_path: Path) -> None:
    small = write_tiny_gguf(tmp_path / "small.gguf", n_ctx=256)
    error = check_refusal(
        program.run("--json", "ask", "-m", str(small), piped="one word more " * 400), 5
    )
    assert "context" in error["error"] + error["hint"]
    user, reply = program.read_messages()
    assert len(user["content"]) > 5000
    assert (reply["status"], reply["finish_reason"]) == ("failed", "prompt_too_long")


# --- 6: storage ---


def test_6_a_home_that_cannot_be(program: Program, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    program.home = file / "home"
    assert str(file) in check_refusal(program.run("--json", "list"), 6)["error"]


def test_6_conversations_of_a_newer_version_are_not_touched(program: Program) -> None:
    assert program.run("list").code == 0
    with closing(sqlite3.connect(program.database)) as database:
        database.execute("PRAGMA user_version = 999")
    before = program.database.read_bytes()
    for command in (["history"], ["ask", "hi"], ["doctor"]):
        check_refusal(program.run("--json", *command), 6)
    assert program.database.read_bytes() == before


def test_6_c03_a_full_disk_keeps_all_that_was_saved(program: Program, tiny: Path) -> None:
    program.ask("--max-tokens", "3", "kept")
    before = program.read_history()
    # The log that new pages go to may grow to this; the file of the database is not written.
    limit = 70_000

    def limit_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    ended = program.run(
        "--json",
        "ask",
        "-m",
        str(tiny),
        "--max-tokens",
        "400",
        piped="a" * 1000,
        before=limit_files,
    )
    check_refusal(ended, 6)
    history = program.read_history()
    assert [one for one in history if one["title"] == "kept"] == before
    assert program.run("doctor", "--json").read_json()["database"]["integrity"] == "ok"
    assert program.ask("--max-tokens", "3", "and on")["text"]
