"""The scheduler over a memory of glass: every position, slot and ending can be checked.

The fake model's next token is a hash of what the memory holds for that sequence, so a token out of
place, a wrong reuse or a lost cell changes the reply.
"""

import random
import zlib
from collections.abc import Callable, Sequence
from typing import cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inglenook.engine import checkpoints as checkpoints_module
from inglenook.engine import scheduler as scheduler_module
from inglenook.engine.llama import Context, Decoded, Sampler, Vocab
from inglenook.engine.pace import Paces
from inglenook.engine.parts import ReplyStream
from inglenook.engine.prefix import count_common
from inglenook.engine.protocol import Event, Failed, Finished, Text
from inglenook.engine.scheduler import Scheduler
from inglenook.engine.sequence import Clock, Run, Slots
from support.recorder import make_generate

N_VOCAB = 50
END = 0


class GlassBatch:
    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.items: list[tuple[int, int, int, bool]] = []

    @property
    def n_tokens(self) -> int:
        return len(self.items)

    def clear(self) -> None:
        self.items = []

    def add(self, token: int, position: int, seq_id: int, *, wants_logits: bool) -> int:
        assert len(self.items) < self.capacity
        self.items.append((token, position, seq_id, wants_logits))
        return len(self.items) - 1

    def add_chunk(self, tokens: Sequence[int], position: int, seq_id: int) -> None:
        for i, token in enumerate(tokens):
            self.add(token, position + i, seq_id, wants_logits=False)


class GlassContext:
    """Memory as lists of cells; a cell can belong to several sequences."""

    def __init__(self, n_ctx: int, n_seq_max: int, rng: random.Random, *, trims: bool) -> None:
        self.n_ctx, self.n_seq_max, self.n_ubatch = n_ctx, n_seq_max, 16
        self.memory: list[list[list[int]]] = [[] for _ in range(n_seq_max)]
        self.rng, self.trims = rng, trims
        self.p_interrupt = 0.0
        self.n_threads = 1
        self.can_interrupt = rng.random() < 0.8
        self.computes_aside = not self.can_interrupt and rng.random() < 0.5
        self.can_filter = self.computes_aside and rng.random() < 0.5
        self.n_batch = 40
        self.kept: dict[int, int] = {}
        self.drawn: dict[int, int] = {}

    @property
    def n_cells(self) -> int:
        return len({id(cell) for sequence in self.memory for cell in sequence})

    def hand_over(self, seq_id: int, n_best: int) -> None:
        assert self.can_filter
        self.kept[seq_id] = n_best

    def decode(self, batch: GlassBatch, meanwhile: Callable[[], None] = lambda: None) -> Decoded:
        meanwhile()
        if self.rng.random() < self.p_interrupt:
            if not self.trims:  # A recurrent memory is spoilt by that.
                for _, _, seq_id, _ in batch.items:
                    self.memory[seq_id] = [[-1]] * len(self.memory[seq_id])
            return Decoded.INTERRUPTED
        if self.n_cells + batch.n_tokens > self.n_ctx:
            return Decoded.NO_SPACE
        self.drawn = {}
        for i, (token, position, seq_id, wants_logits) in enumerate(batch.items):
            sequence = self.memory[seq_id]
            assert position == len(sequence), "a token out of place"
            sequence.append([token])
            if wants_logits:
                self.drawn[i] = draw([cell[0] for cell in sequence])
        return Decoded.DONE

    def remove(self, seq_id: int, start: int) -> bool:
        if 0 < start < len(self.memory[seq_id]) and not self.trims:
            return False
        del self.memory[seq_id][start:]
        return True

    def set_threads(self, n_threads: int) -> None:
        self.n_threads = n_threads

    def copy(self, source: int, target: int, end: int) -> None:
        self.memory[target] = self.memory[source][:end]

    def save_partial(self, seq_id: int) -> memoryview:
        """Of a recurrent memory all."""
        return memoryview(bytearray(cell[0] for cell in self.memory[seq_id]))

    def load_partial(self, seq_id: int, data: memoryview) -> bool:
        self.memory[seq_id] = [[token] for token in data]
        return True

    def clear(self) -> None:
        self.memory = [[] for _ in self.memory]

    def first_position(self, seq_id: int) -> int:
        return 0 if self.memory[seq_id] else -1

    def last_position(self, seq_id: int) -> int:
        return len(self.memory[seq_id]) - 1


class GlassSampler:
    def __init__(self) -> None:
        self.is_closed = False

    def sample(self, context: GlassContext, index: int) -> int:
        assert not self.is_closed
        return context.drawn[index]

    def close(self) -> None:
        assert not self.is_closed, "freed twice"
        self.is_closed = True


class GlassVocab:
    def is_end(self, token: int) -> bool:
        return token == END

    def piece(self, token: int) -> bytes:
        return b"%d " % token


def draw(tokens: Sequence[int]) -> int:
    return zlib.crc32(repr(tokens).encode()) % N_VOCAB


def foretell(prompt: Sequence[int], limit: int, n_ctx: int) -> tuple[str, str]:
    """The reply and its ending, worked out without any scheduler."""
    tokens = list(prompt)
    written: list[int] = []
    while len(written) < limit:
        if len(tokens) > n_ctx:
            return "".join(f"{t} " for t in written), "context_full"
        token = draw(tokens)
        if token == END:
            return "".join(f"{t} " for t in written), "stop"
        tokens.append(token)
        written.append(token)
    return "".join(f"{t} " for t in written), "length"


