"""`inglenook bench` on the built-in model, made small: every figure, and nothing is kept."""

from pathlib import Path

from support.program import Program

SMALL = ("--prompt-tokens", "320", "--reply-tokens", "6", "--rounds", "1")
KEYS = ["read_long", "write", "write_together", "follow_up", "restart"]


def test_bench_measures_the_built_in_model(program: Program) -> None:
    ended = program.run("bench", *SMALL)
    assert ended.code == 0, ended.err
    head, *rest = ended.out.splitlines()
    assert head.startswith("Inglenook Guide: ")
    assert "on CPU" in head or "on GPU" in head
    for words in (
        "reading a prompt of 320 tokens",
        "writing a reply of 6 tokens",
        "writing four replies at once",
        "first word, next turn after 320 tokens",
        "first word, the same after a restart",
        "four at once: ",
    ):
        assert any(line.startswith(words) for line in rest), words


def test_bench_json_has_every_figure(program: Program) -> None:
    ended = program.run("bench", "--json", "builtin/guide", *SMALL)
    assert ended.code == 0, ended.err
    report = ended.read_json()
    assert report["model"]["model_id"] == "builtin/guide"
    assert report["machine"]["cores_logical"] > 0
    assert report["machine"]["busy_percent"] >= 0
    assert [figure["key"] for figure in report["figures"]] == KEYS
    for figure in report["figures"]:
        assert figure["median"] > 0, figure
        assert figure["unit"] in {"tokens/s", "s"}


def test_bench_leaves_no_conversation_and_no_memory_behind(program: Program) -> None:
    assert program.run("bench", *SMALL).code == 0
    assert program.read_history() == []
    assert not list((program.home / "cache").rglob("*.kv"))


def test_bench_of_a_model_that_is_not_there_is_refused(program: Program) -> None:
    ended = program.run("bench", "--json", "no-such-model")
    assert ended.code == 3
    assert ended.read_error()["code"] == "unknown_model"


def test_bench_says_when_a_program_is_no_llama_bench(program: Program, tmp_path: Path) -> None:
    ended = program.run("bench", *SMALL, "--llama-bench", str(tmp_path / "none"))
    assert ended.code == 2
    assert "llama-bench" in ended.err
