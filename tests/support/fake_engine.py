"""A fake `Engine` at the seam: a scripted queue of replies, told from its own thread.

    engine = FakeEngine(hub.publish, replies=[Reply(("Hel", "lo")), Reply(failure=("decode_failed",
        "The engine could not go on.", "Try again."))])

Each `Generate` takes the next `Reply`; with none left it answers "You said: ..." by words. `Cancel`
works in the middle of a reply. All commands are kept in `engine.commands`. With `is_parallel` each
reply is told from a thread of its own, as the real engine writes several at once.
"""

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from inglenook.engine.protocol import (
    Cancel,
    Command,
    CountTokens,
    Device,
    EngineDied,
    EngineReady,
    Event,
    Failed,
    Finished,
    FinishReason,
    Generate,
    Load,
    Loaded,
    LoadFailed,
    Loading,
    Meter,
    Part,
    Prefill,
    Restart,
    Shutdown,
    Text,
    Timings,
    TokenCount,
    Unload,
    Unloaded,
    Usage,
)
from inglenook.engine.seam import EngineState, StateKeeper


@dataclass(frozen=True, slots=True)
class Reply:
    """One scripted reply: its pieces, then how it ends.

    `thoughts` are told before `pieces`, as reasoning; `delay_s` passes before each of them. `hold`
    is waited for after the first one (a test sets it when it has looked). `failure` is (code,
    message, hint). `dies` ends the host after the pieces: `Failed(engine_died)`, then `EngineDied`.
    """

    pieces: tuple[str, ...] = ()
    thoughts: tuple[str, ...] = ()
    delay_s: float = 0.0
    reason: FinishReason = "stop"
    failure: tuple[str, str, str] | None = None
    dies: bool = False
    hold: threading.Event | None = None
    prompt_tokens: int = 20
    cached_tokens: int = 5


@dataclass(slots=True)
class _Run:
    command: Generate
    reply: Reply
    pieces: list[str] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)


