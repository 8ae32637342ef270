"""Models of other apps from the terminal: found, used by their names, forgotten; copies."""

import json
from pathlib import Path

import pexpect
import pytest

from inglenook.base.paths import find_asset
from support.models import make_model
from support.neighbours import add_to_lm_studio, add_to_ollama, hash_tree
from support.program import EXECUTABLE, Program


@pytest.fixture
def person(tmp_path: Path) -> Path:
    home = tmp_path / "person"
    params = json.dumps({"num_predict": 4}).encode()
    guide = find_asset("assets", "guide.gguf")
    add_to_ollama(home / ".ollama/models", "llama3:8b", guide, layers=[("params", params)])
    add_to_lm_studio(home / ".lmstudio/models", "a/b/b.gguf", make_model(100_000, 2))
    add_to_lm_studio(home / ".lmstudio/models", "a/b/page.gguf", b"<html>")
    return home


def test_models_of_other_apps_are_found_used_and_forgotten(tmp_path: Path, person: Path) -> None:
    before = hash_tree(person)
    program = Program(tmp_path / "home", HOME=str(person))
    refused = program.run("ask", "--model", "llama3:8b", "hello", "--json")
    assert refused.code == 3
    assert "inglenook adopt llama3:8b" in refused.read_error()["hint"]
    shown = program.run("adopt")
    assert "llama3:8b" in shown.out
    assert "LM Studio" in shown.out
    assert "is a web page" in shown.err
    found = program.run("adopt", "--json").read_json()
    assert [model["app"] for model in found["models"]] == ["ollama", "lm_studio"]
    (used,) = program.run("adopt", "llama3:8b", "--json").read_json()
    assert used["source"] == "ollama"
    answer = program.ask("--model", "llama3:8b", "hello")
    assert answer["model"] == "ollama:llama3:8b"
    assert answer["output_tokens"] <= 4, "as its own values say"
    assert len(program.run("adopt", "--all", "--json").read_json()) == 1
    assert len(program.run("list", "--json").read_json()) == 3
    assert "stays with Ollama" in program.run("rm", "llama3:8b").out
    assert program.run("adopt", "nothing").code == 3
    assert hash_tree(person) == before


def test_run_offers_what_another_app_has(tmp_path: Path, person: Path) -> None:
    program = Program(tmp_path / "home", HOME=str(person))
    terminal = pexpect.spawn(
        str(EXECUTABLE),
        ["run", "llama3:8b", "--home", str(program.home)],
        env=program.env,
        encoding="utf-8",
        timeout=60,
    )
    try:
        terminal.expect(r"Ollama has llama3:8b: [\d.]+ MB\.")
        terminal.expect_exact("Use it from there?")
        terminal.sendline("")
        terminal.expect_exact("llama3:8b. /help")
    finally:
        terminal.close(force=True)
    assert [m["source"] for m in program.run("list", "--json").read_json()] == ["", "ollama"]


def test_copies_moves_and_duplicates(tmp_path: Path, person: Path) -> None:
    program = Program(tmp_path / "home", HOME=str(person))
    file = tmp_path / "mine.gguf"
    file.write_bytes((person / ".lmstudio/models/a/b/b.gguf").read_bytes())
    assert program.run("import", str(file), "--copy", "--move").code == 2
    moved = program.run("import", str(file), "--move", "--json").read_json()
    assert moved["origin"] == "copy"
    assert not file.exists()
    groups = program.run("duplicates", "--json").read_json()["groups"]
    assert [len(group["copies"]) for group in groups] == [2]
    shared = program.run("duplicates", "--share", "--json").read_json()
    assert shared["freed_bytes"] == groups[0]["size_bytes"]
    assert Path(moved["path"]).samefile(person / ".lmstudio/models/a/b/b.gguf")
    theirs = program.run("import", str(person / ".lmstudio/models/a/b/b.gguf"), "--move")
    assert theirs.code == 6
    assert "belongs to LM Studio" in theirs.err
