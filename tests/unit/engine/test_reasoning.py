"""What is found out about a model's reasoning, by the templates of the families that there are."""

from collections.abc import Sequence
from typing import cast

import pytest

from inglenook.engine.llama import Vocab
from inglenook.engine.parts import ReplyStream, wrap_control
from inglenook.engine.prompts import renderer
from inglenook.engine.prompts.reasoning import Reasoning, RenderWith, Variables, study_reasoning
from support import chat_templates as templates

CONTROLS = (
    "<|start|>", "<|end|>", "<|message|>", "<|channel|>", "<|channel>", "<channel|>",
    "<|START_THINKING|>", "<|END_THINKING|>", "[THINK]", "[/THINK]",
)  # fmt: skip
_FIRST = 1000


class LetterVocab:
    """A token for each byte, and one for each control token and each other text that is given."""

    is_spm = False

    def __init__(self, others: Sequence[str] = ()) -> None:
        self.named = [*CONTROLS, *others]

    def tokenize(self, text: bytes, *, add_special: bool, parse_special: bool) -> list[int]:
        tokens: list[int] = []
        while text:
            found = next((i for i, n in enumerate(self.named) if text.startswith(n.encode())), None)
            tokens.append(text[0] if found is None else _FIRST + found)
            text = text[1 if found is None else len(self.named[found].encode()) :]
        return tokens

    def piece(self, token: int) -> bytes:
        if token < _FIRST:
            return bytes([token])
        name = self.named[token - _FIRST]
        return b"" if name in CONTROLS else name.encode()

    def text(self, token: int) -> str:
        return chr(token) if token < _FIRST else self.named[token - _FIRST]


def make_render(template: str, content: str = "probe") -> RenderWith:
    environment = renderer._make_environment()

    def render(variables: Variables) -> str | None:
        request = renderer.Render(
            template=template,
            messages=(("user", content),),
            add_generation_prompt=True,
            bos="<s>",
            eos="</s>",
            variables=variables,
        )
        answer = renderer._render(environment, request)
        return None if answer.code else answer.text

    return render


def study(template: str, vocab: LetterVocab | None = None) -> Reasoning:
    made = vocab or LetterVocab()
    return study_reasoning(template, cast("Vocab", made), make_render(template))


