"""Peers that answer prompts: llama-server over HTTP, and the binding's high-level class.

Both give the same `Reply` as `inglenook.engine.measuring.measure`, timed by whoever waits for the
answer. They run with their own defaults, but for the context length, which is ours.
"""

import http.client
import json
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Self

from inglenook.engine.measuring.measure import Reply
from inglenook.engine.protocol import Usage

N_CTX: Final = 8192
DIE_WITH_US: Final = ("setpriv", "--pdeathsig", "KILL") if shutil.which("setpriv") else ()
"""Begins the command of a program that must not outlive a bench that is killed."""
_START_S: Final = 180.0
_ANSWER_S: Final = 1800.0
_SEED: Final = 1

_HIGH_LEVEL: Final = """
import json, sys, time
from llama_cpp import Llama

llama = Llama(sys.argv[1], n_ctx=int(sys.argv[2]), seed=1, verbose=False)
print(flush=True)
for line in sys.stdin:
    order = json.loads(line)
    asked, first = time.perf_counter(), 0.0
    n = 0
    for part in llama.create_completion(stream=True, **order):
        first = first or time.perf_counter()
        n += 1
    print(json.dumps([first - asked, time.perf_counter() - asked, n]), flush=True)
"""


def make_chat(messages: Sequence[tuple[str, str]]) -> str:
    """Messages in ChatML, with the beginning of a reply."""
    turns = "".join(f"<|im_start|>{role}\n{text}<|im_end|>\n" for role, text in messages)
    return turns + "<|im_start|>assistant\n"


class LlamaServer:
    """A running llama-server. `close` ends it."""

    def __init__(self, program: Path, model: Path, *extra: str) -> None:
        self._port = _find_port()
        command = [str(program), "-m", str(model), "-c", str(N_CTX), "--log-disable", "--offline"]
        command += ["--host", "127.0.0.1", "--port", str(self._port), *extra]
        self._process = subprocess.Popen(
            [*DIE_WITH_US, *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the server."""
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def ask(self, prompt: str, max_tokens: int, **options: object) -> Reply:
        """Ask for one reply and wait for its end; a prompt's beginning is remembered as usual."""
        body = {"prompt": prompt, "n_predict": max_tokens, "stream": True, "seed": _SEED}
        body |= {"ignore_eos": True, "cache_prompt": True, **options}
        reply = Reply(time.perf_counter())
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=_ANSWER_S)
        try:
            headers = {"Content-Type": "application/json"}
            connection.request("POST", "/completion", json.dumps(body), headers)
            answer = connection.getresponse()
            assert answer.status == 200, answer.read()
            for raw in answer:
                if raw.startswith(b"data: {"):
                    _take_part(reply, json.loads(raw[6:]))
        finally:
            connection.close()
        reply.ended = time.perf_counter()
        return reply

    def ask_all(self, prompts: Sequence[str], max_tokens: int, **options: object) -> list[Reply]:
        """Ask for several replies at once and wait for the end of all."""
        replies: dict[int, Reply] = {}

        def ask(i: int) -> None:
            replies[i] = self.ask(prompts[i], max_tokens, **options)

        threads = [threading.Thread(target=ask, args=(i,)) for i in range(len(prompts))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return [replies[i] for i in range(len(prompts))]

    def _wait(self) -> None:
        deadline = time.monotonic() + _START_S
        while not self._is_healthy():
            assert self._process.poll() is None, "llama-server ended by itself"
            assert time.monotonic() < deadline, "llama-server does not answer"
            time.sleep(0.1)

    def _is_healthy(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=5)
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()


def _take_part(reply: Reply, part: dict[str, Any]) -> None:
    n_before = reply.arrivals[-1][1] if reply.arrivals else 0
    n_tokens = int(part.get("tokens_predicted") or n_before + max(1, len(part.get("tokens", ()))))
    if part.get("stop"):
        timings = part["timings"]
        n_cached = int(timings.get("cache_n", 0))
        n_read = int(timings["prompt_n"])
        reply.usage = Usage(
            prompt_tokens=n_read + n_cached, cached_tokens=n_cached, output_tokens=n_tokens
        )
    else:
        reply.arrivals.append((time.perf_counter(), n_tokens))
        reply.pieces.append(part["content"])


class HighLevel:
    """The class `llama_cpp.Llama` in a process of its own, as its examples use it."""

    def __init__(self, model: Path) -> None:
        self._process = subprocess.Popen(
            [*DIE_WITH_US, sys.executable, "-c", _HIGH_LEVEL, str(model), str(N_CTX)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._read()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process."""
        with self._process:
            self._process.kill()

    def ask(self, prompt: str, max_tokens: int) -> Reply:
        """Ask for one reply and wait for its end."""
        order = {"prompt": prompt, "max_tokens": max_tokens, "temperature": 0.8}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        first_s, whole_s, n_parts = json.loads(self._read())
        # It tells no number of tokens with its parts; these models never end by themselves.
        usage = Usage(output_tokens=max_tokens)
        return Reply(0.0, [(first_s, 1)] if n_parts else [], whole_s, usage)

    def _read(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the high-level class ended by itself"
        return line


@contextmanager
def run_neighbours(n: int) -> Iterator[None]:
    """Processes that take all the processor time that they can get."""
    command = [*DIE_WITH_US, sys.executable, "-c", "while True: pass"]
    processes = [subprocess.Popen(command) for _ in range(n)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _find_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
