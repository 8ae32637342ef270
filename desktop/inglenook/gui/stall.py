"""The stall recorder: logs each block of the window's thread over 50 ms, how long and where.

A timer on the window's thread beats while the app is in use; a watching thread notices a missed
beat and looks where the window's thread stands. Beats rest while the app is in the background and
no reply runs, so that an idle app wakes no processor.
"""

import logging
import sys
import threading
import time
from dataclasses import dataclass
from types import FrameType
from typing import Final

from PySide6.QtCore import QObject, Qt, QTimer
from PySide6.QtGui import QGuiApplication

log = logging.getLogger(__name__)

BEAT_S: Final = 0.02
LIMIT_S: Final = 0.05
JOIN_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Stall:
    """One block of the window's thread: its length, and the function that was running."""

    length_s: float
    place: str


class StallRecorder(QObject):
    """Measures how late its own timer fires; keeps the longest block and their number."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._longest = Stall(0.0, "")
        self._n_stalls = 0
        self._is_busy = False
        self._longest_busy_s = self._most_work_s = 0.0
        self._beat_at = time.monotonic()
        self._worked_s = time.thread_time()
        self._place = ""
        self._is_beating = threading.Event()
        self._is_closed = False
        self._window_thread_id = threading.get_ident()
        self._timer = QTimer(self)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.setInterval(round(BEAT_S * 1000))
        self._timer.timeout.connect(self._on_beat)
        self._thread = threading.Thread(target=self._watch, name="stall-recorder", daemon=True)
        self._thread.start()
        application = QGuiApplication.instance()
        if isinstance(application, QGuiApplication):
            application.applicationStateChanged.connect(self._adjust)
        self._adjust()

    @property
    def longest(self) -> Stall:
        """The longest block since the start or the last `reset`."""
        return self._longest

    @property
    def n_stalls(self) -> int:
        """How many blocks over the limit there were."""
        return self._n_stalls

    def reset(self) -> None:
        """Forget what was measured."""
        self._longest = Stall(0.0, "")
        self._n_stalls = 0
        self._beat_at = time.monotonic()

    def set_busy(self, is_busy: bool) -> None:
        """Keep beating in the background while replies are written; tell how long it blocked."""
        if is_busy and not self._is_busy:
            self._longest_busy_s = self._most_work_s = 0.0
        elif self._is_busy and not is_busy:
            log.debug(
                "longest block while replies were written: %.0f ms; most work at once: %.0f ms",
                self._longest_busy_s * 1000,
                self._most_work_s * 1000,
            )
        self._is_busy = is_busy
        self._adjust()

    def close(self) -> None:
        """Stop, join the watching thread and log the longest block."""
        self._timer.stop()
        self._is_closed = True
        self._is_beating.set()
        self._thread.join(timeout=JOIN_S)
        log.info(
            "longest block of the window's thread: %.0f ms (%s); blocks over %.0f ms: %d",
            self._longest.length_s * 1000,
            self._longest.place or "none",
            LIMIT_S * 1000,
            self._n_stalls,
        )

    def _adjust(self) -> None:
        is_active = QGuiApplication.applicationState() == Qt.ApplicationState.ApplicationActive
        if is_active or self._is_busy:
            if not self._timer.isActive():
                self._beat_at = time.monotonic()
                self._worked_s = time.thread_time()
                self._timer.start()
                self._is_beating.set()
        else:
            self._timer.stop()
            self._is_beating.clear()

    def _on_beat(self) -> None:
        now_s = time.monotonic()
        length_s = now_s - self._beat_at - BEAT_S
        self._beat_at = now_s
        before_s, self._worked_s = self._worked_s, time.thread_time()
        work_s = self._worked_s - before_s
        self._longest_busy_s = max(self._longest_busy_s, length_s)
        self._most_work_s = max(self._most_work_s, work_s)
        place, self._place = self._place, ""
        if length_s <= LIMIT_S:
            return
        self._n_stalls += 1
        # Little work in a long block: other threads or programs had the processor meanwhile.
        log.warning(
            "the window's thread was blocked for %.0f ms (%.0f ms of work) in %s",
            length_s * 1000,
            work_s * 1000,
            place,
        )
        if length_s > self._longest.length_s:
            self._longest = Stall(length_s, place)

    def _watch(self) -> None:
        """Watching thread: when a beat is late, note where the window's thread is."""
        while not self._is_closed:
            self._is_beating.wait()
            time.sleep(BEAT_S)
            is_late = time.monotonic() - self._beat_at > LIMIT_S + BEAT_S
            if is_late and not self._place and self._timer_is_due():
                self._place = _name_place(sys._current_frames().get(self._window_thread_id))

    def _timer_is_due(self) -> bool:
        return self._is_beating.is_set() and not self._is_closed


def _name_place(frame: FrameType | None) -> str:
    """The innermost of our own functions that a thread stands in, as module:line function."""
    while frame is not None:
        module = str(frame.f_globals.get("__name__", ""))
        if module.startswith("inglenook.") and not module.endswith(".application"):
            return f"{module}:{frame.f_lineno} {frame.f_code.co_name}"
        frame = frame.f_back
    return "Qt"
