"""The event hub: facts travel up, from whoever learned them to whoever shows or stores them.

Published from any thread (the engine's reader thread, a download thread, the window's thread);
subscribers are called on the publishing thread, in the order in which they subscribed, and must
return quickly. The window subscribes once, through `gui/bridge.py`.
"""

import logging
import threading
from collections.abc import Callable
from typing import Any

log = logging.getLogger(__name__)

type Subscriber = Callable[[Any], None]


class EventHub:
    """Hands each published event to every subscriber.

    A subscriber that raises is logged and skipped: one broken listener must not keep the journal
    from saving a reply.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._subscribers: tuple[Subscriber, ...] = ()

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Call `subscriber(event)` for each event from now on; returns what ends that."""
        with self._lock:
            self._subscribers = (*self._subscribers, subscriber)

        def unsubscribe() -> None:
            with self._lock:
                self._subscribers = tuple(s for s in self._subscribers if s is not subscriber)

        return unsubscribe

    def publish(self, event: object) -> None:
        """Hand `event` to all subscribers, on the calling thread."""
        for subscriber in self._subscribers:
            try:
                subscriber(event)
            except Exception:
                log.exception("a listener failed on %s", type(event).__name__)
