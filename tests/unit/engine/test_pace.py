"""The choice of threads, on simulated machines with step times measured on a real one."""

import random
from collections.abc import Callable

import pytest

from inglenook.engine.pace import Pace, Paces, list_counts

type StepTime = Callable[[int, float], float]
"""Seconds of a step, by number of threads and time of day in seconds."""

TWO_CORES = {
    "quiet": {1: 0.035, 2: 0.0215},
    "one neighbour": {1: 0.0345, 2: 0.077},
    "two neighbours": {1: 0.057, 2: 0.150},
}
EIGHT_CORES = {
    "quiet": {n: 0.030 / n + 0.002 for n in range(1, 9)},
    "four neighbours": {n: 0.030 / n + 0.002 + 0.02 * max(0, n - 4) for n in range(1, 9)},
    "all busy": {n: 0.030 / n + 0.002 + 0.03 * max(0, n - 1) for n in range(1, 9)},
}


def run(pace: Pace, step_time: StepTime, seconds: float, noise: float = 0.05) -> tuple[int, int]:
    """Steps done in a time, and how often the count in force changed."""
    rng = random.Random(4)
    now, n_steps, n_switches, last = 0.0, 0, 0, pace.chosen
    while now < seconds:
        took = step_time(pace.n_threads, now) * rng.lognormvariate(0.0, noise)
        pace.note(took)
        now += took
        n_steps += 1
        n_switches += pace.chosen != last
        last = pace.chosen
    return n_steps, n_switches


def count_fixed(step_time: StepTime, n_threads: int, seconds: float) -> int:
    now, n_steps = 0.0, 0
    while now < seconds:
        now += step_time(n_threads, now)
        n_steps += 1
    return n_steps


@pytest.mark.parametrize("machine", [TWO_CORES, EIGHT_CORES], ids=["two cores", "eight cores"])
@pytest.mark.parametrize("load", [0, 1, 2])
def test_a_steady_machine_is_near_the_best_fixed_choice(
    machine: dict[str, dict[int, float]], load: int
) -> None:
    times = list(machine.values())[load]

    def step_time(n_threads: int, _now: float) -> float:
        return times[n_threads]

    most = max(times)
    best = max(count_fixed(step_time, n, 120) for n in list_counts(most))
    done, n_switches = run(Pace(list_counts(most)), step_time, 120)
    assert done >= 0.96 * best
    assert n_switches <= len(list_counts(most)) + 2  # it settles, and stays


def test_a_quiet_machine_loses_less_than_three_percent() -> None:
    def step_time(n_threads: int, _now: float) -> float:
        return TWO_CORES["quiet"][n_threads]

    done, n_switches = run(Pace((1, 2)), step_time, 300, noise=0.08)
    assert done >= 0.97 * count_fixed(step_time, 2, 300)
    assert n_switches == 0


def test_where_nothing_changes_fewer_threads_are_not_tried_again_and_again() -> None:
    pace = Pace((1, 2))
    tried = 0
    for _ in range(20_000):
        tried += pace.is_trying
        pace.note(TWO_CORES["quiet"][pace.n_threads])
    assert tried == 1
    for _ in range(200):
        pace.note(TWO_CORES["one neighbour"][pace.n_threads])
    assert pace.chosen == 1


def test_load_that_comes_and_goes_is_followed() -> None:
    """Ten seconds quiet, ten with a neighbour, and so on: near the best choice for each."""

    def step_time(n_threads: int, now: float) -> float:
        load = "quiet" if int(now / 10) % 2 == 0 else "one neighbour"
        return TWO_CORES[load][n_threads]

    def best_time(_n: int, now: float) -> float:
        return min(step_time(1, now), step_time(2, now))

    done, _ = run(Pace((1, 2)), step_time, 200)
    ideal = count_fixed(best_time, 1, 200)
    best_fixed = max(count_fixed(step_time, n, 200) for n in (1, 2))
    assert done >= 0.88 * ideal
    assert done >= 1.05 * best_fixed


def test_more_work_in_a_step_is_no_alarm() -> None:
    pace = Pace((1, 2), n_tried=1, skips_first=False)
    rng = random.Random(1)
    tried = 0
    for _ in range(400):
        work = rng.choice((32, 64, 128, 256))
        tried += pace.is_trying
        pace.note(work * (0.002 if pace.n_threads == 2 else 0.004), work)
    assert pace.chosen == 2
    assert tried < 12


def test_a_chosen_count_stays() -> None:
    paces = Paces(3, None, 8)
    for _ in range(100):
        paces.for_decode(1).note(0.02)
        paces.prefill.note(0.2, 128)
    assert paces.for_decode(1).n_threads == 3
    assert paces.prefill.n_threads == 3


@pytest.mark.parametrize(
    ("most", "counts"),
    [(1, (1,)), (2, (1, 2)), (4, (1, 2, 3, 4)), (8, (1, 2, 3, 4, 5, 6, 7, 8)), (0, (1,))],
)
def test_the_counts_worth_trying(most: int, counts: tuple[int, ...]) -> None:
    assert list_counts(most) == counts
    assert list_counts(64)[-1] == 64
    assert len(list_counts(64)) < 20
