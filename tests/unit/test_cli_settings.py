"""`inglenook settings` and `--set`: keys are found, values are read as they were shown."""

import pytest

from inglenook.base.declarations import SETTINGS
from inglenook.base.errors import UsageError
from inglenook.base.events import EventHub
from inglenook.base.setting import Setting, Value
from inglenook.base.settings import Settings
from inglenook.cli.settings import apply_assignments, find_setting, read_value, show_value


def make_settings() -> Settings:
    def refuse(_key: str, _value: Value, _is_default: bool) -> None:
        raise AssertionError("nothing is stored")

    return Settings(dict, refuse, EventHub())


def test_a_key_is_found_whole_and_by_its_last_part() -> None:
    assert find_setting("replies.top_k") is find_setting("top_k") is SETTINGS["replies.top_k"]
    with pytest.raises(UsageError, match="Did you mean top_k"):
        find_setting("topk")


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS)
def test_every_value_that_is_shown_can_be_typed(setting: Setting) -> None:
    values: list[Value] = [setting.default, *setting.choices]
    if setting.optional:
        values.append(None)
    if setting.kind in {int, float}:
        values += [setting.kind(v) for v in (setting.minimum, setting.maximum) if v is not None]
    for value in values:
        assert read_value(setting, show_value(value)) == value


def test_what_is_set_for_once_is_in_force_and_not_stored() -> None:
    settings = make_settings()
    apply_assignments(
        settings, ["top_k=20", "engine.use_mmap=off", "stop=User:\\n", "context_length=4,096"]
    )
    assert settings.get("replies.top_k") == 20
    assert settings.get("engine.use_mmap") is False
    assert settings.get("replies.stop") == "User:\n"
    assert settings.get("engine.context_length") == 4096
    apply_assignments(settings, ["context_length=automatic"])
    assert settings.get("engine.context_length") is None


@pytest.mark.parametrize(
    "assignment", ["top_k", "top_k=many", "top_k=-5", "use_mmap=perhaps", "kv_type=q9", "none=1"]
)
def test_what_cannot_be_set_is_refused_in_a_sentence(assignment: str) -> None:
    with pytest.raises(UsageError):
        apply_assignments(make_settings(), [assignment])
