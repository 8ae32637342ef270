"""Reasoning in the real engine: models that say a script, under the templates of families."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from inglenook.engine.local import LocalEngine
from inglenook.engine.protocol import Finished, Loaded, PromptMessage, Text
from support.chat_templates import COMMAND_R7B, GPT_OSS, NEMOTRON3, QWEN3
from support.recorder import Recorder, make_generate
from support.scripted_gguf import write_scripted_gguf

THOUGHTS = ["Let ", "me ", "see", ". ", "Six ", "times ", "seven."]
ANSWER = ["It ", "is ", "42!"]

type MakeScripted = Callable[..., Path]


@pytest.fixture
def make_scripted(tmp_path: Path) -> MakeScripted:
    def make(
        *,
        opening: str = "<think>",
        closing: str = "</think>",
        template: str = QWEN3,
        **more: object,
    ) -> Path:
        script = [*([opening] if opening else []), *THOUGHTS, closing, *ANSWER]
        marks = [opening, closing, *THOUGHTS, *ANSWER]
        values: dict[str, object] = {"marks": marks, "n_embd": 256, "template": template, **more}
        return write_scripted_gguf(tmp_path / "thinker.gguf", script, **values)  # type: ignore[arg-type]

    return make


def read_parts(recorder: Recorder, run_id: str) -> tuple[str, str]:
    """The reasoning and the answer of a reply."""
    texts = [e for e in recorder.events if isinstance(e, Text) and e.run_id == run_id]
    return (
        "".join(e.piece for e in texts if e.part == "reasoning"),
        "".join(e.piece for e in texts if e.part == "answer"),
    )


def ask(recorder: Recorder, engine: LocalEngine, run_id: str, **more: object) -> Finished:
    generate = make_generate(run_id, "How much is it?", max_tokens=60)
    engine.submit(msgspec.structs.replace(generate, **more))
    ended = recorder.wait_for_end(run_id)
    assert isinstance(ended, Finished), ended
    return ended


def load(recorder: Recorder, engine: LocalEngine, path: Path) -> Loaded:
    loaded = recorder.load(engine, path)
    assert isinstance(loaded, Loaded)
    return loaded


def test_marks_of_plain_tokens(
    make_scripted: MakeScripted, recorder: Recorder, local: LocalEngine
) -> None:
    loaded = load(recorder, local, make_scripted())
    assert (loaded.reasoning, loaded.reasons_unasked) == ("switchable", True)
    ended = ask(recorder, local, "r")
    assert ended.reason == "stop"
    assert read_parts(recorder, "r") == ("Let me see. Six times seven.", "It is 42!")
    assert ended.usage.reasoning_tokens == len(THOUGHTS) + 2
    assert ended.usage.output_tokens == len(THOUGHTS) + 2 + len(ANSWER)
    assert 0.0 < ended.timings.reasoning_s <= ended.timings.decode_s


def test_marks_of_control_tokens(
    make_scripted: MakeScripted, recorder: Recorder, local: LocalEngine
) -> None:
    controls = ("<|START_THINKING|>", "<|END_THINKING|>")
    path = make_scripted(
        opening=controls[0], closing=controls[1], template=COMMAND_R7B, controls=controls
    )
    assert load(recorder, local, path).reasoning == "switchable"
    ask(recorder, local, "r", thinks=True)
    assert read_parts(recorder, "r") == ("Let me see. Six times seven.", "It is 42!")


def test_channels(tmp_path: Path, recorder: Recorder, local: LocalEngine) -> None:
    # The library takes <|end|> for a reply's end unless these two are there, as in gpt-oss.
    others = ("<|start|>", "<|return|>", "<|call|>")
    controls = ("<|channel|>", "<|message|>", "<|end|>", *others)
    script = ["<|channel|>", "analysis", "<|message|>", *THOUGHTS, "<|end|>", *ANSWER]
    path = write_scripted_gguf(
        tmp_path / "m.gguf",
        [*script, *others],
        template=GPT_OSS,
        controls=controls,
        marks=[*THOUGHTS, "analysis"],
    )
    assert load(recorder, local, path).reasoning == "always"
    ask(recorder, local, "r", max_tokens=len(script))
    assert read_parts(recorder, "r") == ("Let me see. Six times seven.", "It is 42!")


def test_a_prompt_that_opens_the_reasoning(
    make_scripted: MakeScripted, recorder: Recorder, local: LocalEngine
) -> None:
    path = make_scripted(opening="", template=NEMOTRON3)
    load(recorder, local, path)
    ask(recorder, local, "r")
    assert read_parts(recorder, "r") == ("Let me see. Six times seven.", "It is 42!")


def test_turned_off_the_prompt_closes_it(
    make_scripted: MakeScripted, recorder: Recorder, local: LocalEngine
) -> None:
    load(recorder, local, make_scripted(opening="", template=NEMOTRON3))
    ended = ask(recorder, local, "r", thinks=False)
    assert read_parts(recorder, "r") == ("", "It is 42!")
    assert (ended.usage.reasoning_tokens, ended.timings.reasoning_s) == (0, 0.0)


@pytest.mark.parametrize("budget", [0, 1, 3])
def test_a_budget_ends_it_and_the_answer_begins(
    make_scripted: MakeScripted, recorder: Recorder, local: LocalEngine, budget: int
) -> None:
    load(recorder, local, make_scripted(opening="", template=NEMOTRON3))
    ended = ask(recorder, local, "r", reasoning_budget=budget)
    assert ended.reason == "stop"
    assert read_parts(recorder, "r") == ("".join(THOUGHTS[:budget]).strip(), "It is 42!")
    assert ended.usage.reasoning_tokens == budget + 1  # The mark that was put there counts.
    # What was put there is in memory as if it had been drawn: asked again, all is as before.
    again = ask(recorder, local, "s", reasoning_budget=budget)
    assert read_parts(recorder, "s") == read_parts(recorder, "r")
    assert again.usage.output_tokens == ended.usage.output_tokens


def test_a_budget_that_is_not_used_up_changes_nothing(
    make_scripted: MakeScripted, recorder: Recorder, local: LocalEngine
) -> None:
    load(recorder, local, make_scripted())
    ask(recorder, local, "r", reasoning_budget=100)
    assert read_parts(recorder, "r") == ("Let me see. Six times seven.", "It is 42!")


def test_a_budget_below_zero_is_refused(
    make_scripted: MakeScripted, recorder: Recorder, local: LocalEngine
) -> None:
    load(recorder, local, make_scripted())
    local.submit(msgspec.structs.replace(make_generate("r", "x"), reasoning_budget=-1))
    assert getattr(recorder.wait_for_end("r"), "code", "") == "bad_request"


@pytest.mark.parametrize(("n_thoughts", "n_said"), [(3, 0), (7, 0), (7, 2)])
@pytest.mark.parametrize("thinks", [None, True, False])
def test_a_reply_that_was_cut_off_goes_on_where_it_was(
    make_scripted: MakeScripted,
    recorder: Recorder,
    local: LocalEngine,
    n_thoughts: int,
    n_said: int,
    thinks: bool | None,
) -> None:
    load(recorder, local, make_scripted(opening="", template=NEMOTRON3))
    begun = PromptMessage("assistant", "".join(ANSWER[:n_said]), "".join(THOUGHTS[:n_thoughts]))
    messages = (PromptMessage("user", "How much is it?"), begun)
    ask(recorder, local, "r", messages=messages, continue_last=True, thinks=thinks)
    assert read_parts(recorder, "r") == (
        "".join(THOUGHTS[n_thoughts:]),
        "".join(ANSWER[n_said:]),
    )


def test_a_budget_counts_what_was_thought_before(
    make_scripted: MakeScripted, recorder: Recorder, local: LocalEngine
) -> None:
    load(recorder, local, make_scripted(opening="", template=NEMOTRON3))
    begun = PromptMessage("assistant", "", "".join(THOUGHTS[:3]))
    messages = (PromptMessage("user", "How much is it?"), begun)
    ended = ask(recorder, local, "r", messages=messages, continue_last=True, reasoning_budget=5)
    assert read_parts(recorder, "r") == ("".join(THOUGHTS[3:5]).rstrip(), "It is 42!")
    assert ended.usage.reasoning_tokens == 3  # Of this part alone.


def test_a_whole_reply_that_goes_on_is_not_read_again(
    make_scripted: MakeScripted, recorder: Recorder, local: LocalEngine
) -> None:
    load(recorder, local, make_scripted(opening="", template=NEMOTRON3))
    first = ask(recorder, local, "r", max_tokens=len(THOUGHTS) + 3)
    thought, said = read_parts(recorder, "r")
    assert (first.reason, said) == ("length", "It is ")
    begun = PromptMessage("assistant", said, thought)
    messages = (PromptMessage("user", "How much is it?"), begun)
    second = ask(recorder, local, "s", messages=messages, continue_last=True)
    assert read_parts(recorder, "s") == ("", "42!")
    held = first.usage.prompt_tokens + first.usage.output_tokens
    assert second.usage.prompt_tokens == held
    assert second.usage.cached_tokens >= held - 2


def test_the_next_prompt_reuses_all_before_the_reasoning(
    make_scripted: MakeScripted, recorder: Recorder, local: LocalEngine
) -> None:
    load(recorder, local, make_scripted())
    first = ask(recorder, local, "r")
    _, said = read_parts(recorder, "r")
    messages = (
        PromptMessage("user", "How much is it?"),
        PromptMessage("assistant", said),
        PromptMessage("user", "Sure?"),
    )
    second = ask(recorder, local, "s", messages=messages)
    assert second.usage.cached_tokens >= first.usage.prompt_tokens


def test_stop_texts_do_not_end_reasoning(
    make_scripted: MakeScripted, recorder: Recorder, local: LocalEngine
) -> None:
    load(recorder, local, make_scripted())
    ask(recorder, local, "r", stop=("see", "42"))
    assert read_parts(recorder, "r") == ("Let me see. Six times seven.", "It is ")
