"""Replies as they should be: finish reasons, usage, timings, seeds, stop texts, meters."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest

from inglenook.engine.local import LocalEngine
from inglenook.engine.protocol import (
    CountTokens,
    Failed,
    Finished,
    Loaded,
    LoadFailed,
    Loading,
    Meter,
    Prefill,
    PromptMessage,
    Sampling,
    Text,
    TokenCount,
    Unload,
    Unloaded,
)
from support.recorder import GREEDY, Recorder, make_generate

DRAWN = Sampling(temperature=0.9, seed=7)


def test_loaded_tells_facts_of_the_library(
    local: LocalEngine, recorder: Recorder, tiny: Path
) -> None:
    loaded = recorder.load(local, tiny)
    assert isinstance(loaded, Loaded)
    assert loaded.architecture == "llama"
    assert loaded.quantisation == "F32"
    assert loaded.n_ctx == loaded.n_ctx_train == 1024
    assert loaded.n_layers == 2
    assert loaded.device == "CPU"
    assert loaded.n_layers_gpu == 0
    assert loaded.kv_bytes == 2 * 1024 * 64 * 2 * 2  # layers, cells, width, K and V, F16
    assert loaded.n_threads == 1
    assert local.state.phase == "ready"
    assert local.state.loaded == loaded
    fractions = [e.fraction for e in recorder.events if isinstance(e, Loading)]
    assert fractions == sorted(fractions)
    assert fractions[-1] == pytest.approx(1.0)


def test_second_equal_load_is_answered_at_once(
    local: LocalEngine, recorder: Recorder, tiny: Path
) -> None:
    first = recorder.load(local, tiny)
    n_loading = sum(isinstance(e, Loading) for e in recorder.events)
    assert recorder.load(local, tiny) == first
    assert sum(isinstance(e, Loading) for e in recorder.events) == n_loading


def test_usage_and_timings_are_exact(local: LocalEngine, recorder: Recorder, tiny: Path) -> None:
    recorder.load(local, tiny)
    end = recorder.ask(local, "r", "the sea and the fire", max_tokens=30)
    assert isinstance(end, Finished)
    assert end.reason == "length"
    assert end.usage.output_tokens == 30
    assert end.usage.cached_tokens == 0
    assert end.usage.n_ctx == 1024
    texts = [e for e in recorder.events if isinstance(e, Text)]
    assert texts[-1].n_tokens <= 30
    prefills = [e for e in recorder.events if isinstance(e, Prefill)]
    assert prefills[-1].n_done == prefills[-1].n_prompt == end.usage.prompt_tokens
    timings = end.timings
    assert 0 < timings.ttft_s <= timings.total_s
    assert timings.prefill_tps == pytest.approx(end.usage.prompt_tokens / timings.prefill_s)
    assert timings.decode_tps == pytest.approx(29 / timings.decode_s)


def test_count_tokens_agrees_with_a_prompt(
    local: LocalEngine, recorder: Recorder, tiny: Path
) -> None:
    messages = (PromptMessage("user", "the sea"),)
    recorder.load(local, tiny)
    local.submit(CountTokens(request_id="c", messages=messages))
    count = recorder.wait_for(lambda e: isinstance(e, TokenCount))
    assert isinstance(count, TokenCount)
    end = recorder.ask(local, "r", "the sea", max_tokens=1)
    n_begin = len("assistant\n") + 1  # Letters, as no merge covers them, and <|im_start|>.
    assert 0 < end.usage.prompt_tokens - count.n_tokens <= n_begin
    assert count.n_ctx == 1024


def test_count_tokens_without_a_model(local: LocalEngine, recorder: Recorder) -> None:
    local.submit(CountTokens(request_id="c", messages=(PromptMessage("user", "x"),)))
    count = recorder.wait_for(lambda e: isinstance(e, TokenCount))
    assert isinstance(count, TokenCount)
    assert count.n_tokens == -1


def test_same_seed_gives_same_reply(local: LocalEngine, recorder: Recorder, tiny: Path) -> None:
    recorder.load(local, tiny)
    for run_id in ("a", "b"):
        end = recorder.ask(local, run_id, "the sea", sampling=DRAWN, max_tokens=40)
        assert end.usage.seed == 7
    recorder.ask(local, "c", "the sea", sampling=Sampling(temperature=0.9, seed=8), max_tokens=40)
    assert recorder.read_text("a") == recorder.read_text("b")
    assert recorder.read_text("a") != recorder.read_text("c")


def test_drawn_seed_is_told_and_repeats_the_reply(
    local: LocalEngine, recorder: Recorder, tiny: Path
) -> None:
    recorder.load(local, tiny)
    first = recorder.ask(local, "a", "the sea", sampling=Sampling(temperature=1.0), max_tokens=40)
    again = Sampling(temperature=1.0, seed=first.usage.seed)
    recorder.ask(local, "b", "the sea", sampling=again, max_tokens=40)
    assert recorder.read_text("a") == recorder.read_text("b")


def test_model_ends_by_itself(
    local: LocalEngine, recorder: Recorder, make_model: Callable[..., Path]
) -> None:
    recorder.load(local, make_model())
    for seed in range(20):
        end = recorder.ask(
            local,
            f"r{seed}",
            "hello",
            sampling=Sampling(seed=seed, temperature=2.0),
            max_tokens=900,
        )
        if isinstance(end, Finished) and end.reason == "stop":
            return
    raise AssertionError("no reply ended by itself")


def test_stop_text_ends_the_reply_and_is_not_shown(
    local: LocalEngine, recorder: Recorder, tiny: Path
) -> None:
    recorder.load(local, tiny)
    recorder.ask(local, "free", "the road", max_tokens=60)
    whole = recorder.read_text("free")
    stop = whole[20:24]
    end = recorder.ask(local, "stopped", "the road", max_tokens=60, stop=(stop,))
    assert isinstance(end, Finished)
    assert end.reason == "stop"
    assert recorder.read_text("stopped") == whole[: whole.index(stop)]


def test_context_full_is_said(local: LocalEngine, recorder: Recorder, tiny: Path) -> None:
    recorder.load(local, tiny, n_ctx=256)
    end = recorder.ask(local, "r", "the sea", max_tokens=None)
    assert isinstance(end, Finished)
    assert end.reason == "context_full"
    assert end.usage.prompt_tokens + end.usage.output_tokens == 257  # The last is never decoded.


def test_B07_prompt_longer_than_the_context_is_told_not_cut(
    local: LocalEngine, recorder: Recorder, tiny: Path
) -> None:
    recorder.load(local, tiny)
    end = recorder.ask(local, "long", "sea " * 1_000_000)
    assert isinstance(end, Failed)
    assert end.code == "prompt_too_long"
    assert "1,024" in end.message
    assert end.usage.prompt_tokens > 1_000_000
    assert isinstance(recorder.ask(local, "next", "the sea"), Finished)


def test_max_tokens_zero_only_reads(local: LocalEngine, recorder: Recorder, tiny: Path) -> None:
    recorder.load(local, tiny)
    end = recorder.ask(local, "warm", "the long road home", max_tokens=0)
    assert isinstance(end, Finished)
    assert (end.reason, end.usage.output_tokens) == ("length", 0)
    after = recorder.ask(local, "r", "the long road home", max_tokens=5)
    assert after.usage.cached_tokens == after.usage.prompt_tokens - 1


def test_continue_goes_on_from_the_end(local: LocalEngine, recorder: Recorder, tiny: Path) -> None:
    recorder.load(local, tiny)
    recorder.ask(local, "a", "the fire", max_tokens=40)
    half = recorder.read_text("a").split("\ufffd")[0][:12]
    turns = [("user", "the fire"), ("assistant", half)]
    end = recorder.ask(local, "b", turns, continue_last=True, max_tokens=8)
    assert isinstance(end, Finished)
    assert end.usage.cached_tokens > 0
    bad = recorder.ask(local, "c", "the fire", continue_last=True)
    assert isinstance(bad, Failed)
    assert bad.code == "bad_request"


def test_meter_comes_about_five_times_a_second(
    local: LocalEngine, recorder: Recorder, slow: Path
) -> None:
    recorder.load(local, slow)
    end = recorder.ask(local, "r", "the sea", max_tokens=500)
    meters = [e for e in recorder.events if isinstance(e, Meter)]
    assert meters
    assert len(meters) <= end.timings.decode_s * 5 + 2
    last = meters[-1]
    assert last.decode_tps_mean == pytest.approx(end.timings.decode_tps, rel=0.5)
    assert last.n_context == end.usage.prompt_tokens + last.n_tokens
    assert last.n_ctx == 8192


def test_generate_without_a_model(local: LocalEngine, recorder: Recorder) -> None:
    end = recorder.ask(local, "r", "hello")
    assert isinstance(end, Failed)
    assert end.code == "no_model"


def test_generate_after_a_failed_load_says_why(
    local: LocalEngine, recorder: Recorder, tmp_path: Path
) -> None:
    missing = tmp_path / "missing.gguf"
    failed = recorder.load(local, missing)
    assert isinstance(failed, LoadFailed)
    end = recorder.ask(local, "r", "hello")
    assert isinstance(end, Failed)
    assert end.code == "load_failed"
    assert end.message == failed.message


def test_unload_is_answered_and_a_load_follows(
    local: LocalEngine, recorder: Recorder, tiny: Path
) -> None:
    recorder.load(local, tiny)
    local.submit(Unload())
    recorder.wait_for(lambda e: isinstance(e, Unloaded))
    assert local.state.phase == "idle"
    assert isinstance(recorder.ask(local, "r", "hello"), Failed)
    assert isinstance(recorder.load(local, tiny), Loaded)
    assert isinstance(recorder.ask(local, "s", "hello"), Finished)


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(temperature=math.nan),
        Sampling(temperature=-1.0),
        Sampling(temperature=1e308),
        Sampling(top_p=2.0),
        Sampling(top_k=2**40),
        Sampling(repeat_penalty=0.0),
        Sampling(repeat_last_n=2**62),
        Sampling(seed=-1),
        Sampling(seed=2**32 - 1),
        Sampling(mirostat=2, mirostat_tau=math.inf),
        Sampling(logit_bias=((10**9, 1.0),)),
        Sampling(logit_bias=((1, math.nan),)),
    ],
)
def test_hostile_numbers_are_refused(
    local: LocalEngine, recorder: Recorder, tiny: Path, sampling: Sampling
) -> None:
    recorder.load(local, tiny)
    end = recorder.ask(local, "r", "hello", sampling=sampling)
    assert isinstance(end, Failed)
    assert end.code == "bad_request"


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(temperature=0.0, repeat_penalty=1.3, repeat_last_n=-1),
        Sampling(seed=1, frequency_penalty=0.5, presence_penalty=0.5),
        Sampling(seed=1, dry_multiplier=0.8),
        Sampling(seed=1, xtc_probability=0.5, xtc_threshold=0.1),
        Sampling(seed=1, typical_p=0.7, top_n_sigma=1.0, min_p=0.2),
        Sampling(seed=1, mirostat=1),
        Sampling(seed=1, mirostat=2),
        Sampling(seed=1, top_k=0, top_p=1.0, min_p=0.0),
        Sampling(temperature=0.0, logit_bias=((104, 1000.0),)),
    ],
)
def test_every_sampler_writes_a_reply_that_its_seed_repeats(
    local: LocalEngine, recorder: Recorder, tiny: Path, sampling: Sampling
) -> None:
    recorder.load(local, tiny)
    for run_id in ("a", "b"):
        end = recorder.ask(local, run_id, "the sea", sampling=sampling, max_tokens=30)
        assert isinstance(end, Finished)
        assert end.usage.output_tokens <= 30
    assert recorder.read_text("a") == recorder.read_text("b")


def test_logit_bias_forces_a_token(local: LocalEngine, recorder: Recorder, tiny: Path) -> None:
    recorder.load(local, tiny)
    forced = Sampling(temperature=0.0, logit_bias=((ord("h"), 1e6),))
    recorder.ask(local, "r", "the sea", sampling=forced, max_tokens=5)
    assert recorder.read_text("r") == "hhhhh"


def test_recommended_temperature_is_taken_from_the_file(
    local: LocalEngine, recorder: Recorder, make_model: Callable[..., Path]
) -> None:
    path = make_model(never_ends=True, recommended_temperature=0.0)
    recorder.load(local, path)
    for seed in (1, 2):
        recorder.ask(local, f"r{seed}", "sea", sampling=Sampling(seed=seed), max_tokens=20)
    recorder.ask(local, "greedy", "sea", sampling=GREEDY, max_tokens=20)
    assert recorder.read_text("r1") == recorder.read_text("r2") == recorder.read_text("greedy")


def test_queue_is_capped(local: LocalEngine, recorder: Recorder, slow: Path) -> None:
    recorder.load(local, slow, n_seq_max=1)
    for i in range(120):
        local.submit(make_generate(f"r{i}", "the sea", max_tokens=200))
    local.submit(Unload())
    ends = [recorder.wait_for_end(f"r{i}") for i in range(120)]
    refused = [e for e in ends if isinstance(e, Failed)]
    assert refused
    assert {e.code for e in refused} == {"queue_full"}
