"""Takes .gguf files that are dropped anywhere on the window."""

from collections.abc import Iterable
from pathlib import Path
from typing import override

from PySide6.QtCore import QEvent, QMimeData, QObject, Signal
from PySide6.QtGui import QDropEvent
from PySide6.QtWidgets import QWidget

_KINDS = frozenset({QEvent.Type.DragEnter, QEvent.Type.DragMove, QEvent.Type.Drop})


class ModelDrops(QObject):
    """Watches widgets for model files; whatever else is dropped is left to them.

    Signals: `dropped(list[Path])`.
    """

    dropped = Signal(object)

    def __init__(self, widgets: Iterable[QWidget], parent: QObject) -> None:
        super().__init__(parent)
        for widget in widgets:
            widget.setAcceptDrops(True)
            widget.installEventFilter(self)

    @override
    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Accept a drag of model files, and tell of the drop."""
        if event.type() not in _KINDS or not isinstance(event, QDropEvent):
            return super().eventFilter(watched, event)
        paths = list_model_files(event.mimeData())
        if not paths:
            return super().eventFilter(watched, event)
        event.acceptProposedAction()
        if event.type() == QEvent.Type.Drop:
            self.dropped.emit(paths)
        return True


def list_model_files(data: QMimeData) -> list[Path]:
    """The .gguf files of this machine among what is dragged."""
    urls = data.urls() if data.hasUrls() else []
    names = (url.toLocalFile() for url in urls if url.isLocalFile())
    return [Path(name) for name in names if name.lower().endswith(".gguf")]
