"""The commands for models on this computer: list, show, rm, import, adopt, and their folder."""

import dataclasses
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import click
import msgspec

from inglenook.base.errors import ExitCode, ModelError, UsageError, UserError
from inglenook.base.records import InstalledModel
from inglenook.cli.output import Output, describe_size
from inglenook.cli.program import Common, command
from inglenook.models.adopted.candidates import name_app
from inglenook.models.hashing import StoppedWorkError

if TYPE_CHECKING:
    from inglenook.app import App
    from inglenook.chat.forecasts import Speed
    from inglenook.models.adopt import Findings
    from inglenook.models.intake import Way

POLL_S = 0.2
LINE_CHARS = 100


@command("list")
def list_models(common: Common) -> None:
    """List the installed models."""
    with common.open_app() as app:
        models = app.library.list()
        speeds = [find_speed(app, model) for model in models]
        if common.output.is_json:
            common.output.document(
                [
                    {**msgspec.to_builtins(model), "speed": speed and dataclasses.asdict(speed)}
                    for model, speed in zip(models, speeds, strict=True)
                ]
            )
            return
        rows = [("NAME", "SIZE", "QUANTISATION", "WRITES", "MODEL", "")]
        rows += [
            (
                shorten(m),
                describe_size(m.size_bytes),
                m.quantisation,
                describe_speed(speed),
                m.name,
                describe_state(m),
            )
            for m, speed in zip(models, speeds, strict=True)
        ]
        common.output.table(rows)


def find_speed(app: "App", model: InstalledModel) -> "Speed | None":
    """How fast a model is here, where that is known; nothing is measured for it."""
    if model.problem:
        return None
    try:
        return app.forecasts.find_speed(model)
    except UserError:
        return None


def describe_speed(speed: "Speed | None") -> str:
    """Tokens per second; what is only predicted says so."""
    from inglenook.models.predict.words import format_tps

    if speed is None:
        return ""
    return f"{'' if speed.is_measured else '~'}{format_tps(speed.write_tps)} tok/s"


@command("import")
@click.argument("file", metavar="FILE.gguf")
@click.option("--copy", "copies", is_flag=True, help="Copy it into the models folder.")
@click.option("--move", "moves", is_flag=True, help="Move it into the models folder.")
def import_file(common: Common, file: str, copies: bool, moves: bool) -> int:
    """Use a model file where it is; nothing is copied, unless it is asked for.

    A copy shares its space with the file where the disk can do that.
    """
    if copies and moves:
        raise UsageError("--copy and --move exclude each other.")
    way: Way = "copy" if copies else "move" if moves else "in_place"
    with common.open_app() as app, Stopping() as stop:
        try:
            model = app.intake.bring_in(Path(file), way, make_meter(common.output), stop)
        except StoppedWorkError:
            common.output.progress("")
            common.output.note("Stopped. The same command goes on from here.")
            return ExitCode.INTERRUPTED
        common.output.progress("")
        tell(common.output, model, "Imported")
        tell_template(common.output, model)
    return ExitCode.DONE


@command("adopt")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--all", "takes_all", is_flag=True, help="Use everything that can be used.")
def adopt(common: Common, names: tuple[str, ...], takes_all: bool) -> None:
    """Use models that other apps have downloaded, where they are.

    Looks at Ollama, LM Studio, Jan, GPT4All, llama.cpp, the Hugging Face cache, and the folders in
    the setting models.folders. Nothing of theirs is changed, ever. Without a NAME, what was found
    is listed.
    """
    with common.open_app() as app:
        if not names and not takes_all:
            show_findings(common.output, app.neighbours.look())
            return
        chosen = [app.neighbours.adopt(name) for name in names]
        if takes_all:
            chosen += app.neighbours.adopt_all()
        if common.output.is_json:
            common.output.document([msgspec.to_builtins(model) for model in chosen])
            return
        if not chosen:
            common.output.line("Nothing was found that is not used already.")
        for model in chosen:
            common.output.line(f"Using {model.name} of {name_app(model.source)}. Talk with it:")
            common.output.line(f"  inglenook run {shorten(model)}")
            for note in model.notes:
                common.output.note(f"  {note}")


