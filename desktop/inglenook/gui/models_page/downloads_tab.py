"""The Downloads tab: every download with its progress, and what can be done about it."""

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QVBoxLayout, QWidget

from inglenook.gui.formats import format_bytes
from inglenook.gui.icons import IconButton
from inglenook.gui.models_page.transfer_view import TransferView
from inglenook.gui.theme import Theme
from inglenook.gui.transfers import Transfers
from inglenook.gui.widgets import (
    ElidedLabel,
    Pill,
    make_button,
    make_label,
    make_scroll,
    set_tone,
)
from inglenook.models.progress import DownloadState


class DownloadsTab(QWidget):
    """One card for each: what runs, what waits in its order, what stands still, what is done."""

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
        states = _order(self._transfers.states)
        wanted = {state.id for state in states}
        for key in [key for key in self._cards if key not in wanted]:
            card = self._cards.pop(key)
            card.hide()
            card.deleteLater()
        for index, state in enumerate(states):
            card_of_state = self._cards.get(state.id)
            if card_of_state is None:
                card_of_state = self._add_card(state)
            card_of_state.show_state(state)
            if self._column.indexOf(card_of_state) != index + 1:
                self._column.removeWidget(card_of_state)
                self._column.insertWidget(index + 1, card_of_state)
        self._empty.setVisible(not states)

    def _add_card(self, state: DownloadState) -> "TransferCard":
        card = TransferCard(self._theme, state)
        card.transfer.pause_requested.connect(self._transfers.pause)
        card.transfer.resume_requested.connect(self._transfers.resume)
        card.transfer.cancel_requested.connect(self._transfers.cancel)
        card.move_requested.connect(self._transfers.move_up)
        card.forget_requested.connect(self._transfers.forget)
        card.update_requested.connect(self._on_update_requested)
        self._cards[state.id] = card
        return card

    def _on_update_requested(self, name: str) -> None:
        self._transfers.start(name, takes_update=True)


def _order(states: tuple[DownloadState, ...]) -> list[DownloadState]:
    """What runs first, then the queue, what stands still, and what is done, newest first."""
    ranks = {"queued": 1, "paused": 2, "failed": 2, "done": 3}
    shown = [state for state in states if state.phase != "cancelled"]
    done = [state for state in reversed(shown) if state.phase == "done"]
    others = [state for state in shown if state.phase != "done"]
    return sorted(others, key=lambda state: ranks.get(state.phase, 0)) + done


class TransferCard(QFrame):
    """One download.

    Signals: `move_requested(id)`, `forget_requested(id)`, `update_requested(name)`.
    """

    move_requested = Signal(str)
    forget_requested = Signal(str)
    update_requested = Signal(str)

    def __init__(self, theme: Theme, state: DownloadState) -> None:
        super().__init__()
        self._state = state
        self.setProperty("surface", "card")
        column = QVBoxLayout(self)
        column.setContentsMargins(16, 12, 16, 12)
        column.setSpacing(4)
        row = QHBoxLayout()
        row.setSpacing(10)
        self._name = ElidedLabel("", "strong")
        self.transfer = TransferView(theme, state.name)
        self._done = Pill(theme, self.tr("installed"), "good")
        self.up = self._make_icon(theme, "arrow-up", self.tr("Move {name} up"), state.name)
        self.up.clicked.connect(lambda: self.move_requested.emit(self._state.id))
        self.forget = self._make_icon(
            theme, "close", self.tr("Take {name} from the list"), state.name
        )
        self.forget.clicked.connect(lambda: self.forget_requested.emit(self._state.id))
        self.update_button = make_button(self.tr("Update"), "primary")
        self.update_button.setAccessibleName(
            self.tr("Take the newer file of {name}").replace("{name}", state.name)
        )
        self.update_button.clicked.connect(lambda: self.update_requested.emit(self._state.name))
        row.addWidget(self._name, 1)
        for part in (self._done, self.up, self.transfer, self.update_button, self.forget):
            row.addWidget(part)
        column.addLayout(row)
        self._file = make_label("", "small")
        self._note = make_label("", "small", wraps=True)
        self._error = make_label("", "bad", wraps=True)
        for line in (self._file, self._note, self._error):
            column.addWidget(line)

    def show_state(self, state: DownloadState) -> None:
        """Show where it is."""
        self._state = state
        self._name.setText(state.filename.rsplit("/", 1)[-1] or state.name)
        self._file.setText(self._describe_place(state))
        self._file.setVisible(bool(self._file.text()))
        is_done = state.phase == "done"
        is_update = state.code == "update_available"
        self._done.setVisible(is_done)
        self.forget.setVisible(is_done or is_update)
        self.up.setVisible(state.place > 1)
        self.update_button.setVisible(is_update)
        self.transfer.setVisible(not is_done and not is_update)
        if not is_done:
            self.transfer.show_state(state)
        self._note.setText(state.note)
        self._note.setVisible(bool(state.note))
        hint = "" if is_update else state.hint
        error = f"{state.error} {hint}".strip() if state.phase in {"failed", "paused"} else ""
        set_tone(self._error, "quiet" if is_update else "bad")
        self._error.setText(error)
        self._error.setVisible(bool(error))

    def _describe_place(self, state: DownloadState) -> str:
        parts = [state.repo] if state.repo else []
        if state.size_bytes:
            parts.append(format_bytes(state.size_bytes))
        if state.n_connections > 1:
            count = self.tr("{n} connections").replace("{n}", str(state.n_connections))
            parts.append(count)
        return " · ".join(parts)

    def _make_icon(self, theme: Theme, icon: str, label: str, name: str) -> IconButton:
        return IconButton(theme, icon, label.replace("{name}", name))
