"""Links out of the app: only after the real target was shown and the person agreed."""

from PySide6.QtCore import Qt, QUrl
from PySide6.QtGui import QDesktopServices, QGuiApplication
from PySide6.QtWidgets import QDialog, QHBoxLayout, QLineEdit, QVBoxLayout, QWidget

from inglenook.gui.theme import Theme
from inglenook.gui.transcript.links import is_openable
from inglenook.gui.widgets import make_button, make_label


def ask_and_open(address: str, theme: Theme, window: QWidget) -> None:
    """Show where a link leads; open it in the browser when the person says so."""
    if not is_openable(address):
        return
    dialog = LinkDialog(address, theme, window)
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    dialog.open()


class LinkDialog(QDialog):
    """The real target of a link, with Open, Copy and Cancel."""

    def __init__(self, address: str, theme: Theme, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle(self.tr("Open a link"))
        self.setMinimumWidth(theme.px(460))
        # The encoded form: a host of look-alike letters shows as xn--...
        self.target = QUrl(address, QUrl.ParsingMode.StrictMode)
        shown = bytes(self.target.toEncoded().data()).decode("ascii", "replace")
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 20, 24, 16)
        column.setSpacing(12)
        heading = self.tr("Write an e-mail to this address?")
        if self.target.scheme() != "mailto":
            heading = self.tr("Open {host} in the browser?").replace("{host}", self.target.host())
        column.addWidget(make_label(heading, "heading", wraps=True))
        field = QLineEdit(shown)
        field.setReadOnly(True)
        field.setCursorPosition(0)
        field.setAccessibleName(self.tr("Where the link leads"))
        column.addWidget(field)
        note = self.tr("The browser connects to it; Inglenook itself does not.")
        column.addWidget(make_label(note, "small", wraps=True))
        row = QHBoxLayout()
        row.addStretch(1)
        for text, kind, slot in (
            (self.tr("Copy"), "", self._copy),
            (self.tr("Cancel"), "", self.reject),
            (self.tr("Open"), "primary", self._open),
        ):
            button = make_button(text, kind)
            button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
            button.clicked.connect(slot)
            row.addWidget(button)
        column.addLayout(row)

    def _copy(self) -> None:
        QGuiApplication.clipboard().setText(self.target.toString())
        self.reject()

    def _open(self) -> None:
        QDesktopServices.openUrl(self.target)
        self.accept()
