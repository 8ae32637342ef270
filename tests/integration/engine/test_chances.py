"""Log-probabilities: each drawn token once, in order, as the model's own softmax has them."""

import math
from pathlib import Path

import pytest

from inglenook.engine.local import LocalEngine
from inglenook.engine.protocol import (
    DrawnToken,
    Failed,
    Generate,
    Load,
    PromptMessage,
    Sampling,
    Text,
)
from support.recorder import Recorder

_ASKED = (PromptMessage("user", "What is a token?"),)


def _ask(local: LocalEngine, path: Path, command: Generate) -> None:
    local.submit(Load(model_id="m", path=str(path)))
    local.submit(command)


def _list_drawn(recorder: Recorder, run_id: str = "r") -> list[DrawnToken]:
    return [
        token
        for text in recorder.events
        if isinstance(text, Text) and text.run_id == run_id
        for token in text.tokens
    ]


def test_each_drawn_token_is_told_once_in_order_with_its_rivals(
    local: LocalEngine, recorder: Recorder, guide: Path
) -> None:
    _ask(
        local,
        guide,
        Generate(
            run_id="r",
            messages=_ASKED,
            sampling=Sampling(temperature=0.0),
            max_tokens=24,
            n_alternatives=5,
        ),
    )
    finished = recorder.wait_for_end("r")
    drawn = _list_drawn(recorder)
    assert len(drawn) == finished.usage.output_tokens
    assert b"".join(token.chosen.piece for token in drawn).decode() == recorder.read_text("r")
    for token in drawn:
        assert len(token.alternatives) == 5
        logs = [token.chosen.log_probability, *(a.log_probability for a in token.alternatives)]
        assert logs == sorted(logs, reverse=True)  # Greedy takes the likeliest.
        assert sum(map(math.exp, logs)) <= 1.0 + 1e-4
        assert token.chosen.token not in [a.token for a in token.alternatives]


def test_tokens_whose_text_is_held_back_are_told_too(
    local: LocalEngine, recorder: Recorder, tiny: Path
) -> None:
    # Random weights: many pieces are no whole characters, and the last ones are never shown.
    _ask(
        local,
        tiny,
        Generate(
            run_id="r",
            messages=_ASKED,
            sampling=Sampling(temperature=5.0, top_k=0, top_p=1.0, min_p=0.0, seed=3),
            max_tokens=200,
            n_alternatives=0,
            stop=("zzzzzzzz",),
        ),
    )
    finished = recorder.wait_for_end("r")
    drawn = _list_drawn(recorder)
    assert len(drawn) == finished.usage.output_tokens > 50
    assert all(token.alternatives == () for token in drawn)
    assert all(token.chosen.log_probability <= 0.0 for token in drawn)


def test_without_the_wish_no_tokens_are_told(
    local: LocalEngine, recorder: Recorder, tiny: Path
) -> None:
    _ask(local, tiny, Generate(run_id="r", messages=_ASKED, max_tokens=8))
    recorder.wait_for_end("r")
    assert _list_drawn(recorder) == []


@pytest.mark.parametrize("n_alternatives", [-1, 21, 2**31])
def test_b04_a_number_of_alternatives_out_of_range_is_refused(
    local: LocalEngine, recorder: Recorder, tiny: Path, n_alternatives: int
) -> None:
    _ask(local, tiny, Generate(run_id="r", messages=_ASKED, n_alternatives=n_alternatives))
    failed = recorder.wait_for_end("r")
    assert isinstance(failed, Failed)
    assert failed.code == "bad_request"
    assert "from 0 to 20" in failed.message
