"""How long a list of 500 search results takes until it is seen, and what blocks the window.

    pytest tests/bench/test_discover.py -m bench -s

The real window with the real client against a hub on this machine; the peer is Qt's own list view
over as many plain texts, in the same window and run. Prints medians and ratios of the
window thread's processor time; asserts nothing on time.
"""

import os
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QObject, QStringListModel, QTimer
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QListView, QWidget

from inglenook.gui.models_page import ModelsPage
from support.crowded_hub import fill_hub
from support.figures import format_table, median_ratio, milliseconds
from support.loopback_hub import LoopbackHub
from support.window import open_window, wait_until

N_RESULTS = 500
N_ROUNDS = 9


class Heart(QObject):
    """Beats whenever the window's thread is free; keeps the most work it did between two beats.

    Processor time of that thread: what else runs on the machine does not count.
    """

    def __init__(self) -> None:
        super().__init__()
        self.longest_s = 0.0
        self._last = time.thread_time()
        self._timer = QTimer(self, interval=0)
        self._timer.timeout.connect(self._beat)
        self._timer.start()

    def _beat(self) -> None:
        now = time.thread_time()
        self.longest_s = max(self.longest_s, now - self._last)
        self._last = now

    def take(self) -> float:
        """The longest block since the last time, in processor seconds."""
        longest, self.longest_s = self.longest_s, 0.0
        self._last = time.thread_time()
        return longest


def paint(widget: QWidget, change: Callable[[], object]) -> float:
    """Processor seconds from a change until it is painted."""
    began = time.thread_time()
    change()
    widget.repaint()
    return time.thread_time() - began


@pytest.fixture
def page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, qapp: QApplication
) -> Iterator[ModelsPage]:
    with LoopbackHub() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        fill_hub(hub, N_RESULTS)
        with open_window(tmp_path / "home") as kit:
            kit.window.show_models()
            page = kit.window._models_page
            assert page is not None
            wait_until(lambda: len(page.discover.cards()) == len(kit.app.catalogue.entries))
            QTest.qWait(500)
            yield page


def open_page(home: Path) -> tuple[float, float]:
    """Seconds until the models page is painted for the first time, and the longest block after."""
    with open_window(home) as kit:
        QTest.qWait(800)
        heart = Heart()
        QTest.qWait(50)
        heart.take()
        took_s = paint(kit.window, kit.window.show_models)
        found = kit.window._models_page
        assert found is not None
        QTest.qWait(1)
        heart.take()
        wait_until(lambda: len(found.discover.cards()) == len(kit.app.catalogue.entries))
        QTest.qWait(300)
        return took_s, heart.take()


@pytest.mark.bench
@pytest.mark.logs
def test_five_hundred_results(page: ModelsPage) -> None:
    discover = page.discover
    discover.fits.setChecked(False)
    heart = Heart()
    page.field.setText("gguf")
    wait_until(lambda: discover.hub.phase == "done")
    while discover.hub.has_more:
        discover.hub.ask_for_more()
        wait_until(lambda: discover.hub.phase == "done")
    QTest.qWait(200)
    while_coming = heart.take()
    rows = discover.results.rows
    assert len(rows) >= N_RESULTS
    plain = QStringListModel([row.title for row in rows])
    peer = QListView(page)
    peer.setGeometry(discover.view.geometry())
    peer.raise_()
    ours, theirs = [], []
    for _ in range(N_ROUNDS):
        discover.results.set_rows(())
        discover.view.repaint()
        ours.append(paint(discover.view, lambda: discover.results.set_rows(rows)))
        peer.setModel(QStringListModel())
        peer.show()
        peer.repaint()
        theirs.append(paint(peer, lambda: peer.setModel(plain)))
        peer.hide()
    heart.take()
    bar = discover.view.verticalScrollBar()
    for value in range(0, bar.maximum(), 400):
        bar.setValue(value)
        QTest.qWait(1)
    while_scrolling = heart.take()
    discover.fits.setChecked(True)
    QTest.qWait(300)
    while_filtering = heart.take()
    discover.open_repo(discover.hub.found[0].repo)
    wait_until(lambda: discover.repo_view.facts is not None)
    QTest.qWait(500)
    while_opening = heart.take()
    table = format_table(
        (f"{len(rows)} rows, medians of {N_ROUNDS}", "Inglenook", "plain list", "ratio"),
        [
            ("rows set until painted", milliseconds(ours), milliseconds(theirs),
             f"{median_ratio(ours, theirs):.1f}"),
            ("slowest of them", milliseconds([max(ours)]), milliseconds([max(theirs)]), ""),
        ],
    )  # fmt: skip
    print(f"\n\n{table}")
    for name, longest in (
        ("pages came", while_coming), ("scrolling through all", while_scrolling),
        ("a filter changed", while_filtering), ("a repository was opened", while_opening),
    ):  # fmt: skip
        print(f"longest block while {name}: {longest * 1000:.0f} ms")


@pytest.mark.bench
@pytest.mark.logs
def test_opening_the_page(tmp_path: Path, qapp: QApplication) -> None:
    os.environ.setdefault("NO_PROXY", "127.0.0.1")
    took = [open_page(tmp_path / f"home{i}") for i in range(5)]
    firsts, blocks = [t for t, _ in took], [b for _, b in took]
    print(f"\n\nfirst showing until painted: {firsts[0] * 1000:.0f} ms (with imports), "
          f"then {statistics.median(firsts[1:]) * 1000:.0f} ms")  # fmt: skip
    print(f"longest block while cards come: {max(blocks) * 1000:.0f} ms")
