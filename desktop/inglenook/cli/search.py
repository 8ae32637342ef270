"""`inglenook search` and `inglenook token`: what the hub has, and what opens its closed models."""

import sys
from typing import Any

import click
import msgspec

from inglenook.base.errors import ExitCode, NetworkError, UsageError, UserError
from inglenook.cli.output import Output, describe_size
from inglenook.cli.program import Common, command
from inglenook.models.catalogue import MARKS, Catalogue, CatalogueEntry
from inglenook.models.hub_search import SORT_ORDERS, Query, RepoSummary, SearchPage

_MOST = 1000


@command("search")
@click.argument("words", nargs=-1, metavar="[WORD]...")
@click.option("--sort", type=click.Choice(SORT_ORDERS), default="trending", show_default=True,
              help="In which order.")  # fmt: skip
@click.option("--limit", type=click.IntRange(1, _MOST), default=20, show_default=True,
              metavar="N", help="How many of the hub's models.")  # fmt: skip
@click.option("--by", "maker", default="", metavar="OWNER", help="Only of this owner on the hub.")
@click.option(
    "--licence", default="", metavar="NAME", help="Only with this licence, as apache-2.0."
)
@click.option("--can", "mark", type=click.Choice(MARKS), help="Only what can do this.")
@click.option("--min", "low", type=click.FloatRange(0), default=0.0, metavar="B",
              help="At least so many billion parameters.")  # fmt: skip
@click.option("--max", "high", type=click.FloatRange(0), default=0.0, metavar="B",
              help="At most so many billion parameters.")  # fmt: skip
def search(common: Common, /, words: tuple[str, ...], limit: int, **chosen: Any) -> int:
    """Search the built-in list and the hub for GGUF models.

    Only the words and filters are sent. Without a network, the built-in list is searched.
    """
    query = Query(
        words=" ".join(words),
        sort=chosen["sort"],
        min_billions=chosen["low"],
        max_billions=chosen["high"],
        licence=chosen["licence"],
        maker=chosen["maker"],
        mark=chosen["mark"],
    )
    with common.open_app() as app:
        suggested = [] if query.maker else find_suggested(app.catalogue, query)
        found: list[RepoSummary] = []
        failure: UserError | None = None
        try:
            page = app.hub_client.search(query)
            found = list(page.results)
            while page.following and len(found) < limit:
                page = next_page(app.hub_client.search, query, page)
                found += page.results
        except NetworkError as error:
            failure = error
        if common.output.is_json:
            body = {
                "suggested": [msgspec.to_builtins(entry) for entry in suggested],
                "results": [msgspec.to_builtins(one) for one in found[:limit]],
            }
            if failure is None or suggested:
                common.output.document(body)
        else:
            show(common.output, suggested, found[:limit])
        if failure is not None:
            raise failure
        if not suggested and not found and not common.output.is_json:
            common.output.line("No GGUF model suits these words.")
    return ExitCode.DONE


def next_page(ask: Any, query: Query, page: SearchPage) -> SearchPage:
    """The page after one."""
    following: SearchPage = ask(query, page.following)
    return following


def find_suggested(catalogue: Catalogue, query: Query) -> list[CatalogueEntry]:
    """The entries of the built-in list that a query means."""
    wanted = query.words.casefold().split()
    found = []
    for entry in catalogue.entries:
        billions = entry.n_params / 1e9
        texts = (entry.name, entry.maker, entry.repo, entry.purpose, *entry.strengths,
                 *entry.short_names)  # fmt: skip
        if (
            all(word in " ".join(texts).casefold() for word in wanted)
            and (not query.licence or query.licence == entry.licence)
            and (query.mark is None or query.mark in entry.all_marks)
            and billions >= query.min_billions
            and (not query.max_billions or billions <= query.max_billions)
        ):
            found.append(entry)
    return found if wanted or query != Query(sort=query.sort) else []


def show(output: Output, suggested: list[CatalogueEntry], found: list[RepoSummary]) -> None:
    """Print tables: the built-in list's models, then the hub's."""
    if suggested:
        rows = [("SUGGESTED", "SIZE", "LICENCE", "WHAT FOR")]
        rows += [
            (
                entry.short_names[0] if entry.short_names else entry.id,
                describe_size(entry.recommended.size_bytes),
                entry.licence,
                entry.purpose,
            )
            for entry in suggested
        ]
        output.table(rows)
        output.line()
    if found:
        heads = ("ON THE HUB", "PARAMETERS", "DOWNLOADS", "LIKES", "UPDATED", "LICENCE", "")
        output.table([heads, *(describe_result(one) for one in found)])
    if suggested or found:
        output.note("Download one: inglenook pull NAME")


def describe_result(found: RepoSummary) -> tuple[str, ...]:
    """A row of the table."""
    marks = [*found.marks, *(["needs access"] if found.is_gated or found.is_private else [])]
    return (
        found.repo,
        describe_params(found.n_params),
        f"{found.downloads:,}",
        f"{found.likes:,}",
        found.updated_at.strftime("%Y-%m-%d") if found.updated_at is not None else "",
        found.licence,
        ", ".join(marks),
    )


def describe_params(n_params: int) -> str:
    """A number of parameters, in billions or millions."""
    if n_params >= 1e9:
        return f"{n_params / 1e9:.1f}B".replace(".0B", "B")
    return f"{n_params / 1e6:.0f}M" if n_params else ""


@command("token")
@click.option("--forget", "forgets", is_flag=True, help="Delete the token.")
def token(common: Common, forgets: bool) -> int:
    """Keep an access token of the hub, for models whose makers ask for it.

    The token is read from the terminal, or from a pipe, so that it is in no shell's history. It is
    kept in the system's keyring where there is one, else in a file that only you can read.
    """
    with common.open_app() as app:
        if forgets:
            app.hub_token.forget()
            common.output.line("No token is kept.")
            return ExitCode.DONE
        if sys.stdin.isatty():
            text = click.prompt("Access token", hide_input=True, default="", show_default=False)
        else:
            text = sys.stdin.readline(1000)
        if not text.strip():
            raise UsageError("No token was given.", "Paste it, or pipe it in.", code="no_token")
        place = app.hub_token.save(text)
        where = "this computer's keyring" if place == "keyring" else "a file that only you can read"
        common.output.line(f"The token is kept in {where}.")
        name = app.hub_client.check_token(text.strip())
        if name:
            common.output.line(f"It is {name}'s.")
    return ExitCode.DONE