def show_findings(output: Output, findings: "Findings") -> None:
    """List what other apps have."""
    if output.is_json:
        output.document(msgspec.to_builtins(findings))
        return
    if findings.models:
        rows = [("NAME", "SIZE", "QUANTISATION", "APP")]
        rows += [
            (found.name, describe_size(found.size_bytes), found.quantisation, name_app(found.app))
            for found in findings.models
        ]
        output.table(rows)
        output.note("Use one: inglenook adopt NAME; or all: inglenook adopt --all")
    else:
        output.line("No other app has a model that is not used already.")
    for found in findings.unusable:
        output.note(f"Not usable: {found.name} ({name_app(found.app)}). {found.problem}")
    for remark in findings.remarks:
        output.note(remark)


@command("duplicates")
@click.option("--share", "shares", is_flag=True, help="Let our copies share the others' space.")
def duplicates(common: Common, shares: bool) -> int:
    """Find models that are on this computer more than once.

    With --share, a copy in Inglenook's own folder becomes another name for the same file elsewhere.
    Nothing of another app is changed.
    """
    with common.open_app() as app, Stopping() as stop:
        meter = make_meter(common.output)
        try:
            groups = app.duplicates.find(meter, stop)
            common.output.progress("")
            freed = 0
            for group, copy in [(g, c) for g in groups for c in g.shareable if shares]:
                freed += app.duplicates.share(group, copy, meter, stop)
        except StoppedWorkError:
            common.output.progress("")
            return ExitCode.INTERRUPTED
        common.output.progress("")
        if common.output.is_json:
            body = [msgspec.to_builtins(group) for group in groups]
            common.output.document({"groups": body, "freed_bytes": freed})
            return ExitCode.DONE
        for group in groups:
            common.output.line(f"{describe_size(group.size_bytes)}, {len(group.copies)} times:")
            for copy in group.copies:
                common.output.line(f"  {copy.path}")
        if not groups:
            common.output.line("No model is here twice.")
        elif shares:
            common.output.line(f"{describe_size(freed)} are free again.")
        elif any(group.shareable for group in groups):
            common.output.note("Give the space back: inglenook duplicates --share")
    return ExitCode.DONE


@command("verify")
@click.argument("name")
def verify(common: Common, name: str) -> int:
    """Check whether a model's file is still as it was downloaded.

    Every byte is read. A damaged model is marked, and not used until you say so.
    """
    with common.open_app() as app, Stopping() as stop:
        model = find_model(app, name)
        try:
            verdict = app.verifier.verify(model.id, make_meter(common.output), stop)
        except StoppedWorkError:
            common.output.progress("")
            common.output.note("Stopped. Nothing was changed.")
            return ExitCode.INTERRUPTED
        common.output.progress("")
        if common.output.is_json:
            common.output.document(msgspec.to_builtins(verdict))
        else:
            common.output.line(verdict.message)
            for sha256 in verdict.sha256:
                common.output.note(f"SHA-256 {sha256}")
    return ExitCode.MODEL if verdict.outcome == "damaged" else ExitCode.DONE


@command("show")
@click.argument("name")
def show(common: Common, name: str) -> None:
    """Show what a model's file says of itself: every key of its header."""
    from inglenook.chat.template_trial import describe_template
    from inglenook.models.metadata import read_metadata

    with common.open_app() as app:
        model = find_model(app, name)
        entries = read_metadata(model.path, describe_template)
        if common.output.is_json:
            common.output.document({entry.key: entry.value for entry in entries})
            return
        common.output.table([(entry.key, _fit_line(entry.value)) for entry in entries])


def _fit_line(value: str) -> str:
    line = " ".join(value[: 2 * LINE_CHARS].split())
    return line if len(line) <= LINE_CHARS else f"{line[:LINE_CHARS]}…"


