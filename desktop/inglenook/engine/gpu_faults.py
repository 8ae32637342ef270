"""What ended a graphics card's work, as far as the library's last lines tell.

Used by `child` when a host has died. GPU backends end the process on every error and say why in
their log lines alone, so those are read; each backend has its own words. Vulkan's is an exception
that nobody catches: what it was is printed to standard error at the end.
"""

import re
from collections.abc import Sequence
from typing import IO, Final, Literal

type GpuFault = Literal["gpu_out_of_memory", "gpu_lost"]

_OUT_OF_MEMORY: Final = re.compile(
    r"(?:CUDA|ROCm|HIP|MUSA|SYCL|Vulkan|Metal|ggml_vulkan|ggml_metal)\b.*"
    r"(?:out of memory|failed to allocate|allocation failed|insufficient memory)"
    r"|Out ?Of ?Device ?Memory|cudaMalloc failed|ALLOC_FAILED|ErrorOutOfHostMemory"
    r"|failed to allocate (?:CUDA|ROCm|Vulkan|Metal|SYCL|MTL)",
    re.IGNORECASE,
)
_LOST: Final = re.compile(
    r"(?:CUDA|ROCm|HIP|MUSA|SYCL|Vulkan|Metal) error|device (?:is )?lost|Device_?Lost"
    r"|fallen off the bus|no CUDA-capable device|launch failure",
    re.IGNORECASE,
)
_UNCAUGHT: Final = re.compile(r"terminat\w+ (?:called|due)\b.*", re.DOTALL)
_TAIL_BYTES: Final = 4096


def read_last_words(errors: IO[bytes]) -> list[str]:
    """What the C++ runtime says of an exception that ended the process; empty where it did not."""
    errors.seek(max(0, errors.seek(0, 2) - _TAIL_BYTES))
    found = _UNCAUGHT.search(errors.read().decode("utf-8", "replace"))
    return found[0].splitlines() if found is not None else []


MESSAGES: Final[dict[str, str]] = {
    "gpu_out_of_memory": "The graphics card ran out of memory.",
    "gpu_lost": "The graphics card stopped working with the engine.",
}
HINTS: Final[dict[str, str]] = {
    "gpu_out_of_memory": "The text so far is kept. Go on without the graphics card, or close other "
    "programs that use it and retry.",
    "gpu_lost": "The text so far is kept, and can go on without the graphics card.",
}


def find_gpu_fault(lines: Sequence[str]) -> GpuFault | None:
    """The fault that the lines tell of; None when they tell of none of a graphics card."""
    text = "\n".join(lines)
    if _OUT_OF_MEMORY.search(text):
        return "gpu_out_of_memory"
    return "gpu_lost" if _LOST.search(text) else None
