"""llama-cpp-python compiled for this machine, once, and kept as a wheel.

Called by `environment` during setup, in the main thread. The package index has only its source.
The wheel is compiled for exactly this processor, so its place in the cache is named by a key
made of all that decides what comes out. An interrupted compile goes on where it stopped.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from backend import Backend, SetupError, cmake_defines
from progress import CompileProgress, format_time

_HERE = Path(__file__).resolve().parent
_HOOK = _HERE / "llama.cmake"
_TOOLS = _HERE / "build.txt"
# One compiler process on llama.cpp's larger files.
_MEMORY_PER_JOB = 1_200_000_000
_KEPT_WHEELS = 8
_ERROR = re.compile(r"error\b|FAILED", re.IGNORECASE)

_CMAKE_DEFINES = {
    # libmtmd reads pictures and sound, which this version does not offer.
    "LLAVA_BUILD": "OFF",
    "LLAMA_BUILD_TESTS": "OFF",
    "LLAMA_BUILD_TOOLS": "OFF",
    "LLAMA_BUILD_EXAMPLES": "OFF",
    # llama.cpp installs its libraries too; this puts them onto the binding's own copies.
    "CMAKE_INSTALL_LIBDIR": "llama_cpp/lib",
    "CMAKE_INSTALL_BINDIR": "llama_cpp/lib",
    "CMAKE_INSTALL_INCLUDEDIR": "llama_cpp/include",
}

# What only a C++ program that links llama.cpp would want.
_NOT_IN_WHEEL = ("llama_cpp/include/**", "llama_cpp/lib/cmake/**", "llama_cpp/lib/pkgconfig/**")


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that decides what the compiled wheel holds.

    Python's version is not part of it: the binding reaches the library through ctypes, and its
    wheel is good for every Python 3.
    """

    version: str
    backend: str
    defines: Mapping[str, str]
    hook: str
    extra_cmake_args: str
    platform: str
    compiler: str
    processor: str

    @property
    def key(self) -> str:
        """Name of the wheel's folder in the cache, such as 0.3.36-cpu-1f0c95d2a7b4."""
        text = json.dumps(asdict(self), sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:12]
        return f"{self.version}-{self.backend}-{digest}"


@dataclass(frozen=True, slots=True)
class Requirement:
    """The locked line of llama-cpp-python: its version, and the whole text with hashes."""

    version: str
    text: str


def describe_recipe(requirement: Requirement, backend: Backend) -> Recipe:
    """The recipe for this machine and its compiler."""
    compiler = os.environ.get("CXX", "c++")
    return Recipe(
        version=requirement.version,
        backend=backend.value,
        defines={**_CMAKE_DEFINES, **cmake_defines(backend)},
        # Where this checkout lies does not change what is compiled; the text of the hook does.
        hook=_strip_comments(_HOOK.read_text(encoding="utf-8")),
        extra_cmake_args=os.environ.get("CMAKE_ARGS", ""),
        platform=f"{sys.platform}-{platform.machine()}-{'-'.join(platform.libc_ver())}",
        compiler=_first_line(_run_compiler(compiler, "--version")),
        processor=_describe_processor(compiler),
    )


def find_wheel(recipe: Recipe, cache: Path) -> Path | None:
    """The wheel compiled earlier to this recipe."""
    return next(iter(sorted((cache / "wheels" / recipe.key).glob("*.whl"))), None)


def build_wheel(recipe: Recipe, requirement: Requirement, cache: Path, uv: str) -> Path:
    """Compile the wheel, or wait for another process that is compiling it, and return its path.

    Raises `SetupError` when the source cannot be fetched or does not compile.
    """
    work = cache / "build" / recipe.key
    work.mkdir(parents=True, exist_ok=True)
    with _hold_lock(work.parent / f"{recipe.key}.lock") as lock:
        wheel = find_wheel(recipe, cache)
        if wheel is not None:
            return wheel
        work.mkdir(parents=True, exist_ok=True)
        tools = _install_tools(work, uv)
        source = _fetch_source(work, tools, requirement)
        built = _compile(recipe, work, source, tools, lock)
        wheel = _keep_wheel(built, recipe, cache)
        shutil.rmtree(work, ignore_errors=True)
        _drop_old_wheels(cache / "wheels")
        return wheel


