"""The one style sheet, made from the theme's roles. `Theme.apply` puts it in force.

Widgets say what they are by a property (`kind` of a button, `tone` of a label, `surface` of a
frame); only this file knows what that looks like.
"""

from inglenook.gui.theme import RADIUS_CARD, RADIUS_CONTROL, SMALL_PX, TEXT_PX, Colours, Theme


def make_stylesheet(theme: Theme) -> str:
    """The style sheet of the application for the scheme and the zoom in force."""
    sizes = _Sizes(theme)
    return "\n".join(
        part(theme.colours, sizes)
        for part in (_surfaces, _labels, _buttons, _fields, _choices, _menus, _scrollbars)
    )


class _Sizes:
    """Sizes in pixels at the present zoom."""

    def __init__(self, theme: Theme) -> None:
        self.text = theme.px(TEXT_PX)
        self.small = theme.px(SMALL_PX)
        self.title = theme.px(20)
        self.heading = theme.px(16)
        self.pad_x = theme.px(12)
        self.pad_y = theme.px(5)
        self.tight = theme.px(3)


def _surfaces(c: Colours, s: _Sizes) -> str:
    return f"""
QWidget {{ color: {c.ink}; font-size: {s.text}px; }}
QMainWindow, QDialog, QWidget[surface="paper"], QStackedWidget {{ background: {c.paper}; }}
QWidget[surface="sidebar"] {{ background: {c.sidebar}; }}
QFrame[surface="card"] {{
  background: {c.raised}; border: 1px solid {c.line}; border-radius: {RADIUS_CARD}px; }}
QFrame[surface="bar"] {{
  background: {c.raised}; border: 1px solid {c.line}; border-radius: {RADIUS_CONTROL}px; }}
QFrame[surface="bad"] {{
  background: {c.brick_tint}; border: 1px solid {c.brick}; border-radius: {RADIUS_CONTROL}px; }}
QFrame[surface="warn"] {{
  background: {c.amber_tint}; border: 1px solid {c.amber}; border-radius: {RADIUS_CONTROL}px; }}
QFrame[surface="line"] {{ background: {c.line}; border: none; }}
QWidget[surface="header"] {{ background: {c.paper}; border-bottom: 1px solid {c.line}; }}
QSplitter::handle {{ background: {c.line}; }}
QSplitter::handle:hover {{ background: {c.ember}; }}
QScrollArea, QScrollArea > QWidget > QWidget[surface="none"] {{
  background: transparent; border: none; }}
QAbstractItemView {{ background: transparent; border: none; outline: none;
  selection-background-color: {c.selection}; selection-color: {c.ink}; }}
QTableView {{ background: {c.raised}; border: 1px solid {c.line}; gridline-color: {c.line};
  border-radius: {RADIUS_CONTROL}px; }}
QHeaderView::section {{ background: {c.raised}; color: {c.quiet}; border: none;
  border-bottom: 1px solid {c.line}; padding: {s.pad_y}px 8px; font-size: {s.small}px; }}
QTableView::item {{ padding: 0 5px; }}
QTableView:focus {{ border: 1px solid {c.ember}; }}
QToolTip {{ background: {c.raised}; color: {c.ink}; border: 1px solid {c.line};
  padding: 5px 7px; font-size: {s.small}px; }}
"""


def _labels(c: Colours, s: _Sizes) -> str:
    return f"""
QLabel {{ background: transparent; border: none; }}
QLabel[tone="quiet"] {{ color: {c.quiet}; }}
QLabel[tone="small"] {{ color: {c.quiet}; font-size: {s.small}px; }}
QLabel[tone="group"] {{ color: {c.quiet}; font-size: {s.small}px; font-weight: 500; }}
QLabel[tone="strong"] {{ font-weight: 600; }}
QLabel[tone="heading"] {{ font-size: {s.heading}px; font-weight: 600; }}
QLabel[tone="title"] {{ font-size: {s.title}px; font-weight: 600; }}
QLabel[tone="bad"] {{ color: {c.brick}; }}
QLabel[tone="good"] {{ color: {c.moss}; }}
"""


