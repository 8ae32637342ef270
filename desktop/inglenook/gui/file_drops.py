"""Takes files that are dropped anywhere on the conversation, to attach them.

Model files are none of its business: `model_drops` takes those, also out of a mixed handful.
"""

from collections.abc import Callable, Iterable
from typing import Final, override

from PySide6.QtCore import QEvent, QObject, Qt, Signal
from PySide6.QtGui import QDropEvent
from PySide6.QtWidgets import QWidget

from inglenook.gui.model_drops import list_model_files
from inglenook.gui.transcript.message_input import list_files

_KINDS: Final = frozenset({QEvent.Type.DragEnter, QEvent.Type.DragMove, QEvent.Type.Drop})


class FileDrops(QObject):
    """Watches widgets for files while `is_wanted`.

    Signals: `dropped(list[Path])`; `hovered(bool)` while files that can be dropped are above.
    """

    dropped = Signal(object)
    hovered = Signal(bool)

    def __init__(
        self, widgets: Iterable[QWidget], is_wanted: Callable[[], bool], parent: QObject
    ) -> None:
        super().__init__(parent)
        self._is_wanted = is_wanted
        for widget in widgets:
            widget.setAcceptDrops(True)
            widget.installEventFilter(self)

    @override
    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Accept a drag of files, and tell of the drop."""
        if event.type() == QEvent.Type.DragLeave:
            self.hovered.emit(False)
        if event.type() not in _KINDS or not isinstance(event, QDropEvent):
            return super().eventFilter(watched, event)
        if not self._is_wanted():
            return super().eventFilter(watched, event)
        models = list_model_files(event.mimeData())
        files = [path for path in list_files(event.mimeData()) if path not in models]
        if not files:
            return super().eventFilter(watched, event)
        is_drop = event.type() == QEvent.Type.Drop
        self.hovered.emit(not is_drop)
        event.setDropAction(Qt.DropAction.CopyAction)  # The file itself stays where it is.
        event.accept()
        if is_drop:
            self.dropped.emit(files)
        return not models  # The models among them are for whoever watches for those.