class Stopping:
    """Turns Ctrl+C into an event while work of some length runs."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._before: Any = None

    def __enter__(self) -> threading.Event:
        """From here on Ctrl+C sets the event."""
        self._before = signal.signal(signal.SIGINT, lambda *_: self._stop.set())
        return self._stop

    def __exit__(self, *_: object) -> None:
        """Ctrl+C is as it was."""
        signal.signal(signal.SIGINT, self._before)


class Moving(Protocol):
    """Something that says how far it is."""

    @property
    def done_bytes(self) -> int:
        """Bytes that are done."""
        ...

    @property
    def size_bytes(self) -> int:
        """Bytes in all."""
        ...


def make_meter(output: Output) -> Callable[[Moving], None]:
    """Shows how far it is, a few times a second."""
    shown_s = 0.0

    def show(moving: Moving) -> None:
        nonlocal shown_s
        if moving.size_bytes and time.monotonic() - shown_s > POLL_S:
            shown_s = time.monotonic()
            share = moving.done_bytes / moving.size_bytes
            output.progress(f"{share:.0%} of {describe_size(moving.size_bytes)}")

    return show


@command("models-folder")
@click.argument("folder", required=False, metavar="[FOLDER]")
def models_folder(common: Common, folder: str | None) -> int:
    """Tell where the models are, or move them all to FOLDER, on another disk for example.

    Every file is copied and verified before the old one goes; a move that was stopped goes on.
    """
    with common.open_app() as app, Stopping() as stop:
        if folder is not None:
            try:
                app.move_models(Path(folder), make_meter(common.output), stop)
            except StoppedWorkError:
                common.output.progress("")
                common.output.note("Stopped. The same command goes on from here.")
                return ExitCode.INTERRUPTED
            common.output.progress("")
        if common.output.is_json:
            target = app.models_folder.target
            common.output.document({"folder": str(app.profile.models), "unfinished_move": target})
        else:
            said = "The models are in" if folder is None else "The models are now in"
            common.output.line(f"{said} {app.profile.models}")
            if app.models_folder.target:
                common.output.note(f"A move to {app.models_folder.target} is not finished.")
    return ExitCode.DONE


@command("rm")
@click.argument("name")
def remove(common: Common, name: str) -> None:
    """Remove a model. An imported file is only forgotten: it stays where it is."""
    with common.open_app() as app:
        model = app.library.find(name)
        freed = app.library.remove(model.id)
        if common.output.is_json:
            common.output.document({"id": model.id, "freed_bytes": freed})
        elif model.origin != "file":
            common.output.line(f"Removed {model.name}; {describe_size(freed)} are free again.")
        else:
            keeper = f" with {name_app(model.source)}" if model.source else ""
            common.output.line(f"Forgot {model.name}; its file stays{keeper} at {model.path}.")


def find_model(app: "App", name: str) -> InstalledModel:
    """Find a model; where another app has one of that name, say how to use it.

    Raises `ModelError`.
    """
    try:
        model = app.library.find(name)
        if model.source and model.problem:
            # The app that keeps it may have another file for it by now.
            app.neighbours.look()
            model = app.library.find(name)
        if model.problem and any(found.id == model.id for found in app.relocation.look()):
            model = app.library.find(model.id)
    except ModelError as error:
        if error.code != "unknown_model" or (found := app.neighbours.has(name)) is None:
            raise
        raise ModelError(
            error.message,
            f"{name_app(found.app)} has it. Use it from there: inglenook adopt {found.name}",
            code=error.code,
        ) from error
    return model


def describe_state(model: InstalledModel) -> str:
    """What is wrong with a model, else who keeps it."""
    keeper = name_app(model.source) if model.source else ""
    return model.problem or (f"kept by {keeper}" if keeper else "")


def tell(output: Output, model: InstalledModel, verb: str) -> None:
    """Say what a command did to a model."""
    if output.is_json:
        output.document(msgspec.to_builtins(model))
    else:
        output.line(f"{verb} {model.name} ({describe_size(model.size_bytes)}). Talk with it:")
        output.line(f"  inglenook run {shorten(model)}")


def tell_template(output: Output, model: InstalledModel) -> None:
    """Say so where a model's chat template does not do."""
    from inglenook.chat.template_trial import find_template_problem

    if not output.is_json and (problem := find_template_problem(model.path)):
        output.note(problem)


def shorten(model: InstalledModel) -> str:
    """The shortest name that finds a model."""
    return min(model.aliases, key=len) if model.aliases else model.id
