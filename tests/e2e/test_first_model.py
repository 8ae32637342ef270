"""A person asks for a model that is not here yet, and talks with it: in the terminal."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pexpect
import pytest

from inglenook.base.paths import find_asset
from inglenook.models.catalogue import load_catalogue
from support.loopback_hub import LoopbackHub
from support.program import EXECUTABLE, Program
from support.tiny_gguf import write_tiny_gguf

NAME = "llama3:8b"
WAIT_S = 60


@pytest.fixture
def at_hub(make_program: Callable[..., Program], tmp_path: Path) -> "Iterator[pexpect.spawn[str]]":
    """`inglenook run` of a catalogue's model in a terminal, the hub on this machine."""
    entry = load_catalogue(find_asset("models.toml")).find(NAME)
    assert entry is not None
    file = write_tiny_gguf(tmp_path / "tiny.gguf", n_ctx=512)
    with LoopbackHub() as hub:
        hub.add_repo(entry.repo, {entry.recommended.pattern.replace("*", ""): file.read_bytes()})
        program = make_program(HF_ENDPOINT=hub.endpoint, NO_PROXY="127.0.0.1")
        terminal = pexpect.spawn(
            str(EXECUTABLE),
            ["run", NAME, "--home", str(program.home)],
            env=program.env,
            encoding="utf-8",
            timeout=WAIT_S,
            dimensions=(40, 160),
        )
        terminal.expect_exact("Download it now? [Y/n]:")
        yield terminal
        terminal.close(force=True)


def test_a_model_of_the_catalogue_is_downloaded_on_the_way_and_answers(
    at_hub: "pexpect.spawn[str]",
) -> None:
    at_hub.sendline("")
    at_hub.expect_exact(">>> ")
    at_hub.sendline("hello there")
    at_hub.expect(r"[\d,]+ tokens · [\d,.]+ tok/s")
    at_hub.expect_exact(">>> ")
    at_hub.sendline("/bye")
    at_hub.expect(pexpect.EOF)
    at_hub.close()
    assert at_hub.exitstatus == 0


def test_nothing_is_downloaded_when_the_answer_is_no(at_hub: "pexpect.spawn[str]") -> None:
    at_hub.sendline("n")
    at_hub.expect(pexpect.EOF)
    at_hub.close()
    assert at_hub.exitstatus == 130
    assert "Traceback" not in str(at_hub.before)
