"""The engine's child process: reads commands from a pipe, hosts the worker, writes events back.

Started by `client.ChildEngine` as `python -m inglenook.engine.host`. The main thread only reads, so
that a stop is heard in the middle of a long decode; a heartbeat tells the client that native code
is at work. When the pipe closes, the process ends at once.
"""

import logging
import os
import threading
import traceback
from typing import Final, NoReturn, Protocol

from inglenook.engine.children import claim_pipes, harden_process
from inglenook.engine.frames import BadFrameError, FrameReader, FrameWriter
from inglenook.engine.machine import measure_work
from inglenook.engine.protocol import (
    Cancel,
    Command,
    Event,
    Heartbeat,
    HostMessage,
    LogLine,
    Shutdown,
)

_HEARTBEAT_S: Final = 1.0
_LIMIT_SHUTDOWN_S: Final = 1.5
_LEAST_WORK_S: Final = 0.02


class _Hosted(Protocol):
    """What the heartbeat looks at: the worker."""

    @property
    def is_busy(self) -> bool: ...


class _Outbox:
    """Writes events to the client; without one there is nothing to live for."""

    def __init__(self, fd: int) -> None:
        self._writer = FrameWriter(fd)

    def send(self, message: HostMessage) -> None:
        try:
            self._writer.write(message)
        except OSError:
            os._exit(0)


class _LogHandler(logging.Handler):
    """Sends log records to the client; of an exception its place and type, not its text."""

    def __init__(self, outbox: _Outbox) -> None:
        super().__init__(logging.INFO)
        self._outbox = outbox

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if record.exc_info and record.exc_info[0] is not None:
            places = "".join(traceback.format_tb(record.exc_info[2]))
            text = f"{text}\n{places}{record.exc_info[0].__name__}"
        text = text.encode("utf-8", "replace").decode()
        self._outbox.send(LogLine(level=record.levelno, name=record.name, text=text))


class _Pulse:
    """Tells each second that something moved: processor time, or reads from the disk."""

    def __init__(self, outbox: _Outbox) -> None:
        self._outbox = outbox
        self._hosted: _Hosted | None = None

    def start(self) -> None:
        threading.Thread(target=self._beat, name="engine-heartbeat", daemon=True).start()

    def follow(self, hosted: _Hosted) -> None:
        """From now on beat only while the worker is busy."""
        self._hosted = hosted

    def _beat(self) -> None:
        pause = threading.Event()
        work_s, n_reads = measure_work()
        while not pause.wait(_HEARTBEAT_S):
            now_s, now_reads = measure_work()
            has_moved = now_s - work_s > _LEAST_WORK_S or now_reads != n_reads
            work_s, n_reads = now_s, now_reads
            if has_moved and (self._hosted is None or self._hosted.is_busy):
                self._outbox.send(Heartbeat())


def main() -> NoReturn:
    """Serve until the pipe closes or a `Shutdown` comes."""
    commands_fd, events_fd = claim_pipes()
    harden_process()
    outbox = _Outbox(events_fd)
    logging.basicConfig(level=logging.INFO, handlers=[_LogHandler(outbox)])
    logging.raiseExceptions = False

    pulse = _Pulse(outbox)
    pulse.start()

    # Mapping a large library from a cold disk takes a while: the pulse beats by then.
    from inglenook.engine.worker import Worker

    def emit(event: Event) -> None:
        outbox.send(event)

    worker = Worker(emit)
    worker.start()
    pulse.follow(worker)
    reader: FrameReader[Command] = FrameReader(commands_fd, Command)
    try:
        while (command := reader.read()) is not None:
            if isinstance(command, Cancel):
                outbox.send(Heartbeat())
            worker.submit(command)
            if isinstance(command, Shutdown):
                worker.join(_LIMIT_SHUTDOWN_S)
                break
    except BadFrameError:
        os._exit(1)
    os._exit(0)


if __name__ == "__main__":
    main()
