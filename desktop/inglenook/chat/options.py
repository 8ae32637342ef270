"""From settings to what the engine is asked for: load options and sampling."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from inglenook.base.records import InstalledModel
from inglenook.base.setting_forms import read_adapters, read_biases, read_lines
from inglenook.chat.defaults import Readable, settings_for
from inglenook.engine.protocol import Constraint, Load, LoadOptions, Sampling
from inglenook.store.records import Conversation


@dataclass(frozen=True, slots=True)
class ReplyOptions:
    """What one reply does differently from the settings; None leaves it to them.

    `system_prompt` given with the first message of a conversation stays with the conversation.
    """

    max_tokens: int | None = None
    temperature: float | None = None
    seed: int | None = None
    system_prompt: str | None = None
    thinks: bool | None = None
    reasoning_budget: int | None = None
    constraint: Constraint | None = None


_CONTEST_FILE: Final = "weak-gpu.json"
AUTOMATIC: Final = "automatic"
_SWITCHED: Final = {AUTOMATIC: None, "on": True, "off": False}
_MIROSTAT: Final = {"off": 0, "1": 1, "2": 2}
_USUAL: Final = LoadOptions()


def make_load(model: InstalledModel, settings: Readable, snapshot_folder: Path | None) -> Load:
    """Say how this model is loaded under the settings in force.

    What a weak GPU is measured at is kept beside the snapshots; without a folder nothing is kept.
    """
    snapshot_gb: float = settings.get("engine.snapshot_gb") if snapshot_folder is not None else 0
    return Load(
        model_id=model.id,
        path=model.path,
        options=make_load_options(settings_for(model, settings)),
        snapshot_folder=str(snapshot_folder) if snapshot_gb else "",
        snapshot_limit_bytes=round(snapshot_gb * 1e9),
        contest_file=str(snapshot_folder.with_name(_CONTEST_FILE)) if snapshot_folder else "",
    )


def make_load_options(settings: Readable) -> LoadOptions:
    """Say how any model is loaded under these settings."""

    def read(key: str, usual: Any = None) -> Any:
        """A value that was chosen, else what is usual."""
        value = settings.get(f"engine.{key}")
        return usual if value is None or value == AUTOMATIC else value

    idle_minutes: int | None = settings.get("engine.keeps_idle_minutes")
    return LoadOptions(
        n_ctx=read("context_length"),
        n_threads=read("threads"),
        n_threads_batch=read("threads_batch"),
        n_gpu_layers=read("gpu_layers"),
        n_batch=read("batch", _USUAL.n_batch),
        n_ubatch=read("ubatch", _USUAL.n_ubatch),
        n_seq_max=read("parallel", _USUAL.n_seq_max),
        use_mmap=read("use_mmap"),
        use_mlock=read("use_mlock"),
        flash_attention=_SWITCHED[settings.get("engine.flash_attention")],
        kv_type=read("kv_type", _USUAL.kv_type),
        rope_scaling=read("rope_scaling"),
        rope_freq_base=read("rope_base"),
        rope_freq_scale=read("rope_scale"),
        lora_adapters=read_adapters(settings.get("engine.adapters")),
        keeps_idle_s=None if idle_minutes is None else idle_minutes * 60.0,
        checks_memory=read("checks_memory"),
    )


def make_sampling(options: ReplyOptions, settings: Readable) -> Sampling:
    """Say how tokens are drawn: the options first, then the settings."""
    temperature, seed = options.temperature, options.seed
    return Sampling(
        temperature=settings.get("replies.temperature") if temperature is None else temperature,
        top_k=settings.get("replies.top_k"),
        top_p=settings.get("replies.top_p"),
        min_p=settings.get("replies.min_p"),
        typical_p=settings.get("replies.typical_p"),
        top_n_sigma=settings.get("replies.top_n_sigma"),
        repeat_last_n=settings.get("replies.repeat_last_n"),
        repeat_penalty=settings.get("replies.repeat_penalty"),
        frequency_penalty=settings.get("replies.frequency_penalty"),
        presence_penalty=settings.get("replies.presence_penalty"),
        dry_multiplier=settings.get("replies.dry_multiplier"),
        dry_base=settings.get("replies.dry_base"),
        dry_allowed_length=settings.get("replies.dry_allowed_length"),
        dry_penalty_last_n=settings.get("replies.dry_penalty_last_n"),
        xtc_probability=settings.get("replies.xtc_probability"),
        xtc_threshold=settings.get("replies.xtc_threshold"),
        mirostat=_MIROSTAT[settings.get("replies.mirostat")],  # type: ignore[arg-type]
        mirostat_tau=settings.get("replies.mirostat_tau"),
        mirostat_eta=settings.get("replies.mirostat_eta"),
        logit_bias=read_biases(settings.get("replies.logit_bias")),
        seed=settings.get("replies.seed") if seed is None else seed,
    )


def choose_system_prompt(
    conversation: Conversation | None, options: ReplyOptions, settings: Readable
) -> str:
    """Say what is said to the model first: by the reply, the conversation, or the settings."""
    if options.system_prompt is not None:
        return options.system_prompt
    if conversation is not None and conversation.system_prompt is not None:
        return conversation.system_prompt
    return str(settings.get("replies.system_prompt"))


def choose_model_id(conversation: Conversation, settings: Readable) -> str:
    """Say which model a conversation goes on with."""
    return conversation.model_id or str(settings.get("models.default"))


def choose_stops(settings: Readable) -> tuple[str, ...]:
    """Say before which texts a reply ends."""
    lines = read_lines(settings.get("replies.stop"))
    return tuple(line.replace("\\n", "\n").replace("\\t", "\t") for line in lines)


def choose_thinking(options: ReplyOptions, settings: Readable) -> bool | None:
    """Say whether the model thinks first; None is as the model is made to."""
    chosen = {"on": True, "off": False}.get(settings.get("replies.reasoning"))
    return chosen if options.thinks is None else options.thinks


def choose_reasoning_budget(options: ReplyOptions, settings: Readable) -> int | None:
    """Say how many tokens the model may think; None is until it is done."""
    chosen: int | None = settings.get("replies.reasoning_budget")
    return chosen if options.reasoning_budget is None else options.reasoning_budget


def choose_max_tokens(options: ReplyOptions, settings: Readable) -> int | None:
    """Say how long the reply may grow, in tokens; None is until the context is full."""
    chosen: int | None = settings.get("replies.max_tokens")
    return chosen if options.max_tokens is None else options.max_tokens
