"""A prediction in plain words: the arithmetic, line by line. For the hover and the command line."""

from typing import Final

from inglenook.models.predict.memory import Memory
from inglenook.models.predict.prediction import USUAL_DEPTH, USUAL_PROMPT, Prediction
from inglenook.models.sizes import describe_size

_FINE_BELOW: Final = 10.0


def describe_memory(prediction: Prediction) -> list[str]:
    """What it takes, one line for each memory, and what there is."""
    lines = []
    if prediction.gpu.total:
        for name, memory in prediction.on_cards or (("the graphics card", prediction.gpu),):
            lines.append(f"On {name}: {_add_up(memory, prediction)}.")
        lines.append(f"In memory: {_add_up(prediction.ram, prediction)}.")
    else:
        lines.append(f"{_capitalise(_add_up(prediction.ram, prediction))}.")
    if prediction.machine_bytes:
        lines.append(f"This machine has {describe_size(prediction.machine_bytes)} of memory.")
    return lines


def describe_place(prediction: Prediction) -> str:
    """What runs where, in one sentence."""
    n, whole = prediction.n_layers_gpu, prediction.n_layers
    cards = "graphics cards" if prediction.on_cards else "graphics card"
    if prediction.where == "too_large":
        needs = describe_size(prediction.ram.total)
        return f"It does not fit: it needs {needs} of memory."
    if n > whole:
        return f"All {whole} layers run on the {cards}."
    if n:
        return f"{n - 1} of {whole} layers run on the {cards}, the others on the processor."
    if prediction.where == "tight":
        return "It runs on the processor, and leaves little memory for other programs."
    return "It runs on the processor."


def describe_speed(prediction: Prediction) -> list[str]:
    """How fast it writes and reads, and how that was worked out; nothing where not known."""
    if not prediction.write_tps or prediction.where == "too_large":
        return []
    about = "About " if prediction.is_guess else ""
    write, read = format_tps(prediction.write_tps), format_tps(prediction.read_tps)
    size = describe_size(prediction.weights_per_token)
    how = (
        f"For each token {size} of weights are gone through, at the speed measured here; told for "
        f"{USUAL_PROMPT} tokens read and {USUAL_DEPTH} in the context."
    )
    lines = [f"{about}{write} tokens per second when it writes, {read} when it reads.", how]
    correction = prediction.correction
    if correction.is_own:
        lines.append("Corrected by what this model was measured at here.")
    elif correction.n_runs:
        models = "1 model" if correction.n_runs == 1 else f"{correction.n_runs} models"
        lines.append(f"Corrected by what {models} that ran here were measured at.")
    return lines


def describe(prediction: Prediction) -> list[str]:
    """All of it: where, memory, speed, and how sure it is."""
    lines = [
        describe_place(prediction),
        *describe_memory(prediction),
        *describe_speed(prediction),
    ]
    if prediction.is_guess:
        lines.append("Worked out from the file's size alone.")
    return lines


def format_tps(tps: float) -> str:
    """A speed with as many digits as mean something."""
    return f"{tps:.1f}" if tps < _FINE_BELOW else f"{tps:,.0f}"


def _add_up(memory: Memory, prediction: Prediction) -> str:
    parts = [
        f"{describe_size(memory.weights)} of weights" if memory.weights else "",
        f"{describe_size(memory.copies)} of them a second time, in a faster order"
        if memory.copies
        else "",
        f"{describe_size(memory.kv)} for a context of {prediction.n_ctx:,} tokens"
        + (f" in {prediction.kv_type}" if prediction.kv_type != "f16" else "")
        if memory.kv
        else "",
        f"{describe_size(memory.buffers)} to work in" if memory.buffers else "",
        f"{describe_size(memory.program)} for the engine and the vocabulary"
        if memory.program
        else "",
    ]
    said = [part for part in parts if part]
    joined = ", ".join(said[:-1]) + (" and " if len(said) > 1 else "") + (said[-1] if said else "")
    return f"{joined} make {describe_size(memory.total)}"


def _capitalise(text: str) -> str:
    return text[:1].upper() + text[1:]
