"""The icon family: one grid of 24 units, one stroke, drawn from SVG strings kept here.

Used on the window's thread. Icons take a colour role, so that they follow the scheme.
"""

from typing import Final

from PySide6.QtCore import QByteArray, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QIcon, QPainter, QPixmap
from PySide6.QtSvg import QSvgRenderer
from PySide6.QtWidgets import QToolButton, QWidget

from inglenook.gui.theme import Theme

STROKE: Final = 1.7

SHAPES: Final = {
    "arrow-down": "<path d='M12 5v14M6 13l6 6 6-6'/>",
    "arrow-up": "<path d='M12 19V5M6 11l6-6 6 6'/>",
    "check": "<path d='M5 12.5l4.5 4.5L19 7.5'/>",
    "chevron-down": "<path d='M7 10l5 5 5-5'/>",
    "chevron-left": "<path d='M14 7l-5 5 5 5'/>",
    "chevron-right": "<path d='M10 7l5 5-5 5'/>",
    "clip": "<path d='M19.5 11.5l-7.6 7.6a4.6 4.6 0 0 1-6.5-6.5l8-8a3.1 3.1 0 0 1 4.4 4.4l-7.9 7.9"
    "a1.6 1.6 0 0 1-2.2-2.2l7.2-7.3'/>",
    "close": "<path d='M7 7l10 10M17 7L7 17'/>",
    "columns": "<rect x='3.5' y='5' width='4.6' height='14' rx='1.6'/>"
    "<rect x='9.7' y='5' width='4.6' height='14' rx='1.6'/>"
    "<rect x='15.9' y='5' width='4.6' height='14' rx='1.6'/>",
    "copy": "<rect x='9' y='9' width='11' height='11' rx='2.5'/>"
    "<path d='M15 5.5A1.5 1.5 0 0 0 13.5 4h-8A1.5 1.5 0 0 0 4 5.5v8A1.5 1.5 0 0 0 5.5 15'/>",
    "cube": "<path d='M12 3.5l7.5 4.2v8.6L12 20.5l-7.5-4.2V7.7z'/>"
    "<path d='M4.7 7.9L12 12l7.3-4.1M12 12v8.3'/>",
    "download": "<path d='M12 4v11M7 10.5l5 5 5-5M5 19.5h14'/>",
    "edit": "<path d='M4.5 19.5l.9-4L16 4.9a1.8 1.8 0 0 1 2.6 0l.6.6a1.8 1.8 0 0 1 0 "
    "2.6L8.5 18.6z'/><path d='M14.3 6.6l3.2 3.2'/>",
    "file": "<path d='M13.5 3.5H7A1.5 1.5 0 0 0 5.5 5v14A1.5 1.5 0 0 0 7 20.5h10a1.5 1.5 0 0 0 "
    "1.5-1.5V8.5z'/><path d='M13.5 3.5v5h5'/>",
    "folder": "<path d='M3.5 7A1.5 1.5 0 0 1 5 5.5h4l2 2.5h8A1.5 1.5 0 0 1 20.5 9.5V17a1.5 1.5 0 "
    "0 1-1.5 1.5H5A1.5 1.5 0 0 1 3.5 17z'/>",
    "hearth": "<path d='M4 20.5V11a8 8 0 0 1 16 0v9.5'/><path d='M2.5 20.5h19'/>"
    "<path d='M12 10.5c2.6 2.3 3.4 3.9 3.4 5.7a3.4 3.4 0 0 1-6.8 0c0-1.3.5-2.2 1.4-3 "
    ".3 1 .8 1.5 1.3 1.6-.1-1.6 0-3 .7-4.3z'/>",
    "info": "<circle cx='12' cy='12' r='8.5'/><path d='M12 11v5.5M12 7.6v.1'/>",
    "keyboard": "<rect x='3' y='6' width='18' height='12' rx='2.5'/>"
    "<path d='M7 10h.1M11 10h.1M15 10h.1M17.5 10h.1M8 14.2h8'/>",
    "link": "<path d='M10 14a4 4 0 0 0 5.7 0l3-3A4 4 0 0 0 13 5.3l-1 1'/>"
    "<path d='M14 10a4 4 0 0 0-5.7 0l-3 3a4 4 0 0 0 5.7 5.7l1-1'/>",
    "more": "<path d='M6 12h.01M12 12h.01M18 12h.01' stroke-width='2.6'/>",
    "panel": "<rect x='3.5' y='5' width='17' height='14' rx='2.5'/><path d='M14.5 5v14'/>",
    "pause": "<path d='M9 6v12M15 6v12'/>",
    "pin": "<path d='M9 4h6l-.7 6 3.2 3.5H6.5L9.7 10zM12 13.5V20'/>",
    "play": "<path d='M8 5.5l10 6.5-10 6.5z'/>",
    "plus": "<path d='M12 5.5v13M5.5 12h13'/>",
    "retry": "<path d='M19.5 12a7.5 7.5 0 1 1-2.3-5.4'/><path d='M19.8 3.8v4h-4'/>",
    "search": "<circle cx='10.5' cy='10.5' r='6'/><path d='M15 15l5 5'/>",
    "shield": "<path d='M12 3.5l7 2.5v5.5c0 4.3-2.8 7.3-7 9-4.2-1.7-7-4.7-7-9V6z'/>",
    "sliders": "<path d='M4 8h8.5M17.5 8H20M4 16h2.5M11.5 16H20'/>"
    "<circle cx='15' cy='8' r='2.5'/><circle cx='9' cy='16' r='2.5'/>",
    "stop": "<rect x='7' y='7' width='10' height='10' rx='1.5' fill='currentColor'/>",
    "trash": "<path d='M4.5 6.5h15M9.5 6.5V4.5h5v2M6.5 6.5l.9 12.6a1.5 1.5 0 0 0 1.5 1.4h6.2a1.5 "
    "1.5 0 0 0 1.5-1.4l.9-12.6M10 10.5v6M14 10.5v6'/>",
    "undo": "<path d='M8.5 6L4.5 10l4 4'/><path d='M5 10h9a5 5 0 0 1 0 10h-3'/>",
    "warning": "<path d='M12 4.5l8.5 15h-17z'/><path d='M12 10v4.5M12 17v.1'/>",
}
"""Each icon's strokes, in a box of 24 by 24."""


