"""The one crossing from events to Qt signals.

Subscribes to the event hub, takes events on any thread, and hands them over on the window's
thread in their order, at most about 30 times a second: pieces of text of one reply are joined, and
of the numbers that overtake each other (meter, prefill, load progress) only the newest is kept.
The first text of a reply is waited for, and does not wait.
"""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final, override

from PySide6.QtCore import QCoreApplication, QEvent, QObject, QTimer, Signal

from inglenook.base.events import EventHub
from inglenook.engine.protocol import Failed, Finished, Loading, Meter, Prefill, Text

DRAIN_S: Final = 0.033
_SOON_MS: Final = 1
"""The least time between two hand-overs: about 30 repaints a second."""

_WAKE: Final = QEvent.Type(QEvent.registerEventType())


class Bridge(QObject):
    """Events as signals, on the window's thread.

    Signals: `text_arrived(run_id, piece, n_tokens)`, and `reasoning_arrived` alike;
    `prefill_moved(Prefill)`; `meter_moved(Meter)`; `engine_changed(event)` for loads, deaths and
    readiness; `run_ended(Finished | Failed)`; `happened(event)` for every event that has no signal
    of its own (chat, models, settings).
    """

    text_arrived = Signal(str, str, int)
    reasoning_arrived = Signal(str, str, int)
    prefill_moved = Signal(object)
    meter_moved = Signal(object)
    engine_changed = Signal(object)
    run_ended = Signal(object)
    happened = Signal(object)

    def __init__(self, hub: EventHub, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._lock = threading.Lock()
        self._pending: list[object] = []
        self._is_woken = False
        self._is_closed = False
        self._has_first_text = False
        self._writing: set[str] = set()
        """Replies whose first text has come, and whose end has not."""
        self._last_drain_s = 0.0
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self.drain)
        self._unsubscribe: Callable[[], None] = hub.subscribe(self._take)

    def close(self) -> None:
        """Take no more events."""
        self._unsubscribe()
        with self._lock:
            self._is_closed = True
            self._pending.clear()
        self._timer.stop()

    def drain(self) -> None:
        """Hand over all that is pending, now."""
        with self._lock:
            events, self._pending = self._pending, []
            self._is_woken = self._has_first_text = False
        self._timer.stop()
        self._last_drain_s = time.monotonic()
        for event in join_events(events):
            self._emit(event)

    def _take(self, event: object) -> None:
        """Any thread: keep the event, and wake the window's thread if it is not woken yet."""
        with self._lock:
            if self._is_closed:
                return
            self._pending.append(event)
            is_first_text = self._is_first_text(event)
            if self._is_woken and not is_first_text:
                return
            self._is_woken = True
            self._has_first_text = self._has_first_text or is_first_text
            # Posted under the lock: after `close` has returned nothing is posted any more.
            QCoreApplication.postEvent(self, QEvent(_WAKE))

    def _is_first_text(self, event: object) -> bool:
        match event:
            case Text() if event.run_id not in self._writing:
                self._writing.add(event.run_id)
                return True
            case Finished() | Failed():
                self._writing.discard(event.run_id)
            case _:
                pass
        return False

    def _emit(self, event: object) -> None:
        match event:
            case Text(part="reasoning"):
                self.reasoning_arrived.emit(event.run_id, event.piece, event.n_tokens)
            case Text():
                self.text_arrived.emit(event.run_id, event.piece, event.n_tokens)
            case Prefill():
                self.prefill_moved.emit(event)
            case Meter():
                self.meter_moved.emit(event)
            case Finished() | Failed():
                self.run_ended.emit(event)
            case _ if _is_of_engine(event):
                self.engine_changed.emit(event)
            case _:
                self.happened.emit(event)

    @override
    def event(self, event: QEvent) -> bool:
        """Drain when the pause since the last time is over; first text does not wait for that.

        Never in this very turn of the loop, which may have shown a new message already.
        """
        if event.type() != _WAKE:
            return super().event(event)
        wait_s = self._last_drain_s + DRAIN_S - time.monotonic()
        if self._has_first_text:
            self._timer.start(_SOON_MS)
        elif not self._timer.isActive():
            self._timer.start(max(_SOON_MS, round(wait_s * 1000)))
        return True


def join_events(events: Sequence[object]) -> list[object]:
    """Join text per run and drop overtaken numbers; the order of all else stays.

    A piece of text joins the run's last one of its part unless an event of that run that is neither
    text nor a number stands between them.
    """
    joined: list[object | None] = []
    places: dict[tuple[str, str], int] = {}
    texts: dict[int, list[str]] = {}
    for event in events:
        match event:
            case Text():
                place = places.get((event.part, event.run_id))
                if place is None:
                    places[event.part, event.run_id] = len(joined)
                    texts[len(joined)] = [event.piece]
                    joined.append(event)
                else:
                    texts[place].append(event.piece)
                    joined[place] = event
            case Meter() | Prefill() | Loading():
                key = (type(event).__name__, getattr(event, "run_id", ""))
                if key in places:
                    joined[places[key]] = None
                places[key] = len(joined)
                joined.append(event)
            case _:
                _forget(places, getattr(event, "run_id", None))
                joined.append(event)
    return list(_with_texts(joined, texts))


def _forget(places: dict[tuple[str, str], int], run_id: str | None) -> None:
    """After this event nothing joins what came before it; None stands for every run."""
    for key in [key for key in places if run_id is None or key[1] in {run_id, ""}]:
        del places[key]


def _with_texts(joined: Sequence[object | None], texts: dict[int, list[str]]) -> Iterable[object]:
    for place, event in enumerate(joined):
        if isinstance(event, Text):
            piece = "".join(texts[place])
            yield Text(run_id=event.run_id, piece=piece, n_tokens=event.n_tokens, part=event.part)
        elif event is not None:
            yield event


def _is_of_engine(event: object) -> bool:
    return type(event).__module__ == Text.__module__
