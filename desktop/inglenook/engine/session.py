"""One loaded model with what belongs to it: prompt maker, slots, scheduler.

Made by the worker after a load and dropped before the next; used on the worker thread, but for
`maker`, which the prompt thread uses.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from inglenook.base.errors import EngineError
from inglenook.engine.chances import ALTERNATIVES_LIMIT
from inglenook.engine.constraints.constrained import ConstrainedSampler, Constrainer
from inglenook.engine.constraints.matcher import Matcher
from inglenook.engine.embedding import Embedder
from inglenook.engine.llama import Sampler
from inglenook.engine.loading.loader import LoadedModel
from inglenook.engine.pace import Paces
from inglenook.engine.parts import ReplyStream
from inglenook.engine.prompts.prompt import Prompt, PromptMaker
from inglenook.engine.prompts.template import TemplateRenderer
from inglenook.engine.protocol import Event, Failed, Finished, Generate, Timings, Usage
from inglenook.engine.sampling import (
    check_sampling,
    choose_temperature,
    count_lookback,
    count_needed,
    draw_seed,
    make_sampler,
)
from inglenook.engine.scheduler import QUEUE_LIMIT, Scheduler
from inglenook.engine.sequence import Clock, Run, Slots
from inglenook.engine.text import check_stops

_TEMPERATURE_KEY = "general.sampling.temp"


@dataclass(slots=True)
class Pending:
    """A reply that was asked for and that no scheduler has yet."""

    command: Generate
    clock: Clock = field(default_factory=Clock)

    def make_cancelled(self, model_id: str) -> Finished:
        """The event for a reply that was stopped before it began."""
        return Finished(
            run_id=self.command.run_id,
            model_id=model_id,
            reason="cancelled",
            usage=Usage(),
            timings=Timings(queue_s=self.clock.age_s, total_s=self.clock.age_s),
        )

    def make_failed(self, error: EngineError) -> Failed:
        """The event for a reply that could not begin."""
        return Failed(
            run_id=self.command.run_id,
            code=error.code,
            message=error.message,
            hint=error.hint,
            timings=Timings(load_s=self.clock.load_s, total_s=self.clock.age_s),
        )


def _is_all_on_gpu(loaded: LoadedModel) -> bool:
    """Whether the processor computes nothing of a token; the output counts as one layer more."""
    return loaded.facts.n_layers_gpu > loaded.facts.n_layers


def _make_paces(loaded: LoadedModel) -> Paces:
    """Counts that a person chose stay; on a GPU there is nothing to find out."""
    options, facts = loaded.command.options, loaded.facts
    if _is_all_on_gpu(loaded):
        return Paces(facts.n_threads, None, facts.n_threads)
    return Paces(options.n_threads, options.n_threads_batch, facts.n_threads)


class Session:
    """A loaded model at work. `facts` is what `Loaded` says of it."""

    def __init__(
        self,
        loaded: LoadedModel,
        renderer: TemplateRenderer,
        emit: Callable[[Event], None],
    ) -> None:
        model = loaded.model
        self.loaded = loaded
        self.constrainer = Constrainer(model.vocab)
        self.maker = PromptMaker(model.vocab, model.chat_template, renderer)
        self.facts = msgspec.structs.replace(
            loaded.facts,
            template_note=self.maker.note,
            reasoning=self.maker.reasoning.kind,
            reasons_unasked=self.maker.reasoning.is_usual,
        )
        slots = Slots(
            loaded.context,
            model.n_swa,
            is_recurrent=model.is_recurrent,
            snapshots=loaded.snapshots,
        )
        self.scheduler = Scheduler(
            loaded.context,
            model.vocab,
            slots,
            emit,
            loaded.command.model_id,
            _make_paces(loaded),
            computes_aside=_is_all_on_gpu(loaded),
        )
        self.embedder = Embedder(
            model,
            loaded.context,
            loaded.list_adapters(),
            emit,
            loaded.command.model_id,
        )
        self._recommended = model.metadata(_TEMPERATURE_KEY)

    def close(self, *, has_time: bool = False) -> None:
        """Keep what conversations have in memory, then free all."""
        while self.scheduler.rest():
            pass
        self.scheduler.close()
        self.constrainer.close()
        self.embedder.close()
        self.loaded.close(has_time=has_time)

    def check(self, command: Generate, n_pending: int) -> None:
        """Raise `EngineError` for a reply that must not begin."""
        if not self.facts.writes:
            raise EngineError(
                "This model makes vectors of texts, for search; it cannot write.",
                "Choose a chat model.",
                code="not_generative",
            )
        if self.loaded.file.is_damaged():
            raise EngineError(
                "The model file was changed on the disk while it was loaded.",
                "Load the model again, or download it again.",
                code="model_changed",
            )
        if n_pending + self.scheduler.n_waiting > QUEUE_LIMIT:
            raise EngineError(
                "Too many replies are waiting already.",
                "Wait for one to end, or stop one.",
                code="queue_full",
            )
        check_sampling(command.sampling, self.loaded.model.vocab.n_tokens)
        problem = check_stops(command.stop)
        if command.max_tokens is not None and command.max_tokens < 0:
            problem = "The longest reply must be a number of tokens, 0 or more."
        if command.reasoning_budget is not None and command.reasoning_budget < 0:
            problem = "The budget for reasoning must be a number of tokens, 0 or more."
        if not 0 <= (command.n_alternatives or 0) <= ALTERNATIVES_LIMIT:
            problem = f"The number of alternatives must be from 0 to {ALTERNATIVES_LIMIT}."
        if problem:
            raise EngineError(problem, code="bad_request")

    def begin(self, pending: Pending, prompt: Prompt, matcher: Matcher | None = None) -> None:
        """Hand a reply with its prompt, and what it must obey, to the scheduler."""
        command, context, tokens = pending.command, self.loaded.context, prompt.tokens
        seed = draw_seed(command.sampling)
        temperature = choose_temperature(command.sampling, self._recommended)
        sampler = make_sampler(
            command.sampling,
            self.loaded.model.vocab,
            temperature=temperature,
            seed=seed,
            n_ctx=context.n_ctx,
        )
        n_back = count_lookback(command.sampling, context.n_ctx)
        sampler.accept(tokens[len(tokens) - min(n_back, len(tokens)) :])
        stream = ReplyStream(
            (*command.stop, *self.maker.stops),
            self.maker.reasoning.marks,
            begins=prompt.begins,
            n_reasoning=prompt.n_reasoning,
        )
        looks_at_all = matcher is not None or command.n_alternatives is not None
        self.scheduler.add(
            Run(
                command=command,
                tokens=tokens,
                sampler=self._constrain(sampler, matcher, stream, command),
                stream=stream,
                seed=seed,
                n_ctx=context.n_ctx,
                clock=pending.clock,
                n_best=0 if looks_at_all else count_needed(command.sampling, temperature),
                closing=self.maker.reasoning.closing_tokens,
                n_lasting=prompt.n_lasting,
            )
        )

    def _constrain(
        self, sampler: Sampler, matcher: Matcher | None, stream: ReplyStream, command: Generate
    ) -> Sampler | ConstrainedSampler:
        """Let the answer obey; what is thought before it is free."""
        if matcher is None:
            return sampler
        may_think = command.thinks is not False
        return self.constrainer.make_sampler(sampler, matcher, stream, may_think=may_think)
