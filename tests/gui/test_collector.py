"""Garbage is collected on the window's thread, so that no widget is destroyed on another."""

import gc
import threading
import weakref
from collections.abc import Iterator

import pytest
from PySide6.QtCore import QTimer
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from inglenook.gui.collector import Collector
from support.window import wait_until


@pytest.fixture
def collector(qtbot: QtBot) -> Iterator[Collector]:
    del qtbot
    made = Collector()
    made.start()
    yield made
    made.close()
    assert gc.isenabled()


class Knot:
    """A widget with a running timer in a circle of references: only the collector frees it."""

    def __init__(self) -> None:
        self.widget = QWidget()
        self.timer = QTimer(self.widget)
        self.timer.start(1000)
        self.itself = self


def make_garbage() -> None:
    """What a busy worker leaves: enough for a collection, if it were automatic."""
    for _ in range(200_000):
        circle: list[object] = []
        circle.append(circle)


def test_a_worker_frees_no_widget(collector: Collector) -> None:
    knot = Knot()
    gone = threading.Event()
    freed_on: list[int] = []

    def note() -> None:
        freed_on.append(threading.get_ident())
        gone.set()

    weakref.finalize(knot, note)
    del knot
    worker = threading.Thread(target=make_garbage)
    worker.start()
    worker.join()
    assert not gone.is_set()
    collector._full_at_s = 0.0
    for _ in range(30):
        make_garbage()
        QTest.qWait(1)
    gc.collect()
    wait_until(gone.is_set)
    assert freed_on == [threading.get_ident()]


def test_garbage_does_not_pile_up(collector: Collector) -> None:
    make_garbage()
    wait_until(lambda: gc.get_count()[0] < 5_000)
    assert not gc.isenabled()


def test_started_and_closed_twice_it_leaves_things_as_they_were(collector: Collector) -> None:
    collector.start()
    collector.close()
    collector.close()
    assert gc.isenabled()


def test_a_look_at_everything_waits_while_replies_are_written(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole: list[int] = []
    monkeypatch.setattr(gc, "get_count", lambda: (10_000, 100, 100))
    monkeypatch.setattr(gc, "collect", whole.append)
    collector._full_at_s = -1e9
    collector.set_busy(True)
    collector.collect()
    collector.set_busy(False)
    collector.collect()
    collector.collect()
    assert whole == [1, 2, 1]


def test_what_a_start_leaves_is_not_looked_at(collector: Collector) -> None:
    assert gc.get_freeze_count() > 10_000
    collector.close()
    assert gc.get_freeze_count() == 0
