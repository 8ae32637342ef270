"""From a thread of messages to a prompt, and from a first message to a title. Pure functions."""

import re
from collections.abc import Sequence
from typing import Final

from inglenook.chat.attachments import join_message
from inglenook.engine.protocol import PromptMessage
from inglenook.store.records import Attachment, Message, Role

TITLE_LENGTH: Final = 48
_MARKUP: Final = re.compile(r"^[\s#>*\-`_~|=+]+|[*_`~]{1,3}")


def build_prompt(
    system_prompt: str,
    thread: Sequence[Message],
    *,
    is_continued: bool = False,
    draft: str = "",
    draft_files: Sequence[Attachment] = (),
) -> tuple[PromptMessage, ...]:
    """Build what the model is told: the system prompt, then every message of the thread.

    The files of a message come before its words. `draft` is what a person may say next, with
    `draft_files`.

    Nothing is left out for its length: a prompt that does not fit is the engine's to refuse. A
    reply without text, which failed before its first token, is not part of the conversation; the
    user's messages around it are joined, for many templates want the roles to take turns. What was
    thought is not said again, but for the last reply's where that goes on.
    """
    prompt: list[PromptMessage] = []
    if system_prompt.strip():
        prompt.append(PromptMessage("system", system_prompt))
    for message in thread:
        if is_continued and message is thread[-1]:
            prompt.append(PromptMessage(message.role, message.content, message.reasoning))
            continue
        if message.role == "assistant" and not message.content:
            continue
        _say(prompt, message.role, join_message(message.content, message.attachments))
    if draft or draft_files:
        _say(prompt, "user", join_message(draft, draft_files))
    return tuple(prompt)


def _say(prompt: list[PromptMessage], role: Role, content: str) -> None:
    """Add what one said; a second time in a row it is one message."""
    last = prompt[-1] if prompt else None
    if last is not None and last.role == role:
        prompt[-1] = PromptMessage(role, f"{last.content}\n\n{content}")
    else:
        prompt.append(PromptMessage(role, content))


def make_title(text: str) -> str:
    """Make a title out of the first words of a message; never empty."""
    for line in text.splitlines():
        words = _MARKUP.sub("", line).split()
        if any(character.isalnum() for character in "".join(words)):
            return _shorten(words)
    return _shorten(text.split()) or "New conversation"


def _shorten(words: Sequence[str]) -> str:
    title = " ".join(words)
    if len(title) <= TITLE_LENGTH:
        return title
    cut = title[: TITLE_LENGTH - 1]
    space = cut.rfind(" ")
    return (cut[:space] if space > TITLE_LENGTH // 2 else cut).rstrip(" ,;:.") + "…"
