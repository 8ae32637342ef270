"""Measures an engine as the app uses it: by the clock of whoever waits for its events.

`Probe` asks one engine and notes when each event came; `Prompts` makes prompts of a wanted length;
`measure_all` takes the figures that `inglenook bench` shows. All on the calling thread. Used by
that command, and by the bench against peers in `tests/bench`.
"""

import queue
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec

from inglenook.base.errors import EngineError, ModelError
from inglenook.engine.client import ChildEngine
from inglenook.engine.protocol import (
    Command,
    CountTokens,
    Event,
    Failed,
    Finished,
    Generate,
    Load,
    Loaded,
    LoadFailed,
    PromptMessage,
    Text,
    TokenCount,
    Usage,
)
from inglenook.engine.seam import Engine, Publish

N_AT_ONCE: Final = 4
_SILENCE_S: Final = 900.0
"""Longer than any prompt takes to read on a machine on which one would want to talk."""
_KEPT_S: Final = 30.0
_ENOUGH_S: Final = 30.0
"""A figure that took so long is not taken again."""
_MAX_REPLIES: Final = 8
_SCOPE: Final = "bench"
_TEXT: Final = (
    "the of and to in that it was for on are with as his they be at one have this from or had by "
    "hot word but what some we can out other were all there when up use your how said an each she "
    "which do their time if will way about many then them write would like so these her long make "
    "thing see him two has look more day could go come did number sound no most people my over"
)
_WORDS: Final = tuple(_TEXT.split())
_TALES: Final = ("the sea", "a city in winter", "two old friends", "the long way home")


@dataclass(slots=True)
class Reply:
    """One reply and when it came, in seconds of `time.perf_counter`."""

    asked: float
    arrivals: list[tuple[float, int]] = field(default_factory=list)
    """When each piece of text came, and the number of tokens with it."""
    ended: float = 0.0
    usage: Usage = field(default_factory=Usage)
    pieces: list[str] = field(default_factory=list)

    @property
    def ttft_s(self) -> float:
        """Seconds from the question to the first text."""
        return (self.arrivals[0][0] if self.arrivals else self.ended) - self.asked

    @property
    def n_decoded(self) -> int:
        """Tokens that came after the first text."""
        return self.usage.output_tokens - self.arrivals[0][1] if self.arrivals else 0

    @property
    def decode_s(self) -> float:
        """Seconds from the first text to the end."""
        return self.ended - self.arrivals[0][0] if self.arrivals else 0.0

    @property
    def decode_tps(self) -> float:
        """Tokens per second after the first text."""
        return self.n_decoded / self.decode_s if self.decode_s else 0.0

    @property
    def n_read(self) -> int:
        """Prompt tokens that were read and not remembered."""
        return self.usage.prompt_tokens - self.usage.cached_tokens

    @property
    def text(self) -> str:
        """All of it."""
        return "".join(self.pieces)

    def count_tokens(self, moment: float) -> int:
        """How many tokens had come by then."""
        return max((n for at, n in self.arrivals if at <= moment), default=0)


class Probe:
    """An engine of its own with a clock on its events. Raises what the engine fails with."""

    def __init__(self, make: Callable[[Publish], Engine] = ChildEngine) -> None:
        self._events: queue.SimpleQueue[tuple[float, Event]] = queue.SimpleQueue()
        self._numbers = count()
        self.engine = make(self._take)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the engine."""
        self.engine.close()

    def submit(self, command: Command) -> None:
        """Hand over a command whose answer nobody waits for."""
        self.engine.submit(command)

    def load(self, command: Load) -> Loaded:
        """Load a model; raises `ModelError`."""
        self.engine.submit(command)
        for _, event in self._follow():
            if isinstance(event, Loaded):
                return event
            if isinstance(event, LoadFailed):
                raise ModelError(event.message, event.hint, code=event.code)
        raise AssertionError

    def count(self, messages: Sequence[PromptMessage]) -> int:
        """How many tokens the messages take under the model's template."""
        self.engine.submit(CountTokens(request_id="count", messages=tuple(messages)))
        for _, event in self._follow():
            if isinstance(event, TokenCount):
                return event.n_tokens
        raise AssertionError

    def ask(self, command: Generate) -> Reply:
        """Ask and wait for the end; raises `EngineError`. The run's id is chosen here."""
        return self.ask_all([command])[0]

    def ask_all(self, commands: Sequence[Generate]) -> list[Reply]:
        """Ask for several replies at once and wait for the end of all."""
        replies: dict[str, Reply] = {}
        for command in commands:
            run_id = f"measured{next(self._numbers)}"
            replies[run_id] = Reply(time.perf_counter())
            self.engine.submit(msgspec.structs.replace(command, run_id=run_id))
        n_live = len(replies)
        for at, event in self._follow():
            if isinstance(event, Text) and event.run_id in replies:
                replies[event.run_id].arrivals.append((at, event.n_tokens))
                replies[event.run_id].pieces.append(event.piece)
            elif isinstance(event, Failed) and event.run_id in replies:
                raise EngineError(event.message, event.hint, code=event.code)
            elif isinstance(event, Finished) and event.run_id in replies:
                replies[event.run_id].ended = at
                replies[event.run_id].usage = event.usage
                n_live -= 1
            if not n_live:
                break
        return list(replies.values())

    def _take(self, event: Event) -> None:
        self._events.put((time.perf_counter(), event))

    def _follow(self) -> Iterator[tuple[float, Event]]:
        while True:
            try:
                yield self._events.get(timeout=_SILENCE_S)
            except queue.Empty:
                raise EngineError("The engine does not answer.", code="engine_hung") from None


