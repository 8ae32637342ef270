"""The hub of models: which GGUF files a repository has, and which one a name means.

Made by app; called by the downloads and, through the task runner, by the models page, on worker
threads only: huggingface_hub is imported at the first call, which takes half a second. Its one
client is made by the network door, so its connections are in the ledger too.
"""

import os
import re
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from inglenook.base.errors import ModelError, NetworkError
from inglenook.base.network import Limits, Network, Sockets
from inglenook.models.catalogue import Catalogue, CatalogueEntry
from inglenook.models.hub_errors import explain
from inglenook.models.names import (
    is_repo,
    is_revision,
    is_safe_filename,
    is_sha256,
    refuse_name,
)
from inglenook.models.splits import list_parts, parse_part

_LIMITS: Final = Limits(max_bytes=32_000_000, max_s=60.0)
_TIMEOUT_S: Final = 20.0
_PURPOSE: Final = "look up a model on the hub"
_BEFORE_IMPORT: Final = (
    "HF_HUB_DISABLE_TELEMETRY",
    "HF_HUB_DISABLE_XET",
    "HF_HUB_DISABLE_PROGRESS_BARS",
    "HF_HUB_DISABLE_IMPLICIT_TOKEN",
    "HF_HUB_DISABLE_SYMLINKS_WARNING",
    "HF_HUB_DISABLE_UPDATE_CHECK",
)
_PREFERRED: Final = (
    "Q4_K_M",
    "Q4_K_S",
    "MXFP4",
    "Q4_0",
    "IQ4_XS",
    "Q5_K_M",
    "Q5_K_S",
    "Q6_K",
    "Q8_0",
    "Q3_K_M",
    "F16",
    "BF16",
    "F32",
)
_QUANTISATION: Final = re.compile(
    r"(?:^|[-._/])((?:I?Q\d+_[0-9A-Z]+(?:_[A-Z]+)?)|MXFP4|NVFP4|TQ\d_0|BF16|F16|F32)(?=$|[-._/])",
    re.IGNORECASE,
)
_ADD_ONS: Final = ("mmproj", "imatrix", "mtp-", "ggml-vocab", "lora")


@dataclass(frozen=True, slots=True)
class HubPart:
    """One file to fetch. `git_sha1` identifies small files, which have no SHA-256."""

    path: str
    size_bytes: int
    sha256: str = ""
    git_sha1: str = ""


