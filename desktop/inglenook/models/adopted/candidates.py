"""What a finder returns, and the names of the apps."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from inglenook.base.records import ModelDefaults

type AppName = Literal[
    "ollama", "lm_studio", "jan", "gpt4all", "llama_cpp", "hugging_face", "folder"
]

APP_TITLES: Final[dict[str, str]] = {
    "ollama": "Ollama",
    "lm_studio": "LM Studio",
    "jan": "Jan",
    "gpt4all": "GPT4All",
    "llama_cpp": "llama.cpp",
    "hugging_face": "Hugging Face",
    "folder": "your folder",
}

MAX_NAME: Final = 120
NO_DEFAULTS: Final = ModelDefaults()


@dataclass(frozen=True, slots=True)
class Place:
    """A folder in which an app keeps its models."""

    app: AppName
    folder: Path


@dataclass(frozen=True, slots=True)
class Candidate:
    """One model as the app's own records tell of it; nothing of it has been read yet.

    `name` is empty where the model's own header is to name it. `problem` is a sentence when it
    cannot be used, whatever its file holds.
    """

    app: AppName
    path: Path
    name: str = ""
    key: str = ""
    """What makes its id where the path may change: an Ollama name."""
    repo: str = ""
    sha256: str = ""
    aliases: tuple[str, ...] = ()
    defaults: ModelDefaults = NO_DEFAULTS
    notes: tuple[str, ...] = ()
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Listing:
    """What one place holds; `remarks` are sentences about what could not be looked at."""

    candidates: tuple[Candidate, ...] = ()
    remarks: tuple[str, ...] = ()


def name_app(source: str) -> str:
    """The title of the app that keeps a model."""
    return APP_TITLES.get(source, source)


def show(text: str, limit: int = MAX_NAME) -> str:
    """Text of another app as one short printable line."""
    words = "".join(letter if letter.isprintable() else " " for letter in text[: 4 * limit]).split()
    return " ".join(words)[:limit].strip().encode("utf-8", "replace").decode()