class House:
    """A scheduler with a glass memory, and what it told."""

    def __init__(self, seed: int, *, n_ctx: int, n_seq_max: int, trims: bool) -> None:
        self.rng = random.Random(seed)
        self.context = GlassContext(n_ctx, n_seq_max, self.rng, trims=trims)
        self.events: list[Event] = []
        self.asked: dict[str, tuple[list[int], int]] = {}
        self.samplers: list[GlassSampler] = []
        context = cast("Context", self.context)
        slots = Slots(context, 0, is_recurrent=not trims)
        vocab = cast("Vocab", GlassVocab())
        self.scheduler = Scheduler(
            context,
            vocab,
            slots,
            self.events.append,
            "m",
            Paces(None, None, 2),
            computes_aside=self.context.computes_aside,
        )

    def ask(self, prompt: list[int], limit: int) -> str:
        run_id = f"r{len(self.asked)}"
        self.asked[run_id] = (prompt, limit)
        self.samplers.append(GlassSampler())
        self.scheduler.add(
            Run(
                command=make_generate(run_id, "", max_tokens=limit),
                tokens=list(prompt),
                sampler=cast("Sampler", self.samplers[-1]),
                stream=ReplyStream(),
                seed=0,
                n_ctx=self.context.n_ctx,
                clock=Clock(),
            )
        )
        return run_id

    def finish(self) -> None:
        for _ in range(20_000):
            if not self.scheduler.has_work:
                return
            self.scheduler.step()
        raise AssertionError("the scheduler does not come to an end")

    def read(self, run_id: str) -> tuple[str, list[str]]:
        text = "".join(e.piece for e in self.events if isinstance(e, Text) and e.run_id == run_id)
        ends = [
            e.reason if isinstance(e, Finished) else e.code
            for e in self.events
            if isinstance(e, Finished | Failed) and e.run_id == run_id
        ]
        return text, ends


@pytest.fixture(autouse=True)
def glass_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler_module, "Batch", GlassBatch)
    monkeypatch.setattr(checkpoints_module, "MIN_TOKENS", 3)


def make_prompts(rng: random.Random, n: int, longest: int) -> list[list[int]]:
    """Prompts of which many begin alike, as conversations do."""
    prompts: list[list[int]] = []
    for _ in range(n):
        base = list(rng.choice(prompts)) if prompts and rng.random() < 0.6 else []
        base = base[: rng.randrange(len(base) + 1)]
        base += [rng.randrange(1, N_VOCAB) for _ in range(rng.randrange(1, longest))]
        prompts.append(base[: longest - 1])
    return prompts


@settings(
    deadline=None,
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    seed=st.integers(0, 10**6),
    n_seq_max=st.integers(1, 4),
    n_ctx=st.sampled_from([24, 64, 200]),
    trims=st.booleans(),
    p_interrupt=st.sampled_from([0.0, 0.1]),
)
def test_replies_are_as_foretold_however_they_are_mixed(
    seed: int, n_seq_max: int, n_ctx: int, *, trims: bool, p_interrupt: float
) -> None:
    house = House(seed, n_ctx=n_ctx, n_seq_max=n_seq_max, trims=trims)
    house.context.p_interrupt = p_interrupt
    cancelled: set[str] = set()
    for prompt in make_prompts(house.rng, 12, n_ctx + 3):
        run_id = house.ask(prompt, house.rng.choice([0, 1, 7, 40]))
        for _ in range(house.rng.randrange(6)):
            house.scheduler.step()
        if house.rng.random() < 0.15:
            house.scheduler.cancel(run_id)
            cancelled.add(run_id)
    house.finish()
    alone = n_seq_max == 1
    for run_id, (prompt, limit) in house.asked.items():
        text, ends = house.read(run_id)
        assert len(ends) == 1
        if len(prompt) >= n_ctx:
            assert ends == ["prompt_too_long"]
            continue
        expected, reason = foretell(prompt, limit, n_ctx)
        if run_id in cancelled and ends == ["cancelled"]:
            assert expected.startswith(text)
        elif ends == ["context_full"] and not alone:
            assert expected.startswith(text)  # Together they filled the memory.
        else:
            assert (text, ends) == (expected, [reason])
    assert all(sampler.is_closed for sampler in house.samplers)


def test_equal_prompt_is_reused_but_for_its_last_token() -> None:
    house = House(1, n_ctx=200, n_seq_max=2, trims=True)
    for _ in range(2):
        house.ask(list(range(1, 40)), 3)
        house.finish()
    ends = [e for e in house.events if isinstance(e, Finished)]
    assert [e.usage.cached_tokens for e in ends] == [0, 38]


def test_conversation_that_shares_little_takes_another_slot() -> None:
    house = House(1, n_ctx=400, n_seq_max=2, trims=True)
    first, second = list(range(1, 49)), [1, 2, 3, *range(40, 10, -1)]
    for prompt in (first, second, first, second):
        house.ask(prompt, 2)
        house.finish()
    cached = [e.usage.cached_tokens for e in house.events if isinstance(e, Finished)]
    assert cached == [0, 3, len(first) - 1, len(second) - 1]


def test_running_replies_go_on_while_a_long_prompt_is_read() -> None:
    house = House(3, n_ctx=2000, n_seq_max=2, trims=True)
    house.ask([1, 2, 3], 60)
    house.scheduler.step()
    house.ask([7] * 1500, 1)
    house.scheduler.step()
    n_before = len(house.events)
    house.scheduler.step()
    assert any(isinstance(e, Text) and e.run_id == "r0" for e in house.events[n_before:])


@given(st.lists(st.integers(0, 2)), st.lists(st.integers(0, 2)), st.integers(0, 20))
def test_count_common(first: list[int], second: list[int], limit: int) -> None:
    n = count_common(first, second, limit)
    assert first[:n] == second[:n]
    assert n <= limit
    if n < min(len(first), len(second), limit):
        assert first[n] != second[n]
