"""The arithmetic of predictions, held against figures that were taken from models that ran."""

from dataclasses import replace
from pathlib import Path
from statistics import median

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inglenook.base.attention import PLAIN_ROOM_BYTES, fit_plain_step
from inglenook.base.paths import find_asset
from inglenook.base.rates import DeviceRates, KindRates, MachineRates
from inglenook.engine.measuring.sample_gguf import SampleShape, make_sample
from inglenook.models.fit import Fit, judge_fit
from inglenook.models.gguf import read_header
from inglenook.models.predict.learned import Learned
from inglenook.models.predict.memory import (
    Use,
    count_buffer_bytes,
    count_kv_bytes,
    place,
    settle_attention,
    split,
)
from inglenook.models.predict.prediction import Card, Correction, Machine, predict
from inglenook.models.predict.ranking import choose_file, rank
from inglenook.models.predict.shape import Layer, ModelShape, Weights, guess_shape, read_shape
from inglenook.models.predict.speed import choose_share, time_prompt, time_token
from inglenook.models.predict.words import describe

MIB = 1024 * 1024
GB = 10**9
BASE = SampleShape(2, 2048, 8192, 32, 8, 64, 32_000)

# What llama.cpp reports as its compute buffer, in MiB: shape, use, figure.
BUFFERS = [
    (BASE, Use(), 72.01),
    (replace(BASE, n_ff=16384), Use(), 120.01),
    (replace(BASE, n_ff=4096), Use(), 40.01),
    (replace(BASE, n_ff=1024), Use(), 30.01),
    (replace(BASE, n_ff=2048), Use(), 28.01),
    (replace(BASE, n_embd=4096), Use(), 84.01),
    (replace(BASE, n_embd=1024), Use(), 66.01),
    (replace(BASE, n_heads=16), Use(), 70.01),
    (replace(BASE, n_heads_kv=32), Use(), 72.01),
    (replace(BASE, n_head_embd=128), Use(), 76.01),
    (replace(BASE, n_vocab=151_936), Use(), 72.01),
    (replace(BASE, n_vocab=262_144), Use(), 72.01),
    (BASE, Use(n_ctx=2048), 66.01),
    (BASE, Use(n_ctx=32768), 96.01),
    (BASE, Use(n_ctx=131_072), 192.01),
    (BASE, Use(n_ubatch=128), 18.0),
    (BASE, Use(n_ubatch=1024), 144.02),
    (BASE, Use(flash_attention=False), 550.01),
    (BASE, Use(flash_attention=False, n_ctx=32768), 2134.01),
    (BASE, Use(kv_type="q8_0"), 68.04),
    (replace(BASE, n_experts=8, n_experts_used=2, n_ff=2048), Use(), 48.01),
    (replace(BASE, n_experts=64, n_experts_used=8, n_ff=1024), Use(), 72.01),
]

# Resident memory of the engine after a load, then after a prompt was read, in MB: what was read
# from the header (weights, copies in another order, keys and values, words, merges, likelihoods'
# words) at two context lengths.
RESIDENT = [
    ("qwen2-0.5b-Q4_K_M", (392, 29, 25), (151_936, 151_387), 39, 533, 547),
    ("qwen2-0.5b-Q4_K_M", (392, 29, 101), (151_936, 151_387), 46, 609, 623),
    ("qwen2-0.5b-Q8_0", (525, 0, 25), (151_936, 151_387), 39, 637, 650),
    ("qwen2-0.5b-Q8_0", (525, 0, 101), (151_936, 151_387), 46, 713, 726),
    ("llama3-1b-Q4_K_M", (800, 467, 67), (128_256, 280_147), 69, 1419, 1440),
    ("llama3-1b-Q4_K_M", (800, 467, 268), (128_256, 280_147), 75, 1620, 1642),
    ("smol-135m-Q8_0", (143, 0, 47), (49_152, 48_872), 16, 246, 251),
    ("smol-135m-Q8_0", (143, 0, 189), (49_152, 48_872), 23, 387, 395),
    ("smol-360m-Q4_K_M", (269, 22, 84), (49_152, 48_872), 26, 431, 440),
    ("smol-360m-Q4_K_M", (269, 22, 336), (49_152, 48_872), 32, 682, 692),
    ("qwen3-0.6b-F16", (1192, 0, 235), (151_936, 151_387), 26, 1513, 1530),
    ("qwen3-0.6b-F16", (1192, 0, 940), (151_936, 151_387), 33, 2218, 2234),
    ("gemma3-1b-Q8_0", (1063, 0, 55), (262_144, 514_906), 56, 1261, 1289),
    ("gemma3-1b-Q8_0", (1063, 0, 91), (262_144, 514_906), 62, 1298, 1331),
    ("tiny-1.1b-Q6_K", (903, 0, 46), (32_000, 0), 53, 992, 1007),
    ("tiny-1.1b-Q6_K", (903, 0, 185), (32_000, 0), 60, 1131, 1147),
    ("qwen2-1.5b-Q5_K_M", (1119, 0, 59), (151_936, 151_387), 70, 1263, 1285),
    ("qwen2-1.5b-Q5_K_M", (1119, 0, 235), (151_936, 151_387), 76, 1440, 1461),
    ("moe-3b-Q4_K_M", (2015, 1522, 134), (49_152, 48_872), 46, 3729, 3747),
]

