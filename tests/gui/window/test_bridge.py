"""The crossing from events to signals: order, joining, pace."""

import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from inglenook.base.events import EventHub
from inglenook.engine.protocol import Failed, Meter, Prefill, Text
from inglenook.gui.bridge import Bridge, join_events
from support.window import wait_until


def make_text(run_id: str, piece: str, n: int = 1) -> Text:
    return Text(run_id=run_id, piece=piece, n_tokens=n)


def make_meter(run_id: str, n: int) -> Meter:
    return Meter(
        run_id=run_id,
        n_tokens=n,
        decode_tps_now=1,
        decode_tps_mean=1,
        ttft_s=0,
        n_context=n,
        n_ctx=8,
    )


def test_text_of_one_run_is_joined_with_the_newest_count() -> None:
    joined = join_events([make_text("a", "x", 1), make_text("a", "y", 2), make_text("b", "z", 1)])
    assert joined == [make_text("a", "xy", 2), make_text("b", "z", 1)]


def test_only_the_newest_number_is_kept() -> None:
    events = [make_meter("a", 1), make_text("a", "x"), make_meter("a", 2), make_meter("b", 1)]
    assert join_events(events) == [make_text("a", "x"), make_meter("a", 2), make_meter("b", 1)]


def test_text_never_crosses_the_end_of_its_run() -> None:
    end = Failed(run_id="a", code="internal", message="m")
    joined = join_events([make_text("a", "x"), end, make_text("a", "y")])
    assert joined == [make_text("a", "x"), end, make_text("a", "y")]


def test_text_never_crosses_an_event_that_names_no_run() -> None:
    joined = join_events([make_text("a", "x"), "something", make_text("a", "y")])
    assert joined == [make_text("a", "x"), "something", make_text("a", "y")]


@given(
    st.lists(
        st.one_of(
            st.builds(make_text, st.sampled_from("ab"), st.text("xyz", max_size=3)),
            st.builds(make_meter, st.sampled_from("ab"), st.integers(0, 9)),
            st.builds(
                lambda run, n: Prefill(run_id=run, n_done=n, n_prompt=9, n_cached=0),
                st.sampled_from("ab"),
                st.integers(0, 9),
            ),
            st.builds(
                lambda run: Failed(run_id=run, code="internal", message=""), st.sampled_from("ab")
            ),
        )
    )
)
def test_joining_keeps_all_text_and_the_order_of_ends(events: list[object]) -> None:
    joined = join_events(events)
    for run_id in "ab":
        assert _read(joined, run_id) == _read(events, run_id)


def _read(events: list[object], run_id: str) -> list[str]:
    """The text of a run between its ends."""
    parts = [""]
    for event in events:
        if isinstance(event, Text) and event.run_id == run_id:
            parts[-1] += event.piece
        elif isinstance(event, Failed) and event.run_id == run_id:
            parts.append("")
    return parts


@pytest.fixture
def bridge(qapp: QApplication, hub: EventHub) -> Bridge:
    return Bridge(hub)


def test_events_of_another_thread_arrive_in_order_and_not_too_often(
    bridge: Bridge, hub: EventHub
) -> None:
    seen: list[str] = []
    window_thread = threading.get_ident()

    def take(_run: str, piece: str, _n: int) -> None:
        assert threading.get_ident() == window_thread
        seen.append(piece)

    bridge.text_arrived.connect(take)

    def publish() -> None:
        for i in range(2000):
            hub.publish(make_text("a", f"{i},", i))
            if i % 10 == 0:
                time.sleep(0.001)

    began = time.monotonic()
    thread = threading.Thread(target=publish)
    thread.start()
    wait_until(lambda: "".join(seen).endswith("1999,"))
    thread.join()
    took_s = time.monotonic() - began
    assert "".join(seen) == "".join(f"{i}," for i in range(2000))
    assert len(seen) <= took_s * 31 + 2
    bridge.close()


def test_the_first_text_of_a_reply_does_not_wait(
    bridge: Bridge, hub: EventHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inglenook.gui.bridge.DRAIN_S", 3600.0)
    seen: list[str] = []
    bridge.text_arrived.connect(lambda _run, piece, _n: seen.append(piece))
    bridge.drain()  # the pause begins
    hub.publish("of the window")
    hub.publish(make_text("a", "x"))
    wait_until(lambda: seen == ["x"])
    hub.publish(make_text("a", "y"))
    QTest.qWait(50)
    assert seen == ["x"]
    hub.publish(Failed(run_id="a", code="internal", message="m"))
    hub.publish(make_text("a", "z"))
    wait_until(lambda: seen == ["x", "y", "z"])
    bridge.close()


def test_nothing_arrives_after_close(bridge: Bridge, hub: EventHub) -> None:
    seen: list[object] = []
    bridge.happened.connect(seen.append)
    hub.publish("before")
    bridge.close()
    hub.publish("after")
    QTest.qWait(80)
    assert seen == []