@dataclass(frozen=True, slots=True)
class HubFile:
    """One model of a repository: a GGUF file, or all the parts of a split one.

    `path` is the (first) file's path in the repository, `size_bytes` the sum.
    """

    repo: str
    path: str
    size_bytes: int
    quantisation: str
    revision: str
    parts: tuple[HubPart, ...]

    @property
    def sha256(self) -> str:
        """The hash of a model in one file; "" for a split one."""
        return self.parts[0].sha256 if len(self.parts) == 1 else ""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a name means: this file, and what the catalogue says of it."""

    name: str
    file: HubFile
    entry: CatalogueEntry | None = None


@dataclass(frozen=True, slots=True)
class _Reference:
    """A name, taken apart: at most one of `quantisation` and `path` is set."""

    repo: str
    quantisation: str = ""
    path: str = ""
    entry: CatalogueEntry | None = None


def _have_none() -> Catalogue:
    return Catalogue(entries=())


class Hub:
    """Asks the hub. Thread-safe: one question at a time; the library has one client for all."""

    def __init__(
        self,
        network: Network,
        endpoint: str = "https://huggingface.co",
        catalogue: Callable[[], Catalogue] = _have_none,
    ) -> None:
        self._network = network
        self._load_catalogue = catalogue
        self._lock = threading.Lock()
        self._sockets = Sockets()
        self.endpoint = endpoint.rstrip("/")
        self.host = urlsplit(self.endpoint).hostname or self.endpoint

    def find_files(self, repo: str) -> tuple[HubFile, ...]:
        """List the models of a repository, smallest first. Names that look hostile are left out.

        Raises `NetworkError`: unknown_repo, gated, offline, timeout, unreachable, rate_limited,
        hub_down, hub_answer; and no_models when it holds no GGUF file.
        """
        if not is_repo(repo):
            raise NetworkError(
                "This is no name of a repository on the hub.",
                "It has the form owner/repo.",
                code="unknown_repo",
            )
        self._network.check()
        info = self._ask(repo)
        if info.gated or info.private:
            raise NetworkError(
                f"{repo} is given only to people who signed in and accepted its licence.",
                "Choose the same model from another publisher: this version cannot sign in.",
                code="gated",
            )
        if not is_revision(info.sha or ""):
            raise NetworkError(
                f"{self.host} does not say which version of {repo} it has.",
                "Try again later.",
                code="hub_answer",
            )
        files = _group(repo, info.sha, _read_parts(info.siblings or ()))
        if not files:
            raise NetworkError(
                f"{repo} has no GGUF model.",
                "Look for a repository whose name ends in GGUF.",
                code="no_models",
            )
        return files

    def resolve(self, name: str) -> Wanted:
        """Find the file that a name means.

        `name` is one of the catalogue's names, owner/repo, owner/repo:QUANTISATION,
        owner/repo/file.gguf, or an address of the hub. Raises `ModelError` (unknown_model,
        unknown_file, hostile_name) and what `find_files` raises.
        """
        reference = self._read_name(name)
        files = self.find_files(reference.repo)
        entry = reference.entry or self._load_catalogue().find_repo(reference.repo)
        return Wanted(name.strip(), _choose(files, reference, entry), entry)

    def locate(self, file: HubFile, part: HubPart) -> tuple[str, dict[str, str]]:
        """The address of a file's exact version, and the headers to ask with. No token, ever."""
        library = self._import_library()
        address = library.hf_hub_url(
            file.repo, part.path, revision=file.revision, endpoint=self.endpoint
        )
        headers = library.utils.build_hf_headers(token=False, library_name="inglenook")
        return str(address), dict(headers)

    def interrupt(self) -> None:
        """End a question under way at once; it fails as a broken connection."""
        self._sockets.shut_down()

    def _ask(self, repo: str) -> Any:
        """The repository's metadata, as the library gives it."""
        with self._lock:
            library = self._import_library()
            self._sockets.allow()
            library.set_client_factory(self._make_client)
            try:
                api = library.HfApi(endpoint=self.endpoint, token=False)
                return api.model_info(repo, files_metadata=True, token=False, timeout=_TIMEOUT_S)
            except Exception as error:
                told = explain(error, self.host)
                if told is None:
                    raise
                raise told from error
            finally:
                library.close_session()

    def _make_client(self) -> Any:
        return self._network.client(
            _PURPOSE,
            follow_redirects=True,
            read_timeout_s=_TIMEOUT_S,
            limits=_LIMITS,
            sockets=self._sockets,
        )

    @staticmethod
    def _import_library() -> Any:
        for name in _BEFORE_IMPORT:
            os.environ[name] = "1"
        import huggingface_hub

        return huggingface_hub

    def _read_name(self, name: str) -> _Reference:
        """Take a name apart without asking anybody."""
        name = self._strip_address(name.strip())
        catalogue = self._load_catalogue()
        entry = catalogue.find(name)
        if entry:
            return _Reference(entry.repo, entry=entry)
        base, _, tag = name.rpartition(":")
        if base and "/" not in tag:
            entry = catalogue.find(base)
            if entry and "/" not in base and entry.find_file(tag):
                return _Reference(entry.repo, quantisation=tag, entry=entry)
            if is_repo(base):
                return _Reference(base, quantisation=tag)
        if is_repo(name):
            return _Reference(name)
        parts = name.split("/")
        repo = "/".join(parts[:2])
        if len(parts) > 2 and is_repo(repo) and name.lower().endswith(".gguf"):
            path = "/".join(parts[2:])
            if not is_safe_filename(path):
                raise refuse_name(name)
            return _Reference(repo, path=path)
        raise _refuse_unknown(name, catalogue.names)

    def _strip_address(self, name: str) -> str:
        """An address of the hub as owner/repo or owner/repo/file.gguf; other names as they are."""
        lower = name.lower()
        for short in ("hf.co/", "huggingface.co/", "hf://"):
            if lower.startswith(short):
                name = f"{self.endpoint}/{name[len(short) :]}"
        if "://" not in name:
            return name
        address = urlsplit(name)
        known = {urlsplit(self.endpoint).netloc, "huggingface.co", "www.huggingface.co", "hf.co"}
        if address.netloc.lower() not in known or address.scheme not in {"http", "https"}:
            raise NetworkError(
                "Models are downloaded from the hub only, not from other addresses.",
                "Download the file with a browser, then import it.",
                code="other_address",
            )
        parts = [part for part in unquote(address.path).split("/") if part]
        if len(parts) > 4 and parts[2] in {"resolve", "blob"}:
            del parts[2:4]
        elif len(parts) > 2 and parts[2] in {"tree", "discussions", "resolve", "blob"}:
            del parts[2:]
        return "/".join(parts)


