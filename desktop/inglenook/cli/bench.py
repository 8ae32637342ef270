"""`inglenook bench`: how fast a model is on this machine, and what each number means."""

import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec

from inglenook.chat.options import make_load
from inglenook.cli.doctor import count_threads, describe_event, describe_machine
from inglenook.cli.output import Output, describe_size
from inglenook.cli.program import Common, command

if TYPE_CHECKING:
    from inglenook.engine.measuring.measure import Figure
    from inglenook.engine.protocol import Loaded

_LOOK_S: Final = 1.0
_BUSY_PERCENT: Final = 15.0
_LABELS: Final = {
    "read_short": "reading a prompt of {n:,} tokens",
    "read_long": "reading a prompt of {n:,} tokens",
    "write": "writing a reply of {n:,} tokens",
    "write_together": "writing four replies at once",
    "follow_up": "first word, next turn after {n:,} tokens",
    "restart": "first word, the same after a restart",
    "llama_bench_read": "llama-bench, pp{n}",
    "llama_bench_write": "llama-bench, tg{n}",
}
_MEANINGS: Final = {
    "reading": "how long you wait before a reply to something new begins: its tokens divided by"
    " this.",
    "writing": "how fast the reply then grows; a person reads 5 to 10 tokens a second.",
    "four at once": "the same for all four together: more than one alone, for the weights are read"
    " once for all.",
    "next turn": "what was said before is remembered, so only the new text is read.",
    "after a restart": "the memory of the conversation comes from the disk and is not computed"
    " again.",
    "llama-bench": "llama.cpp by itself, with no sampling, no text and no app: the ceiling.",
}


@command("bench")
@click.argument("model", required=False)
@click.option("--prompt-tokens", type=click.IntRange(32), default=2048, show_default=True,
              metavar="N", help="The long prompt.")  # fmt: skip
@click.option("--reply-tokens", type=click.IntRange(2), default=128, show_default=True,
              metavar="N", help="Each reply.")  # fmt: skip
@click.option("--rounds", type=click.IntRange(1, 100), default=3, show_default=True,
              metavar="N", help="How often each figure is taken.")  # fmt: skip
@click.option("--llama-bench", "llama_bench", metavar="PROGRAM", type=click.Path(dir_okay=False),
              help="Compare with this llama-bench of a llama.cpp build.")  # fmt: skip
def bench(
    common: Common,
    model: str | None,
    prompt_tokens: int,
    reply_tokens: int,
    rounds: int,
    llama_bench: str | None,
) -> None:
    """Measure how fast a model is on this machine.

    MODEL is a name or a path; without one, the model for new conversations. Nothing is kept. Close
    other programs first: they take part of what is measured.
    """
    from inglenook.engine.measuring.measure import Bench, Plan

    output = common.output
    plan = Plan(min(512, prompt_tokens), prompt_tokens, reply_tokens, rounds)
    with common.open_app() as app:
        name = model or str(app.settings.get("models.default"))
        chosen = app.library.find(name)
        machine = describe_machine(app.profile.data)
        load = make_load(chosen, app.settings, None)
    busy_percent = measure_business()
    try:
        loaded, figures = Bench(load, plan, output.progress).run()
        if llama_bench is not None:
            figures += compare(Path(llama_bench), chosen.path, plan.fit(loaded.n_ctx), output)
    finally:
        output.progress("")
    if output.is_json:
        output.document(describe(loaded, figures, machine, busy_percent))
    else:
        show(output, chosen.name, loaded, figures, busy_percent)


def compare(program: Path, path: str, plan: Any, output: Output) -> "list[Figure]":
    """The same of llama.cpp by itself."""
    from inglenook.engine.measuring.ceiling import LlamaBench
    from inglenook.engine.measuring.measure import Figure

    ceiling = LlamaBench(program, path)
    figures = []
    for key, take, n_tokens in (
        ("llama_bench_read", ceiling.read, plan.n_long),
        ("llama_bench_write", ceiling.write, plan.n_reply),
    ):
        values = []
        for i in range(plan.n_rounds):
            output.progress(f"llama-bench ({i + 1} of {plan.n_rounds})")
            values.append(take(n_tokens))
        figures.append(Figure(key=key, unit="tokens/s", n_tokens=n_tokens, values=tuple(values)))
    return figures


def measure_business() -> float:
    """What share of the processor others take now, in percent."""
    import psutil

    psutil.cpu_percent()
    time.sleep(_LOOK_S)
    return psutil.cpu_percent()


def describe(
    loaded: "Loaded", figures: "Sequence[Figure]", machine: dict[str, Any], busy_percent: float
) -> dict[str, Any]:
    """The object that `--json` prints; scripts rely on its keys."""
    return {
        "model": describe_event(loaded),
        "machine": machine | {"busy_percent": busy_percent},
        "figures": [
            msgspec.to_builtins(figure) | {"median": median(figure.values)} for figure in figures
        ],
    }


def show(
    output: Output,
    name: str,
    loaded: "Loaded",
    figures: "Sequence[Figure]",
    busy_percent: float,
) -> None:
    """The table for people, and what it says."""
    output.line(
        f"{name}: {loaded.n_params / 1e6:,.0f} million parameters in {loaded.quantisation}, "
        f"{describe_size(loaded.size_bytes)}, on {loaded.device}, "
        f"{count_threads(loaded.n_threads)} at most, "
        f"context of {loaded.n_ctx:,} tokens, loaded in {loaded.load_s:.2f} s"
    )
    output.line()
    rows = [("", "median", "", "lowest", "highest")]
    rows += [describe_figure(figure) for figure in figures]
    output.table(rows)
    output.line()
    has_ceiling = any(figure.key.startswith("llama_bench") for figure in figures)
    for word, meaning in _MEANINGS.items():
        if word != "llama-bench" or has_ceiling:
            output.line(f"{word}: {meaning}")
    if busy_percent > _BUSY_PERCENT:
        output.note(
            f"Other programs took {busy_percent:.0f} % of the processor: on a quiet machine these"
            " figures are better."
        )


def describe_figure(figure: "Figure") -> tuple[str, str, str, str, str]:
    """One row of the table."""
    values = figure.values
    middle, low, high = (write_value(v, figure.unit) for v in (median(values), *span(values)))
    label = _LABELS[figure.key].format(n=figure.n_tokens)
    unit = "ms" if figure.unit == "s" else figure.unit
    return label, middle.rjust(8), unit, low.rjust(8), high.rjust(8)


def span(values: Sequence[float]) -> tuple[float, float]:
    """The lowest and the highest."""
    return min(values), max(values)


def write_value(value: float, unit: str) -> str:
    """A speed as it stands, a time in milliseconds; no more digits than mean something."""
    shown = value * 1000 if unit == "s" else value
    return f"{shown:,.0f}" if shown >= 100 else f"{shown:,.1f}"
