"""The way to the template renderer: ask, wait within limits, kill and start again when it hangs.

Used by `prompt` on the host's prompt thread, one render at a time.
"""

import contextlib
import secrets
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Final

from inglenook.engine.children import start_child
from inglenook.engine.frames import BadFrameError, FrameReader, FrameWriter
from inglenook.engine.prompts.renderer import LIMIT_CPU_S, Render, Rendered
from inglenook.engine.protocol import PromptMessage

_LIMIT_START_S: Final = 20.0
_LIMIT_WALL_S: Final = LIMIT_CPU_S if sys.platform == "win32" else 3 * LIMIT_CPU_S
"""Processor time is what counts where the system can measure it; this is for a stopped process."""


class TemplateError(Exception):
    """A template could not be rendered: `code` is one of `Rendered`'s, or "limits"."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def try_template(template: str, render: Callable[[str, PromptMessage], str]) -> str:
    """Try a template on one message; why it cannot be used, "" where it can.

    `render` renders a template over a message with the beginning of a reply.
    """
    probe = f"probe{secrets.randbelow(10**6)}"
    try:
        text = render(template, PromptMessage("user", probe))
    except TemplateError as error:
        return error.message
    return "" if probe in text else "it leaves out what is said"


class TemplateRenderer:
    """Owns one renderer process; starts it early, so that the first prompt does not wait."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: FrameReader[Rendered] | None = None
        self._is_ready = False

    def start(self) -> None:
        """Start the process if there is none; does not wait for it."""
        if self._process is None:
            self._process = start_child("inglenook.engine.prompts.renderer", "--engine-renderer")
            assert self._process.stdout is not None
            self._reader = FrameReader(self._process.stdout.fileno(), Rendered)
            self._is_ready = False

    def render(self, request: Render) -> str:
        """Render within the limits; raises `TemplateError`."""
        self.start()
        assert self._process is not None
        assert self._process.stdin is not None
        if not self._is_ready:
            self._read(_LIMIT_START_S)
            self._is_ready = True
        with contextlib.suppress(OSError):
            FrameWriter(self._process.stdin.fileno()).write(request)
        answer = self._read(_LIMIT_WALL_S)
        if answer.code:
            raise TemplateError(answer.code, answer.message)
        return answer.text

    def close(self) -> None:
        """End the process; it holds nothing worth a farewell."""
        process, self._process, self._reader = self._process, None, None
        if process is None:
            return
        process.kill()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        process.wait()

    def _read(self, limit_s: float) -> Rendered:
        assert self._process is not None
        assert self._reader is not None
        timer = threading.Timer(limit_s, self._process.kill)
        timer.name = "template-limit"
        timer.start()
        try:
            answer = self._reader.read()
        except (BadFrameError, OSError):
            answer = None
        finally:
            timer.cancel()
            timer.join()
        if answer is None:
            raise self._explain_end()
        return answer

    def _explain_end(self) -> TemplateError:
        assert self._process is not None
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=1.0)
        status = self._process.returncode
        self.close()
        if status in (-signal.SIGKILL, None) or (
            sys.platform != "win32" and status == -signal.SIGPROF
        ):
            return TemplateError("limits", "it worked longer than two seconds")
        return TemplateError("limits", f"its process ended with status {status}")
