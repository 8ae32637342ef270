"""What a listing of the hub tells of a repository, each text and number checked.

Pure; called by `hub_search.py` and `hub.py` with what strangers wrote.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from inglenook.models.catalogue import MARKS, Mark
from inglenook.models.formats import OTHER_KINDS
from inglenook.models.names import is_repo

_WORD: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}", re.ASCII)
_BILLIONS: Final = re.compile(r"(?<![a-z0-9.])(\d{1,4}(?:\.\d{1,3})?)([bm])(?![a-z0-9])")
_EXPERTS: Final = re.compile(r"(?<![a-z0-9.])(\d{1,3})x(\d{1,3}(?:\.\d)?)b(?![a-z0-9])")
_LANGUAGE: Final = re.compile(r"[a-z]{2}")
_TALKING: Final = frozenset(
    {
        "",
        "any-to-any",
        "audio-text-to-text",
        "conversational",
        "image-text-to-text",
        "image-to-text",
        "question-answering",
        "summarization",
        "text-generation",
        "text2text-generation",
        "translation",
        "video-text-to-text",
        "visual-question-answering",
    }
)
_SEEING: Final = frozenset(
    {"image-text-to-text", "image-to-text", "video-text-to-text", "visual-question-answering"}
)
_TOOL_TAGS: Final = frozenset({"function-calling", "tool-calling", "tool-use", "tools"})
_THINKING_TAGS: Final = frozenset({"reasoning", "thinking"})
_THINKING: Final = re.compile(r"<think|enable_thinking|reasoning_content|<\|channel\|>")
_TOOLS: Final = re.compile(r"\btools\b")


@dataclass(frozen=True, slots=True)
class RepoSummary:
    """What a listing tells of one repository; numbers are 0 and texts "" where it says nothing.

    `base` is the repository that the files were made from. `can_talk` is False for models that
    only make vectors, pictures or sound.
    """

    repo: str
    name: str
    maker: str
    base: str = ""
    n_params: int = 0
    n_ctx_train: int = 0
    architecture: str = ""
    downloads: int = 0
    likes: int = 0
    updated_at: datetime | None = None
    licence: str = ""
    languages: tuple[str, ...] = ()
    marks: tuple[Mark, ...] = ()
    is_gated: bool = False
    is_private: bool = False
    can_talk: bool = True


def read_item(item: Any) -> RepoSummary | None:
    """One entry of a listing; None where it has no usable name."""
    import huggingface_hub

    if not isinstance(item, dict):
        return None
    make_info: Any = huggingface_hub.ModelInfo
    try:
        return summarise(make_info(**item))
    except (TypeError, ValueError, KeyError, AttributeError):
        return None


def summarise(info: Any) -> RepoSummary | None:
    """What the hub says of a repository, each text checked; None without a usable name.

    `info` is huggingface_hub's `ModelInfo`, whose fields hold whatever the hub sent.
    """
    repo = info.id
    if not isinstance(repo, str) or not is_repo(repo):
        return None
    maker, _, tail = repo.partition("/")
    tags = [tag for tag in info.tags or () if isinstance(tag, str)]
    header = info.gguf if isinstance(info.gguf, dict) else {}
    pipeline = info.pipeline_tag if isinstance(info.pipeline_tag, str) else ""
    name = re.sub(r"[-_.]?gguf$", "", tail, flags=re.IGNORECASE) or tail
    architecture = _read_word(header.get("architecture"))
    languages = tuple(tag for tag in tags if _LANGUAGE.fullmatch(tag))[:200]
    return RepoSummary(
        repo=repo,
        name=name,
        maker=maker,
        base=_find_base(tags),
        n_params=_read_count(header.get("total")) or guess_params(name),
        n_ctx_train=_read_count(header.get("context_length")),
        architecture=architecture,
        downloads=_read_count(info.downloads),
        likes=_read_count(info.likes),
        updated_at=info.last_modified if isinstance(info.last_modified, datetime) else None,
        licence=_find_tagged(tags, "license:"),
        languages=languages,
        marks=_find_marks(info, tags, pipeline, header, len(languages)),
        is_gated=bool(info.gated),
        is_private=bool(info.private),
        can_talk=pipeline in _TALKING and architecture not in OTHER_KINDS,
    )


def guess_params(name: str) -> int:
    """The number of parameters that a model's name tells: 8x7B, 1.7B, 135M; 0 for none."""
    lower = name.lower()
    if match := _EXPERTS.search(lower):
        return round(int(match[1]) * float(match[2]) * 1e9)
    match = _BILLIONS.search(lower)
    return round(float(match[1]) * (1e9 if match[2] == "b" else 1e6)) if match else 0


def _find_marks(
    info: Any, tags: list[str], pipeline: str, header: dict[str, Any], n_languages: int
) -> tuple[Mark, ...]:
    """What a model can do, as far as its tags and its chat template show."""
    lower = {tag.lower() for tag in tags}
    template = header.get("chat_template")
    template = template[:200_000] if isinstance(template, str) else ""
    tail = info.id.partition("/")[2].lower()
    shown: dict[Mark, bool] = {
        "vision": bool(_SEEING & {pipeline, *lower}),
        "tools": bool(_TOOL_TAGS & lower) or bool(_TOOLS.search(template)),
        "reasoning": bool(_THINKING_TAGS & lower) or bool(_THINKING.search(template)),
        "code": "code" in lower or "coder" in tail or "codestral" in tail,
        "languages": n_languages > 2,
    }
    return tuple(mark for mark in MARKS if shown[mark])


def _find_tagged(tags: list[str], prefix: str) -> str:
    return next((_read_word(tag[len(prefix) :]) for tag in tags if tag.startswith(prefix)), "")


def _find_base(tags: list[str]) -> str:
    """The repository that this one was made from, as its tags tell."""
    for prefix in ("base_model:quantized:", "base_model:finetune:", "base_model:"):
        for tag in tags:
            if tag.startswith(prefix) and is_repo(tag[len(prefix) :]):
                return tag[len(prefix) :]
    return ""


def _read_word(value: Any) -> str:
    return value if isinstance(value, str) and _WORD.fullmatch(value) else ""


def _read_count(value: Any) -> int:
    return value if type(value) is int and 0 <= value < 1 << 60 else 0
