"""`inglenook pull` and `updates`: downloads with a bar for each, and newer files of the hub.

`download` is also used by `run`, where a model that is asked for is not here yet.
"""

import re
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec

from inglenook.base.errors import ExitCode, UsageError, UserError
from inglenook.base.records import InstalledModel
from inglenook.cli.models import POLL_S, tell
from inglenook.cli.output import Output, describe_size, make_safe
from inglenook.cli.program import Common, command

if TYPE_CHECKING:
    from rich.progress import Progress, Task

    from inglenook.app import App
    from inglenook.models.progress import DownloadState

_RATE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([kKmMgG]?)(?:i?[bB])?(?:/s)?")
_MEGABYTES: Final = {"k": 1e-3, "": 1.0, "m": 1.0, "g": 1e3}


@command("pull")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--limit", metavar="RATE", help="At most so fast: 5 or 5M is 5 MB a second, or 500k.")
@click.option("--update", "takes_update", is_flag=True, help="Take a newer file of the hub.")
def pull(common: Common, names: tuple[str, ...], limit: str | None, takes_update: bool) -> int:
    """Download models from the hub. An interrupted download goes on where it was.

    NAME is a short one (llama3:8b), owner/repo, or owner/repo:Q4_K_M. What is installed stays as it
    is, unless --update asks for the newer file.
    """
    with common.open_app() as app:
        if limit is not None:
            app.settings.override("network.download_limit", read_rate(limit))
        try:
            models = download_all(app, common.output, names, takes_update=takes_update)
        except KeyboardInterrupt:
            common.output.note("Paused. The same command goes on from here.")
            return ExitCode.INTERRUPTED
        if common.output.is_json and len(names) > 1:
            common.output.document([msgspec.to_builtins(model) for model in models])
            return ExitCode.DONE
        for model in models:
            tell(common.output, model, "Installed")
    return ExitCode.DONE


@command("updates")
def updates(common: Common) -> None:
    """Ask the hub whether it has newer files of installed models. Nothing is taken."""
    with common.open_app() as app:
        found = app.updates.look()
        if common.output.is_json:
            common.output.document([msgspec.to_builtins(update) for update in found])
            return
        if not found:
            common.output.line("No installed model has a newer file on the hub.")
            return
        rows = [("MODEL", "SIZE"), *((u.name, describe_size(u.size_bytes)) for u in found)]
        common.output.table(rows)
        common.output.note("Take one: inglenook pull --update MODEL")


def read_rate(text: str) -> float:
    """Megabytes a second from what was typed: 5, 5M, 1.5MB/s, 500k. Raises `UsageError`."""
    match = _RATE.fullmatch(text.strip())
    if match is None or float(match[1]) <= 0:
        raise UsageError(
            f"{make_safe(text)[:40]} is no rate.", "For example: --limit 5M", code="rate"
        )
    return float(match[1]) * _MEGABYTES[match[2].lower()]


def download(app: "App", output: Output, name: str) -> InstalledModel:
    """Start or resume a download and show its progress until it ends.

    Raises what went wrong; Ctrl+C leaves what is there for the next time.
    """
    return download_all(app, output, (name,))[0]


def download_all(
    app: "App", output: Output, names: Sequence[str], *, takes_update: bool = False
) -> list[InstalledModel]:
    """Download several, as many at once as the settings allow; raises the first error at the end.

    The others come to their end before.
    """
    ids = [app.downloads.start(name, takes_update=takes_update) for name in names]
    _Watch(app, output, list(dict.fromkeys(ids))).follow()
    models: list[InstalledModel] = []
    errors: list[UserError] = []
    for download_id in dict.fromkeys(ids):
        try:
            models.append(app.downloads.wait(download_id))
        except UserError as error:
            errors.append(error)
    for other in errors[1:]:
        output.error(other)
    if errors:
        for model in models:
            tell(output, model, "Installed")
        raise errors[0]
    return models


class _Watch:
    """Shows downloads until all are over: bars in a terminal, a line for each elsewhere."""

    def __init__(self, app: "App", output: Output, ids: list[str]) -> None:
        self._app = app
        self._output = output
        self._ids = ids
        self._announced: set[str] = set()
        self._tasks: dict[str, Any] = {}

    def follow(self) -> None:
        """Return when nothing more happens."""
        with _make_bars() as bars:
            while True:
                states = [self._app.downloads.get(download_id) for download_id in self._ids]
                for state in states:
                    if bars.disable:
                        self._announce(state)
                    else:
                        self._show(bars, state)
                if all(state.is_over for state in states):
                    return
                time.sleep(POLL_S)

    def _announce(self, state: "DownloadState") -> None:
        if state.size_bytes and state.id not in self._announced:
            self._announced.add(state.id)
            size = describe_size(state.size_bytes)
            self._output.note(f"{state.repo}/{state.filename}, {size}")

    def _show(self, bars: "Progress", state: "DownloadState") -> None:
        if state.id not in self._tasks:
            self._tasks[state.id] = bars.add_task("", total=None)
        name = state.filename.rpartition("/")[2] or state.name
        bars.update(
            self._tasks[state.id],
            description=make_safe(name)[:40],
            total=state.size_bytes or None,
            completed=state.done_bytes,
            state=make_safe(describe_state(state)),
        )


def _make_bars() -> "Progress":
    from rich.console import Console
    from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn
    from rich.text import Text

    class Share(ProgressColumn):
        def render(self, task: "Task") -> Text:
            return Text(f"{task.percentage:.0f} %" if task.total else "", justify="right")

    class State(ProgressColumn):
        def render(self, task: "Task") -> Text:
            return Text(str(task.fields.get("state", "")))

    console = Console(stderr=True, highlight=False, emoji=False)
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=30),
        Share(),
        State(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
        redirect_stdout=False,
        redirect_stderr=False,
    )


def describe_state(state: "DownloadState") -> str:
    """Where a download is: how much there is to come, how fast, how long still."""
    if state.note:
        return state.note
    if state.phase == "queued":
        return f"waits, number {state.place} in the queue"
    if state.phase != "downloading":
        return {"asking": "asks the hub", "verifying": "is checked"}.get(state.phase, state.phase)
    parts = [f"{describe_size(state.done_bytes)} of {describe_size(state.size_bytes)}"]
    if state.bytes_per_s:
        parts.append(f"{describe_size(state.bytes_per_s)}/s")
    if state.eta_s is not None:
        parts.append(f"{describe_seconds(state.eta_s)} left")
    return ", ".join(parts)


def describe_seconds(seconds: float) -> str:
    """A waiting time as people read it."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
