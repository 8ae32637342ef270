"""From a thread of messages to a prompt, and from a first message to a title. Pure functions."""

import re
from collections.abc import Sequence
from typing import Final

from inglenook.engine.protocol import PromptMessage
from inglenook.store.records import Message

TITLE_LENGTH: Final = 48
_MARKUP: Final = re.compile(r"^[\s#>*\-`_~|=+]+|[*_`~]{1,3}")


def build_prompt(
    system_prompt: str, thread: Sequence[Message], *, is_continued: bool = False
) -> tuple[PromptMessage, ...]:
    """Build what the model is told: the system prompt, then every message of the thread.

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
        last = prompt[-1] if prompt else None
        if last is not None and last.role == message.role:
            prompt[-1] = PromptMessage(last.role, f"{last.content}\n\n{message.content}")
        else:
            prompt.append(PromptMessage(message.role, message.content))
    return tuple(prompt)


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
