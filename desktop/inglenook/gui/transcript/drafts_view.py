"""Drafts of one reply: side by side where there is room, behind tabs where there is not.

Each has its own text, numbers, Stop, and "Keep this one". Cards grow downwards and never move each
other. Window's thread.
"""

from collections.abc import Sequence
from typing import Final, override

from PySide6.QtCore import QEvent, QObject, QRectF, Qt, Signal
from PySide6.QtGui import QFont, QKeyEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QWidget

from inglenook.gui.theme import RADIUS_CARD, Theme
from inglenook.gui.transcript.controls import Figure, Row, Sentence, TextButton
from inglenook.gui.transcript.formats import Formats
from inglenook.gui.transcript.reply import ReplyView
from inglenook.gui.transcript.thread import Entry
from inglenook.gui.widgets import make_plain_tooltip

_NARROWEST_PX: Final = 250
_WIDEST_PX: Final = 470
"""How wide a card may be."""
_GAP_PX: Final = 12
_PAD_PX: Final = 14


class DraftCard(QWidget):
    """One draft in a card of its own: number, Stop, Keep, and the reply.

    Signals: `kept(str)`, `stopped(str)` with its message id.
    """

    kept = Signal(str)
    stopped = Signal(str)

    def __init__(self, formats: Formats, entry: Entry, number: int, parent: QWidget) -> None:
        super().__init__(parent)
        self._theme = formats.theme
        self._entry = entry
        self.number = number
        name = self.tr("Draft {n}").replace("{n}", str(number))
        self.setAccessibleName(name)
        self.title = Figure(self._theme, name, size_px=13, role="ink", weight=QFont.Weight.Medium)
        self.stop_button = TextButton(self._theme, self.tr("Stop"))
        self.stop_button.setAccessibleName(self.tr("Stop draft {n}").replace("{n}", str(number)))
        self.stop_button.clicked.connect(lambda: self.stopped.emit(self.message_id))
        self.keep_button = TextButton(self._theme, self.tr("Keep this one"), look="outline")
        self.keep_button.setAccessibleName(self.tr("Keep draft {n}").replace("{n}", str(number)))
        tip = self.tr("Go on with this draft ({n}). The others stay as versions of it.")
        self.keep_button.setToolTip(make_plain_tooltip(tip.replace("{n}", str(number))))
        self.keep_button.clicked.connect(lambda: self.kept.emit(self.message_id))
        self._head = Row(self, gap=12)
        self._head.add_left(self.title)
        self._head.add_right(self.stop_button, self.keep_button)
        self.reply = ReplyView(formats, entry, self, is_draft=True)
        self.update_state()

    @property
    def message_id(self) -> str:
        """The draft's message."""
        return self._entry.message.id

    @property
    def is_live(self) -> bool:
        """Whether it is being written."""
        return self._entry.message.status == "streaming"

    def update_state(self) -> None:
        """Offer to stop only what is being written."""
        self.stop_button.setVisible(self.is_live)
        self._head.fit(self._head.width())

    def fit(self, width: int) -> int:
        """Place everything for a width; the height that it takes."""
        px = self._theme.px
        pad = px(_PAD_PX)
        inner = max(60, width - 2 * pad)
        head = self._head.fit(inner)
        self._head.setGeometry(pad, px(10), inner, head)
        top = px(10) + head + px(8)
        height = self.reply.fit(inner)
        self.reply.setGeometry(pad, top, inner + px(8), height)
        return top + height + px(12)

    @override
    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        colours = self._theme.colours
        painter.setPen(QPen(colours.colour("line"), 1))
        painter.setBrush(colours.colour("raised"))
        area = QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5)
        painter.drawRoundedRect(area, RADIUS_CARD, RADIUS_CARD)


