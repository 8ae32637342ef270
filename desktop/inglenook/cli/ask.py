"""`inglenook ask`: one reply to stdout, streamed; what is piped in belongs to the question."""

import os
import stat
import sys
from pathlib import Path

import click

from inglenook.base.declarations import SETTINGS
from inglenook.base.errors import ExitCode, UsageError, UserError
from inglenook.chat.attachments import check_attachments, read_attachment
from inglenook.chat.options import ReplyOptions
from inglenook.cli.constraint import read_constraint
from inglenook.cli.conversation import TerminalConversation, show_reply
from inglenook.cli.models import find_model
from inglenook.cli.output import Output
from inglenook.cli.program import Common, command
from inglenook.cli.settings import add_set_option, apply_assignments
from inglenook.store.records import Message


@command("ask")
@click.argument("question", nargs=-1)
@click.option("--model", "-m", metavar="NAME_OR_PATH", help="Which model answers.")
@click.option(
    "--file",
    "-f",
    "files",
    multiple=True,
    metavar="PATH",
    help="A text file that goes with it; can be given several times.",
)
@click.option("--max-tokens", type=int, metavar="N", help="The longest reply, in tokens.")
@click.option("--temperature", type=float, metavar="T", help="0 always takes the likeliest token.")
@click.option("--seed", type=int, metavar="S", help="The same seed and prompt give the same reply.")
@click.option("--system", metavar="TEXT", help="Said to the model first.")
@click.option("--drafts", type=int, default=1, metavar="N", help="So many replies, drawn at once.")
@click.option("--think/--no-think", "thinks", default=None, help="Whether the model thinks first.")
@click.option("--reasoning-budget", type=int, metavar="N", help="The longest reasoning, in tokens.")
@click.option("--show-reasoning", is_flag=True, help="Show on stderr what the model thinks.")
@click.option("--json-schema", metavar="FILE|JSON", help="The reply is JSON that obeys this.")
@click.option("--grammar", metavar="FILE", help="The reply obeys this grammar (GBNF).")
@add_set_option
def ask(
    common: Common,
    question: tuple[str, ...],
    model: str | None,
    files: tuple[str, ...],
    max_tokens: int | None,
    temperature: float | None,
    seed: int | None,
    system: str | None,
    drafts: int,
    thinks: bool | None,
    reasoning_budget: int | None,
    show_reasoning: bool,
    json_schema: str | None,
    grammar: str | None,
    assignments: tuple[str, ...],
) -> int:
    """Ask once; the reply goes to stdout.

    It is shown as it is written, and what is piped in belongs to the question. It is kept, too:
    the window and inglenook history show it. Several drafts are written at once and printed one
    after the other; with --json they are a list.
    """
    options = check_options(
        ReplyOptions(
            max_tokens=max_tokens,
            temperature=temperature,
            seed=seed,
            system_prompt=system,
            thinks=thinks,
            reasoning_budget=reasoning_budget,
            constraint=read_constraint(json_schema, grammar),
        )
    )
    prompt = join_prompt(" ".join(question), read_piped(has_question=bool(question)))
    attachments = tuple(read_attachment(Path(file)) for file in files)
    check_attachments(attachments)
    if not prompt and not attachments:
        raise UsageError(
            "There is nothing to ask.", 'For example: inglenook ask "What is a token?"'
        )
    with common.open_app() as app:
        apply_assignments(app.settings, assignments)
        model_id = find_model(app, model).id if model else None
        with TerminalConversation(app, model_id, options) as conversation:
            conversation.attach(*attachments)
            if drafts != 1:
                return show_drafts(common.output, conversation, prompt, drafts, show_reasoning)
            show_reply(
                common.output,
                conversation,
                lambda: conversation.send(prompt),
                shows_reasoning=show_reasoning,
            )
            reply = conversation.get_last()
            if common.output.is_json:
                common.output.document(describe_reply(reply))
            return ExitCode.INTERRUPTED if conversation.was_stopped else ExitCode.DONE


def show_drafts(
    output: Output,
    conversation: TerminalConversation,
    prompt: str,
    n_drafts: int,
    shows_reasoning: bool,
) -> int:
    """Print drafts one after the other; the first fault is told when all that came is shown."""
    fault: UserError | None = None
    was_stopped = False
    replies: list[Message] = []
    for number, follow in enumerate(conversation.send_drafts(prompt, n_drafts), 1):
        if not output.is_json:
            output.line(f"--- draft {number} of {n_drafts} ---")
        try:
            show_reply(output, conversation, follow, shows_reasoning=shows_reasoning)
        except UserError as error:
            fault = fault or error
        was_stopped = was_stopped or conversation.was_stopped
        replies.append(conversation.get_last())
    if fault is not None:
        raise fault
    if output.is_json:
        output.document([describe_reply(reply) for reply in replies])
    return ExitCode.INTERRUPTED if was_stopped else ExitCode.DONE


def check_options(options: ReplyOptions) -> ReplyOptions:
    """Hold the options to the ranges of the settings that they stand in for."""
    for key in ("max_tokens", "temperature", "seed", "reasoning_budget"):
        SETTINGS[f"replies.{key}"].check(getattr(options, key))
    return options


def read_piped(*, has_question: bool) -> str:
    """What is piped in; a terminal or an inherited device is not read."""
    if sys.stdin is None or sys.stdin.closed or sys.stdin.isatty():
        return ""
    mode = os.fstat(sys.stdin.fileno()).st_mode
    if not (
        stat.S_ISFIFO(mode) or stat.S_ISREG(mode) or (stat.S_ISSOCK(mode) and not has_question)
    ):
        return ""
    return sys.stdin.buffer.read().decode("utf-8", errors="replace").strip()


def join_prompt(question: str, piped: str) -> str:
    """The question first, then what was piped in."""
    return "\n\n".join(part for part in (question.strip(), piped) if part)


def describe_reply(reply: Message) -> dict[str, object]:
    """The object that `--json` prints; scripts rely on its keys."""
    numbers = reply.statistics
    return {
        "text": reply.content,
        "reasoning": reply.reasoning,
        "model": reply.model_id,
        "finish_reason": reply.finish_reason,
        "prompt_tokens": numbers.prompt_tokens,
        "cached_tokens": numbers.cached_tokens,
        "output_tokens": numbers.output_tokens,
        "reasoning_tokens": numbers.reasoning_tokens,
        "reasoning_s": numbers.reasoning_s,
        "ttft_s": numbers.ttft_s,
        "prefill_tps": numbers.prefill_tps,
        "decode_tps": numbers.decode_tps,
        "queue_s": numbers.queue_s,
        "load_s": numbers.load_s,
        "total_s": numbers.total_s,
        "seed": numbers.seed,
        "conversation_id": reply.conversation_id,
        "message_id": reply.id,
    }
