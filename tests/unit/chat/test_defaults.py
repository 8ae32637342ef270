"""A model's own values stand where a person chose nothing else."""

from typing import Any

from inglenook.base.declarations import SETTINGS
from inglenook.base.records import InstalledModel, ModelDefaults
from inglenook.chat.defaults import list_values, settings_for
from inglenook.chat.options import ReplyOptions, choose_stops, make_load, make_sampling


class Chosen:
    """Settings of which some were chosen."""

    def __init__(self, **chosen: Any) -> None:
        self._chosen = {key.replace("__", "."): value for key, value in chosen.items()}

    def get(self, key: str) -> Any:
        return self._chosen.get(key, SETTINGS[key].default)

    def is_chosen(self, key: str) -> bool:
        return key in self._chosen


DEFAULTS = ModelDefaults(
    system_prompt="Be brief.",
    temperature=0.2,
    top_k=5,
    n_ctx=100_000,
    stop=("User:\n", "<|end|>"),
    max_tokens=9,
)
MODEL = InstalledModel(
    id="ollama:x", name="X", path="/x", size_bytes=1, origin="file", defaults=DEFAULTS,
    n_ctx_train=4096,
)  # fmt: skip


def test_every_value_is_that_of_a_setting_and_within_its_range() -> None:
    full = ModelDefaults(
        system_prompt="s", temperature=0.0, top_k=1, top_p=0.5, min_p=0.1, repeat_penalty=1.1,
        seed=0, max_tokens=1, n_ctx=512, stop=("a",),
    )  # fmt: skip
    values = list_values(full)
    assert len(values) == 10
    for key, value in values.items():
        assert SETTINGS[key].check(value) == value


def test_what_was_chosen_goes_first() -> None:
    settings = settings_for(MODEL, Chosen(replies__temperature=1.5))
    assert settings.get("replies.system_prompt") == "Be brief."
    sampling = make_sampling(ReplyOptions(), settings)
    assert (sampling.temperature, sampling.top_k) == (1.5, 5)
    assert make_sampling(ReplyOptions(temperature=0.7), settings).temperature == 0.7
    assert choose_stops(settings) == ("User:\n", "<|end|>")


def test_a_context_is_never_longer_than_the_model_was_trained_for() -> None:
    assert make_load(MODEL, Chosen(), None).options.n_ctx == 4096
    assert make_load(MODEL, Chosen(engine__context_length=512), None).options.n_ctx == 512


def test_a_model_that_sets_nothing_has_the_settings_themselves() -> None:
    settings = Chosen()
    plain = InstalledModel(id="x", name="X", path="/x", size_bytes=1, origin="hub")
    assert settings_for(plain, settings) is settings
