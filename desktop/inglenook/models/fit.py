"""Whether a model fits into this machine's memory, and how fast it may be, by its size alone.

Called by the models page and the command line, on any thread. What a file's header tells more
exactly is worked out in `predict`; this is for lists, where no header is at hand.
"""

from dataclasses import dataclass
from typing import Final, Literal

import psutil

from inglenook.models.predict.prediction import Machine, Prediction, predict
from inglenook.models.predict.shape import guess_shape
from inglenook.models.predict.words import describe, describe_speed
from inglenook.models.sizes import describe_size

__all__ = ["DEFAULT_CTX", "Fit", "Machine", "estimate_kv_bytes", "find_machine", "judge_fit"]

type Verdict = Literal["fits", "tight", "too_large"]

DEFAULT_CTX: Final = 8192
_BUFFERS_BYTES: Final = 300_000_000
_BUFFERS_SHARE: Final = 0.03
_COMFORT_SHARE: Final = 0.7
_SYSTEM_BYTES: Final = 2_000_000_000
_SYSTEM_SHARE: Final = 0.1
_GUESSED: Final = "Worked out from the file's size alone."


@dataclass(frozen=True, slots=True)
class Fit:
    """The verdict with its arithmetic: `reason` is one sentence for the person, or several.

    `prediction` says what runs where and how fast; None where this machine was not measured yet.
    """

    verdict: Verdict
    reason: str
    needs_bytes: int
    prediction: Prediction | None = None
    lines: tuple[str, ...] = ()
    """The same as `reason`, a line for each thing that it says."""

    @property
    def is_guess(self) -> bool:
        """Whether it rests on the file's size alone."""
        return self.prediction is None or self.prediction.is_guess

    @property
    def write_tps(self) -> float:
        """Tokens per second that it may write; 0.0 where not known, or where it does not fit."""
        if self.prediction is None or self.verdict == "too_large":
            return 0.0
        return self.prediction.write_tps


def find_machine(gpu_bytes: int = 0) -> Machine:
    """This machine; graphics memory is told by the engine, the only one who knows."""
    return Machine(memory_bytes=psutil.virtual_memory().total, gpu_bytes=gpu_bytes)


def estimate_kv_bytes(n_params: int, n_ctx: int = DEFAULT_CTX) -> int:
    """A cautious size of the context's memory where a model's header is not at hand.

    Fitted to models with grouped heads: about 30 kB a token at 1 billion parameters, 130 kB at 8
    and 320 kB at 70.
    """
    billions = max(n_params / 1e9, 0.02)
    per_token: float = 34_000 * billions**0.55
    return round(n_ctx * per_token)


def fit_of(prediction: Prediction) -> Fit:
    """What a prediction from a header says, as a verdict."""
    verdicts: dict[str, Verdict] = {"tight": "tight", "too_large": "too_large"}
    verdict = verdicts.get(prediction.where, "fits")
    lines = tuple(describe(prediction))
    return Fit(verdict, " ".join(lines), prediction.needs_bytes, prediction, lines)


def judge_fit(
    size_bytes: int,
    machine: Machine,
    *,
    kv_bytes: int = 0,
    n_params: int = 0,
    n_active_params: int = 0,
    quantisation: str = "",
) -> Fit:
    """Compare weights, context and working memory with what the machine has.

    Where the machine was measured, the speed is told with it.

    `kv_bytes` is the size of the context's memory (header's `kv_bytes_per_token` times the context
    length); 0 estimates it from `n_params` at 8,192 tokens. `tight` means that it runs, but little
    is left for other programs.
    """
    fit = _judge_memory(size_bytes, machine, kv_bytes, n_params)
    if machine.rates is None or size_bytes <= 0:
        return fit
    shape = guess_shape(size_bytes, quantisation, n_params, n_active_params)
    prediction = predict(shape, machine, correction=machine.correction)
    if fit.verdict == "too_large":
        return Fit(fit.verdict, fit.reason, fit.needs_bytes, prediction)
    lines = (fit.reason, *describe_speed(prediction), _GUESSED)
    return Fit(fit.verdict, " ".join(lines), fit.needs_bytes, prediction, lines)


def _judge_memory(size_bytes: int, machine: Machine, kv_bytes: int, n_params: int) -> Fit:
    kv_bytes = kv_bytes or (estimate_kv_bytes(n_params) if n_params else 0)
    buffers = _BUFFERS_BYTES + round(size_bytes * _BUFFERS_SHARE)
    needs = size_bytes + kv_bytes + buffers
    reserve = max(_SYSTEM_BYTES, round(machine.memory_bytes * _SYSTEM_SHARE))
    usable = max(0, machine.memory_bytes - min(reserve, machine.memory_bytes // 2))
    sums = (
        f"{describe_size(size_bytes)} of weights, {describe_size(kv_bytes)} of context and "
        f"{describe_size(buffers)} to work with make {describe_size(needs)}"
    )
    if machine.gpu_bytes and needs <= machine.gpu_bytes:
        reason = f"{sums}; the graphics card has {describe_size(machine.gpu_bytes)}."
        return Fit("fits", reason, needs)
    total = describe_size(machine.memory_bytes)
    if needs > usable:
        return Fit("too_large", f"{sums}; this machine has {total} of memory.", needs)
    if needs > machine.memory_bytes * _COMFORT_SHARE:
        left = describe_size(machine.memory_bytes - needs)
        return Fit("tight", f"{sums}; of {total} of memory, {left} stay for all else.", needs)
    return Fit("fits", f"{sums}; this machine has {total} of memory.", needs)
