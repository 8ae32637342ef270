"""A transcript in a window of its own, and messages to show in it."""

import itertools
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from PySide6.QtWidgets import QVBoxLayout, QWidget
from pytestqt.qtbot import QtBot

from inglenook.gui.theme import Theme
from inglenook.gui.transcript import Transcript
from inglenook.store.records import Message

type MakeMessage = Callable[..., Message]


@pytest.fixture
def theme(qapp: object) -> Theme:
    made = Theme()
    made.apply("light", 1.0)
    return made


@pytest.fixture
def make_message() -> MakeMessage:
    numbers = itertools.count(1)

    def make(role: str, content: str = "", parent: Message | None = None, **more: Any) -> Message:
        return Message(
            id=f"m{next(numbers)}", conversation_id="c", role=role,  # type: ignore[arg-type]
            parent_id=parent.id if parent else None, content=content,
            status=more.pop("status", "complete"), created_at=datetime(2025, 1, 1, tzinfo=UTC),
            **more,
        )  # fmt: skip

    return make


@pytest.fixture
def transcript(theme: Theme, qtbot: QtBot) -> Iterator[Transcript]:
    window = QWidget()
    column = QVBoxLayout(window)
    column.setContentsMargins(0, 0, 0, 0)
    made = Transcript(theme)
    column.addWidget(made)
    window.resize(820, 700)
    qtbot.addWidget(window)
    window.show()
    qtbot.waitExposed(window)
    yield made
    window.close()


@pytest.fixture
def make_thread(make_message: MakeMessage) -> Callable[[int], list[Message]]:
    """A thread of n messages, questions and replies in turn."""

    def make(n: int) -> list[Message]:
        messages: list[Message] = []
        for index in range(n):
            role = "assistant" if index % 2 else "user"
            text = f"Message number {index}. " + "Some words follow. " * (3 + index % 5)
            messages.append(make_message(role, text, messages[-1] if messages else None))
        return messages

    return make
