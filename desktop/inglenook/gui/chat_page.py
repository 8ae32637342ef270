"""The chat page's widgets: header with the model chip, notices, transcript, composer.

A frame without logic; `chat_controller` joins it with chat, store and engine.
"""

from typing import override

from PySide6.QtCore import Qt
from PySide6.QtGui import QKeyEvent, QResizeEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QMenu, QVBoxLayout, QWidget

from inglenook.gui.chip import ModelChip
from inglenook.gui.composer import Composer
from inglenook.gui.icons import IconButton
from inglenook.gui.theme import MEASURE_EM, TRANSCRIPT_PX, Theme
from inglenook.gui.transcript import Transcript
from inglenook.gui.widgets import ElidedLabel, NoticeBar, make_surface

COMPOSER_OVERHANG_PX = 20
"""How far the composer reaches over the transcript's measure on each side."""


class ChatPage(QFrame):
    """Header, notice, transcript, composer, from top to bottom."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.theme = theme
        self.setProperty("surface", "paper")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self._make_header())
        self.notice = NoticeBar(theme)
        # A widget of its own, so that a hidden notice takes no room.
        self._notice_place = QWidget()
        self._notice_row = QHBoxLayout(self._notice_place)
        self._notice_row.addWidget(self.notice)
        self.notice.shown.connect(self._notice_place.setVisible)
        self._notice_place.hide()
        column.addWidget(self._notice_place)
        self.transcript = Transcript(theme)
        column.addWidget(self.transcript, 1)
        self.composer = Composer(theme)
        composer_row = QHBoxLayout()
        composer_row.setContentsMargins(16, 4, 16, 12)
        composer_row.addWidget(self.composer)
        column.addLayout(composer_row)
        # A click on these would leave the keyboard in the transcript, where nobody can write.
        for begun in (
            self.transcript.continue_requested,
            self.transcript.help_requested,
            self.transcript.retry_requested,
            self.transcript.drafts_requested,
            self.transcript.draft_kept,
            self.transcript.edit_requested,
        ):
            begun.connect(self.composer.focus_input)
        self._fit_margins()
        theme.changed.connect(self._fit_margins)

    def set_title(self, title: str) -> None:
        """Show the conversation's name in the header."""
        self.title.set_full_text(title)

    def set_menu(self, menu: QMenu) -> None:
        """Give the header's last button its menu."""
        self.menu_button.setMenu(menu)

    def _make_header(self) -> QWidget:
        header = make_surface("header")
        header.setMinimumHeight(56)
        row = QHBoxLayout(header)
        row.setContentsMargins(20, 8, 16, 8)
        row.setSpacing(12)
        self.chip = ModelChip(self.theme)
        self.title = ElidedLabel("", "strong")
        self.inspector_button = IconButton(self.theme, "panel", self.tr("Inspector (Ctrl+I)"))
        self.inspector_button.setCheckable(True)
        self.menu_button = IconButton(self.theme, "more", self.tr("Menu"))
        self.menu_button.setPopupMode(IconButton.ToolButtonPopupMode.InstantPopup)
        row.addWidget(self.chip)
        row.addWidget(self.title, 1)
        row.addWidget(self.inspector_button)
        row.addWidget(self.menu_button)
        return header

    def _fit_margins(self) -> None:
        """Keep the notice over the transcript's measure, centred as the composer is."""
        measure = self.theme.px(TRANSCRIPT_PX) * MEASURE_EM + 2 * COMPOSER_OVERHANG_PX
        side = max(16, (self.width() - measure) // 2)
        self._notice_row.setContentsMargins(side, 8, side, 0)

    @override
    def resizeEvent(self, event: QResizeEvent) -> None:
        """Fit the margins to the width."""
        super().resizeEvent(event)
        self._fit_margins()

    @override
    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Esc stops the reply, wherever on the page the keyboard is."""
        if event.key() == Qt.Key.Key_Escape:
            self.composer.stop()
        super().keyPressEvent(event)
