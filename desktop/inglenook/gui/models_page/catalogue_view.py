"""The built-in catalogue as cards, and the way from it to all the models of the hub."""

from collections.abc import Callable, Sequence
from typing import Final

from PySide6.QtCore import QTimer, Signal
from PySide6.QtWidgets import QVBoxLayout, QWidget

from inglenook.gui.models_page.card import ModelCard
from inglenook.gui.models_page.file_row import FileRow
from inglenook.gui.models_page.offers import CardFacts
from inglenook.gui.theme import Theme
from inglenook.gui.widgets import make_button, make_label, make_scroll

CARDS_PER_STEP: Final = 2
"""Cards made at one go, so that no step blocks the window for long."""


class CatalogueView(QWidget):
    """Cards come a few at a time; a filter hides those that do not suit.

    Signals: `row_made(FileRow)`, `browse_requested()`, `filled()` when all cards are made.
    """

    row_made = Signal(object)
    browse_requested = Signal()
    filled = Signal()

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._waiting: list[CardFacts] = []
        self._is_wanted: Callable[[CardFacts], bool] = lambda _: True
        self.made: list[tuple[CardFacts, ModelCard]] = []
        self._timer = QTimer(self)
        self._timer.setInterval(0)
        self._timer.timeout.connect(self._make_some)
        content = QWidget()
        self._column = QVBoxLayout(content)
        self._column.setContentsMargins(28, 0, 28, 24)
        self._column.setSpacing(12)
        # Cards that are made later must not squeeze those that are there.
        self._column.setSizeConstraint(QVBoxLayout.SizeConstraint.SetMinimumSize)
        self.nothing = make_label(self.tr("No model in the list suits these filters."), "quiet")
        self.nothing.hide()
        self.browse = make_button(self.tr("Look through all models on the hub"), "link")
        self.browse.clicked.connect(self.browse_requested)
        self._column.addWidget(self.nothing)
        self._column.addWidget(self.browse)
        self._column.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(make_scroll(content, self.tr("Models to download")))

    def set_cards(self, cards: Sequence[CardFacts]) -> None:
        """Make a card of each."""
        self._waiting = list(cards)
        self._timer.start()

    def cards(self) -> tuple[ModelCard, ...]:
        """The cards that were made so far."""
        return tuple(card for _, card in self.made)

    def apply(self, is_wanted: Callable[[CardFacts], bool]) -> int:
        """Show the cards that suit; how many they are."""
        self._is_wanted = is_wanted
        n_shown = 0
        for facts, card in self.made:
            suits = is_wanted(facts)
            n_shown += suits
            card.setVisible(suits)
        is_done = not self._waiting and bool(self.made)
        self.nothing.setVisible(is_done and n_shown == 0)
        return n_shown

    def update_rows(self, update: Callable[[FileRow], None]) -> None:
        """Let every row show its state anew."""
        for _, card in self.made:
            card.update_rows(update)

    def tell_fits(self, cards: Sequence[CardFacts]) -> None:
        """Say anew how each file runs here; cards stay where they are."""
        offers = {offer.name: offer for facts in cards for offer in facts.offers}
        by_title = {facts.title: facts for facts in cards}
        self._waiting = [by_title.get(facts.title, facts) for facts in self._waiting]
        for i, (facts, card) in enumerate(self.made):
            fresh = by_title.get(facts.title, facts)
            self.made[i] = (fresh, card)
            card.offers = fresh.offers
            for row in card.rows:
                offer = offers.get(row.offer.name)
                if row.pill is not None and offer is not None and offer.fit is not None:
                    row.pill.show_fit(offer.fit)

    def _make_some(self) -> None:
        for _ in range(min(CARDS_PER_STEP, len(self._waiting))):
            facts = self._waiting.pop(0)
            card = ModelCard(
                self._theme, facts.title, facts.subtitle, facts.facts, facts.purpose, facts.offers
            )
            card.row_made.connect(self.row_made)
            card.open_rows(1)
            self.made.append((facts, card))
            self._column.insertWidget(self._column.count() - 2, card)
            card.setVisible(self._is_wanted(facts))
        if not self._waiting:
            self._timer.stop()
            self.filled.emit()
