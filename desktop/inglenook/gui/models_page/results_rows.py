"""The rows of a search's results, as records: what is shown of each model. Pure."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Literal

from inglenook.gui.formats import format_bytes, format_licence, format_parameters
from inglenook.gui.sidebar.rows import Translate
from inglenook.gui.widgets import PillTone
from inglenook.models.fit import Fit, Machine, judge_fit
from inglenook.models.hub_search import RepoSummary
from inglenook.models.predict.words import format_tps

if TYPE_CHECKING:
    from inglenook.gui.models_page.offers import CardFacts

type RowKind = Literal["group", "entry", "result", "note"]
type RowAction = Literal["", "download", "use", "wait"]

USUAL_BITS: Final = 4.9
"""Bits a parameter takes in the quantisation that is suggested where there is a choice, Q4_K_M."""


@dataclass(frozen=True, slots=True)
class ResultRow:
    """One line. `wanted` is what `Downloads.start` takes; `details` stand below the title.

    A note with an `action` has a button; a `repo` can be opened.
    """

    kind: RowKind
    title: str
    repo: str = ""
    maker: str = ""
    details: str = ""
    marks: tuple[str, ...] = ()
    fit: Fit | None = None
    size_bytes: int = 0
    wanted: str = ""
    pattern: str = ""
    is_gated: bool = False
    action: str = ""
    is_bad: bool = False

    @property
    def can_be_had(self) -> bool:
        """Whether one press downloads it: it is given to everybody and fits."""
        fits = self.fit is not None and self.fit.verdict != "too_large"
        return bool(self.wanted) and fits and not self.is_gated


def make_entry_row(card: "CardFacts", translate: Translate) -> ResultRow:
    """A model of the catalogue."""
    offer = next((o for o in card.offers if o.is_recommended), card.offers[0])
    return ResultRow(
        kind="entry",
        title=card.title,
        repo=offer.repo,
        maker=card.subtitle,
        details=card.purpose,
        marks=tuple(name_mark(mark, translate) for mark in card.marks),
        fit=offer.fit,
        size_bytes=offer.size_bytes,
        wanted=offer.name,
        pattern=offer.pattern,
    )


def make_result_row(found: RepoSummary, machine: Machine, translate: Translate) -> ResultRow:
    """A repository that the hub found. Its size is an estimate: listings tell none."""
    size = round(found.n_params * USUAL_BITS / 8)
    marks = tuple(name_mark(mark, translate) for mark in found.marks)
    return ResultRow(
        kind="result",
        title=found.name,
        repo=found.repo,
        maker=found.maker,
        details=describe_summary(found, translate),
        marks=marks,
        fit=judge_fit(size, machine, n_params=found.n_params) if size else None,
        size_bytes=size,
        wanted=found.repo,
        is_gated=found.is_gated or found.is_private,
    )


def describe_summary(found: RepoSummary, translate: Translate) -> str:
    """Size, licence, how often it was downloaded and liked, and how old it is, in one line."""
    parts = [
        format_parameters(found.n_params),
        format_licence(found.licence),
        translate("{n} downloads").replace("{n}", format_many(found.downloads)),
        translate("1 like")
        if found.likes == 1
        else translate("{n} likes").replace("{n}", format_many(found.likes)),
        describe_age(found.updated_at, translate),
    ]
    return " · ".join(part for part in parts if part)


def format_many(n: int) -> str:
    """A count as people say it: 840, 12.3k, 1.2M."""
    for unit, size in (("M", 1_000_000), ("k", 1_000)):
        if n >= size * 0.9995:
            value = n / size
            return f"{value:.0f}{unit}" if value >= 99.5 else f"{value:.1f}{unit}".replace(".0", "")
    return str(n)


def describe_age(moment: datetime | None, translate: Translate) -> str:
    """When something was changed last: `updated today`, `updated 3 months ago`."""
    if moment is None:
        return ""
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    days = (datetime.now(UTC) - moment).days
    if days < 1:
        return translate("updated today")
    for size, one, many in (
        (365, "updated a year ago", "updated {n} years ago"),
        (30, "updated a month ago", "updated {n} months ago"),
        (1, "updated yesterday", "updated {n} days ago"),
    ):
        if (n := days // size) >= 1:
            return translate(one) if n == 1 else translate(many).replace("{n}", str(n))
    return ""


def name_mark(mark: str, translate: Translate) -> str:
    """What a model can do, in a word."""
    names = {
        "vision": translate("vision"),
        "tools": translate("tools"),
        "reasoning": translate("reasoning"),
        "code": translate("code"),
        "languages": translate("many languages"),
    }
    return names.get(mark, mark)


def describe_verdict(fit: Fit, translate: Translate) -> tuple[str, PillTone]:
    """Where a model runs here and how fast, in a few words, and their tone."""
    if fit.verdict == "too_large":
        return translate("too large"), "bad"
    texts = {"gpu": translate("runs on the GPU"), "partly": translate("runs partly on the GPU")}
    where = fit.prediction.where if fit.prediction is not None else ""
    text = texts.get(where, translate("runs in memory"))
    if fit.verdict == "tight":
        text = translate("tight")
    if fit.write_tps:
        speed = translate("{n} tok/s").replace("{n}", format_tps(fit.write_tps))
        text = f"{text} · {'≈ ' if fit.is_guess else ''}{speed}"
    return text, "warn" if fit.verdict == "tight" else "good"


def describe_row_size(row: ResultRow) -> str:
    """A row's size; an estimate says so."""
    if not row.size_bytes:
        return ""
    return ("" if row.kind == "entry" else "≈ ") + format_bytes(row.size_bytes)