def _buttons(c: Colours, s: _Sizes) -> str:
    return f"""
QPushButton {{ background: {c.raised}; color: {c.ink}; border: 1px solid {c.line};
  border-radius: {RADIUS_CONTROL}px; padding: {s.pad_y}px {s.pad_x}px; font-weight: 500; }}
QPushButton:hover {{ background: {c.user_card}; }}
QPushButton:pressed {{ background: {c.line}; }}
QPushButton:disabled {{ color: {c.quiet}; background: transparent; }}
QPushButton:focus {{ border: 2px solid {c.ember};
  padding: {s.pad_y - 1}px {s.pad_x - 1}px; }}
QPushButton[kind="primary"] {{ background: {c.ember}; color: {c.on_ember};
  border: 1px solid {c.ember}; }}
QPushButton[kind="primary"]:hover {{ background: {_mix(c.ember, c.ink, 0.12)}; }}
QPushButton[kind="primary"]:disabled {{ background: {c.line}; color: {c.quiet};
  border-color: {c.line}; }}
QPushButton[kind="primary"]:focus {{ border: 2px solid {c.ink};
  padding: {s.pad_y - 1}px {s.pad_x - 1}px; }}
QPushButton[kind="danger"] {{ color: {c.brick}; }}
QPushButton[kind="danger"]:hover {{ background: {c.brick_tint}; }}
QPushButton[kind="flat"], QPushButton[kind="link"] {{ background: transparent;
  border: 1px solid transparent; }}
QPushButton[kind="flat"]:hover {{ background: {_mix(c.sidebar, c.ink, 0.06)}; }}
QPushButton[kind="link"] {{ color: {c.ember}; padding: {s.tight}px 4px; }}
QPushButton[kind="link"]:hover {{ text-decoration: underline; }}
QPushButton[kind="flat"]:focus, QPushButton[kind="link"]:focus {{
  border: 1px solid {c.ember}; padding: {s.pad_y}px {s.pad_x}px; }}
QPushButton[kind="link"]:focus {{ padding: {s.tight}px 4px; }}
QPushButton[kind="fold"] {{ background: transparent; border: 1px solid transparent;
  padding: {s.tight}px 4px {s.tight}px 0; }}
QPushButton[kind="fold"]:hover {{ color: {c.ember}; }}
QPushButton[kind="fold"]:focus {{ border: 1px solid {c.ember};
  padding: {s.tight}px 4px {s.tight}px 0; }}
QPushButton[kind="tab"] {{ background: transparent; border: 1px solid transparent;
  color: {c.quiet}; border-radius: {s.text}px; font-weight: 400; }}
QPushButton[kind="tab"]:hover {{ color: {c.ink}; }}
QPushButton[kind="tab"]:checked {{ background: {c.raised}; color: {c.ink};
  border: 1px solid {c.line}; font-weight: 500; }}
QPushButton[kind="tab"]:focus {{ border: 1px solid {c.ember};
  padding: {s.pad_y}px {s.pad_x}px; }}
QPushButton[kind="filter"] {{ border-radius: {s.small - 1}px; padding: {s.tight}px {s.pad_x}px;
  font-size: {s.small}px; min-height: {s.small + 4}px; }}
QPushButton[kind="filter"]:checked {{ background: {c.moss_tint}; color: {c.moss};
  border: 1px solid {c.moss_tint}; }}
QPushButton[kind="filter"]:focus {{ border: 1px solid {c.ember};
  padding: {s.tight}px {s.pad_x}px; }}
QToolButton[kind="icon"] {{ background: transparent; border: 1px solid transparent;
  border-radius: 6px; padding: 4px; }}
QToolButton[kind="icon"]:hover, QToolButton[kind="icon"]:checked {{
  background: {_mix(c.paper, c.ink, 0.08)}; }}
QToolButton[kind="icon"]:focus {{ border: 1px solid {c.ember}; }}
QToolButton[kind="icon"]::menu-indicator {{ image: none; }}
"""


