"""What scripts may lean on: the commands of the installed program, what they print and return."""

import json
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.program import Program, find_engine, interrupt, read_some, wait_until_gone

REPLY_TYPES: dict[str, type | tuple[type, ...]] = {
    "text": str,
    "model": str,
    "finish_reason": str,
    "prompt_tokens": int,
    "cached_tokens": int,
    "output_tokens": int,
    "ttft_s": float,
    "prefill_tps": float,
    "decode_tps": float,
}


def test_a_reply_obeys_a_schema_or_a_grammar(program: Program, tmp_path: Path) -> None:
    schema = {
        "type": "object",
        "properties": {"word": {"type": "string", "maxLength": 9}, "kind": {"enum": ["a", "b"]}},
        "required": ["word", "kind"],
    }
    ended = program.run("ask", "--json-schema", json.dumps(schema), "what is a token?")
    assert ended.code == 0, ended.err
    assert json.loads(ended.out)["kind"] in {"a", "b"}
    file = tmp_path / "yes.gbnf"
    file.write_text('root ::= "yes" | "no"\n')
    ended = program.run("ask", "--grammar", str(file), "is it?")
    assert (ended.code, ended.out.strip() in {"yes", "no"}) == (0, True)
    file.write_text('root ::= "yes" | other\n')
    ended = program.run("ask", "--grammar", str(file), "is it?")
    assert ended.code == 2
    assert 'rule "root" uses "other"' in ended.err


def test_drafts_are_printed_one_after_the_other(program: Program, steady: Path) -> None:
    arguments = ("ask", "--model", str(steady), "--max-tokens", "8", "--drafts", "3")
    ended = program.run(*arguments, "the sea")
    assert ended.code == 0, ended.err
    reply = "aa ab ac ad ae af ag ah"
    shown = [line.strip() for line in ended.out.splitlines()]
    assert shown == [
        "--- draft 1 of 3 ---", reply, "--- draft 2 of 3 ---", reply, "--- draft 3 of 3 ---", reply,
    ]  # fmt: skip
    told = program.run(*arguments, "--json", "--seed", "5", "the hills").read_json()
    assert [one["text"].strip() for one in told] == [reply] * 3
    assert [one["seed"] for one in told] == [5, 6, 7]
    assert len({one["conversation_id"] for one in told}) == 1
    refused = program.run(*arguments, "--temperature", "0", "the sea")
    assert (refused.code, refused.out) == (2, "")
    assert "alike" in refused.err


def test_ask_json_has_the_promised_keys_and_types(program: Program) -> None:
    reply = program.ask("how do I add a bigger model?")
    for key, kind in REPLY_TYPES.items():
        assert isinstance(reply[key], kind), key
    assert reply["model"] == "builtin/guide"
    assert reply["finish_reason"] in {"stop", "length"}
    assert reply["text"].strip()
    assert reply["prompt_tokens"] > 0
    assert reply["cached_tokens"] == 0
    assert reply["output_tokens"] > 0
    assert 0 < reply["ttft_s"] < 60
    assert reply["prefill_tps"] > 0
    assert reply["decode_tps"] > 0


def test_the_guide_tells_the_way_to_bigger_models(program: Program) -> None:
    text = program.ask("--temperature", "0", "how do I add a bigger model?")["text"]
    assert "Models" in text or "Ctrl+M" in text


def test_text_goes_to_stdout_and_nothing_else_does(program: Program) -> None:
    plain = program.run("ask", "--temperature", "0", "--max-tokens", "12", "what is a token?")
    assert plain.code == 0
    assert plain.err == ""
    (_, reply) = program.read_messages()
    assert plain.out == reply["content"] + "\n"


def test_max_tokens_is_exact_and_told(program: Program, tiny: Path) -> None:
    reply = program.ask("--model", str(tiny), "--max-tokens", "7", "the sea")
    assert reply["output_tokens"] == 7
    assert reply["finish_reason"] == "length"


def test_greedy_and_seeded_replies_come_again(program: Program, tiny: Path) -> None:
    def ask(*options: str) -> str:
        text: str = program.ask("--model", str(tiny), "--max-tokens", "24", *options, "sea")["text"]
        return text

    assert ask("--temperature", "0", "--seed", "1") == ask("--temperature", "0", "--seed", "2")
    seeded = ask("--temperature", "1.5", "--seed", "7")
    assert seeded == ask("--temperature", "1.5", "--seed", "7")
    assert seeded != ask("--temperature", "1.5", "--seed", "8")


def test_a_pipe_belongs_to_the_question(program: Program) -> None:
    ended = program.run("ask", "--max-tokens", "3", "Explain:", piped="tokens per second\n")
    assert ended.code == 0
    assert program.read_messages()[0]["content"] == "Explain:\n\ntokens per second"


