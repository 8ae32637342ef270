"""The stall recorder: measures blocks of the window's thread and names their place."""

import time
from collections.abc import Iterator

import pytest
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from inglenook.gui.stall import LIMIT_S, StallRecorder


@pytest.fixture
def recorder(qapp: QApplication) -> Iterator[StallRecorder]:
    made = StallRecorder()
    made.set_busy(True)
    QTest.qWait(60)
    made.reset()
    yield made
    made.close()


def test_a_block_is_recorded_with_its_length(recorder: StallRecorder) -> None:
    time.sleep(0.2)
    QTest.qWait(60)
    assert 0.15 < recorder.longest.length_s < 5.0
    assert recorder.n_stalls >= 1


def test_the_place_of_a_block_in_our_code_is_named(
    recorder: StallRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    from inglenook.gui import formats

    monkeypatch.setattr(formats, "slow", time.sleep, raising=False)
    code = "def block_here(): slow(0.25)"
    exec(compile(code, "formats.py", "exec"), formats.__dict__)
    formats.__dict__["block_here"]()
    QTest.qWait(60)
    assert "inglenook.gui.formats" in recorder.longest.place
    assert "block_here" in recorder.longest.place
    del formats.__dict__["block_here"]


def test_an_idle_loop_has_no_block_to_tell_of(recorder: StallRecorder) -> None:
    QTest.qWait(200)
    assert recorder.longest.length_s == 0.0 or recorder.longest.length_s > LIMIT_S


def test_it_rests_when_the_app_is_not_in_use(recorder: StallRecorder) -> None:
    recorder.set_busy(False)
    recorder.reset()
    time.sleep(0.15)
    QTest.qWait(40)
    if QApplication.applicationState().value != 4:
        assert recorder.n_stalls == 0