def draw_pixmap(name: str, colour: QColor, size_px: int, ratio: float = 1.0) -> QPixmap:
    """Draw an icon into a pixmap of `size_px` logical pixels."""
    svg = (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 24 24' fill='none' "
        f"stroke='{colour.name()}' stroke-width='{STROKE}' stroke-linecap='round' "
        f"stroke-linejoin='round'>{SHAPES[name].replace('currentColor', colour.name())}</svg>"
    )
    side = max(1, round(size_px * ratio))
    pixmap = QPixmap(side, side)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    QSvgRenderer(QByteArray(svg.encode())).render(painter, QRectF(0, 0, side, side))
    painter.end()
    pixmap.setDevicePixelRatio(ratio)
    return pixmap


def make_icon(theme: Theme, name: str, role: str = "quiet", size_px: int = 18) -> QIcon:
    """An icon in a role's colour, sharp at one and at two pixels per logical pixel."""
    icon = QIcon()
    for ratio in (1.0, 2.0):
        pixmap = draw_pixmap(name, theme.colours.colour(role), theme.px(size_px), ratio)
        icon.addPixmap(pixmap)
        disabled = theme.colours.colour("line")
        icon.addPixmap(draw_pixmap(name, disabled, theme.px(size_px), ratio), QIcon.Mode.Disabled)
    return icon


class IconButton(QToolButton):
    """A flat button with an icon; its label is the tooltip and the accessible name.

    Reached by Tab, not by a click, so that a click leaves the focus where one types.
    """

    def __init__(
        self,
        theme: Theme,
        name: str,
        label: str,
        parent: QWidget | None = None,
        *,
        role: str = "quiet",
        size_px: int = 18,
    ) -> None:
        super().__init__(parent)
        self._theme = theme
        self._name = name
        self._role = role
        self._size_px = size_px
        self.setProperty("kind", "icon")
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.set_label(label)
        self._draw()
        theme.changed.connect(self._draw)

    def set_label(self, label: str) -> None:
        """Set what the button is called, on hover and for a screen reader."""
        self.setToolTip(label)
        self.setAccessibleName(label)

    def set_icon_name(self, name: str, role: str | None = None) -> None:
        """Show another icon of the family."""
        self._name = name
        self._role = role or self._role
        self._draw()

    def _draw(self) -> None:
        self.setIcon(make_icon(self._theme, self._name, self._role, self._size_px))
        side = self._theme.px(self._size_px)
        self.setIconSize(QSize(side, side))
