"""Loads a model: file check, weights, context, layers on the GPU; steps down where it must.

Called by the worker on its thread. Where layers and memory ended up is read from the library's own
log lines, never worked out here.
"""

import logging
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from inglenook.base.errors import ModelError
from inglenook.engine.llama import (
    Context,
    ContextOptions,
    Library,
    Model,
    ModelOptions,
    NativeError,
)
from inglenook.engine.machine import choose_threads
from inglenook.engine.modelfile import ModelFile
from inglenook.engine.protocol import Load, Loaded, LoadOptions
from inglenook.engine.snapshots import Snapshots, identify_model

log = logging.getLogger(__name__)

DEFAULT_CTX_LIMIT: Final = 8192
_MIN_CTX: Final = 16
_MAX_CTX: Final = 1 << 24
_MAX_SEQUENCES: Final = 64
_PROGRESS_EVERY_S: Final = 0.05
_SAVE_LIMIT_S: Final = 1.0
_MIB: Final = 1024 * 1024

_OFFLOADED = re.compile(r"offloaded (\d+)/\d+ layers to GPU")
_N_LAYERS = re.compile(r"\bn_layer\s*= (\d+)")
_STATE_SIZE = re.compile(r"(?:KV|RS) buffer size =\s*([\d.]+) MiB")
_REASON = re.compile(r"error loading model(?: \w+)*: (.*)")
_NO_MEMORY = re.compile(r"failed to allocate|out of memory|unable to allocate", re.IGNORECASE)
_ARCHITECTURE = re.compile(r"unknown model architecture: '(.*)'")


class LoadStoppedError(Exception):
    """The load was stopped by a later command."""


class Journal:
    """The library's lines of one load attempt."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def take(self, _level: str, text: str) -> None:
        """Keep a line."""
        self.lines.append(text)

    def find_last(self, pattern: re.Pattern[str]) -> str | None:
        """The first group of the last line that matches."""
        return next((m[1] for line in reversed(self.lines) if (m := pattern.search(line))), None)

    def sum_all(self, pattern: re.Pattern[str]) -> float:
        """The sum of the first groups of all lines that match."""
        return sum(float(m[1]) for line in self.lines for m in pattern.finditer(line))


@dataclass(slots=True)
class LoadedModel:
    """What a load gives: the native parts, the file, and the facts. `close` frees in order."""

    command: Load
    file: ModelFile
    model: Model
    context: Context
    facts: Loaded
    snapshots: Snapshots | None = None

    def close(self) -> None:
        """Free the context, then the weights, then the file; snapshots are written first."""
        if self.snapshots is not None:
            self.snapshots.close(_SAVE_LIMIT_S)
        self.context.close()
        self.model.close()
        self.file.close()

    def is_answer_to(self, command: Load) -> bool:
        """Whether loading again would give the same."""
        return command == self.command and not self.file.is_replaced()


class Loader:
    """Loads models with one library; `journal` receives the library's lines meanwhile."""

    def __init__(self, library: Library, follow_log: Callable[[Journal | None], None]) -> None:
        self._library = library
        self._follow_log = follow_log

    def load(
        self, command: Load, on_progress: Callable[[float], None], is_stopped: Callable[[], bool]
    ) -> LoadedModel:
        """Load; raises `ModelError` with a code, or `LoadStoppedError`."""
        _check_options(command.options)
        started = time.monotonic()
        file = ModelFile(command.path)
        try:
            model, context, journal = self._try_placements(command, on_progress, is_stopped)
            try:
                _check_unchanged(file)
                facts = _describe(command, model, context, journal, time.monotonic() - started)
            except BaseException:
                context.close()
                model.close()
                raise
        except BaseException:
            file.close()
            raise
        snapshots = self._open_snapshots(command)
        return LoadedModel(command, file, model, context, facts, snapshots)

    def _open_snapshots(self, command: Load) -> Snapshots | None:
        """The kept memory of this model, if any is to be kept; a fault only costs reading."""
        if not command.snapshot_folder or command.snapshot_limit_bytes <= 0:
            return None
        try:
            identity = identify_model(command.path, self._library.version)
            return Snapshots(Path(command.snapshot_folder), identity, command.snapshot_limit_bytes)
        except OSError as error:
            log.warning("no conversation's memory is kept (errno %s)", error.errno)
            return None

    def _try_placements(
        self,
        command: Load,
        on_progress: Callable[[float], None],
        is_stopped: Callable[[], bool],
    ) -> tuple[Model, Context, Journal]:
        failure = ModelError("The model could not be loaded.", code="damaged")
        n_layers: int | None = None
        for n_gpu_layers in self._list_placements(command.options):
            if n_gpu_layers > 0 and n_layers is not None and n_gpu_layers > n_layers:
                continue
            journal = Journal()
            self._follow_log(journal)
            try:
                model, context = _open(command, n_gpu_layers, on_progress, is_stopped)
            except NativeError:
                if is_stopped():
                    raise LoadStoppedError from None
                failure = _explain_refusal(journal, n_gpu_layers)
                if failure.code != "out_of_memory":
                    raise failure from None
                n_layers = int(journal.find_last(_N_LAYERS) or 0) or n_layers
            else:
                return model, context, journal
            finally:
                self._follow_log(None)
        raise failure

    def _list_placements(self, options: LoadOptions) -> Iterator[int]:
        """How many layers to try on the GPU, most first; -1 is all."""
        if options.n_gpu_layers is not None:
            yield options.n_gpu_layers
            return
        if self._library.can_offload:
            yield -1
            yield from (96, 64, 48, 32, 24, 16, 8)
        yield 0


