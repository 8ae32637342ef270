"""The locked Python environment in .venv: packages, the inference engine, and Inglenook itself.

Run by setup.sh with the environment's own Python, as `environment.py lint|full`. "lint" leaves the
inference engine out, which the checks of the source do not need. Standard library only.
"""

import importlib.metadata
import json
import os
import signal
import subprocess
import sys
import sysconfig
import time
from pathlib import Path
from types import FrameType

from backend import Backend, SetupError, choose_backends
from native import (
    Recipe,
    Requirement,
    build_wheel,
    describe_recipe,
    find_wheel,
    list_failed,
    run_checked,
)

_ROOT = Path(__file__).resolve().parents[2]
_CONSTRAINTS = _ROOT / "packaging" / "constraints.txt"
_BUILD_TOOLS = _ROOT / "packaging" / "setup" / "build.txt"
_ENGINE = "llama-cpp-python"


def main() -> int:
    """Bring the environment up to date; returns the exit status."""
    signal.signal(signal.SIGTERM, _stop_kindly)
    uv, level = os.environ["UV"], sys.argv[1]
    try:
        others, engine = split_constraints(_CONSTRAINTS.read_text(encoding="utf-8"))
        _install_packages(uv, others)
        if level == "full":
            _install_engine(uv, engine)
            _compile_bytecode()
    except SetupError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped. The same command goes on from here.", file=sys.stderr)
        return 130
    return 0


def split_constraints(text: str) -> tuple[str, Requirement]:
    """The locked packages without the inference engine, and the engine's own requirement.

    The engine is compiled apart from the others, because that takes minutes and should be seen.
    Raises `SetupError` when the file does not pin it.
    """
    others: list[str] = []
    engine: list[str] = []
    is_engine = False
    for line in text.splitlines():
        if line and not line[0].isspace() and not line.startswith("#"):
            is_engine = line.startswith(f"{_ENGINE}==")
        (engine if is_engine else others).append(line)
    if not engine:
        raise SetupError(f"packaging/constraints.txt does not pin {_ENGINE}.")
    version = engine[0].split("==")[1].split()[0]
    locked = "\n".join(line for line in engine if not line.strip().startswith("#"))
    return "\n".join(others) + "\n", Requirement(version, locked + "\n")


def _install_packages(uv: str, requirements: str) -> None:
    """Install the locked packages by hash, then the project itself, editable."""
    environment = Path(sys.prefix)
    # Left behind by a run that was killed while packages were being written.
    unfinished = environment / "installing"
    is_unfinished = unfinished.exists()
    unfinished.touch()
    listed = environment / "requirements.txt"
    listed.write_text(requirements, encoding="utf-8")
    command = [
        uv,
        "pip",
        "install",
        "--python",
        sys.executable,
        "--require-hashes",
        "-r",
        str(listed),
    ]
    if is_unfinished:
        command.append("--reinstall")
    if is_unfinished or not list(environment.glob("ready-*")):
        print(
            "Installing the Python packages (about 150 MB to download the first time).",
            file=sys.stderr,
        )
    _run_with_progress(command)
    project = ["--build-constraints", str(_BUILD_TOOLS), "--editable", str(_ROOT)]
    run_checked([uv, "pip", "install", "--python", sys.executable, "--no-deps", *project])
    unfinished.unlink()


def _install_engine(uv: str, requirement: Requirement) -> None:
    """Put the engine compiled for this machine into the environment, unless it is there already."""
    _require_compiler()
    cache = cache_folder()
    record = Path(sys.prefix) / "engine.json"
    backends = choose_backends(os.environ.get("BACKEND", "auto"))
    recipe, wheel = _obtain_wheel(backends, requirement, cache, uv)
    if _read_key(record) == recipe.key and _is_installed():
        return
    record.unlink(missing_ok=True)
    command = [uv, "pip", "install", "--python", sys.executable, "--no-deps", "--no-index"]
    run_checked([*command, "--reinstall-package", _ENGINE, str(wheel)])
    run_checked([sys.executable, "-c", "import llama_cpp; llama_cpp.llama_backend_init()"])
    record.write_text(
        json.dumps({"key": recipe.key, "backend": recipe.backend}) + "\n", encoding="utf-8"
    )


def _obtain_wheel(
    backends: list[Backend], requirement: Requirement, cache: Path, uv: str
) -> tuple[Recipe, Path]:
    """The wheel of the first backend that compiles; the last one's failure is the caller's."""
    failed = list_failed(cache)
    for backend in backends[:-1]:
        recipe = describe_recipe(requirement, backend)
        if recipe.key in failed:
            continue
        try:
            return recipe, find_wheel(recipe, cache) or build_wheel(recipe, requirement, cache, uv)
        except SetupError as error:
            print(f"{error}\nGoing on without {backend.value}.", file=sys.stderr)
    recipe = describe_recipe(requirement, backends[-1])
    return recipe, find_wheel(recipe, cache) or build_wheel(recipe, requirement, cache, uv)


def _compile_bytecode() -> None:
    """Compile all that is imported, so that the first start is as quick as the others.

    And every start where Python may not write: with PYTHONDONTWRITEBYTECODE, or in a read-only
    place. What is compiled already is left alone; templates that are no Python stay as they are.
    """
    folders = [sysconfig.get_path("purelib"), str(_ROOT / "desktop")]
    command = [sys.executable, "-m", "compileall", "-q", "-q", "-j", "0", *folders]
    subprocess.run(command, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def cache_folder() -> Path:
    """Where compiled wheels are kept for every checkout of this user."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "inglenook"


def _require_compiler() -> None:
    script = _ROOT / "packaging" / "setup" / "system.sh"
    if subprocess.run(["bash", str(script), "compiler"], check=False).returncode != 0:
        raise SetupError("The inference engine is compiled here, which takes a C and C++ compiler.")


def _read_key(record: Path) -> str | None:
    try:
        key = json.loads(record.read_text(encoding="utf-8"))["key"]
    except (OSError, ValueError, KeyError):
        return None
    return str(key)


def _is_installed() -> bool:
    try:
        importlib.metadata.version(_ENGINE)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _run_with_progress(command: list[str]) -> None:
    """Run uv so that a terminal sees its progress bars and a log only what failed."""
    if not sys.stderr.isatty():
        started_s = time.monotonic()
        run_checked(command)
        took_s = time.monotonic() - started_s
        if took_s > 5:
            print(f"Python packages installed in {took_s:.0f} s.", file=sys.stderr)
        return
    if subprocess.run(command, check=False).returncode != 0:
        raise SetupError("The Python packages could not be installed; the lines above say why.")


def _stop_kindly(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