class FakeEngine:
    """An engine without a model. Publishes from its own thread, as the real one does."""

    def __init__(
        self,
        publish: Callable[[Event], None],
        replies: Iterable[Reply] = (),
        *,
        load_failures: Mapping[str, LoadFailed] | None = None,
        load_s: float = 0.0,
        n_ctx: int = 4096,
        is_parallel: bool = False,
    ) -> None:
        self._publish_event = publish
        self._is_parallel = is_parallel
        self._writers: list[threading.Thread] = []
        self.replies: deque[Reply] = deque(replies)
        self.commands: list[Command] = []
        self.load_failures = dict(load_failures or {})
        self._load_s = load_s
        self._n_ctx = n_ctx
        self._keeper = StateKeeper()
        self._queue: deque[Command | None] = deque()
        self._cancelled: set[str] = set()
        self._hung: set[str] = set()
        self._changed = threading.Condition()
        self._is_closed = False
        self._thread: threading.Thread | None = None

    @property
    def state(self) -> EngineState:
        return self._keeper.state

    def submit(self, command: Command) -> None:
        with self._changed:
            if self._is_closed:
                return
            self.commands.append(command)
            if isinstance(command, Generate):
                self._cancelled.discard(command.run_id)  # a reply that is continued keeps its id
                self._hung.discard(command.run_id)
            if isinstance(command, Restart):
                self._hung = {c.run_id for c in self.commands if isinstance(c, Generate)}
                self._cancelled |= self._hung
            elif isinstance(command, Cancel):
                self._cancelled.add(command.run_id)
            elif isinstance(command, Generate):
                # A reply that is continued runs again under the same id.
                self._cancelled.discard(command.run_id)
            elif isinstance(command, Unload | Shutdown) or self._is_other_model(command):
                self._cancelled.update(c.run_id for c in self.commands if isinstance(c, Generate))
            if not isinstance(command, Cancel | Restart):
                self._queue.append(command)
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="fake-engine")
                self._thread.start()
            self._changed.notify_all()

    def close(self) -> None:
        with self._changed:
            self._is_closed = True
            self._cancelled.update(c.run_id for c in self.commands if isinstance(c, Generate))
            self._queue.append(None)
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(timeout=3)
        for writer in self._writers:
            writer.join(timeout=3)

    def _is_other_model(self, command: Command) -> bool:
        """Whether a command loads another model than the one before; the same costs nothing."""
        loads = [c for c in self.commands if isinstance(c, Load)]
        return isinstance(command, Load) and loads[-2:] != [command] * 2

    # --- the thread ---

    def _publish(self, event: Event) -> None:
        self._keeper.apply(event)
        self._publish_event(event)

    def _serve(self) -> None:
        self._become_ready()
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._queue))
                command = self._queue.popleft()
            if command is None or isinstance(command, Shutdown):
                self._keeper.set_off()
                return
            self._handle(command)

    def _become_ready(self) -> None:
        self._publish(
            EngineReady(
                pid=os.getpid(),
                library_version="fake",
                backend="CPU",
                devices=(Device(name="CPU", description="A fake processor", kind="cpu"),),
                system_info="",
            )
        )

    def _handle(self, command: Command) -> None:
        if self.state.ready is None:
            self._become_ready()
        match command:
            case Load():
                self._load(command)
            case Unload():
                self._publish(Unloaded())
            case Generate() if self._is_parallel:
                run = _Run(command, self._take_reply(command))
                writer = threading.Thread(target=self._generate, args=(run,), name="fake-writer")
                self._writers.append(writer)
                writer.start()
            case Generate():
                self._generate(_Run(command, self._take_reply(command)))
            case CountTokens():
                n_tokens = sum(len(m.content.split()) + 4 for m in command.messages)
                self._publish(
                    TokenCount(
                        request_id=command.request_id,
                        n_tokens=n_tokens if self.state.loaded else -1,
                        n_ctx=self._n_ctx,
                    )
                )
            case _:
                pass

    def _load(self, command: Load) -> None:
        loaded = self.state.loaded
        if loaded is not None and loaded.model_id == command.model_id:
            self._publish(loaded)
            return
        failure = self.load_failures.get(command.model_id)
        if failure is not None:
            self._publish(failure)
            return
        for fraction in (0.0, 0.5, 1.0):
            self._publish(Loading(model_id=command.model_id, fraction=fraction))
            time.sleep(self._load_s / 3)
        self._publish(make_loaded(command.model_id, command.path, self._n_ctx))

    def _take_reply(self, command: Generate) -> Reply:
        if self.replies and self.state.loaded is not None:
            return self.replies.popleft()
        return _echo(command)

    def _generate(self, run: _Run) -> None:
        command = run.command
        if self.state.loaded is None:
            self._fail(run, ("no_model", "No model is loaded.", "Choose a model."))
            return
        reply = run.reply
        self._publish(
            Prefill(
                run_id=command.run_id,
                n_done=reply.prompt_tokens,
                n_prompt=reply.prompt_tokens,
                n_cached=reply.cached_tokens,
            )
        )
        told: list[tuple[Part, str]] = [
            *(("reasoning", thought) for thought in reply.thoughts),
            *(("answer", piece) for piece in reply.pieces),
        ]
        for i, (part, piece) in enumerate(told):
            if self._wait(command.run_id, reply.delay_s):
                break
            run.pieces.append(piece)
            self._publish(Text(run_id=command.run_id, piece=piece, n_tokens=i + 1, part=part))
            self._publish(self._meter(run))
            if i == 0 and reply.hold is not None:
                self._hold(command.run_id, reply.hold)
        if command.run_id in self._hung:
            self._fail(run, ("engine_hung", "The engine hung and was ended.", "Continue."))
        elif command.run_id in self._cancelled:
            self._finish(run, reply, "cancelled")
        elif reply.dies:
            self._fail(
                run,
                ("engine_died", "The engine stopped unexpectedly.", "Continue or retry the reply."),
            )
            self._publish(EngineDied(cause="killed by SIGSEGV", exit_status=-11))
        elif reply.failure is not None:
            self._fail(run, reply.failure)
        else:
            self._finish(run, reply, reply.reason)

    def _wait(self, run_id: str, delay_s: float) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: run_id in self._cancelled, timeout=delay_s)

    def _hold(self, run_id: str, hold: threading.Event) -> None:
        while not hold.wait(0.01):
            if run_id in self._cancelled:
                return

    def _meter(self, run: _Run) -> Meter:
        return Meter(
            run_id=run.command.run_id,
            n_tokens=len(run.pieces),
            decode_tps_now=40.0,
            decode_tps_mean=40.0,
            ttft_s=0.1,
            n_context=20 + len(run.pieces),
            n_ctx=self._n_ctx,
        )

    def _finish(self, run: _Run, reply: Reply, reason: FinishReason) -> None:
        total_s = time.monotonic() - run.started
        loaded = self.state.loaded
        self._publish(
            Finished(
                run_id=run.command.run_id,
                model_id=loaded.model_id if loaded is not None else "",
                reason=reason,
                usage=Usage(
                    prompt_tokens=reply.prompt_tokens,
                    cached_tokens=reply.cached_tokens,
                    output_tokens=len(run.pieces),
                    reasoning_tokens=min(len(run.pieces), len(reply.thoughts)),
                    n_ctx=self._n_ctx,
                    seed=1,
                ),
                timings=Timings(
                    ttft_s=0.1,
                    total_s=total_s,
                    decode_s=total_s,
                    reasoning_s=12.0 if reply.thoughts else 0.0,
                    prefill_tps=200,
                    decode_tps=40,
                ),
            )
        )

    def _fail(self, run: _Run, failure: tuple[str, str, str]) -> None:
        code, message, hint = failure
        self._publish(Failed(run_id=run.command.run_id, code=code, message=message, hint=hint))


def _echo(command: Generate) -> Reply:
    words = f"You said: {command.messages[-1].content}".split(" ")
    return Reply((words[0], *(" " + word for word in words[1:])))


def make_loaded(model_id: str, path: str = "/models/fake.gguf", n_ctx: int = 4096) -> Loaded:
    """A `Loaded` as a small model on the CPU would give it."""
    return Loaded(
        model_id=model_id,
        path=path,
        description="fake 1B Q4_K - Medium",
        architecture="llama",
        quantisation="Q4_K_M",
        n_params=1_000_000_000,
        size_bytes=600_000_000,
        n_ctx=n_ctx,
        n_ctx_train=n_ctx,
        n_layers=16,
        n_layers_gpu=0,
        device="CPU",
        kv_bytes=1_000_000,
        n_threads=2,
        n_batch=2048,
        load_s=0.1,
    )
