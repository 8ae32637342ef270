"""What chat tells through the event hub, beside the engine's own events.

Published on the thread that did the work: the caller's for what was asked, the journal's for what
was saved.
"""

from dataclasses import dataclass

from inglenook.store.records import Attachment, Message


@dataclass(frozen=True, slots=True)
class ConversationsChanged:
    """A conversation, or with None any of them, changed: title, order, model, shown branch.

    `origin` says what began it: send, retry, drafts, edit, continue, sibling, model or
    recover.
    """

    conversation_id: str | None
    origin: str


@dataclass(frozen=True, slots=True)
class MessageStarted:
    """A reply begins; `user` is the message that was added with it, if one was.

    `others` are further drafts of the same prompt that begin with it. `is_freer` says that they
    are drawn at the model's own temperature, because at the chosen one, 0, they would be alike.
    """

    user: Message | None
    reply: Message
    others: tuple[Message, ...] = ()
    is_freer: bool = False

    @property
    def replies(self) -> tuple[Message, ...]:
        """All replies that begin."""
        return (self.reply, *self.others)


@dataclass(frozen=True, slots=True)
class ReplyWaits:
    """A reply waits until those of another model, `model_id`, are over."""

    run_id: str
    model_id: str


@dataclass(frozen=True, slots=True)
class MessageFinished:
    """A reply ended and is on the disk, with all its numbers."""

    message: Message


@dataclass(frozen=True, slots=True)
class NotSaved:
    """The text of a reply cannot be saved now; it goes on in memory and is tried again."""

    message_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class SavedAgain:
    """All that could not be saved has been saved."""


@dataclass(frozen=True, slots=True)
class AttachmentCounted:
    """What an attached file adds to a prompt, in tokens; `n_ctx` is what the model can take.

    Estimated, not counted, where it is far too long.
    """

    file: Attachment
    n_tokens: int
    n_ctx: int
    is_exact: bool = True
