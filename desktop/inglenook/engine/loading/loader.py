"""Loads a model: file check, weights, context, layers on the GPU; steps down where it must.

Called by the worker on its thread. Where layers and memory ended up is read from the library's own
log lines, never worked out here. Steps down, most wanted first: fewer layers on the GPU, none, and
on the CPU a context of half the length as long as nobody chose its length.
"""

import logging
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import msgspec

from inglenook.base.attention import fit_plain_step
from inglenook.base.errors import ModelError
from inglenook.engine.embedding import shape_for_vectors
from inglenook.engine.llama import (
    Adapter,
    Context,
    ContextOptions,
    Library,
    Model,
    ModelOptions,
    NativeError,
)
from inglenook.engine.loading.adapter import identify_adapter
from inglenook.engine.loading.contest import (
    Contests,
    explain,
    find_weak_gpu,
    is_cpu_faster,
    measure_speed,
)
from inglenook.engine.loading.load_checks import check_adapters, check_options
from inglenook.engine.loading.load_journal import Journal, explain_refusal
from inglenook.engine.loading.modelfile import ModelFile
from inglenook.engine.loading.room import (
    COMPUTE_SIZE,
    MEASURED_CTX,
    MIN_CTX,
    STATE_TOTAL,
    Need,
    is_doubtful,
    refuse_context,
    refuse_weights,
)
from inglenook.engine.lookup import MAX_GUESSES
from inglenook.engine.machine import choose_threads, count_free_bytes
from inglenook.engine.protocol import Contest, Device, Load, Loaded, LoadOptions
from inglenook.engine.snapshots import Snapshots, identify_model

log = logging.getLogger(__name__)

DEFAULT_CTX_LIMIT: Final = 8192
_MAX_PARTS: Final = 1000
_SPLIT_NAME: Final = re.compile(r"-(\d{5})-of-(\d{5})\.gguf$")
_PROGRESS_EVERY_S: Final = 0.05
_SAVE_LIMIT_S: Final = 1.0
_SAVE_ASLEEP_LIMIT_S: Final = 20.0
_MIB: Final = 1024 * 1024

_OFFLOADED = re.compile(r"offloaded (\d+)/\d+ layers to GPU")
_N_LAYERS = re.compile(r"\bn_layer\s*= (\d+)")
_STATE_SIZE = re.compile(r"(?:KV|RS) buffer size =\s*([\d.]+) MiB")
_FLASH_ON = re.compile(r"(?:Flash Attention|flash_attn\s*=) (enabled)")
_NOT_LOCKED = re.compile(r"(failed to mlock|mlock not supported)")


class LoadStoppedError(Exception):
    """The load was stopped by a later command."""


@dataclass(slots=True)
class LoadedModel:
    """What a load gives: the native parts, the file, and the facts. `close` frees in order."""

    command: Load
    file: ModelFile
    parts: "_Parts"
    facts: Loaded
    snapshots: Snapshots | None = None

    @property
    def model(self) -> Model:
        """The weights."""
        return self.parts.model

    @property
    def context(self) -> Context:
        """The memory that replies are written in."""
        return self.parts.context

    def list_adapters(self) -> list[tuple[Adapter, float]]:
        """Its LoRA adapters with their scales."""
        scales = (scale for _, scale in self.command.options.lora_adapters)
        return list(zip(self.parts.adapters, scales, strict=True))

    def close(self, *, has_time: bool = False) -> None:
        """Free the context, then the weights, then the file; snapshots are written first."""
        if self.snapshots is not None:
            self.snapshots.close(_SAVE_ASLEEP_LIMIT_S if has_time else _SAVE_LIMIT_S)
        self.parts.close()
        self.file.close()

    def is_answer_to(self, command: Load) -> bool:
        """Whether loading again would give the same."""
        return is_same_load(command, self.command) and not self.file.is_replaced()


def is_same_load(one: Load, other: Load) -> bool:
    """Whether two loads give the same: how long an idle model stays makes no difference."""
    return _forget_idle(one) == _forget_idle(other)


