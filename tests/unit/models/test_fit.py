"""The memory arithmetic: verdicts at their borders, sums that are shown."""

import pytest

from inglenook.models.fit import Machine, estimate_kv_bytes, find_machine, judge_fit

GB = 10**9


@pytest.mark.parametrize(
    ("size_gb", "memory_gb", "verdict"),
    [
        (0.8, 8, "fits"),
        (2.5, 8, "fits"),
        (4.9, 8, "tight"),
        (9.0, 8, "too_large"),
        (4.9, 16, "fits"),
        (12.1, 16, "tight"),
        (42.5, 32, "too_large"),
        (42.5, 64, "fits"),
        (0.8, 1, "too_large"),
    ],
)
def test_verdicts(size_gb: float, memory_gb: int, verdict: str) -> None:
    fit = judge_fit(round(size_gb * GB), Machine(memory_gb * GB), kv_bytes=300_000_000)
    assert fit.verdict == verdict, fit.reason


def test_a_graphics_card_that_holds_it_all() -> None:
    fit = judge_fit(9 * GB, Machine(8 * GB, gpu_bytes=24 * GB), kv_bytes=GB)
    assert fit.verdict == "fits"
    assert "graphics card has 24.0 GB" in fit.reason


def test_the_sum_is_shown() -> None:
    fit = judge_fit(5 * GB, Machine(16 * GB), kv_bytes=GB)
    assert fit.reason == (
        "5.0 GB of weights, 1.0 GB of context and 450.0 MB to work with make 6.5 GB; "
        "this machine has 16.0 GB of memory."
    )
    assert fit.needs_bytes == 6_450_000_000


def test_context_is_estimated_where_only_the_size_is_known() -> None:
    assert 20_000 < estimate_kv_bytes(10**9, 1) < 60_000
    assert 90_000 < estimate_kv_bytes(8 * 10**9, 1) < 170_000
    assert 250_000 < estimate_kv_bytes(70 * 10**9, 1) < 450_000
    with_guess = judge_fit(5 * GB, Machine(16 * GB), n_params=8 * GB)
    assert with_guess.needs_bytes > judge_fit(5 * GB, Machine(16 * GB)).needs_bytes


def test_more_memory_never_fits_worse() -> None:
    order = ["too_large", "tight", "fits"]
    for size in range(1, 60, 3):
        verdicts = [
            order.index(judge_fit(size * GB, Machine(m * GB), kv_bytes=GB).verdict)
            for m in range(2, 128, 2)
        ]
        assert verdicts == sorted(verdicts)


def test_this_machine_has_memory() -> None:
    assert find_machine().memory_bytes > 0
