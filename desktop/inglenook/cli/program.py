"""The program `inglenook`: its commands, the flags they share, and the border where errors end.

`run_command` runs on the main thread. `--home DIR` and `--json` may stand before or after a
command's name.
"""

import functools
import itertools
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, Final, NoReturn

import click

from inglenook import __version__
from inglenook.base.errors import ExitCode, UsageError, UserError
from inglenook.base.log import open_log
from inglenook.base.paths import find_profile
from inglenook.cli.output import Output

if TYPE_CHECKING:
    from inglenook.app import App

log = logging.getLogger(__name__)

EPILOG: Final = "Every command takes --home DIR (a whole profile elsewhere) and --json."
HELP_FLAGS: Final = ("-h", "--help")


@dataclass(frozen=True, slots=True)
class Common:
    """What every command is given: the profile and how to print."""

    home: Path | None
    output: Output

    def open_app(self) -> "App":
        """Open the app on the profile; the caller closes it."""
        # Here, so that --help and a wrong word are answered at once.
        from inglenook.app import open_app

        app = open_app(self.home)
        for remark in app.store.remarks:
            self.output.note(remark)
        return app


@click.group(
    name="inglenook",
    epilog="Without a command, the window opens. " + EPILOG,
    no_args_is_help=True,
    context_settings={"help_option_names": list(HELP_FLAGS), "max_content_width": 100},
)
@click.option("--home", metavar="DIR", help="A whole profile elsewhere.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.version_option(__version__, message="inglenook %(version)s", help="Show the version.")
@click.pass_context
def program(context: click.Context, home: str | None, *, as_json: bool) -> None:
    """Private conversations with language models on your own machine."""
    if home == "":
        raise UsageError("--home takes the name of a folder.")
    context.obj = Common(Path(home) if home is not None else None, Output(is_json=as_json))


def command[**P, R](
    name: str,
) -> Callable[[Callable[Concatenate[Common, P], R]], click.Command]:
    """Register a function as the command `name`; it is given the `Common` first."""

    def register(function: Callable[Concatenate[Common, P], R]) -> click.Command:
        @functools.wraps(function)
        def run(common: Common, /, *args: P.args, **options: P.kwargs) -> R | ExitCode:
            try:
                return function(common, *args, **options)
            except BrokenPipeError:
                # A reader that has seen enough, as in `| head`, is no error.
                _silence_stdout()
                return ExitCode.DONE

        return program.command(name, epilog=EPILOG)(click.pass_obj(run))

    return register


def hoist_common_flags(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Part `--home DIR` and `--json`, up to a `--`, from the rest, which keeps its order."""
    front: list[str] = []
    rest: list[str] = []
    waiting = iter(arguments)
    for argument in waiting:
        if argument == "--":
            rest += [argument, *waiting]
        elif argument == "--json" or argument.startswith("--home="):
            front.append(argument)
        elif argument == "--home":
            front += [argument, *([value] if (value := next(waiting, None)) is not None else [])]
        else:
            rest.append(argument)
    return front, rest


def run_command(arguments: list[str]) -> int:
    """Run one command; returns its exit code. The border: errors of the world end here as text."""
    from inglenook.cli import (  # noqa: F401  they register themselves
        ask,
        bench,
        doctor,
        history,
        models,
        predict,
        pull,
        run,
        search,
        settings,
    )

    # Before a profile's log is open, and after it is closed, nothing may reach the terminal.
    logging.getLogger("inglenook").addHandler(logging.NullHandler())
    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), _end_on_signal)
    shared, rest = hoist_common_flags(arguments)
    output = Output(is_json="--json" in shared)
    try:
        result: Any = program([*shared, *rest], "inglenook", standalone_mode=False)
    except UserError as error:
        output.error(error)
        return error.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        output.note(error.format_message())
        return ExitCode.USAGE
    except click.ClickException as error:
        output.error(_describe_usage(error))
        return ExitCode.USAGE
    except (click.Abort, KeyboardInterrupt):
        return ExitCode.INTERRUPTED
    except Exception as error:
        with _reopen_log(shared):
            log.exception("a command failed")
        output.error(_describe_bug(error))
        return ExitCode.BUG
    return result if isinstance(result, int) else ExitCode.DONE


def _describe_usage(error: click.ClickException) -> UserError:
    context = getattr(error, "ctx", None)
    path = context.command_path if isinstance(context, click.Context) else "inglenook"
    message = error.format_message()
    message += "" if message.endswith((".", "?", "!")) else "."
    return UserError(message, f"See: {path} --help", code="usage")


@contextmanager
def _reopen_log(shared: list[str]) -> Iterator[None]:
    """The profile's log, which is closed when an error has come this far."""
    home = None
    for flag, value in itertools.pairwise([*shared, ""]):
        if flag == "--home":
            home = Path(value)
        elif flag.startswith("--home="):
            home = Path(flag.removeprefix("--home="))
    log_file = open_log(find_profile(home).logs)
    try:
        yield
    finally:
        log_file.close()


def _describe_bug(error: Exception) -> UserError:
    # Only the kind of the error: its text might hold a piece of a conversation.
    return UserError(
        f"Inglenook failed in a way it should not ({type(error).__name__}).",
        "The log has the place; inglenook doctor tells where it is.",
        code="bug",
    )


def _silence_stdout() -> None:
    # Python flushes stdout once more at exit; the reader is gone.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _end_on_signal(number: int, _frame: object) -> NoReturn:
    raise SystemExit(128 + number)
