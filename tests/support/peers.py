"""llama-bench and llama-server, compiled for this machine from the binding's own source, once.

    python tests/support/peers.py     builds them where they are absent, and says where they are

They are what the engine is compared with, so they come from the very archive that the binding in
.venv was compiled from, with the same compiler and the same switches; only their own parts are
added. Kept in the user's cache beside the binding's wheel, with the archive's vocabulary files,
which give models of random weights a real tokenizer (`shaped_gguf`).
"""

import json
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import native
from backend import Backend, SetupError
from environment import cache_folder, split_constraints
from progress import CompileProgress, format_time

_ROOT: Final = Path(__file__).resolve().parents[2]
_PROGRAMS: Final = ("llama-bench", "llama-server")
_CMAKE_DEFINES: Final = {
    "CMAKE_BUILD_TYPE": "Release",
    # As the binding's own project has it.
    "BUILD_SHARED_LIBS": "ON",
    "LLAMA_CURL": "OFF",
    # The programs find their libraries beside themselves, wherever they are moved.
    "CMAKE_BUILD_RPATH_USE_ORIGIN": "ON",
    "LLAMA_BUILD_COMMON": "ON",
    "LLAMA_BUILD_TOOLS": "ON",
    "LLAMA_BUILD_SERVER": "ON",
    "LLAMA_BUILD_TESTS": "OFF",
    "LLAMA_BUILD_EXAMPLES": "OFF",
    "LLAMA_BUILD_APP": "OFF",
    # No page is downloaded, and nothing is sent anywhere.
    "LLAMA_BUILD_UI": "OFF",
    "LLAMA_USE_PREBUILT_UI": "OFF",
    "LLAMA_OPENSSL": "OFF",
}


@dataclass(frozen=True, slots=True)
class Peers:
    """Where the programs and the vocabulary files are."""

    folder: Path

    @property
    def llama_bench(self) -> Path:
        """The program that measures bare decoding: the ceiling."""
        return self.folder / "bin" / "llama-bench"

    @property
    def llama_server(self) -> Path:
        """The program that answers over HTTP."""
        return self.folder / "bin" / "llama-server"

    def vocabulary(self, name: str) -> Path:
        """The tokenizer of a model family, such as "qwen2", as a GGUF without weights."""
        return self.folder / "models" / f"ggml-vocab-{name}.gguf"

    @property
    def is_complete(self) -> bool:
        """Whether they were built to the end."""
        return (self.folder / "recipe.json").exists()


def obtain_peers() -> Peers:
    """The programs, compiled now where they are absent; raises `SetupError`."""
    requirement = _read_requirement()
    recipe = _describe_recipe(requirement)
    cache = cache_folder()
    peers = Peers(cache / "peers" / recipe.key)
    if not peers.is_complete:
        _build(peers, recipe, requirement, cache)
    return peers


def find_peers() -> Peers | None:
    """The programs where they have been compiled already."""
    peers = Peers(cache_folder() / "peers" / _describe_recipe(_read_requirement()).key)
    return peers if peers.is_complete else None


def _read_requirement() -> native.Requirement:
    text = (_ROOT / "packaging" / "constraints.txt").read_text(encoding="utf-8")
    return split_constraints(text)[1]


def _describe_recipe(requirement: native.Requirement) -> native.Recipe:
    """The wheel's own recipe, with the programs' switches in place of the binding's."""
    record = Path(sys.prefix) / "engine.json"
    backend = Backend(json.loads(record.read_text(encoding="utf-8"))["backend"])
    wheel = native.describe_recipe(requirement, backend)
    defines = {k: v for k, v in wheel.defines.items() if k.startswith(("GGML_", "CMAKE_CUDA"))}
    return replace(wheel, defines={**_CMAKE_DEFINES, **defines}, hook="")


def _build(
    peers: Peers, recipe: native.Recipe, requirement: native.Requirement, cache: Path
) -> None:
    work = cache / "build" / f"peers-{recipe.key}"
    work.mkdir(parents=True, exist_ok=True)
    with native._hold_lock(work.parent / f"peers-{recipe.key}.lock") as lock:
        if peers.is_complete:
            return
        tools = native._install_tools(work, _find_uv())
        source = native._fetch_source(work, tools, requirement) / "vendor" / "llama.cpp"
        objects = work / "objects"
        with _quiet_compiler_paths(tools):
            _compile(recipe, source, objects, work / "build.log", lock)
        _keep(peers, recipe, source, objects)
        shutil.rmtree(work, ignore_errors=True)


def _compile(recipe: native.Recipe, source: Path, objects: Path, log: Path, lock: int) -> None:
    jobs = os.environ.get("JOBS") or str(native.count_jobs())
    print(
        f"Compiling llama-bench and llama-server, {jobs} files at a time. This happens once and"
        " takes minutes.",
        file=sys.stderr,
        flush=True,
    )
    defines = [f"-D{name}={value}" for name, value in recipe.defines.items()]
    extra = recipe.extra_cmake_args.split()
    configure = ["cmake", "-G", "Ninja", "-S", str(source), "-B", str(objects), *defines, *extra]
    build = ["cmake", "--build", str(objects), "--parallel", jobs, "--target", *_PROGRAMS]
    environment = {**os.environ, "NINJA_STATUS": "[%f/%t] "}
    progress = CompileProgress("Compiling llama.cpp's programs", sys.stderr)
    for command in (configure, build):
        status = native._run_logged(command, source, environment, log, progress, lock)
        if status != 0:
            progress.close()
            failure = native._describe_failure(log)
            raise SetupError(f"llama.cpp's programs did not compile. {failure}")
    print(f"Compiled in {format_time(progress.close())}.", file=sys.stderr, flush=True)


def _keep(peers: Peers, recipe: native.Recipe, source: Path, objects: Path) -> None:
    """Move what is wanted into its place; the record comes last and says that all is there."""
    fresh = peers.folder.with_name(f".{peers.folder.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    (fresh / "models").mkdir(parents=True)
    shutil.copytree(objects / "bin", fresh / "bin", symlinks=True)
    for vocabulary in (source / "models").glob("ggml-vocab-*.gguf"):
        shutil.copy(vocabulary, fresh / "models")
    text = json.dumps({"version": recipe.version, "defines": dict(recipe.defines)}, indent=2)
    (fresh / "recipe.json").write_text(text + "\n", encoding="utf-8")
    shutil.rmtree(peers.folder, ignore_errors=True)
    fresh.rename(peers.folder)


@contextmanager
def _quiet_compiler_paths(tools: Path) -> Iterator[None]:
    """CMake and Ninja of the locked build tools come first on PATH."""
    before = os.environ.get("PATH", "")
    os.environ["PATH"] = f"{tools.parent}{os.pathsep}{before}"
    try:
        yield
    finally:
        os.environ["PATH"] = before


def _find_uv() -> str:
    own = _ROOT / ".tools" / "bin" / "uv"
    found = str(own) if own.exists() else shutil.which("uv")
    if found is None:
        raise SetupError("uv is not here. Run: make install")
    return found


if __name__ == "__main__":
    try:
        print(obtain_peers().folder)
    except SetupError as error:
        sys.exit(str(error))
