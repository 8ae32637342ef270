"""Fixtures for all tests, and the watch over what a test leaves behind."""

import logging
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from hypothesis import HealthCheck, settings

from inglenook.base.events import EventHub
from inglenook.base.paths import Profile, open_profile
from inglenook.store.store import Store

LEAK_WAIT_S = 3.0
# Nothing is asserted on a clock, and a busy machine is no fault of a test.
settings.register_profile("calm", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("calm")

TOLERATED_THREADS = ("pymonitor", "QThread", "Dummy-", "asyncio_", "ThreadPoolExecutor")


def pytest_configure(config: pytest.Config) -> None:
    # Windows of tests in this process are drawn into memory, with or without a display.
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    config.addinivalue_line("markers", "leaks: the test may leave threads or processes behind")
    config.addinivalue_line("markers", "logs(*parts): the app may log warnings that hold a part")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--times", type=int, default=1, help="run each chosen test so many times")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    times: int = metafunc.config.getoption("--times")
    if times > 1:
        metafunc.fixturenames.append("time_number")
        metafunc.parametrize("time_number", range(times))


@pytest.fixture
def profile(tmp_path: Path) -> Iterator[Profile]:
    """A profile of its own below a temporary folder."""
    mask = os.umask(0o077)
    try:
        yield open_profile(tmp_path / "home")
    finally:
        os.umask(mask)


@pytest.fixture
def store(profile: Profile) -> Iterator[Store]:
    """An open store in the temporary profile."""
    opened = Store.open(profile.database)
    yield opened
    opened.close()


@pytest.fixture
def hub() -> EventHub:
    return EventHub()


@pytest.fixture(autouse=True)
def leave_nothing_behind(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Fail a test that leaves a thread or a child process behind.

    `@pytest.mark.leaks` is for tests about processes that are meant to outlive their parent.
    """
    monkeypatch.delenv("INGLENOOK_HOME", raising=False)
    threads = set(threading.enumerate())
    me = psutil.Process()
    children = {child.pid for child in me.children(recursive=True)}
    yield
    if request.node.get_closest_marker("leaks"):
        return
    leaked = wait_for_leaks(me, threads, children)
    if leaked:
        pytest.fail("left behind: " + ", ".join(leaked))


def wait_for_leaks(me: psutil.Process, threads: set[threading.Thread], pids: set[int]) -> list[str]:
    """What is still there that was not there before, once it has had time to end."""
    deadline = time.monotonic() + LEAK_WAIT_S
    while True:
        leaked = [
            f"thread {thread.name}"
            for thread in set(threading.enumerate()) - threads
            if thread.is_alive() and not thread.name.startswith(TOLERATED_THREADS)
        ]
        leaked += [
            f"process {child.pid}"
            for child in me.children(recursive=True)
            if child.pid not in pids and child.status() != psutil.STATUS_ZOMBIE
        ]
        if not leaked or time.monotonic() > deadline:
            return leaked
        time.sleep(0.02)


class WarningCollector(logging.Handler):
    """Collects what the app's own code logs from warnings on."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{record.levelname} {record.name}: {record.getMessage()}")


@pytest.fixture(autouse=True)
def no_unexpected_warnings(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test in which the app logs a warning that `@pytest.mark.logs("part")` does not name.

    A mark without words allows all.
    """
    collector = WarningCollector()
    logger = logging.getLogger("inglenook")
    logger.addHandler(collector)
    yield
    logger.removeHandler(collector)
    allowed: tuple[str, ...] = ()
    for mark in request.node.iter_markers("logs"):
        allowed += mark.args or ("",)
    unexpected = [line for line in collector.lines if not any(part in line for part in allowed)]
    if unexpected:
        pytest.fail("unexpected in the log: " + "; ".join(unexpected[:5]))
