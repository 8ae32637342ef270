"""Settings, About: versions, paths, what the engine reports."""

import platform

from PySide6 import __version__ as pyside_version
from PySide6.QtCore import Qt, QUrl
from PySide6.QtGui import QDesktopServices, QGuiApplication
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QVBoxLayout, QWidget

from inglenook import __version__
from inglenook.app import App
from inglenook.gui.formats import format_bytes
from inglenook.gui.widgets import clear_layout, make_button, make_label


class About(QWidget):
    """Facts for whoever asks for help, copyable; no text of a conversation is among them."""

    def __init__(self, app: App) -> None:
        super().__init__()
        self._app = app
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(12)
        column.addWidget(make_label(f"Inglenook {__version__}", "heading"))
        text = self.tr(
            "Private conversations with language models on your own machine. Free software under "
            "the MIT licence."
        )
        column.addWidget(make_label(text, wraps=True))
        self._grid = QGridLayout()
        self._grid.setHorizontalSpacing(24)
        self._grid.setVerticalSpacing(6)
        self._grid.setColumnStretch(1, 1)
        column.addLayout(self._grid)
        row = QHBoxLayout()
        copy = make_button(self.tr("Copy these facts"))
        copy.clicked.connect(self._copy)
        folder = make_button(self.tr("Open the data folder"))
        folder.clicked.connect(self._open_folder)
        row.addWidget(copy)
        row.addWidget(folder)
        row.addStretch(1)
        column.addLayout(row)
        self.reload()

    def reload(self) -> None:
        """Show the facts as they are now."""
        clear_layout(self._grid)
        for row, (name, value) in enumerate(self.list_facts()):
            self._grid.addWidget(make_label(name, "quiet"), row, 0, Qt.AlignmentFlag.AlignTop)
            label = make_label(value, wraps=True)
            label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            self._grid.addWidget(label, row, 1)

    def list_facts(self) -> list[tuple[str, str]]:
        """Names and values."""
        profile, state = self._app.profile, self._app.engine.state
        facts = [
            (self.tr("Python"), platform.python_version()),
            (self.tr("Qt for Python"), pyside_version),
            (self.tr("System"), f"{platform.system()} {platform.release()} {platform.machine()}"),
            (self.tr("Database"), str(profile.database)),
            (self.tr("Models"), str(profile.models)),
            (self.tr("Log"), str(profile.logs)),
        ]
        if state.ready is not None:
            facts.append((self.tr("Engine"), f"llama.cpp {state.ready.library_version}".strip()))
            facts.append((self.tr("Backend"), state.ready.backend))
            facts += [
                (
                    self.tr("Device"),
                    f"{device.description or device.name}"
                    + (
                        f", {format_bytes(device.memory_total_bytes)}"
                        * bool(device.memory_total_bytes)
                    ),
                )
                for device in state.ready.devices
            ]
        else:
            facts.append((self.tr("Engine"), self.tr("not started")))
        return facts

    def _copy(self) -> None:
        lines = [f"Inglenook {__version__}", *(f"{n}: {v}" for n, v in self.list_facts())]
        QGuiApplication.clipboard().setText("\n".join(lines))

    def _open_folder(self) -> None:
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(self._app.profile.data)))
