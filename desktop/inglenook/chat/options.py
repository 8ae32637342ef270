"""From settings to what the engine is asked for: load options and sampling."""

from dataclasses import dataclass
from pathlib import Path

from inglenook.base.records import InstalledModel
from inglenook.base.settings import Settings
from inglenook.engine.protocol import Load, LoadOptions, Sampling


@dataclass(frozen=True, slots=True)
class ReplyOptions:
    """What one reply does differently from the settings; None leaves it to them.

    `system_prompt` given with the first message of a conversation stays with the conversation.
    """

    max_tokens: int | None = None
    temperature: float | None = None
    seed: int | None = None
    system_prompt: str | None = None


def make_load(model: InstalledModel, settings: Settings, snapshot_folder: Path | None) -> Load:
    """Say how this model is loaded under the settings in force."""
    snapshot_gb: float = settings.get("engine.snapshot_gb") if snapshot_folder is not None else 0
    return Load(
        model_id=model.id,
        path=model.path,
        options=LoadOptions(
            n_ctx=settings.get("engine.context_length"),
            n_threads=settings.get("engine.threads"),
            n_gpu_layers=settings.get("engine.gpu_layers"),
        ),
        snapshot_folder=str(snapshot_folder) if snapshot_gb else "",
        snapshot_limit_bytes=round(snapshot_gb * 1e9),
    )


def make_sampling(options: ReplyOptions, settings: Settings) -> Sampling:
    """Say how tokens are drawn: the options first, then the settings."""
    temperature, seed = options.temperature, options.seed
    return Sampling(
        temperature=settings.get("replies.temperature") if temperature is None else temperature,
        top_k=settings.get("replies.top_k"),
        top_p=settings.get("replies.top_p"),
        min_p=settings.get("replies.min_p"),
        repeat_penalty=settings.get("replies.repeat_penalty"),
        seed=settings.get("replies.seed") if seed is None else seed,
    )


def choose_max_tokens(options: ReplyOptions, settings: Settings) -> int | None:
    """Say how long the reply may grow, in tokens; None is until the context is full."""
    chosen: int | None = settings.get("replies.max_tokens")
    return chosen if options.max_tokens is None else options.max_tokens
