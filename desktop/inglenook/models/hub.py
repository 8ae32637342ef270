"""The hub of models: which models there are, what a repository holds, and what a name means.

Made by app; called by the downloads and, through the task runner, by the models page, on worker
threads only: huggingface_hub is imported at the first call, which takes half a second. Its one
client is made by the network door, so its connections are in the ledger too. A token is sent only
with questions about a repository that is not given to everybody, and only to the hub itself.
"""

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import urlsplit

from inglenook.base.errors import ModelError, NetworkError
from inglenook.base.network import Limits, Network, Sockets
from inglenook.models import hub_names
from inglenook.models.catalogue import Catalogue, CatalogueEntry
from inglenook.models.hub_card import MAX_BYTES, make_card_text
from inglenook.models.hub_errors import explain, explain_gate, explain_status
from inglenook.models.hub_files import (
    HubFile,
    HubPart,
    choose_default,
    find_projectors,
    group,
    read_parts,
)
from inglenook.models.hub_search import Query, Search, SearchPage
from inglenook.models.hub_summary import RepoSummary, summarise
from inglenook.models.names import is_repo, is_revision

if TYPE_CHECKING:
    from huggingface_hub import ModelInfo

__all__ = ["Hub", "HubFile", "HubPart", "RepoDetails", "Wanted"]

type Gate = Literal["open", "no_token", "no_access", "bad_token"]
"""Whether a repository's files can be had: by everybody or this person; else what is missing."""

type Asker = Literal["download", "page"]

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


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a name means: this file, and what the catalogue says of it."""

    name: str
    file: HubFile
    entry: CatalogueEntry | None = None


@dataclass(frozen=True, slots=True)
class RepoDetails:
    """All of a repository that people want to see.

    `files` are models, smallest first, `recommended` one of them; `projectors` are add-ons for
    pictures. `card` is Markdown of strangers, "" where there is none; `is_card_cut` tells that it
    goes on.
    """

    summary: RepoSummary
    address: str
    files: tuple[HubFile, ...] = ()
    recommended: HubFile | None = None
    projectors: tuple[HubPart, ...] = ()
    gate: Gate = "open"
    card: str = ""
    is_card_cut: bool = False
    entry: CatalogueEntry | None = None


@dataclass(frozen=True, slots=True)
class _Answer:
    """The hub's metadata of a repository, and the token that its files need, "" for none."""

    info: "ModelInfo"
    gate: Gate
    token: str = ""

    @property
    def is_closed(self) -> bool:
        return bool(self.info.gated or self.info.private)


def _have_none() -> Catalogue:
    return Catalogue(entries=())