def list_failed(cache: Path) -> set[str]:
    """Keys of recipes that did not compile on this machine."""
    return {path.stem for path in (cache / "build").glob("*.failed")}


def _strip_comments(text: str) -> str:
    lines = (line.split("#")[0].strip() for line in text.splitlines())
    return "\n".join(line for line in lines if line)


def _run_compiler(compiler: str, *arguments: str) -> str:
    try:
        done = subprocess.run(
            [*compiler.split(), *arguments],
            input="",
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError as error:
        raise SetupError(f"The C++ compiler {compiler} does not run: {error.strerror}.") from error
    return done.stdout if done.returncode == 0 else ""


def _first_line(text: str) -> str:
    return text.splitlines()[0] if text else ""


def _describe_processor(compiler: str) -> str:
    """What "this processor" means to the compiler, as a digest of the features that it will use."""
    for flag in ("-march=native", "-mcpu=native"):
        macros = _run_compiler(compiler, flag, "-dM", "-E", "-x", "c", "-")
        if macros:
            lines = "\n".join(sorted(macros.splitlines()))
            return hashlib.sha256(lines.encode()).hexdigest()
    return platform.processor() or platform.machine()


@contextlib.contextmanager
def _hold_lock(path: Path) -> Iterator[int]:
    """Hold an advisory lock. The compilers inherit it: it stands until they end, even orphaned."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say("Another setup is compiling the inference engine; waiting for it to finish.")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield handle
    finally:
        os.close(handle)


def _install_tools(work: Path, uv: str) -> Path:
    """Install CMake, Ninja and the build backend, at locked versions; returns their Python."""
    tools = work / "tools"
    python = tools / "bin" / "python"
    if not (tools / "complete").exists():
        _say("Installing the build tools (CMake, Ninja).")
        run_checked(
            [
                uv,
                "venv",
                "--quiet",
                "--no-project",
                "--clear",
                "--python",
                sys.executable,
                str(tools),
            ]
        )
        run_checked(
            [
                uv,
                "pip",
                "install",
                "--quiet",
                "--python",
                str(python),
                "--require-hashes",
                "-r",
                str(_TOOLS),
            ]
        )
        (tools / "complete").touch()
    return python


def _fetch_source(work: Path, tools: Path, requirement: Requirement) -> Path:
    """Download the source archive, check its hash, and unpack it; returns its folder."""
    source = work / "source"
    if source.exists():
        return source
    _say(f"Downloading the source of llama-cpp-python {requirement.version} (73 MB).")
    locked = work / "requirement.txt"
    locked.write_text(requirement.text, encoding="utf-8")
    download = work / "download"
    command = [str(tools), "-m", "pip", "download", "--disable-pip-version-check", "--no-deps"]
    command += ["--no-binary", ":all:", "--no-build-isolation", "--require-hashes"]
    command += ["-r", str(locked), "-d", str(download)]
    index = os.environ.get("UV_DEFAULT_INDEX") or os.environ.get("UV_INDEX_URL")
    if index:
        command += ["--index-url", index]
    run_checked(command)
    archive = next(iter(download.glob("*.tar.gz")))
    unpacked = work / "unpacked"
    shutil.rmtree(unpacked, ignore_errors=True)
    with tarfile.open(archive) as tar:
        tar.extractall(unpacked, filter="data")
    (only,) = unpacked.iterdir()
    only.rename(source)
    shutil.rmtree(download)
    return source


def _compile(recipe: Recipe, work: Path, source: Path, tools: Path, lock: int) -> Path:
    """Run the build backend, showing progress; returns the new wheel."""
    settings = {
        "build-dir": str(work / "objects"),
        "build.verbose": "false",
        "cmake.build-type": "Release",
        "wheel.exclude": ";".join(_NOT_IN_WHEEL),
    }
    defines = {**recipe.defines, "CMAKE_PROJECT_llama_cpp_INCLUDE": str(_HOOK)}
    settings |= {f"cmake.define.{name}": value for name, value in defines.items()}
    output = work / "wheel"
    shutil.rmtree(output, ignore_errors=True)
    jobs = os.environ.get("JOBS") or str(count_jobs())
    _say(
        f"Compiling the inference engine (llama.cpp, {recipe.backend}) for this processor, {jobs}"
        " files at a time. This happens once and takes minutes."
    )
    log = work / "build.log"
    environment = {
        **os.environ,
        "PATH": f"{tools.parent}{os.pathsep}{os.environ.get('PATH', '')}",
        "CMAKE_BUILD_PARALLEL_LEVEL": jobs,
        "NINJA_STATUS": "[%f/%t] ",
    }
    program = (
        "import json, sys; from scikit_build_core.build import build_wheel;"
        " build_wheel(sys.argv[1], json.loads(sys.argv[2]))"
    )
    command = [str(tools), "-c", program, str(output), json.dumps(settings)]
    progress = CompileProgress("Compiling llama.cpp", sys.stderr)
    status = _run_logged(command, source, environment, log, progress, lock)
    took_s = progress.close()
    if status != 0:
        (work.parent / f"{recipe.key}.failed").touch()
        raise SetupError(f"llama.cpp did not compile. {_describe_failure(log)}")
    (work.parent / f"{recipe.key}.failed").unlink(missing_ok=True)
    _say(f"Compiled in {format_time(took_s)}. The result is kept for the next time.")
    (wheel,) = output.glob("*.whl")
    return wheel


def _run_logged(
    command: list[str],
    folder: Path,
    environment: Mapping[str, str],
    log: Path,
    progress: CompileProgress,
    lock: int,
) -> int:
    """Run a command with its output in a log; when this process is stopped, so is all of it."""
    with (
        log.open("w", encoding="utf-8") as sink,
        subprocess.Popen(
            command,
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
            pass_fds=[lock],
        ) as process,
    ):
        try:
            for line in process.stdout or ():
                sink.write(line)
                progress.feed(line)
        except BaseException:
            os.killpg(process.pid, signal.SIGTERM)
            raise
    return process.returncode


def _describe_failure(log: Path) -> str:
    """The first error in a build's log with what follows it, and where the rest is."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    is_error = (
        n for n, line in enumerate(lines) if re.search(r"error\b|FAILED", line, re.IGNORECASE)
    )
    start = next(is_error, max(0, len(lines) - 10))
    told = [line for line in lines[start : start + 25] if line.strip()][:12]
    shown = "\n".join(f"    {line[:300]}" for line in told)
    return f"The first error:\n{shown}\nThe whole log: {log}"


