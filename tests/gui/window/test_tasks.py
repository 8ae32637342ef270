"""Work off the window's thread: where the answers arrive, and what becomes of failures."""

import sys
import threading
from collections.abc import Iterator

import pytest
from PySide6.QtCore import QObject
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from inglenook.base.errors import ModelError, UserError
from inglenook.gui.tasks import Tasks
from support.window import wait_until


@pytest.fixture
def tasks(qapp: QApplication) -> Iterator[Tasks]:
    made = Tasks()
    yield made
    made.close()


def test_work_runs_elsewhere_and_its_answer_comes_here(tasks: Tasks) -> None:
    answers: list[tuple[int, int]] = []
    tasks.run(threading.get_ident, lambda ident: answers.append((ident, threading.get_ident())))
    wait_until(lambda: answers)
    there, here = answers[0]
    assert here == threading.get_ident() != there


def test_an_error_of_the_world_goes_to_failed(tasks: Tasks) -> None:
    seen: list[UserError] = []

    def fail() -> None:
        raise ModelError("no such model", "choose another")

    tasks.run(fail, failed=seen.append)
    wait_until(lambda: seen)
    assert seen[0].hint == "choose another"


def test_an_error_that_nobody_asked_about_is_signalled(tasks: Tasks) -> None:
    seen: list[UserError] = []

    def fail() -> None:
        raise ModelError("no such model")

    tasks.failed.connect(seen.append)
    tasks.run(fail)
    wait_until(lambda: seen)


def test_a_bug_goes_to_the_exception_hook(tasks: Tasks, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[type[BaseException]] = []
    monkeypatch.setattr(sys, "excepthook", lambda kind, *_: seen.append(kind))
    tasks.run(lambda: 1 // 0)
    wait_until(lambda: seen)
    assert seen == [ZeroDivisionError]


def test_ordered_work_keeps_its_order(tasks: Tasks) -> None:
    done: list[int] = []
    for i in range(50):
        tasks.run(lambda i=i: i, done.append, in_order=True)  # type: ignore[misc]
    wait_until(lambda: len(done) == 50)
    assert done == list(range(50))


def test_an_answer_for_a_widget_that_is_gone_is_dropped(tasks: Tasks) -> None:
    owner = QObject()
    held = threading.Event()
    answers: list[object] = []
    tasks.run(held.wait, answers.append, owner=owner)
    import shiboken6

    shiboken6.delete(owner)
    held.set()
    tasks.run(lambda: None, lambda _: answers.append("end"), in_order=True)
    wait_until(lambda: answers)
    QTest.qWait(20)
    assert answers == ["end"]


def test_close_joins_the_threads(qapp: QApplication) -> None:
    tasks = Tasks()
    tasks.run(lambda: None)
    tasks.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("window-")]
