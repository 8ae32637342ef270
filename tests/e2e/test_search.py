"""`inglenook search` and `inglenook token` against a hub of a hundred repositories."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.crowded_hub import fill_hub
from support.loopback_hub import Answer, LoopbackHub
from support.models import make_model
from support.program import Program, read_modes

TOKEN = "hf_canary_0123456789"
CLOSED = "bartowski/Llama-3.2-0.6B-Instruct-GGUF"


@pytest.fixture
def hub() -> Iterator[LoopbackHub]:
    with LoopbackHub() as opened:
        fill_hub(opened, data=make_model(200_000))
        opened.repos[CLOSED].gated = "manual"
        yield opened


@pytest.fixture
def program(make_program: Callable[..., Program], hub: LoopbackHub) -> Program:
    return make_program(
        HF_ENDPOINT=hub.endpoint,
        NO_PROXY="127.0.0.1",
        INGLENOOK_LOG="debug",
        PYTHON_KEYRING_BACKEND="keyring.backends.fail.Keyring",
    )


def test_words_filters_and_order(program: Program, hub: LoopbackHub) -> None:
    found = program.run("search", "qwen3", "--sort", "downloads", "--limit", "70", "--json")
    body = found.read_json()
    downloads = [one["downloads"] for one in body["results"]]
    assert len(downloads) == 20
    assert downloads == sorted(downloads, reverse=True)
    assert all("qwen3" in one["name"].lower().replace(" ", "") for one in body["suggested"])
    many = program.run("search", "--limit", "70", "--json").read_json()
    assert len(many["results"]) == 70
    assert many["suggested"] == []
    shown = program.run("search", "gemma", "--can", "vision", "--max", "5")
    assert "ON THE HUB" in shown.out
    assert "32B" not in shown.out
    assert "inglenook pull" in shown.err
    assert "needs access" in program.run("search", "Llama-3.2-0.6B", "--by", "bartowski").out
    assert "No GGUF model" in program.run("search", "purple elephants").out
    assert program.run("search", "--sort", "magic").code == 2


def test_what_was_found_can_be_pulled(program: Program) -> None:
    found = program.run("search", "phi-4-4b", "--json").read_json()["results"][0]
    model = program.run("pull", found["repo"], "--json").read_json()
    models = model if isinstance(model, list) else [model]
    assert models[0]["repo"] == found["repo"]


def test_without_a_hub_the_list_is_searched(program: Program, hub: LoopbackHub) -> None:
    hub.faults.api.append(Answer(429, {"Retry-After": "30"}))
    found = program.run("search", "qwen3")
    assert found.code == 4
    assert "SUGGESTED" in found.out
    assert "in 30 seconds" in found.err
    program.run("settings", "privacy.offline", "yes")
    offline = program.run("search", "qwen3")
    assert offline.code == 4
    assert "SUGGESTED" in offline.out
    assert "works offline" in offline.err
    assert len(hub.list_requests()) == 1


def test_D11_a_token_opens_a_closed_model_and_is_nowhere_to_be_read(
    program: Program, hub: LoopbackHub, tmp_path: Path
) -> None:
    refused = program.run("pull", CLOSED, "--json")
    assert refused.code == 4
    assert refused.read_error()["code"] == "gated"
    hub.tokens[TOKEN] = {CLOSED}
    kept = program.run("token", piped=TOKEN + "\n")
    assert (kept.code, TOKEN in kept.out + kept.err) == (0, False)
    assert "somebody" in kept.out
    assert program.run("pull", CLOSED).code == 0
    assert TOKEN not in program.run("settings", "--json").out
    modes = read_modes(program.home)
    holders = {
        str(path.relative_to(program.home))
        for path in program.home.rglob("*")
        if path.is_file() and TOKEN.encode() in path.read_bytes()
    }
    assert holders == {"data/hub-token.json"}
    assert modes["data/hub-token.json"] == 0o600
    assert all("authorization" not in headers for _, _, headers in hub.list_requests("store"))
    assert program.run("token", "--forget").code == 0
    assert not (program.home / "data" / "hub-token.json").exists()
    assert program.run("token", piped="\n").code == 2
    assert program.run("token", piped="hf_not_known_there\n").code == 4
