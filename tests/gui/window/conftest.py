"""What the tests of the window share."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtWidgets import QApplication

from support.window import WindowKit, open_window


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """On a busy machine a test's window is blocked now and then, which its recorder logs."""
    for item in items:
        if "gui/window" in item.nodeid:
            item.add_marker(pytest.mark.logs("window's thread was blocked"))


@pytest.fixture
def open_kit(qapp: QApplication, tmp_path: Path) -> Iterator[Callable[..., WindowKit]]:
    """Opens a window on a profile of the test's own; all are closed at the end."""
    with ExitStack() as stack:

        def open_it(*args: Any, **options: Any) -> WindowKit:
            return stack.enter_context(open_window(tmp_path / "home", *args, **options))

        yield open_it


@pytest.fixture
def kit(open_kit: Callable[..., WindowKit]) -> WindowKit:
    """A window whose engine echoes."""
    return open_kit()


@pytest.fixture(scope="session")
def qapp_cls() -> type[QApplication]:
    return QApplication
