"""The native library itself: its version, its log, its backends and devices."""

import ctypes
import sys
import types
from collections.abc import Callable
from typing import Any, Final

from inglenook.engine.llama.native import NativeError, native, read_text
from inglenook.engine.protocol import Device

LOG_LEVELS: Final = {1: "debug", 2: "info", 3: "warning", 4: "error"}
_CONTINUED: Final = 5
_DEVICE_KINDS: Final = {0: "cpu", 1: "gpu", 2: "igpu"}
_SIZE: Final = ctypes.c_size_t
_GGML_CALLS: Final[dict[str, tuple[Any, list[Any]]]] = {
    "ggml_backend_reg_count": (_SIZE, []),
    "ggml_backend_reg_get": (ctypes.c_void_p, [_SIZE]),
    "ggml_backend_reg_name": (ctypes.c_char_p, [ctypes.c_void_p]),
    "ggml_backend_dev_count": (_SIZE, []),
    "ggml_backend_dev_get": (ctypes.c_void_p, [_SIZE]),
    "ggml_backend_dev_name": (ctypes.c_char_p, [ctypes.c_void_p]),
    "ggml_backend_dev_description": (ctypes.c_char_p, [ctypes.c_void_p]),
    "ggml_backend_dev_type": (ctypes.c_int, [ctypes.c_void_p]),
    "ggml_backend_dev_memory": (
        None,
        [ctypes.c_void_p, ctypes.POINTER(_SIZE), ctypes.POINTER(_SIZE)],
    ),
    "ggml_set_abort_callback": (ctypes.c_void_p, [ctypes.c_void_p]),
}

type LogLine = Callable[[str, str], None]


class Library:
    """The native library, once per process: backends, devices, log."""

    def __init__(self, on_log: LogLine) -> None:
        """Map the library; its lines go to `on_log(level, text)`, debug ones are dropped."""
        self._last_level = "info"

        def take_line(level: int, text: bytes | None, _data: object) -> None:
            name = self._last_level if level == _CONTINUED else LOG_LEVELS.get(level, "debug")
            self._last_level = name
            if name != "debug" and text and text.strip(b". \n"):
                on_log(name, text.decode("utf-8", "replace").rstrip("\n"))

        def take_abort(text: bytes | None) -> None:
            on_log("fatal", (text or b"").decode("utf-8", "replace"))

        # Both must outlive every native call.
        self._take_line = native.llama_log_callback(take_line)
        self._take_abort = ctypes.CFUNCTYPE(None, ctypes.c_char_p)(take_abort)
        native.llama_log_set(self._take_line, None)
        native.llama_backend_init()
        self._ggml = _bind_ggml()
        self._ggml.ggml_set_abort_callback(self._take_abort)

    @property
    def version(self) -> str:
        """The llama.cpp version, as the library tells it."""
        return read_text(native.llama_version())

    @property
    def system_info(self) -> str:
        """Processor features in use, as the library prints them."""
        return read_text(native.llama_print_system_info()).strip()

    @property
    def can_offload(self) -> bool:
        """Whether a backend with a GPU device is registered."""
        return bool(native.llama_supports_gpu_offload())

    @property
    def backends(self) -> tuple[str, ...]:
        """Names of the registered backends."""
        return list_backends()

    @property
    def devices(self) -> tuple[Device, ...]:
        """Every compute device with its memory, as the backends report it now."""
        ggml = self._ggml
        found = []
        for i in range(ggml.ggml_backend_dev_count()):
            device = ggml.ggml_backend_dev_get(i)
            free, total = ctypes.c_size_t(), ctypes.c_size_t()
            ggml.ggml_backend_dev_memory(device, ctypes.byref(free), ctypes.byref(total))
            kind: Any = _DEVICE_KINDS.get(ggml.ggml_backend_dev_type(device), "accelerator")
            found.append(
                Device(
                    name=read_text(ggml.ggml_backend_dev_name(device)),
                    description=read_text(ggml.ggml_backend_dev_description(device)),
                    kind=kind,
                    memory_total_bytes=total.value,
                    memory_free_bytes=free.value,
                )
            )
        return tuple(found)


def _bind_ggml() -> types.SimpleNamespace:
    """Bind the calls of the backend registry, which the bindings leave out."""
    libraries = [native._lib]
    if sys.platform == "win32":
        folder = native._base_path
        libraries += [ctypes.CDLL(str(folder / name)) for name in ("ggml.dll", "ggml-base.dll")]
    bound = types.SimpleNamespace()
    for name, (result, arguments) in _GGML_CALLS.items():
        home = next(library for library in libraries if hasattr(library, name))
        call = home[name]  # A fresh object: types set here change nobody else's.
        call.restype, call.argtypes = result, arguments
        setattr(bound, name, call)
    return bound


def list_backends() -> tuple[str, ...]:
    """Names of the registered backends."""
    ggml = _bind_ggml()
    return tuple(
        read_text(ggml.ggml_backend_reg_name(ggml.ggml_backend_reg_get(i)))
        for i in range(ggml.ggml_backend_reg_count())
    )


def find_device(name: str) -> int:
    """The handle of a device by the name that the library gives it; `NativeError` for none."""
    ggml = _bind_ggml()
    for i in range(ggml.ggml_backend_dev_count()):
        device = ggml.ggml_backend_dev_get(i)
        if read_text(ggml.ggml_backend_dev_name(device)) == name:
            return int(device)
    raise NativeError("find device")
