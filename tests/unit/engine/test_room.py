"""The sums on memory: what fits, what is doubtful, what is said."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inglenook.engine.loading.room import (
    MIN_CTX,
    Need,
    describe_bytes,
    is_doubtful,
    refuse_context,
    refuse_weights,
)
from inglenook.engine.protocol import LoadOptions

GB = 10**9
NEED = Need(weights=4 * GB, state=1 * GB, work=GB // 2, n_ctx=8192)


def test_H01_a_shorter_context_takes_less_and_the_weights_stay() -> None:
    assert NEED.count(16_384) > NEED.count(8192) > NEED.count(4096) > NEED.weights
    assert NEED.count(8192) > NEED.weights + NEED.state + NEED.work


def test_H01_the_longest_that_fits_is_found_by_halving() -> None:
    assert NEED.find_fitting(8192, 20 * GB) == 8192
    assert NEED.find_fitting(8192, NEED.count(8192) - 1) == 4096
    assert NEED.find_fitting(8192, NEED.count(1024)) == 1024
    assert NEED.find_fitting(8192, 4 * GB) == 0


@given(
    n_ctx=st.integers(16, 1 << 24),
    free=st.integers(0, 1 << 42),
    need=st.builds(
        Need,
        weights=st.integers(1, 1 << 40),
        state=st.integers(0, 1 << 38),
        work=st.integers(0, 1 << 34),
        n_ctx=st.integers(64, 1 << 17),
    ),
)
def test_H01_what_is_said_to_fit_fits(n_ctx: int, free: int, need: Need) -> None:
    fitting = need.find_fitting(n_ctx, free)
    assert fitting == 0 or (MIN_CTX <= fitting <= n_ctx and need.count(fitting) <= free)


@pytest.mark.parametrize(
    ("size", "options", "free", "expected"),
    [
        (1 * GB, LoadOptions(), 16 * GB, False),
        (8 * GB, LoadOptions(), 16 * GB, True),
        (1 * GB, LoadOptions(n_ctx=131_072), 16 * GB, True),
        (1 * GB, LoadOptions(n_ctx=131_072), 64 * GB, False),
        (2 * GB, LoadOptions(kv_type="f32"), 8 * GB, True),
        (2 * GB, LoadOptions(), 8 * GB, False),
    ],
)
def test_H01_only_a_doubtful_size_is_measured(
    size: int, options: LoadOptions, free: int, expected: bool
) -> None:
    assert is_doubtful(size, options, free) is expected


def test_H01_refusals_say_what_is_needed_and_what_is_there() -> None:
    weights = refuse_weights(NEED, 2 * GB)
    assert weights.code == "out_of_memory"
    assert "2.0 GB are free" in weights.message
    context = refuse_context(NEED, 65_536, 4096, 6 * GB)
    assert context.fitting_n_ctx == 4096
    assert "65,536 tokens" in context.message
    assert "4,096" in context.hint
    assert describe_bytes(12_345_678) == "12 MB"