def test_a_pipe_may_be_the_whole_question(program: Program) -> None:
    ended = program.run("ask", "--json", "--max-tokens", "3", piped="hej \u2192 \U0001f525\n")
    assert ended.code == 0
    assert program.read_messages()[0]["content"] == "hej \u2192 \U0001f525"


def test_the_reply_is_streamed(program: Program, slow: Path) -> None:
    with program.start("ask", "--model", str(slow), "--max-tokens", "4000", "sea") as process:
        read_some(process, 40)
        assert process.poll() is None, "the first words came only with the last"
        interrupt(process)
        assert process.wait(20) == 130


def test_a_reader_that_leaves_is_no_error(program: Program, slow: Path) -> None:
    command = program.make_command("ask", "--model", str(slow), "--max-tokens", "3000", "sea")
    done = subprocess.run(
        ["bash", "-c", 'set -o pipefail; "$@" | head -c 20', "bash", *command],
        env=program.env,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
    )
    assert done.returncode == 0
    assert len(done.stdout) == 20
    assert done.stderr == b""
    assert program.read_messages()[1]["status"] == "stopped"


def test_ctrl_c_keeps_what_was_written(program: Program, slow: Path) -> None:
    with program.start("ask", "--model", str(slow), "the", "sea") as process:
        shown = read_some(process, 30)
        interrupt(process)
        rest, err = process.communicate(timeout=20)
        assert process.returncode == 130
        assert b"Traceback" not in err
    user, reply = program.read_messages()
    assert user["content"] == "the sea"
    assert reply["status"] == "stopped"
    assert reply["finish_reason"] == "cancelled"
    assert (shown + rest).decode().rstrip("\n") == reply["content"].rstrip("\n")
    assert reply["statistics"]["output_tokens"] > 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_G01_a_signal_ends_it_in_order(
    program: Program, slow: Path, number: signal.Signals
) -> None:
    with program.start("ask", "--model", str(slow), "the sea") as process:
        read_some(process, 30)
        engine = find_engine(process.pid)
        process.send_signal(number)
        assert process.wait(3) == 128 + number
        assert process.stderr is not None
        assert process.stderr.read() == b""
        wait_until_gone([engine], 2)
    assert program.read_messages()[1]["status"] == "stopped"


def test_history_gives_the_tree(program: Program) -> None:
    program.ask("--max-tokens", "5", "what is a token?")
    program.ask("--max-tokens", "5", "what is a prompt?")
    newest, oldest = program.read_history()
    assert (newest["title"], oldest["title"]) == ("what is a prompt?", "what is a token?")
    user, reply = oldest["messages"]
    assert (user["role"], reply["role"]) == ("user", "assistant")
    assert (user["status"], reply["status"]) == ("complete", "complete")
    assert user["parent_id"] is None
    assert reply["parent_id"] == user["id"]
    assert reply["statistics"]["output_tokens"] <= 5
    assert reply["statistics"]["decode_tps"] > 0

    table = program.run("history").out
    assert "what is a token?" in table
    found = program.run("history", "--search", "prompt", "--json").read_json()
    assert [one["id"] for one in found] == [newest["id"]]
    whole = program.run("history", oldest["id"][:8])
    assert whole.out.startswith("You:\nwhat is a token?\n\nInglenook Guide:\n")
    unknown = program.run("history", "ffffffff0")
    assert unknown.code == 2
    assert "ffffffff0" in unknown.err


def test_history_beside_a_live_reply_leaves_it_alone(program: Program, slow: Path) -> None:
    with program.start("ask", "--model", str(slow), "the sea") as process:
        read_some(process, 30)
        assert program.read_messages()[1]["status"] == "streaming"
        assert program.ask("--max-tokens", "3", "hello")["output_tokens"] <= 3
        interrupt(process)
        assert process.wait(20) == 130
    statuses = {c["title"]: c["messages"][1]["status"] for c in program.read_history()}
    assert statuses == {"the sea": "stopped", "hello": "complete"}


def test_doctor_tells_where_everything_is(program: Program) -> None:
    report: dict[str, Any] = program.run("doctor", "--json").read_json()
    assert report["paths"]["database"] == str(program.database)
    assert report["paths"]["models"] == str(program.home / "models")
    assert "CPU" in report["engine"]["backend"]
    assert report["engine"]["devices"][0]["name"]
    assert report["engine"]["problem"] == ""
    assert report["engine"]["loaded"]["model_id"] == "builtin/guide"
    assert {"inglenook", "python", "llama-cpp-python"} <= report["versions"].keys()
    assert report["database"]["integrity"] == "ok"
    shown = program.run("doctor")
    assert shown.code == 0
    assert str(program.database) in shown.out
    assert "the guide runs on" in shown.out


