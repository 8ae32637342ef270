"""The engine against its peers, in one run on the same model files.

    pytest tests/bench/test_engine.py -m bench -s
    BENCH_MODELS=guide,qwen2-0.5b-Q4_K_M BENCH_ROUNDS=3 BENCH_SHARE=0.25 make bench

The engine runs as the app runs it: through its client, in its child process, with default options.
Peers are llama-bench (the ceiling: decoding alone), llama-server over HTTP, and the binding's
high-level class in a process of its own, all with their own defaults. Each round lets all of them
take their turn; a ratio is of runs of one round, and medians and spreads of those are printed.
Nothing is asserted on time. The peers are compiled, and models of real shapes with random weights
made, at the first run (`support.peers`, `support.shaped_gguf`). BENCH_SHARE makes prompts and
replies shorter, for a try; BENCH_JSON names a file for the lines.
"""

import json
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Final

import psutil
import pytest

from inglenook.engine.measuring.measure import Probe, count_together, wait_for_snapshot
from inglenook.engine.protocol import (
    Generate,
    Load,
    LoadOptions,
    PromptMessage,
    ReadAhead,
    Sampling,
)
from support.contest import (
    BareLoop,
    Rig,
    make_generate,
    measure_memory,
    take_turns,
    wait_until_idle,
)
from support.display import has_xvfb, open_display
from support.lines import Line, at_least, at_most, describe_lines, format_lines
from support.opponents import make_chat, run_neighbours
from support.peers import Peers, obtain_peers
from support.program import Program
from support.shaped_gguf import SHAPES, obtain_reciting_gguf
from support.tiny_gguf import write_tiny_gguf

