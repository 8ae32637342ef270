"""The row of filters above the Discover tab: what fits, size, licence, ability, order."""

from dataclasses import replace
from typing import TYPE_CHECKING, Final, override

from PySide6.QtCore import QPointF, Qt, Signal
from PySide6.QtGui import QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QWidget

from inglenook.gui.formats import format_licence
from inglenook.gui.models_page.results_rows import name_mark
from inglenook.gui.theme import Theme
from inglenook.gui.widgets import ElidedLabel, make_button
from inglenook.models.catalogue import MARKS
from inglenook.models.hub_search import SORT_ORDERS, Query

if TYPE_CHECKING:
    from inglenook.models.catalogue import Mark
    from inglenook.models.hub_search import SortOrder

SIZES: Final = ((0.0, 0.0), (0.0, 2.0), (2.0, 5.0), (5.0, 10.0), (10.0, 20.0), (20.0, 40.0),
                (40.0, 0.0))  # fmt: skip
"""Least and most parameters in billions; 0.0 is no bound."""
LICENCES: Final = ("", "apache-2.0", "mit", "gemma", "llama3.1", "llama3.2", "llama3.3",
                   "cc-by-nc-4.0", "other")  # fmt: skip


class FilterBox(QComboBox):
    """A choice that opens, in the look of a filter."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self._theme = theme
        self.setProperty("kind", "filter")
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)

    @override
    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the arrow, which the style sheet has no picture for."""
        super().paintEvent(event)
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        pen = QPen(self._theme.colours.colour("quiet"), 1.4)
        pen.setCapStyle(Qt.PenCapStyle.RoundCap)
        painter.setPen(pen)
        x, y = self.width() - 14.0, self.height() / 2
        painter.drawPolyline(
            [QPointF(x - 3.5, y - 1.5), QPointF(x, y + 2), QPointF(x + 3.5, y - 1.5)]
        )


class Filters(QWidget):
    """Signals: `changed()`."""

    changed = Signal()

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._maker = ""
        row = QHBoxLayout(self)
        row.setContentsMargins(28, 8, 28, 10)
        row.setSpacing(8)
        self.fits = make_button(self.tr("Fits this machine"), "filter")
        self.fits.setCheckable(True)
        self.fits.setChecked(True)
        self.fits.toggled.connect(self.changed)
        self.by_size = self._make_box(
            self.tr("Size"), [self._name_size(low, high) for low, high in SIZES]
        )
        self.licence = self._make_box(
            self.tr("Licence"),
            [self._name_licence(licence) for licence in LICENCES],
        )
        marks = [name_mark(mark, self.tr) for mark in MARKS]
        self.mark = self._make_box(self.tr("Ability"), [self.tr("Any ability"), *marks])
        self.maker = make_button("", "filter")
        self.maker.setCheckable(True)
        self.maker.setChecked(True)
        self.maker.clicked.connect(lambda: self.set_maker(""))
        self.maker.hide()
        names = {
            "trending": self.tr("Trending"),
            "downloads": self.tr("Most downloads"),
            "likes": self.tr("Most likes"),
            "recent": self.tr("Newest"),
        }
        orders = [*(names[order] for order in SORT_ORDERS), self.tr("Best for this machine")]
        self.sort = self._make_box(self.tr("Order"), orders)
        self.count = ElidedLabel("", "small")
        for part in (self.fits, self.by_size, self.licence, self.mark, self.maker, self.count):
            row.addWidget(part)
        row.addStretch(1)
        row.addWidget(self.sort)

    @property
    def query(self) -> Query:
        """The question that these filters make, without words."""
        low, high = SIZES[self.by_size.currentIndex()]
        mark: Mark | None = None
        if self.mark.currentIndex() > 0:
            mark = MARKS[self.mark.currentIndex() - 1]
        order: SortOrder = "downloads"
        if not self.sorts_by_fit:
            order = SORT_ORDERS[self.sort.currentIndex()]
        return Query(
            sort=order,
            min_billions=low,
            max_billions=high,
            licence=LICENCES[self.licence.currentIndex()],
            maker=self._maker,
            mark=mark,
        )

    @property
    def sorts_by_fit(self) -> bool:
        """Whether what was found is put in the order of how it runs here."""
        return self.sort.currentIndex() == len(SORT_ORDERS)

    @property
    def is_narrowed(self) -> bool:
        """Whether anything but the order was chosen."""
        return replace(self.query, sort="trending") != Query()

    def set_maker(self, maker: str) -> None:
        """Look at one maker's models only; "" for everybody's."""
        if maker == self._maker:
            return
        self._maker = maker
        self.maker.setText(self.tr("by {maker} ✕").replace("{maker}", maker))
        self.maker.setAccessibleName(self.tr("Only by {maker}: remove").replace("{maker}", maker))
        self.maker.setChecked(True)
        self.maker.setVisible(bool(maker))
        self.changed.emit()

    def clear(self) -> None:
        """Take all filters back but what fits."""
        for box in (self.by_size, self.licence, self.mark):
            box.setCurrentIndex(0)
        self.set_maker("")

    def _make_box(self, name: str, texts: list[str]) -> "FilterBox":
        box = FilterBox(self._theme)
        box.setAccessibleName(name)
        box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)
        box.addItems(texts)
        box.setMaxVisibleItems(12)
        box.currentIndexChanged.connect(self._on_box_changed)
        return box

    def _on_box_changed(self, index: int) -> None:
        del index
        self.changed.emit()

    def _name_size(self, low: float, high: float) -> str:
        if not low and not high:
            return self.tr("Any size")
        if not low:
            return self.tr("up to {n}B").replace("{n}", f"{high:g}")
        if not high:
            return self.tr("over {n}B").replace("{n}", f"{low:g}")
        return f"{low:g}B to {high:g}B"

    def _name_licence(self, licence: str) -> str:
        if not licence:
            return self.tr("Any licence")
        return format_licence(licence) or self.tr("other licence")