def _open(
    command: Load,
    n_gpu_layers: int,
    on_progress: Callable[[float], None],
    is_stopped: Callable[[], bool],
) -> tuple[Model, Context]:
    last_told = 0.0

    def follow(fraction: float) -> bool:
        nonlocal last_told
        now = time.monotonic()
        if fraction >= 1.0 or now - last_told >= _PROGRESS_EVERY_S:
            last_told = now
            on_progress(fraction)
        return not is_stopped()

    options = command.options
    model = Model(
        command.path,
        ModelOptions(n_gpu_layers, use_mmap=options.use_mmap, use_mlock=options.use_mlock),
        follow,
    )
    try:
        _check_generative(model)
        context = Context(model, _choose_context(model, options))
    except BaseException:
        model.close()
        raise
    if model.vocab.bos >= 0 or model.vocab.eos >= 0:
        context.warm_up(max(model.vocab.bos, model.vocab.eos))
    return model, context


def _check_unchanged(file: ModelFile) -> None:
    if file.is_replaced():
        raise ModelError(
            "The model file changed while it was loaded.", "Load it again.", code="model_changed"
        )


def _check_generative(model: Model) -> None:
    if not model.is_generative:
        raise ModelError(
            "This model does not write text: it is made for something else, such as search.",
            "Choose a chat model.",
            code="not_generative",
        )


def _choose_context(model: Model, options: LoadOptions) -> ContextOptions:
    n_ctx = options.n_ctx or min(model.n_ctx_train or DEFAULT_CTX_LIMIT, DEFAULT_CTX_LIMIT)
    n_threads = options.n_threads or choose_threads(model.size_bytes)
    n_batch = min(options.n_batch, n_ctx)
    return ContextOptions(
        n_ctx=n_ctx,
        n_batch=n_batch,
        n_ubatch=min(options.n_ubatch, n_batch),
        n_seq_max=options.n_seq_max,
        n_threads=n_threads,
        n_threads_batch=options.n_threads_batch or n_threads,
        flash_attention=options.flash_attention,
    )


def _check_options(options: LoadOptions) -> None:
    limits = (
        ("context length", options.n_ctx, _MIN_CTX, _MAX_CTX),
        ("number of GPU layers", options.n_gpu_layers, -1, 10_000),
        ("number of threads", options.n_threads, 1, 512),
        ("number of prompt threads", options.n_threads_batch, 1, 512),
        ("batch size", options.n_batch, 1, 1 << 20),
        ("physical batch size", options.n_ubatch, 1, 1 << 20),
        ("number of parallel replies", options.n_seq_max, 1, _MAX_SEQUENCES),
    )
    for name, value, low, high in limits:
        if value is not None and not low <= value <= high:
            raise ModelError(
                f"The {name} must be from {low:,} to {high:,}.",
                "Change it in Settings > Engine.",
                code="bad_request",
            )


def _explain_refusal(journal: Journal, n_gpu_layers: int) -> ModelError:
    """Say why the library refused. Its log lines are all that it gives, so they are read."""
    architecture = journal.find_last(_ARCHITECTURE)
    if architecture is not None:
        return ModelError(
            f"This model needs a newer engine: its architecture {architecture} is not known to "
            "the llama.cpp in this version.",
            "Update Inglenook, or choose another model.",
            code="unsupported_architecture",
        )
    text = "\n".join(journal.lines)
    reason = journal.find_last(_REASON)
    if _NO_MEMORY.search(text) or reason is None:
        where = "on the GPU" if n_gpu_layers else "in memory"
        return ModelError(
            f"There is not enough room {where} for this model and its context.",
            "Choose a smaller model or a shorter context"
            + (", or put fewer layers on the GPU." if n_gpu_layers else "."),
            code="out_of_memory",
        )
    return ModelError(
        f"The model file is damaged or of a kind that this engine cannot read: {reason.strip()}.",
        "Download it again, or choose another model.",
        code="damaged",
    )


def _describe(
    command: Load, model: Model, context: Context, journal: Journal, load_s: float
) -> Loaded:
    n_offloaded = int(journal.find_last(_OFFLOADED) or 0)
    n_on_gpu = max(0, n_offloaded - 1)
    return Loaded(
        model_id=command.model_id,
        path=command.path,
        description=model.description,
        architecture=model.metadata("general.architecture") or "",
        quantisation=model.quantisation,
        n_params=model.n_params,
        size_bytes=model.size_bytes,
        n_ctx=context.n_ctx,
        n_ctx_train=model.n_ctx_train,
        n_layers=model.n_layers,
        n_layers_gpu=n_offloaded,
        device=f"GPU {n_on_gpu}/{model.n_layers}" if n_offloaded else "CPU",
        kv_bytes=round(journal.sum_all(_STATE_SIZE) * _MIB),
        n_threads=context.n_threads,
        n_batch=context.n_batch,
        load_s=load_s,
    )
