"""One child process from start to end: what was asked of it, what it said, and how it died.

Used by `client`: written to by its writing thread, read by a reader thread of this one's own.
"""

import contextlib
import logging
import signal
import subprocess
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Final

from inglenook.engine import gpu_faults
from inglenook.engine.children import start_child
from inglenook.engine.frames import BadFrameError, FrameReader, FrameWriter
from inglenook.engine.protocol import (
    Command,
    CountTokens,
    Embed,
    Embedded,
    EmbedFailed,
    Event,
    Failed,
    Finished,
    Generate,
    Heartbeat,
    HostMessage,
    Load,
    Loaded,
    LoadFailed,
    LogLine,
    Meter,
    Prefill,
    Text,
    TokenCount,
    Usage,
)

log = logging.getLogger(__name__)

_LIMIT_REAP_S: Final = 2.0
_NATIVE_LOG: Final = "inglenook.engine.native"
_N_LAST_LINES: Final = 12
_CAUSES: Final = {
    "SIGABRT": "native code gave up",
    "SIGSEGV": "native code reached into memory that it does not own",
    "SIGBUS": "the model file changed or could not be read while it was in use",
    "SIGILL": "this processor lacks an instruction that the engine was built with",
    "SIGFPE": "native code divided by zero",
    "SIGKILL": "the system ended it, most likely because memory ran out",
    "SIGTERM": "another program ended it",
}
_CRASHES: Final = frozenset({"SIGABRT", "SIGSEGV", "SIGFPE"})
_KILLED: Final = {
    "hung": "it showed no progress for a while and was ended",
    "deaf": "it did not answer a stop and was ended",
    "forged": "it sent something that made no sense and was ended",
    "closed": "it was ended with the app",
    "restarted": "it was ended because it did not get on",
}
_HUNG: Final = frozenset({"hung", "deaf", "restarted"})
_MESSAGES: Final[dict[str, str]] = {
    "model_changed": "The model file changed on the disk while it was in use.",
    "engine_hung": "The engine hung and was ended.",
    **gpu_faults.MESSAGES,
}
_HINTS: Final[dict[str, str]] = {
    "model_changed": "Download the model again, or choose another one.",
    **gpu_faults.HINTS,
}


@dataclass(slots=True)
class LiveRun:
    """What is known of a reply from its events alone."""

    run_id: str
    arrived_at: float
    n_tokens: int = 0
    n_prompt: int = 0
    n_cached: int = 0
    cancelled_at: float = 0.0

    def make_usage(self) -> Usage:
        """What the reply took, as far as it was told."""
        return Usage(
            prompt_tokens=self.n_prompt,
            cached_tokens=self.n_cached,
            output_tokens=self.n_tokens,
        )


@dataclass(frozen=True, slots=True)
class Death:
    """A child's end: why, in words and as a code, and who was waiting for it."""

    code: str
    cause: str
    exit_status: int
    model_id: str
    runs: tuple[LiveRun, ...]
    loads: tuple[Load, ...]
    counts_asked: tuple[str, ...]
    vectors_asked: tuple[str, ...]
    counts: bool
    """Whether it counts towards a crash loop: a child that we ended for a stop does not, nor one
    whose graphics card failed, for the next one may do without."""

    @property
    def message(self) -> str:
        """A sentence for people."""
        return _MESSAGES.get(self.code) or f"The engine stopped unexpectedly: {self.cause}."

    @property
    def hint(self) -> str:
        """What to do about a reply that it cut off."""
        usual = "The text so far is kept. Continue or retry the reply."
        return _HINTS.get(self.code, usual)

    @property
    def is_of_gpu(self) -> bool:
        """Whether it can be expected to work without a graphics card."""
        return self.code in {"gpu_out_of_memory", "gpu_lost"}

    @property
    def broke_on(self) -> str:
        """The model that native code gave up on while it wrote; empty when it was not that."""
        is_crash = self.code == "engine_died" and _name_signal(self.exit_status) in _CRASHES
        return self.model_id if is_crash and self.runs and not self.loads else ""

    @property
    def load_code(self) -> str:
        """The code of a load that it cut off; native code that gave up blames the file."""
        if self.is_of_gpu:
            return "out_of_memory" if self.code == "gpu_out_of_memory" else self.code
        return "load_crashed" if _name_signal(self.exit_status) in _CRASHES else self.code

    @property
    def load_hint(self) -> str:
        """What to do about a load that it cut off."""
        if self.load_code == "load_crashed":
            return "The model file is probably damaged: download it again, or choose another one."
        if self.is_of_gpu:
            return "Load it without the graphics card, or choose a smaller model."
        if self.code == "model_changed":
            return self.hint
        return "Try again; if it happens again, the model file may be damaged or too large."


