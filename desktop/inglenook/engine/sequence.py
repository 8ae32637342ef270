"""One reply in the making, and the slots of KV memory that replies live in.

Used by the scheduler on the worker thread alone.
"""

import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from inglenook.engine.checkpoints import Checkpoints
from inglenook.engine.constraints.constrained import ConstrainedSampler
from inglenook.engine.llama import Context, Sampler
from inglenook.engine.lookup import Lookup
from inglenook.engine.parts import ReplyStream
from inglenook.engine.prefix import count_common
from inglenook.engine.protocol import DrawnToken, Generate, Meter, Part, Timings, Usage

if TYPE_CHECKING:
    from inglenook.engine.snapshots import Snapshots

METER_EVERY_S: Final = 0.2
_METER_WINDOW_S: Final = 1.0
_LONG_READING: Final = 512
"""Before so many tokens are read, a moment for what idles to reach the disk is well spent."""
_LONGEST_WAIT_S: Final = 0.5
_MOST_ABOVE: Final = 512
"""So many cells above those of a reply are worth having its memory moved."""


@dataclass(slots=True)
class Clock:
    """When things happened to a reply, in seconds of the monotonic clock; 0.0 is "not yet"."""

    arrived: float = field(default_factory=time.monotonic)
    load_s: float = 0.0
    started: float = 0.0
    first_token: float = 0.0
    first_text: float = 0.0
    last_reasoning: float = 0.0
    last_token: float = 0.0
    recent: deque[float] = field(default_factory=deque)
    last_meter: float = 0.0

    @property
    def age_s(self) -> float:
        """Seconds since the command arrived."""
        return time.monotonic() - self.arrived


@dataclass(slots=True)
class Run:
    """One reply: `tokens` holds the prompt and what was drawn; the last may not be decoded yet."""

    command: Generate
    tokens: list[int]
    sampler: Sampler | ConstrainedSampler
    stream: ReplyStream
    seed: int
    n_ctx: int
    clock: Clock
    n_best: int = 0
    """How many of the likeliest tokens its draws look at; 0: all."""
    closing: tuple[int, ...] = ()
    """The tokens that end its reasoning when they have to be put there."""
    n_lasting: int = 0
    """So many tokens the next prompt of the conversation will begin with, too; 0: all."""
    n_prompt: int = 0
    n_cached: int = 0
    n_output: int = 0
    n_reasoning: int = 0
    pending_tokens: list[DrawnToken] = field(default_factory=list)
    """Drawn since the last text was told; filled only where log-probabilities are asked for."""
    n_guessed: int = 0
    n_guessed_right: int = 0
    lookup: Lookup | None = None
    slot: "Slot | None" = None
    unheard: tuple[int, float] | None = None
    """The token that was drawn last, and when, while its text is not handed on."""

    def __post_init__(self) -> None:
        self.n_prompt = len(self.tokens)

    @property
    def run_id(self) -> str:
        """The id of the message that is written."""
        return self.command.run_id

    @property
    def scope(self) -> str:
        """What the reply belongs to."""
        return self.command.scope

    def feed(self, token: int, piece: bytes, now: float) -> list[tuple[Part, str]]:
        """Take a token into the text; returns what of it is certain now, by its parts."""
        n_before = self.stream.n_reasoning
        parts = self.stream.feed(token, piece)
        if self.stream.n_reasoning > n_before:
            self.clock.last_reasoning = now
            self.n_reasoning += self.stream.n_reasoning - n_before
        return parts

    def take_forced_tokens(self) -> tuple[int, ...]:
        """What has to come next instead of a drawn token: the end of too long a reasoning."""
        budget, stream = self.command.reasoning_budget, self.stream
        if budget is None or stream.part != "reasoning" or stream.n_reasoning < budget:
            return ()
        return self.closing if stream.is_between_characters else ()

    @property
    def checkpoints(self) -> tuple[int, ...]:
        """Where in its prompt the state is one to go back to, in tokens from its beginning."""
        return (self.n_lasting, self.n_prompt - 1)

    def count_token(self, now: float) -> None:
        """One more token was drawn."""
        clock = self.clock
        self.n_output += 1
        clock.first_token = clock.first_token or now
        clock.last_token = now
        clock.recent.append(now)
        while clock.recent[0] < now - _METER_WINDOW_S:
            clock.recent.popleft()

    def make_meter(self, now: float, n_threads: int) -> Meter | None:
        """The live numbers, when it is time for them."""
        clock = self.clock
        if now - clock.last_meter < METER_EVERY_S or not clock.first_text:
            return None
        clock.last_meter = now
        span_s = clock.recent[-1] - clock.recent[0]
        return Meter(
            run_id=self.run_id,
            n_tokens=self.n_output,
            decode_tps_now=(len(clock.recent) - 1) / span_s if span_s > 0.0 else 0.0,
            decode_tps_mean=self._rate(self.n_output - 1, now - clock.first_token),
            ttft_s=clock.first_text - clock.arrived,
            n_context=len(self.tokens),
            n_ctx=self.n_ctx,
            n_threads=n_threads,
        )

    def make_usage(self) -> Usage:
        """What the reply took so far."""
        return Usage(
            prompt_tokens=self.n_prompt,
            cached_tokens=self.n_cached,
            output_tokens=self.n_output,
            reasoning_tokens=self.n_reasoning,
            drafted_tokens=self.n_guessed,
            accepted_tokens=self.n_guessed_right,
            n_ctx=self.n_ctx,
            seed=self.seed,
        )

    def make_timings(self) -> Timings:
        """Where the time went so far."""
        clock, now = self.clock, time.monotonic()
        started = clock.started or now
        prefill_s = (clock.first_token or now) - started
        decode_s = clock.last_token - clock.first_token
        first_text = clock.first_text or clock.first_token
        return Timings(
            queue_s=max(0.0, started - clock.arrived - clock.load_s),
            load_s=clock.load_s,
            prefill_s=prefill_s,
            reasoning_s=max(0.0, clock.last_reasoning - clock.first_token),
            decode_s=decode_s,
            ttft_s=first_text - clock.arrived if first_text else 0.0,
            total_s=now - clock.arrived,
            prefill_tps=self._rate(self.n_prompt - self.n_cached, prefill_s)
            if clock.first_token
            else 0.0,
            decode_tps=self._rate(self.n_output - 1, decode_s),
        )

    @staticmethod
    def _rate(count: int, seconds: float) -> float:
        return count / seconds if count > 0 and seconds > 0.0 else 0.0


