"""When the fault is ours: the exception hook, the crash dialog and its report.

The report holds versions and the places in the code, never the exception's own words: they may
quote a conversation.
"""

import logging
import platform
import sys
import threading
import traceback
from types import TracebackType

from PySide6 import __version__ as pyside_version
from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QFontDatabase, QGuiApplication
from PySide6.QtWidgets import (
    QDialog,
    QHBoxLayout,
    QMessageBox,
    QPlainTextEdit,
    QVBoxLayout,
    QWidget,
)

from inglenook import __version__
from inglenook.base.errors import UserError
from inglenook.gui.widgets import make_button, make_label

log = logging.getLogger(__name__)

MAX_DIALOGS = 3
"""A fault that repeats must not bury the window in dialogs; the log has them all."""


def make_report(error: BaseException) -> str:
    """The copyable report: versions, the kind of error and where it happened."""
    lines = [
        f"Inglenook {__version__}",
        f"Python {platform.python_version()}, Qt for Python {pyside_version}",
        f"{platform.system()} {platform.release()} ({platform.machine()})",
        "",
    ]
    seen: BaseException | None = error
    while seen is not None:
        lines.append(f"{type(seen).__module__}.{type(seen).__qualname__}")
        lines += (
            f"  {_shorten(frame.filename)}:{frame.lineno} {frame.name}"
            for frame in traceback.extract_tb(seen.__traceback__)
        )
        seen = seen.__cause__
    return "\n".join(lines)


def _shorten(path: str) -> str:
    """A source path from the package's name on: no user name, no folder of this machine."""
    parts = path.replace("\\", "/").split("/")
    for name in ("inglenook", "site-packages"):
        if name in parts:
            return "/".join(parts[len(parts) - 1 - parts[::-1].index(name) :])
    return parts[-1]


class CrashReporter(QObject):
    """The exception hooks of the process while the window is open."""

    _raised = Signal(str)

    def __init__(self, window: QWidget) -> None:
        super().__init__(window)
        self._window = window
        self._n_dialogs = 0
        self._hooks = (sys.excepthook, threading.excepthook)
        self._raised.connect(self._show, Qt.ConnectionType.QueuedConnection)

    def install(self) -> None:
        """Report whatever nobody caught, from any thread."""
        self._hooks = (sys.excepthook, threading.excepthook)
        sys.excepthook = self._on_error
        threading.excepthook = self._on_thread_error

    def uninstall(self) -> None:
        """Put the hooks back."""
        sys.excepthook, threading.excepthook = self._hooks

    def _on_error(
        self, kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        del kind, trace
        if isinstance(error, KeyboardInterrupt):
            return
        report = make_report(error)
        log.error("a bug of ours:\n%s", report)
        self._raised.emit(report)

    def _on_thread_error(self, args: threading.ExceptHookArgs) -> None:
        if args.exc_value is not None and not isinstance(args.exc_value, SystemExit):
            self._on_error(args.exc_type, args.exc_value, args.exc_traceback)

    def _show(self, report: str) -> None:
        if self._n_dialogs >= MAX_DIALOGS:
            return
        self._n_dialogs += 1
        dialog = CrashDialog(report, self._window)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.finished.connect(self._on_closed)
        dialog.show()

    def _on_closed(self) -> None:
        self._n_dialogs -= 1


class CrashDialog(QDialog):
    """Says what happened, shows the report, copies it. The window stays usable."""

    def __init__(self, report: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Inglenook")
        self.setMinimumSize(520, 360)
        self.report = report
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 24, 24, 16)
        column.setSpacing(12)
        column.addWidget(make_label(self.tr("Something in Inglenook went wrong"), "heading"))
        text = self.tr(
            "This is a fault in the app, not in what you did. Your conversations are saved, and "
            "you can go on. The report below helps to mend it; it holds no text of yours."
        )
        column.addWidget(make_label(text, wraps=True))
        view = QPlainTextEdit(report)
        view.setProperty("kind", "report")
        view.setReadOnly(True)
        view.setAccessibleName(self.tr("Report"))
        view.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        column.addWidget(view, 1)
        row = QHBoxLayout()
        row.addStretch(1)
        copy = make_button(self.tr("Copy the report"))
        copy.clicked.connect(self._copy)
        close = make_button(self.tr("Go on"), "primary")
        close.clicked.connect(self.accept)
        for button in (copy, close):
            button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
            row.addWidget(button)
        column.addLayout(row)

    def _copy(self) -> None:
        QGuiApplication.clipboard().setText(self.report)


def show_refusal(error: UserError) -> None:
    """Say why the window cannot open at all, and what to do."""
    box = QMessageBox()
    box.setWindowTitle("Inglenook")
    box.setTextFormat(Qt.TextFormat.PlainText)
    box.setIcon(QMessageBox.Icon.Warning)
    box.setText(error.message)
    box.setInformativeText(error.hint)
    box.exec()