class Child:
    """One host process. `publish` gets its events, `bury` its death, both on the reader thread."""

    def __init__(
        self, publish: Callable[[Event], None], bury: Callable[["Child", Death], None]
    ) -> None:
        """Start the process; raises `OSError`. Call it on the thread that outlives the child."""
        self._publish = publish
        self._bury = bury
        self._errors = _open_errors()
        try:
            self._process: subprocess.Popen[bytes] = start_child(
                "inglenook.engine.host", "--engine-host", self._errors
            )
        except BaseException:
            self._close_errors()
            raise
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._writer = FrameWriter(self._process.stdin.fileno())
        self._reader: FrameReader[HostMessage] = FrameReader(
            self._process.stdout.fileno(), HostMessage
        )
        self._lock = threading.Lock()
        self._runs: dict[str, LiveRun] = {}
        self._loads: list[Load] = []
        self._counts: set[str] = set()
        self._vectors: set[str] = set()
        self._model_id = ""
        self._killed_as = ""
        self._is_dead = False
        self._has_ended = threading.Event()
        self._last_lines: deque[str] = deque(maxlen=_N_LAST_LINES)
        self.heard_at = time.monotonic()
        self.is_told_stuck = False
        """Whether everyone was told that it shows no progress; the watchdog's own note."""

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def is_working(self) -> bool:
        """Whether something was asked of it that it has not answered."""
        return bool(self._runs or self._loads or self._counts or self._vectors)

    def start(self) -> threading.Thread:
        """Start reading its events."""
        thread = threading.Thread(target=self._read, name="engine-reader", daemon=True)
        thread.start()
        return thread

    def note(self, command: Command) -> bool:
        """Remember what is about to be asked; False when it is dead, and nothing was noted."""
        with self._lock:
            if self._is_dead:
                return False
            now = time.monotonic()
            if not self.is_working:
                self.heard_at = now
            match command:
                case Generate():
                    self._runs[command.run_id] = LiveRun(command.run_id, now)
                case Load():
                    self._loads.append(command)
                case CountTokens():
                    self._counts.add(command.request_id)
                case Embed():
                    self._vectors.add(command.request_id)
                case _:
                    pass
            return True

    def note_cancel(self, run_id: str) -> None:
        """A person wants this reply to stop: from now on the watchdog is impatient."""
        with self._lock:
            run = self._runs.get(run_id)
            if run is not None and not run.cancelled_at:
                run.cancelled_at = time.monotonic()

    def list_runs(self) -> tuple[str, ...]:
        """The replies that wait for it."""
        with self._lock:
            return tuple(self._runs)

    def list_cancels(self) -> list[float]:
        """When each reply that has not ended yet was told to stop."""
        with self._lock:
            return [run.cancelled_at for run in self._runs.values() if run.cancelled_at]

    def write(self, frame: bytes) -> None:
        """Write one encoded command; raises `OSError` when it is gone."""
        self._writer.write_bytes(frame)

    def kill(self, reason: str) -> None:
        """End it for a reason of ours; the reader thread tells the rest."""
        with self._lock:
            if not self._is_dead:
                self._killed_as = self._killed_as or reason
        self._process.kill()

    def wait(self, limit_s: float) -> bool:
        """Wait until it has ended and everyone was told."""
        return self._has_ended.wait(limit_s)

    # --- the reader thread ---

    def _read(self) -> None:
        try:
            while (message := self._reader.read()) is not None:
                self.heard_at = time.monotonic()
                self._take(message)
        except BadFrameError:
            self.kill("forged")
        except OSError:
            log.exception("the engine's pipe failed")
        finally:
            self._end()

    def _take(self, message: HostMessage) -> None:
        match message:
            case Heartbeat():
                return
            case LogLine():
                if message.name == _NATIVE_LOG:
                    self._last_lines.append(message.text)
                logging.getLogger(message.name).log(message.level, "%s", message.text)
                return
            case Text() | Prefill() | Meter() | Finished() | Failed():
                if not self._follow_run(message):
                    log.error("the engine told of a reply that nobody asked for")
                    return
            case Loaded() | LoadFailed():
                with self._lock:
                    self._model_id = message.model_id
                    if self._loads:
                        self._loads.pop(0)
            case TokenCount():
                with self._lock:
                    self._counts.discard(message.request_id)
            case Embedded() | EmbedFailed():
                with self._lock:
                    self._vectors.discard(message.request_id)
            case _:
                pass
        self._publish(message)

    def _follow_run(self, event: Text | Prefill | Meter | Finished | Failed) -> bool:
        with self._lock:
            run = self._runs.get(event.run_id)
            if run is None:
                return False
            match event:
                case Text():
                    run.n_tokens = event.n_tokens
                case Prefill():
                    run.n_prompt, run.n_cached = event.n_prompt, event.n_cached
                case Finished() | Failed():
                    del self._runs[event.run_id]
                case _:
                    pass
            return True

    def _end(self) -> None:
        """The pipe is closed: reap, work out why, tell."""
        status = self._reap()
        if self._errors is not None:
            with contextlib.suppress(OSError):
                self._last_lines.extend(gpu_faults.read_last_words(self._errors))
        self._close_errors()
        with self._lock:
            self._is_dead = True
            death = self._explain(status)
            self._runs, self._loads, self._counts, self._vectors = {}, [], set(), set()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        try:
            self._bury(self, death)
        finally:
            self._has_ended.set()

    def _close_errors(self) -> None:
        if self._errors is not None:
            self._errors.close()

    def _reap(self) -> int:
        try:
            return self._process.wait(_LIMIT_REAP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def _explain(self, status: int) -> Death:
        name = _name_signal(status)
        code = "engine_died"
        if self._killed_as:
            cause = _KILLED[self._killed_as]
            code = "engine_hung" if self._killed_as in _HUNG else code
        elif name:
            cause = f"{_CAUSES.get(name, 'a signal ended it')} ({name})"
            code = "model_changed" if name == "SIGBUS" else code
            if name in _CRASHES:
                code = gpu_faults.find_gpu_fault(self._last_lines) or code
        else:
            cause = f"it ended with status {status}"
        return Death(
            code=code,
            cause=cause,
            exit_status=status,
            model_id=self._model_id,
            runs=tuple(self._runs.values()),
            loads=tuple(self._loads),
            counts_asked=tuple(self._counts),
            vectors_asked=tuple(self._vectors),
            counts=self._killed_as not in {"deaf", "closed", "restarted"}
            and code not in {"gpu_out_of_memory", "gpu_lost"},
        )


def _open_errors() -> IO[bytes] | None:
    """A file without a name for what native code prints; None where none can be made."""
    try:
        return tempfile.TemporaryFile(buffering=0)
    except OSError:
        return None


def _name_signal(status: int) -> str:
    if status >= 0:
        return ""
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"
