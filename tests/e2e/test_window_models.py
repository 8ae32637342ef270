"""A newcomer in a real window: searches a hub of a hundred repositories, talks three clicks later.

The hub is on this machine; everything else is as a person has it.
"""

import hashlib
from collections.abc import Callable, Iterator

import pytest

from inglenook.base.paths import find_asset
from inglenook.gui.theme import LIGHT
from support.crowded_hub import fill_hub
from support.desktop import Desktop
from support.loopback_hub import LoopbackHub
from support.program import Program
from support.screen import Area, find_colour
from support.stored import open_stored
from support.waiting import wait_for

REPO = "maker/Newcomers-Guide-GGUF"
FILE = "newcomers-guide-Q8_0.gguf"
QUESTION = "how do I add a bigger model?"
MODELS = (60, 713)
"""The sidebar's entry, in a window of the size that it first has."""
PAGE = Area(274, 60, 890, 724)
"""What it lists, without the field above, whose caret blinks."""
RESULT = Area(1030, 165, 140, 50)
"""The end of the first result, where nothing of the catalogue stands above it."""
VERDICT = Area(900, 165, 150, 30)
"""Before it: whether the model fits this machine."""


@pytest.fixture
def hub() -> Iterator[LoopbackHub]:
    with LoopbackHub() as opened:
        fill_hub(opened)
        data = find_asset("assets", "guide.gguf").read_bytes()
        opened.add_repo(REPO, {FILE: data}, gguf={"total": 7_000_000, "architecture": "llama"},
                        card="# A guide for newcomers")  # fmt: skip
        yield opened


def test_three_clicks_from_a_search_to_an_answer(
    make_program: Callable[..., Program], desktop: Desktop, hub: LoopbackHub
) -> None:
    program = make_program(**desktop.env, HF_ENDPOINT=hub.endpoint, NO_PROXY="127.0.0.1")
    with desktop.open(program) as window:
        window.wait_for_lamp(LIGHT.moss)
        window.wait_until_still()

        desktop.click(*MODELS)  # one
        window.wait_until_still(PAGE)
        assert hub.list_requests() == [], "nothing is asked before somebody types"
        desktop.type("newcomers guide")
        wait_for(lambda: find_colour(window.look(VERDICT), LIGHT.moss_tint), "it fits")
        window.wait_until_still(PAGE)

        desktop.click(*RESULT.middle)  # two
        wait_for(lambda: find_colour(window.look(RESULT), LIGHT.ember), "it can be used")
        path = program.home / "models" / REPO / FILE
        wanted = hashlib.sha256(hub.repos[REPO].files[FILE]).hexdigest()
        assert hashlib.sha256(path.read_bytes()).hexdigest() == wanted

        desktop.click(*RESULT.middle)  # three
        window.wait_for_lamp(LIGHT.moss)
        window.wait_until_still()
        window.ask(QUESTION)
        with open_stored(program.database) as stored:
            reply = stored.wait_for_status(QUESTION, "complete")
        assert "Models" in reply.text or "Ctrl+M" in reply.text
        window.close_politely()
    (question, answer) = program.read_messages()
    assert question["content"] == QUESTION
    assert answer["model_id"] == f"{REPO}/{FILE}"
