"""A repository's card: Markdown that a stranger wrote, shown as replies are: nothing is loaded."""

from typing import Final, override

from PySide6.QtCore import QTimer, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QWidget

from inglenook.gui.theme import MEASURE_EM, TRANSCRIPT_PX, Theme
from inglenook.gui.transcript.body import ReplyBody
from inglenook.gui.transcript.formats import Formats
from inglenook.gui.transcript.highlight import Colourist

_MEASURE: Final = MEASURE_EM * TRANSCRIPT_PX


class CardText(QWidget):
    """The text takes the width that there is, up to a good measure, and is as high as it needs.

    Signals: `link_clicked(address)` for links that may be opened.
    """

    link_clicked = Signal(str)

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._text = ""
        self._body: ReplyBody | None = None
        self._refit = QTimer(self)
        self._refit.setSingleShot(True)
        self._refit.setInterval(0)
        self._refit.timeout.connect(self._fit)
        theme.changed.connect(lambda: self.set_text(self._text))

    @property
    def body(self) -> ReplyBody | None:
        """What shows the text; None while there is none."""
        return self._body

    def set_text(self, text: str) -> None:
        """Show a text; a long one comes in slices."""
        if self._body is not None:
            self._body.hide()
            self._body.deleteLater()
            self._body = None
        self._text = text
        if not text:
            self.setFixedHeight(0)
            return
        self._body = ReplyBody(Formats(self._theme, Colourist()), self)
        self._body.height_changed.connect(self._refit.start)
        self._body.link_clicked.connect(self.link_clicked)
        self._body.set_text(text, is_last=True)
        self._body.show()
        self._fit()

    def _fit(self) -> None:
        if self._body is None:
            return
        width = min(self.width(), self._theme.px(_MEASURE))
        height = self._body.fit(max(120, width))
        self._body.setGeometry(0, 0, width, height)
        if height != self.height():
            self.setFixedHeight(height)

    @override
    def resizeEvent(self, event: QResizeEvent) -> None:
        """Lay out anew where the width changed."""
        super().resizeEvent(event)
        if event.size().width() != event.oldSize().width():
            self._refit.start()