def _forget_idle(command: Load) -> Load:
    options = msgspec.structs.replace(command.options, keeps_idle_s=None)
    return msgspec.structs.replace(command, options=options)


@dataclass(slots=True)
class _Parts:
    """What native code holds for one loaded model."""

    model: Model
    context: Context
    adapters: list[Adapter]

    def close(self) -> None:
        """Contexts, then adapters, then the weights: each is used by the one before."""
        self.context.close()
        for adapter in self.adapters:
            adapter.close()
        self.model.close()


class Loader:
    """Loads models with one library; `journal` receives the library's lines meanwhile."""

    def __init__(self, library: Library, follow_log: Callable[[Journal | None], None]) -> None:
        self._library = library
        self._follow_log = follow_log

    def load(
        self, command: Load, on_progress: Callable[[float], None], is_stopped: Callable[[], bool]
    ) -> LoadedModel:
        """Load; raises `ModelError` with a code, or `LoadStoppedError`."""
        check_options(command.options)
        started = time.monotonic()
        file = ModelFile(command.path)
        try:
            check_adapters(command)
            placed = self._place(command, on_progress, is_stopped)
            parts = placed.parts
            try:
                _check_unchanged(file)
                facts = _describe(
                    command,
                    placed,
                    time.monotonic() - started,
                    can_offload=self._library.can_offload,
                )
            except BaseException:
                parts.close()
                raise
        except BaseException:
            file.close()
            raise
        snapshots = self._open_snapshots(command, parts)
        return LoadedModel(command, file, parts, facts, snapshots)

    def _open_snapshots(self, command: Load, parts: "_Parts") -> Snapshots | None:
        """The kept memory of this model, if any is to be kept; a fault only costs reading."""
        if not _keeps_snapshots(command) or not parts.model.writes:
            return None
        try:
            attention = "plain" if parts.context.reads_all else ""
            settings = _name_settings(command.options) + attention
            identity = identify_model(command.path, self._library.version, settings)
            return Snapshots(Path(command.snapshot_folder), identity, command.snapshot_limit_bytes)
        except OSError as error:
            log.warning("no conversation's memory is kept (errno %s)", error.errno)
            return None

    def _place(
        self,
        command: Load,
        on_progress: Callable[[float], None],
        is_stopped: Callable[[], bool],
    ) -> "_Placed":
        """Load where it is faster, which takes a measurement where nobody can know."""
        gpu = self._find_weak_gpu(command)
        if gpu is None:
            return _Placed(*self._try_placements(command, on_progress, is_stopped))
        contests, key = Contests(Path(command.contest_file)), self._name_contest(command, gpu)
        contest = contests.find(key)
        if contest is not None:
            wanted = _keep_on_cpu(command) if is_cpu_faster(contest) else command
            return _Placed(*self._try_placements(wanted, on_progress, is_stopped), contest)
        placed = _Placed(*self._try_placements(command, on_progress, is_stopped))
        if not placed.parts.model.is_on_gpu or not placed.parts.model.writes:
            return placed
        placed = self._compare(command, gpu, placed, is_stopped)
        if placed.contest is not None:
            contests.keep(key, placed.contest)
        return placed

    def _find_weak_gpu(self, command: Load) -> Device | None:
        """The GPU that must be measured before it is trusted with a model; None is the rule."""
        is_free = command.options.n_gpu_layers is None and command.contest_file
        if not is_free or not self._library.can_offload:
            return None
        return find_weak_gpu(self._library.devices)

    def _name_contest(self, command: Load, gpu: Device) -> str:
        """A name for all that a measurement is about."""
        options = command.options
        what = (gpu.description, options.n_threads, options.n_ubatch, _name_settings(options))
        return identify_model(command.path, self._library.version, repr(what))

    def _compare(
        self, command: Load, gpu: Device, on_gpu: "_Placed", is_stopped: Callable[[], bool]
    ) -> "_Placed":
        """Load it on the CPU too, measure both, keep the faster; without room for both, the GPU."""
        parts = on_gpu.parts
        try:
            n_vocab = parts.model.vocab.n_tokens
            gpu_speed = measure_speed(parts.context, n_vocab, is_stopped)
            wanted = _keep_on_cpu(command)
            on_cpu = _Placed(*self._try_placements(wanted, lambda _: None, is_stopped))
            try:
                if on_cpu.parts.context.n_ctx < parts.context.n_ctx:
                    on_cpu.parts.close()
                    return on_gpu
                cpu_speed = measure_speed(on_cpu.parts.context, n_vocab, is_stopped)
            except BaseException:
                on_cpu.parts.close()
                raise
        except (NativeError, ModelError):
            if is_stopped():
                parts.close()
                raise LoadStoppedError from None
            return on_gpu
        except BaseException:
            parts.close()
            raise
        contest = Contest(device=gpu.description, gpu=gpu_speed, cpu=cpu_speed)
        winner, loser = (on_cpu, on_gpu) if is_cpu_faster(contest) else (on_gpu, on_cpu)
        loser.parts.close()
        log.info("%s", explain(contest))
        return replace(winner, contest=contest)

    def _try_placements(
        self,
        command: Load,
        on_progress: Callable[[float], None],
        is_stopped: Callable[[], bool],
    ) -> tuple[_Parts, Journal]:
        failure = ModelError("The model could not be loaded.", code="damaged")
        n_layers: int | None = None
        for n_gpu_layers in self._list_placements(command.options):
            if n_gpu_layers > 0 and n_layers is not None and n_gpu_layers > n_layers:
                continue
            # On a GPU trying is safe and tells the truth; in the machine's memory it may be deadly.
            on_cpu = n_gpu_layers == 0 or not self._library.can_offload
            longest = self._find_room(command) if on_cpu else None
            journal = Journal()
            self._follow_log(journal)
            try:
                placement = _Placement(
                    0 if on_cpu else n_gpu_layers,
                    longest,
                    journal,
                    can_be_plain=on_cpu and _keeps_snapshots(command),
                )
                parts = _open(command, placement, on_progress, is_stopped)
            except NativeError:
                if is_stopped():
                    raise LoadStoppedError from None
                failure = explain_refusal(journal, command.options, placement.n_gpu_layers)
                if failure.code != "out_of_memory":
                    raise failure from None
                n_layers = int(journal.find_last(_N_LAYERS) or 0) or n_layers
            else:
                return parts, journal
            finally:
                self._follow_log(None)
        raise failure

    def _find_room(self, command: Load) -> int | None:
        """The longest context that fits into memory; None where there is no doubt that all does.

        Raises `NoRoomError` when none fits, or not the one that was chosen.
        """
        options = command.options
        free_bytes = count_free_bytes()
        n_bytes = sum(Path(path).stat().st_size for path in list_parts(command.path))
        if not options.checks_memory or not is_doubtful(n_bytes, options, free_bytes):
            return None
        measured = self._measure(command)
        if measured is None:
            return None
        need, n_ctx = measured
        fitting = need.find_fitting(n_ctx, free_bytes)
        if not fitting and need.count(n_ctx) > free_bytes:
            raise refuse_weights(need, free_bytes)
        if options.n_ctx is not None and fitting != n_ctx and need.count(n_ctx) > free_bytes:
            raise refuse_context(need, n_ctx, fitting, free_bytes)
        return fitting or None

    def _measure(self, command: Load) -> tuple[Need, int] | None:
        """Let the library tell what it would take, and the context's length; None if it cannot."""
        journal = Journal()
        self._follow_log(journal)
        try:
            model = Model(command.path, ModelOptions(only_measures=True), lambda _: True)
            try:
                options = _choose_context(
                    model, command.options, can_be_plain=_keeps_snapshots(command)
                )
                n_ctx = min(options.n_ctx, MEASURED_CTX)
                journal.begin_context()
                Context(model, replace(options, n_ctx=n_ctx)).close()
                need = Need(
                    weights=model.size_bytes,
                    state=round(journal.sum_all(STATE_TOTAL) * _MIB),
                    work=round(journal.sum_all(COMPUTE_SIZE) * _MIB),
                    n_ctx=n_ctx,
                )
            finally:
                model.close()
        except NativeError:
            return None  # The load itself will tell why.
        finally:
            self._follow_log(None)
        return need, options.n_ctx

    def _list_placements(self, options: LoadOptions) -> Iterator[int]:
        """How many layers to try on the GPU, most first; -1 is all."""
        if options.n_gpu_layers is not None:
            yield options.n_gpu_layers
            return
        if self._library.can_offload:
            yield -1
            yield from (96, 64, 48, 32, 24, 16, 8)
        yield 0