RATES = MachineRates(
    base_bytes=32_700_000,
    devices=(
        DeviceRates(
            name="CPU",
            description="two cores",
            kind="cpu",
            kinds={
                "Q4_K": KindRates(bytes_per_s=16e9, ops_per_s=120e9, is_repacked=True),
                "Q6_K": KindRates(bytes_per_s=19e9, ops_per_s=110e9),
                "Q8_0": KindRates(bytes_per_s=20e9, ops_per_s=90e9),
            },
            layer_s=20e-6,
            token_s=20e-6,
            look_ops_per_s=9e9,
            read_look_ops_per_s=70e9,
            row_cost=250.0,
            n_threads=2,
            by_threads=((1, 0.58), (2, 1.0)),
        ),
    ),
)


def shape_of(tmp_path: Path, sample: SampleShape, kind: str = "Q8_0") -> ModelShape:
    path = tmp_path / "sample.gguf"
    size = make_sample(sample, kind).write(path)
    shape = read_shape([read_header(path, keeps_tensors=True)], size)
    assert shape is not None
    return shape


@pytest.mark.parametrize(("sample", "use", "measured"), BUFFERS)
def test_work_buffers_are_those_of_the_library(
    tmp_path: Path, sample: SampleShape, use: Use, measured: float
) -> None:
    told = count_buffer_bytes(shape_of(tmp_path, sample), use) / MIB
    # The formula knows the large moments; how small ones are packed is left to chance.
    assert told == pytest.approx(measured, rel=0.15)


