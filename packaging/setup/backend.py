"""Which part of the machine the inference engine is compiled for.

Called by `native` during setup, in the main thread. Standard library only: it runs before
anything is installed.
"""

import os
import platform
import shutil
import subprocess
from enum import StrEnum
from pathlib import Path


class SetupError(Exception):
    """Setup cannot go on; the text says why and what to do, for the person at the terminal."""


class Backend(StrEnum):
    """The kinds of device that llama.cpp can be compiled for here; all include the CPU."""

    CPU = "cpu"
    VULKAN = "vulkan"
    CUDA = "cuda"
    METAL = "metal"


def choose_backends(wanted: str) -> list[Backend]:
    """Backends to try, best first; the last one is always expected to work.

    A backend that was asked for by name stands alone and its tools must be there: raises
    `SetupError` naming what is missing. "auto" takes a GPU only where a device and the tools
    for it are both present, and keeps the CPU behind it.
    """
    if wanted in {"", "auto"}:
        found = [
            backend
            for backend in (Backend.METAL, Backend.CUDA, Backend.VULKAN)
            if not list_missing(backend) and has_device(backend)
        ]
        # The binding's build turns Metal on by itself on every Mac.
        return found[:1] if Backend.METAL in found else [*found[:1], Backend.CPU]
    try:
        backend = Backend(wanted)
    except ValueError:
        names = ", ".join(Backend)
        raise SetupError(f"BACKEND={wanted} is not known. Choose one of: auto, {names}.") from None
    missing = list_missing(backend)
    if missing:
        needs = "\n".join(f"  - {item}" for item in missing)
        raise SetupError(f"BACKEND={wanted} cannot be compiled on this machine. Missing:\n{needs}")
    return [backend]


def list_missing(backend: Backend) -> list[str]:
    """What this machine lacks to compile a backend, in words; empty when nothing."""
    match backend:
        case Backend.CPU:
            return []
        case Backend.METAL:
            is_mac = platform.system() == "Darwin"
            return [] if is_mac else ["macOS (Metal exists nowhere else)"]
        case Backend.CUDA:
            return _list_missing_cuda_tools()
        case Backend.VULKAN:
            return _list_missing_vulkan_tools()


def has_device(backend: Backend) -> bool:
    """Whether a device that the backend drives is seen on this machine."""
    match backend:
        case Backend.CPU | Backend.METAL:
            return True
        case Backend.CUDA:
            return "GPU 0:" in _read_output(["nvidia-smi", "-L"])
        case Backend.VULKAN:
            return _has_vulkan_gpu(_read_output(["vulkaninfo", "--summary"]))


def cmake_defines(backend: Backend) -> dict[str, str]:
    """CMake definitions that turn a backend on."""
    match backend:
        case Backend.CPU:
            return {}
        case Backend.METAL:
            return {"GGML_METAL": "ON"}
        case Backend.VULKAN:
            return {"GGML_VULKAN": "ON"}
        case Backend.CUDA:
            defines = {"GGML_CUDA": "ON", "CMAKE_CUDA_COMPILER": str(find_nvcc())}
            if has_device(Backend.CUDA):
                # Compiling for the one card that is here takes a fraction of all generations.
                defines["CMAKE_CUDA_ARCHITECTURES"] = "native"
            return defines


def find_nvcc() -> Path | None:
    """NVIDIA's compiler: of the toolkit that is named, on PATH, or where its installer puts it."""
    named = [os.environ.get("CUDA_HOME"), os.environ.get("CUDA_PATH")]
    folders = [str(Path(home) / "bin") for home in named if home]
    search = os.pathsep.join([*folders, os.environ.get("PATH", ""), "/usr/local/cuda/bin"])
    found = shutil.which("nvcc", path=search)
    return Path(found) if found else None


def _list_missing_cuda_tools() -> list[str]:
    nvcc = find_nvcc()
    if nvcc is None:
        return [
            "nvcc, NVIDIA's compiler (package nvidia-cuda-toolkit, or NVIDIA's own CUDA Toolkit)"
        ]
    toolkit = nvcc.resolve().parent.parent
    places = [toolkit / "include", *toolkit.glob("targets/*/include"), Path("/usr/include")]
    if any((place / "cublas_v2.h").exists() for place in places):
        return []
    return [f"cuBLAS with its headers for {nvcc} (package libcublas-dev)"]


def _list_missing_vulkan_tools() -> list[str]:
    sdk = os.environ.get("VULKAN_SDK")
    prefixes = [Path(sdk)] if sdk else []
    prefixes += [Path("/usr"), Path("/usr/local")]
    missing = []
    if not shutil.which("glslc") and not any((p / "bin/glslc").exists() for p in prefixes):
        missing.append("glslc, the shader compiler (package glslc)")
    if not any(has_new_vulkan_headers(prefix) for prefix in prefixes):
        missing.append(
            "Vulkan headers with VK_EXT_layer_settings, 1.3.272 or newer (package libvulkan-dev"
            " of Debian 13 or Ubuntu 24.04; or the LunarG SDK, named by VULKAN_SDK)"
        )
    if not any(_has_spirv_headers(prefix) for prefix in prefixes):
        missing.append("the SPIR-V headers (package spirv-headers)")
    return missing


def has_new_vulkan_headers(prefix: Path) -> bool:
    """Whether a prefix such as /usr holds Vulkan headers that this llama.cpp compiles against."""
    try:
        text = (prefix / "include/vulkan/vulkan_core.h").read_text(encoding="utf-8")
    except OSError:
        return False
    return "VK_EXT_layer_settings" in text


def _has_spirv_headers(prefix: Path) -> bool:
    places = ("share/cmake/SPIRV-Headers", "lib/cmake/SPIRV-Headers")
    return any((prefix / place).is_dir() for place in places)


def _has_vulkan_gpu(summary: str) -> bool:
    """Whether vulkaninfo's summary lists a device other than a software renderer."""
    types = [line.split("=")[-1].strip() for line in summary.splitlines() if "deviceType" in line]
    return any(kind != "PHYSICAL_DEVICE_TYPE_CPU" for kind in types)


def _read_output(command: list[str]) -> str:
    """Standard output of a command; empty when it is absent, fails or hangs."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""
