"""The Downloads tab: every download with its progress, and what can be done about it."""

from PySide6.QtWidgets import QFrame, QHBoxLayout, QVBoxLayout, QWidget

from inglenook.gui.formats import format_bytes
from inglenook.gui.models_page.transfer_view import TransferView
from inglenook.gui.models_page.transfers import Transfers
from inglenook.gui.theme import Theme
from inglenook.gui.widgets import Pill, make_label, make_scroll
from inglenook.models.progress import DownloadState


class DownloadsTab(QWidget):
    """One card for each download, newest first."""

    def __init__(self, theme: Theme, transfers: Transfers, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._transfers = transfers
        self._cards: dict[str, TransferCard] = {}
        content = QWidget()
        self._column = QVBoxLayout(content)
        self._column.setContentsMargins(28, 16, 28, 24)
        self._column.setSpacing(12)
        self._empty = make_label(
            self.tr("Nothing is being downloaded. An interrupted download goes on where it was."),
            "quiet",
        )
        self._column.addWidget(self._empty)
        self._column.addStretch(1)
        scroll = make_scroll(content, self.tr("Downloads"))
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(scroll)
        transfers.changed.connect(self.show_states)
        self.show_states()

    def show_states(self) -> None:
        """Show the downloads as they are now."""
        states = [state for state in self._transfers.states if state.phase != "cancelled"]
        wanted = {state.id for state in states}
        for key in [key for key in self._cards if key not in wanted]:
            card = self._cards.pop(key)
            card.hide()
            card.deleteLater()
        for state in states:
            card_of_state = self._cards.get(state.id)
            if card_of_state is None:
                card_of_state = self._add_card(state)
            card_of_state.show_state(state)
        self._empty.setVisible(not states)

    def _add_card(self, state: DownloadState) -> "TransferCard":
        card = TransferCard(self._theme, state)
        card.transfer.pause_requested.connect(self._transfers.pause)
        card.transfer.resume_requested.connect(self._transfers.resume)
        card.transfer.cancel_requested.connect(self._transfers.cancel)
        self._cards[state.id] = card
        self._column.insertWidget(0, card)
        return card


class TransferCard(QFrame):
    """One download."""

    def __init__(self, theme: Theme, state: DownloadState) -> None:
        super().__init__()
        self.setProperty("surface", "card")
        column = QVBoxLayout(self)
        column.setContentsMargins(16, 12, 16, 12)
        column.setSpacing(4)
        row = QHBoxLayout()
        row.setSpacing(10)
        self._name = make_label("", "strong")
        self._size = make_label("", "quiet")
        self.transfer = TransferView(theme, state.name)
        self._done = Pill(theme, self.tr("installed"), "good")
        for part in (self._name, self._size):
            row.addWidget(part)
        row.addStretch(1)
        row.addWidget(self._done)
        row.addWidget(self.transfer)
        column.addLayout(row)
        self._file = make_label("", "small")
        self._error = make_label("", "bad", wraps=True)
        column.addWidget(self._file)
        column.addWidget(self._error)

    def show_state(self, state: DownloadState) -> None:
        """Show where it is."""
        self._name.setText(state.filename.rsplit("/", 1)[-1] or state.name)
        self._size.setText(format_bytes(state.size_bytes) if state.size_bytes else "")
        self._file.setText(state.repo)
        is_done = state.phase == "done"
        self._done.setVisible(is_done)
        self.transfer.setVisible(not is_done)
        if not is_done:
            self.transfer.show_state(state)
        error = f"{state.error} {state.hint}".strip() if state.phase == "failed" else ""
        self._error.setText(error)
        self._error.setVisible(bool(error))