class Hub:
    """Asks the hub. Thread-safe: one look-up at a time, for the library has one client for all.

    Searches have a connection of their own and wait for nobody.
    """

    def __init__(
        self,
        network: Network,
        endpoint: str = "https://huggingface.co",
        catalogue: Callable[[], Catalogue] = _have_none,
        token: Callable[[], str] = str,
    ) -> None:
        self._network = network
        self._load_catalogue = catalogue
        self._load_token = token
        self._lock = threading.Lock()
        self._sockets = Sockets()
        self._asker: Asker | None = None
        self.endpoint = endpoint.rstrip("/")
        self.host = hub_names.find_host(endpoint)
        self._search = Search(network, self.endpoint)

    # --- searching ---

    def search(self, query: Query, following: str = "") -> SearchPage:
        """One page of GGUF repositories; `following` comes from the page before.

        Raises `NetworkError`: offline, timeout, unreachable, connection, rate_limited, hub_down,
        hub_answer, tls.
        """
        self._import_library()
        return self._search.ask(query, following)

    def stop_search(self) -> None:
        """End the searches under way at once; they fail as broken connections."""
        self._search.stop()

    # --- looking at a repository ---

    def find_files(self, repo: str, *, asker: Asker = "download") -> tuple[HubFile, ...]:
        """List the models of a repository, smallest first. Names that look hostile are left out.

        Raises `NetworkError`: unknown_repo, gated, offline, timeout, unreachable, rate_limited,
        hub_down, hub_answer; and no_models when it holds no GGUF file.
        """
        answer = self._look_up(repo, asker)
        if answer.gate == "bad_token":
            raise explain_status(401, "InvalidToken", self.host)
        if answer.gate != "open":
            raise explain_gate(repo, self.host, has_token=answer.gate == "no_access")
        files = self._list_files(repo, answer, read_parts(answer.info.siblings or ()))
        if not files:
            raise NetworkError(
                f"{repo} has no GGUF model.",
                "Look for a repository whose name ends in GGUF.",
                code="no_models",
            )
        return files

    def describe(self, repo: str) -> RepoDetails:
        """What there is to see of a repository, with its card; a closed one is described, too.

        Raises what `find_files` raises, but neither gated nor no_models.
        """
        answer = self._look_up(repo, "page")
        summary = summarise(answer.info)
        if summary is None:
            raise self._refuse_answer(repo)
        parts = read_parts(answer.info.siblings or ())
        files = self._list_files(repo, answer, parts)
        entry = self._load_catalogue().find_repo(repo)
        card, is_cut = self._read_card(repo, answer)
        return RepoDetails(
            summary=summary,
            address=f"{self.endpoint}/{repo}",
            files=files,
            recommended=choose_default(files, entry),
            projectors=find_projectors(parts),
            gate=answer.gate,
            card=card,
            is_card_cut=is_cut,
            entry=entry,
        )

    def resolve(self, name: str) -> Wanted:
        """Find the file that a name means.

        `name` is one of the catalogue's names, owner/repo, owner/repo:QUANTISATION,
        owner/repo/file.gguf, or an address of the hub. Raises `ModelError` (unknown_model,
        unknown_file, hostile_name) and what `find_files` raises.
        """
        catalogue = self._load_catalogue()
        reference = hub_names.read_name(name, catalogue, self.endpoint)
        files = self.find_files(reference.repo)
        entry = reference.entry or catalogue.find_repo(reference.repo)
        return Wanted(name.strip(), _choose(files, reference, entry), entry)

    def find_repo(self, text: str) -> str | None:
        """The owner/repo in what a person typed or pasted; asks nobody."""
        return hub_names.find_repo(text, self.endpoint)

    def locate(self, file: HubFile, part: HubPart) -> tuple[str, dict[str, str]]:
        """The address of a file's exact version, and the headers to ask with.

        They hold a token only for a file that is not given to everybody; whoever is sent on to
        another origin leaves them behind.
        """
        library = self._import_library()
        address = library.hf_hub_url(
            file.repo, part.path, revision=file.revision, endpoint=self.endpoint
        )
        token = self._load_token() if file.needs_token else ""
        headers = library.utils.build_hf_headers(token=token or False, library_name="inglenook")
        return str(address), dict(headers)

    def check_token(self, token: str) -> str:
        """The name of the account that a token belongs to.

        Raises `NetworkError`: bad_token, and what `search` raises.
        """
        self._network.check()
        try:
            told = self._call("page", lambda api: api.whoami(token=token))
        except NetworkError as error:
            if error.code in {"unknown_repo", "gated", "refused"}:
                raise explain_status(401, "InvalidToken", self.host) from error
            raise
        name = told.get("name") if isinstance(told, dict) else None
        return name[:80] if isinstance(name, str) and name.isprintable() else ""

    def interrupt(self, asker: Asker = "download") -> None:
        """End a question of somebody at once; it fails as a broken connection."""
        if self._asker == asker:
            self._sockets.shut_down()

    def close(self) -> None:
        """End all connections."""
        self._search.close()
        self._sockets.shut_down()

    # --- how it asks ---

    def _look_up(self, repo: str, asker: Asker) -> _Answer:
        """The metadata of a repository; with the token where it needs one and there is one."""
        if not is_repo(repo):
            raise NetworkError(
                "This is no name of a repository on the hub.",
                "It has the form owner/repo.",
                code="unknown_repo",
            )
        self._network.check()
        try:
            info = self._ask(repo, asker, "")
        except NetworkError as error:
            # What is private, the hub does not even name to strangers.
            token = self._load_token() if error.code in {"unknown_repo", "gated"} else ""
            if not token:
                raise
            try:
                info = self._ask(repo, asker, token)
            except NetworkError as second:
                raise (error if second.code == "bad_token" else second) from None
        if not (info.gated or info.private):
            return _Answer(info, "open")
        token = self._load_token()
        if not token:
            return _Answer(info, "no_token")
        try:
            self._call(asker, lambda api: api.auth_check(repo, token=token))
        except NetworkError as error:
            if error.code == "bad_token":
                return _Answer(info, "bad_token")
            if error.code not in {"gated", "unknown_repo", "refused"}:
                raise
            return _Answer(info, "no_access")
        return _Answer(info, "open", token)

    def _ask(self, repo: str, asker: Asker, token: str) -> Any:
        """The repository's metadata, as the library gives it."""
        return self._call(
            asker,
            lambda api: api.model_info(
                repo, files_metadata=True, token=token or False, timeout=_TIMEOUT_S
            ),
        )

    def _call(self, asker: Asker, question: Callable[[Any], Any]) -> Any:
        """Ask by the library, whose client is made by the door and closed afterwards."""
        with self._lock:
            library = self._import_library()
            self._sockets.allow()
            self._asker = asker
            library.set_client_factory(self._make_client)
            try:
                return question(library.HfApi(endpoint=self.endpoint, token=False))
            except Exception as error:
                told = explain(error, self.host)
                if told is None:
                    raise
                raise told from error
            finally:
                self._asker = None
                library.close_session()

    def _list_files(self, repo: str, answer: _Answer, parts: list[HubPart]) -> tuple[HubFile, ...]:
        revision = answer.info.sha or ""
        if not is_revision(revision):
            raise self._refuse_answer(repo)
        return group(repo, revision, parts, needs_token=answer.is_closed)

    def _refuse_answer(self, repo: str) -> NetworkError:
        return NetworkError(
            f"{self.host} does not say which version of {repo} it has.",
            "Try again later.",
            code="hub_answer",
        )

    def _read_card(self, repo: str, answer: _Answer) -> tuple[str, bool]:
        """The card's text and whether it was cut. A card that cannot be had is no error."""
        names = {sibling.rfilename for sibling in answer.info.siblings or ()}
        if "README.md" not in names or answer.gate != "open":
            return "", False
        library = self._import_library()
        address = library.hf_hub_url(
            repo, "README.md", revision=answer.info.sha, endpoint=self.endpoint
        )
        headers = library.utils.build_hf_headers(
            token=answer.token or False, library_name="inglenook"
        )
        data = bytearray()
        try:
            with (
                self._make_client() as client,
                client.stream("GET", address, headers=headers) as response,
            ):
                if response.status_code != 200:
                    return "", False
                for chunk in response.iter_raw():
                    data += chunk
                    if len(data) > MAX_BYTES:
                        break
        except Exception as error:
            if explain(error, self.host) is None:
                raise
            return "", False
        return make_card_text(bytes(data[:MAX_BYTES])), len(data) > MAX_BYTES

    def _make_client(self) -> Any:
        client = self._network.client(
            _PURPOSE,
            follow_redirects=True,
            read_timeout_s=_TIMEOUT_S,
            limits=_LIMITS,
            sockets=self._sockets,
        )
        client.event_hooks["request"].append(self._guard_token)
        return client

    def _guard_token(self, request: Any) -> None:
        """No token leaves for another origin, whatever the hub names as the next address."""
        address, ours = urlsplit(str(request.url)), urlsplit(self.endpoint)
        if (address.scheme, address.netloc) != (ours.scheme, ours.netloc):
            request.headers.pop("Authorization", None)

    @staticmethod
    def _import_library() -> Any:
        for name in _BEFORE_IMPORT:
            os.environ[name] = "1"
        import huggingface_hub

        return huggingface_hub


def _choose(
    files: tuple[HubFile, ...], reference: hub_names.Reference, entry: CatalogueEntry | None
) -> HubFile:
    if reference.path:
        chosen = next((file for file in files if file.path == reference.path), None)
    elif reference.quantisation:
        chosen = _match_quantisation(files, reference.quantisation, entry)
    else:
        chosen = choose_default(files, entry)
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
