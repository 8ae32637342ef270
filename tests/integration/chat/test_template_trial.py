"""Chat templates are tried before a model is loaded, in the process that renders them later."""

from pathlib import Path

import pytest

from inglenook.base.paths import find_asset
from inglenook.chat.template_trial import (
    NONE,
    TOO_LONG,
    WORKS,
    describe_template,
    find_template_problem,
)
from support.chat_templates import DEEPSEEK_R1, QWEN3
from support.gguf_bytes import make_gguf, make_keys


@pytest.mark.parametrize("template", [QWEN3, DEEPSEEK_R1])
def test_real_templates_work(template: str) -> None:
    assert describe_template(template) == WORKS


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{% for m in messages %}{{ m.content }}", "unexpected end"),
        ("{{ raise_exception('no users here') }}", "no users here"),
        ("hello", "leaves out what is said"),
        ("{{ messages[0].content.__class__.__mro__ }}", ""),
        ("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}", "two"),
    ],
)
def test_others_say_why_not(template: str, reason: str) -> None:
    described = describe_template(template)
    assert described.startswith("could not be used (")
    assert described.endswith("a plain one stands in")
    assert reason in described.lower()


def test_without_one_and_with_a_huge_one() -> None:
    assert describe_template("") == NONE
    assert describe_template("x" * 70_000) == TOO_LONG


def test_a_file_says_what_is_wrong_with_its_template(tmp_path: Path) -> None:
    assert find_template_problem(find_asset("assets", "guide.gguf")) == ""
    path = tmp_path / "model.gguf"
    path.write_bytes(make_gguf(make_keys(changes={"tokenizer.chat_template": "{% if %}"})))
    assert find_template_problem(path).startswith("Its chat template could not be used (")
    keys = [(key, value) for key, value in make_keys() if key != "tokenizer.chat_template"]
    path.write_bytes(make_gguf(keys))
    assert find_template_problem(path) == "The file has no chat template; a plain one stands in."
