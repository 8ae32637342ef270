"""Settings: one declaration gives key, default, range, label and help.

The settings page, the command line and the reference are made from `SETTINGS`. Only what differs
from the default is stored; `None` means automatic, which is kept apart from what a person chose.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from inglenook.base.errors import UsageError
from inglenook.base.events import EventHub

type Value = bool | int | float | str | None
type Section = Literal["appearance", "replies", "engine", "models", "privacy"]


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting. `kind` is the value's type; `optional` ones take None, which means automatic."""

    key: str
    section: Section
    kind: type[bool] | type[int] | type[float] | type[str]
    default: Value
    label: str
    help: str
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    optional: bool = False
    multiline: bool = False

    def check(self, value: object) -> Value:
        """Return `value` as this setting's type, or raise `UsageError` with what is allowed."""
        if value is None and self.optional:
            return None
        if self.kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if type(value) is not self.kind:
            raise UsageError(f"{self.label} takes {self.describe_range()}.", code="setting_type")
        if isinstance(value, int | float) and not isinstance(value, bool):
            low, high = self.minimum, self.maximum
            if (
                value != value
                or (low is not None and value < low)
                or (high is not None and value > high)
            ):
                raise UsageError(
                    f"{self.label} takes {self.describe_range()}.", code="setting_range"
                )
        if self.choices and value not in self.choices:
            raise UsageError(f"{self.label} takes {self.describe_range()}.", code="setting_choice")
        return value

    def describe_range(self) -> str:
        """Say in words which values are allowed."""
        if self.choices:
            return "one of " + ", ".join(self.choices)
        name = {bool: "yes or no", int: "a whole number", float: "a number", str: "text"}[self.kind]
        if self.minimum is not None and self.maximum is not None:
            name += f" from {self.minimum:,.10g} to {self.maximum:,.10g}"
        return name + (", or automatic" if self.optional else "")


def _setting(key: str, kind: Any, default: Value, label: str, help: str, **more: Any) -> Setting:  # noqa: A002
    section = more.pop("section", key.split(".", 1)[0])
    return Setting(key, section, kind, default, label, help, **more)


_DECLARED: Final = (
    _setting(
        "appearance.theme",
        str,
        "system",
        "Theme",
        "Light or dark; system follows the desktop.",
        choices=("system", "light", "dark"),
    ),
    _setting(
        "appearance.zoom",
        float,
        1.0,
        "Text size",
        "1.0 is the normal size.",
        minimum=0.7,
        maximum=2.5,
    ),
    _setting(
        "replies.system_prompt",
        str,
        "",
        "System prompt",
        "Said to the model before every conversation; empty means nothing is said.",
        multiline=True,
    ),
    _setting(
        "replies.temperature",
        float,
        None,
        "Temperature",
        "How freely the next token is drawn: 0 always takes the likeliest one.",
        minimum=0.0,
        maximum=5.0,
        optional=True,
    ),
    _setting(
        "replies.top_k",
        int,
        40,
        "Top-k",
        "Only the k likeliest tokens can be drawn; 0 lets all be drawn.",
        minimum=0,
        maximum=1000,
    ),
    _setting(
        "replies.top_p",
        float,
        0.95,
        "Top-p",
        "Only the likeliest tokens that together reach this probability can be drawn.",
        minimum=0.0,
        maximum=1.0,
    ),
    _setting(
        "replies.min_p",
        float,
        0.05,
        "Min-p",
        "Tokens less likely than this share of the likeliest one cannot be drawn.",
        minimum=0.0,
        maximum=1.0,
    ),
    _setting(
        "replies.repeat_penalty",
        float,
        1.0,
        "Repeat penalty",
        "Above 1, tokens that were just used become less likely.",
        minimum=0.5,
        maximum=2.0,
    ),
    _setting(
        "replies.max_tokens",
        int,
        None,
        "Longest reply",
        "In tokens; automatic lets a reply grow until the context is full.",
        minimum=1,
        maximum=1_000_000,
        optional=True,
    ),
    _setting(
        "replies.seed",
        int,
        None,
        "Seed",
        "The same seed, prompt and settings give the same reply; automatic draws a new one.",
        minimum=0,
        maximum=4_294_967_294,
        optional=True,
    ),
    _setting(
        "engine.context_length",
        int,
        None,
        "Context length",
        "Tokens the model can see at once; automatic takes what the model was trained for, "
        "up to 8,192. Longer takes more memory.",
        minimum=256,
        maximum=1_048_576,
        optional=True,
    ),
    _setting(
        "engine.threads",
        int,
        None,
        "Threads",
        "Processor threads for writing a reply; automatic finds the fastest count as it goes.",
        minimum=1,
        maximum=256,
        optional=True,
    ),
    _setting(
        "engine.gpu_layers",
        int,
        None,
        "Layers on the GPU",
        "Automatic puts all on the GPU where there is one; 0 keeps all on the CPU.",
        minimum=0,
        maximum=1000,
        optional=True,
    ),
    _setting(
        "engine.reads_ahead",
        bool,
        True,
        "Read while you type",
        "The model reads a conversation when it is opened and your message as you write it, so "
        "that the reply begins at once. Never on battery.",
    ),
    _setting(
        "engine.snapshot_gb",
        float,
        2.0,
        "Space for kept reading",
        "In GB on the disk: conversations as the model has read them, so that a long one goes on "
        "at once after a restart. 0 keeps none.",
        minimum=0.0,
        maximum=1000.0,
    ),
    _setting(
        "models.default",
        str,
        "builtin/guide",
        "Model for new conversations",
        "The model that a new conversation starts with.",
    ),
    _setting(
        "privacy.offline",
        bool,
        False,
        "Work offline",
        "No outgoing connection is opened at all, not even for a download.",
    ),
)

SETTINGS: Final[Mapping[str, Setting]] = {setting.key: setting for setting in _DECLARED}


@dataclass(frozen=True, slots=True)
class SettingChanged:
    """Published after a setting was saved."""

    key: str
    value: Value


class Settings:
    """The values in force. `load` gives what was stored, `save` keeps one (None deletes it).

    Thread-safe as long as `save` is. Stored values that no longer pass their check are ignored.
    """

    def __init__(
        self,
        load: Callable[[], Mapping[str, Value]],
        save: Callable[[str, Value, bool], None],
        hub: EventHub,
    ) -> None:
        self._save = save
        self._hub = hub
        self._chosen: dict[str, Value] = {}
        for key, value in load().items():
            if key in SETTINGS:
                try:
                    self._chosen[key] = SETTINGS[key].check(value)
                except UsageError:
                    continue

    def get(self, key: str) -> Any:
        """The value in force: what was chosen, else the default. None means automatic."""
        return self._chosen.get(key, SETTINGS[key].default)

    def is_chosen(self, key: str) -> bool:
        """Whether a person chose this value, rather than leaving the default."""
        return key in self._chosen

    def set(self, key: str, value: object) -> None:
        """Check, store and announce a value; one equal to the default is not kept.

        Raises `UsageError` for an unknown key or a value out of range, `StorageError` when it
        cannot be saved (then nothing changes).
        """
        if key not in SETTINGS:
            raise UsageError(f"There is no setting named {key}.")
        checked = SETTINGS[key].check(value)
        is_default = checked == SETTINGS[key].default
        self._save(key, checked, is_default)
        if is_default:
            self._chosen.pop(key, None)
        else:
            self._chosen[key] = checked
        self._hub.publish(SettingChanged(key, checked))