def _keep_wheel(built: Path, recipe: Recipe, cache: Path) -> Path:
    """Move a wheel into the cache in one step, with the recipe beside it for the curious."""
    place = cache / "wheels" / recipe.key
    fresh = cache / "wheels" / f".{recipe.key}.new"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    shutil.move(built, fresh / built.name)
    text = json.dumps(asdict(recipe), indent=2, sort_keys=True)
    (fresh / "recipe.json").write_text(text + "\n", encoding="utf-8")
    shutil.rmtree(place, ignore_errors=True)
    fresh.rename(place)
    return place / built.name


def _drop_old_wheels(wheels: Path) -> None:
    places = sorted(wheels.iterdir(), key=lambda place: place.stat().st_mtime, reverse=True)
    for place in places[_KEPT_WHEELS:]:
        shutil.rmtree(place, ignore_errors=True)


def count_jobs() -> int:
    """How many compilers to run at once: one per processor, fewer where memory is short."""
    if hasattr(os, "sched_getaffinity"):
        processors = len(os.sched_getaffinity(0))
    else:
        processors = os.cpu_count() or 1
    try:
        lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
        free = next(
            int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable")
        )
    except (OSError, StopIteration):
        return processors
    return max(1, min(processors, free // _MEMORY_PER_JOB))


def run_checked(command: list[str]) -> None:
    """Run a command quietly; raises `SetupError` with the end of its output when it fails."""
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode != 0:
        end = "\n".join(f"    {line}" for line in done.stdout.splitlines()[-15:])
        name = Path(command[0]).name
        raise SetupError(f"{name} {' '.join(command[1:3])} failed. The end of its output:\n{end}")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
