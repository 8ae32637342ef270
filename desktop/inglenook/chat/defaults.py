"""The settings as they are for one model: what a person chose, else what its app set, else ours."""

from collections.abc import Mapping
from typing import Any, Protocol

from inglenook.base.records import InstalledModel, ModelDefaults
from inglenook.base.setting import Value


class Readable(Protocol):
    """Settings that can be read."""

    def get(self, key: str) -> Any:
        """The value in force."""
        ...

    def is_chosen(self, key: str) -> bool:
        """Whether a person chose it."""
        ...


class ModelSettings:
    """Reads the settings, with a model's own values where nothing was chosen."""

    def __init__(self, settings: Readable, values: Mapping[str, Value]) -> None:
        self._settings = settings
        self._values = values

    def get(self, key: str) -> Any:
        """The value in force for this model."""
        is_ours = key in self._values and not self._settings.is_chosen(key)
        return self._values[key] if is_ours else self._settings.get(key)

    def is_chosen(self, key: str) -> bool:
        """Whether a person chose it."""
        return self._settings.is_chosen(key)


def settings_for(model: InstalledModel, settings: Readable) -> Readable:
    """The settings for a model."""
    values = list_values(model.defaults, model.n_ctx_train)
    return ModelSettings(settings, values) if values else settings


def list_values(defaults: ModelDefaults, n_ctx_train: int = 0) -> dict[str, Value]:
    """What a model sets, by the keys of our settings."""
    n_ctx = defaults.n_ctx
    if n_ctx is not None and n_ctx_train:
        n_ctx = min(n_ctx, n_ctx_train)
    values: dict[str, Value] = {
        "replies.system_prompt": defaults.system_prompt or None,
        "replies.temperature": defaults.temperature,
        "replies.top_k": defaults.top_k,
        "replies.top_p": defaults.top_p,
        "replies.min_p": defaults.min_p,
        "replies.repeat_penalty": defaults.repeat_penalty,
        "replies.seed": defaults.seed,
        "replies.max_tokens": defaults.max_tokens,
        "replies.stop": "\n".join(map(_escape, defaults.stop)) or None,
        "engine.context_length": n_ctx,
    }
    return {key: value for key, value in values.items() if value is not None}


def _escape(stop: str) -> str:
    return stop.replace("\n", "\\n").replace("\t", "\\t")
