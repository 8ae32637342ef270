"""Continuous batching: each step decodes one batch over all live replies.

A step takes one token from every reply that is being written, and fills up with pieces of the
prompts that are being read. Used by the worker on its thread alone. A step is never more than one
physical batch, so that an interrupted one leaves nothing behind. Where a GPU does all of it,
nothing can be interrupted: there a step is longer, the text of one token is handed on while the
next is computed, and the device itself passes over what no draw looks at.
"""

import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from inglenook.base.errors import EngineError
from inglenook.engine.chances import Chances
from inglenook.engine.constraints.constrained import NO_TOKEN
from inglenook.engine.llama import Batch, Context, Decoded, Vocab
from inglenook.engine.lookup import MAX_GUESSES, Bets, Lookup
from inglenook.engine.pace import Pace, Paces
from inglenook.engine.prefix import count_common
from inglenook.engine.protocol import (
    Event,
    Failed,
    Finished,
    FinishReason,
    Part,
    Prefill,
    Text,
)
from inglenook.engine.sequence import Reading, Run, Slot, Slots

log = logging.getLogger(__name__)

QUEUE_LIMIT: Final = 64
_FIRST_CHUNK: Final = 128
_MIN_CHUNK: Final = 32
_MIN_SHARED_CHUNK: Final = 4
_STEP_ALONE_S: Final = 3.0
_STEP_DEAF_S: Final = 0.25
"""On a GPU a step cannot be broken off, so a stop waits for its end."""
_STEP_SHARED_S: Final = 0.2
_STEP_AHEAD_S: Final = 0.15
"""How long a step that reads a prompt may last: alone, while other replies wait, and ahead."""
_AHEAD_MARGIN: Final = 16
_FILTERS: Final = (40, 128, 512)
"""So many of the likeliest tokens a device keeps for a draw: few sizes, for each change costs."""


