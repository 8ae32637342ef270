"""What setup decides: backends, keys of compiled wheels, locked requirements, progress lines."""

import fcntl
import io
import json
import os
import re
import subprocess
import threading
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import backend
import environment
import native
from backend import Backend, SetupError
from progress import CompileProgress, format_time

ROOT = Path(__file__).resolve().parents[2]

RECIPE = native.Recipe(
    version="0.3.36",
    backend="cpu",
    defines={"LLAVA_BUILD": "OFF"},
    hook="set(LLAMA_BUILD_COMMON OFF)",
    extra_cmake_args="",
    platform="linux-x86_64-glibc-2.36",
    compiler="c++ 12.2.0",
    processor="a0a97a",
)


def pretend(monkeypatch: pytest.MonkeyPatch, *present: Backend) -> None:
    """Let the machine have the tools and the devices of exactly these backends."""
    monkeypatch.setattr(backend, "list_missing", lambda b: [] if b in present else ["tools"])
    monkeypatch.setattr(backend, "has_device", lambda b: b in present)


class TestBackends:
    def test_automatic_is_the_cpu_where_nothing_else_is(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pretend(monkeypatch, Backend.CPU)
        assert backend.choose_backends("auto") == [Backend.CPU]
        assert backend.choose_backends("") == [Backend.CPU]

    def test_automatic_prefers_cuda_and_keeps_the_cpu_behind_it(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pretend(monkeypatch, Backend.CUDA, Backend.VULKAN)
        assert backend.choose_backends("auto") == [Backend.CUDA, Backend.CPU]

    def test_automatic_on_a_mac_is_metal_alone(self, monkeypatch: pytest.MonkeyPatch) -> None:
        pretend(monkeypatch, Backend.METAL)
        assert backend.choose_backends("auto") == [Backend.METAL]

    def test_tools_without_a_device_are_not_enough(self, monkeypatch: pytest.MonkeyPatch) -> None:
        pretend(monkeypatch, Backend.VULKAN)
        monkeypatch.setattr(backend, "has_device", lambda _backend: False)
        assert backend.choose_backends("auto") == [Backend.CPU]
        assert backend.choose_backends("vulkan") == [Backend.VULKAN]

    def test_a_backend_asked_for_names_what_it_lacks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        pretend(monkeypatch)
        with pytest.raises(SetupError, match=r"BACKEND=cuda cannot be compiled(.|\n)*- tools"):
            backend.choose_backends("cuda")

    def test_an_unknown_backend_lists_the_known(self) -> None:
        with pytest.raises(SetupError, match="auto, cpu, vulkan, cuda, metal"):
            backend.choose_backends("rocm")

    @pytest.mark.parametrize(
        ("kind", "expected"),
        [
            ("PHYSICAL_DEVICE_TYPE_CPU", False),
            ("PHYSICAL_DEVICE_TYPE_DISCRETE_GPU", True),
            ("PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU", True),
        ],
    )
    def test_a_software_renderer_is_no_gpu(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str, expected: bool
    ) -> None:
        program = tmp_path / "vulkaninfo"
        program.write_text(f"#!/bin/sh\necho '  deviceType = {kind}'\n", encoding="utf-8")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        assert backend.has_device(Backend.VULKAN) is expected

    def test_a_toolkit_without_cublas_is_incomplete(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        nvcc = tmp_path / "bin" / "nvcc"
        nvcc.parent.mkdir()
        nvcc.touch(mode=0o755)
        monkeypatch.setattr(backend, "find_nvcc", lambda: nvcc)
        (missing,) = backend.list_missing(Backend.CUDA)
        assert "cuBLAS" in missing
        header = tmp_path / "targets/x86_64-linux/include/cublas_v2.h"
        header.parent.mkdir(parents=True)
        header.touch()
        assert backend.list_missing(Backend.CUDA) == []

    def test_old_vulkan_headers_are_refused(self, tmp_path: Path) -> None:
        header = tmp_path / "include/vulkan/vulkan_core.h"
        assert not backend.has_new_vulkan_headers(tmp_path)
        header.parent.mkdir(parents=True)
        header.write_text("#define VK_HEADER_VERSION 239\n", encoding="utf-8")
        assert not backend.has_new_vulkan_headers(tmp_path)
        header.write_text("#define VK_EXT_layer_settings 1\n", encoding="utf-8")
        assert backend.has_new_vulkan_headers(tmp_path)


class TestWheelCache:
    def test_every_field_of_a_recipe_changes_its_key(self) -> None:
        others = [
            replace(RECIPE, version="0.3.37"),
            replace(RECIPE, backend="cuda"),
            replace(RECIPE, defines={"LLAVA_BUILD": "ON"}),
            replace(RECIPE, hook=""),
            replace(RECIPE, extra_cmake_args="-DGGML_NATIVE=OFF"),
            replace(RECIPE, platform="linux-aarch64-glibc-2.36"),
            replace(RECIPE, compiler="c++ 14.2.0"),
            replace(RECIPE, processor="b1"),
        ]
        keys = {recipe.key for recipe in [RECIPE, *others]}
        assert len(keys) == len(others) + 1
        assert RECIPE.key.startswith("0.3.36-cpu-")

    def test_this_machine_has_a_stable_recipe(self) -> None:
        requirement = native.Requirement("0.3.36", "")
        first = native.describe_recipe(requirement, Backend.CPU)
        assert first == native.describe_recipe(requirement, Backend.CPU)
        assert first.compiler
        assert first.processor

    def test_a_kept_wheel_is_found_by_its_recipe_only(self, tmp_path: Path) -> None:
        built = tmp_path / "llama_cpp_python-0.3.36-py3-none-any.whl"
        built.write_bytes(b"wheel")
        kept = native._keep_wheel(built, RECIPE, tmp_path)
        assert native.find_wheel(RECIPE, tmp_path) == kept
        assert native.find_wheel(replace(RECIPE, backend="cuda"), tmp_path) is None
        recipe = json.loads((kept.parent / "recipe.json").read_text(encoding="utf-8"))
        assert recipe["compiler"] == RECIPE.compiler

    def test_a_wheel_whose_move_was_interrupted_is_not_found(self, tmp_path: Path) -> None:
        fresh = tmp_path / "wheels" / f".{RECIPE.key}.new"
        fresh.mkdir(parents=True)
        (fresh / "llama_cpp_python-0.3.36-py3-none-any.whl").write_bytes(b"half")
        assert native.find_wheel(RECIPE, tmp_path) is None

    def test_only_the_newest_wheels_are_kept(self, tmp_path: Path) -> None:
        for age in range(12):
            place = tmp_path / f"wheel-{age}"
            place.mkdir()
            os.utime(place, (1_000_000 - age, 1_000_000 - age))
        native._drop_old_wheels(tmp_path)
        left = {place.name for place in tmp_path.iterdir()}
        assert left == {f"wheel-{age}" for age in range(native._KEPT_WHEELS)}

    def test_a_second_build_waits_for_the_first(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = tmp_path / "key.lock"
        handle = os.open(path, os.O_RDWR | os.O_CREAT)
        fcntl.flock(handle, fcntl.LOCK_EX)
        entered = threading.Event()

        def build() -> None:
            with native._hold_lock(path):
                entered.set()

        second = threading.Thread(target=build, name="second-build")
        second.start()
        assert not entered.wait(0.2)
        os.close(handle)
        second.join(10)
        assert entered.is_set()
        assert "waiting" in capsys.readouterr().err

    def test_a_failed_build_is_told_from_its_first_error(self, tmp_path: Path) -> None:
        log = tmp_path / "build.log"
        log.write_text("-- fine\nCMake Error at x:1:\n\n  no cublas\n", encoding="utf-8")
        told = native._describe_failure(log)
        assert "fine" not in told
        assert "no cublas" in told
        assert str(log) in told

    def test_at_least_one_compiler_runs(self) -> None:
        assert native.count_jobs() >= 1

    def test_the_hook_keeps_its_settings_without_comments(self) -> None:
        hook = native._strip_comments((ROOT / "packaging/setup/llama.cmake").read_text("utf-8"))
        assert hook.splitlines() == [
            "set(LLAMA_BUILD_COMMON OFF)",
            "set(CMAKE_PLATFORM_NO_VERSIONED_SONAME ON)",
        ]

    def test_a_failed_command_is_told_with_the_end_of_its_output(self) -> None:
        with pytest.raises(SetupError, match="no such index"):
            native.run_checked(["bash", "-c", "echo no such index; exit 3"])


class TestFallback:
    def obtain(
        self, monkeypatch: pytest.MonkeyPatch, cache: Path, backends: list[Backend], broken: Backend
    ) -> tuple[str, list[str]]:
        """Backend of the wheel that comes out where one does not compile, and what was tried."""
        tried: list[str] = []

        def build(recipe: native.Recipe, *_rest: object) -> Path:
            tried.append(recipe.backend)
            if recipe.backend == broken:
                raise SetupError("llama.cpp did not compile.")
            return cache / "built.whl"

        monkeypatch.setattr(
            environment, "describe_recipe", lambda _r, b: replace(RECIPE, backend=b.value)
        )
        monkeypatch.setattr(environment, "build_wheel", build)
        requirement = native.Requirement("0.3.36", "")
        recipe, _wheel = environment._obtain_wheel(backends, requirement, cache, "uv")
        return recipe.backend, tried

    def test_a_gpu_that_does_not_compile_leaves_the_cpu(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        backends = [Backend.CUDA, Backend.CPU]
        assert self.obtain(monkeypatch, tmp_path, backends, Backend.CUDA) == (
            "cpu",
            ["cuda", "cpu"],
        )
        assert "Going on without cuda." in capsys.readouterr().err

    def test_what_failed_before_is_not_compiled_again_by_itself(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        failed = tmp_path / "build" / f"{replace(RECIPE, backend='cuda').key}.failed"
        failed.parent.mkdir()
        failed.touch()
        backends = [Backend.CUDA, Backend.CPU]
        assert self.obtain(monkeypatch, tmp_path, backends, Backend.CUDA) == ("cpu", ["cpu"])

    def test_a_backend_asked_for_does_not_give_way(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        with pytest.raises(SetupError):
            self.obtain(monkeypatch, tmp_path, [Backend.CUDA], Backend.CUDA)


class TestLock:
    def test_the_engine_stands_apart_from_the_other_packages(self) -> None:
        text = (
            "a==1 \\\n    --hash=sha256:1\nllama-cpp-python==0.3.36 \\\n    --hash=sha256:2\nb==2\n"
        )
        others, engine = environment.split_constraints(text)
        assert others == "a==1 \\\n    --hash=sha256:1\nb==2\n"
        assert engine.version == "0.3.36"
        assert engine.text == "llama-cpp-python==0.3.36 \\\n    --hash=sha256:2\n"

    def test_a_lock_without_the_engine_is_refused(self) -> None:
        with pytest.raises(SetupError, match="llama-cpp-python"):
            environment.split_constraints("a==1\n")

    @pytest.mark.parametrize(
        "name", ["constraints.txt", "setup/build.txt", "setup/uv.txt"], ids=lambda name: name
    )
    def test_every_pin_has_a_hash_and_no_address(self, name: str) -> None:
        text = (ROOT / "packaging" / name).read_text(encoding="utf-8")
        assert "://" not in text
        assert "file:" not in text
        joined = text.replace("\\\n", " ").splitlines()
        pins = [line for line in joined if line and not line.startswith("#")]
        assert pins
        assert all("==" in pin and "--hash=sha256:" in pin for pin in pins)

    def test_the_lock_satisfies_the_project(self) -> None:
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
        text = (ROOT / "packaging" / "constraints.txt").read_text(encoding="utf-8")
        pins = dict(re.findall(r"^([a-z0-9-]+)==([^ ;]+)", text, re.MULTILINE))
        wanted = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]
        for requirement in map(Requirement, wanted):
            pinned = pins.get(canonicalize_name(requirement.name))
            assert pinned, f"{requirement.name} is not locked: make lock"
            assert requirement.specifier.contains(pinned), f"{requirement} is not locked: make lock"


class TestProgress:
    def feed(self, stream: io.StringIO, *steps: tuple[float, str]) -> CompileProgress:
        clock_s = 0.0
        progress = CompileProgress("Compiling", stream, clock=lambda: clock_s)
        for at_s, line in steps:
            clock_s = at_s
            progress.feed(line)
        return progress

    def test_a_log_gets_a_line_now_and_then_with_an_estimate(self) -> None:
        stream = io.StringIO()
        self.feed(
            stream,
            (0.0, "-- Configuring done"),
            (1.0, "[1/11] Building a.cpp.o"),
            (2.0, "[2/11] Building b.cpp.o"),
            (16.0, "[6/11] Building c.cpp.o"),
            (31.0, "[11/11] Linking libllama.so"),
        )
        assert stream.getvalue().splitlines() == [
            "Compiling: step 6 of 11, 0:16 so far, about 0:15 left",
            "Compiling: step 11 of 11, 0:31 so far",
        ]

    def test_a_terminal_rewrites_one_line(self, monkeypatch: pytest.MonkeyPatch) -> None:
        stream = io.StringIO()
        monkeypatch.setattr(stream, "isatty", lambda: True)
        progress = self.feed(stream, (1.0, "[1/9] a"), (2.0, "[2/9] b"))
        took_s = progress.close()
        assert took_s == pytest.approx(2.0)
        assert stream.getvalue().count("\r\x1b[K") == 3
        assert "\n" not in stream.getvalue()

    def test_minutes_and_seconds(self) -> None:
        assert [format_time(s) for s in (0, 59.4, 59.6, 125)] == ["0:00", "0:59", "1:00", "2:05"]


class TestScripts:
    def run(self, *command: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", **env},
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def test_a_missing_tool_without_rights_gives_the_line_to_run(self, tmp_path: Path) -> None:
        for name in ("bash", "dirname", "uname", "env", "mktemp", "tail", "sed", "rm"):
            (tmp_path / name).symlink_to(f"/usr/bin/{name}")
        # An apt that refuses, as it does without rights.
        apt = tmp_path / "apt-get"
        apt.write_text("#!/bin/sh\nexit 100\n", encoding="utf-8")
        apt.chmod(0o755)
        done = self.run("/bin/bash", "packaging/setup/system.sh", "tests", PATH=str(tmp_path))
        assert done.returncode == 1
        assert "apt-get install --no-install-recommends xvfb xauth xdotool strace" in done.stderr

    def test_what_is_there_is_not_mentioned(self) -> None:
        done = self.run("/bin/bash", "packaging/setup/system.sh", "--if-possible")
        assert (done.returncode, done.stderr) == (0, "")

    def test_an_unusable_python_is_refused_by_name(self) -> None:
        probe = ". packaging/setup/report.sh; . packaging/setup/tools.sh; find_python uv"
        done = self.run("/bin/bash", "-c", probe, PYTHON="/bin/false")
        assert done.returncode == 1
        assert "PYTHON=/bin/false" in done.stderr

    def test_without_a_display_the_terminal_is_offered(self) -> None:
        done = self.run("/bin/bash", "packaging/setup/start.sh")
        assert done.returncode == 0
        assert "no display here" in done.stderr
        assert ".venv/bin/inglenook run" in done.stderr
