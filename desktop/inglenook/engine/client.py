"""The app's side of the engine: a child process, kept alive, watched, and told what to do.

`submit` only queues; three threads do the rest. "engine-client" starts the child and writes
commands, "engine-reader" publishes its events, "engine-watchdog" tells of a child that shows no
progress, and kills it when that lasts or when it does not hear a stop. A dead child becomes
`Failed` for each live reply, then `EngineDied`; the next command starts a new one.
"""

import contextlib
import logging
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Final

import msgspec

from inglenook.engine.child import Child, Death
from inglenook.engine.frames import BadFrameError, encode_frame
from inglenook.engine.protocol import (
    Cancel,
    Command,
    Constraint,
    CountTokens,
    Embed,
    EmbedFailed,
    EngineDied,
    Event,
    Failed,
    Finished,
    Gauge,
    Gauged,
    Generate,
    Load,
    LoadFailed,
    PromptMessage,
    Restart,
    Shutdown,
    Stuck,
    Timings,
    TokenCount,
    Unload,
    Unloaded,
    Usage,
)
from inglenook.engine.seam import Engine, EngineState, Publish, StateKeeper
from inglenook.engine.text import clean_text

__all__ = ["ChildEngine", "CrashPolicy", "Engine", "EngineState"]

log = logging.getLogger(__name__)

