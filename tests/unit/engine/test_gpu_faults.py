"""What the last lines of a dead host tell of its graphics card."""

import io

import pytest

from inglenook.engine.gpu_faults import find_gpu_fault, read_last_words

UNCAUGHT = (
    "terminate called after throwing an instance of 'vk::{kind}'\n"
    "  what():  Requested buffer size exceeds device buffer size limit: {what}\n"
)


@pytest.mark.parametrize(
    ("printed", "fault"),
    [
        ("", None),
        ("some warning\n" * 2000, None),
        (
            UNCAUGHT.format(kind="OutOfDeviceMemoryError", what="ErrorOutOfDeviceMemory"),
            "gpu_out_of_memory",
        ),
        (UNCAUGHT.format(kind="DeviceLostError", what="ErrorDeviceLost"), "gpu_lost"),
        (
            "libc++abi: terminating due to uncaught exception of type vk::DeviceLostError: x\n",
            "gpu_lost",
        ),
        ("terminate called after throwing an instance of 'std::bad_alloc'\n", None),
        # A failure that was dealt with, long before the end, is not what ended it.
        ("ggml_vulkan: Device memory allocation of size 9 failed.\nErrorOutOfDeviceMemory\n", None),
    ],
)
def test_an_exception_that_nobody_caught_tells_what_ended_the_process(
    printed: str, fault: str | None
) -> None:
    for before in ("", "noise \xff\n" * 3000):
        errors = io.BytesIO((before + printed).encode())
        assert find_gpu_fault(read_last_words(errors)) == fault
