"""A card of the Discover tab: one model, what it is for, and its files."""

from collections.abc import Callable, Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QVBoxLayout, QWidget

from inglenook.gui.models_page.file_row import FileOffer, FileRow
from inglenook.gui.theme import Theme
from inglenook.gui.widgets import ElidedLabel, make_button, make_label, make_line, set_tone


class ModelCard(QFrame):
    """Name, maker and licence, purpose; the recommended file, the others folded.

    Signals: `row_made(FileRow)` for each row as it comes into being.
    """

    row_made = Signal(object)

    def __init__(
        self,
        theme: Theme,
        title: str,
        subtitle: str,
        facts: str,
        purpose: str,
        offers: Sequence[FileOffer],
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._theme = theme
        self.offers = tuple(offers)
        self.rows: list[FileRow] = []
        self.setProperty("surface", "card")
        self.setAccessibleName(title)
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(16, 12, 16, 6)
        self._column.setSpacing(4)
        self._column.addLayout(self._make_head(title, subtitle, facts))
        if purpose:
            self._column.addWidget(make_label(purpose, wraps=True))
        self._column.addSpacing(6)
        self._more = make_button("", "link")
        self._more.clicked.connect(self.unfold)

    def open_rows(self, n_open: int) -> None:
        """Make the first rows and fold the others behind a button."""
        first = sorted(self.offers, key=lambda offer: not offer.is_recommended)[:n_open]
        for offer in self.offers:
            if offer in first:
                self._add_row(offer)
        n_folded = len(self.offers) - len(first)
        if n_folded:
            text = self.tr("1 other size") if n_folded == 1 else self.tr("{n} other sizes")
            self._more.setText(text.replace("{n}", str(n_folded)))
            self._column.addWidget(self._more, 0, Qt.AlignmentFlag.AlignLeft)

    def unfold(self) -> None:
        """Show every file, in the order of the catalogue."""
        self._more.hide()
        shown = {row.offer.name for row in self.rows}
        for offer in self.offers:
            if offer.name not in shown:
                self._add_row(offer)

    def update_rows(self, update: Callable[[FileRow], None]) -> None:
        """Let every row show its state anew."""
        for row in self.rows:
            update(row)

    def _make_head(self, title: str, subtitle: str, facts: str) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(10)
        name = make_label(title)
        set_tone(name, "heading")
        row.addWidget(name)
        row.addWidget(make_label(subtitle, "quiet"))
        said = ElidedLabel(facts, "quiet")
        said.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        row.addWidget(said, 1)
        return row

    def _add_row(self, offer: FileOffer) -> None:
        line = make_line()
        row = FileRow(self._theme, offer)
        self.rows.append(row)
        self._column.addWidget(line)
        self._column.addWidget(row)
        self.row_made.emit(row)
