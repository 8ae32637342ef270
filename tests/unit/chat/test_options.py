"""From settings to load options and sampling: every control arrives, automatic ones stay so."""

from collections.abc import Mapping

import msgspec
import pytest

from inglenook.base.declarations import SETTINGS
from inglenook.base.errors import UsageError
from inglenook.base.events import EventHub
from inglenook.base.records import InstalledModel
from inglenook.base.setting import Value
from inglenook.base.setting_forms import read_adapters, read_biases
from inglenook.base.settings import Settings
from inglenook.chat.options import ReplyOptions, choose_stops, make_load, make_sampling
from inglenook.chat.placement import GPU_IS_GONE, GPU_IS_LOST, Placements
from inglenook.engine.protocol import (
    Device,
    EngineReady,
    Failed,
    Load,
    LoadOptions,
    Sampling,
)
from support.fake_engine import make_loaded

MODEL = InstalledModel(id="m", name="M", path="/m.gguf", size_bytes=1, origin="file")


def make_settings(values: Mapping[str, Value]) -> Settings:
    return Settings(lambda: values, lambda _k, _v, _d: None, EventHub())


def load_with(values: Mapping[str, Value]) -> LoadOptions:
    return make_load(MODEL, make_settings(values), None).options


def test_without_a_choice_everything_is_as_the_engine_declares_it() -> None:
    assert load_with({}) == LoadOptions()
    assert make_sampling(ReplyOptions(), make_settings({})) == Sampling()
    assert choose_stops(make_settings({})) == ()


@pytest.mark.parametrize(
    ("key", "value", "field", "expected"),
    [
        ("engine.context_length", 4096, "n_ctx", 4096),
        ("engine.threads", 3, "n_threads", 3),
        ("engine.threads_batch", 5, "n_threads_batch", 5),
        ("engine.gpu_layers", 0, "n_gpu_layers", 0),
        ("engine.batch", 1024, "n_batch", 1024),
        ("engine.ubatch", 256, "n_ubatch", 256),
        ("engine.parallel", 2, "n_seq_max", 2),
        ("engine.use_mmap", False, "use_mmap", False),
        ("engine.use_mlock", True, "use_mlock", True),
        ("engine.flash_attention", "off", "flash_attention", False),
        ("engine.flash_attention", "on", "flash_attention", True),
        ("engine.kv_type", "q8_0", "kv_type", "q8_0"),
        ("engine.rope_scaling", "yarn", "rope_scaling", "yarn"),
        ("engine.rope_base", 1e6, "rope_freq_base", 1e6),
        ("engine.rope_scale", 0.5, "rope_freq_scale", 0.5),
        ("engine.adapters", "/a.gguf = 0.5\n", "lora_adapters", (("/a.gguf", 0.5),)),
        ("engine.keeps_idle_minutes", 2, "keeps_idle_s", 120.0),
        ("engine.checks_memory", False, "checks_memory", False),
    ],
)
def test_a_chosen_load_option_arrives(key: str, value: Value, field: str, expected: object) -> None:
    options = load_with({key: value})
    assert options == msgspec.structs.replace(LoadOptions(), **{field: expected})


@pytest.mark.parametrize("field", [f for f in Sampling.__struct_fields__ if f != "logit_bias"])
def test_every_sampler_has_a_setting_that_arrives(field: str) -> None:
    setting = SETTINGS[f"replies.{field}"]
    own: dict[str, Value] = {"mirostat": "2", "seed": 7, "typical_p": 0.5}
    value = own.get(field)
    if value is None:
        assert setting.maximum is not None
        value = setting.kind(min(setting.maximum, 3))
    sampling = make_sampling(ReplyOptions(), make_settings({setting.key: value}))
    expected = 2 if field == "mirostat" else value
    assert getattr(sampling, field) == expected
    assert sampling != Sampling()


def test_stop_texts_and_biases_are_read_by_lines() -> None:
    settings = make_settings({"replies.stop": "User:\n\n###\\n\n", "replies.logit_bias": "5: -2.5"})
    assert choose_stops(settings) == ("User:", "###\n")
    assert make_sampling(ReplyOptions(), settings).logit_bias == ((5, -2.5),)


@pytest.mark.parametrize("text", ["x: 1", "5", "-1: 2", "5: much", "5: nan", "5: 1e9"])
def test_what_is_no_bias_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UsageError, match="1234: -5"):
        SETTINGS["replies.logit_bias"].check(text)
    with pytest.raises(UsageError):
        read_biases(text)


def test_adapters_are_paths_with_a_strength() -> None:
    text = "/a b/c.gguf\n/x = y.gguf = 0.25\n"
    assert read_adapters(text) == (("/a b/c.gguf", 1.0), ("/x = y.gguf", 0.25))
    for bad in ("relative.gguf", "/a.gguf = 1000"):
        with pytest.raises(UsageError):
            SETTINGS["engine.adapters"].check(bad)


# --- exceptions from the settings, for a session ---


def make_ready(*kinds: str) -> EngineReady:
    devices = tuple(Device(name=k, description=k, kind=k) for k in kinds)  # type: ignore[arg-type]
    return EngineReady(pid=1, library_version="", backend="", devices=devices, system_info="")


def make_plain_load(model_id: str = "m") -> Load:
    return Load(model_id=model_id, path="/m.gguf")


def test_B14_a_lost_card_puts_its_model_on_the_cpu_and_says_so() -> None:
    placements = Placements(make_settings({}))
    placements.take(make_ready("cpu", "gpu"))
    placements.take(make_loaded("m"))
    assert placements.apply(make_plain_load()) == make_plain_load()
    placements.take(Failed(run_id="r", code="gpu_lost", message=""))
    load = placements.apply(make_plain_load())
    assert load.options.n_gpu_layers == 0
    assert load.because == GPU_IS_LOST
    assert placements.apply(make_plain_load("other")) == make_plain_load("other")
    placements.forget("m")
    assert placements.apply(make_plain_load()) == make_plain_load()


def test_B14_a_card_that_is_gone_after_a_restart_of_the_engine_is_told() -> None:
    placements = Placements(make_settings({}))
    placements.take(make_ready("cpu", "gpu"))
    placements.take(make_ready("cpu"))
    assert placements.apply(make_plain_load()).because == GPU_IS_GONE
    placements.take(make_ready("cpu", "gpu"))
    assert placements.apply(make_plain_load()).because == ""


def test_B13_what_was_offered_holds_until_its_setting_changes() -> None:
    settings = make_settings({})
    placements = Placements(settings)
    placements.leave_gpu("m")
    placements.shorten("m", 2048)
    options = placements.apply(make_plain_load()).options
    assert (options.n_gpu_layers, options.n_ctx) == (0, 2048)
    settings.set("engine.context_length", 1024)
    assert placements.apply(make_plain_load()) == make_plain_load()


def test_another_fault_changes_nothing() -> None:
    placements = Placements(make_settings({}))
    placements.take(make_loaded("m"))
    placements.take(Failed(run_id="r", code="engine_died", message=""))
    assert placements.apply(make_plain_load()) == make_plain_load()
