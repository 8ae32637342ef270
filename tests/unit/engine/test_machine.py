"""How many threads a model gets when nobody chose, and how much memory is free."""

from pathlib import Path

import psutil
import pytest

from inglenook.engine.machine import choose_threads, count_free_bytes


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


def make_groups(root: Path, line: str, files: dict[str, str]) -> Path:
    """A file system in which this process is in a control group."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(line)
    for name, text in files.items():
        path = root / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_H01_the_limit_of_a_control_group_is_seen(tmp_path: Path) -> None:
    root = make_groups(
        tmp_path,
        "0::/user.slice/app.scope\n",
        {
            "user.slice/memory.max": "max\n",
            "user.slice/app.scope/memory.max": "3000000\n",
            "user.slice/app.scope/memory.current": "2500000\n",
            "user.slice/app.scope/memory.stat": "anon 1\ninactive_file 300000\nactive_file 7\n",
        },
    )
    assert count_free_bytes(root) == 800_007


def test_H01_the_tightest_group_above_counts(tmp_path: Path) -> None:
    files = {}
    for group, limit in (("a", 1_000_000), ("a/b", 2_000_000)):
        files[f"{group}/memory.max"] = str(limit)
        files[f"{group}/memory.current"] = "400000"
        files[f"{group}/memory.stat"] = ""
    assert count_free_bytes(make_groups(tmp_path, "0::/a/b\n", files)) == 600_000


def test_H01_older_control_groups_are_seen(tmp_path: Path) -> None:
    root = make_groups(
        tmp_path,
        "5:cpu,cpuacct:/\n4:memory:/docker\n",
        {
            "memory/docker/memory.limit_in_bytes": "5000000",
            "memory/docker/memory.usage_in_bytes": "1000000",
            "memory/docker/memory.stat": "total_inactive_file 500000\ntotal_active_file 0\n",
        },
    )
    assert count_free_bytes(root) == 4_500_000


def test_H01_without_groups_or_with_strange_ones_the_machine_counts(tmp_path: Path) -> None:
    whole = psutil.virtual_memory().total
    assert 0 < count_free_bytes(tmp_path) <= whole
    for i, (line, text) in enumerate(
        (("0::/../..\n", "1"), ("0::/a\n", "many"), ("no group\n", "1"), ("0::/a\n", str(2**63)))
    ):
        root = make_groups(tmp_path / str(i), line, {"a/memory.max": text})
        assert 1_000_000 < count_free_bytes(root) <= whole
    assert count_free_bytes() <= whole
