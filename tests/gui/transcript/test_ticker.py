"""Ticks of a reply's text: at once, in a pace, and never more than half of the window's time."""

from itertools import pairwise
from time import monotonic, sleep

import pytest
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from inglenook.gui.transcript.ticker import Ticker
from support.window import wait_until

INTERVAL_MS = 20


@pytest.fixture
def ticker(qtbot: QtBot) -> Ticker:
    del qtbot
    return Ticker(INTERVAL_MS)


def test_the_first_tick_comes_at_once_and_the_next_ones_follow(ticker: Ticker) -> None:
    ticks: list[float] = []
    ticker.ticked.connect(ticks.append)
    ticker.start()
    ticker.start()
    assert len(ticks) == 1
    assert ticks[0] >= INTERVAL_MS / 1000
    wait_until(lambda: len(ticks) == 4)
    assert min(ticks) > 0.5 * INTERVAL_MS / 1000


def test_the_window_rests_as_long_as_a_tick_took(ticker: Ticker) -> None:
    begun: list[float] = []
    work_s = 3 * INTERVAL_MS / 1000

    def work(seconds: float) -> None:
        del seconds
        begun.append(monotonic())
        sleep(work_s)

    ticker.ticked.connect(work)
    ticker.start()
    wait_until(lambda: len(begun) == 4)
    gaps = [second - first for first, second in pairwise(begun)]
    assert min(gaps) > 1.9 * work_s


def test_stopped_and_started_it_keeps_its_pace(ticker: Ticker) -> None:
    ticks: list[float] = []
    ticker.ticked.connect(ticks.append)
    ticker.start()
    ticker.stop()
    ticker.start()
    assert len(ticks) == 1
    wait_until(lambda: len(ticks) == 2)
    assert ticks[1] > 0.5 * INTERVAL_MS / 1000
    ticker.stop()
    QTest.qWait(3 * INTERVAL_MS)
    assert len(ticks) == 2


def test_a_tick_may_end_the_ticking(ticker: Ticker) -> None:
    ticks: list[float] = []
    ticker.ticked.connect(ticks.append)
    ticker.ticked.connect(lambda _: ticker.stop())
    ticker.start()
    QTest.qWait(3 * INTERVAL_MS)
    assert len(ticks) == 1
    ticker.start()
    wait_until(lambda: len(ticks) == 2)
