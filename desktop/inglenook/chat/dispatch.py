"""Hands runs to the engine, one model at a time.

The engine holds one model, and loading another ends the runs of the one before. So a run for
another model (or for the same one under changed settings) waits here until the live ones are over.
Called from any thread; `take` is called with the engine's events, on its reader thread.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from inglenook.chat.events import ReplyWaits
from inglenook.engine.protocol import (
    Cancel,
    Failed,
    Finished,
    Generate,
    Load,
    Timings,
    Usage,
)
from inglenook.engine.seam import Engine


@dataclass(frozen=True, slots=True)
class _Order:
    load: Load
    generate: Generate


class Dispatcher:
    """Keeps the order of runs; `engine` gets each as soon as it may begin."""

    def __init__(self, engine: Engine, publish: Callable[[object], None]) -> None:
        self._engine = engine
        self._publish = publish
        self._lock = threading.Lock()
        self._live: dict[str, Load] = {}
        self._waiting: deque[_Order] = deque()

    def start(self, load: Load, *generates: Generate) -> None:
        """Begin runs, at once or after those for another model; which is told (`ReplyWaits`)."""
        orders = [_Order(load, generate) for generate in generates]
        with self._lock:
            if self._waiting or not self._can_begin(load):
                self._waiting.extend(orders)
                before = next(iter(self._live.values()), load).model_id
            else:
                before = None
                self._live.update((order.generate.run_id, load) for order in orders)
        if before is None:
            self._submit(orders)
            return
        for order in orders:
            self._publish(ReplyWaits(order.generate.run_id, before))

    def stop(self, run_id: str) -> None:
        """End a run: the engine's if it has begun, else here and now."""
        with self._lock:
            waiting = next((o for o in self._waiting if o.generate.run_id == run_id), None)
            if waiting is not None:
                self._waiting.remove(waiting)
        if waiting is None:
            self._engine.submit(Cancel(run_id=run_id))
            return
        self._publish(
            Finished(
                run_id=run_id,
                model_id=waiting.load.model_id,
                reason="cancelled",
                usage=Usage(),
                timings=Timings(),
            )
        )

    def warm_up(self, load: Load) -> None:
        """Load a model ahead of its first prompt, unless that would end a live run."""
        with self._lock:
            if self._waiting or not self._can_begin(load):
                return
        self._engine.submit(load)

    def take(self, event: object) -> None:
        """Learn from the engine that a run is over, and begin those that may begin now."""
        if not isinstance(event, Finished | Failed):
            return
        with self._lock:
            self._live.pop(event.run_id, None)
            ready: list[_Order] = []
            while self._waiting and self._can_begin(self._waiting[0].load):
                order = self._waiting.popleft()
                self._live[order.generate.run_id] = order.load
                ready.append(order)
        self._submit(ready)

    def _can_begin(self, load: Load) -> bool:
        return all(live == load for live in self._live.values())

    def _submit(self, orders: Sequence[_Order]) -> None:
        # A Load equal to the loaded one costs nothing, and a host that was started anew needs it.
        before: Load | None = None
        for order in orders:
            if order.load != before:
                self._engine.submit(order.load)
            self._engine.submit(order.generate)
            before = order.load
