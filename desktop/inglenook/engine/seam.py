"""The seam that everything above the engine sees: `Engine`, and the state it shows.

Implemented by `client.ChildEngine` (the model in a child process) and `local.LocalEngine` (the
model in this process). `submit` and `state` may be used from any thread.
"""

import threading
from collections.abc import Callable
from typing import Literal, Protocol

import msgspec

from inglenook.engine.protocol import (
    Command,
    EngineDied,
    EngineReady,
    Event,
    Loaded,
    LoadFailed,
    Loading,
    Unloaded,
)

type Phase = Literal["off", "starting", "idle", "loading", "ready"]
type Publish = Callable[[Event], None]


class EngineState(msgspec.Struct, frozen=True, kw_only=True):
    """What the engine is doing now.

    `off`: no host runs (the next command starts one). `starting`: the host maps the library.
    `idle`: no model. `loading`: `loading_fraction` tells how far, 0.0 to 1.0. `ready`: `loaded`
    is in memory.
    """

    phase: Phase = "off"
    ready: EngineReady | None = None
    loaded: Loaded | None = None
    loading_fraction: float = 0.0
    pid: int | None = None
    asleep_id: str = ""
    """The model that was put away because nobody asked; it comes back with the next message."""


class Engine(Protocol):
    """One engine: commands in, events out through the `publish` that it was made with."""

    @property
    def state(self) -> EngineState:
        """A frozen snapshot; never waits."""
        ...

    def submit(self, command: Command) -> None:
        """Hand over a command; never waits for its answer. Starts the host where needed."""
        ...

    def close(self) -> None:
        """Cancel all runs, unload, end the host; idempotent, within three seconds."""
        ...


class StateKeeper:
    """Folds events into the `EngineState` that an engine shows; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._state = EngineState()

    @property
    def state(self) -> EngineState:
        """The state after the last event."""
        return self._state

    def set_starting(self, pid: int | None) -> None:
        """A host was started and has not reported yet."""
        with self._lock:
            self._state = EngineState(phase="starting", pid=pid)

    def set_loading(self) -> None:
        """A load was asked for; what was loaded before is on its way out."""
        with self._lock:
            self._state = msgspec.structs.replace(
                self._state, phase="loading", loaded=None, loading_fraction=0.0, asleep_id=""
            )

    def set_off(self) -> None:
        """No host runs."""
        with self._lock:
            self._state = EngineState()

    def apply(self, event: Event) -> None:
        """Fold one event in; events that say nothing about the host or the model change nothing."""
        replace = msgspec.structs.replace
        with self._lock:
            match event:
                case EngineReady():
                    self._state = EngineState(phase="idle", ready=event, pid=event.pid)
                case Loading():
                    self._state = replace(
                        self._state,
                        phase="loading",
                        loaded=None,
                        loading_fraction=event.fraction,
                        asleep_id="",
                    )
                case Loaded():
                    self._state = replace(
                        self._state,
                        phase="ready",
                        loaded=event,
                        loading_fraction=1.0,
                        asleep_id="",
                    )
                case LoadFailed() | Unloaded():
                    phase: Phase = "idle" if self._state.ready is not None else "off"
                    self._state = replace(
                        self._state,
                        phase=phase,
                        loaded=None,
                        loading_fraction=0.0,
                        asleep_id=event.asleep_id if isinstance(event, Unloaded) else "",
                    )
                case EngineDied():
                    self._state = EngineState()
                case _:
                    pass
