from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inglenook.chat.prompt import TITLE_LENGTH, build_prompt, make_title
from inglenook.store.records import Message, Role


def say(role: Role, content: str) -> Message:
    return Message(
        id=content,
        conversation_id="c",
        parent_id=None,
        role=role,
        content=content,
        status="complete",
        created_at=datetime(2025, 1, 1, tzinfo=UTC),
    )


def told(system: str, *thread: Message) -> list[tuple[str, str]]:
    return [(message.role, message.content) for message in build_prompt(system, thread)]


def test_a_prompt_is_the_system_prompt_and_the_whole_thread() -> None:
    assert told("Be kind.", say("user", "a"), say("assistant", "b"), say("user", "c")) == [
        ("system", "Be kind."),
        ("user", "a"),
        ("assistant", "b"),
        ("user", "c"),
    ]


def test_a_blank_system_prompt_is_not_said() -> None:
    assert told("  \n", say("user", "a")) == [("user", "a")]


def test_a_reply_without_text_is_left_out_and_roles_still_take_turns() -> None:
    assert told("", say("user", "a"), say("assistant", ""), say("user", "b")) == [
        ("user", "a\n\nb")
    ]


def test_B07_nothing_is_dropped_for_its_length() -> None:
    long = "word " * 100_000
    assert told("", say("user", long), say("assistant", long), say("user", "x"))[0][1] == long


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("What is a token?", "What is a token?"),
        ("\n\n  # A **bold** start\nmore", "A bold start"),
        ("```python\nprint(1)\n```", "python"),
        ("- [ ] buy milk", "[ ] buy milk"),
        ("?!", "?!"),
        (
            "How do I make a sourdough starter from rye flour and water at home?",
            "How do I make a sourdough starter from rye…",
        ),
    ],
)
def test_a_title_is_the_first_words(text: str, title: str) -> None:
    assert make_title(text) == title


@given(st.text(min_size=1))
def test_a_title_is_one_short_line(text: str) -> None:
    title = make_title(text)
    assert 0 < len(title) <= TITLE_LENGTH
    assert len(title.splitlines()) <= 1
