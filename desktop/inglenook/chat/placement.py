"""Where a model is loaded when the settings' way did not work: for this session, per model.

Made by `Chat`. `take` is called with the engine's events on its reader thread; the rest may be
called from any thread. A change of the setting that it stands in for ends an exception.
"""

import threading
from dataclasses import dataclass, replace
from typing import Final

import msgspec

from inglenook.base.settings import Settings
from inglenook.engine.protocol import EngineReady, Failed, Load, Loaded

GPU_FAULTS: Final = frozenset({"gpu_out_of_memory", "gpu_lost"})
WITHOUT_GPU: Final = "It runs on the CPU, as you asked."
GPU_IS_LOST: Final = "The graphics card stopped working: the model runs on the CPU now."
GPU_IS_GONE: Final = "The graphics card is not there any more: the model runs on the CPU now."


@dataclass(frozen=True, slots=True)
class _Exception:
    """What is loaded otherwise, and the settings' values that it was made beside."""

    settings: tuple[object, object]
    n_ctx: int | None = None
    without_gpu: bool = False
    because: str = ""


class Placements:
    """Exceptions from the settings, until one of them changes or the model is loaded again."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._exceptions: dict[str, _Exception] = {}
        self._loaded_id = ""
        self._had_gpu = False
        self._has_lost_gpu = False

    def take(self, event: object) -> None:
        """Learn which model is loaded, and whether the graphics card still works."""
        match event:
            case EngineReady():
                has_gpu = any(d.kind in {"gpu", "igpu"} for d in event.devices)
                self._has_lost_gpu = self._had_gpu and not has_gpu
                self._had_gpu = self._had_gpu or has_gpu
            case Loaded():
                self._loaded_id = event.model_id
            case Failed(code="gpu_lost"):
                self.leave_gpu(self._loaded_id, GPU_IS_LOST)
            case _:
                pass

    def leave_gpu(self, model_id: str, because: str = WITHOUT_GPU) -> None:
        """Load this model without a graphics card from now on."""
        with self._lock:
            self._exceptions[model_id] = replace(
                self._get(model_id), without_gpu=True, because=because
            )

    def shorten(self, model_id: str, n_ctx: int) -> None:
        """Load this model with so long a context from now on."""
        with self._lock:
            self._exceptions[model_id] = replace(self._get(model_id), n_ctx=n_ctx)

    def forget(self, model_id: str) -> None:
        """Load this model as the settings say."""
        with self._lock:
            self._exceptions.pop(model_id, None)

    def apply(self, load: Load) -> Load:
        """The load with the exceptions of its model."""
        options, because = load.options, GPU_IS_GONE if self._has_lost_gpu else ""
        with self._lock:
            exception = self._exceptions.get(load.model_id)
        if exception is not None and exception.settings == self._read_settings():
            if exception.without_gpu:
                options = msgspec.structs.replace(options, n_gpu_layers=0)
                because = exception.because
            if exception.n_ctx is not None:
                options = msgspec.structs.replace(options, n_ctx=exception.n_ctx)
        return msgspec.structs.replace(load, options=options, because=because)

    def _get(self, model_id: str) -> _Exception:
        """What holds for a model now; the lock is held."""
        now = self._read_settings()
        before = self._exceptions.get(model_id)
        return before if before is not None and before.settings == now else _Exception(now)

    def _read_settings(self) -> tuple[object, object]:
        return self._settings.get("engine.gpu_layers"), self._settings.get("engine.context_length")
