"""Settings, Models: the access token of the hub, for models that are not given to everybody."""

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QLineEdit, QVBoxLayout, QWidget

from inglenook.app import App
from inglenook.base.errors import NetworkError, UserError
from inglenook.gui.tasks import Tasks
from inglenook.gui.theme import Theme
from inglenook.gui.widgets import make_button, make_label, set_tone


class TokenRow(QWidget):
    """A field that shows no letters, and where the token is kept. It never shows the token again.

    Signals: `changed()` after one was kept or forgotten, `link_requested(address)`.
    """

    changed = Signal()
    link_requested = Signal(str)

    def __init__(self, app: App, theme: Theme, tasks: Tasks, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._app = app
        self._tasks = tasks
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 10, 0, 10)
        column.setSpacing(4)
        column.addWidget(make_label(self.tr("Access token of the hub"), "strong"))
        text = self.tr(
            "Some makers give a model only to people who signed in on the hub and accepted its "
            "licence. Make a token that may read on your account's page there, and paste it here. "
            "It is sent to the hub alone, and only for such models."
        )
        column.addWidget(make_label(text, "small", wraps=True))
        row = QHBoxLayout()
        row.setSpacing(8)
        self.field = QLineEdit()
        self.field.setEchoMode(QLineEdit.EchoMode.Password)
        self.field.setPlaceholderText("hf_…")
        self.field.setAccessibleName(self.tr("Access token of the hub"))
        self.field.setMaxLength(400)
        self.field.setMinimumWidth(theme.px(220))
        self.field.returnPressed.connect(self._keep)
        self.field.textChanged.connect(lambda _: self._update())
        self.keep = make_button(self.tr("Keep"), "primary")
        self.keep.setAccessibleName(self.tr("Keep the access token"))
        self.keep.clicked.connect(self._keep)
        self.forget = make_button(self.tr("Forget"))
        self.forget.setAccessibleName(self.tr("Forget the access token"))
        self.forget.clicked.connect(self._forget)
        page = make_button(self.tr("Your tokens on the hub"), "link")
        page.clicked.connect(self._open_page)
        row.addWidget(self.field, 1)
        row.addWidget(self.keep)
        row.addWidget(self.forget)
        row.addWidget(page)
        column.addLayout(row)
        self.note = make_label("", "small", wraps=True)
        column.addWidget(self.note)
        self._update()
        self._tasks.run(lambda: self._app.hub_token.place, self._show_place, owner=self)

    def _keep(self) -> None:
        """Keep what was pasted, then ask the hub whose it is."""
        token = self.field.text().strip()
        if not token:
            return
        self.field.clear()
        self._say(self.tr("Keeping it"), "small")

        def work() -> tuple[str, str, NetworkError | None]:
            place = self._app.hub_token.save(token)
            try:
                return place, self._app.hub_client.check_token(token), None
            except NetworkError as error:
                return place, "", error

        def done(answer: tuple[str, str, NetworkError | None]) -> None:
            place, name, error = answer
            self._show_place(place)
            if error is not None and error.code == "bad_token":
                self._say(str(error), "bad")
            elif error is not None:
                text = self.tr("It was kept, but not tried: {why}").replace("{why}", error.message)
                self._say(text, "small")
            elif name:
                words = self.tr("It is {name}'s. {where}").replace("{name}", name)
                self._say(words.replace("{where}", self.note.text()), "good")
            self.changed.emit()

        def failed(error: UserError) -> None:
            self._say(str(error), "bad")

        self._tasks.run(work, done, failed, owner=self, in_order=True)

    def _forget(self) -> None:
        def work() -> str:
            self._app.hub_token.forget()
            return self._app.hub_token.place

        def done(place: str) -> None:
            self._show_place(place)
            self.changed.emit()

        def failed(error: UserError) -> None:
            self._say(str(error), "bad")

        self._tasks.run(work, done, failed, owner=self, in_order=True)

    def _show_place(self, place: str) -> None:
        texts = {
            "": "",
            "keyring": self.tr("A token is kept in this computer's keyring."),
            "file": self.tr(
                "A token is kept in the data folder, in a file that only you can read: no keyring "
                "was found."
            ),
        }
        self._say(texts[place], "small")
        self.forget.setVisible(bool(place))

    def _say(self, text: str, tone: str) -> None:
        self.note.setText(text)
        set_tone(self.note, tone)
        self.note.setVisible(bool(text))

    def _update(self) -> None:
        self.keep.setEnabled(bool(self.field.text().strip()))

    def _open_page(self) -> None:
        self.link_requested.emit(f"{self._app.hub_client.endpoint}/settings/tokens")
