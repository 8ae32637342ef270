"""Questions before something that cannot be undone."""

from collections.abc import Callable

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDialog, QHBoxLayout, QVBoxLayout, QWidget

from inglenook.gui.theme import Theme
from inglenook.gui.widgets import make_button, make_label


class Question(QDialog):
    """A heading, a sentence, Cancel and one named action. Cancel is what Enter and Esc do."""

    def __init__(self, theme: Theme, parent: QWidget, heading: str, text: str, action: str) -> None:
        super().__init__(parent)
        self.setWindowTitle(self.tr("Inglenook"))
        self.setMinimumWidth(theme.px(400))
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 20, 24, 16)
        column.setSpacing(12)
        column.addWidget(make_label(heading, "heading", wraps=True))
        column.addWidget(make_label(text, wraps=True))
        row = QHBoxLayout()
        row.addStretch(1)
        self.cancel_button = make_button(self.tr("Cancel"))
        self.action_button = make_button(action, "danger")
        for button in (self.cancel_button, self.action_button):
            button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
            row.addWidget(button)
        self.cancel_button.setDefault(True)
        self.action_button.setAutoDefault(False)
        self.cancel_button.clicked.connect(self.reject)
        self.action_button.clicked.connect(self.accept)
        column.addLayout(row)


def ask(
    theme: Theme,
    parent: QWidget,
    heading: str,
    text: str,
    action: str,
    do: Callable[[], object],
) -> Question:
    """Ask, and do it when the person says so; returns at once."""
    question = Question(theme, parent, heading, text, action)
    question.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    question.accepted.connect(do)
    question.open()
    return question