def _fields(c: Colours, s: _Sizes) -> str:
    field = "QLineEdit, QPlainTextEdit[kind='field'], QSpinBox, QDoubleSpinBox, QComboBox"
    return f"""
{field} {{ background: {c.raised}; color: {c.ink}; border: 1px solid {c.line};
  border-radius: {RADIUS_CONTROL}px; padding: {s.pad_y + 1}px 10px;
  selection-background-color: {c.selection}; selection-color: {c.ink}; }}
QLineEdit:focus, QPlainTextEdit[kind='field']:focus, QSpinBox:focus, QDoubleSpinBox:focus,
QComboBox:focus {{ border: 1px solid {c.ember}; }}
QLineEdit:disabled, QSpinBox:disabled, QDoubleSpinBox:disabled {{ color: {c.quiet};
  background: transparent; }}
QAbstractSpinBox QLineEdit, QComboBox QLineEdit {{ background: transparent; border: none;
  padding: 0 10px; }}
QAbstractSpinBox::up-button, QAbstractSpinBox::down-button {{ width: 0; height: 0;
  border: none; }}
QLineEdit[kind="rename"] {{ padding: 2px 6px; border-radius: 6px; }}
QComboBox::drop-down {{ border: none; width: 24px; }}
QComboBox[kind="filter"] {{ border-radius: {s.small - 1}px;
  padding: {s.tight}px 2px {s.tight}px 10px; font-size: {s.small}px; min-height: {s.small + 4}px; }}
QComboBox[kind="filter"]::drop-down {{ width: 18px; }}
QComboBox QAbstractItemView {{ background: {c.raised}; border: 1px solid {c.line};
  border-radius: {RADIUS_CONTROL}px; padding: 4px; }}
QPlainTextEdit[kind="report"] {{ background: {c.code_ground}; border: 1px solid {c.line};
  border-radius: {RADIUS_CONTROL}px; padding: 8px; }}
"""


def _choices(c: Colours, s: _Sizes) -> str:
    return f"""
QCheckBox, QRadioButton {{ spacing: 8px; background: transparent; }}
QCheckBox:focus, QRadioButton:focus {{ color: {c.ember}; }}
QProgressBar {{ background: {c.line}; border: none; border-radius: 2px; max-height: 4px;
  min-height: 4px; text-align: center; color: transparent; }}
QProgressBar::chunk {{ background: {c.ember}; border-radius: 2px; }}
QListWidget[kind="rail"] {{ background: transparent; }}
QListWidget[kind="rail"]::item {{ padding: {s.pad_y + 2}px 10px; color: {c.ink};
  border: 1px solid transparent; border-radius: {RADIUS_CONTROL}px; margin: 1px 0; }}
QListWidget[kind="rail"]::item:hover {{ background: {_mix(c.paper, c.ink, 0.04)}; }}
QListWidget[kind="rail"]::item:selected {{ background: {c.raised}; color: {c.ink};
  border: 1px solid {c.line}; }}
QListWidget[kind="rail"]::item:focus {{ border: 1px solid {c.ember}; }}
"""


def _menus(c: Colours, s: _Sizes) -> str:
    return f"""
QMenu {{ background: {c.raised}; border: 1px solid {c.line};
  border-radius: {RADIUS_CONTROL}px; padding: 5px; }}
QMenu::item {{ padding: {s.pad_y}px 26px {s.pad_y}px 12px; border-radius: 6px; }}
QMenu::item:selected {{ background: {c.user_card}; color: {c.ink}; }}
QMenu::item:disabled {{ color: {c.quiet}; }}
QMenu::separator {{ height: 1px; background: {c.line}; margin: 5px 6px; }}
QMenu::icon {{ padding-left: 8px; }}
"""


def _scrollbars(c: Colours, s: _Sizes) -> str:
    del s
    grip = _mix(c.line, c.quiet, 0.25)
    return f"""
QScrollBar {{ background: transparent; border: none; margin: 0; }}
QScrollBar:vertical {{ width: 10px; }}
QScrollBar:horizontal {{ height: 10px; }}
QScrollBar::handle {{ background: {grip}; border-radius: 3px; margin: 2px; }}
QScrollBar::handle:vertical {{ min-height: 32px; }}
QScrollBar::handle:horizontal {{ min-width: 32px; }}
QScrollBar::handle:hover {{ background: {c.quiet}; }}
QScrollBar::add-line, QScrollBar::sub-line, QScrollBar::add-page, QScrollBar::sub-page {{
  background: transparent; border: none; width: 0; height: 0; }}
"""


def _mix(first: str, second: str, share: float) -> str:
    """`share` of the second colour over the first, both #rrggbb."""
    channels = (
        round(int(first[i : i + 2], 16) * (1 - share) + int(second[i : i + 2], 16) * share)
        for i in (1, 3, 5)
    )
    return "#" + "".join(f"{channel:02X}" for channel in channels)
