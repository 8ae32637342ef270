"""How a conversation is laid out as tokens: the template's text and its control tokens.

Called by training, conversion and evaluation, so that all three lay out the same bytes.
Content is tokenised apart from the control tokens: what a user types stays text.
"""

from __future__ import annotations

UNKNOWN = "<unk>"
START = "<|im_start|>"
END = "<|im_end|>"
CONTROL_TOKENS = (UNKNOWN, START, END)
"""In the order of their ids: 0, 1, 2."""

TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
"""Jinja source written to the file's `tokenizer.chat_template`."""
