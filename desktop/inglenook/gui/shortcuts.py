"""The keys: one table from which the window's actions, the menu and the list (F1) are made."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from PySide6.QtCore import QCoreApplication, Qt
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QDialog, QGridLayout, QVBoxLayout, QWidget

from inglenook.gui.theme import Theme
from inglenook.gui.widgets import make_button, make_label


@dataclass(frozen=True, slots=True)
class Shortcut:
    """An action of the window: its name in code, its keys (the first is shown), what it does."""

    name: str
    keys: tuple[str, ...]
    label: str


WINDOW_KEYS: Final = (
    Shortcut("new", ("Ctrl+N",), "New conversation"),
    Shortcut("search", ("Ctrl+F",), "Search conversations"),
    Shortcut("models", ("Ctrl+M",), "Models"),
    Shortcut("settings", ("Ctrl+,",), "Settings"),
    Shortcut("chat", ("Ctrl+J",), "Back to the conversation"),
    Shortcut("attach", ("Ctrl+O",), "Attach text files"),
    Shortcut("inspector", ("Ctrl+I",), "Inspector"),
    Shortcut("rename", (), "Rename the conversation"),
    Shortcut("delete", (), "Delete the conversation"),
    Shortcut("zoom_in", ("Ctrl++", "Ctrl+="), "Larger text"),
    Shortcut("zoom_out", ("Ctrl+-",), "Smaller text"),
    Shortcut("zoom_reset", ("Ctrl+0",), "Normal text size"),
    Shortcut("shortcuts", ("F1", "?"), "Keyboard shortcuts"),
    Shortcut("quit", ("Ctrl+Q",), "Quit"),
)
"""What works everywhere in the window."""

PLACE_KEYS: Final = (
    Shortcut("send", ("Enter",), "Send the message"),
    Shortcut("send_drafts", ("Ctrl+Shift+Enter",), "Send the message for three drafts"),
    Shortcut("keep_draft", ("1, 2, 3",), "Keep one of the drafts, in an empty composer"),
    Shortcut("line", ("Shift+Enter",), "New line in the message"),
    Shortcut("stop", ("Esc",), "Stop the reply"),
    Shortcut("edit_last", ("Up",), "Edit the last message, in an empty composer"),
    Shortcut("remove_file", ("Del",), "Remove an attached file, on its chip"),
    Shortcut("open", ("Enter",), "Open the conversation, in the sidebar"),
    Shortcut("rename_row", ("F2",), "Rename, in the sidebar"),
    Shortcut("delete_row", ("Del",), "Delete, in the sidebar"),
    Shortcut("row_menu", ("Menu",), "Menu of the conversation, in the sidebar"),
)
"""What works in one place; handled there, listed here."""


def make_actions(window: QWidget, handlers: dict[str, Callable[[], object]]) -> dict[str, QAction]:
    """The window's actions by name, each with its keys, added to the window."""
    actions: dict[str, QAction] = {}
    for shortcut in WINDOW_KEYS:
        action = QAction(translate(shortcut.label), window)
        action.setShortcuts([QKeySequence(keys) for keys in shortcut.keys])
        action.setShortcutContext(Qt.ShortcutContext.WindowShortcut)
        handler = handlers[shortcut.name]
        action.triggered.connect(lambda _checked=False, handler=handler: handler())
        window.addAction(action)
        actions[shortcut.name] = action
    return actions


def translate(text: str) -> str:
    """A label of the table in the person's language."""
    return QCoreApplication.translate("Shortcuts", text)


def make_key_table(shortcuts: Sequence[Shortcut]) -> QWidget:
    """The keys on the left, what they do on the right."""
    table = QWidget()
    grid = QGridLayout(table)
    grid.setContentsMargins(0, 0, 0, 0)
    grid.setHorizontalSpacing(24)
    grid.setVerticalSpacing(6)
    for row, shortcut in enumerate(s for s in shortcuts if s.keys):
        grid.addWidget(make_label(shortcut.keys[0], "strong"), row, 0)
        grid.addWidget(make_label(translate(shortcut.label)), row, 1)
    grid.setColumnStretch(1, 1)
    return table


class ShortcutList(QDialog):
    """The list that F1 opens; not modal, Esc closes it."""

    def __init__(self, theme: Theme, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle(self.tr("Keyboard shortcuts"))
        self.setMinimumWidth(theme.px(420))
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 24, 24, 16)
        column.setSpacing(12)
        column.addWidget(make_label(self.tr("Keyboard shortcuts"), "heading"))
        column.addWidget(make_key_table(WINDOW_KEYS))
        column.addWidget(make_label(self.tr("In one place"), "group"))
        column.addWidget(make_key_table(PLACE_KEYS))
        close = make_button(self.tr("Close"))
        close.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        close.clicked.connect(self.accept)
        column.addWidget(close, 0, Qt.AlignmentFlag.AlignRight)
