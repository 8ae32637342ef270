"""The thread that owns the model: loads, decodes, unloads, and nothing else.

Hosted by the child process (`host`) or the calling one (`local`). `submit` may be called from any
thread; events leave through `emit`, from this thread but for two kinds that are told at once: the
end of a reply that was cancelled before it began, and answers of the prompt thread. Whatever goes
wrong in here becomes an event.
"""

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from inglenook.base.errors import EngineError, ModelError, UserError
from inglenook.engine import gpu_faults
from inglenook.engine.constraints.constrained import Constrainer
from inglenook.engine.constraints.matcher import Matcher
from inglenook.engine.embedding import (
    LIMIT_REQUESTS,
    Embedder,
    Tokenised,
    make_failure,
    tokenise_texts,
)
from inglenook.engine.llama import Library
from inglenook.engine.loading.loader import Loader, LoadStoppedError, is_same_load
from inglenook.engine.loading.room import NoRoomError
from inglenook.engine.measuring.gauge import measure_machine
from inglenook.engine.native_log import NativeLog
from inglenook.engine.prompts.preparer import Preparer, explain_bug
from inglenook.engine.prompts.prompt import Prompt, PromptMaker
from inglenook.engine.prompts.template import TemplateRenderer
from inglenook.engine.protocol import (
    Cancel,
    Command,
    CountTokens,
    Embed,
    EngineReady,
    Event,
    Failed,
    Finished,
    Gauge,
    Gauged,
    Generate,
    Load,
    LoadFailed,
    Loading,
    ReadAhead,
    Shutdown,
    TokenCount,
    Unload,
    Unloaded,
)
from inglenook.engine.scheduler import Scheduler
from inglenook.engine.session import Pending, Session

log = logging.getLogger(__name__)
_REST_AFTER_S = 1.5
"""So long after the last step an idle moment is used to keep memory on the disk."""


@dataclass(slots=True)
class _Prepared:
    """The prompt thread's answer."""

    run_id: str
    prompt: Prompt = field(default_factory=lambda: Prompt([]))
    matcher: Matcher | None = None
    error: EngineError | None = None


@dataclass(slots=True)
class _Beginning:
    """The prompt thread's answer about what may be read ahead."""

    tokens: list[int]
    scope: str


type _Item = Command | _Prepared | _Beginning | Tokenised


