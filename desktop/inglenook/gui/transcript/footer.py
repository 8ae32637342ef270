"""What stands under a reply that is done: its numbers at the left, its buttons at the right."""

from PySide6.QtCore import QPoint, Qt, Signal
from PySide6.QtGui import QFont
from PySide6.QtWidgets import QWidget

from inglenook.gui.theme import Theme
from inglenook.gui.transcript.controls import DropButton, Figure, Row, TextButton
from inglenook.gui.transcript.meter_row import SummaryLine
from inglenook.gui.transcript.versions import VersionArrows
from inglenook.gui.widgets import make_menu
from inglenook.store.records import Message


class ReplyFooter(Row):
    """The summary, the arrows between versions, Copy and Retry.

    Signals: `copied()`, `retried()`, `drafts_wanted()`; `version_chosen(str)` with a message's id.
    """

    copied = Signal()
    retried = Signal()
    drafts_wanted = Signal()
    version_chosen = Signal(str)

    def __init__(self, theme: Theme, parent: QWidget | None = None, *, is_draft: bool) -> None:
        super().__init__(parent, gap=8)
        self._is_draft = is_draft
        self.summary = SummaryLine(theme)
        self._unsaved = Figure(theme, role="brick", weight=QFont.Weight.Medium)
        self.add_left(self.summary, self._unsaved)
        self._versions = VersionArrows(theme)
        self._versions.chosen.connect(self.version_chosen)
        self.copy_button = TextButton(theme, self.tr("Copy"))
        self.copy_button.setAccessibleName(self.tr("Copy the reply"))
        self.copy_button.clicked.connect(self.copied)
        self.retry_button = TextButton(theme, self.tr("Retry"))
        self.retry_button.setAccessibleName(self.tr("Write another reply"))
        self.retry_button.clicked.connect(self.retried)
        self.more_button = DropButton(theme)
        self.more_button.setAccessibleName(self.tr("More ways to retry"))
        self.more_button.setToolTip(self.tr("More ways to retry"))
        self.more_button.clicked.connect(self._on_more)
        self.add_right(self._versions, self.copy_button, self.retry_button, self.more_button)
        self.more_button.setVisible(not is_draft)

    def show_message(self, message: Message, *, can_retry: bool) -> None:
        """Show a reply's numbers, and the buttons that do something for it."""
        self.summary.show_statistics(message.statistics)
        self._versions.set_versions(() if self._is_draft else message.sibling_ids, message.id)
        self.copy_button.setVisible(bool(message.content))
        self.retry_button.setVisible(can_retry and not self._is_draft)

    def show_unsaved(self, is_unsaved: bool) -> None:
        """Show or take away the mark that the text is not on the disk yet."""
        self._unsaved.show_figure(
            self.tr("Not saved yet") if is_unsaved else "",
            self.tr("The text is in memory only; it is saved as soon as the disk takes it."),
        )

    def show_copied(self) -> None:
        """Say for a moment that the text was copied."""
        self.copy_button.show_done(self.tr("Copied"))
        self.fit(self.width())

    def _on_more(self) -> None:
        menu = make_menu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.addAction(self.tr("Another reply")).triggered.connect(self.retried)
        menu.addAction(self.tr("Three drafts")).triggered.connect(self.drafts_wanted)
        menu.popup(self.more_button.mapToGlobal(QPoint(0, self.more_button.height())))