@dataclass(slots=True)
class Reading:
    """A prompt that is read ahead of being asked for."""

    tokens: list[int]
    scope: str
    slot: "Slot | None" = None


type Tenant = Run | Reading
"""Who can live in a slot."""


@dataclass(slots=True)
class Slot:
    """One sequence of KV memory: the first `n_past` of `tokens` are in it."""

    seq_id: int
    tokens: list[int] = field(default_factory=list)
    n_past: int = 0
    run: Tenant | None = None
    used_at: int = 0
    scope: str = ""
    is_unsaved: bool = False
    """Whether it holds what is to be put on the disk."""

    stretches: list[tuple[object, int]] = field(default_factory=list)
    """Whose cells of memory its tokens are in: marks with the place from which each holds. What is
    copied from another slot keeps that one's marks."""

    def begin_stretch(self) -> None:
        """From here on it writes into cells of its own."""
        kept = [(mark, start) for mark, start in self.stretches if start < self.n_past]
        self.stretches = [*kept, (object(), self.n_past)]

    @property
    def is_free(self) -> bool:
        """Whether no reply lives in it; what it remembers may still be useful."""
        return self.run is None

    def count_shared(self, tokens: Sequence[int]) -> int:
        """How many tokens at the beginning of `tokens` it remembers."""
        return count_common(self.tokens, tokens, self.n_past)


