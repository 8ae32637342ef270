"""`inglenook doctor`: machine, engine, paths, versions, database health; holds no chat text."""

import platform
import queue
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from inglenook import __version__
from inglenook.base.errors import ExitCode, UserError
from inglenook.cli.output import Output, describe_size
from inglenook.cli.program import Common, command
from inglenook.engine.protocol import EngineReady, Loaded, LoadFailed

if TYPE_CHECKING:
    from inglenook.app import App

ENGINE_WAIT_S: Final = 30.0
BUILTIN_ID: Final = "builtin/guide"
LIBRARIES: Final = (
    "llama-cpp-python", "PySide6-Essentials", "huggingface-hub", "SQLAlchemy", "alembic", "msgspec",
)  # fmt: skip


@command("doctor")
def doctor(common: Common) -> int:
    """Look at the machine, the engine and the database.

    Says what is wrong, where everything is, and holds nothing of any conversation.
    """
    with common.open_app() as app:
        report = examine(app)
        if common.output.is_json:
            common.output.document(report)
        else:
            show(common.output, report)
        return choose_exit_code(report)


def choose_exit_code(report: dict[str, Any]) -> int:
    """What scripts are told: whether a conversation could be held and kept here."""
    if report["engine"]["problem"]:
        return ExitCode.ENGINE
    return ExitCode.DONE if report["database"]["integrity"] == "ok" else ExitCode.STORAGE


def examine(app: "App") -> dict[str, Any]:
    """Gather the whole report; scripts rely on its keys."""
    profile = app.profile
    return {
        "versions": find_versions(),
        "machine": describe_machine(profile.data),
        "engine": ask_engine(app),
        "paths": {
            "database": str(profile.database),
            "data": str(profile.data),
            "models": str(profile.models),
            "cache": str(profile.cache),
            "logs": str(profile.logs),
        },
        "database": msgspec.to_builtins(app.store.check_health()),
        "models": [
            {"id": model.id, "path": model.path, "problem": model.problem}
            for model in app.library.list()
        ],
    }


def find_versions() -> dict[str, str]:
    """Versions of the app, Python and the libraries that matter."""
    versions = {"inglenook": __version__, "python": platform.python_version()}
    for name in LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "missing"
    return versions


def describe_machine(folder: Path) -> dict[str, Any]:
    """Processor, memory and free disk, in bytes."""
    import psutil

    memory = psutil.virtual_memory()
    return {
        "system": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "cores_physical": psutil.cpu_count(logical=False) or 0,
        "cores_logical": psutil.cpu_count() or 0,
        "memory_bytes": memory.total,
        "memory_available_bytes": memory.available,
        "disk_free_bytes": psutil.disk_usage(str(folder)).free,
        "executable": sys.executable,
    }


def ask_engine(app: "App") -> dict[str, Any]:
    """Start the engine, load the built-in model, and read what the library says of both."""
    events: queue.SimpleQueue[object] = queue.SimpleQueue()
    unsubscribe = app.hub.subscribe(events.put)
    facts: dict[str, Any] = {"backend": "", "devices": [], "problem": ""}
    try:
        app.chat.warm_up(BUILTIN_ID)
        deadline = time.monotonic() + ENGINE_WAIT_S
        while True:
            match events.get(timeout=max(0.0, deadline - time.monotonic())):
                case EngineReady() as ready:
                    facts |= describe_event(ready)
                case Loaded() as loaded:
                    return facts | {"loaded": describe_event(loaded)}
                case LoadFailed() as failed:
                    return facts | {"problem": f"{failed.message} {failed.hint}".strip()}
                case _:
                    pass
    except UserError as error:
        return facts | {"problem": str(error)}
    except queue.Empty:
        return facts | {"problem": "The engine does not answer."}
    finally:
        unsubscribe()


def describe_event(event: EngineReady | Loaded) -> dict[str, Any]:
    """An event's facts by name."""
    facts: dict[str, Any] = msgspec.to_builtins(event)
    del facts["type"]
    return facts


def describe_engine(engine: dict[str, Any]) -> str:
    """Which backends there are, and where the built-in model ran just now."""
    loaded = engine["loaded"]
    return (
        f"llama.cpp with {engine['backend']}; the guide runs on {loaded['device']} "
        f"with {count_threads(loaded['n_threads'])}, loaded in {loaded['load_s']:.2f} s"
    )


def describe_placement(engine: dict[str, Any]) -> str:
    """Why the built-in model runs where it does, where that needs saying."""
    return str(engine.get("loaded", {}).get("placement_note", ""))


def describe_device(device: dict[str, Any]) -> str:
    """A compute device and its memory, as the library reports it."""
    free, whole = device["memory_free_bytes"], device["memory_total_bytes"]
    memory = f", {describe_size(free)} of {describe_size(whole)} free" if whole else ""
    return f"{device['name']}: {device['description']}{memory}"


def count_threads(n: int) -> str:
    """A number of threads in words."""
    return "1 thread" if n == 1 else f"{n} threads"


def show(output: Output, report: dict[str, Any]) -> None:
    """The report for people."""
    machine, engine, database = report["machine"], report["engine"], report["database"]
    free, whole = machine["memory_available_bytes"], machine["memory_bytes"]
    health = (
        f"{database['integrity']}; {database['n_conversations']:,} conversations, "
        f"{database['n_messages']:,} messages, {describe_size(database['size_bytes'])}"
    )
    output.table(
        [
            *report["versions"].items(),
            ("system", machine["system"]),
            ("processor", f"{machine['processor']}, {machine['cores_physical']} cores"),
            ("memory", f"{describe_size(free)} of {describe_size(whole)} free"),
            ("disk", f"{describe_size(machine['disk_free_bytes'])} free"),
            ("engine", engine["problem"] or describe_engine(engine)),
            *([("placement", note)] if (note := describe_placement(engine)) else []),
            *(("device", describe_device(one)) for one in engine["devices"]),
            *report["paths"].items(),
            ("health", health),
            *(("model", f"{one['id']}: {one['problem'] or 'ok'}") for one in report["models"]),
        ]
    )
