"""Apps that keep plain .gguf files: LM Studio, GPT4All, llama.cpp; and a person's own folders."""

import dataclasses
from pathlib import Path
from typing import Final

from inglenook.models.adopted.candidates import Listing
from inglenook.models.adopted.walk import LIMITS, Limits, list_models
from inglenook.models.names import is_repo

_UNFINISHED: Final = "incomplete-"


def find_lm_studio(folder: Path, limits: Limits = LIMITS) -> Listing:
    """LM Studio's models: publisher/repository/file.gguf."""
    listing = list_models(folder, "lm_studio", limits)
    candidates = []
    for candidate in listing.candidates:
        repo = "/".join(candidate.path.relative_to(folder).parts[:2])
        is_named = len(candidate.path.relative_to(folder).parts) > 2 and is_repo(repo)
        candidates.append(dataclasses.replace(candidate, repo=repo if is_named else ""))
    return Listing(tuple(candidates), listing.remarks)


def find_gpt4all(folder: Path, limits: Limits = LIMITS) -> Listing:
    """GPT4All's models, all in one folder; those on their way have a name of their own."""
    listing = list_models(folder, "gpt4all", limits)
    problem = "GPT4All has not finished downloading it."
    return Listing(
        tuple(
            dataclasses.replace(candidate, problem=problem)
            if candidate.path.name.lower().startswith(_UNFINISHED)
            else candidate
            for candidate in listing.candidates
        ),
        listing.remarks,
    )


def find_llama_cpp(folder: Path, limits: Limits = LIMITS) -> Listing:
    """What llama.cpp downloaded; unfinished files have another ending there."""
    return list_models(folder, "llama_cpp", limits)


def find_folder(folder: Path, limits: Limits = LIMITS) -> Listing:
    """All models in a folder that a person named."""
    return list_models(folder, "folder", limits)
