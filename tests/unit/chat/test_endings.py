import pytest

from inglenook.chat.endings import describe_ending, join_statistics
from inglenook.engine.protocol import Failed, Finished, FinishReason, Timings, Usage
from inglenook.store.records import Statistics


@pytest.mark.parametrize(
    ("reason", "status"),
    [
        ("stop", "complete"),
        ("length", "complete"),
        ("context_full", "complete"),
        ("cancelled", "stopped"),
    ],
)
def test_an_end_in_order(reason: FinishReason, status: str) -> None:
    usage = Usage(prompt_tokens=9, cached_tokens=4, output_tokens=3, n_ctx=512, seed=1)
    timings = Timings(ttft_s=0.1, decode_s=1.0, decode_tps=3.0, total_s=1.2)
    ending = describe_ending(
        Finished(run_id="r", model_id="m", reason=reason, usage=usage, timings=timings)
    )
    assert (ending.status, ending.finish_reason, ending.error) == (status, reason, "")
    assert ending.statistics == Statistics(
        prompt_tokens=9,
        cached_tokens=4,
        output_tokens=3,
        n_ctx=512,
        seed=1,
        ttft_s=0.1,
        decode_s=1.0,
        decode_tps=3.0,
        total_s=1.2,
    )


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("engine_died", "interrupted"),
        ("engine_hung", "interrupted"),
        ("prompt_too_long", "failed"),
        ("decode_failed", "failed"),
        ("something_new", "failed"),
    ],
)
def test_a_fault_keeps_its_sentence(code: str, status: str) -> None:
    ending = describe_ending(Failed(run_id="r", code=code, message="It broke.", hint="Try again."))
    assert (ending.status, ending.finish_reason, ending.error) == (
        status,
        code,
        "It broke. Try again.",
    )


def test_a_continuation_adds_what_was_written_and_keeps_the_first_prompt() -> None:
    first = Statistics(prompt_tokens=10, output_tokens=4, decode_s=2.0, decode_tps=2.0, ttft_s=0.5)
    second = Statistics(prompt_tokens=14, output_tokens=6, decode_s=2.0, decode_tps=3.0)
    joined = join_statistics(first, second)
    assert (joined.prompt_tokens, joined.output_tokens, joined.ttft_s) == (10, 10, 0.5)
    assert joined.decode_tps == pytest.approx(2.5)
    assert join_statistics(Statistics(), second) == second
