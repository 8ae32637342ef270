"""Colours by role, one spacing scale, fonts. Widgets ask for roles and never name a colour.

`apply_theme` is called on the window's thread at start, when the setting changes and when the
desktop switches between light and dark.
"""

from dataclasses import dataclass, fields
from typing import Final

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QColor, QFont, QFontDatabase, QGuiApplication, QPalette
from PySide6.QtWidgets import QApplication

SPACE: Final = (4, 8, 12, 16, 24, 32)
"""The spacing scale in logical pixels; layouts use no other distances."""

RADIUS_CONTROL: Final = 8
RADIUS_CARD: Final = 12

TEXT_PX: Final = 14
TRANSCRIPT_PX: Final = 15
SMALL_PX: Final = 12
LINE_HEIGHT: Final = 1.55
MEASURE_EM: Final = 46


@dataclass(frozen=True, slots=True)
class Colours:
    """One colour scheme, as #rrggbb by role."""

    name: str
    paper: str
    """Ground of the transcript and of pages."""
    sidebar: str
    raised: str
    """Cards, fields, the composer."""
    user_card: str
    line: str
    ink: str
    quiet: str
    """Text that can be overlooked; still 4.5 : 1 on paper."""
    ember: str
    """The accent: primary buttons, the live number, the cursor of a streaming reply."""
    on_ember: str
    ember_tint: str
    moss: str
    moss_tint: str
    amber: str
    amber_tint: str
    brick: str
    brick_tint: str
    code_ground: str
    selection: str
    syntax_keyword: str
    syntax_string: str
    syntax_name: str
    syntax_number: str
    syntax_comment: str

    def colour(self, role: str) -> QColor:
        """The colour of a role, for painters."""
        return QColor(getattr(self, role))


LIGHT: Final = Colours(
    name="light", paper="#FBF8F4", sidebar="#F3EEE8", raised="#FFFFFF", user_card="#F0EAE1",
    line="#E7E0D8", ink="#2A2622", quiet="#746B64", ember="#C04E19", on_ember="#FFFFFF",
    ember_tint="#FBE9E0", moss="#47703F", moss_tint="#E3EFE0", amber="#8F5D10",
    amber_tint="#FBEFD5", brick="#B23A2E", brick_tint="#F8E0DC", code_ground="#F5F0EA",
    selection="#F3CDB9", syntax_keyword="#A53F10", syntax_string="#3F6B3A",
    syntax_name="#2B5C8A", syntax_number="#8A5A12", syntax_comment="#7A7069",
)  # fmt: skip

DARK: Final = Colours(
    name="dark", paper="#1B1917", sidebar="#151311", raised="#262320", user_card="#2B2724",
    line="#3A3530", ink="#EDE6DD", quiet="#A39A90", ember="#F08A4B", on_ember="#1B1917",
    ember_tint="#3B2619", moss="#8CBF83", moss_tint="#233021", amber="#E0AC55",
    amber_tint="#372B17", brick="#F08577", brick_tint="#3B211D", code_ground="#23201D",
    selection="#5B3620", syntax_keyword="#F0955C", syntax_string="#98CC8E",
    syntax_name="#86B7E6", syntax_number="#E0B568", syntax_comment="#9A9187",
)  # fmt: skip


class Theme(QObject):
    """The scheme in force and the zoom; `changed` tells widgets that paint for themselves.

    Signals: `changed()`.
    """

    changed = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.colours = LIGHT
        self.zoom = 1.0
        self._wanted = "system"
        self._text_font: QFont | None = None
        self._code_font: QFont | None = None
        self._fonts: dict[tuple[int, QFont.Weight], QFont] = {}
        QGuiApplication.styleHints().colorSchemeChanged.connect(self._on_system_changed)

    def px(self, size: float) -> int:
        """A text or control size in pixels at the present zoom."""
        return max(1, round(size * self.zoom))

    def font(self, size_px: int = TEXT_PX, *, weight: QFont.Weight = QFont.Weight.Normal) -> QFont:
        """The interface font at a size, with tabular figures."""
        key = (self.px(size_px), weight)
        if key not in self._fonts:
            if self._text_font is None:
                self._text_font = choose_text_font()
            font = QFont(self._text_font)
            font.setPixelSize(key[0])
            font.setWeight(weight)
            font.setFeature(QFont.Tag("tnum"), 1)
            self._fonts[key] = font
        return QFont(self._fonts[key])

    def code_font(self, size_px: int = 13) -> QFont:
        """The system's fixed-width font at a size."""
        if self._code_font is None:
            self._code_font = QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont)
        font = QFont(self._code_font)
        font.setPixelSize(self.px(size_px))
        return font

    def apply(self, wanted: str, zoom: float) -> None:
        """Put a scheme ("system", "light" or "dark") and a zoom in force."""
        self._wanted = wanted
        self.zoom = zoom
        self.colours = self._resolve()
        application = QApplication.instance()
        if isinstance(application, QApplication):
            application.setPalette(make_palette(self.colours))
            application.setFont(self.font())
            from inglenook.gui.stylesheet import make_stylesheet

            application.setStyleSheet(make_stylesheet(self))
        self.changed.emit()

    def _resolve(self) -> Colours:
        if self._wanted == "system":
            dark = QGuiApplication.styleHints().colorScheme() == Qt.ColorScheme.Dark
            return DARK if dark else LIGHT
        return DARK if self._wanted == "dark" else LIGHT

    def _on_system_changed(self) -> None:
        if self._wanted == "system":
            self.apply(self._wanted, self.zoom)


def choose_text_font() -> QFont:
    """The desktop's own font; a good one that is installed where the desktop names none."""
    font = QFontDatabase.systemFont(QFontDatabase.SystemFont.GeneralFont)
    if font.family().lower() in {
        "",
        "sans",
        "sans serif",
        "sans-serif",
        "helvetica",
        "dejavu sans",
    }:
        families = set(QFontDatabase.families())
        for name in ("Inter", "Noto Sans", "Cantarell", "Ubuntu", "DejaVu Sans"):
            if name in families:
                font.setFamily(name)
                break
    return font


def make_palette(colours: Colours) -> QPalette:
    """Qt's palette from our roles, for what the style sheet does not reach."""
    palette = QPalette()
    role = QPalette.ColorRole
    for which, name in (
        (role.Window, "paper"), (role.Base, "raised"), (role.AlternateBase, "user_card"),
        (role.Button, "raised"), (role.Text, "ink"), (role.WindowText, "ink"),
        (role.ButtonText, "ink"), (role.PlaceholderText, "quiet"), (role.Highlight, "selection"),
        (role.HighlightedText, "ink"), (role.Link, "ember"), (role.ToolTipBase, "raised"),
        (role.ToolTipText, "ink"), (role.Mid, "line"), (role.Accent, "ember"),
    ):  # fmt: skip
        palette.setColor(which, colours.colour(name))
    for which in (role.Text, role.WindowText, role.ButtonText):
        palette.setColor(QPalette.ColorGroup.Disabled, which, colours.colour("quiet"))
    return palette


def contrast(first: str, second: str) -> float:
    """Contrast ratio of two #rrggbb colours, 1 to 21 (WCAG 2.1, relative luminance)."""

    def luminance(colour: str) -> float:
        channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        red, green, blue = (
            c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels
        )
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    high, low = sorted((luminance(first), luminance(second)), reverse=True)
    return (high + 0.05) / (low + 0.05)


ROLES: Final = tuple(field.name for field in fields(Colours) if field.name != "name")
