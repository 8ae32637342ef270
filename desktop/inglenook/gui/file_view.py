"""The text of an attached file, to read: as it was when it was attached. Window's thread."""

from typing import Final

from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QDialog, QHBoxLayout, QPlainTextEdit, QVBoxLayout, QWidget

from inglenook.gui.formats import format_count
from inglenook.gui.theme import RADIUS_CONTROL, Theme
from inglenook.gui.transcript.cleaning import break_lines, clean_text
from inglenook.gui.widgets import ElidedLabel, make_button, make_label
from inglenook.store.records import Attachment

SHOWN_CHARS: Final = 200_000
"""So much of a text is laid out at once; more on request."""


class FileView(QDialog):
    """A text that can be read and copied, not changed; not modal, Esc closes it."""

    def __init__(self, theme: Theme, file: Attachment, parent: QWidget) -> None:
        super().__init__(parent)
        self._file = file
        self._n_shown = 0
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle(self.tr("Attached file"))
        self.resize(theme.px(720), theme.px(560))
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 20, 24, 16)
        column.setSpacing(8)
        column.addWidget(ElidedLabel(clean_text(file.name), "heading"))
        facts = self.tr("{lines} lines, {n} characters, as it was when it was attached").format(
            lines=format_count(len(file.text.splitlines())), n=format_count(len(file.text))
        )
        column.addWidget(make_label(facts, "small", wraps=True))
        self.text = QPlainTextEdit()
        self.text.setObjectName("fileText")
        self.text.setReadOnly(True)
        self.text.setUndoRedoEnabled(False)
        self.text.setAccessibleName(self.tr("Text of the file"))
        self.text.setFont(theme.code_font())
        colours = theme.colours
        self.text.setStyleSheet(
            f"#fileText{{font-family:'{theme.code_font().family()}';font-size:{theme.px(13)}px;"
            f"background:{colours.code_ground};border:1px solid {colours.line};"
            f"border-radius:{RADIUS_CONTROL}px;padding:{theme.px(8)}px}}"
        )
        column.addWidget(self.text, 1)
        row = QHBoxLayout()
        self.more = make_button("", "link")
        self.more.clicked.connect(self._show_more)
        self.copy = make_button(self.tr("Copy"))
        self.copy.clicked.connect(lambda: QGuiApplication.clipboard().setText(file.text))
        close = make_button(self.tr("Close"))
        close.clicked.connect(self.accept)
        for button in (self.copy, close):
            button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
            button.setAutoDefault(False)
        row.addWidget(self.more)
        row.addStretch(1)
        row.addWidget(self.copy)
        row.addWidget(close)
        column.addLayout(row)
        self._show_more()
        self.text.setFocus()

    def _show_more(self) -> None:
        start = self._n_shown
        part = self._file.text[start : start + SHOWN_CHARS]
        self._n_shown += len(part)
        lines, _ = break_lines(clean_text(part))
        cursor = self.text.textCursor()
        cursor.movePosition(cursor.MoveOperation.End)
        cursor.insertText("\n".join(lines))
        n_left = len(self._file.text) - self._n_shown
        self.more.setVisible(n_left > 0)
        self.more.setText(self.tr("{n} more characters, show them").format(n=format_count(n_left)))
