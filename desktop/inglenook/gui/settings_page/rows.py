"""One row for one declared setting: its label, its help, and the control that its type asks for.

Made from `base.declarations.SETTINGS`; a change is applied at once, saved on a worker thread, and
told back to every row by the `SettingChanged` event.
"""

from typing import TYPE_CHECKING, Any, Final, override

from PySide6.QtCore import QEvent, QObject, Qt, QTimer, Signal
from PySide6.QtWidgets import (
    QButtonGroup,
    QComboBox,
    QDoubleSpinBox,
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QPlainTextEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from inglenook.base.setting import Setting, Value
from inglenook.gui.shortcuts import translate
from inglenook.gui.theme import Theme
from inglenook.gui.widgets import Switch, make_button, make_label

if TYPE_CHECKING:
    from collections.abc import Callable

PAUSE_MS: Final = 350
"""A value is taken this long after the last key, so that half a number is not."""

MAX_BUTTONS: Final = 4
"""More choices than these are shown as a list that opens."""
STEPS: Final = {
    "appearance.zoom": 0.1,
    "engine.context_length": 1024,
    "engine.batch": 256,
    "engine.ubatch": 128,
    "engine.rope_base": 1000,
    "replies.max_tokens": 64,
}
DECIMALS: Final = {"engine.rope_base": 0, "engine.rope_scale": 4}


class SettingRow(QWidget):
    """Base of the rows.

    Signals: `chosen(key, value)`; a value of None means automatic.
    """

    chosen = Signal(str, object)

    def __init__(self, theme: Theme, setting: Setting, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setting = setting
        self.theme = theme
        self.setAccessibleName(translate(setting.label))
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 10, 0, 10)
        outer.setSpacing(4)
        self.row = QHBoxLayout()
        self.row.setSpacing(16)
        outer.addLayout(self.row)
        texts = QVBoxLayout()
        texts.setSpacing(2)
        texts.addWidget(make_label(translate(setting.label), "strong"))
        note = make_label(translate(setting.help), "small", wraps=True)
        texts.addWidget(note)
        self.row.addLayout(texts, 1)
        below = QHBoxLayout()
        below.setSpacing(8)
        self._now = make_label("", "small")
        self._now.hide()
        self.reset_button = make_button(self.tr("Reset"), "link")
        self.reset_button.setAccessibleName(
            self.tr("{label}: reset").replace("{label}", translate(setting.label))
        )
        self.reset_button.clicked.connect(self._on_reset)
        self.reset_button.hide()
        below.addWidget(self._now)
        below.addWidget(self.reset_button)
        below.addStretch(1)
        texts.addLayout(below)
        self.below = outer
        self.error = make_label("", "bad", wraps=True)
        self.error.hide()
        outer.addWidget(self.error)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(PAUSE_MS)
        self._timer.timeout.connect(self._tell)

    def show_now(self, text: str) -> None:
        """Say below the help what is in force, or what a change waits for."""
        self._now.setText(text)
        self._now.setVisible(bool(text))

    def show_is_chosen(self, is_chosen: bool) -> None:
        """Offer the way back where a person has chosen, and no button beside it does so."""
        self.reset_button.setVisible(is_chosen and not self.setting.optional)

    def matches(self, words: str) -> bool:
        """Whether its name or its help holds all of these words."""
        setting = self.setting
        text = f"{translate(setting.label)} {translate(setting.help)} {setting.key}".casefold()
        return all(word in text for word in words.casefold().split())

    def show_value(self, value: Value, *, is_chosen: bool) -> None:
        """Show the value in force."""
        raise NotImplementedError

    def read_value(self) -> Value:
        """The value that the control shows."""
        raise NotImplementedError

    def show_error(self, text: str) -> None:
        """Say why a value was not taken."""
        self.error.setText(text)
        self.error.setVisible(bool(text))

    @property
    def is_being_edited(self) -> bool:
        """Whether a value was typed that is not taken yet."""
        return self._timer.isActive()

    def take_later(self) -> None:
        """Take the value after a pause."""
        self._timer.start()

    def take_now(self) -> None:
        """Take the value."""
        self._end_edit()
        self._tell()

    def _end_edit(self) -> None:
        self._timer.stop()

    def _tell(self) -> None:
        self.show_error("")
        self.chosen.emit(self.setting.key, self.read_value())

    def _on_reset(self) -> None:
        self._end_edit()
        self.show_error("")
        self.chosen.emit(self.setting.key, self.setting.default)


class SwitchRow(SettingRow):
    """Yes or no."""

    def __init__(self, theme: Theme, setting: Setting) -> None:
        super().__init__(theme, setting)
        self.switch = Switch(theme, translate(setting.label))
        self.switch.clicked.connect(self.take_now)
        self.row.addWidget(self.switch, 0, Qt.AlignmentFlag.AlignTop)

    def show_value(self, value: Value, *, is_chosen: bool) -> None:
        """Show the value in force."""
        del is_chosen
        self.switch.setChecked(bool(value))

    def read_value(self) -> Value:
        """Whether it is on."""
        return self.switch.isChecked()


class ChoiceRow(SettingRow):
    """One of a few words, side by side."""

    def __init__(self, theme: Theme, setting: Setting) -> None:
        super().__init__(theme, setting)
        self._group = QButtonGroup(self)
        self.buttons: dict[str, QPushButton] = {}
        box = QHBoxLayout()
        box.setSpacing(2)
        for choice in setting.choices:
            button = make_button(translate(choice.capitalize()), "tab")
            button.setCheckable(True)
            button.clicked.connect(self.take_now)
            self._group.addButton(button)
            self.buttons[choice] = button
            box.addWidget(button)
        self.row.addLayout(box)

    def show_value(self, value: Value, *, is_chosen: bool) -> None:
        """Show the value in force."""
        del is_chosen
        if isinstance(value, str) and value in self.buttons:
            self.buttons[value].setChecked(True)

    def read_value(self) -> Value:
        """The word that is chosen."""
        return next((word for word, b in self.buttons.items() if b.isChecked()), None)


class NumberRow(SettingRow):
    """A number; an optional one has a button for "automatic" beside it."""

    def __init__(self, theme: Theme, setting: Setting) -> None:
        super().__init__(theme, setting)
        self.automatic: QPushButton | None = None
        if setting.optional:
            self.automatic = make_button(self.tr("Automatic"), "filter")
            self.automatic.setCheckable(True)
            self.automatic.setAccessibleName(
                self.tr("{label}: automatic").replace("{label}", translate(setting.label))
            )
            self.automatic.clicked.connect(self._on_automatic_clicked)
            self.row.addWidget(self.automatic, 0, Qt.AlignmentFlag.AlignTop)
        self.field = QDoubleSpinBox()
        self.field.setAccessibleName(translate(setting.label))
        self.field.setDecimals(0 if setting.kind is int else DECIMALS.get(setting.key, 2))
        self.field.setGroupSeparatorShown(setting.kind is int and not setting.key.endswith("seed"))
        self.field.setRange(
            setting.minimum if setting.minimum is not None else -1e9,
            setting.maximum if setting.maximum is not None else 1e9,
        )
        self.field.setSingleStep(STEPS.get(setting.key, 1 if setting.kind is int else 0.05))
        if setting.key == "appearance.zoom":
            self.field.setSuffix(" x")
        self.field.setFixedWidth(theme.px(120))
        self.field.setAlignment(Qt.AlignmentFlag.AlignRight)
        self.field.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.field.installEventFilter(self)
        self.field.valueChanged.connect(self._on_typed)
        self.row.addWidget(self.field, 0, Qt.AlignmentFlag.AlignTop)

    def show_value(self, value: Value, *, is_chosen: bool) -> None:
        """Show the value in force; automatic leaves the field empty and quiet."""
        del is_chosen
        self.field.blockSignals(True)
        if self.automatic is not None:
            self.automatic.setChecked(value is None)
        self.field.setEnabled(value is not None)
        if isinstance(value, int | float):
            self.field.setSpecialValueText("")
            self.field.setValue(float(value))
        else:
            self.field.setValue(self.field.minimum())
            self.field.setSpecialValueText("-")
        self.field.blockSignals(False)

    def read_value(self) -> Value:
        """The number, or None for automatic."""
        if self.automatic is not None and self.automatic.isChecked():
            return None
        value = self.field.value()
        return round(value) if self.setting.kind is int else round(value, 4)

    def _on_typed(self, value: float) -> None:
        del value
        self.take_later()

    def _on_automatic_clicked(self, is_automatic: bool) -> None:
        if not is_automatic:
            self.field.blockSignals(True)
            self.field.setSpecialValueText("")
            self.field.setValue(_first_choice(self.setting))
            self.field.blockSignals(False)
            self.field.setEnabled(True)
            self.field.setFocus()
            self.field.selectAll()
        self.take_now()

    @override
    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """The wheel scrolls the page unless the field has the focus."""
        if event.type() == QEvent.Type.Wheel and not self.field.hasFocus():
            event.ignore()
            return True
        return super().eventFilter(watched, event)


class TextRow(SettingRow):
    """Some lines of text, below the label."""

    def __init__(self, theme: Theme, setting: Setting) -> None:
        super().__init__(theme, setting)
        self.field = QPlainTextEdit()
        self.field.setProperty("kind", "field")
        self.field.setAccessibleName(translate(setting.label))
        self.field.setTabChangesFocus(True)
        self.field.setFixedHeight(theme.px(96))
        self.field.textChanged.connect(self.take_later)
        self.below.insertSpacing(1, 4)
        self.below.insertWidget(2, self.field)

    def show_value(self, value: Value, *, is_chosen: bool) -> None:
        """Show the text in force, unless it is being typed."""
        del is_chosen
        text = value if isinstance(value, str) else ""
        if text != self.field.toPlainText() and not self.field.hasFocus():
            self.field.blockSignals(True)
            self.field.setPlainText(text)
            self.field.blockSignals(False)

    def read_value(self) -> Value:
        """The text."""
        return self.field.toPlainText()


class FilesRow(TextRow):
    """Paths of files, one on each line, with a button that adds one."""

    def __init__(self, theme: Theme, setting: Setting) -> None:
        super().__init__(theme, setting)
        self.field.setFixedHeight(theme.px(72))
        self.add_button = make_button(self.tr("Add a file"))
        self.add_button.clicked.connect(self._choose)
        self.row.addWidget(self.add_button, 0, Qt.AlignmentFlag.AlignTop)

    def add_path(self, path: str) -> None:
        """Put a path at the end."""
        lines = [line for line in self.field.toPlainText().splitlines() if line.strip()]
        self.field.setPlainText("\n".join([*lines, path]))
        self.take_now()

    def _choose(self) -> None:
        dialog = QFileDialog(self, self.tr("Add an adapter"))
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
        dialog.setNameFilters([self.tr("GGUF adapters (*.gguf)"), self.tr("All files (*)")])
        dialog.fileSelected.connect(self.add_path)
        dialog.open()


class LineRow(SettingRow):
    """One line of text."""

    def __init__(self, theme: Theme, setting: Setting) -> None:
        super().__init__(theme, setting)
        self.field = QLineEdit()
        self.field.setAccessibleName(translate(setting.label))
        self.field.setFixedWidth(theme.px(240))
        self.field.setPlaceholderText(self.tr("Automatic"))
        self.field.editingFinished.connect(self.take_now)
        self.row.addWidget(self.field, 0, Qt.AlignmentFlag.AlignTop)

    def show_value(self, value: Value, *, is_chosen: bool) -> None:
        """Show the text in force."""
        del is_chosen
        self.field.setText(value if isinstance(value, str) else "")

    @property
    @override
    def is_being_edited(self) -> bool:
        """Whether a value was typed that is not taken yet."""
        return self.field.isModified()

    @override
    def _end_edit(self) -> None:
        super()._end_edit()
        self.field.setModified(False)

    def read_value(self) -> Value:
        """The text."""
        return self.field.text()


class ListRow(SettingRow):
    """One of many words, in a list that opens."""

    def __init__(self, theme: Theme, setting: Setting) -> None:
        super().__init__(theme, setting)
        self.field = QComboBox()
        self.field.setAccessibleName(translate(setting.label))
        self.field.setMinimumWidth(theme.px(120))
        self.field.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        for choice in setting.choices:
            name = translate(choice.capitalize()) if choice == setting.default else choice
            self.field.addItem(name, choice)
        self.field.activated.connect(lambda _: self.take_now())
        self.row.addWidget(self.field, 0, Qt.AlignmentFlag.AlignTop)

    def show_value(self, value: Value, *, is_chosen: bool) -> None:
        """Show the word in force."""
        del is_chosen
        self.field.setCurrentIndex(self.field.findData(value))

    def read_value(self) -> Value:
        """The word that is chosen."""
        return str(self.field.currentData())


class ModelRow(SettingRow):
    """One of the installed models."""

    def __init__(self, theme: Theme, setting: Setting) -> None:
        super().__init__(theme, setting)
        self.field = QComboBox()
        self.field.setAccessibleName(translate(setting.label))
        self.field.setMinimumWidth(theme.px(240))
        self.field.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.field.activated.connect(lambda _: self.take_now())
        self._value = ""
        self.row.addWidget(self.field, 0, Qt.AlignmentFlag.AlignTop)

    def set_models(self, models: list[tuple[str, str]]) -> None:
        """Offer these (id, name) pairs."""
        self.field.clear()
        for model_id, name in models:
            self.field.addItem(name, model_id)
        self.show_value(self._value, is_chosen=True)

    def show_value(self, value: Value, *, is_chosen: bool) -> None:
        """Show the model in force."""
        del is_chosen
        self._value = str(value)
        self.field.setCurrentIndex(self.field.findData(self._value))

    def read_value(self) -> Value:
        """The model's id."""
        return str(self.field.currentData())


def make_row(theme: Theme, setting: Setting) -> SettingRow:
    """The row that a setting's type asks for."""
    if setting.key == "models.default":
        return ModelRow(theme, setting)
    if setting.key == "engine.adapters":
        return FilesRow(theme, setting)
    if setting.choices:
        is_short = len(setting.choices) <= MAX_BUTTONS
        return ChoiceRow(theme, setting) if is_short else ListRow(theme, setting)
    makers: dict[type[Any], Callable[[Theme, Setting], SettingRow]] = {
        bool: SwitchRow,
        int: NumberRow,
        float: NumberRow,
        str: TextRow if setting.multiline else LineRow,
    }
    return makers[setting.kind](theme, setting)


def _first_choice(setting: Setting) -> float:
    """What the field begins with when "automatic" is switched off."""
    known = {
        "replies.temperature": 0.8,
        "replies.max_tokens": 1024,
        "replies.seed": 42,
        "engine.context_length": 8192,
        "engine.threads": 4,
        "engine.gpu_layers": 0,
        "engine.keeps_idle_minutes": 15,
        "engine.threads_batch": 4,
        "engine.batch": 2048,
        "engine.ubatch": 512,
        "engine.parallel": 4,
        "engine.rope_base": 10_000,
        "engine.rope_scale": 1.0,
    }
    return float(known.get(setting.key, setting.minimum or 0))
