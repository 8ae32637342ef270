"""`inglenook history`: what was said, from the store."""

from typing import TYPE_CHECKING, Any, Final

import click
import msgspec

from inglenook.base.errors import UsageError
from inglenook.chat.attachments import count_bytes
from inglenook.cli.output import describe_size
from inglenook.cli.program import Common, command
from inglenook.store.records import Conversation, Message

if TYPE_CHECKING:
    from inglenook.app import App

N_SHOWN: Final = 8
"""How much of an id is shown: enough to tell thousands of conversations apart."""


@command("history")
@click.argument("conversation", metavar="[ID]", required=False)
@click.option("--search", "-s", metavar="TEXT", help="Only what holds TEXT.")
def history(common: Common, conversation: str | None, search: str | None) -> None:
    """List the conversations, or show one whole.

    With --json, all of them with the messages of every branch.

    Of an ID, its first characters are enough.
    """
    with common.open_app() as app:
        chosen = choose(app, conversation, search)
        if common.output.is_json:
            common.output.document([describe(app, one) for one in chosen])
        elif conversation is not None:
            for message in app.store.thread(chosen[0].id):
                common.output.line(describe_message(message))
        elif chosen:
            common.output.table(
                [
                    ("ID", "CHANGED", "TITLE"),
                    *(
                        (c.id[:N_SHOWN], f"{c.updated_at.astimezone():%Y-%m-%d %H:%M}", c.title)
                        for c in chosen
                    ),
                ]
            )
        else:
            common.output.note(
                "There is no conversation yet." if search is None else "Nothing found."
            )


def choose(app: "App", conversation: str | None, search: str | None) -> list[Conversation]:
    """The conversations that were asked for."""
    if conversation is not None:
        return [find(app, conversation)]
    if search is not None:
        found = {hit.conversation.id: hit.conversation for hit in app.store.search(search)}
        return list(found.values())
    return list(app.store.list_conversations())


def find(app: "App", beginning: str) -> Conversation:
    """The one conversation whose id begins so. Raises `UsageError` when there is none, or more."""
    wanted = beginning.strip().lower()
    found = [one for one in app.store.list_conversations() if one.id.startswith(wanted)]
    if wanted and len(found) == 1:
        return found[0]
    if wanted and found:
        raise UsageError(
            f"{len(found)} conversations have an ID that begins with {wanted}.",
            "Give more of it.",
            code="ambiguous",
        )
    raise UsageError(
        f"There is no conversation with the ID {beginning}.",
        "inglenook history lists them.",
        code="not_found",
    )


def describe(app: "App", conversation: Conversation) -> dict[str, Any]:
    """A conversation with its messages of every branch, oldest first; scripts rely on its keys."""
    messages = app.store.list_messages(conversation.id)
    body: dict[str, Any] = msgspec.to_builtins(conversation)
    body["messages"] = [msgspec.to_builtins(message) for message in messages]
    return body


def describe_message(message: Message) -> str:
    """A message as text."""
    who = "You" if message.role == "user" else message.model_name or "Model"
    mark = "" if message.status == "complete" else f" ({message.status})"
    files = "".join(
        f"[{file.name}, {describe_size(count_bytes(file))}]\n" for file in message.attachments
    )
    return f"{who}{mark}:\n{files}{message.content}\n"