def _keeps_snapshots(command: Load) -> bool:
    return bool(command.snapshot_folder) and command.snapshot_limit_bytes > 0


def _keep_on_cpu(command: Load) -> Load:
    options = msgspec.structs.replace(command.options, n_gpu_layers=0)
    return msgspec.structs.replace(command, options=options)


@dataclass(frozen=True, slots=True)
class _Placed:
    """A model where it ended up, with the library's lines of that load, and what decided it."""

    parts: _Parts
    journal: Journal
    contest: Contest | None = None


@dataclass(frozen=True, slots=True)
class _Placement:
    """One way to place a model: layers on the GPU, and the longest context that may be tried."""

    n_gpu_layers: int
    longest: int | None
    journal: Journal
    can_be_plain: bool = False
    """Whether plain attention may be chosen."""


def _open(
    command: Load,
    placement: _Placement,
    on_progress: Callable[[float], None],
    is_stopped: Callable[[], bool],
) -> _Parts:
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
        ModelOptions(
            placement.n_gpu_layers, use_mmap=options.use_mmap, use_mlock=options.use_mlock
        ),
        follow,
    )
    try:
        _check_usable(model)
        adapters = [(Adapter(model, path), scale) for path, scale in options.lora_adapters]
        context = _make_context(model, options, placement)
        if adapters:
            context.apply(adapters)
    except BaseException:
        model.close()  # Its adapters go with it.
        raise
    if model.vocab.bos >= 0 or model.vocab.eos >= 0:
        context.warm_up(max(model.vocab.bos, model.vocab.eos))
    return _Parts(model, context, [adapter for adapter, _ in adapters])


