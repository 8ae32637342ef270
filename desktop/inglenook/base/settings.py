"""Settings: one declaration gives key, default, range, label and help.

The settings page, the command line and the reference are made from `SETTINGS`. Only what differs
from the default is stored; `None` means automatic, which is kept apart from what a person chose.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import SplitResult, urlsplit

from inglenook.base.errors import UsageError
from inglenook.base.events import EventHub

type Value = bool | int | float | str | None
type Section = Literal["appearance", "replies", "engine", "models", "network", "privacy"]


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
    advanced: bool = False
    """Whether it stands below the fold of its section."""
    needs_load: bool = False
    """Whether a change takes effect when a model is loaded the next time."""
    reads: Callable[[str], object] | None = None
    """Reads a text of a certain form, or raises `UsageError`."""

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
        if self.reads is not None and isinstance(value, str) and value.strip():
            self.reads(value)
        return value

    def describe_range(self) -> str:
        """Say in words which values are allowed."""
        if self.choices:
            return "one of " + ", ".join(self.choices)
        name = {bool: "yes or no", int: "a whole number", float: "a number", str: "text"}[self.kind]
        if self.minimum is not None and self.maximum is not None:
            name += f" from {self.minimum:,.10g} to {self.maximum:,.10g}"
        return name + (", or automatic" if self.optional else "")


def read_lines(text: str) -> tuple[str, ...]:
    """The lines of a text that hold something, as they are."""
    return tuple(line for line in text.splitlines() if line.strip())


def read_biases(text: str) -> tuple[tuple[int, float], ...]:
    """Lines of `token: bias` as (token, bias) pairs; raises `UsageError`."""
    return tuple(_read_bias(line) for line in read_lines(text))


def _read_bias(line: str) -> tuple[int, float]:
    token, _, bias = line.partition(":")
    try:
        pair = int(token), float(bias)
    except ValueError:
        pair = (-1, 0.0)
    if pair[0] < 0 or not -1000.0 <= pair[1] <= 1000.0:
        raise UsageError(
            f"“{line.strip()[:60]}” is no token bias.",
            "Write the number of a token, a colon, and what is added, such as 1234: -5.",
            code="setting_form",
        )
    return pair


def read_adapters(text: str) -> tuple[tuple[str, float], ...]:
    """Lines of `path` or `path = strength` as (path, strength) pairs; raises `UsageError`."""
    return tuple(_read_adapter(line.strip()) for line in read_lines(text))


def _read_adapter(line: str) -> tuple[str, float]:
    path, equals, strength = line.rpartition(" = ")
    try:
        pair = (path.strip(), float(strength)) if equals else (line, 1.0)
    except ValueError:
        pair = (line, 1.0)
    if not Path(pair[0]).is_absolute() or not -100.0 <= pair[1] <= 100.0:
        raise UsageError(
            f"“{line[:80]}” is no whole path of an adapter.",
            "Write the path from its beginning, and a strength if you like: "
            "/models/pirate.gguf = 0.8",
            code="setting_form",
        )
    return pair


def read_address(text: str) -> str:
    """The address of a hub: https, or http on this very machine; raises `UsageError`."""
    parts = _split_address(text.strip())
    is_here = parts is not None and parts.hostname in {"localhost", "127.0.0.1", "::1"}
    if parts is None or not (parts.scheme == "https" or (parts.scheme == "http" and is_here)):
        raise UsageError(
            f"“{text.strip()[:80]}” is no address of a hub.",
            "Write it from its beginning, such as https://huggingface.co; empty takes that one.",
            code="setting_form",
        )
    return text.strip().rstrip("/")


def read_proxy(text: str) -> str:
    """The address of an http proxy, or none; raises `UsageError`."""
    if text.strip().casefold() == "none":
        return "none"
    parts = _split_address(text.strip())
    if parts is None or parts.scheme not in {"http", "https"} or parts.path not in {"", "/"}:
        raise UsageError(
            f"“{text.strip()[:80]}” is no proxy that can be used.",
            "Write an http proxy such as http://127.0.0.1:3128, or none; empty takes the system's.",
            code="setting_form",
        )
    return text.strip()


def _split_address(text: str) -> SplitResult | None:
    try:
        parts = urlsplit(text)
        is_whole = bool(parts.hostname) and parts.port != 0
    except ValueError:
        return None
    return parts if is_whole else None


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
        advanced=True,
    ),
    _setting(
        "replies.top_p",
        float,
        0.95,
        "Top-p",
        "Only the likeliest tokens that together reach this probability can be drawn.",
        minimum=0.0,
        maximum=1.0,
        advanced=True,
    ),
    _setting(
        "replies.min_p",
        float,
        0.05,
        "Min-p",
        "Tokens less likely than this share of the likeliest one cannot be drawn.",
        minimum=0.0,
        maximum=1.0,
        advanced=True,
    ),
    _setting(
        "replies.typical_p",
        float,
        1.0,
        "Typical-p",
        "Only tokens about as surprising as one may expect here can be drawn; 1 lets all be drawn.",
        minimum=0.0,
        maximum=1.0,
        advanced=True,
    ),
    _setting(
        "replies.top_n_sigma",
        float,
        -1.0,
        "Top-n-sigma",
        "Tokens further below the likeliest one than n standard deviations cannot be drawn; "
        "-1 lets all be drawn.",
        minimum=-1.0,
        maximum=100.0,
        advanced=True,
    ),
    _setting(
        "replies.xtc_probability",
        float,
        0.0,
        "XTC chance",
        "How often the likeliest tokens are left out, so that a less worn one is drawn; 0 "
        "never does.",
        minimum=0.0,
        maximum=1.0,
        advanced=True,
    ),
    _setting(
        "replies.xtc_threshold",
        float,
        0.1,
        "XTC threshold",
        "Which tokens XTC may leave out: those at least this likely, but for the last of them.",
        minimum=0.0,
        maximum=1.0,
        advanced=True,
    ),
    _setting(
        "replies.repeat_penalty",
        float,
        1.0,
        "Repeat penalty",
        "Above 1, tokens that were just used become less likely.",
        minimum=0.5,
        maximum=2.0,
        advanced=True,
    ),
    _setting(
        "replies.repeat_last_n",
        int,
        64,
        "Penalties look back",
        "How many of the last tokens the three penalties count; 0 counts none, -1 the whole "
        "context.",
        minimum=-1,
        maximum=1000000,
        advanced=True,
    ),
    _setting(
        "replies.frequency_penalty",
        float,
        0.0,
        "Frequency penalty",
        "Tokens become less likely with every time that they were used; below 0, likelier.",
        minimum=-2.0,
        maximum=2.0,
        advanced=True,
    ),
    _setting(
        "replies.presence_penalty",
        float,
        0.0,
        "Presence penalty",
        "Tokens that were used at all become less likely; below 0, likelier.",
        minimum=-2.0,
        maximum=2.0,
        advanced=True,
    ),
    _setting(
        "replies.dry_multiplier",
        float,
        0.0,
        "DRY strength",
        "Keeps a reply from repeating whole phrases: how strongly; 0 is off, 0.8 is usual.",
        minimum=0.0,
        maximum=10.0,
        advanced=True,
    ),
    _setting(
        "replies.dry_base",
        float,
        1.75,
        "DRY base",
        "How fast the penalty grows with the length of a repeated phrase.",
        minimum=1.0,
        maximum=8.0,
        advanced=True,
    ),
    _setting(
        "replies.dry_allowed_length",
        int,
        2,
        "DRY allowed length",
        "Phrases up to so many tokens may be repeated freely.",
        minimum=0,
        maximum=1000,
        advanced=True,
    ),
    _setting(
        "replies.dry_penalty_last_n",
        int,
        -1,
        "DRY looks back",
        "How many of the last tokens DRY compares with; -1 is the whole context.",
        minimum=-1,
        maximum=1000000,
        advanced=True,
    ),
    _setting(
        "replies.mirostat",
        str,
        "off",
        "Mirostat",
        "Keeps the surprise of a reply even, in place of the cuts above; version 2 is the "
        "newer one.",
        choices=("off", "1", "2"),
        advanced=True,
    ),
    _setting(
        "replies.mirostat_tau",
        float,
        5.0,
        "Mirostat surprise",
        "The surprise that Mirostat aims for: lower is plainer.",
        minimum=0.0,
        maximum=20.0,
        advanced=True,
    ),
    _setting(
        "replies.mirostat_eta",
        float,
        0.1,
        "Mirostat rate",
        "How quickly Mirostat corrects itself.",
        minimum=0.0,
        maximum=1.0,
        advanced=True,
    ),
    _setting(
        "replies.logit_bias",
        str,
        "",
        "Token biases",
        "Makes single tokens likelier or less likely: on each line the number of a token, a "
        "colon, and what is added, such as 1234: -5.",
        multiline=True,
        reads=read_biases,
        advanced=True,
    ),
    _setting(
        "replies.stop",
        str,
        "",
        "Stop texts",
        "A reply ends before any of these texts; one on each line.",
        multiline=True,
        advanced=True,
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
        "replies.reasoning",
        str,
        "automatic",
        "Reasoning",
        "Whether models that can do both think before they answer; automatic does as the model "
        "is made to.",
        choices=("automatic", "on", "off"),
    ),
    _setting(
        "replies.reasoning_budget",
        int,
        None,
        "Longest reasoning",
        "In tokens, after which the answer has to begin; automatic lets a model think until it "
        "is done.",
        minimum=0,
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
        advanced=True,
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
        needs_load=True,
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
        needs_load=True,
    ),
    _setting(
        "engine.gpu_layers",
        int,
        None,
        "Layers on the GPU",
        "Automatic puts all on the GPU where there is one, but measures one that shares the "
        "processor's memory, once, and takes the faster of the two. 0 keeps all on the CPU; "
        "another number is taken as it is.",
        minimum=0,
        maximum=1000,
        optional=True,
        needs_load=True,
    ),
    _setting(
        "engine.keeps_idle_minutes",
        int,
        None,
        "Put an idle model away",
        "After so many minutes without a message the model leaves the memory, and comes back "
        "with the next one; automatic keeps it.",
        minimum=1,
        maximum=10080,
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
        needs_load=True,
        advanced=True,
    ),
    _setting(
        "engine.threads_batch",
        int,
        None,
        "Threads for reading",
        "Processor threads for reading a prompt; automatic finds the fastest count as it goes.",
        minimum=1,
        maximum=256,
        optional=True,
        advanced=True,
        needs_load=True,
    ),
    _setting(
        "engine.batch",
        int,
        None,
        "Batch",
        "Tokens that are handed over at once; automatic takes 2,048.",
        minimum=32,
        maximum=65536,
        optional=True,
        advanced=True,
        needs_load=True,
    ),
    _setting(
        "engine.ubatch",
        int,
        None,
        "Physical batch",
        "Tokens that are computed at once; more reads prompts faster on a GPU and takes more "
        "memory. Automatic takes 512.",
        minimum=32,
        maximum=65536,
        optional=True,
        advanced=True,
        needs_load=True,
    ),
    _setting(
        "engine.parallel",
        int,
        None,
        "Replies at once",
        "How many replies can be written at the same time; they share the context. Automatic "
        "takes 4.",
        minimum=1,
        maximum=64,
        optional=True,
        advanced=True,
        needs_load=True,
    ),
    _setting(
        "engine.flash_attention",
        str,
        "automatic",
        "Flash attention",
        "Reads long contexts faster with less memory; automatic uses it where the model and "
        "the device can.",
        choices=("automatic", "on", "off"),
        advanced=True,
        needs_load=True,
    ),
    _setting(
        "engine.kv_type",
        str,
        "automatic",
        "Conversation memory",
        "How the KV cache is stored: q8_0 takes half the memory of f16, q4_0 a quarter, both "
        "with a little less exactness, and they need flash attention. Automatic takes f16.",
        choices=("automatic", "f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0"),
        advanced=True,
        needs_load=True,
    ),
    _setting(
        "engine.use_mmap",
        bool,
        True,
        "Map the model file",
        "The model is read from its file as it is needed, and other programs can have that "
        "memory back; off copies it all at once.",
        advanced=True,
        needs_load=True,
    ),
    _setting(
        "engine.use_mlock",
        bool,
        False,
        "Lock the model in memory",
        "Keeps the system from moving the model to the disk when memory is short.",
        advanced=True,
        needs_load=True,
    ),
    _setting(
        "engine.checks_memory",
        bool,
        True,
        "Refuse what does not fit",
        "A model or context that needs more than the free memory is refused before the "
        "machine slows down. Off tries it all the same.",
        advanced=True,
        needs_load=True,
    ),
    _setting(
        "engine.rope_scaling",
        str,
        "automatic",
        "RoPE scaling",
        "How positions beyond the trained length are told apart; automatic does what the "
        "model says.",
        choices=("automatic", "none", "linear", "yarn"),
        advanced=True,
        needs_load=True,
    ),
    _setting(
        "engine.rope_base",
        float,
        None,
        "RoPE base",
        "The base frequency of positions; automatic takes what the model says.",
        minimum=1.0,
        maximum=10000000000.0,
        optional=True,
        advanced=True,
        needs_load=True,
    ),
    _setting(
        "engine.rope_scale",
        float,
        None,
        "RoPE scale",
        "The factor on positions: 0.5 makes room for a text of twice the trained length, less "
        "exactly. Automatic takes what the model says.",
        minimum=0.001,
        maximum=100.0,
        optional=True,
        advanced=True,
        needs_load=True,
    ),
    _setting(
        "engine.adapters",
        str,
        "",
        "LoRA adapters",
        "Files that change a model, one on each line, made for the model that is used; a line "
        "may end in a strength, such as /models/pirate.gguf = 0.8.",
        multiline=True,
        reads=read_adapters,
        advanced=True,
        needs_load=True,
    ),
    _setting(
        "models.default",
        str,
        "builtin/guide",
        "Model for new conversations",
        "The model that a new conversation starts with.",
    ),
    _setting(
        "models.folders",
        str,
        "",
        "Folders with models",
        "One a line. The models in them are found and used where they lie, as those of Ollama, "
        "LM Studio, Jan, GPT4All and others on this computer are.",
        multiline=True,
    ),
    _setting(
        "network.download_limit",
        float,
        None,
        "Download limit",
        "In MB a second, for all downloads together; automatic sets no limit.",
        minimum=0.01,
        maximum=100000.0,
        optional=True,
    ),
    _setting(
        "network.downloads_at_once",
        int,
        2,
        "Downloads at once",
        "The others wait in the order in which they stand.",
        minimum=1,
        maximum=8,
    ),
    _setting(
        "network.connections",
        int,
        None,
        "Connections for a download",
        "Automatic begins with one and opens more as long as that makes the download faster.",
        minimum=1,
        maximum=16,
        optional=True,
    ),
    _setting(
        "network.mirror",
        str,
        "",
        "Mirror of the hub",
        "Where models are looked for and downloaded from: an https address that answers as "
        "https://huggingface.co does, which is taken where this is empty.",
        reads=read_address,
    ),
    _setting(
        "network.proxy",
        str,
        "",
        "Proxy",
        "Every connection goes through it, such as http://127.0.0.1:3128. Empty takes the "
        "system's (HTTPS_PROXY); none uses no proxy.",
        reads=read_proxy,
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

    def override(self, key: str, value: object) -> None:
        """Put a value in force for this process alone: it is not stored. Raises `UsageError`."""
        self._chosen[key] = SETTINGS[key].check(value)

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
