"""Collects engine events and lets a test wait for the one that it needs."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

from inglenook.engine.protocol import (
    Event,
    Failed,
    Finished,
    Generate,
    Load,
    Loaded,
    LoadFailed,
    LoadOptions,
    PromptMessage,
    Sampling,
    Text,
)
from inglenook.engine.seam import Engine

GREEDY = Sampling(temperature=0.0)
WAIT_S = 60.0


class Recorder:
    """A `publish` that keeps everything, and shorthands for asking an engine."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._changed = threading.Condition()

    def __call__(self, event: Event) -> None:
        with self._changed:
            self.events.append(event)
            self._changed.notify_all()

    def wait_for(self, is_wanted: Callable[[Event], bool], timeout_s: float = WAIT_S) -> Event:
        """The first event, past or future, that is wanted; fails the test after a while."""
        deadline = time.monotonic() + timeout_s
        n_seen = 0
        with self._changed:
            while True:
                for event in self.events[n_seen:]:
                    if is_wanted(event):
                        return event
                n_seen = len(self.events)
                rest_s = deadline - time.monotonic()
                if rest_s <= 0 or not self._changed.wait_for(
                    lambda: len(self.events) > n_seen,  # noqa: B023
                    rest_s,
                ):
                    raise AssertionError(f"not seen within {timeout_s} s; last: {self.events[-3:]}")

    def wait_for_end(self, run_id: str, timeout_s: float = WAIT_S) -> Finished | Failed:
        """The event that ended a reply."""
        event = self.wait_for(
            lambda e: isinstance(e, Finished | Failed) and e.run_id == run_id, timeout_s
        )
        assert isinstance(event, Finished | Failed)
        return event

    def wait_for_text(self, run_id: str, n_pieces: int = 1) -> None:
        """Wait until so many pieces of a reply have come."""
        self.wait_for(
            lambda e: (
                isinstance(e, Text) and e.run_id == run_id and self.count_pieces(run_id) >= n_pieces
            )
        )

    def count_pieces(self, run_id: str) -> int:
        """How many pieces of a reply have come."""
        return sum(1 for e in self.events if isinstance(e, Text) and e.run_id == run_id)

    def list_ends(self, run_id: str) -> list[Finished | Failed]:
        """Every event that claims to end a reply; there must be one."""
        return [e for e in self.events if isinstance(e, Finished | Failed) and e.run_id == run_id]

    def read_text(self, run_id: str) -> str:
        """The text of a reply so far."""
        return "".join(e.piece for e in self.events if isinstance(e, Text) and e.run_id == run_id)

    def load(self, engine: Engine, path: object, **options: object) -> Loaded | LoadFailed:
        """Load a model and wait."""
        with self._changed:
            n_before = len(self.events)
        values: dict[str, object] = {"n_threads": 1, **options}
        engine.submit(
            Load(model_id=str(path), path=str(path), options=LoadOptions(**values))  # type: ignore[arg-type]
        )
        event = self.wait_for(
            lambda e: (
                isinstance(e, Loaded | LoadFailed)
                and e.model_id == str(path)
                and any(e is later for later in self.events[n_before:])
            )
        )
        assert isinstance(event, Loaded | LoadFailed)
        return event

    def ask(
        self,
        engine: Engine,
        run_id: str,
        text: str | Sequence[tuple[str, str]],
        *,
        sampling: Sampling = GREEDY,
        max_tokens: int | None = 24,
        stop: tuple[str, ...] = (),
        continue_last: bool = False,
    ) -> Finished | Failed:
        """Ask and wait for the end."""
        engine.submit(make_generate(run_id, text, sampling, max_tokens, stop, continue_last))
        return self.wait_for_end(run_id)


DRAWS: Final = {
    "greedy": GREEDY,
    "as usual": Sampling(seed=7),
    "hot": Sampling(temperature=1.6, top_k=30, top_p=1.0, seed=7),
    "penalties": Sampling(repeat_penalty=1.3, presence_penalty=0.4, repeat_last_n=32, seed=7),
    "from all tokens": Sampling(top_k=0, min_p=0.02, seed=7),
    "a bias": Sampling(logit_bias=((80, 3.0),), seed=7),
    "mirostat": Sampling(mirostat=2, seed=7),
}
"""Ways to draw that look at the likeliest few, and some that look at all."""


def make_generate(
    run_id: str,
    text: str | Sequence[tuple[str, str]],
    sampling: Sampling = GREEDY,
    max_tokens: int | None = 24,
    stop: tuple[str, ...] = (),
    continue_last: bool = False,
) -> Generate:
    """A `Generate` for one user text, or for (role, content) pairs."""
    pairs = [("user", text)] if isinstance(text, str) else text
    return Generate(
        run_id=run_id,
        messages=tuple(PromptMessage(role, content) for role, content in pairs),  # type: ignore[arg-type]
        sampling=sampling,
        max_tokens=max_tokens,
        stop=stop,
        continue_last=continue_last,
    )