ROUNDS: Final = int(os.environ.get("BENCH_ROUNDS", "5"))
SHARE: Final = float(os.environ.get("BENCH_SHARE", "1"))
MAIN: Final = "qwen2-0.5b-Q4_K_M"
MODELS: Final = os.environ.get(
    "BENCH_MODELS", f"{MAIN},qwen2-0.5b-Q8_0,llama3-1b-Q4_K_M,llama3-1b-Q8_0,guide"
).split(",")
SLOW_ROUNDS: Final = max(1, ROUNDS * 3 // 5)
"""Of what takes half a minute a time."""
N_REPLY: Final = max(8, int(128 * SHARE))
N_PROMPT: Final = max(64, int(2048 * SHARE))
N_HISTORY: Final = max(256, int(4096 * SHARE))
N_ATTACHED: Final = max(64, int(1024 * SHARE))
N_COPIED: Final = max(100, int(400 * SHARE))
CHANGED_EVERY: Final = 20
GREEDY: Final = Sampling(temperature=0.0)

pytestmark = [
    pytest.mark.bench,
    pytest.mark.timeout(7200),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@dataclass(slots=True)
class Table:
    """All lines so far, by model."""

    lines: dict[str, list[Line]] = field(default_factory=dict)

    def add(self, model: str, *lines: Line) -> None:
        """Keep lines and print them at once."""
        self.lines.setdefault(model, []).extend(lines)
        print(f"\n{model}\n{format_lines(lines)}", flush=True)

    def write(self, path: Path) -> None:
        """All lines as JSON."""
        named = {model: describe_lines(lines) for model, lines in self.lines.items()}
        path.write_text(json.dumps(named, indent=2) + "\n", encoding="utf-8")


@pytest.fixture(scope="module")
def table() -> Iterator[Table]:
    made = Table()
    began, busy = time.time(), psutil.cpu_times()
    yield made
    took_s = time.time() - began
    print(f"\n\n=== all lines; {ROUNDS} rounds, {took_s / 60:.0f} minutes ===")
    for model, lines in made.lines.items():
        print(f"\n{model}\n{format_lines(lines)}")
    stolen = getattr(psutil.cpu_times(), "steal", 0.0) - getattr(busy, "steal", 0.0)
    print(f"\nprocessor time that the machine's host took away: {stolen:.0f} s")
    if path := os.environ.get("BENCH_JSON"):
        made.write(Path(path))


@pytest.fixture(scope="module")
def peers() -> Peers:
    return obtain_peers()


@pytest.fixture(scope="module", params=MODELS)
def rig(request: pytest.FixtureRequest, peers: Peers) -> Iterator[Rig]:
    with ExitStack() as stack:
        yield Rig(stack, request.param, peers)


@pytest.fixture
def main_rig(rig: Rig) -> Rig:
    if rig.name != MAIN and MAIN in MODELS:
        pytest.skip("measured on one model")
    return rig


def test_writing_one_reply(rig: Rig, table: Table) -> None:
    rig.settle()
    ours, ceiling, server, high = take_turns(
        ROUNDS,
        lambda: rig.write(N_REPLY).decode_tps,
        lambda: rig.ceiling.write(N_REPLY),
        lambda: rig.write_by_server(N_REPLY).decode_tps,
        lambda: rig.write_by_class(N_REPLY).decode_tps,
    )
    what = f"one reply, {N_REPLY} tokens"
    aim = at_least(0.98) if rig.name != "guide" else None
    table.add(
        rig.name,
        Line(what, ours, "tokens/s", f"llama-bench tg{N_REPLY}", ceiling, aim),
        Line(
            "each token takes longer than llama-bench's by",
            tuple(1000 / own - 1000 / bare for own, bare in zip(ours, ceiling, strict=True)),
            "ms",
        ),
        Line(what, ours, "tokens/s", "llama-server", server),
        Line(what, ours, "tokens/s", "high-level class", high),
    )


def test_reading_a_prompt(rig: Rig, table: Table) -> None:
    n_tokens = min(N_PROMPT, rig.n_ctx - 64)

    def ask() -> float:
        reply = rig.probe.ask(
            Generate(run_id="", messages=rig.prompts.make(n_tokens), max_tokens=1)
        )
        return reply.n_read / reply.ttft_s

    def ask_server() -> float:
        (message,) = rig.prompts.make(n_tokens)
        reply = rig.server.ask(make_chat([("user", message.content)]), 1)
        return reply.n_read / reply.ttft_s

    ask()
    ours, ceiling, server = take_turns(
        SLOW_ROUNDS, ask, lambda: rig.ceiling.read(n_tokens), ask_server
    )
    what = f"reading {n_tokens:,} tokens"
    aim = at_least(0.98) if rig.name != "guide" else None
    table.add(
        rig.name,
        Line(what, ours, "tokens/s", f"llama-bench pp{n_tokens}", ceiling, aim),
        Line(what, ours, "tokens/s", "llama-server", server),
    )


@pytest.mark.parametrize(("n_neighbours", "bound"), [(1, 1.8), (2, 3.0)])
def test_writing_beside_busy_neighbours(
    rig: Rig, table: Table, n_neighbours: int, bound: float
) -> None:
    with run_neighbours(n_neighbours):
        rig.settle()
        ours, server = take_turns(
            ROUNDS,
            lambda: rig.write(N_REPLY // 2).decode_tps,
            lambda: rig.write_by_server(N_REPLY // 4).decode_tps,
        )
    what = f"one reply beside {n_neighbours} busy process" + ("es" if n_neighbours > 1 else "")
    aim = at_least(bound) if rig.name != "guide" else None
    table.add(rig.name, Line(what, ours, "tokens/s", "llama-server", server, aim))


def test_writing_four_replies_at_once(rig: Rig, table: Table) -> None:
    def ask() -> float:
        questions = [rig.make_question() for _ in range(4)]
        commands = [make_generate([("user", text)], N_REPLY) for text in questions]
        return count_together(rig.probe.ask_all(commands))

    def ask_server() -> float:
        prompts = [make_chat([("user", rig.make_question())]) for _ in range(4)]
        return count_together(rig.server.ask_all(prompts, N_REPLY))

    rig.settle()
    ask()
    ours, one, server = take_turns(ROUNDS, ask, lambda: rig.write(N_REPLY).decode_tps, ask_server)
    what, is_guide = "four replies at once", rig.name == "guide"
    table.add(
        rig.name,
        Line(what, ours, "tokens/s", "one reply", one, None if is_guide else at_least(1.6)),
        Line(what, ours, "tokens/s", "llama-server, 4 slots", server, at_least(1.0)),
    )


def make_history(rig: Rig, n_tokens: int) -> list[tuple[str, str]]:
    """A conversation of so many tokens."""
    (message,) = rig.prompts.make(n_tokens - 16)
    return [("user", message.content), ("assistant", "Yes, that is so.")]


def test_going_on_with_a_long_conversation(main_rig: Rig, table: Table) -> None:
    rig = main_rig
    history = make_history(rig, N_HISTORY)
    rig.probe.ask(make_generate([*history, ("user", "Why?")], 2))
    rig.server.ask(make_chat([*history, ("user", "Why?")]), 2)
    texts = [f"{i}. Say the same again in other words, and shorter." for i in range(ROUNDS * 4)]
    questions, alone, by_server = iter(texts), iter(texts), iter(texts)
    rig.settle()
    ours, empty, server = take_turns(
        ROUNDS * 3,
        lambda: rig.probe.ask(make_generate([*history, ("user", next(questions))], 1)).ttft_s,
        lambda: rig.probe.ask(make_generate([("user", next(alone))], 1)).ttft_s,
        lambda: rig.server.ask(make_chat([*history, ("user", next(by_server))]), 1).ttft_s,
    )
    what = f"first token, next turn after {N_HISTORY:,} tokens"
    table.add(
        rig.name,
        Line(what, ours, "s", "the same with no history", empty, at_most(1.3)),
        Line(what, ours, "s", "llama-server", server),
    )


def test_going_on_after_a_restart(main_rig: Rig, table: Table, tmp_path: Path) -> None:
    rig = main_rig
    history = make_history(rig, N_HISTORY)
    with Probe() as probe:
        probe.load(rig.make_load(tmp_path))
        probe.ask(make_generate([*history, ("user", "Why?")], 2, scope="bench"))
        assert wait_for_snapshot(tmp_path), "no memory was put on the disk"

    def ask(folder: Path | None) -> float:
        with Probe() as probe:
            probe.load(rig.make_load(folder))
            question = ("user", rig.make_question())
            return probe.ask(make_generate([*history, question], 1, scope="bench")).ttft_s

    ours, again = take_turns(SLOW_ROUNDS, lambda: ask(tmp_path), lambda: ask(None))
    what = f"first token after a restart, {N_HISTORY:,} tokens"
    aim = at_least(100.0)
    table.add(
        rig.name,
        Line(what, ours, "s", "reading them again", again, aim, counts_speedup=True),
    )


def test_an_attachment_that_was_read_while_typing(main_rig: Rig, table: Table) -> None:
    rig = main_rig

    def ask(n_words_left: int) -> tuple[float, float]:
        """Type, with some words after the last pause, and press Enter."""
        (attached,) = rig.prompts.make(N_ATTACHED)
        question = "What does it say about the sea, and why does that matter?"
        words = question.split(" ")
        typed = " ".join(words[: len(words) - n_words_left])
        seen = PromptMessage("user", f"{attached.content}\n\n{typed}")
        rig.probe.submit(ReadAhead(messages=(seen,)))
        wait_until_idle(rig.probe)
        asked = [("user", f"{attached.content}\n\n{question}")]
        reply = rig.probe.ask(make_generate(asked, N_REPLY // 2))
        return reply.ttft_s / (reply.decode_s / reply.n_decoded), reply.ttft_s

    rig.settle()
    all_steps, all_s, some_steps, some_s = take_turns(ROUNDS, lambda: ask(0), lambda: ask(3))
    what = f"first token, {N_ATTACHED:,} tokens attached and read while typing"
    table.add(
        rig.name,
        Line(f"{what} ({median(all_s) * 1000:.0f} ms)", all_steps, "steps", aim=at_most(3.0)),
        Line(f"the same, Enter right after three words ({median(some_s) * 1000:.0f} ms)",
             some_steps, "steps"),
    )  # fmt: skip


@pytest.fixture(scope="module")
def reciter(peers: Peers) -> Iterator[tuple[Probe, list[str]]]:
    """A model of the main shape that writes words none of which comes twice."""
    shape, _, quantisation = MAIN.rpartition("-")
    path, words = obtain_reciting_gguf(SHAPES[shape], quantisation, peers)  # type: ignore[arg-type]
    with Probe() as probe:
        probe.load(Load(model_id="bench", path=str(path)))
        yield probe, words


@pytest.mark.parametrize(
    ("task", "changed_every", "bound"),
    [
        ("copying a text", None, 1.8),
        (f"copying a text, each {CHANGED_EVERY}th word mended", CHANGED_EVERY, 1.8),
        ("text that never repeats", None, 0.98),
    ],
)
def test_guessing_ahead(
    reciter: tuple[Probe, list[str]],
    table: Table,
    task: str,
    changed_every: int | None,
    bound: float,
) -> None:
    """With `changed_every`, so many words apart a word of the text in the prompt is another one."""
    probe, words = reciter
    question = "Tell me something."
    if task.startswith("copying"):
        copied = [words[-1 - i] if changed_every and i % changed_every == 10 else word
                  for i, word in enumerate(words[:N_COPIED])]  # fmt: skip
        question = f"Say this with each mistake mended:{''.join(copied)}"

    def ask(*, speculates: bool) -> float:
        command = make_generate(
            [("user", question)], N_COPIED, sampling=GREEDY, speculates=speculates
        )
        reply = probe.ask(command)
        assert reply.text.split() == "".join(words[: reply.usage.output_tokens]).split()
        return reply.decode_tps

    ask(speculates=True)
    ask(speculates=False)
    ours, plain = take_turns(ROUNDS, lambda: ask(speculates=True), lambda: ask(speculates=False))
    table.add(
        f"{MAIN}, reciting",
        Line(f"guessing ahead, {task}", ours, "tokens/s", "without", plain, at_least(bound)),
    )


def test_cost_above_the_library(table: Table, tmp_path: Path) -> None:
    """On a model so small that what the engine adds to each token can be seen."""
    path = write_tiny_gguf(tmp_path / "m.gguf", never_ends=True)
    with ExitStack() as stack:
        loop = stack.enter_context(BareLoop(path))
        probe = stack.enter_context(Probe())
        probe.load(Load(model_id="bench", path=str(path), options=LoadOptions(n_threads=1)))
        command = make_generate([("user", "hello")], 600, sampling=GREEDY, speculates=False)
        probe.ask(command)
        ours, bare = take_turns(
            ROUNDS * 3, lambda: 1000 / probe.ask(command).decode_tps, lambda: loop.run(600) * 1000
        )
    added = tuple(own - alone for own, alone in zip(ours, bare, strict=True))
    what = "the engine's part of each token, greedy"
    table.add("a tiny model", Line(what, added, "ms", aim=at_most(0.3)))


def test_memory_beyond_the_model(table: Table) -> None:
    """Window, engine and renderer with the guide loaded; what they share is counted once."""
    if not has_xvfb():
        pytest.skip("Xvfb is not here")
    with tempfile.TemporaryDirectory() as folder, open_display() as display:
        program = Program(Path(folder) / "home", DISPLAY=display, INGLENOOK_LOG="debug")
        values = [measure_memory(program) for _ in range(3)]
    table.add(
        "guide",
        Line("memory of window and engine, without model and KV",
             tuple(proportional for proportional, _ in values), "MB", aim=at_most(220.0)),
        Line("the same, what they share counted for each",
             tuple(resident for _, resident in values), "MB"),
    )  # fmt: skip
