"""What the figures of a reply are made of."""

from pathlib import Path

import pytest

from inglenook.base.errors import UsageError
from inglenook.engine.measuring.ceiling import LlamaBench
from inglenook.engine.measuring.measure import Plan, Reply, count_together
from inglenook.engine.protocol import Usage


def make_reply(*moments: float, ended: float, asked: float = 0.0) -> Reply:
    """A reply of one token at each moment."""
    arrivals = [(moment, n) for n, moment in enumerate(moments, 1)]
    usage = Usage(prompt_tokens=100, cached_tokens=30, output_tokens=len(moments))
    return Reply(asked, arrivals, ended, usage)


def test_the_first_token_is_no_part_of_the_writing_speed() -> None:
    reply = make_reply(5.0, 6.0, 7.0, ended=7.0, asked=1.0)
    assert reply.ttft_s == 4.0
    assert reply.n_decoded == 2
    assert reply.decode_tps == 1.0
    assert reply.n_read == 70


def test_a_first_piece_of_several_tokens_counts_as_them() -> None:
    reply = Reply(0.0, [(1.0, 3), (2.0, 4)], 3.0, Usage(output_tokens=5))
    assert reply.n_decoded == 2
    assert reply.decode_tps == 1.0


def test_a_reply_without_text_has_a_time_and_no_speed() -> None:
    reply = make_reply(ended=3.0, asked=1.0)
    assert reply.ttft_s == 2.0
    assert reply.decode_tps == 0.0


def test_replies_count_together_only_while_all_are_written() -> None:
    early = make_reply(0.0, 1.0, 2.0, 3.0, ended=3.0)
    late = make_reply(2.0, 3.0, 4.0, 5.0, ended=5.0)
    # From 2.0 to 3.0 each gave one token.
    assert count_together([early, late]) == 2.0


def test_replies_that_never_met_count_over_all_of_the_time() -> None:
    early = make_reply(0.0, 1.0, ended=1.0)
    late = make_reply(2.0, 3.0, ended=4.0)
    assert count_together([early, late]) == 0.5
    assert count_together([make_reply(ended=1.0)]) == 0.0


@pytest.mark.parametrize("n_ctx", [512, 1024, 2048, 8192])
def test_a_plan_is_made_to_fit_the_context(n_ctx: int) -> None:
    plan = Plan().fit(n_ctx)
    assert plan.n_short <= plan.n_long
    assert plan.n_long + plan.n_reply < n_ctx
    assert 4 * plan.n_reply < n_ctx
    if n_ctx == 8192:
        assert plan == Plan()


def write_program(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o700)
    return path


def test_llama_bench_is_asked_for_one_test_at_a_time(tmp_path: Path) -> None:
    program = write_program(
        tmp_path / "llama-bench",
        f'echo "$@" >> {tmp_path}/asked; echo \'[{{"avg_ts": 12.5, "n_threads": 2}}]\'',
    )
    ceiling = LlamaBench(program, "m.gguf")
    assert ceiling.read(64) == 12.5
    assert ceiling.write(16) == 12.5
    first, second = (tmp_path / "asked").read_text(encoding="utf-8").splitlines()
    assert first.startswith("-m m.gguf -p 64 -n 0 ")
    assert second.startswith("-m m.gguf -p 0 -n 16 ")


@pytest.mark.parametrize("text", ["exit 1", "echo hello", "echo '[]'", "echo '{\"avg_ts\": 1}'"])
def test_a_program_that_is_no_llama_bench_is_refused(tmp_path: Path, text: str) -> None:
    program = write_program(tmp_path / "other", text)
    with pytest.raises(UsageError, match="does not do what llama-bench does"):
        LlamaBench(program, "m.gguf").read(64)


def test_a_program_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not do"):
        LlamaBench(tmp_path / "none", "m.gguf").write(64)