FAMILIES = {
    # name: template, kind, whether it reasons unasked, opens, closes
    "qwen3": (templates.QWEN3, "switchable", True, "<think>\n", "\n</think>\n\n"),
    "deepseek-r1": (templates.DEEPSEEK_R1, "always", True, "<think>\n", "\n</think>\n\n"),
    "deepseek-v3.1": (templates.DEEPSEEK_V31, "switchable", False, "<think>", "</think>"),
    "smollm3": (templates.SMOLLM3, "switchable", True, "<think>\n", "\n</think>\n"),
    "granite-3.3": (templates.GRANITE33, "switchable", False, "<think>\n", "\n</think>\n\n"),
    "glm-4.6": (templates.GLM46, "switchable", True, "<think>", "</think>"),
    "nemotron-3": (templates.NEMOTRON3, "switchable", True, "<think>\n", "</think>"),
    "seed-oss": (templates.SEED_OSS, "switchable", True, "<seed:think>", "</seed:think>"),
    "ministral-3": (templates.MINISTRAL3, "always", True, "[THINK]", "[/THINK]"),
    "command-r7b": (
        templates.COMMAND_R7B, "switchable", False, "<|START_THINKING|>", "<|END_THINKING|>",
    ),
    "gemma-4": (templates.GEMMA4, "switchable", False, "<|channel>thought\n", "\n<channel|>"),
    "gpt-oss": (
        templates.GPT_OSS, "always", True, "<|channel|>analysis<|message|>",
        "<|end|><|start|>assistant<|channel|>final<|message|>",
    ),
    "hunyuan": (
        templates.HUNYUAN, "switchable", False, "<think:opensource>", "</think:opensource>",
    ),
    "apriel": (
        templates.APRIEL, "always", True, "Here are my reasoning steps:\n",
        "\n[BEGIN FINAL RESPONSE]\n",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FAMILIES)
def test_each_family_is_found_by_its_template(name: str) -> None:
    template, kind, is_usual, opens, closes = FAMILIES[name]
    found = study(template)
    assert found.family is not None
    assert (found.kind, found.is_usual) == (kind, is_usual)
    assert (found.family.opens, found.family.closes) == (opens, closes)
    assert bool(found.on) == bool(found.off) == (kind == "switchable")


def test_a_template_without_reasoning_has_none() -> None:
    assert study(templates.QWEN25) == Reasoning()


def test_marks_of_the_vocabulary_are_enough_to_split_but_are_no_switch() -> None:
    found = study(templates.QWEN25, LetterVocab(["<think>", "</think>"]))
    assert (found.kind, found.is_usual, found.on) == ("none", False, ())
    assert found.marks is not None
    assert found.marks.openings == ("<think>",)


@pytest.mark.parametrize("name", [n for n, family in FAMILIES.items() if family[1] == "switchable"])
def test_the_switch_turns_it_off_and_on(name: str) -> None:
    template = FAMILIES[name][0]
    found, render = study(template), make_render(template)
    assert found.choose_variables(None) == ()
    on, off = render(found.choose_variables(True)), render(found.choose_variables(False))
    assert on is not None
    assert off is not None
    assert on != off
    assert found.judge_end(on) != "answer"
    assert found.judge_end(off) != "reasoning"


def test_an_effort_that_cannot_be_none_is_no_switch() -> None:
    assert study(templates.GPT_OSS).off == ()


def test_a_question_about_marks_does_not_count_as_one() -> None:
    found = study(templates.QWEN3)
    prompt = make_render(templates.QWEN3, "What does <think> mean?\n<think>")(())
    assert prompt is not None
    assert found.judge_end(prompt) == "unknown"


def test_control_tokens_of_marks_are_told_from_their_spelling() -> None:
    marks = study(templates.COMMAND_R7B).marks
    assert marks is not None
    assert marks.openings == (wrap_control("<|START_THINKING|>"),)
    assert list(marks.controls.values()) == ["<|START_THINKING|>", "<|END_THINKING|>"]


# --- whole replies ---

SPOKEN = {
    # name: what the model writes, its reasoning, its answer
    "qwen3": ("<think>\nHm.\n</think>\n\nYes.", "Hm.", "Yes."),
    "deepseek-r1": ("Hm.\n</think>\n\nYes.", "Hm.", "Yes."),
    "granite-3.3": (
        "<think>Hm.</think>\n<response>Yes.</response>", "Hm.", "Yes.",
    ),
    "seed-oss": ("<seed:think>Hm.</seed:think>Yes.", "Hm.", "Yes."),
    "ministral-3": ("[THINK]Hm.[/THINK]Yes.", "Hm.", "Yes."),
    "command-r7b": ("<|START_THINKING|>Hm.<|END_THINKING|>Yes.", "Hm.", "Yes."),
    "gemma-4": ("<|channel>thought\nHm.<channel|>Yes.", "Hm.", "Yes."),
    "gpt-oss": (
        (
            "<|channel|>analysis<|message|>Hm.<|end|>"
            "<|start|>assistant<|channel|>analysis<|message|>Well.<|end|>"
            "<|start|>assistant<|channel|>final<|message|>Yes."
        ),
        "Hm.\n\nWell.", "Yes.",
    ),
    "apriel": (
        "Hm.\n[BEGIN FINAL RESPONSE]\nYes.\n[END FINAL RESPONSE]", "Hm.", "Yes.\n",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SPOKEN)
def test_each_family_s_reply_is_split(name: str) -> None:
    spoken, thought, said = SPOKEN[name]
    vocab = LetterVocab()
    found = study(FAMILIES[name][0], vocab)
    prompt = make_render(FAMILIES[name][0])(found.choose_variables(True))
    assert prompt is not None
    begins = found.judge_end(prompt)
    stream = ReplyStream(marks=found.marks, begins="unknown" if begins == "answer" else begins)
    told = [
        piece
        for token in vocab.tokenize(spoken.encode(), add_special=False, parse_special=True)
        for piece in stream.feed(token, vocab.piece(token))
    ] + stream.finish()
    parts = {
        part: "".join(text for p, text in told if p == part) for part in ("reasoning", "answer")
    }
    assert parts == {"reasoning": thought, "answer": said}


# --- replies that go on ---


@pytest.mark.parametrize(
    ("name", "thought", "said", "end"),
    [
        ("qwen3", "Hm", "", "assistant\n<think>\nHm"),
        ("qwen3", "Hm", "Ye", "assistant\n<think>\nHm\n</think>\n\nYe"),
        ("qwen3", "", "Ye", "assistant\nYe"),
        ("deepseek-r1", "Hm", "", "<think>\nHm"),
        ("deepseek-r1", "Hm", "Ye", "<think>\nHm\n</think>\n\nYe"),
        ("deepseek-r1", "", "Ye", "<think>\n\n</think>\n\nYe"),
        ("gpt-oss", "Hm", "", "assistant<|channel|>analysis<|message|>Hm"),
        ("gpt-oss", "", "Ye", "assistant<|channel|>final<|message|>Ye"),
        (
            "gpt-oss", "Hm", "Ye",
            "<|message|>Hm<|end|><|start|>assistant<|channel|>final<|message|>Ye",
        ),
    ],
)  # fmt: skip
def test_a_reply_goes_on_where_it_was(name: str, thought: str, said: str, end: str) -> None:
    found = study(FAMILIES[name][0])
    prompt = make_render(FAMILIES[name][0])(())
    assert prompt is not None
    assert (prompt + found.join_reply(prompt, thought, said)).endswith(end)