def _make_context(model: Model, options: LoadOptions, placement: _Placement) -> Context:
    """Make the context; on the CPU one of half the length as long as memory is what is missing."""
    wanted = _choose_context(model, options, can_be_plain=placement.can_be_plain)
    n_ctx = min(wanted.n_ctx, placement.longest or wanted.n_ctx)
    may_shorten = placement.n_gpu_layers == 0 and options.n_ctx is None
    while True:
        placement.journal.begin_context()
        n_batch = min(wanted.n_batch, n_ctx)
        shape = replace(
            wanted, n_ctx=n_ctx, n_batch=n_batch, n_ubatch=min(wanted.n_ubatch, n_batch)
        )
        try:
            return Context(model, shape)
        except NativeError:
            if not may_shorten or not placement.journal.lacks_memory or n_ctx // 2 < MIN_CTX:
                raise
            n_ctx //= 2


def _check_unchanged(file: ModelFile) -> None:
    if file.is_replaced():
        raise ModelError(
            "The model file changed while it was loaded.", "Load it again.", code="model_changed"
        )


def _check_usable(model: Model) -> None:
    if not (model.writes or model.is_encoder):
        raise ModelError(
            "This model does not write text: it is made for something else.",
            "Choose a chat model.",
            code="not_generative",
        )