def _read_parts(siblings: Iterable[Any]) -> list[HubPart]:
    """The GGUF files of a listing that have a harmless name and a believable size."""
    parts: dict[str, HubPart] = {}
    for sibling in siblings:
        path, size = sibling.rfilename, sibling.size
        if not isinstance(path, str) or not is_safe_filename(path):
            continue
        if type(size) is not int or not 0 < size < 1 << 50:
            continue
        sha256 = str(getattr(sibling.lfs, "sha256", "") or "").lower()
        parts[path] = HubPart(
            path,
            size,
            sha256 if is_sha256(sha256) else "",
            str(sibling.blob_id or "").lower() if not sha256 else "",
        )
    return list(parts.values())


def _group(repo: str, revision: str, parts: list[HubPart]) -> tuple[HubFile, ...]:
    """Bring the parts of split models together; leave out what is no model, or incomplete."""
    by_path = {part.path: part for part in parts}
    files: list[HubFile] = []
    for part in parts:
        folder, _, filename = part.path.rpartition("/")
        if filename.lower().startswith(_ADD_ONS) or "mmproj" in filename.lower():
            continue
        split = parse_part(filename)
        if split and split[1] != 1:
            continue
        prefix = f"{folder}/" if folder else ""
        names = [prefix + name for name in list_parts(filename)]
        if not all(name in by_path for name in names):
            continue
        members = tuple(by_path[name] for name in names)
        size = sum(member.size_bytes for member in members)
        files.append(
            HubFile(repo, part.path, size, find_quantisation(part.path), revision, members)
        )
    return tuple(sorted(files, key=lambda file: (file.size_bytes, file.path)))


def find_quantisation(path: str) -> str:
    """The quantisation that a file's name tells, "" when it tells none."""
    found = _QUANTISATION.findall(path)
    return found[-1].upper() if found else ""


def _choose(
    files: tuple[HubFile, ...], reference: _Reference, entry: CatalogueEntry | None
) -> HubFile:
    if reference.path:
        chosen = next((file for file in files if file.path == reference.path), None)
    elif reference.quantisation:
        chosen = _match_quantisation(files, reference.quantisation, entry)
    else:
        chosen = _match_entry(files, entry) or _find_preferred(files)
    if chosen:
        return chosen
    known = sorted({file.quantisation for file in files if file.quantisation})
    raise ModelError(
        f"{reference.repo} has no {reference.path or reference.quantisation}.",
        f"It has {', '.join(known)}." if known else "Look at the list of its files.",
        code="unknown_file",
    )


def _match_quantisation(
    files: tuple[HubFile, ...], wanted: str, entry: CatalogueEntry | None
) -> HubFile | None:
    """By the catalogue, then exactly, then as a part of the name (UD-Q4_K_XL, Instruct-Q8_0)."""
    named = entry.find_file(wanted) if entry else None
    if named:
        for file in files:
            if named.matches(file.path.rpartition("/")[2]):
                return file
    exact = [file for file in files if file.quantisation == wanted.upper()]
    plain = [file for file in exact if "-UD-" not in file.path.upper()]
    partly = [file for file in files if wanted.upper() in file.path.upper()]
    return next(iter((*plain, *exact, *partly)), None)


def _match_entry(files: tuple[HubFile, ...], entry: CatalogueEntry | None) -> HubFile | None:
    if entry is None:
        return None
    for named in (entry.recommended, *entry.files):
        for file in files:
            if named.matches(file.path.rpartition("/")[2]):
                return file
    return None


def _find_preferred(files: tuple[HubFile, ...]) -> HubFile | None:
    for quantisation in _PREFERRED:
        for file in files:
            if file.quantisation == quantisation:
                return file
    return files[0] if files else None


def _refuse_unknown(name: str, names: Iterable[str]) -> ModelError:
    import difflib

    shown = "".join(letter if letter.isprintable() else "?" for letter in name[:80])
    near = difflib.get_close_matches(name.lower(), list(names), n=2, cutoff=0.6)
    hint = f"Did you mean {' or '.join(near)}?" if near else "Give a short name or owner/repo."
    return ModelError(
        f"No model is known by the name {shown.encode('utf-8', 'replace').decode()}.",
        hint,
        code="unknown_model",
    )
