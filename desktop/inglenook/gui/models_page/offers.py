"""From the catalogue and the hub to what cards and pages show. Pure; called on a worker thread."""

import glob
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from inglenook.gui.formats import (
    format_bytes,
    format_context,
    format_licence,
    format_parameters,
)
from inglenook.gui.models_page.file_row import FileOffer
from inglenook.gui.models_page.results_rows import describe_summary
from inglenook.gui.sidebar.rows import Translate
from inglenook.models.catalogue import Catalogue, CatalogueEntry, Mark
from inglenook.models.fit import Fit, Machine, judge_fit
from inglenook.models.hub import RepoDetails
from inglenook.models.hub_files import HubFile, count_bits
from inglenook.models.hub_names import find_repo
from inglenook.models.hub_search import Query
from inglenook.models.predict.ranking import choose_file, rank

HUB = "https://huggingface.co"
_MIN_FOR_GROUPS = 4


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
    licence: str = ""
    n_params: int = 0
    marks: tuple[Mark, ...] = ()

    def find_fit(self) -> Fit | None:
        """How the file that is recommended runs here."""
        return next((offer.fit for offer in self.offers if offer.is_recommended), None)

    def suits(self, query: Query) -> bool:
        """Whether it fits the filters, as the hub would decide; order and maker aside."""
        billions = self.n_params / 1e9
        return (
            (not query.licence or query.licence == self.licence)
            and (query.mark is None or query.mark in self.marks)
            and billions >= query.min_billions
            and (not query.max_billions or billions <= query.max_billions)
        )


@dataclass(frozen=True, slots=True)
class RepoFacts:
    """What the page of one repository says."""

    title: str
    purpose: str
    facts: str
    offers: tuple[FileOffer, ...]
    details: RepoDetails
    groups: tuple[tuple[str, tuple[FileOffer, ...]], ...] = ()
    """The offers by the bits of their quantisation, each with its heading."""

    def list_by_bits(self) -> Iterator[FileOffer | str]:
        """Headings and offers in order; a short list needs no headings."""
        for heading, offers in self.groups:
            if len(self.offers) >= _MIN_FOR_GROUPS:
                yield heading
            yield from offers


def make_cards(catalogue: Catalogue, machine: Machine) -> tuple[CardFacts, ...]:
    """The catalogue's entries as cards, those that fit this machine best first."""
    cards = [_make_card(entry, machine) for entry in catalogue.entries]
    if machine.rates is None:
        return tuple(sorted(cards, key=lambda card: not card.can_run))
    return tuple(sorted(cards, key=lambda card: rank(card.find_fit(), card.n_params)))


def _make_card(entry: CatalogueEntry, machine: Machine) -> CardFacts:
    fits = {
        file.quantisation: judge_fit(
            file.size_bytes,
            machine,
            n_params=entry.n_params,
            n_active_params=entry.n_active_params,
            quantisation=file.quantisation,
        )
        for file in entry.files
    }
    by_size = sorted(entry.files, key=lambda file: file.size_bytes)
    place = choose_file([fits[f.quantisation] for f in by_size], by_size.index(entry.recommended))
    recommended = by_size[place]
    offers = tuple(
        FileOffer(
            name=f"{entry.repo}:{file.quantisation}",
            repo=entry.repo,
            title=entry.name,
            quantisation=file.quantisation,
            size_bytes=file.size_bytes,
            fit=fits[file.quantisation],
            is_recommended=file is recommended,
            pattern=file.pattern,
        )
        for file in entry.files
    )
    words = " ".join(
        (entry.name, entry.maker, entry.repo, entry.licence, entry.purpose, *entry.strengths)
    )
    words = " ".join((words, *entry.marks, entry.languages, *entry.short_names))
    facts = (
        *entry.strengths[:3],
        *(mark for mark in entry.marks if mark not in entry.strengths[:3]),
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
        licence=entry.licence,
        n_params=entry.n_params,
        marks=entry.all_marks,
    )


def make_repo_facts(details: RepoDetails, machine: Machine, translate: Translate) -> RepoFacts:
    """What a repository's page shows."""
    summary, entry = details.summary, details.entry
    offers = _recommend(
        tuple(_make_offer(file, summary.n_params, machine, details) for file in details.files)
    )
    base = translate("made from {base}").replace("{base}", summary.base) if summary.base else ""
    context = translate("{n} context").replace("{n}", format_context(summary.n_ctx_train))
    facts = (
        describe_summary(summary, translate),
        context if summary.n_ctx_train else "",
        summary.architecture,
        entry.languages if entry is not None else _count_languages(summary.languages, translate),
        base,
    )
    return RepoFacts(
        title=entry.name if entry is not None else summary.name,
        purpose=entry.purpose if entry is not None else "",
        facts=" · ".join(fact for fact in facts if fact),
        offers=offers,
        details=details,
        groups=_group_by_bits(offers, translate),
    )


def _recommend(offers: tuple[FileOffer, ...]) -> tuple[FileOffer, ...]:
    """Recommend another file where the one that is suggested to everybody does not run well."""
    suggested = next((i for i, offer in enumerate(offers) if offer.is_recommended), -1)
    chosen = choose_file([offer.fit for offer in offers], suggested)
    if chosen == suggested:
        return offers
    return tuple(replace(o, is_recommended=i == chosen) for i, o in enumerate(offers))


def _make_offer(file: HubFile, n_params: int, machine: Machine, details: RepoDetails) -> FileOffer:
    name = file.path.rsplit("/", 1)[-1]
    return FileOffer(
        name=f"{file.repo}/{file.path}",
        repo=file.repo,
        title=name,
        quantisation=file.quantisation or name.removesuffix(".gguf"),
        size_bytes=file.size_bytes,
        fit=judge_fit(file.size_bytes, machine, n_params=n_params, quantisation=file.quantisation),
        is_recommended=file == details.recommended,
        pattern=glob.escape(file.path),
        n_parts=len(file.parts),
        can_be_had=details.gate == "open",
    )


def _count_languages(languages: Sequence[str], translate: Translate) -> str:
    if not languages:
        return ""
    if len(languages) == 1:
        return translate("1 language")
    return translate("{n} languages").replace("{n}", str(len(languages)))


def _group_by_bits(
    offers: Sequence[FileOffer], translate: Translate
) -> tuple[tuple[str, tuple[FileOffer, ...]], ...]:
    groups: dict[int, list[FileOffer]] = {}
    for offer in offers:
        groups.setdefault(count_bits(offer.quantisation), []).append(offer)
    made = []
    for bits, members in sorted(groups.items(), key=lambda pair: pair[0] or 99):
        sizes = [format_bytes(offer.size_bytes) for offer in (members[0], members[-1])]
        heading = translate("{n} bits").replace("{n}", str(bits)) if bits else translate("Others")
        span = (
            sizes[0]
            if sizes[0] == sizes[1]
            else translate("{a} to {b}").replace("{a}", sizes[0]).replace("{b}", sizes[1])
        )
        made.append((f"{heading} · {span}", tuple(members)))
    return tuple(made)


def parse_repo(text: str, endpoint: str = HUB) -> str | None:
    """The `owner/repo` in what was typed or pasted; None when it is no such name.

    Takes `owner/repo`, with `:QUANT` or a file behind it, and addresses of the hub.
    """
    return find_repo(text, endpoint)