@pytest.mark.parametrize(("name", "sizes", "vocabulary", "buffers", "loaded", "read"), RESIDENT)
def test_predicted_memory_is_what_the_engine_occupied(
    name: str,
    sizes: tuple[int, int, int],
    vocabulary: tuple[int, int],
    buffers: int,
    loaded: int,
    read: int,
) -> None:
    weights, copies, kv = (n * 10**6 for n in sizes)
    n_vocab, n_merges = vocabulary
    each = Weights("Q4_K", copies, copies * 16 // 9)
    rest = Weights("Q8_0", weights - copies, (weights - copies) * 32 // 34)
    shape = ModelShape(
        layers=(Layer((each, rest)),),
        input_weights=(),
        output_weights=(),
        n_embd=0,
        n_ff=0,
        n_vocab=n_vocab,
        n_merges=n_merges,
        file_bytes=weights,
        is_tied=True,
    )
    (ram,) = place(shape, Use(), RATES, split(shape, 0, ()))
    without_buffers = ram.weights + ram.copies + kv + ram.program
    assert without_buffers == pytest.approx(loaded * 10**6, rel=0.03), name
    assert without_buffers + buffers * 10**6 == pytest.approx(read * 10**6, rel=0.07), name


def test_the_context_takes_what_keys_and_values_take(tmp_path: Path) -> None:
    shape = shape_of(tmp_path, BASE)
    assert count_kv_bytes(shape.layers, Use(n_ctx=8192)) == 2 * 8192 * (8 * 64 * 2) * 2
    half = count_kv_bytes(shape.layers, Use(n_ctx=8192, kv_type="q8_0"))
    assert half == pytest.approx(count_kv_bytes(shape.layers, Use()) * 17 / 32)


def test_automatic_attention_is_plain_on_the_processor_while_there_is_room(
    tmp_path: Path,
) -> None:
    shape = shape_of(tmp_path, BASE)
    automatic = Use(flash_attention=None)
    settled = settle_attention(shape, automatic, on_cpu=True)
    assert (settled.flash_attention, settled.n_ubatch) == (False, 128)
    assert settle_attention(shape, automatic, on_cpu=False).flash_attention
    long = settle_attention(shape, replace(automatic, n_ctx=65_536), on_cpu=True)
    assert (long.flash_attention, long.n_ubatch) == (True, 512)
    assert settle_attention(shape, replace(automatic, kv_type="q8_0"), on_cpu=True).flash_attention
    assert settle_attention(shape, Use(), on_cpu=True) == Use()


@given(st.integers(1, 128), st.integers(512, 1 << 18), st.integers(1, 4096))
def test_a_plain_step_fits_its_room(n_heads: int, n_ctx: int, n_ubatch: int) -> None:
    n_step = fit_plain_step(n_heads, n_ctx, n_ubatch)
    assert 0 <= n_step <= n_ubatch
    assert n_step * n_heads * n_ctx * 4 <= PLAIN_ROOM_BYTES
    assert not n_step or n_step >= min(64, n_ubatch)


def test_a_window_bounds_what_a_layer_keeps() -> None:
    layer = Layer((), key_width=256, value_width=256, look_width=1024, window=512)
    short, long = (count_kv_bytes([layer], Use(n_ctx=n)) for n in (1024, 65536))
    assert short == 1024 * 512 * 2
    assert long == (512 * 4 + 512) * 512 * 2


def test_recurrent_layers_take_the_same_at_any_length() -> None:
    layer = Layer((), state_bytes=100_000)
    sizes = {count_kv_bytes([layer], Use(n_ctx=n)) for n in (512, 65536)}
    assert sizes == {400_000}


def test_the_built_in_model_is_read_whole() -> None:
    path = find_asset("assets", "guide.gguf")
    header = read_header(path, keeps_tensors=True)
    shape = read_shape([header], path.stat().st_size)
    assert shape is not None
    everything = [*shape.input_weights, *(w for layer in shape.layers for w in layer.weights)]
    if not shape.is_tied:
        everything += shape.output_weights
    else:
        everything += [w for w in shape.output_weights if w not in shape.input_weights]
    assert sum(w.n_bytes for w in everything) == sum(t.n_bytes for t in header.tensors)
    assert shape.n_layers == header.n_layers
    assert all(layer.key_width for layer in shape.layers)


def test_shapes_survive_being_kept(tmp_path: Path) -> None:
    shape = shape_of(tmp_path, BASE)
    assert msgspec.json.decode(msgspec.json.encode(shape), type=ModelShape) == shape


# Seconds of one step, by llama.cpp alone on the machine of RATES: name, bytes read, layers, width,
# kind, what it took.
STEPS = [
    ("qwen2-0.5b-Q8_0", 525e6, 24, 896, "Q8_0", 0.0271),
    ("smol-135m-Q8_0", 143e6, 30, 576, "Q8_0", 0.0086),
    ("gemma3-1b-Q8_0", 1063e6, 26, 1152, "Q8_0", 0.0538),
    ("tiny-1.1b-Q6_K", 849e6, 22, 2048, "Q6_K", 0.0421),
]


def test_predicted_steps_are_what_steps_took() -> None:
    off = []
    for _, n_bytes, n_layers, width, kind, took_s in STEPS:
        part = Weights(kind, round(n_bytes / n_layers), 1)
        shape = ModelShape(
            (Layer((part,)),) * n_layers, (), (), width, width * 4, 0, round(n_bytes)
        )
        told = time_token(shape, shape.layers, RATES.cpu, n_context=0, has_output=True)
        off.append(abs(took_s / told - 1))
    assert median(off) < 0.2
    assert max(off) < 0.35


def test_only_the_experts_that_are_asked_are_read() -> None:
    crowd = Weights("Q8_0", 40_000_000, 1, is_expert=True)
    alone = ModelShape((Layer((crowd,)),), (), (), 2048, 0, 0, 10**9)
    mixed = replace(alone, n_experts=40, n_experts_used=8)
    whole, part = (
        time_token(s, s.layers, RATES.cpu, n_context=0, has_output=True) for s in (alone, mixed)
    )
    assert part < whole / 4


def test_a_longer_context_is_slower_and_attention_is_why() -> None:
    shape = guess_shape(GB, "Q4_K_M")
    times = [
        time_token(shape, shape.layers, RATES.cpu, n_context=n, has_output=True)
        for n in (0, 1000, 10_000)
    ]
    assert times == sorted(times)
    reads = [
        time_prompt(shape, shape.layers, RATES.cpu, n_tokens=n, has_output=True) / n
        for n in (100, 1000, 10_000)
    ]
    assert reads == sorted(reads)


def test_small_models_get_fewer_threads() -> None:
    cpu = RATES.cpu
    assert choose_share(cpu, 10_000_000) == 0.58
    assert choose_share(cpu, GB) == 1.0
    many = msgspec.structs.replace(cpu, n_threads=16, by_threads=((1, 0.2), (4, 0.6), (16, 1.0)))
    assert 0.2 < choose_share(many, 60_000_000) < 0.6


def test_what_fits_a_graphics_card_goes_there_and_the_rest_stays() -> None:
    gpu = msgspec.structs.replace(
        RATES.cpu,
        name="GPU0",
        kind="gpu",
        kinds={"Q4_K": KindRates(bytes_per_s=800e9, ops_per_s=50e12)},
        by_threads=(),
    )
    rates = msgspec.structs.replace(RATES, devices=(RATES.cpu, gpu))
    shape = guess_shape(4_900_000_000, "Q4_K_M", 8 * GB)
    small, large = (
        predict(shape, Machine(32 * GB, size, (Card("GPU0", size),), rates))
        for size in (4 * GB, 24 * GB)
    )
    assert large.where == "gpu"
    assert large.n_layers_gpu == shape.n_layers + 1
    assert small.where == "partly"
    assert 0 < small.n_layers_gpu < shape.n_layers
    assert large.write_tps > 3 * small.write_tps
    assert small.gpu.total < 4 * GB
    alone = predict(shape, Machine(32 * GB, rates=RATES))
    assert small.write_tps > alone.write_tps
    assert "graphics card" in " ".join(describe(large))


def test_cards_share_the_layers_by_their_free_memory() -> None:
    shape = guess_shape(4_900_000_000, "Q4_K_M", 8 * GB)
    n_layers = shape.n_layers
    processor, large, small = split(shape, n_layers + 1, (16 * GB, 8 * GB))
    assert not processor
    assert len(large.layers) == pytest.approx(2 * len(small.layers), abs=2)
    assert [*large.layers, *small.layers] == list(shape.layers)
    assert (large.has_output, small.has_output) == (False, True)
    processor, first, second = split(shape, 9, (0, 0))
    assert len(processor.layers) == n_layers - 8, "the output goes first, as one of the nine"
    assert (len(first.layers), len(second.layers)) == (5, 3)
    assert split(shape, 9, ())[0].has_output


def test_what_no_card_holds_alone_goes_on_two_and_each_is_told() -> None:
    shape = guess_shape(20 * GB, "Q4_K_M", 32 * GB)
    two = (Card("Large", 16 * GB), Card("Small", 24 * GB, 10 * GB))
    told = predict(shape, Machine(64 * GB, cards=two))
    assert told.where == "gpu"
    assert [name for name, _ in told.on_cards] == ["Large", "Small"]
    assert all(told.on_cards[i][1].total < card.room_bytes for i, card in enumerate(two))
    assert sum(memory.total for _, memory in told.on_cards) == told.gpu.total
    assert predict(shape, Machine(64 * GB, cards=two[:1])).where == "partly"
    words = " ".join(describe(told))
    assert "On Large: " in words
    assert "On Small: " in words
    assert "run on the graphics cards" in words


def test_an_integrated_device_gets_nothing_beside_a_card() -> None:
    card, own = (
        msgspec.structs.replace(RATES.cpu, name=kind, kind=kind, by_threads=())
        for kind in ("gpu", "igpu")
    )
    assert msgspec.structs.replace(RATES, devices=(RATES.cpu, own, card)).gpus == (card,)
    assert msgspec.structs.replace(RATES, devices=(RATES.cpu, own)).gpus == (own,)


def test_a_shared_device_that_is_slower_is_left_alone() -> None:
    slow = msgspec.structs.replace(RATES.cpu, name="iGPU", kind="igpu", layer_s=0.01, by_threads=())
    rates = msgspec.structs.replace(RATES, devices=(RATES.cpu, slow))
    card = Card("iGPU", 16 * GB, is_shared=True)
    told = predict(guess_shape(GB, "Q4_K_M"), Machine(32 * GB, cards=(card,), rates=rates))
    assert told.where == "memory"
    assert told.n_layers_gpu == 0


@pytest.mark.parametrize(("memory_gb", "where"), [(4, "too_large"), (8, "tight"), (32, "memory")])
def test_verdicts(memory_gb: int, where: str) -> None:
    shape = guess_shape(4_850_000_000, "Q8_0", 4 * GB)
    assert predict(shape, Machine(memory_gb * GB, rates=RATES)).where == where


def test_a_size_alone_says_that_it_is_a_guess() -> None:
    fit = judge_fit(GB, Machine(16 * GB, rates=RATES), n_params=2 * GB, quantisation="Q4_K_M")
    assert fit.is_guess
    assert 5 < fit.write_tps < 40
    assert fit.lines[-1] == "Worked out from the file's size alone."
    assert judge_fit(GB, Machine(16 * GB)).write_tps == 0.0


@given(size=st.integers(1, 10**12), n_params=st.integers(0, 10**12), name=st.text(max_size=12))
def test_any_size_can_be_guessed_at(size: int, n_params: int, name: str) -> None:
    told = predict(guess_shape(size, name, n_params), Machine(16 * GB, rates=RATES))
    assert told.needs_bytes >= 0
    assert 0 <= told.write_tps <= 100_000
    assert describe(told)


# --- what is learned ---

MACHINE = "machine|"


def test_a_model_that_ran_is_corrected_by_itself_and_others_by_it(tmp_path: Path) -> None:
    learned = Learned(tmp_path / "learned.json")
    assert learned.correct(f"{MACHINE}a", MACHINE) == Correction()
    learned.note(f"{MACHINE}a", speed=0.8, read=0.7, memory=0.97, size_bytes=GB)
    own = Learned(tmp_path / "learned.json").correct(f"{MACHINE}a", MACHINE)
    assert (own.speed, own.read, own.memory, own.is_own) == (0.8, 0.7, 0.97, True)
    other = learned.correct(f"{MACHINE}b", MACHINE)
    assert 0.8 < other.speed < 1.0  # One model is believed by half.
    assert (other.memory, other.is_own, other.n_runs) == (1.0, False, 1)
    assert learned.correct("other machine|a", "other machine|") == Correction()


def test_what_cannot_be_is_not_learned(tmp_path: Path) -> None:
    learned = Learned(tmp_path / "learned.json")
    for speed in (0.0, float("nan"), float("inf"), 50.0, 0.01, -1.0):
        learned.note(f"{MACHINE}a", speed=speed, size_bytes=GB)
    assert learned.correct(f"{MACHINE}a", MACHINE).speed == 1.0


def test_a_tiny_model_tells_nothing_of_others(tmp_path: Path) -> None:
    learned = Learned(tmp_path / "learned.json")
    learned.note(f"{MACHINE}guide", speed=0.4, size_bytes=7_000_000)
    assert learned.correct(f"{MACHINE}guide", MACHINE).speed == 0.4
    assert learned.correct(f"{MACHINE}b", MACHINE).speed == 1.0


def test_a_damaged_or_unwritable_file_only_forgets(tmp_path: Path) -> None:
    path = tmp_path / "learned.json"
    path.write_bytes(b"{ not json")
    learned = Learned(path)
    assert learned.find("a") is None
    Learned(tmp_path / "learned.json" / "below").note("a", speed=1.1, size_bytes=GB)
    learned.note("a", speed=1.1)
    assert learned.find("a") is not None


def test_a_memory_correction_leaves_weights_and_context_as_they_are(tmp_path: Path) -> None:
    shape, machine = shape_of(tmp_path, BASE), Machine(16 * GB, rates=RATES)
    plain = predict(shape, machine)
    less = predict(shape, machine, correction=Correction(memory=0.9))
    assert (less.ram.weights, less.ram.kv) == (plain.ram.weights, plain.ram.kv)
    assert less.ram.total < plain.ram.total


# --- which one ---


def make_fit(verdict: str, tps: float) -> Fit:
    shape = guess_shape(GB, "Q4_K_M")
    told = replace(predict(shape, Machine(16 * GB, rates=RATES)), write_tps=tps)
    return Fit(verdict, "", GB, told)  # type: ignore[arg-type]


def test_the_best_for_this_machine_is_the_largest_that_is_pleasant() -> None:
    models = {
        "small": (make_fit("fits", 60), 1 * GB),
        "middle": (make_fit("fits", 12), 4 * GB),
        "large": (make_fit("fits", 4), 14 * GB),
        "slow": (make_fit("fits", 1), 30 * GB),
        "tight": (make_fit("tight", 5), 20 * GB),
        "huge": (make_fit("too_large", 0), 70 * GB),
    }
    best = sorted(models, key=lambda name: rank(*models[name]))
    assert best == ["middle", "small", "large", "tight", "slow", "huge"]


def test_the_suggested_file_is_recommended_unless_it_runs_badly() -> None:
    good, tight, bad = make_fit("fits", 10), make_fit("tight", 6), make_fit("too_large", 0)
    slow = make_fit("fits", 1)
    assert choose_file([good, good, good], 1) == 1
    assert choose_file([good, tight, bad], 1) == 0
    assert choose_file([good, slow], 1) == 0
    assert choose_file([bad, tight, bad], 2) == 1
    assert choose_file([bad, bad], 1) == 1
    assert choose_file([], -1) == -1
