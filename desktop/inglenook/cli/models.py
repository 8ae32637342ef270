"""`inglenook list`, `pull`, `rm` and `import`: the models on this disk."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from inglenook.base.errors import ExitCode
from inglenook.base.records import InstalledModel
from inglenook.cli.output import Output, describe_size
from inglenook.cli.program import Common, command

if TYPE_CHECKING:
    from inglenook.app import App
    from inglenook.models.progress import DownloadState

POLL_S = 0.2


@command("list")
def list_models(common: Common) -> None:
    """List the installed models."""
    with common.open_app() as app:
        models = app.library.list()
        if common.output.is_json:
            common.output.document([msgspec.to_builtins(model) for model in models])
            return
        rows = [("NAME", "SIZE", "QUANTISATION", "MODEL", "")]
        rows += [
            (shorten(m), describe_size(m.size_bytes), m.quantisation, m.name, m.problem)
            for m in models
        ]
        common.output.table(rows)


@command("import")
@click.argument("file", metavar="FILE.gguf")
def import_file(common: Common, file: str) -> None:
    """Use a model file where it is; nothing is copied."""
    with common.open_app() as app:
        tell(common.output, app.library.import_file(Path(file)), "Imported")


@command("rm")
@click.argument("name")
def remove(common: Common, name: str) -> None:
    """Remove a model. An imported file is only forgotten: it stays where it is."""
    with common.open_app() as app:
        model = app.library.find(name)
        freed = app.library.remove(model.id)
        if common.output.is_json:
            common.output.document({"id": model.id, "freed_bytes": freed})
        elif freed:
            common.output.line(f"Removed {model.name}; {describe_size(freed)} are free again.")
        else:
            common.output.line(f"Forgot {model.name}; its file stays at {model.path}.")


@command("pull")
@click.argument("name")
def pull(common: Common, name: str) -> int:
    """Download a model from the hub. An interrupted download goes on where it was.

    NAME is a short one (llama3:8b), owner/repo, or owner/repo:Q4_K_M.
    """
    with common.open_app() as app:
        try:
            tell(common.output, download(app, common.output, name), "Installed")
        except KeyboardInterrupt:
            common.output.progress("")
            common.output.note("Paused. The same command goes on from here.")
            return ExitCode.INTERRUPTED
    return ExitCode.DONE


def download(app: "App", output: Output, name: str) -> InstalledModel:
    """Start or resume a download and show its progress until it ends.

    Raises what went wrong; Ctrl+C leaves what is there for the next time.
    """
    download_id = app.downloads.start(name)
    is_announced = False
    while not (state := app.downloads.get(download_id)).is_over:
        if state.size_bytes and not is_announced:
            output.note(f"{state.repo}/{state.filename}, {describe_size(state.size_bytes)}")
            is_announced = True
        output.progress(describe_progress(state))
        time.sleep(POLL_S)
    output.progress("")
    return app.downloads.wait(download_id)


def describe_progress(state: "DownloadState") -> str:
    """One line about a running download."""
    if not state.size_bytes:
        return f"{state.name}: {state.phase}"
    text = f"{state.fraction:.0%} of {describe_size(state.size_bytes)}"
    if state.bytes_per_s:
        text += f", {describe_size(state.bytes_per_s)}/s"
    if state.eta_s is not None:
        text += f", {describe_seconds(state.eta_s)} left"
    return text + (f" ({state.phase})" if state.phase != "downloading" else "")


def describe_seconds(seconds: float) -> str:
    """A waiting time as people read it."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def tell(output: Output, model: InstalledModel, verb: str) -> None:
    """Say what a command did to a model."""
    if output.is_json:
        output.document(msgspec.to_builtins(model))
    else:
        output.line(f"{verb} {model.name} ({describe_size(model.size_bytes)}). Talk with it:")
        output.line(f"  inglenook run {shorten(model)}")


def shorten(model: InstalledModel) -> str:
    """The shortest name that finds a model."""
    return min(model.aliases, key=len) if model.aliases else model.id
