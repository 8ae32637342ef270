"""What a person types or pastes to mean a model of the hub: names, and addresses of its pages.

Pure; called by `hub.py` and, through it, by the models page while a person types.
"""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qs, unquote, urlsplit

from inglenook.base.errors import ModelError, NetworkError
from inglenook.models.catalogue import Catalogue, CatalogueEntry
from inglenook.models.names import is_repo, is_safe_filename, refuse_name

HUB_HOSTS: Final = frozenset({"huggingface.co", "www.huggingface.co", "hf.co"})
_SHORT_FORMS: Final = ("hf.co/", "huggingface.co/", "www.huggingface.co/", "hf://")
_SECTIONS: Final = frozenset({"tree", "discussions", "resolve", "blob", "raw", "commits"})
_FILE_SECTIONS: Final = frozenset({"resolve", "blob", "raw"})


@dataclass(frozen=True, slots=True)
class Reference:
    """A name, taken apart: at most one of `quantisation` and `path` is set."""

    repo: str
    quantisation: str = ""
    path: str = ""
    entry: CatalogueEntry | None = None


def read_name(name: str, catalogue: Catalogue, endpoint: str) -> Reference:
    """Take a name apart without asking anybody.

    Raises `ModelError` (unknown_model, hostile_name) and `NetworkError` (other_address).
    """
    name = strip_address(name.strip(), endpoint)
    entry = catalogue.find(name)
    if entry:
        return Reference(entry.repo, entry=entry)
    base, _, tag = name.rpartition(":")
    if base and "/" not in tag:
        entry = catalogue.find(base)
        if entry and "/" not in base and entry.find_file(tag):
            return Reference(entry.repo, quantisation=tag, entry=entry)
        if is_repo(base):
            return Reference(base, quantisation=tag)
    if is_repo(name):
        return Reference(name)
    parts = name.split("/")
    repo = "/".join(parts[:2])
    if len(parts) > 2 and is_repo(repo) and name.lower().endswith(".gguf"):
        path = "/".join(parts[2:])
        if not is_safe_filename(path):
            raise refuse_name(name)
        return Reference(repo, path=path)
    raise _refuse_unknown(name, catalogue.names)


def strip_address(name: str, endpoint: str) -> str:
    """An address of the hub as owner/repo or owner/repo/file.gguf; other names as they are.

    Raises `NetworkError` (other_address) for an address of anybody else.
    """
    lower = name.lower()
    for short in _SHORT_FORMS:
        if lower.startswith(short):
            name = f"{endpoint}/{name[len(short) :]}"
            break
    if "://" not in name:
        return name
    try:
        address = urlsplit(name)
        is_known = address.netloc.lower() in {urlsplit(endpoint).netloc.lower(), *HUB_HOSTS}
    except ValueError:
        is_known = False
    if not is_known or address.scheme not in {"http", "https"}:
        raise NetworkError(
            "Models are downloaded from the hub only, not from other addresses.",
            "Download the file with a browser, then import it.",
            code="other_address",
        )
    parts = [part for part in unquote(address.path).split("/") if part]
    if parts and parts[0] == "models":
        del parts[0]
    if len(parts) > 4 and parts[2] in _FILE_SECTIONS:
        del parts[2:4]
    elif len(parts) > 2 and parts[2] in _SECTIONS:
        del parts[2:]
    if len(parts) == 2 and (shown := parse_qs(address.query).get("show_file_info")):
        parts.append(shown[0])
    return "/".join(parts)


def find_repo(text: str, endpoint: str) -> str | None:
    """The `owner/repo` in what was typed or pasted; None when it is no such name.

    Takes `owner/repo`, with `:QUANT` or a file behind it, and addresses of the hub's pages.
    """
    try:
        name = strip_address(text.strip(), endpoint)
    except NetworkError:
        return None
    repo = "/".join(name.split(":", 1)[0].split("/")[:2])
    return repo if is_repo(repo) else None


def find_host(endpoint: str) -> str:
    """The host's name of an endpoint."""
    return urlsplit(endpoint).hostname or endpoint


def is_address(text: str) -> bool:
    """Whether what was typed begins as an address does, not as words to search for."""
    lower = text.strip().lower()
    return "://" in lower or lower.startswith(_SHORT_FORMS)


def _refuse_unknown(name: str, names: Iterable[str]) -> ModelError:
    shown = "".join(letter if letter.isprintable() else "?" for letter in name[:80])
    near = difflib.get_close_matches(name.lower(), list(names), n=2, cutoff=0.6)
    hint = f"Did you mean {' or '.join(near)}?" if near else "Give a short name or owner/repo."
    return ModelError(
        f"No model is known by the name {shown.encode('utf-8', 'replace').decode()}.",
        hint,
        code="unknown_model",
    )
