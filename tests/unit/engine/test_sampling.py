"""How many of the likeliest tokens a draw looks at."""

import pytest

from inglenook.engine.protocol import Sampling
from inglenook.engine.sampling import count_needed


@pytest.mark.parametrize(
    ("sampling", "temperature", "n_needed"),
    [
        (Sampling(), 0.8, 40),
        (Sampling(), 0.0, 1),
        (Sampling(top_k=7), 0.8, 7),
        (Sampling(repeat_penalty=1.1), 0.8, 40 + 64),
        (Sampling(presence_penalty=0.5, repeat_last_n=10), 0.0, 11),
        # These may look at every token.
        (Sampling(top_k=0), 0.8, 0),
        (Sampling(top_k=-1), 0.8, 0),
        (Sampling(top_n_sigma=1.0), 0.8, 0),
        (Sampling(mirostat=2), 0.8, 0),
        (Sampling(repeat_penalty=1.1, repeat_last_n=-1), 0.8, 0),
        # These may lift a token that is far down.
        (Sampling(repeat_penalty=0.9), 0.8, 0),
        (Sampling(frequency_penalty=-0.1), 0.8, 0),
        (Sampling(logit_bias=((5, 1.0),)), 0.0, 0),
        # Looks back on all of the context.
        (Sampling(dry_multiplier=0.8), 0.8, 0),
    ],
)
def test_a_draw_looks_at_the_likeliest(
    sampling: Sampling, temperature: float, n_needed: int
) -> None:
    assert count_needed(sampling, temperature) == n_needed
