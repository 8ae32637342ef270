"""`inglenook predict`: installed models and files on the hub, for people and for scripts."""

import json
from pathlib import Path

import pytest

from inglenook.engine.measuring.sample_gguf import SampleShape, make_sample
from support.loopback_hub import LoopbackHub
from support.program import Program
from support.rates import write_rates


@pytest.fixture
def measured(program: Program) -> Program:
    """A profile whose machine was measured."""
    write_rates(program.home)
    return program


def test_the_built_in_model_with_its_arithmetic(measured: Program) -> None:
    ended = measured.run("predict", "guide")
    assert ended.code == 0, ended.err
    assert ended.out.startswith("Inglenook Guide\n")
    assert "of weights" in ended.out
    assert "tokens per second when it writes" in ended.out


def test_the_list_says_what_is_predicted_and_then_what_was_measured(measured: Program) -> None:
    (guide,) = measured.run("list", "--json").read_json()
    assert guide["speed"]["is_measured"] is False
    assert "~" in measured.run("list").out
    measured.ask("--max-tokens", "40", "What is a token?")
    (guide,) = measured.run("list", "--json").read_json()
    assert guide["speed"]["is_measured"] is True
    assert guide["speed"]["write_tps"] > 0
    assert "tok/s" in measured.run("list").out


def test_json_has_every_part(measured: Program) -> None:
    ended = measured.run("predict", "guide", "--json")
    (told,) = json.loads(ended.out)
    assert told["where"] == "memory"
    assert told["needs_bytes"] == sum(told["memory"].values())
    assert told["write_tps"] > 0
    assert told["measured"] is None
    assert told["explanation"]


def test_a_file_on_the_hub_is_told_of_without_a_download(measured: Program, tmp_path: Path) -> None:
    path = tmp_path / "sample-Q8_0.gguf"
    make_sample(SampleShape(4, 256, 512, 4, 2, 64, 4000), "Q8_0").write(path)
    with LoopbackHub() as hub:
        hub.add_repo("maker/Sample-GGUF", {path.name: path.read_bytes()})
        measured.env |= {"HF_ENDPOINT": hub.endpoint, "NO_PROXY": "127.0.0.1"}
        ended = measured.run("predict", "maker/Sample-GGUF", "--ctx", "1024", "--json")
        assert ended.code == 0, ended.err
        (told,) = json.loads(ended.out)
        assert told["n_ctx"] == 1024
        assert told["n_layers"] == 4
        assert not told["is_guess"]
        assert hub.bytes_served < 300_000


def test_a_name_that_means_nothing_is_refused(measured: Program) -> None:
    ended = measured.run("predict", "no-such-model")
    assert ended.code != 0
    assert "no-such-model" in ended.err
    assert "Traceback" not in ended.err
