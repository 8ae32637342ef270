"""`inglenook run`: a conversation in the terminal, kept like any other."""

import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from inglenook.base.errors import ExitCode, ModelError, UsageError, UserError
from inglenook.base.records import InstalledModel
from inglenook.chat.attachments import (
    check_attachments,
    count_bytes,
    estimate_tokens,
    read_attachment,
)
from inglenook.chat.events import AttachmentCounted
from inglenook.chat.options import ReplyOptions
from inglenook.cli.conversation import (
    Shown,
    TerminalConversation,
    describe_numbers,
    show_reply,
)
from inglenook.cli.models import find_model
from inglenook.cli.output import Output, describe_size
from inglenook.cli.program import Common, command
from inglenook.cli.pull import download
from inglenook.cli.settings import add_set_option, apply_assignments
from inglenook.models.adopted.candidates import name_app
from inglenook.store.records import Message

if TYPE_CHECKING:
    from inglenook.app import App

HELP = """\
/new           begin a new conversation
/retry         write the last reply again
/model [NAME]  show the models, or talk with another one
/attach [PATH] have a text file go with the next message, or show which do
/detach        have none go with it
/help          this list
/bye           leave (or Ctrl+D)
Ctrl+C stops a reply. A line that ends in \\ goes on in the next."""


@command("run")
@click.argument("model", required=False)
@click.option("--think/--no-think", "thinks", default=None, help="Whether the model thinks first.")
@click.option("--show-reasoning", is_flag=True, help="Show what the model thinks.")
@add_set_option
def run(
    common: Common,
    model: str | None,
    thinks: bool | None,
    show_reasoning: bool,
    assignments: tuple[str, ...],
) -> int:
    """Talk in the terminal.

    The conversation is kept like any other: the window shows it, too. MODEL is a name or a path;
    one of the catalogue that is not here yet can be downloaded first.
    """
    with common.open_app() as app:
        apply_assignments(app.settings, assignments)
        name = model or str(app.settings.get("models.default"))
        chosen = find_or_fetch(app, common.output, name)
        options = ReplyOptions(thinks=thinks)
        with TerminalConversation(app, chosen.id, options) as conversation:
            app.chat.warm_up(chosen.id)
            common.output.note(f"{chosen.name}. /help lists commands, Ctrl+D leaves.")
            Prompt(app, common.output, conversation, shows_reasoning=show_reasoning).loop()
    return ExitCode.DONE


def find_or_fetch(app: "App", output: Output, name: str) -> InstalledModel:
    """Find a model; where a person can be asked, offer another app's, or one of the catalogue."""
    try:
        return find_model(app, name)
    except ModelError as error:
        is_asked = not output.is_json and sys.stdin.isatty() and sys.stderr.isatty()
        if error.code != "unknown_model" or not is_asked:
            raise
        if (found := app.neighbours.has(name)) is not None:
            output.note(
                f"{name_app(found.app)} has {found.name}: {describe_size(found.size_bytes)}."
            )
            if click.confirm("Use it from there?", default=True, err=True):
                return app.neighbours.adopt(found.id)
        if (entry := app.catalogue.find(name)) is None:
            raise
    size = describe_size(entry.recommended.size_bytes)
    output.note(f"{entry.name} is not on this disk yet: {size}, {entry.licence}.")
    if not click.confirm("Download it now?", default=True, err=True):
        raise click.Abort
    return download(app, output, name)


