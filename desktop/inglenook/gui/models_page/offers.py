"""From the catalogue and the hub to what a card shows. Pure; called on a worker thread."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from inglenook.gui.formats import format_context, format_licence, format_parameters
from inglenook.gui.models_page.file_row import FileOffer
from inglenook.models.catalogue import Catalogue, CatalogueEntry
from inglenook.models.fit import Machine, judge_fit
from inglenook.models.hub import HubFile
from inglenook.models.names import is_repo

HUB_HOSTS = frozenset({"huggingface.co", "www.huggingface.co", "hf.co"})


@dataclass(frozen=True, slots=True)
class CardFacts:
    """What a card says. `words` is the lower-case text that a filter looks in."""

    title: str
    subtitle: str
    facts: str
    purpose: str
    offers: tuple[FileOffer, ...]
    words: str
    can_run: bool


def make_cards(catalogue: Catalogue, machine: Machine) -> tuple[CardFacts, ...]:
    """The catalogue's entries as cards, those that fit this machine best first."""
    cards = [_make_card(entry, machine) for entry in catalogue.entries]
    return tuple(sorted(cards, key=lambda card: not card.can_run))


def _make_card(entry: CatalogueEntry, machine: Machine) -> CardFacts:
    offers = tuple(
        FileOffer(
            name=f"{entry.repo}:{file.quantisation}",
            repo=entry.repo,
            title=entry.name,
            quantisation=file.quantisation,
            size_bytes=file.size_bytes,
            fit=judge_fit(file.size_bytes, machine, n_params=entry.n_params),
            is_recommended=file is entry.recommended,
            pattern=file.pattern,
        )
        for file in entry.files
    )
    words = " ".join(
        (entry.name, entry.maker, entry.repo, entry.licence, entry.purpose, *entry.strengths)
    )
    words = " ".join((words, *entry.short_names))
    facts = (
        *entry.strengths[:3],
        format_parameters(entry.n_params),
        f"{format_context(entry.n_ctx_train)} context",
    )
    return CardFacts(
        title=entry.name,
        subtitle=" · ".join(part for part in (entry.maker, format_licence(entry.licence)) if part),
        facts=" · ".join(fact for fact in facts if fact),
        purpose=entry.purpose,
        offers=offers,
        words=words.casefold(),
        can_run=any(offer.fit is not None and offer.fit.verdict != "too_large" for offer in offers),
    )


def make_repo_card(repo: str, files: Sequence[HubFile], machine: Machine) -> CardFacts:
    """The GGUF files of a repository as one card."""
    offers = tuple(
        FileOffer(
            name=f"{repo}/{file.path}",
            repo=repo,
            title=file.path.rsplit("/", 1)[-1],
            quantisation=file.quantisation or file.path.rsplit("/", 1)[-1],
            size_bytes=file.size_bytes,
            fit=judge_fit(file.size_bytes, machine) if file.size_bytes else None,
            pattern=file.path,
        )
        for file in files
    )
    return CardFacts(repo, "", f"{len(offers)} files", "", offers, repo.casefold(), can_run=True)


def parse_repo(text: str) -> str | None:
    """The `owner/repo` in what was typed or pasted; None when it is no such name.

    Takes `owner/repo`, with `:QUANT` or a file behind it, and addresses of the hub.
    """
    text = text.strip()
    if "://" in text:
        parts = urlsplit(text)
        if parts.hostname not in HUB_HOSTS:
            return None
        text = parts.path.strip("/")
    else:
        head, _, rest = text.partition("/")
        text = rest if head.lower() in HUB_HOSTS else text
    names = text.split(":", 1)[0].split("/")
    repo = "/".join(names[:2])
    return repo if is_repo(repo) else None
