"""Chat templates from strangers: in a sandbox, in their own process, under limits."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from inglenook.engine.prompts.renderer import Render
from inglenook.engine.prompts.template import TemplateError, TemplateRenderer


@pytest.fixture
def renderer() -> Iterator[TemplateRenderer]:
    renderer = TemplateRenderer()
    yield renderer
    renderer.close()


def render(renderer: TemplateRenderer, template: str, *contents: str) -> str:
    return renderer.render(
        Render(
            template=template,
            messages=tuple(("user", content) for content in contents or ("hi",)),
            add_generation_prompt=True,
            bos="<s>",
            eos="</s>",
        )
    )


def test_what_real_templates_use_works(renderer: TemplateRenderer) -> None:
    template = (
        "{{ bos_token }}{%- for m in messages if m['role'] != 'system' -%}\n"
        "{%- if loop.index0 > 5 -%}{% break %}{%- endif -%}"
        "{% set ns = namespace(n=1) %}{% generation %}[{{ m.content | trim }}]{% endgeneration %}"
        "{% endfor %}{{ {'a': 'é'} | tojson }}{{ strftime_now('%Y')[:1] }}"
        "{% if not tools %}{{ eos_token }}{% endif %}"
    )
    assert render(renderer, template, " a ", "b") == '<s>[a][b]{"a": "é"}2</s>'


INJECTIONS = [
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ cycler.__init__.__globals__.os.system('touch CANARY') }}",
    "{{ joiner.__init__.__globals__['os'].popen('touch CANARY').read() }}",
    "{{ messages|attr('__class__')|attr('__base__') }}",
    "{{ ''|attr('form'+'at')|attr('__globals__') }}",
    "{{ '{0.__class__.__init__.__globals__}'.format(messages) }}",
    "{{ ('{0.__class__}'|string).format_map({'0': messages}) }}",
    "{{ raise_exception.__globals__['os'].system('touch CANARY') }}",
    "{{ strftime_now.__globals__.__builtins__.open('CANARY', 'w') }}",
    "{{ self.__init__.__globals__ }}",
    "{% import 'os' as os %}",
    "{% include '/etc/passwd' %}",
    "{{ messages.append('x') }}",
    "{{ messages[0].update({'content': 'x'}) }}",
    "{{ lipsum.__globals__.os.system('touch CANARY') }}",
]


@pytest.mark.parametrize("template", INJECTIONS)
def test_A08_injection_is_stopped(
    renderer: TemplateRenderer,
    template: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    canary = tmp_path / "canary"
    try:
        text = render(renderer, template.replace("CANARY", str(canary)))
    except TemplateError as error:
        assert error.code in {"security", "failed", "syntax"}  # noqa: PT017
    else:
        assert not text, "a forbidden attribute is at best undefined"
    assert not canary.exists()
    assert render(renderer, "still {{ messages[0].content }}") == "still hi"


BOMBS = {
    "nested ranges": "{% for a in range(99999) %}{% for b in range(99999) %}"
    "{% for c in range(99999) %}{% endfor %}{% endfor %}{% endfor %}",
    "string of ten billion": "{{ 'x' * 10000000000 }}",
    "doubling": "{% set ns = namespace(s='xxxxxxxx') %}{% for i in range(60) %}"
    "{% set ns.s = ns.s + ns.s %}{% endfor %}{{ ns.s }}",
    "recursive macro": "{% macro f(n) %}{{ f(n + 1) }}{{ f(n + 1) }}{% endmacro %}{{ f(0) }}",
    "wide number": "{{ 10 ** (10 ** 10) }}",
    "padding": "{{ '%9999999999d' % 1 }}",
}


@pytest.mark.parametrize("name", BOMBS)
def test_A09_bomb_meets_its_limits(renderer: TemplateRenderer, name: str) -> None:
    render(renderer, "warm")
    started = time.monotonic()
    with pytest.raises(TemplateError) as caught:
        render(renderer, BOMBS[name])
    assert caught.value.code in {"limits", "failed"}
    assert time.monotonic() - started < 7
    assert render(renderer, "alive") == "alive"


@pytest.mark.parametrize(
    ("template", "code", "word"),
    [
        ("{% for m in", "syntax", "end of"),
        ("{{ raise_exception('Roles must alternate') }}", "raised", "alternate"),
        ("{{ messages[7].content }}", "failed", "no element"),
        ("{{ nothing.here }}", "failed", "undefined"),
        ("{% macro %}", "syntax", ""),
    ],
)
def test_A10_faults_are_readable(
    renderer: TemplateRenderer, template: str, code: str, word: str
) -> None:
    with pytest.raises(TemplateError) as caught:
        render(renderer, template)
    assert caught.value.code == code
    assert word in caught.value.message


def test_close_is_idempotent_and_render_starts_again() -> None:
    renderer = TemplateRenderer()
    assert render(renderer, "a") == "a"
    renderer.close()
    renderer.close()
    assert render(renderer, "b") == "b"
    renderer.close()