class Scheduler:
    """Owns the live and the waiting replies of one loaded model."""

    def __init__(
        self,
        context: Context,
        vocab: Vocab,
        slots: Slots,
        emit: Callable[[Event], None],
        model_id: str,
        paces: Paces,
        *,
        computes_aside: bool = False,
    ) -> None:
        """`computes_aside`: whether a GPU does all the work of a step, by itself."""
        self._context = context
        self._paces = paces
        self._vocab = vocab
        self._slots = slots
        self._emit = emit
        self._model_id = model_id
        self._computes_aside = computes_aside
        self._batch = Batch(context.n_batch if computes_aside else context.n_ubatch)
        self._chances = Chances(vocab)
        self._live: list[Run] = []
        self._waiting: deque[Run] = deque()
        self._read_tps = 0.0
        self._ahead: Reading | None = None
        self._bets = Bets()
        self._guesses: list[int] = []
        """What was put after the last token of the only live reply, to be checked."""

    @property
    def has_work(self) -> bool:
        """Whether a reply waits for a step."""
        return bool(self._live or self._waiting)

    @property
    def is_reading_ahead(self) -> bool:
        """Whether there is something to read while no reply waits."""
        return self._ahead is not None

    @property
    def takes_drafts(self) -> bool:
        """Whether what may still change can be read ahead: it must be possible to cut it off."""
        return self._slots.can_cut

    def read_ahead(self, tokens: list[int], scope: str) -> None:
        """Take a prompt to read in idle moments, in place of the one before."""
        self._end_ahead()
        fits = _MIN_CHUNK <= len(tokens) < self._context.n_ctx
        if fits and not self.has_work:
            self._ahead = Reading(tokens, scope)

    def step_ahead(self) -> None:
        """Read a piece of what will probably be asked; short, for a reply may come any time."""
        ahead = self._ahead
        if ahead is None or (ahead.slot is None and not self._slots.place(ahead)):
            self._ahead = None
            return
        slot = ahead.slot
        assert slot is not None
        # The last token is left: a reply needs one to decode. Memory that cannot be cut also leaves
        # what may come to be written otherwise when more follows.
        n_left = 1 if self._slots.can_cut else _AHEAD_MARGIN
        budget = max(_MIN_CHUNK, int(self._read_tps * _STEP_AHEAD_S))
        n_tokens = min(len(ahead.tokens) - n_left - slot.n_past, budget, self._batch.capacity)
        if n_tokens <= 0:
            self._end_ahead()
            return
        self._batch.clear()
        self._batch.add_chunk(
            ahead.tokens[slot.n_past : slot.n_past + n_tokens], slot.n_past, slot.seq_id
        )
        self._context.set_threads(self._paces.prefill.n_threads)
        started = time.monotonic()
        outcome = self._context.decode(self._batch)
        if outcome is Decoded.DONE:
            slot.n_past += n_tokens
            self._note_speed(self._paces.prefill, n_tokens, time.monotonic() - started)
            return
        self._slots.resynchronise([slot])
        self._end_ahead()

    def _end_ahead(self) -> None:
        """Leave what was read in memory, for the reply that may ask for it."""
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            self._slots.release(ahead)

    @property
    def n_waiting(self) -> int:
        """How many replies wait for a slot."""
        return len(self._waiting)

    def add(self, run: Run) -> None:
        """Queue a reply; fails it at once when its prompt does not fit the context."""
        self._end_ahead()
        if run.n_prompt >= self._context.n_ctx:
            error = EngineError(
                f"The conversation has {run.n_prompt:,} tokens, but this model's context holds "
                f"{self._context.n_ctx:,}.",
                "Start a new conversation, or choose a longer context in Settings > Engine.",
                code="prompt_too_long",
            )
            self.fail(run, error)
            return
        if run.command.speculates and self._slots.can_cut:
            run.lookup = Lookup(run.tokens)
        self._waiting.append(run)

    def can_interrupt_for(self, run_id: str) -> bool:
        """Whether a running step should be broken off to end this reply. Any thread.

        Other replies lose nothing but that step; a recurrent memory would lose all of theirs.
        """
        live = list(self._live)
        if not any(run.run_id == run_id for run in live):
            return False
        return len(live) == 1 or not self._slots.is_recurrent

    def cancel(self, run_id: str) -> None:
        """End a reply that a person stopped; unknown ids are ignored (it ended by itself)."""
        for run in [*self._live, *self._waiting]:
            if run.run_id == run_id:
                self._finish(run, "cancelled")

    def cancel_all(self) -> None:
        """End every reply as stopped."""
        self._end_ahead()
        for run in [*self._live, *self._waiting]:
            self._finish(run, "cancelled")

    def fail_all(self, error: EngineError) -> None:
        """End every reply as failed."""
        for run in [*self._live, *self._waiting]:
            self.fail(run, error)

    def recover(self, error: EngineError) -> None:
        """After an error of ours in a step: fail every reply, trust no memory."""
        self.fail_all(error)
        self._slots.forget_all()

    def close(self) -> None:
        """Free what is its own; no reply is live any more."""
        self._chances.close()

    def rest(self) -> bool:
        """Use an idle moment to put a conversation's memory on the disk; False: none is left."""
        return self._slots.save_next()

    def step(self) -> None:
        """Admit what fits, decode one batch, and hand on what it gave."""
        self._admit()
        sampled, read = self._fill_batch()
        if not self._batch.n_tokens:
            return
        pace = self._paces.prefill if read else self._paces.for_decode(len(sampled))
        # Checking guesses is work like reading; the thread counts to try are found out elsewhere.
        self._context.set_threads(self._paces.prefill.chosen if self._guesses else pace.n_threads)
        is_usual = not pace.is_trying or bool(self._guesses)
        started = time.monotonic()
        outcome = self._context.decode(self._batch, self._tell_drawn)
        if outcome is Decoded.DONE:
            seconds = time.monotonic() - started
            if not self._guesses:
                self._note_speed(pace, sum(n for _, n in read), seconds)
            if len(self._live) == 1 and not read and is_usual:
                self._bets.note(self._batch.n_tokens, seconds)
            self._take_results(sampled, read)
        elif outcome is Decoded.NO_SPACE and self._guesses:
            self._live[0].lookup = None  # It needs the room itself.
        elif outcome is Decoded.NO_SPACE:
            self._make_space()
        else:
            self._slots.resynchronise([run.slot for run in self._live if run.slot is not None])
            if outcome is Decoded.FAILED:
                self._give_up()

    # --- filling ---

    def _admit(self) -> None:
        for run in list(self._waiting):
            if self._is_being_read(run):
                continue
            if not self._slots.place(run):
                break
            self._waiting.remove(run)
            self._live.append(run)
            if run.slot is not None and self._computes_aside and self._context.can_filter:
                enough = (n for n in _FILTERS if 0 < run.n_best <= n)
                self._context.hand_over(run.slot.seq_id, next(enough, 0))
            if run.slot is not None and not run.clock.started:
                run.clock.started = time.monotonic()
                run.n_cached = run.slot.n_past
            self._tell_prefill(run)

    def _is_being_read(self, run: Run) -> bool:
        """Whether another reply is just reading much of this one's prompt: it is read once."""
        if not self._slots.can_cut:
            return False
        n_known = self._slots.count_known(run.tokens)
        for other in self._live:
            slot = other.slot
            if slot is not None and slot.n_past < other.n_prompt - 1:
                n_shared = count_common(other.tokens, run.tokens, other.n_prompt - 1)
                if n_shared >= max(n_known, slot.n_past) + _MIN_CHUNK:
                    return True
        return False

    def _fill_batch(self) -> tuple[list[tuple[Run, int]], list[tuple[Run, int]]]:
        """Fill the batch; returns (run, index of its logits) and (run, prompt tokens in it)."""
        batch = self._batch
        batch.clear()
        self._guesses = []
        sampled: list[tuple[Run, int]] = []
        read: list[tuple[Run, int]] = []
        reading: list[tuple[Run, Slot, int]] = []
        for run in self._live:
            slot = run.slot
            if slot is None:
                continue
            n_pending = len(run.tokens) - slot.n_past
            if n_pending == 1:
                index = batch.add(run.tokens[-1], slot.n_past, slot.seq_id, wants_logits=True)
                sampled.append((run, index))
                self._add_guesses(run, slot)
            else:
                reading.append((run, slot, n_pending))
        budget = self._choose_budget(is_shared=bool(sampled))
        for run, slot, n_pending in reading:
            n_tokens = min(n_pending, budget, batch.capacity - batch.n_tokens)
            if n_tokens <= 0:
                break
            if not self._slots.can_cut:
                ends = (at - slot.n_past for at in run.checkpoints if at > slot.n_past)
                n_tokens = min([n_tokens, *ends])
            index = self._add_prompt(run, slot, n_tokens, is_last=n_tokens == n_pending)
            if n_tokens == n_pending:
                sampled.append((run, index))
            read.append((run, n_tokens))
            budget -= n_tokens
        return sampled, read

    def _add_guesses(self, run: Run, slot: Slot) -> None:
        """Put guesses at the next tokens after the last one, where checking them should pay."""
        lookup = run.lookup
        if lookup is None or len(self._live) > 1:
            return
        lookup.follow()
        room = min(MAX_GUESSES, self._batch.capacity - 1, self._context.n_ctx - len(run.tokens))
        if run.command.max_tokens is not None:
            room = min(room, run.command.max_tokens - run.n_output - 1)
        self._guesses = lookup.guess(self._bets.choose(lookup, room))
        for i, token in enumerate(self._guesses, 1):
            self._batch.add(token, slot.n_past + i, slot.seq_id, wants_logits=True)
        run.n_guessed += len(self._guesses)

    def _add_prompt(self, run: Run, slot: Slot, n_tokens: int, *, is_last: bool) -> int:
        end = slot.n_past + n_tokens
        n_plain = n_tokens - 1 if is_last else n_tokens
        self._batch.add_chunk(
            run.tokens[slot.n_past : slot.n_past + n_plain], slot.n_past, slot.seq_id
        )
        if not is_last:
            return -1
        return self._batch.add(run.tokens[end - 1], end - 1, slot.seq_id, wants_logits=True)

    def _choose_budget(self, *, is_shared: bool) -> int:
        """How many prompt tokens a step may read, by the speed measured so far."""
        if is_shared:
            n_tokens = int(self._read_tps * _STEP_SHARED_S) if self._read_tps else _MIN_CHUNK
            return max(_MIN_SHARED_CHUNK, n_tokens)
        if not self._read_tps:
            return _FIRST_CHUNK if self._context.can_interrupt else _MIN_CHUNK
        if self._paces.prefill.is_trying:
            return _MIN_CHUNK  # A try of the wrong count should not cost much.
        step_s = _STEP_ALONE_S if self._context.can_interrupt else _STEP_DEAF_S
        # Products of matrices come in tiles, and a GPU likes whole physical batches: those are read
        # fastest.
        n_tokens, n_whole = int(self._read_tps * step_s), self._context.n_ubatch
        n_tile = n_whole if self._computes_aside and n_tokens >= n_whole else _MIN_CHUNK
        return max(1, n_tokens // n_tile) * n_tile

    def _note_speed(self, pace: Pace, n_read: int, seconds: float) -> None:
        if not n_read:
            pace.note(seconds)
        elif n_read >= _MIN_SHARED_CHUNK and seconds > 0.0:
            if n_read >= _MIN_CHUNK:
                pace.note(seconds, self._batch.n_tokens)
            tps = self._batch.n_tokens / seconds
            self._read_tps = tps if not self._read_tps else 0.5 * (self._read_tps + tps)

    # --- results ---

    def _take_results(self, sampled: list[tuple[Run, int]], read: list[tuple[Run, int]]) -> None:
        for run, n_tokens in read:
            if run.slot is not None:
                run.slot.n_past += n_tokens
                if run.slot.n_past in run.checkpoints:
                    self._slots.keep_checkpoint(run.slot)
                if not run.n_output:
                    self._tell_prefill(run)
        is_reading = {run.run_id for run, _ in read}
        for run, index in sampled:
            if run.slot is not None and run.run_id not in is_reading:
                run.slot.n_past += 1
            slot = run.slot
            self._take_token(run, index)
            if self._guesses and slot is not None:
                self._check_guesses(run, slot, index)

    def _check_guesses(self, run: Run, slot: Slot, index: int) -> None:
        """Draw on while what is drawn is what was guessed; forget the guesses after that."""
        n_written = slot.n_past + len(self._guesses)
        for i, guess in enumerate(self._guesses, 1):
            is_forced = len(run.tokens) != slot.n_past + 1
            if run.slot is None or is_forced or run.tokens[-1] != guess:
                break
            slot.n_past += 1
            run.n_guessed_right += 1
            self._take_token(run, index + i)
        self._slots.take_back(slot, n_written)

    def _take_token(self, run: Run, index: int) -> None:
        """Draw one token and have its text handed on; ends the reply when it is over."""
        self._hand_on(run)
        if self._end_if_over(run) or self._force_tokens(run):
            return
        try:
            token = run.sampler.sample(self._context, index)
        except EngineError as error:
            self.fail(run, error)
            return
        now = time.monotonic()
        if token == NO_TOKEN or self._vocab.is_end(token):
            run.clock.first_token = run.clock.first_token or now
            run.clock.last_token = run.clock.last_token or now
            self._finish(run, "stop")
            return
        run.tokens.append(token)
        run.count_token(now)
        n_alternatives = run.command.n_alternatives
        if n_alternatives is not None:
            drawn = self._chances.read(self._context, index, token, n_alternatives)
            run.pending_tokens.append(drawn)
        run.unheard = token, now
        if not self._computes_aside:
            self._hand_on(run)
        self._end_if_over(run)

    def _end_if_over(self, run: Run) -> bool:
        """End a reply that may not go on, or said what stops it; whether that was so."""
        limit = run.command.max_tokens
        is_long = limit is not None and run.n_output >= limit
        is_full = len(run.tokens) > self._context.n_ctx
        if is_long or is_full:
            self._hand_on(run)  # The last token may hold what stops it.
        if run.stream.is_stopped:
            self._finish(run, "stop")
        elif is_long:
            self._finish(run, "length")
        elif is_full:
            self._finish(run, "context_full")
        else:
            return False
        return True

    def _tell_drawn(self) -> None:
        """Hand on all that was drawn, while a device computes what comes next."""
        for run in self._live:
            self._hand_on(run)

    def _hand_on(self, run: Run) -> None:
        """Hand on the text of the token that was drawn last, unless that was done."""
        if run.unheard is not None:
            (token, drawn_at), run.unheard = run.unheard, None
            self._tell_parts(run, run.feed(token, self._vocab.piece(token), drawn_at), drawn_at)

    def _force_tokens(self, run: Run) -> bool:
        """Put the end of reasoning that took all of its budget; the next step reads it."""
        forced = run.take_forced_tokens()
        if not forced:
            return False
        now = time.monotonic()
        for token in forced:
            run.tokens.append(token)
            run.count_token(now)
            self._tell_parts(run, run.feed(token, self._vocab.piece(token), now), now)
        run.sampler.accept(forced)
        self._end_if_over(run)
        return True

    def _tell_parts(
        self, run: Run, parts: list[tuple[Part, str]], now: float, *, is_last: bool = False
    ) -> None:
        """Hand on what is certain, with the tokens drawn since; the last ones even without text."""
        if is_last and run.pending_tokens and not parts:
            parts = [(run.stream.part, "")]
        for part, text in parts:
            run.clock.first_text = run.clock.first_text or now
            tokens, run.pending_tokens = tuple(run.pending_tokens), []
            self._emit(
                Text(
                    run_id=run.run_id,
                    piece=text,
                    n_tokens=run.n_output,
                    part=part,
                    tokens=tokens,
                )
            )
        meter = run.make_meter(now, self._context.n_threads)
        if meter is not None:
            self._emit(meter)

    def _tell_prefill(self, run: Run) -> None:
        if run.slot is not None:
            self._emit(
                Prefill(
                    run_id=run.run_id,
                    n_done=min(run.slot.n_past, run.n_prompt),
                    n_prompt=run.n_prompt,
                    n_cached=run.n_cached,
                )
            )

    # --- endings ---

    def _finish(self, run: Run, reason: FinishReason) -> None:
        """End a reply in order. A character cut in half is told only if the model left it so."""
        self._hand_on(run)
        rest = run.stream.finish(is_whole=reason == "stop")
        self._tell_parts(run, rest, time.monotonic(), is_last=True)
        self._drop(run)
        self._emit(
            Finished(
                run_id=run.run_id,
                model_id=self._model_id,
                reason=reason,
                usage=run.make_usage(),
                timings=run.make_timings(),
            )
        )

    def fail(self, run: Run, error: EngineError) -> None:
        """End a reply by a fault; its text so far stands."""
        self._hand_on(run)
        rest = run.stream.finish(is_whole=False)
        self._tell_parts(run, rest, time.monotonic(), is_last=True)
        self._drop(run)
        self._emit(
            Failed(
                run_id=run.run_id,
                code=error.code,
                message=error.message,
                hint=error.hint,
                usage=run.make_usage(),
                timings=run.make_timings(),
            )
        )

    def _drop(self, run: Run) -> None:
        if run in self._live:
            self._live.remove(run)
        elif run in self._waiting:
            self._waiting.remove(run)
        self._slots.release(run)
        run.sampler.close()

    def _make_space(self) -> None:
        """The memory is full: forget an idle conversation, else let the youngest reply wait."""
        if self._slots.forget_oldest():
            return
        if len(self._live) == 1:
            self._finish(self._live[0], "context_full")
            return
        youngest = self._live.pop()
        self._slots.release(youngest)
        self._slots.forget_oldest()
        self._waiting.appendleft(youngest)

    def _give_up(self) -> None:
        """The library failed on the batch: its memory cannot be trusted any more."""
        log.error("a decode failed with %d live replies", len(self._live))
        self._slots.forget_all()
        error = EngineError(
            "The engine could not go on with this reply.",
            "Retry; if it happens again, load the model again or choose a shorter context.",
            code="decode_failed",
        )
        for run in list(self._live):
            self.fail(run, error)