class Prompt:
    """Reads lines and acts on them until the person leaves."""

    def __init__(
        self,
        app: "App",
        output: Output,
        conversation: TerminalConversation,
        *,
        shows_reasoning: bool = False,
    ) -> None:
        self._app = app
        self._output = output
        self._conversation = conversation
        self._shows_reasoning = shows_reasoning

    def loop(self) -> None:
        """Read and answer until the end of input or /bye."""
        prepare_line_editing()
        while True:
            try:
                text = read_message().strip()
                if text in {"/bye", "/exit", "/quit"}:
                    return
                if text:
                    self._act(text)
            except EOFError:
                self._output.note("")
                return
            except KeyboardInterrupt:
                self._output.note("\nCtrl+D or /bye leaves.")

    def _act(self, text: str) -> None:
        try:
            if text.startswith("/"):
                self._obey(text)
            else:
                self._show(lambda: self._conversation.send(text))
        except UserError as error:
            self._output.error(error)

    def _obey(self, text: str) -> None:
        name, _, argument = text.partition(" ")
        match name:
            case "/new":
                self._conversation.reset()
                self._output.note("A new conversation.")
            case "/retry":
                self._show(self._conversation.retry)
            case "/model":
                self._choose_model(argument.strip())
            case "/attach":
                self._attach(argument.strip())
            case "/detach":
                self._conversation.detach()
                self._output.note("No file goes with the next message.")
            case "/help" | "/?":
                self._output.note(HELP)
            case _:
                self._output.note(f"There is no command {name}. /help lists them.")

    def _choose_model(self, name: str) -> None:
        if not name:
            for model in self._app.library.list():
                self._output.note(describe_model(model))
            return
        chosen = self._app.library.find(name)
        self._conversation.set_model(chosen.id)
        self._app.chat.warm_up(chosen.id)
        self._output.note(f"Now talking with {chosen.name}.")

    def _attach(self, path: str) -> None:
        """Attach a file that fits, or show what is attached."""
        attached = self._conversation.attached
        if not path:
            for file in attached:
                self._output.note(f"{file.name}  {describe_size(count_bytes(file))}")
            if not attached:
                self._output.note("No file goes with the next message.")
            return
        file = read_attachment(clean_path(path))
        check_attachments((*attached, file))
        counted = self._conversation.count_tokens(file)
        if counted is None:
            n_tokens = f"about {estimate_tokens(file.text):,}"
        else:
            check_room(counted, self._conversation.last)
            n_tokens = f"{counted.n_tokens:,}"
        self._conversation.attach(file)
        self._output.note(f"{file.name} goes with the next message: {n_tokens} tokens.")

    def _show(self, begin: Callable[[], Iterator[Shown]]) -> None:
        show_reply(self._output, self._conversation, begin, shows_reasoning=self._shows_reasoning)
        self._output.note(describe_numbers(self._conversation.get_last()))


def prepare_line_editing() -> None:
    """Arrow keys and history within the line, where the platform has them."""
    try:
        import readline
    except ImportError:
        return
    readline.set_auto_history(True)


def read_message() -> str:
    """One message; a line that ends in a backslash goes on in the next."""
    lines: list[str] = []
    prompt = ">>> " if sys.stdin.isatty() else ""
    while True:
        line = input(prompt)
        if not line.endswith("\\"):
            return "\n".join([*lines, line])
        lines.append(line[:-1])
        prompt = "... " if prompt else ""


def clean_path(argument: str) -> Path:
    """A path as it was typed, or as a file manager or a shell gives it: quoted, or with ~."""
    for quote in ("'", '"'):
        if len(argument) > 1 and argument[0] == argument[-1] == quote:
            argument = argument[1:-1]
    path = Path(argument)
    with suppress(RuntimeError):  # a home that nobody knows
        path = path.expanduser()
    return path


def check_room(counted: AttachmentCounted, last: Message | None) -> None:
    """See that a file fits beside the conversation. Raises `UsageError` (prompt_too_long)."""
    n_tokens, n_ctx = counted.n_tokens, counted.n_ctx
    n_used = last.statistics.prompt_tokens + last.statistics.output_tokens if last else 0
    if n_tokens + n_used >= n_ctx:
        beside = f" and the conversation {n_used:,}" if n_used else ""
        about = "" if counted.is_exact else "about "
        raise UsageError(
            f"{counted.file.name} has {about}{n_tokens:,} tokens{beside}, but this model's "
            f"context holds {n_ctx:,}.",
            "Attach a part of it, begin anew with /new, or choose a longer context: "
            "inglenook settings engine.context_length N.",
            code="prompt_too_long",
        )


def describe_model(model: InstalledModel) -> str:
    """One line about an installed model."""
    names = ", ".join(model.aliases) or model.id
    return f"{names}  {model.name}  {model.problem}".rstrip()
