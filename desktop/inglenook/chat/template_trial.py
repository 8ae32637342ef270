"""A model's chat template, tried before the model is ever loaded. Called on worker threads.

It is a program that came with a file, so it is rendered where all are: in a process of its own,
within limits (`engine/prompts/renderer.py`).
"""

from pathlib import Path
from typing import Final

from inglenook.engine.prompts.renderer import Render
from inglenook.engine.prompts.template import TemplateRenderer, try_template
from inglenook.engine.protocol import PromptMessage
from inglenook.models.gguf import KEPT_TEMPLATE_BYTES, read_header

WORKS: Final = "was tried, and works"
NONE: Final = "none in the file; a plain one stands in"
TOO_LONG: Final = "too long to be tried before the model is loaded"


def describe_template(template: str) -> str:
    """How a template did on one message, as the end of a sentence that begins with its name."""
    if not template:
        return NONE
    if len(template.encode()) > KEPT_TEMPLATE_BYTES - 4:
        return TOO_LONG
    renderer = TemplateRenderer()

    def render(text: str, said: PromptMessage) -> str:
        return renderer.render(
            Render(
                template=text,
                messages=((said.role, said.content),),
                add_generation_prompt=True,
                bos="<s>",
                eos="</s>",
            )
        )

    try:
        reason = try_template(template, render)
    finally:
        renderer.close()
    return f"could not be used ({reason}); a plain one stands in" if reason else WORKS


def find_template_problem(path: Path | str) -> str:
    """A sentence about a file whose template does not do; "" where all is well.

    Raises what `read_header` raises.
    """
    described = describe_template(read_header(path).chat_template)
    if described in {WORKS, TOO_LONG}:
        return ""
    if described == NONE:
        return "The file has no chat template; a plain one stands in."
    return f"Its chat template {described}."
