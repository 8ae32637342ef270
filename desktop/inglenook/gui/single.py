"""One window per profile: a second start rings at the first one's door and ends.

The door is a Unix socket (a named pipe on Windows) that only this user can open. `ring` is called
before Qt is set up; `Doorbell` lives on the window's thread.
"""

import contextlib
import hashlib
import os
import socket
import sys
import tempfile
from pathlib import Path
from typing import Final

from PySide6.QtCore import QObject, QSocketNotifier, Signal

from inglenook.base.paths import find_profile

RING: Final = b"raise\n"
ANSWER: Final = b"inglenook\n"
WAIT_S: Final = 1.0


def find_door(home: Path | None) -> Path:
    """Where the socket of a profile is: in its data folder, or in the run folder if too long."""
    data = find_profile(home).data
    door = data / "window.sock"
    if len(os.fsencode(door)) < 100:
        return door
    name = hashlib.sha256(os.fsencode(data)).hexdigest()[:16]
    run = os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()
    return Path(run) / f"inglenook-{name}.sock"


def ring(home: Path | None) -> bool:
    """Ask a window that is open on this profile to come to the front; False when there is none."""
    if sys.platform == "win32":
        return False
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as caller:
        caller.settimeout(WAIT_S)
        caller.connect(os.fspath(find_door(home)))
        caller.sendall(RING)
        return caller.recv(len(ANSWER)) == ANSWER
    return False


class Doorbell(QObject):
    """Listens at the door of an open window.

    Signals: `rung()`.
    """

    rung = Signal()

    def __init__(self, home: Path | None, parent: QObject) -> None:
        super().__init__(parent)
        self._door = find_door(home)
        self._socket: socket.socket | None = None
        self._notifier: QSocketNotifier | None = None

    def listen(self) -> None:
        """Open the door. The profile's lock is ours, so a door that stands is a dead one's."""
        if sys.platform == "win32":
            return
        listener = socket.socket(socket.AF_UNIX)
        try:
            self._door.unlink(missing_ok=True)
            listener.bind(os.fspath(self._door))
            self._door.chmod(0o600)
            listener.listen(4)
        except OSError:
            listener.close()
            return
        listener.setblocking(False)
        self._socket = listener
        self._notifier = QSocketNotifier(listener.fileno(), QSocketNotifier.Type.Read, self)
        self._notifier.activated.connect(self._on_called)

    def close(self) -> None:
        """Close the door and take it away."""
        if self._socket is None:
            return
        if self._notifier is not None:
            self._notifier.setEnabled(False)
        self._socket.close()
        self._socket = None
        with contextlib.suppress(OSError):
            self._door.unlink(missing_ok=True)

    def _on_called(self) -> None:
        if self._socket is None:
            return
        with contextlib.suppress(OSError):
            caller, _ = self._socket.accept()
            with caller:
                caller.settimeout(0.1)
                if caller.recv(len(RING)) == RING:
                    caller.sendall(ANSWER)
                    self.rung.emit()
