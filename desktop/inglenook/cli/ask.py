"""`inglenook ask`: one reply to stdout, streamed; what is piped in belongs to the question."""

import os
import stat
import sys

import click

from inglenook.base.errors import ExitCode, UsageError
from inglenook.base.settings import SETTINGS
from inglenook.chat.options import ReplyOptions
from inglenook.cli.conversation import TerminalConversation, show_reply
from inglenook.cli.program import Common, command
from inglenook.store.records import Message


@command("ask")
@click.argument("question", nargs=-1)
@click.option("--model", "-m", metavar="NAME_OR_PATH", help="Which model answers.")
@click.option("--max-tokens", type=int, metavar="N", help="The longest reply, in tokens.")
@click.option("--temperature", type=float, metavar="T", help="0 always takes the likeliest token.")
@click.option("--seed", type=int, metavar="S", help="The same seed and prompt give the same reply.")
@click.option("--system", metavar="TEXT", help="Said to the model first.")
@click.option("--think/--no-think", "thinks", default=None, help="Whether the model thinks first.")
@click.option("--reasoning-budget", type=int, metavar="N", help="The longest reasoning, in tokens.")
@click.option("--show-reasoning", is_flag=True, help="Show on stderr what the model thinks.")
def ask(
    common: Common,
    question: tuple[str, ...],
    model: str | None,
    max_tokens: int | None,
    temperature: float | None,
    seed: int | None,
    system: str | None,
    thinks: bool | None,
    reasoning_budget: int | None,
    show_reasoning: bool,
) -> int:
    """Ask once; the reply goes to stdout.

    It is shown as it is written, and what is piped in belongs to the question. It is kept, too:
    the window and inglenook history show it.
    """
    options = check_options(
        ReplyOptions(
            max_tokens=max_tokens,
            temperature=temperature,
            seed=seed,
            system_prompt=system,
            thinks=thinks,
            reasoning_budget=reasoning_budget,
        )
    )
    prompt = join_prompt(" ".join(question), read_piped(has_question=bool(question)))
    if not prompt:
        raise UsageError(
            "There is nothing to ask.", 'For example: inglenook ask "What is a token?"'
        )
    with common.open_app() as app:
        model_id = app.library.find(model).id if model else None
        with TerminalConversation(app, model_id, options) as conversation:
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
