"""The process that renders chat templates: Jinja in a sandbox, under hard limits, one at a time.

A template is a program that came with a file from the internet. The sandbox stops code, not work,
so it runs here, where two seconds of processor time and 512 MB are all it can take. Started by
`template.TemplateRenderer`; run as `python -m inglenook.engine.prompts.renderer`.
"""

import json
import signal
import sys
from datetime import datetime
from typing import Any, Final, NoReturn

import msgspec

from inglenook.engine.children import claim_pipes, harden_process
from inglenook.engine.frames import BadFrameError, FrameReader, FrameWriter

LIMIT_CPU_S: Final = 2.0
LIMIT_MEMORY_BYTES: Final = 512 * 1024 * 1024
_LIMIT_MESSAGE_CHARACTERS: Final = 300


class Render(msgspec.Struct, frozen=True, kw_only=True):
    """Render `template` over (role, content) pairs, with `variables` by name beside them."""

    template: str
    messages: tuple[tuple[str, str], ...]
    add_generation_prompt: bool
    bos: str
    eos: str
    variables: tuple[tuple[str, bool | int | str], ...] = ()


class Rendered(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome: the text, or `code` with a message. Sent once at start, to say "ready".

    Codes: syntax, raised (the template itself refuses), security, failed.
    """

    text: str = ""
    code: str = ""
    message: str = ""


class _RaisedError(Exception):
    """The template called raise_exception."""


def main() -> None:
    """Serve until the pipe closes."""
    requests_fd, answers_fd = claim_pipes()
    harden_process()
    environment = _make_environment()
    _limit_memory()
    answers = FrameWriter(answers_fd)
    reader: FrameReader[Render] = FrameReader(requests_fd, Render)
    try:
        answers.write(Rendered())
        while (request := reader.read()) is not None:
            _start_clock(LIMIT_CPU_S)
            answer = _render(environment, request)
            _start_clock(0.0)
            answers.write(answer)
    except (OSError, BadFrameError):
        return


def _limit_memory() -> None:
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (LIMIT_MEMORY_BYTES, LIMIT_MEMORY_BYTES))
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def _start_clock(seconds: float) -> None:
    """Let the system end this process after so much processor time; 0 stops the clock."""
    if sys.platform != "win32":
        signal.setitimer(signal.ITIMER_PROF, seconds)


def _make_environment() -> Any:
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.loopcontrols", _make_generation_tag()],
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _raise
    environment.globals["strftime_now"] = lambda form: datetime.now().astimezone().strftime(form)
    return environment


def _make_generation_tag() -> Any:
    """Make `{% generation %}...{% endgeneration %}`, a mark for training, mean nothing."""
    from jinja2 import nodes
    from jinja2.ext import Extension

    class GenerationTag(Extension):
        tags = {"generation"}  # noqa: RUF012

        def parse(self, parser: Any) -> Any:
            line = next(parser.stream).lineno
            body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            return nodes.Scope(body).set_lineno(line)

    return GenerationTag


def _to_json(value: object, indent: int | None = None, **_: object) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _raise(message: object) -> NoReturn:
    raise _RaisedError(str(message))


def _render(environment: Any, request: Render) -> Rendered:
    from jinja2 import TemplateSyntaxError
    from jinja2.exceptions import SecurityError

    try:
        template = environment.from_string(request.template)
        text = template.render(
            messages=[{"role": role, "content": content} for role, content in request.messages],
            add_generation_prompt=request.add_generation_prompt,
            bos_token=request.bos,
            eos_token=request.eos,
            tools=None,
            **dict(request.variables),
        )
    except _RaisedError as error:
        return _fail("raised", error)
    except TemplateSyntaxError as error:
        return _fail("syntax", error)
    except SecurityError as error:
        return _fail("security", error)
    except Exception as error:  # noqa: BLE001 - a template can raise anything
        return _fail("failed", error)
    return Rendered(text=text.encode("utf-8", "replace").decode())


def _fail(code: str, error: Exception) -> Rendered:
    message = str(error) or type(error).__name__
    message = message[:_LIMIT_MESSAGE_CHARACTERS].encode("utf-8", "replace").decode()
    return Rendered(code=code, message=message)


if __name__ == "__main__":
    main()