def _choose_context(
    model: Model, options: LoadOptions, *, can_be_plain: bool = False
) -> ContextOptions:
    """`can_be_plain`: all layers are on the processor, and idle conversations go to the disk."""
    n_ctx = options.n_ctx or min(model.n_ctx_train or DEFAULT_CTX_LIMIT, DEFAULT_CTX_LIMIT)
    n_threads = options.n_threads or choose_threads(model.size_bytes)
    if model.is_encoder:
        return shape_for_vectors(model, n_ctx, n_threads)
    n_batch = min(options.n_batch, n_ctx)
    n_ubatch, flash_attention = min(options.n_ubatch, n_batch), options.flash_attention
    is_usual = options.kv_type == "f16" and not (model.n_swa or model.is_recurrent)
    if flash_attention is None and can_be_plain and is_usual:
        n_plain = fit_plain_step(model.n_heads, n_ctx, n_ubatch)
        n_ubatch, flash_attention = (n_plain, False) if n_plain else (n_ubatch, None)
    return ContextOptions(
        n_ctx=n_ctx,
        n_batch=n_batch,
        n_ubatch=n_ubatch,
        n_seq_max=options.n_seq_max,
        n_outputs=1 + MAX_GUESSES,
        n_threads=n_threads,
        n_threads_batch=options.n_threads_batch or n_threads,
        flash_attention=flash_attention,
        kv_type=options.kv_type,
        rope_scaling=options.rope_scaling,
        rope_freq_base=options.rope_freq_base,
        rope_freq_scale=options.rope_freq_scale,
    )


def list_parts(path: str) -> list[str]:
    """All files of a model that is split, by the name of one of them; else the file itself."""
    found = _SPLIT_NAME.search(path)
    if found is None or int(found[2]) > _MAX_PARTS:
        return [path]
    count, start = int(found[2]), path[: found.start()]
    parts = [f"{start}-{i:05}-of-{count:05}.gguf" for i in range(1, count + 1)]
    return [part for part in parts if Path(part).is_file()]


def _name_settings(options: LoadOptions) -> str:
    """What else than the model decides what its memory of a text is, as text."""
    adapters = [(identify_adapter(path), scale) for path, scale in options.lora_adapters]
    return repr(
        (
            options.kv_type,
            options.flash_attention,
            options.rope_scaling,
            options.rope_freq_base,
            options.rope_freq_scale,
            adapters,
        )
    )


def _explain_placement(command: Load, placed: _Placed, n_on_gpu: int, can_offload: bool) -> str:
    """What is not as it was asked for, or as one may expect it, in sentences."""
    parts, journal = placed.parts, placed.journal
    options, said = command.options, [command.because]
    n_layers, n_ctx = parts.model.n_layers, parts.context.n_ctx
    contest = placed.contest
    if contest is not None:
        said.append(explain(contest))
    is_choice = options.n_gpu_layers is not None or (contest is not None and is_cpu_faster(contest))
    if can_offload and not is_choice and n_on_gpu < n_layers:
        where = f"{n_on_gpu} of {n_layers} layers run" if n_on_gpu else "no layer runs"
        said.append(f"The graphics card has no room for all of it: {where} there.")
    wanted = _choose_context(parts.model, options).n_ctx
    if options.n_ctx is None and n_ctx < wanted:
        said.append(f"Memory is short: the context holds {n_ctx:,} tokens instead of {wanted:,}.")
    if options.use_mlock and journal.find_last(_NOT_LOCKED) is not None:
        said.append(
            "The model could not be locked in memory: the system allows this program too little "
            "of that. It works, but may be moved to the disk."
        )
    return " ".join(sentence for sentence in said if sentence)


def _describe(command: Load, placed: _Placed, load_s: float, *, can_offload: bool) -> Loaded:
    model, context, journal = placed.parts.model, placed.parts.context, placed.journal
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
        placement_note=_explain_placement(command, placed, n_on_gpu, can_offload),
        n_ubatch=context.n_ubatch,
        kv_type=command.options.kv_type,
        flash_attention=journal.find_last(_FLASH_ON) is not None
        if n_offloaded
        else not context.reads_all,
        adapters=tuple(Path(path).name for path, _ in command.options.lora_adapters),
        contest=placed.contest,
        writes=model.writes,
    )