class Slots:
    """All sequences of one context: finds the best place for a prompt, trims, forgets."""

    def __init__(
        self,
        context: Context,
        n_swa: int,
        *,
        is_recurrent: bool,
        snapshots: "Snapshots | None" = None,
    ) -> None:
        self._context = context
        self._snapshots = snapshots
        self._n_swa = n_swa
        self.is_recurrent = is_recurrent
        self._n_uses = 0
        self._checkpoints = Checkpoints(context)
        self._n_high = 0
        """Cells up to the highest one that may be in use."""
        self.all = tuple(Slot(i) for i in range(context.n_seq_max))

    @property
    def can_cut(self) -> bool:
        """Whether a memory can be cut anywhere: only plain attention's can."""
        return not self.is_recurrent and not self._n_swa

    @property
    def n_used(self) -> int:
        """Tokens in memory; what slots share by copy is in it once."""
        return _count_cells((slot, slot.n_past) for slot in self.all)

    def count_known(self, tokens: Sequence[int]) -> int:
        """How many tokens at the beginning are in memory somewhere."""
        return max(slot.count_shared(tokens) for slot in self.all)

    def place(self, run: Tenant) -> bool:
        """Give a run a slot with as much of its prompt as is remembered; False when it must wait.

        At least one token is left to decode, for its logits.
        """
        free = [slot for slot in self.all if slot.is_free]
        source = max(self.all, key=lambda s: (s.count_shared(run.tokens), s.is_free))
        n_shared = min(source.count_shared(run.tokens), len(run.tokens) - 1)
        if not free or not self._can_fit(len(run.tokens) + 1, source, n_shared):
            return False
        target = self._restore(run, free, source, n_shared)
        if target is not None:
            n_shared = target.n_past
        elif (target := self._choose_target(free, source, n_shared)) is source:
            n_shared = self._trim(target, n_shared)
        else:
            n_shared = self._share(source, target, n_shared)
        target.scope = run.scope
        target.tokens, target.n_past, target.run = run.tokens, n_shared, run
        target.begin_stretch()
        run.slot = target
        self._make_room(len(run.tokens) + 1 - n_shared)
        self._leave_alone(target, len(run.tokens) - n_shared)
        self._n_high = max(self._n_high, self.n_used + len(run.tokens) - n_shared)
        self._touch(target)
        return True

    def release(self, run: Tenant) -> None:
        """The run has ended: its slot remembers what was decoded."""
        slot, run.slot = run.slot, None
        if slot is not None:
            slot.tokens = run.tokens[: slot.n_past]
            slot.run = None
            slot.is_unsaved = slot.is_unsaved or isinstance(run, Run)
            self._touch(slot)

    def save_next(self) -> bool:
        """Put one idle conversation's memory on the disk; False when all that matters is there."""
        snapshots = self._snapshots
        for slot in self.all:
            if snapshots is None or not slot.is_free or not slot.is_unsaved:
                continue
            slot.is_unsaved = False
            tokens = slot.tokens[: slot.n_past]
            n_bytes = self._context.count_state_bytes(slot.seq_id) if tokens else 0
            if snapshots.wants(tokens, n_bytes):
                snapshots.keep(slot.scope, tokens, self._context.save_state(slot.seq_id))
                return True
        return False

    def keep_checkpoint(self, slot: Slot) -> None:
        """Keep the state that the slot is in, if its memory cannot be cut back to it later."""
        if not self.can_cut:
            self._checkpoints.keep(slot.seq_id, slot.n_past)

    def take_back(self, slot: Slot, n_written: int) -> None:
        """Cut off the last tokens that a step wrote, those after `n_past`; plain attention only."""
        if n_written > slot.n_past:
            self._context.remove(slot.seq_id, slot.n_past)

    def forget(self, slot: Slot) -> None:
        """Drop what a slot remembers; a run in it will be read again."""
        self._context.remove(slot.seq_id, 0)
        self._checkpoints.forget(slot.seq_id)
        slot.n_past = 0
        slot.begin_stretch()

    def forget_all(self) -> None:
        """Drop everything."""
        self._context.clear()
        self._checkpoints.forget_all()
        for slot in self.all:
            slot.n_past = 0
            slot.begin_stretch()

    def forget_oldest(self) -> bool:
        """Drop the free slot that was used longest ago; False when none remembers anything."""
        kept = [slot for slot in self.all if slot.is_free and slot.n_past]
        if not kept:
            return False
        self.forget(min(kept, key=lambda slot: slot.used_at))
        return True

    def resynchronise(self, slots: Sequence[Slot]) -> None:
        """After a decode that did not finish: believe only what the memory says it holds."""
        for slot in slots:
            n_held = self._context.last_position(slot.seq_id) + 1
            if self.is_recurrent or n_held < slot.n_past:
                slot.n_past = self._go_back(slot, slot.n_past)
            elif n_held > slot.n_past:
                slot.n_past = self._trim_to(slot, slot.n_past)

    def _restore(self, run: Tenant, free: list[Slot], source: Slot, n_shared: int) -> Slot | None:
        """Fill a slot from the disk where that saves more reading than what is in memory."""
        snapshots = self._snapshots
        found = snapshots and snapshots.find(
            run.tokens, n_shared, self._context.n_ctx, is_whole=not self.can_cut
        )
        if snapshots is None or not found:
            return None
        snapshot, n_kept = found
        if not self._can_fit(len(snapshot.tokens)):
            return None
        data = snapshots.read(snapshot)
        if data is None:
            return None
        others = [slot for slot in free if slot is not source]
        target = min(others or free, key=lambda slot: (slot.n_past > 0, slot.used_at))
        self.forget(target)
        self._make_room(len(snapshot.tokens))
        if not self._context.load_state(target.seq_id, data):
            snapshots.drop(snapshot)
            return None
        target.tokens, target.n_past = snapshot.tokens.tolist(), len(snapshot.tokens)
        target.n_past = self._trim(target, n_kept)
        return target

    def _choose_target(self, free: list[Slot], source: Slot, n_shared: int) -> Slot:
        """Go on in place when that loses little; else an empty or the longest unused slot.

        Memory that cannot be shared also goes on in place where it can go back far enough.
        """
        n_back = 0 if self.can_cut else self._checkpoints.find(source.seq_id, n_shared)
        if source.is_free and (n_shared * 2 >= source.n_past or n_back * 2 > n_shared):
            return source
        others = [slot for slot in free if slot is not source]
        return min(others or free, key=lambda slot: (slot.n_past > 0, slot.used_at))

    def _can_fit(self, n_tokens: int, shared_with: Slot | None = None, n_shared: int = 0) -> bool:
        """Whether the tokens fit beside the live replies, with all idle slots forgotten."""
        live = [(slot, len(slot.run.tokens)) for slot in self.all if slot.run is not None]
        if shared_with is None or shared_with.is_free or not self.can_cut:
            n_shared = 0
        return not live or _count_cells(live) + n_tokens - n_shared <= self._context.n_ctx

    def _make_room(self, n_missing: int) -> None:
        """Forget idle slots, oldest first, until the missing tokens fit."""
        while self.n_used + n_missing > self._context.n_ctx and self.forget_oldest():
            pass

    def _leave_alone(self, target: Slot, n_unread: int) -> None:
        """Where a step goes through all cells in use, have few that are not this slot's.

        What is on the disk comes back from there in milliseconds; what is not yet goes there in the
        next idle moment, and leaves the memory after that; before a long reading, at once.
        """
        others = [slot for slot in self.all if slot is not target and slot.n_past]
        snapshots = self._snapshots
        if snapshots is None or not self._context.reads_all or not all(s.is_free for s in others):
            return
        for slot in others:
            slot.is_unsaved = not snapshots.holds(slot.tokens[: slot.n_past])
        if n_unread >= _LONG_READING and any(slot.is_unsaved for slot in others):
            while self.save_next():
                pass
            snapshots.wait(_LONGEST_WAIT_S)
        for slot in others:
            if snapshots.holds(slot.tokens[: slot.n_past]):
                self.forget(slot)
        if self.n_used > target.n_past:
            return
        if target.n_past and self._n_high > target.n_past + _MOST_ABOVE:
            self._move_down(target)
        self._n_high = target.n_past

    def _move_down(self, slot: Slot) -> None:
        """Put the only memory there is into the lowest cells."""
        state = bytearray(self._context.save_state(slot.seq_id))
        self._context.clear()
        if not self._context.load_state(slot.seq_id, state):
            self.forget(slot)

    def _trim(self, slot: Slot, n_keep: int) -> int:
        return n_keep if n_keep == slot.n_past else self._trim_to(slot, n_keep)

    def _trim_to(self, slot: Slot, n_keep: int) -> int:
        """Cut a slot's memory, or go back to a checkpoint; else it has to drop it all."""
        first = self._context.first_position(slot.seq_id)
        is_in_window = self._n_swa == 0 or first <= max(0, n_keep - self._n_swa)
        if is_in_window and n_keep > 0 and self._context.remove(slot.seq_id, n_keep):
            self._checkpoints.forget(slot.seq_id, n_keep)
            return n_keep
        return self._go_back(slot, n_keep)

    def _go_back(self, slot: Slot, n_most: int) -> int:
        n_kept = self._checkpoints.restore(slot.seq_id, n_most)
        if not n_kept:
            self.forget(slot)
        return n_kept

    def _share(self, source: Slot, target: Slot, n_shared: int) -> int:
        """Let a slot begin with another's memory; only plain attention memory can be shared."""
        self.forget(target)
        if not n_shared or not self.can_cut:
            return 0
        self._context.copy(source.seq_id, target.seq_id, n_shared)
        target.stretches = list(source.stretches)
        return n_shared

    def _touch(self, slot: Slot) -> None:
        self._n_uses += 1
        slot.used_at = self._n_uses


def _count_cells(holders: Iterable[tuple[Slot, int]]) -> int:
    """Cells of memory that hold so many first tokens of each slot; shared ones once."""
    ends: dict[object, tuple[int, int]] = {}
    for slot, n_tokens in holders:
        starts = [*(start for _, start in slot.stretches[1:]), n_tokens]
        for (mark, start), end in zip(slot.stretches, starts, strict=False):
            furthest = min(end, n_tokens)
            ends[mark] = (start, max(furthest, ends.get(mark, (start, start))[1]))
    return sum(end - start for start, end in ends.values())
