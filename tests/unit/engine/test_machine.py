"""How many threads a model gets when nobody chose."""

import psutil
import pytest

from inglenook.engine.machine import choose_threads


@pytest.fixture(autouse=True)
def eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _pid: set(range(16)), raising=False)
    monkeypatch.setattr("os.cpu_count", lambda: 16)
    monkeypatch.setattr(psutil, "cpu_count", lambda *, logical: 16 if logical else 8)


@pytest.mark.parametrize(
    ("size_bytes", "n_threads"),
    [(0, 1), (2_000_000, 1), (100_000_000, 3), (400_000_000, 8), (40_000_000_000, 8)],
)
def test_small_models_get_few_threads_and_large_ones_a_core_each(
    size_bytes: int, n_threads: int
) -> None:
    assert choose_threads(size_bytes) == n_threads


def test_H02_never_more_than_the_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _pid: {3}, raising=False)
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    assert choose_threads(40_000_000_000) == 1
