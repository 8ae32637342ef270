"""One file of a model that can be downloaded: quantisation, size, fit, and its present state."""

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, override

from PySide6.QtCore import QSize, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from inglenook.gui.formats import format_bytes
from inglenook.gui.models_page.fit_pill import FitPill, make_fit_pill
from inglenook.gui.theme import Theme
from inglenook.gui.widgets import Pill, make_button, make_label
from inglenook.models.fit import Fit
from inglenook.models.progress import DownloadState

if TYPE_CHECKING:
    from inglenook.gui.models_page.transfer_view import TransferView


@dataclass(frozen=True, slots=True)
class FileOffer:
    """A file that the hub has. `name` is what `Downloads.start` takes.

    `pattern` is the file's name in the repository, with `*` as in shells.
    """

    name: str
    repo: str
    title: str
    quantisation: str
    size_bytes: int
    fit: Fit | None
    is_recommended: bool = False
    pattern: str = ""
    n_parts: int = 1
    can_be_had: bool = True
    """False where the hub does not give it to this person."""

    def is_file(self, filename: str) -> bool:
        """Whether a file of the repository is this one."""
        return fnmatchcase(filename.lower(), self.pattern.lower())


class FileRow(QWidget):
    """The row of a card. What is not needed yet is not made yet: cards come by the dozen.

    Signals: `download_requested(name)`, `use_requested()`, and those of its `TransferView`.
    """

    download_requested = Signal(str)
    use_requested = Signal()
    pause_requested = Signal(str)
    resume_requested = Signal(str)
    cancel_requested = Signal(str)

    def __init__(self, theme: Theme, offer: FileOffer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self.offer = offer
        self._transfer: TransferView | None = None
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Minimum)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 8, 0, 8)
        column.setSpacing(4)
        self._row = QHBoxLayout()
        self._row.setSpacing(12)
        column.addLayout(self._row)
        kind = make_label(offer.quantisation, "strong")
        kind.setMinimumWidth(theme.px(64))
        size = make_label(format_bytes(offer.size_bytes) if offer.size_bytes else "", "quiet")
        size.setMinimumWidth(theme.px(58))
        self._row.addWidget(kind)
        self._row.addWidget(size)
        if offer.n_parts > 1:
            text = self.tr("in {n} parts").replace("{n}", str(offer.n_parts))
            self._row.addWidget(make_label(text, "small"))
        self.pill: FitPill | None = None
        if offer.fit is not None:
            self.pill = make_fit_pill(theme, offer.fit, self.tr)
            self._row.addWidget(self.pill)
        self._recommended: Pill | None = None
        if offer.is_recommended:
            self._recommended = Pill(theme, self.tr("recommended"), "accent")
            self._row.addWidget(self._recommended)
        self._row.addStretch(1)
        self._done = Pill(theme, self.tr("installed"), "good")
        self._use = make_button(self.tr("Use"))
        self._use.setAccessibleName(self.tr("Use {name}").replace("{name}", offer.title))
        self._use.clicked.connect(self.use_requested)
        self._button = self._make_download_button()
        self._error = make_label("", "bad", wraps=True)
        for part in (self._done, self._use, self._button):
            self._row.addWidget(part)
        column.addWidget(self._error)
        self.show_state(None, is_installed=False, is_starting=False)

    @override
    def minimumSizeHint(self) -> QSize:
        """Narrow: the word that it is recommended gives way."""
        size = super().minimumSizeHint()
        if self._recommended is not None and not self._recommended.isHidden():
            size.setWidth(size.width() - self._recommended.sizeHint().width())
        return size

    @override
    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._show_recommended()

    def _show_recommended(self) -> None:
        """Say that it is recommended where there is room, and where it was not taken yet."""
        pill = self._recommended
        if pill is None:
            return
        is_taken = self._transfer is not None and not self._transfer.isHidden()
        needs = self._row.minimumSize().width()
        needs += 0 if not pill.isHidden() else pill.sizeHint().width() + self._row.spacing()
        pill.setVisible(not is_taken and needs <= self.width())

    def show_state(
        self,
        state: DownloadState | None,
        *,
        is_installed: bool,
        is_starting: bool,
        error: str = "",
    ) -> None:
        """Show what is known of this file here: installed, on its way, failed, or to be had."""
        is_moving = state is not None and state.phase not in {"done", "cancelled"}
        is_moving = is_moving and not is_installed
        if is_moving and state is not None:
            self._show_transfer(state)
        elif self._transfer is not None:
            self._transfer.hide()
        self._done.setVisible(is_installed)
        self._use.setVisible(is_installed)
        self._button.setVisible(self.offer.can_be_had and not is_installed and not is_moving)
        self._button.setEnabled(not is_starting)
        if state is not None and state.phase == "failed" and not is_installed:
            error = f"{state.error} {state.hint}".strip()
        self._error.setText(error)
        self._error.setVisible(bool(error))
        self._show_recommended()

    def _show_transfer(self, state: DownloadState) -> None:
        if self._transfer is None:
            from inglenook.gui.models_page.transfer_view import TransferView

            self._transfer = TransferView(self._theme, self.offer.title)
            self._transfer.pause_requested.connect(self.pause_requested)
            self._transfer.resume_requested.connect(self.resume_requested)
            self._transfer.cancel_requested.connect(self.cancel_requested)
            self._row.addWidget(self._transfer)
        self._transfer.show_state(state)
        self._transfer.show()

    def _make_download_button(self) -> QPushButton:
        offer = self.offer
        fits = offer.fit is None or offer.fit.verdict != "too_large"
        text = self.tr("Download") if fits else self.tr("Download anyway")
        button = make_button(text, "primary" if offer.is_recommended and fits else "")
        button.setAccessibleName(
            self.tr("Download {name}").replace("{name}", f"{offer.title} {offer.quantisation}")
        )
        button.clicked.connect(lambda: self.download_requested.emit(offer.name))
        return button
