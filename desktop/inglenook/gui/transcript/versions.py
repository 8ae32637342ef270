"""The arrows between the versions of a message, with "2/3" between them. Window's thread."""

from collections.abc import Sequence

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QWidget

from inglenook.gui.theme import Theme
from inglenook.gui.transcript.controls import ArrowButton, Figure, Row


class VersionArrows(Row):
    """Steps through the versions at one place; hidden when there is only one.

    Signals: `chosen(str)` with the id of the version to show.
    """

    chosen = Signal(str)

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent, gap=1)
        self._theme = theme
        self._ids: tuple[str, ...] = ()
        self._place = 0
        self._is_built = False
        self.hide()

    def _build(self) -> None:
        """Most messages have one version, and need none of this."""
        theme, self._is_built = self._theme, True
        self._previous = ArrowButton(theme, points_right=False)
        self._previous.setAccessibleName(self.tr("Previous version"))
        self._previous.setToolTip(self.tr("Previous version"))
        self._previous.clicked.connect(lambda: self._step(-1))
        self._count = Figure(theme)
        self._next = ArrowButton(theme, points_right=True)
        self._next.setAccessibleName(self.tr("Next version"))
        self._next.setToolTip(self.tr("Next version"))
        self._next.clicked.connect(lambda: self._step(1))
        self.add_left(self._previous, self._count, self._next)

    def set_versions(self, ids: Sequence[str], shown_id: str) -> None:
        """Show where `shown_id` stands among the versions."""
        self._ids = tuple(ids)
        self._place = self._ids.index(shown_id) if shown_id in self._ids else 0
        has_several = len(self._ids) > 1
        if has_several and not self._is_built:
            self._build()
        self.setVisible(has_several)
        if not has_several:
            return
        self._count.setText(f"{self._place + 1}/{len(self._ids)}")
        self._count.setAccessibleName(
            self.tr("Version {n} of {all}").format(n=self._place + 1, all=len(self._ids))
        )
        self._previous.setEnabled(self._place > 0)
        self._next.setEnabled(self._place < len(self._ids) - 1)

    def _step(self, step: int) -> None:
        place = self._place + step
        if 0 <= place < len(self._ids):
            self.chosen.emit(self._ids[place])
