"""Opens the window on a profile and runs Qt's loop; called on the main thread.

The order is made for a short start: the style and an empty window first, what must be read from
the disk and the engine's child after the first paint.
"""

import logging
import signal
import socket
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Final

from PySide6.QtCore import QObject, QSocketNotifier, Qt, QTimer
from PySide6.QtGui import QIcon
from PySide6.QtWidgets import QApplication

from inglenook import __version__
from inglenook.app import App, open_app
from inglenook.base.errors import ExitCode, UserError
from inglenook.base.paths import find_asset
from inglenook.gui.bridge import Bridge
from inglenook.gui.collector import Collector
from inglenook.gui.crash import CrashReporter
from inglenook.gui.first_paint import FirstPaint
from inglenook.gui.stall import StallRecorder
from inglenook.gui.tasks import Tasks
from inglenook.gui.theme import Theme
from inglenook.gui.window import MainWindow

log = logging.getLogger(__name__)

ENDING_SIGNALS: Final = ("SIGINT", "SIGTERM", "SIGHUP")
SWITCH_S: Final = 0.001
"""So soon a thread that computes lets the window's thread go on; Python's own 5 ms are felt."""


def run_window(home: Path | None = None) -> int:
    """Open the profile and its window; returns the exit code when the window is closed.

    A second start on one profile brings the first one's window to the front and ends.
    """
    from inglenook.gui.single import Doorbell, ring

    if ring(home):
        return ExitCode.DONE
    sys.setswitchinterval(SWITCH_S)
    application = make_application()
    try:
        app = open_app(home, is_window=True)
    except UserError as error:
        from inglenook.gui.crash import show_refusal

        show_refusal(error)
        return error.exit_code
    try:
        session = WindowSession(app)
        doorbell = Doorbell(home, session.window)
        doorbell.rung.connect(session.window.come_to_front)
        session.open()
        QTimer.singleShot(0, doorbell.listen)
        code = application.exec()
        doorbell.close()
        session.close()
        return code
    finally:
        app.close()


def make_application() -> QApplication:
    """The one QApplication, with the app's name, icon and base style."""
    existing = QApplication.instance()
    if isinstance(existing, QApplication):
        return existing
    QApplication.setAttribute(Qt.ApplicationAttribute.AA_DontShowIconsInMenus, False)
    application = QApplication(["inglenook"])
    application.setApplicationName("inglenook")
    application.setApplicationDisplayName("Inglenook")
    application.setApplicationVersion(__version__)
    application.setDesktopFileName("inglenook")
    application.setStyle("Fusion")
    try:
        application.setWindowIcon(QIcon(str(find_asset("assets", "icons", "inglenook.svg"))))
    except UserError:
        log.warning("the app's icon is missing")
    return application


class WindowSession(QObject):
    """One window over one opened app: makes what they need, and closes it in the right order."""

    def __init__(self, app: App) -> None:
        super().__init__()
        self.app = app
        self._collector = Collector(self)
        self.theme = Theme(self)
        settings = app.settings
        self.theme.apply(settings.get("appearance.theme"), settings.get("appearance.zoom"))
        self.tasks = Tasks(self)
        self.bridge = Bridge(app.hub, self)
        self.stalls = StallRecorder(self)
        self.window = MainWindow(app, self.theme, self.tasks, self.bridge)
        self.window.writing_changed.connect(self.stalls.set_busy)
        self.window.writing_changed.connect(self._collector.set_busy)
        self.crashes = CrashReporter(self.window)
        self._signals = _EndingSignals(self)
        self._is_closed = False
        log.debug("the window is made")

    def open(self) -> None:
        """Show the window; everything slow begins after its first paint."""
        self.crashes.install()
        self._signals.install()
        self._collector.start()
        first = FirstPaint(self.window, self)
        first.answered.connect(self._start)
        self.window.show()
        self.window.activateWindow()  # Where no window manager does, keys would reach no action.

    def close(self) -> None:
        """Close in the order of dependence: no more events, no more work, then the window."""
        if self._is_closed:
            return
        self._is_closed = True
        self._signals.uninstall()
        self.bridge.close()
        self.tasks.close()
        self.stalls.close()
        self.crashes.uninstall()
        self.window.close()
        self.window.deleteLater()
        self._collector.close()

    def _start(self, is_painted: bool) -> None:
        log.debug(
            "the window %s after %.0f ms of processor time",
            "answers" if is_painted else "is hidden",
            time.process_time() * 1000,
        )
        if not self._is_closed:
            self.window.start()


class _EndingSignals(QObject):
    """SIGINT, SIGTERM and SIGHUP close the window in order.

    Python runs its handlers only between bytecodes, and Qt's loop may run none for long: the
    signal's byte on a socket pair wakes the loop.
    """

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._before: dict[int, object] = {}
        self._notifier: QSocketNotifier | None = None
        self._ends: tuple[socket.socket, socket.socket] | None = None

    def install(self) -> None:
        """Take the signals over."""
        if sys.platform == "win32":
            return
        reader, writer = socket.socketpair()
        for end in (reader, writer):
            end.setblocking(False)
        self._ends = (reader, writer)
        signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        self._notifier = QSocketNotifier(reader.fileno(), QSocketNotifier.Type.Read, self)
        self._notifier.activated.connect(self._on_woken)
        for name in ENDING_SIGNALS:
            number = getattr(signal, name)
            self._before[number] = signal.signal(number, self._on_signal)

    def uninstall(self) -> None:
        """Give the signals back."""
        if self._ends is None:
            return
        if self._notifier is not None:
            self._notifier.setEnabled(False)
        signal.set_wakeup_fd(-1)
        for number, before in self._before.items():
            signal.signal(number, before)  # type: ignore[arg-type]
        for end in self._ends:
            end.close()
        self._ends = None

    def _on_woken(self) -> None:
        """The bytecodes of this slot give Python its chance to run the handler."""
        if self._ends is not None:
            self._ends[0].recv(64)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        QApplication.closeAllWindows()
        QApplication.quit()