def test_import_list_use_and_forget(program: Program, tiny: Path) -> None:
    imported = program.run("import", str(tiny), "--json").read_json()
    assert imported["path"] == str(tiny)
    listed = program.run("list", "--json").read_json()
    assert [model["id"] for model in listed] == ["builtin/guide", imported["id"]]
    assert "tiny" in program.run("list").out
    assert program.ask("--model", "tiny", "--max-tokens", "3", "x")["model"] == imported["id"]
    removed = program.run("rm", "tiny")
    assert removed.code == 0
    assert str(tiny) in removed.out
    assert tiny.exists(), "an imported file is the person's own"
    assert len(program.run("list", "--json").read_json()) == 1


def test_the_models_move_to_another_folder_and_answer_there(program: Program, tiny: Path) -> None:
    imported = program.run("import", "--copy", str(tiny), "--json").read_json()
    assert program.run("models-folder").out.strip().endswith(str(program.home / "models"))
    disk = program.home.parent / "disk"
    moved = program.run("models-folder", str(disk))
    assert moved.out.strip() == f"The models are now in {disk}"
    assert program.run("doctor", "--json").read_json()["paths"]["models"] == str(disk)
    listed = program.run("list", "--json").read_json()
    assert {m["id"]: m["path"] for m in listed}[imported["id"]].startswith(str(disk))
    answer = program.ask("--model", imported["id"], "--max-tokens", "3", "x")
    assert answer["model"] == imported["id"]
    refused = program.run("models-folder", str(disk / "inner"), "--json")
    assert refused.code == 6
    assert "inside" in refused.read_error()["error"]


def test_a_model_is_shown_verified_and_found_again(program: Program, tiny: Path) -> None:
    mine = program.home / "mine" / "tiny.gguf"
    mine.parent.mkdir(parents=True)
    shutil.copy(tiny, mine)
    imported = program.run("import", str(mine), "--json").read_json()
    assert program.run("show", "tiny", "--json").read_json()["general.architecture"] == "llama"
    assert "general.architecture" in program.run("show", "tiny").out
    assert program.run("verify", "tiny", "--json").read_json()["outcome"] == "remembered"
    moved = program.home / "models" / "moved.gguf"
    moved.parent.mkdir(parents=True, exist_ok=True)
    mine.rename(moved)
    assert program.run("verify", "tiny", "--json").read_json()["outcome"] == "intact"
    (_, listed) = program.run("list", "--json").read_json()
    assert (listed["id"], listed["path"]) == (imported["id"], str(moved))
    data = bytearray(moved.read_bytes())
    data[-1] ^= 1
    moved.write_bytes(data)
    damaged = program.run("verify", "tiny")
    assert damaged.code == 3
    assert "damaged" in damaged.out


def test_the_guide_cannot_be_removed(program: Program) -> None:
    refused = program.run("rm", "guide")
    assert refused.code == 3
    assert program.ask("--max-tokens", "3", "hello")["text"]


def test_home_may_be_anywhere_and_flags_too(tmp_path: Path) -> None:
    program = Program(tmp_path / "ein Ordner mit \u00dcmlaut" / "tief")
    ended = program.run("--json", "ask", "--max-tokens", "3", "hello")
    assert ended.code == 0, ended.err
    assert program.database.exists()
    assert ended.read_json()["output_tokens"] <= 3


def test_help_and_version_name_every_command(program: Program) -> None:
    shown = program.run("--help").out
    for name in (
        "run",
        "ask",
        "list",
        "pull",
        "updates",
        "rm",
        "import",
        "history",
        "settings",
        "doctor",
    ):
        assert f"\n  {name} " in shown
        assert program.run(name, "--help").code == 0
    assert program.run("--version").out.startswith("inglenook ")


def test_json_never_mixes_with_prose(program: Program, tiny: Path) -> None:
    for command in (["list"], ["history"], ["doctor"], ["import", str(tiny)], ["rm", "tiny"]):
        json.loads(program.run(*command, "--json").out)


def test_without_a_display_the_terminal_is_offered(program: Program) -> None:
    ended = program.run()
    assert ended.code == 2
    assert "inglenook run" in ended.err


def test_G09_a_display_that_does_not_answer_is_told_in_a_sentence(
    make_program: Callable[..., Program],
) -> None:
    ended = make_program(DISPLAY=":98765").run()
    assert ended.code == 2
    assert ended.err.startswith("There is no display to open a window on.")