_LIMIT_CLOSE_S: Final = 2.0
_LIMIT_JOIN_S: Final = 0.5
_LOOK_EVERY_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class CrashPolicy:
    """When to stop starting children: after `n_deaths` within `window_s`, for `pause_s`."""

    n_deaths: int = 3
    window_s: float = 60.0
    pause_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait before a child counts as hung, in seconds.

    `silence_s` without a sign of work while a reply or a load is live until that is told, and
    `gives_up_s` until it is ended; `stop_echo_s` for the echo of a stop; `stop_s` for the reply to
    end after it.
    """

    silence_s: float = 10.0
    gives_up_s: float = 60.0
    stop_echo_s: float = 0.8
    stop_s: float = 5.0


class ChildEngine:
    """The engine with the model in a child process of its own."""

    def __init__(
        self,
        publish: Publish,
        *,
        crashes: CrashPolicy = CrashPolicy(),
        patience: Patience = Patience(),
    ) -> None:
        self._publish_event = publish
        self._crashes = crashes
        self._patience = patience
        self._keeper = StateKeeper()
        self._changed = threading.Condition()
        self._outbox: deque[Command] = deque()
        self._child: Child | None = None
        self._last_load: Load | None = None
        self._deaths: deque[float] = deque(maxlen=crashes.n_deaths)
        self._is_closed = False
        self._threads: list[threading.Thread] = []

    @property
    def state(self) -> EngineState:
        """A frozen snapshot; never waits."""
        return self._keeper.state

    def submit(self, command: Command) -> None:
        """Hand over a command; never waits for its answer. Starts the child where needed."""
        with self._changed:
            if self._is_closed:
                return
            if isinstance(command, Restart):
                child = self._child
                if child is not None:
                    child.kill("restarted")  # Its pipe may be full: nothing is written to it.
                return
            if not self._threads:
                self._start_threads()
            if isinstance(command, Cancel) and self._child is not None:
                self._child.note_cancel(command.run_id)
            self._outbox.append(command)
            self._changed.notify_all()

    def close(self, *, at_once: bool = False) -> None:
        """Cancel all, unload, end the child; idempotent, within three seconds.

        `at_once` ends the child without a wait: nothing in it is worth keeping.
        """
        with self._changed:
            was_closed, self._is_closed = self._is_closed, True
            if not was_closed:
                self._outbox.append(Shutdown())
            self._changed.notify_all()
            threads, child = list(self._threads), self._child
        if at_once and child is not None:
            child.kill("closed")
        self._end_child()
        for thread in threads:
            if thread is not threading.current_thread():
                thread.join(_LIMIT_JOIN_S)
        self._end_child()  # One that was just being started.
        self._keeper.set_off()

    def _end_child(self) -> None:
        with self._changed:
            child = self._child
        if child is not None and not child.wait(_LIMIT_CLOSE_S):
            child.kill("closed")
            child.wait(_LIMIT_JOIN_S)

    def _start_threads(self) -> None:
        for name, target in (("engine-client", self._write), ("engine-watchdog", self._watch)):
            thread = threading.Thread(target=target, name=name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def _publish(self, event: Event) -> None:
        self._keeper.apply(event)
        try:
            self._publish_event(event)
        except Exception:
            log.exception("a listener failed on %s", type(event).__name__)

    # --- the writing thread ---

    def _write(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._outbox))
                command = self._outbox.popleft()
            try:
                self._send(command)
            except Exception:
                log.exception("a command could not be sent")
                self._refuse(command, "internal", "Something went wrong in the engine's client.")
            if isinstance(command, Shutdown):
                self._outlive_child()
                return

    def _outlive_child(self) -> None:
        """Stay while the child keeps what it has: it is tied to this thread, which started it."""
        with self._changed:
            child = self._child
        if child is not None:
            child.wait(_LIMIT_CLOSE_S)

    def _send(self, command: Command) -> None:
        try:
            frame = encode_frame(command)
        except UnicodeEncodeError:
            self._send_cleaned(command)
            return
        except BadFrameError:
            self._refuse(command, "prompt_too_long", "The text is too long for any model.")
            return
        child = self._find_child(command)
        if child is None:
            return
        if isinstance(command, Load):
            self._note_load(command)
        with self._changed:
            self._changed.notify_all()  # There is work now: the watchdog begins to look.
        with contextlib.suppress(OSError):  # The reader sees the same death, and tells it.
            child.write(frame)

    def _send_cleaned(self, command: Command) -> None:
        """Send a command whose text held lone surrogates, which no encoding can carry."""
        cleaned = _clean_command(command)
        if cleaned == command:
            self._refuse(command, "bad_request", "The name of the file is not valid text.")
        else:
            self._send(cleaned)

    def _find_child(self, command: Command) -> Child | None:
        """The child to write to, with the command noted in it; None when there is no need."""
        child = self._child
        if child is not None and child.note(command):
            return child
        match command:
            case Generate() if self._is_closed:
                self._publish(_make_cancelled(command.run_id))
            case Load() if self._is_closed:
                self._refuse(command, "cancelled", "The app is closing.")
            case Gauge() if self._is_closed:
                self._refuse(command, "cancelled", "The app is closing.")
            case Load() | Generate() | Gauge():
                return self._start_for(command)
            case Unload():
                self._publish(Unloaded())
            case CountTokens():
                self._publish(TokenCount(request_id=command.request_id, n_tokens=-1, n_ctx=0))
            case Embed():
                self._refuse(command, "no_model", "No model is loaded.", "Choose a model.")
            case Cancel() | Shutdown():
                pass
        return None

    def _start_for(self, command: Load | Generate | Gauge) -> Child | None:
        if self._is_in_crash_loop():
            self._refuse(
                command,
                "engine_died",
                "The engine stopped several times in a row.",
                "Wait half a minute, then try again, or choose another model.",
            )
            return None
        try:
            child = Child(self._publish, self._bury)
        except OSError as error:
            log.exception("the engine could not be started")
            self._refuse(
                command,
                "engine_died",
                f"The engine could not be started: {error.strerror or error}.",
                "Close other programs and try again.",
            )
            return None
        self._keeper.set_starting(child.pid)
        child.note(command)
        with self._changed:
            self._child = child
            self._threads = [*(t for t in self._threads if t.is_alive()), child.start()]
            self._changed.notify_all()
        return child

    def _note_load(self, command: Load) -> None:
        """Show that a load begins, unless it is done or under way already."""
        is_under_way = command == self._last_load and self._keeper.state.phase == "loading"
        self._last_load = command
        if not is_under_way and not self._is_loaded(command):
            self._keeper.set_loading()

    def _is_loaded(self, command: Load) -> bool:
        loaded = self._keeper.state.loaded
        return loaded is not None and (loaded.model_id, loaded.path) == (
            command.model_id,
            command.path,
        )

    def _is_in_crash_loop(self) -> bool:
        policy, deaths = self._crashes, self._deaths
        if len(deaths) < policy.n_deaths or deaths[-1] - deaths[0] > policy.window_s:
            return False
        return time.monotonic() - deaths[-1] < policy.pause_s

    def _refuse(self, command: Command, code: str, message: str, hint: str = "") -> None:
        match command:
            case Load():
                self._publish(
                    LoadFailed(model_id=command.model_id, code=code, message=message, hint=hint)
                )
            case Generate():
                self._publish(Failed(run_id=command.run_id, code=code, message=message, hint=hint))
            case CountTokens():
                self._publish(TokenCount(request_id=command.request_id, n_tokens=-1, n_ctx=0))
            case Gauge():
                self._publish(Gauged(message=f"{message} {hint}".strip()))
            case Embed():
                self._publish(
                    EmbedFailed(
                        request_id=command.request_id, code=code, message=message, hint=hint
                    )
                )
            case _:
                pass

    # --- a child's end, on its reader thread ---

    def _bury(self, child: Child, death: Death) -> None:
        """Tell everyone who waited for a child that it is gone."""
        with self._changed:
            if self._child is child:
                self._child = None
            is_expected = self._is_closed
            if not is_expected and death.counts:
                self._deaths.append(time.monotonic())
            self._changed.notify_all()
        for run in death.runs:
            if is_expected or run.cancelled_at:
                self._publish(
                    Finished(
                        run_id=run.run_id,
                        model_id=death.model_id,
                        reason="cancelled",
                        usage=run.make_usage(),
                        timings=Timings(total_s=time.monotonic() - run.arrived_at),
                    )
                )
            else:
                self._publish(
                    Failed(
                        run_id=run.run_id,
                        code=death.code,
                        message=death.message,
                        hint=death.hint,
                        usage=run.make_usage(),
                        timings=Timings(total_s=time.monotonic() - run.arrived_at),
                    )
                )
        for load in death.loads:
            was_under_way = load is death.loads[0]
            code = death.load_code if was_under_way else death.code
            self._publish(
                LoadFailed(
                    model_id=load.model_id,
                    code="cancelled" if is_expected else code,
                    message=death.message,
                    hint=death.load_hint if was_under_way else death.hint,
                    fits_cpu=death.is_of_gpu,
                )
            )
        for request_id in death.counts_asked:
            self._publish(TokenCount(request_id=request_id, n_tokens=-1, n_ctx=0))
        for request_id in death.vectors_asked:
            self._publish(
                EmbedFailed(request_id=request_id, code=death.code, message=death.message)
            )
        if is_expected:
            self._keeper.set_off()
        else:
            log.warning("the engine died: %s (status %d)", death.cause, death.exit_status)
            self._publish(
                EngineDied(
                    cause=death.cause, exit_status=death.exit_status, broke_on=death.broke_on
                )
            )

    # --- the watchdog thread ---

    def _watch(self) -> None:
        while (child := self._wait_for_child()) is not None:
            self._check(child)
            with self._changed:
                if self._child is child and not self._is_closed:
                    self._changed.wait(_LOOK_EVERY_S if child.is_working else None)

    def _wait_for_child(self) -> Child | None:
        with self._changed:
            self._changed.wait_for(lambda: self._is_closed or self._child is not None)
            return None if self._is_closed else self._child

    def _check(self, child: Child) -> None:
        patience, now = self._patience, time.monotonic()
        silent_s = now - child.heard_at if child.is_working else 0.0
        is_stuck = silent_s > patience.silence_s
        if is_stuck != child.is_told_stuck:
            child.is_told_stuck = is_stuck
            self._publish(Stuck(run_ids=child.list_runs(), silent_s=silent_s if is_stuck else 0.0))
        if silent_s > patience.gives_up_s:
            child.kill("hung")
        for cancelled_at in child.list_cancels():
            waited_s = now - cancelled_at
            if waited_s > patience.stop_s or (
                waited_s > patience.stop_echo_s and child.heard_at < cancelled_at
            ):
                child.kill("deaf")


def _make_cancelled(run_id: str) -> Finished:
    return Finished(
        run_id=run_id, model_id="", reason="cancelled", usage=Usage(), timings=Timings()
    )


def _clean_command(command: Command) -> Command:
    match command:
        case Generate():
            return msgspec.structs.replace(
                command,
                run_id=clean_text(command.run_id),
                messages=_clean_messages(command.messages),
                stop=tuple(clean_text(stop) for stop in command.stop),
                constraint=_clean_constraint(command.constraint),
            )
        case Embed():
            return Embed(
                request_id=clean_text(command.request_id),
                texts=tuple(clean_text(text) for text in command.texts),
            )
        case CountTokens():
            return CountTokens(
                request_id=clean_text(command.request_id),
                messages=_clean_messages(command.messages),
            )
        case _:
            return command


def _clean_constraint(constraint: Constraint | None) -> Constraint | None:
    if constraint is None:
        return None
    return Constraint(
        grammar=clean_text(constraint.grammar), json_schema=clean_text(constraint.json_schema)
    )


def _clean_messages(messages: tuple[PromptMessage, ...]) -> tuple[PromptMessage, ...]:
    return tuple(PromptMessage(m.role, clean_text(m.content)) for m in messages)
