"""`inglenook predict`: what a model takes and how fast it runs here, before it is downloaded."""

from typing import TYPE_CHECKING, Any

import click
import msgspec

from inglenook.base.errors import ModelError, UserError
from inglenook.cli.output import Output, describe_size
from inglenook.cli.program import Common, command

if TYPE_CHECKING:
    from inglenook.app import App
    from inglenook.models.hub_files import HubFile
    from inglenook.models.predict.learned import Run
    from inglenook.models.predict.prediction import Prediction


@command("predict")
@click.argument("name")
@click.option("--ctx", "n_ctx", type=click.IntRange(16), metavar="TOKENS",
              help="For a context of this length; of a model on the hub.")  # fmt: skip
@click.option("--all", "takes_all", is_flag=True, help="Every file of a repository on the hub.")
@click.option("--measure", "measures", is_flag=True, help="Measure this machine anew first.")
def predict(common: Common, name: str, n_ctx: int | None, takes_all: bool, measures: bool) -> None:
    """Tell what a model takes and how fast it runs here.

    NAME is an installed model, or one on the hub: then some hundred kilobytes of its header are
    read, and nothing is downloaded. The first time this machine is measured, which takes some
    seconds; close other programs meanwhile.
    """
    output = common.output
    with common.open_app() as app:
        measure(app, output, again=measures)
        rows = list_installed(app, name) if not takes_all else None
        rows = rows or list_remote(app, name, n_ctx, takes_all=takes_all)
    if output.is_json:
        output.document([describe_row(title, prediction, run) for title, prediction, run in rows])
    elif len(rows) == 1:
        show(output, *rows[0])
    else:
        show_table(output, rows)


type _Row = tuple[str, "Prediction", "Run | None"]


def measure(app: "App", output: Output, *, again: bool) -> None:
    """Measure this machine where that was not done; without it only sizes are told."""
    if app.forecasts.is_measured and not again:
        return
    output.progress("Measuring this machine")
    try:
        app.forecasts.measure(again=again)
    except UserError as error:
        output.note(str(error))
    finally:
        output.progress("")


def list_installed(app: "App", name: str) -> list[_Row] | None:
    """The one row of an installed model; None where none has that name."""
    try:
        model = app.library.find(name)
    except ModelError as error:
        if error.code != "unknown_model":
            raise
        return None
    prediction = app.forecasts.predict_installed(model)
    if prediction is None:
        raise ModelError(
            f"The file of {model.name} does not say how the model is built.", code="bad_header"
        )
    return [(model.name, prediction, app.forecasts.find_measured(model))]


def list_remote(app: "App", name: str, n_ctx: int | None, *, takes_all: bool) -> list[_Row]:
    """A row for each file on the hub that is meant."""
    wanted = app.hub_client.resolve(name)
    files: tuple[HubFile, ...] = (wanted.file,)
    if takes_all:
        files = app.hub_client.find_files(wanted.file.repo)
    rows: list[_Row] = []
    for file in files:
        prediction = app.forecasts.predict_remote(file, n_ctx)
        assert prediction is not None
        rows.append((file.path.rpartition("/")[2], prediction, None))
    return rows


def describe_row(title: str, prediction: "Prediction", run: "Run | None") -> dict[str, Any]:
    """The object that `--json` prints; scripts rely on its keys."""
    from inglenook.models.predict.words import describe

    measured = None
    if run is not None:
        measured = {"write_tps": run.write_tps, "resident_bytes": run.resident_bytes}
    return {
        "name": title,
        "where": prediction.where,
        "needs_bytes": prediction.needs_bytes,
        "memory": msgspec.to_builtins(prediction.ram),
        "gpu_memory": msgspec.to_builtins(prediction.gpu),
        "on_cards": [
            {"name": name, **msgspec.to_builtins(memory)} for name, memory in prediction.on_cards
        ],
        "n_ctx": prediction.n_ctx,
        "n_layers": prediction.n_layers,
        "n_layers_gpu": prediction.n_layers_gpu,
        "write_tps": prediction.write_tps,
        "read_tps": prediction.read_tps,
        "is_guess": prediction.is_guess,
        "correction": msgspec.to_builtins(prediction.correction),
        "measured": measured,
        "explanation": describe(prediction),
    }


def show(output: Output, title: str, prediction: "Prediction", run: "Run | None") -> None:
    """The arithmetic for people, and what was measured beside it."""
    from inglenook.models.predict.words import describe, format_tps

    output.line(title)
    for line in describe(prediction):
        output.line(f"  {line}")
    if run is not None and run.write_tps:
        output.line(
            f"  Measured when it last ran here: {format_tps(run.write_tps)} tokens per second"
            + (f", {describe_size(run.resident_bytes)} of memory." if run.resident_bytes else ".")
        )


def show_table(output: Output, rows: "list[_Row]") -> None:
    """One line for each file."""
    from inglenook.models.predict.words import format_tps

    table = [("FILE", "MEMORY", "WHERE", "WRITES", "READS")]
    for title, prediction, _ in rows:
        speeds = (prediction.write_tps, prediction.read_tps)
        write, read = (f"{format_tps(tps)} tok/s" if tps else "" for tps in speeds)
        needs = describe_size(prediction.needs_bytes)
        table.append((title, needs, WHERES[prediction.where], write, read))
    output.table(table)


WHERES = {
    "gpu": "runs on the GPU",
    "partly": "runs partly on the GPU",
    "memory": "runs in memory",
    "tight": "tight",
    "too_large": "too large",
}
