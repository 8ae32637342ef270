"""How the end of a run, as the engine tells it, is written down. Pure functions."""

from dataclasses import dataclass
from typing import Final

import msgspec

from inglenook.engine.protocol import Failed, Finished, Timings, Usage
from inglenook.store.records import Statistics, Status

_NOTHING: Final = Statistics()
_CUT_OFF: Final = frozenset({"engine_died", "engine_hung", "gpu_out_of_memory", "gpu_lost"})


@dataclass(frozen=True, slots=True)
class Ending:
    """The last facts about a reply, without its text."""

    status: Status
    finish_reason: str = ""
    error: str = ""
    statistics: Statistics = _NOTHING


def describe_ending(event: Finished | Failed) -> Ending:
    """Translate the engine's last word on a run.

    A reply that a person stopped is `stopped`; one that the engine's death cut off is
    `interrupted`, as after a crash of the app; any other fault is `failed`. Both tell why.
    """
    statistics = make_statistics(event.usage, event.timings)
    if isinstance(event, Finished):
        status: Status = "stopped" if event.reason == "cancelled" else "complete"
        return Ending(status, event.reason, "", statistics)
    sentence = f"{event.message} {event.hint}".strip()
    status = "interrupted" if event.code in _CUT_OFF else "failed"
    return Ending(status, event.code, sentence, statistics)


def join_statistics(first: Statistics, second: Statistics) -> Statistics:
    """Join the numbers of a reply with those of its continuation.

    The prompt is the first one's, for the second one's prompt holds the first one's output.
    """
    if first == _NOTHING:
        return second
    output_tokens = first.output_tokens + second.output_tokens
    decode_s = first.decode_s + second.decode_s
    return msgspec.structs.replace(
        first,
        output_tokens=output_tokens,
        reasoning_tokens=first.reasoning_tokens + second.reasoning_tokens,
        drafted_tokens=first.drafted_tokens + second.drafted_tokens,
        accepted_tokens=first.accepted_tokens + second.accepted_tokens,
        n_ctx=second.n_ctx or first.n_ctx,
        queue_s=first.queue_s + second.queue_s,
        load_s=first.load_s + second.load_s,
        prefill_s=first.prefill_s + second.prefill_s,
        reasoning_s=first.reasoning_s + second.reasoning_s,
        decode_s=decode_s,
        total_s=first.total_s + second.total_s,
        decode_tps=output_tokens / decode_s if decode_s > 0 else 0.0,
    )


def make_statistics(usage: Usage, timings: Timings) -> Statistics:
    """What a reply took, as it is stored."""
    return Statistics(**msgspec.structs.asdict(usage), **msgspec.structs.asdict(timings))