class Worker:
    """Runs commands in order on its own thread; cancels and aborted loads jump the queue."""

    def __init__(self, emit: Callable[[Event], None]) -> None:
        self._emit = emit
        self._inbox: deque[_Item] = deque()
        self._changed = threading.Condition()
        self._pending: dict[str, Pending] = {}
        self._tokenising: set[str] = set()
        self._loading: Load | None = None
        self._stops_load = False
        self._session: Session | None = None
        self._load_error: ModelError | None = None
        self._log = NativeLog()
        self._library: Library | None = None
        self._is_closed = False
        self._may_rest = False
        self._idle_since = time.monotonic()
        self._thread = threading.Thread(target=self._serve, name="engine-worker", daemon=True)

    @property
    def is_busy(self) -> bool:
        """Whether a load, a reply or a command is under way."""
        session = self._session
        return bool(
            self._inbox
            or self._pending
            or self._loading
            or self._tokenising
            or (session is not None and (session.scheduler.has_work or session.embedder.has_work))
        )

    def start(self) -> None:
        """Start the thread; `EngineReady` follows."""
        self._thread.start()

    def submit(self, command: Command) -> None:
        """Queue a command. Any thread; returns at once."""
        ended: Finished | None = None
        with self._changed:
            if self._is_closed:
                return
            match command:
                case Generate():
                    if command.run_id in self._pending:
                        log.error("a reply was asked for twice")
                        return
                    self._pending[command.run_id] = Pending(command)
                case Cancel():
                    ended = self._take_pending(command.run_id)
                case Load() if self._loading is not None and not is_same_load(
                    command, self._loading
                ):
                    self._stops_load = True
                case Unload() | Shutdown():
                    self._stops_load = True
                    self._is_closed = isinstance(command, Shutdown)
                case _:
                    pass
            self._inbox.append(command)
            self._interrupt_for(command)
            self._changed.notify_all()
        if ended is not None:
            self._emit(ended)

    def join(self, timeout_s: float) -> bool:
        """Wait for the thread to end after a `Shutdown`; False when it has not."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _take_pending(self, run_id: str) -> Finished | None:
        """Forget a reply that no model has begun; returns the event that ends it."""
        pending = self._pending.pop(run_id, None)
        if pending is None:
            return None
        return pending.make_cancelled(self._loading.model_id if self._loading is not None else "")

    def _interrupt_for(self, command: Command) -> None:
        """Break off the running decode when the command is about what it decodes."""
        session = self._session
        if session is None:
            return
        if isinstance(command, Generate | Load | Unload | Shutdown):
            session.embedder.interrupt()  # So do vectors: what was read of a text is kept.
        if isinstance(command, Generate | ReadAhead) and session.scheduler.is_reading_ahead:
            session.loaded.context.interrupt()  # What is read ahead makes way.
        ends_all = isinstance(command, Unload | Shutdown) or (
            isinstance(command, Load) and not is_same_load(command, session.loaded.command)
        )
        if ends_all or (
            isinstance(command, Cancel) and session.scheduler.can_interrupt_for(command.run_id)
        ):
            session.loaded.context.interrupt()

    # --- the thread ---

    def _serve(self) -> None:
        renderer = TemplateRenderer()
        try:
            renderer.start()
            library = Library(self._log.take)
            self._emit(_describe_library(library))
        except Exception as error:
            log.exception("the engine could not start")
            self._refuse_all(error)
            renderer.close()
            return
        loader = Loader(library, self._log.follow)
        self._library = library
        preparer = Preparer()
        try:
            self._run(loader, preparer, renderer)
        finally:
            self._unload(preparer)
            preparer.close()
            renderer.close()

    def _run(self, loader: Loader, preparer: Preparer, renderer: TemplateRenderer) -> None:
        while True:
            session = self._session
            if session is not None:
                session.loaded.context.allow()
                session.embedder.allow()
            is_busy = session is not None and (
                session.scheduler.has_work or session.embedder.has_work
            )
            reads = session is not None and session.scheduler.is_reading_ahead
            item = self._take(waits=not is_busy and not reads, limit_s=self._find_wait())
            self._may_rest = self._may_rest or is_busy or reads
            if item is not None or is_busy or reads:
                self._idle_since = time.monotonic()
            try:
                if item is None and self._is_due_to_sleep():
                    self._fall_asleep(preparer)
                elif item is None and session is not None:
                    self._work(session.scheduler, session.embedder)
                elif isinstance(item, Shutdown):
                    return
                elif item is not None:
                    self._handle(item, loader, preparer, renderer)
                    self._idle_since = time.monotonic()  # It may have been a long load.
            except Exception as error:
                log.exception("the engine failed on %s", type(item).__name__)
                self._recover(item, error)

    def _find_wait(self) -> float | None:
        """How long an idle moment may last before something of our own is to be done."""
        waits = [_REST_AFTER_S] if self._may_rest else []
        if (sleeps_at := self._find_bedtime()) is not None:
            waits.append(max(0.0, sleeps_at - time.monotonic()))
        return min(waits, default=None)

    def _find_bedtime(self) -> float | None:
        """When the loaded model is to be put away if nobody asks; None is never."""
        session = self._session
        keeps_s = session.loaded.command.options.keeps_idle_s if session is not None else None
        return None if keeps_s is None else self._idle_since + keeps_s

    def _is_due_to_sleep(self) -> bool:
        sleeps_at = self._find_bedtime()
        with self._changed:
            waits_for_prompt = bool(self._pending or self._inbox)
        return sleeps_at is not None and not waits_for_prompt and time.monotonic() >= sleeps_at

    def _fall_asleep(self, preparer: Preparer) -> None:
        """Put the model away for being idle; what conversations have in memory is kept first."""
        session = self._session
        if session is None:
            return
        model_id = session.facts.model_id
        log.info("the model was idle and is put away")
        self._unload(preparer, has_time=True)
        self._emit(Unloaded(asleep_id=model_id))

    def _work(self, scheduler: Scheduler, embedder: Embedder) -> None:
        """One step: replies, vectors, then what may be asked soon, then what should be kept."""
        if scheduler.has_work and not embedder.is_due:
            scheduler.step()
        elif embedder.has_work:
            embedder.step(is_shared=scheduler.has_work)
        elif scheduler.is_reading_ahead:
            scheduler.step_ahead()
        else:
            self._may_rest = scheduler.rest()

    def _take(self, *, waits: bool, limit_s: float | None = None) -> _Item | None:
        """The next item; None where there is none and none is waited for, or not any longer."""
        with self._changed:
            if waits:
                self._changed.wait_for(lambda: bool(self._inbox), limit_s)
            return self._inbox.popleft() if self._inbox else None

    def _handle(
        self,
        item: _Item,
        loader: Loader,
        preparer: Preparer,
        renderer: TemplateRenderer,
    ) -> None:
        match item:
            case Load():
                self._load(item, loader, preparer, renderer)
            case Unload():
                self._unload(preparer)
                self._load_error = None
                self._emit(Unloaded())
            case Generate():
                self._prepare(item, preparer)
            case _Prepared():
                self._begin(item)
            case Cancel() if self._session is not None:
                self._session.scheduler.cancel(item.run_id)
            case ReadAhead():
                self._prepare_ahead(item, preparer)
            case _Beginning() if self._session is not None:
                self._session.scheduler.read_ahead(item.tokens, item.scope)
            case CountTokens():
                self._count(item, preparer)
            case Embed():
                self._prepare_vectors(item, preparer)
            case Tokenised():
                self._begin_vectors(item)
            case Gauge():
                self._emit(self._measure_machine(item))
            case _:
                pass

    def _measure_machine(self, command: Gauge) -> Gauged:
        """Measure while nothing else is to be done."""
        if self._library is None or self._session is not None:
            return Gauged(message="A model is loaded, so this machine is not measured now.")

        def is_stopped() -> bool:
            with self._changed:
                return bool(self._inbox)

        return measure_machine(self._library, command, self._log.follow, is_stopped)

    # --- loading ---

    def _load(
        self, command: Load, loader: Loader, preparer: Preparer, renderer: TemplateRenderer
    ) -> None:
        session = self._session
        if session is not None and session.loaded.is_answer_to(command):
            session.loaded.command = command  # It may say how long to stay.
            self._emit(session.facts)
            return
        self._unload(preparer)
        with self._changed:
            self._loading = command
            self._stops_load = any(
                isinstance(c, Unload | Shutdown)
                or (isinstance(c, Load) and not is_same_load(c, command))
                for c in self._inbox
            )
        started = time.monotonic()
        try:
            self._load_now(command, loader, renderer)
        finally:
            with self._changed:
                self._loading = None
                for pending in self._pending.values():
                    waited_from = max(started, pending.clock.arrived)
                    pending.clock.load_s += time.monotonic() - waited_from

    def _load_now(self, command: Load, loader: Loader, renderer: TemplateRenderer) -> None:
        def tell(fraction: float) -> None:
            self._emit(Loading(model_id=command.model_id, fraction=fraction))

        self._load_error = ModelError("The model could not be loaded.", code="internal")
        tell(0.0)
        try:
            loaded = loader.load(command, tell, lambda: self._stops_load)
        except LoadStoppedError:
            self._fail_load(command, ModelError("Loading was stopped.", code="cancelled"))
            return
        except ModelError as error:
            self._fail_load(command, error)
            return
        try:
            session = Session(loaded, renderer, self._tell_of_session)
        except BaseException:
            loaded.close()
            raise
        self._load_error = None
        self._session = session
        self._emit(session.facts)

    def _tell_of_session(self, event: Event) -> None:
        """Pass an event on; a step that failed on a graphics card says so."""
        if isinstance(event, Failed) and event.code == "decode_failed":
            event = self._name_gpu_fault(event)
        self._emit(event)

    def _name_gpu_fault(self, event: Failed) -> Failed:
        session = self._session
        if session is None or not session.facts.n_layers_gpu:
            return event
        fault = self._log.find_gpu_fault()
        if fault is None:
            return event
        return msgspec.structs.replace(
            event, code=fault, message=gpu_faults.MESSAGES[fault], hint=gpu_faults.HINTS[fault]
        )

    def _fail_load(self, command: Load, error: UserError) -> None:
        self._load_error = ModelError(error.message, error.hint, code=error.code)
        room = error if isinstance(error, NoRoomError) else None
        self._emit(
            LoadFailed(
                model_id=command.model_id,
                code=error.code,
                message=error.message,
                hint=error.hint,
                fitting_n_ctx=room.fitting_n_ctx if room is not None else 0,
                fits_cpu=room is not None and room.fits_cpu,
            )
        )

    def _unload(self, preparer: Preparer, *, has_time: bool = False) -> None:
        """End what runs, wait for who still reads the vocabulary, free: in this order."""
        session = self._session
        if session is None:
            return
        session.scheduler.cancel_all()
        preparer.drain()
        self._fail_vectors(session)
        with self._changed:
            later = {c.run_id for c in self._inbox if isinstance(c, Generate)}
            ended = [self._take_pending(run_id) for run_id in set(self._pending) - later]
            self._session = None
        for event in ended:
            if event is not None:
                self._emit(event)
        session.close(has_time=has_time)

    # --- replies ---

    def _prepare(self, command: Generate, preparer: Preparer) -> None:
        """Check a reply and hand its prompt to the prompt thread."""
        session = self._session
        try:
            if session is None:
                raise self._explain_no_model()
            session.check(command, len(self._pending))
        except EngineError as error:
            self._fail_pending(command.run_id, error)
            return
        maker, constrainer = session.maker, session.constrainer

        def job() -> None:
            with self._changed:
                if command.run_id not in self._pending:
                    return
            prepared = _make_tokens(command, maker, constrainer)
            with self._changed:
                self._inbox.append(prepared)
                self._changed.notify_all()

        preparer.put(job)

    def _prepare_ahead(self, command: ReadAhead, preparer: Preparer) -> None:
        """Hand what is to be read ahead to the prompt thread; the newest wins."""
        session = self._session
        if session is None or not session.facts.writes:
            return
        session.scheduler.read_ahead([], "")
        maker, messages = session.maker, command.messages
        if not session.scheduler.takes_drafts and messages and messages[-1].role == "user":
            messages = messages[:-1]

        def job() -> None:
            try:
                tokens = maker.make_ahead(messages, thinks=command.thinks)
            except EngineError:
                return
            with self._changed:
                self._inbox.append(_Beginning(tokens, command.scope))
                self._changed.notify_all()

        if messages:
            preparer.put(job)

    def _begin(self, prepared: _Prepared) -> None:
        """Move a prepared reply to the scheduler."""
        session = self._session
        with self._changed:
            pending = self._pending.pop(prepared.run_id, None)
        if pending is None or session is None:
            return
        if prepared.error is not None:
            self._emit(pending.make_failed(prepared.error))
            return
        try:
            session.begin(pending, prepared.prompt, prepared.matcher)
        except EngineError as error:
            self._emit(pending.make_failed(error))
        except Exception as error:
            log.exception("a reply could not begin")
            self._emit(pending.make_failed(explain_bug(error)))

    def _count(self, command: CountTokens, preparer: Preparer) -> None:
        session = self._session
        n_ctx = session.loaded.facts.n_ctx if session is not None else 0

        def job() -> None:
            n_tokens = -1
            try:
                if session is not None:
                    n_tokens = session.maker.count(command.messages)
            except EngineError:
                n_tokens = -1
            self._emit(TokenCount(request_id=command.request_id, n_tokens=n_tokens, n_ctx=n_ctx))

        if session is None:
            job()
        else:
            preparer.put(job)

    # --- vectors ---

    def _prepare_vectors(self, command: Embed, preparer: Preparer) -> None:
        """Hand the texts to the prompt thread."""
        session = self._session
        if session is None:
            self._emit(make_failure(command.request_id, self._explain_no_model()))
            return
        with self._changed:
            is_full = len(self._tokenising) + session.embedder.n_requests >= LIMIT_REQUESTS
            if not is_full:
                self._tokenising.add(command.request_id)
        if is_full:
            error = EngineError("Too many texts are waiting for vectors.", code="queue_full")
            self._emit(make_failure(command.request_id, error))
            return
        vocab, limit = session.loaded.model.vocab, session.embedder.limit_tokens

        def job() -> None:
            tokenised: Tokenised | None = None
            try:
                tokenised = tokenise_texts(command, vocab, limit)
            except EngineError as error:
                failure = make_failure(command.request_id, error)
            except Exception as error:
                log.exception("texts could not be tokenised")
                failure = make_failure(command.request_id, explain_bug(error))
            with self._changed:
                if tokenised is not None:
                    self._inbox.append(tokenised)
                    self._changed.notify_all()
                    return
                self._tokenising.discard(command.request_id)
            self._emit(failure)

        preparer.put(job)

    def _begin_vectors(self, tokenised: Tokenised) -> None:
        session = self._session
        with self._changed:
            is_wanted = tokenised.request_id in self._tokenising
            self._tokenising.discard(tokenised.request_id)
        if session is not None and is_wanted:
            session.embedder.add(tokenised)

    def _fail_vectors(self, session: Session) -> None:
        """The model goes: nobody will turn the texts that wait into vectors."""
        error = EngineError(
            "The model was unloaded before the texts were turned into vectors.",
            "Ask again.",
            code="no_model",
        )
        session.embedder.fail_all(error)
        with self._changed:
            waiting, self._tokenising = self._tokenising, set()
        for request_id in waiting:
            self._emit(make_failure(request_id, error))

    def _explain_no_model(self) -> EngineError:
        error = self._load_error
        if error is None:
            return EngineError("No model is loaded.", "Choose a model.", code="no_model")
        return EngineError(error.message, error.hint, code="load_failed")

    def _fail_pending(self, run_id: str, error: EngineError) -> None:
        with self._changed:
            pending = self._pending.pop(run_id, None)
        if pending is not None:
            self._emit(pending.make_failed(error))

    # --- faults ---

    def _recover(self, item: _Item | None, error: Exception) -> None:
        """An exception of ours: say so to whoever waits, and go on."""
        reason = explain_bug(error)
        if isinstance(item, Load):
            self._fail_load(item, reason)
        elif isinstance(item, Generate | _Prepared):
            self._fail_pending(item.run_id, reason)
        elif item is None and self._session is not None:
            self._session.scheduler.recover(reason)
            self._session.embedder.fail_all(reason)

    def _refuse_all(self, error: Exception) -> None:
        """The library cannot be used at all: every command is answered with that."""
        reason = EngineError(
            f"The engine could not start: {error}.",
            "Install Inglenook again; `inglenook doctor` says what it found.",
            code="internal",
        )
        while True:
            item = self._take(waits=True)
            match item:
                case Load():
                    self._fail_load(item, reason)
                case Generate():
                    self._fail_pending(item.run_id, reason)
                case Embed():
                    self._emit(make_failure(item.request_id, reason))
                case CountTokens():
                    answer = TokenCount(request_id=item.request_id, n_tokens=-1, n_ctx=0)
                    self._emit(answer)
                case Gauge():
                    self._emit(Gauged(message=str(reason)))
                case Shutdown():
                    return
                case _:
                    pass


def _describe_library(library: Library) -> EngineReady:
    return EngineReady(
        pid=os.getpid(),
        library_version=library.version,
        backend=", ".join(library.backends),
        devices=library.devices,
        system_info=library.system_info,
    )


def _make_tokens(command: Generate, maker: PromptMaker, constrainer: Constrainer) -> _Prepared:
    """Render and tokenise, on the prompt thread; every fault becomes part of the answer."""
    matcher: Matcher | None = None
    try:
        if command.constraint is not None:
            begun = command.messages[-1:] if command.continue_last else ()
            matcher = constrainer.prepare(command.constraint, "".join(m.content for m in begun))
        prompt = maker.make(
            command.messages, continue_last=command.continue_last, thinks=command.thinks
        )
    except EngineError as error:
        return _Prepared(command.run_id, error=error)
    except Exception as error:
        log.exception("a prompt could not be made")
        return _Prepared(command.run_id, error=explain_bug(error))
    return _Prepared(command.run_id, prompt, matcher)