class DraftsView(QWidget):
    """All drafts of one reply.

    Signals: `height_changed()`; `kept(str)`, `stopped(str)`, `retried(str)`, `continued(str)`,
    `shown(str)` with message ids, the last when another one is looked at; `link_clicked(str)`.
    """

    height_changed = Signal()
    kept = Signal(str)
    stopped = Signal(str)
    retried = Signal(str)
    continued = Signal(str)
    helped = Signal(str, str)
    shown = Signal(str)
    link_clicked = Signal(str)

    def __init__(
        self, formats: Formats, drafts: Sequence[Entry], note: str, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._theme: Theme = formats.theme
        self._is_wide = False
        self._current = 0
        self.setAccessibleName(self.tr("Drafts"))
        self._note = Sentence(self._theme, self, role="quiet")
        self._note.set_sentence(note)
        self._note.setVisible(bool(note))
        self._verdict = Sentence(self._theme, self, role="quiet")
        self.cards = [
            DraftCard(formats, entry, number, self) for number, entry in enumerate(drafts, 1)
        ]
        self._tabs = Row(self, gap=4)
        self.tabs = [self._make_tab(card) for card in self.cards]
        self._tabs.add_left(*self.tabs)
        for card in self.cards:
            card.kept.connect(self.kept)
            card.stopped.connect(self.stopped)
            reply = card.reply
            reply.retried.connect(self.retried)
            reply.continued.connect(self.continued)
            reply.helped.connect(self.helped)
            reply.link_clicked.connect(self.link_clicked)
            reply.height_changed.connect(self.height_changed)
            reply.finished.connect(self._on_finished)
        for button in (*self.tabs, *(card.keep_button for card in self.cards)):
            button.installEventFilter(self)
        self.update_state()
        self._show_cards()

    def _make_tab(self, card: DraftCard) -> TextButton:
        tab = TextButton(self._theme, card.accessibleName())
        tab.setCheckable(True)
        tab.clicked.connect(lambda: self.show_draft(card.number - 1))
        return tab

    # --- what the transcript calls ---

    def find_reply(self, message_id: str) -> ReplyView | None:
        """The view of one draft."""
        return next((c.reply for c in self.cards if c.message_id == message_id), None)

    def update_state(self) -> None:
        """A draft began or ended: say what is to be said of all of them."""
        for card, tab in zip(self.cards, self.tabs, strict=True):
            card.update_state()
            name = card.accessibleName()
            tab.setText(f"{name} …" if card.is_live else name)
            writing = self.tr("{draft}, being written").replace("{draft}", name)
            tab.setAccessibleName(writing if card.is_live else name)
        self._verdict.set_sentence(self._judge())
        self._verdict.setVisible(bool(self._verdict.text()))

    def show_draft(self, index: int) -> None:
        """Look at one of them, where there is room for only one."""
        if not 0 <= index < len(self.cards):
            return
        is_other, self._current = index != self._current, index
        self._show_cards()
        if is_other:
            self.shown.emit(self.cards[index].message_id)
            self.height_changed.emit()

    def choose_width(self, measure: int, room: int) -> int:
        """All side by side need more than the measure."""
        n, px = len(self.cards), self._theme.px
        gaps = (n - 1) * px(_GAP_PX)
        if room < n * px(_NARROWEST_PX) + gaps:
            return measure
        return max(measure, min(room, n * px(_WIDEST_PX) + gaps))

    def fit(self, width: int) -> int:
        """Place everything for a width; the height that it takes."""
        px, n = self._theme.px, len(self.cards)
        gap = px(_GAP_PX)
        is_wide = width >= n * px(_NARROWEST_PX) + (n - 1) * gap
        if is_wide != self._is_wide:
            self._is_wide = is_wide
            self._show_cards()
        y = px(4) + self._fit_sentence(self._note, width, px(4))
        y += self._fit_beside(width, y, gap) if is_wide else self._fit_tabs(width, y)
        return y + self._fit_sentence(self._verdict, width, y + px(8))

    # --- inner ---

    def _fit_sentence(self, sentence: Sentence, width: int, top: int) -> int:
        """Place what is said above or below the cards, which nothing may move while one reads."""
        if sentence.isHidden():
            return 0
        height = sentence.fit(width)
        sentence.setGeometry(0, top, width, height)
        return height + self._theme.px(8)

    def _fit_tabs(self, width: int, top: int) -> int:
        tabs = self._tabs.fit(width)
        self._tabs.setGeometry(0, top, width, tabs)
        above = tabs + self._theme.px(6)
        card = self.cards[self._current]
        height = card.fit(width)
        card.setGeometry(0, top + above, width, height)
        return above + height

    def _fit_beside(self, width: int, top: int, gap: int) -> int:
        n = len(self.cards)
        each = (width - (n - 1) * gap) // n
        height = max(card.fit(each) for card in self.cards)
        for index, card in enumerate(self.cards):
            card.setGeometry(index * (each + gap), top, each, height)
        return height

    def _show_cards(self) -> None:
        self._tabs.setVisible(not self._is_wide)
        for index, (card, tab) in enumerate(zip(self.cards, self.tabs, strict=True)):
            card.setVisible(self._is_wide or index == self._current)
            tab.setChecked(index == self._current)

    def _judge(self) -> str:
        """What is to be said of all of them once they are done."""
        texts = {card.reply.body.text.strip() for card in self.cards}
        is_over = not any(card.is_live for card in self.cards)
        if is_over and len(texts) == 1 and "" not in texts:
            return self.tr(
                "All drafts came out the same: the model is sure of these words. A higher "
                "temperature in Settings makes drafts differ more."
            )
        return ""

    def _on_finished(self) -> None:
        before = self._verdict.text()
        self.update_state()
        if self._verdict.text() != before:
            self.height_changed.emit()

    @override
    def keyPressEvent(self, event: QKeyEvent) -> None:
        """A number keeps that draft."""
        is_plain = not event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier
        number = int(event.text()) if event.text() in set("123456789") else 0
        if is_plain and 1 <= number <= len(self.cards):
            self.kept.emit(self.cards[number - 1].message_id)
        else:
            super().keyPressEvent(event)

    @override
    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """The arrows go from one draft's button to the next; by itself a button makes them Tab."""
        if isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress:
            step = {Qt.Key.Key_Right: 1, Qt.Key.Key_Left: -1}.get(Qt.Key(event.key()), 0)
            if step:
                self._step(watched, step)
                return True
        return super().eventFilter(watched, event)

    def _step(self, button: QObject, step: int) -> None:
        buttons = [card.keep_button for card in self.cards]
        row = buttons if button in buttons else self.tabs
        index = row.index(button) + step if isinstance(button, TextButton) else 0
        if 0 <= index < len(self.cards):
            self.show_draft(index)
            row[index].setFocus(Qt.FocusReason.OtherFocusReason)

    @override
    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.LanguageChange:
            self.update_state()