class Prompts:
    """Prompts that begin differently, so that nothing of one is remembered for the next."""

    def __init__(self, probe: Probe) -> None:
        self._probe = probe
        self._numbers = count(1)
        self._n_words: dict[int, int] = {}

    def make(self, n_tokens: int) -> tuple[PromptMessage, ...]:
        """A question of about so many tokens, at most; the reply's usage tells how many exactly."""
        if n_tokens not in self._n_words:
            self._n_words[n_tokens] = self._fit(n_tokens)
        return (PromptMessage("user", _make_text(next(self._numbers), self._n_words[n_tokens])),)

    def _fit(self, n_tokens: int) -> int:
        """How many words make so many tokens."""

        def measure(n_words: int) -> int:
            return self._probe.count([PromptMessage("user", _make_text(1000, n_words))])

        n_bare, n_words = measure(0), n_tokens
        for _ in range(6):
            n_counted = measure(n_words)
            if 0 <= n_tokens - n_counted <= max(1, n_tokens // 500):
                break
            per_word = max(0.1, (n_counted - n_bare) / max(1, n_words))
            n_words = max(1, int((n_tokens - n_bare) / per_word))
        return n_words


def _make_text(number: int, n_words: int) -> str:
    n = len(_WORDS)
    words = (_WORDS[(i * i * 7 + i * 31 + number * 17) % n] for i in range(n_words))
    return f"{number}: {' '.join(words)}"


def count_together(replies: Sequence[Reply]) -> float:
    """Tokens per second of replies that were written at the same time, all of them together.

    From when the last of them has begun to when the first ends; where they are too short for that,
    from the first beginning to the last end.
    """
    begun = [reply.arrivals[0][0] for reply in replies if reply.arrivals]
    ended = [reply.ended for reply in replies]
    if not begun:
        return 0.0
    since, until = max(begun), min(ended)
    n_tokens = sum(reply.count_tokens(until) - reply.count_tokens(since) for reply in replies)
    if until <= since or not n_tokens:
        since, until = min(begun), max(ended)
        n_tokens = sum(reply.n_decoded for reply in replies)
    return n_tokens / (until - since) if until > since else 0.0


# --- what `inglenook bench` shows ---


@dataclass(frozen=True, slots=True)
class Plan:
    """How much to measure, in tokens. What does not fit the context is made shorter."""

    n_short: int = 512
    n_long: int = 2048
    n_reply: int = 128
    n_rounds: int = 3

    def fit(self, n_ctx: int) -> "Plan":
        """The same for a context of so many tokens."""
        n_reply = max(2, min(self.n_reply, n_ctx // (2 * N_AT_ONCE)))
        n_long = max(16, min(self.n_long, n_ctx - n_reply - 64))
        return Plan(min(self.n_short, n_long), n_long, n_reply, self.n_rounds)


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One figure: tokens per second, or seconds. `n_tokens` says of how many tokens it is."""

    key: str
    unit: str
    n_tokens: int
    values: tuple[float, ...]


class Bench:
    """Takes the figures of one model under one `Load`; `tell` hears what is being done.

    Each figure is taken as often as the plan says, but not for longer than half a minute.
    """

    def __init__(self, load: Load, plan: Plan, tell: Callable[[str], None]) -> None:
        self._load, self._plan, self._tell = load, plan, tell
        self._history: tuple[PromptMessage, ...] = ()

    def run(self) -> tuple[Loaded, list[Figure]]:
        """All figures; raises `ModelError`, `EngineError`."""
        with tempfile.TemporaryDirectory(prefix="inglenook-bench-") as folder:
            load = msgspec.structs.replace(
                self._load, snapshot_folder=folder, snapshot_limit_bytes=1 << 40
            )
            self._tell("Loading the model")
            with Probe() as probe:
                loaded = probe.load(load)
                self._plan = self._plan.fit(loaded.n_ctx)
                n_short, n_long = self._plan.n_short, self._plan.n_long
                figures = [self._measure_reading("read_long", probe, n_long)]
                if n_short < n_long:
                    figures.insert(0, self._measure_reading("read_short", probe, n_short))
                figures += [
                    self._measure_writing(probe),
                    self._measure_together(probe),
                    self._measure_follow_up(probe),
                ]
            figures.append(self._measure_restart(load, Path(folder)))
        return loaded, figures

    def _repeat(self, what: str, take: Callable[[], float]) -> tuple[float, ...]:
        values: list[float] = []
        started = time.perf_counter()
        for i in range(self._plan.n_rounds):
            self._tell(f"{what} ({i + 1} of {self._plan.n_rounds})")
            values.append(take())
            if time.perf_counter() - started > _ENOUGH_S:
                break
        return tuple(values)

    def _measure_reading(self, key: str, probe: Probe, n_tokens: int) -> Figure:
        prompts = Prompts(probe)

        def take() -> float:
            reply = probe.ask(_make_generate(prompts.make(n_tokens), 1))
            return reply.n_read / reply.ttft_s

        values = self._repeat(f"Reading {n_tokens:,} tokens", take)
        return Figure(key=key, unit="tokens/s", n_tokens=n_tokens, values=values)

    def _measure_writing(self, probe: Probe) -> Figure:
        n_reply = self._plan.n_reply
        numbers = count()

        def take() -> float:
            """Some models end early; then there are more replies."""
            n_decoded, decode_s = 0, 0.0
            for _ in range(_MAX_REPLIES):
                tale = f"{next(numbers)}: {_TALES[0]}"
                reply = probe.ask(_make_generate(_ask_for_tale(tale), n_reply - n_decoded + 1))
                n_decoded += reply.n_decoded
                decode_s += reply.decode_s
                if n_decoded >= n_reply:
                    break
            return n_decoded / decode_s if decode_s else 0.0

        values = self._repeat(f"Writing {n_reply:,} tokens", take)
        return Figure(key="write", unit="tokens/s", n_tokens=n_reply, values=values)

    def _measure_together(self, probe: Probe) -> Figure:
        n_reply = self._plan.n_reply

        def take() -> float:
            commands = [_make_generate(_ask_for_tale(tale), n_reply) for tale in _TALES]
            return count_together(probe.ask_all(commands))

        values = self._repeat(f"Writing {N_AT_ONCE} replies at once", take)
        return Figure(key="write_together", unit="tokens/s", n_tokens=n_reply, values=values)

    def _measure_follow_up(self, probe: Probe) -> Figure:
        """Also leaves a conversation behind that the restart goes on with."""
        history = (
            *Prompts(probe).make(self._plan.n_long - 32),
            PromptMessage("assistant", "Yes."),
        )
        self._history = history
        probe.ask(_make_generate((*history, PromptMessage("user", "Why?")), 2, scope=_SCOPE))
        numbers = count(1)

        def take() -> float:
            question = PromptMessage("user", f"{next(numbers)}. And why is that?")
            return probe.ask(_make_generate((*history, question), 1, scope=_SCOPE)).ttft_s

        values = self._repeat("Going on with a long conversation", take)
        return Figure(key="follow_up", unit="s", n_tokens=self._plan.n_long, values=values)

    def _measure_restart(self, load: Load, folder: Path) -> Figure:
        wait_for_snapshot(folder)

        def take() -> float:
            with Probe() as probe:
                probe.load(load)
                question = PromptMessage("user", "And then?")
                return probe.ask(_make_generate((*self._history, question), 1)).ttft_s

        values = self._repeat("Going on after a restart", take)
        return Figure(key="restart", unit="s", n_tokens=self._plan.n_long, values=values)


def wait_for_snapshot(folder: Path) -> bool:
    """Wait until the engine has put a conversation's memory on the disk; False: it has not."""
    deadline = time.monotonic() + _KEPT_S
    while time.monotonic() < deadline:
        if any(folder.glob("*/*.kv")):
            return True
        time.sleep(0.1)
    return False


def _ask_for_tale(tale: str) -> tuple[PromptMessage, ...]:
    return (PromptMessage("user", f"Write a very long story about {tale}."),)


def _make_generate(
    messages: tuple[PromptMessage, ...], max_tokens: int, scope: str = ""
) -> Generate:
    return Generate(run_id="", messages=messages, max_tokens=max_tokens, scope=scope)
