"""A download in one line: progress, speed, time left, and what can be done about it."""

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QProgressBar, QWidget

from inglenook.gui.formats import format_bytes, format_time_left
from inglenook.gui.icons import IconButton
from inglenook.gui.sidebar.rows import Translate
from inglenook.gui.theme import Theme
from inglenook.gui.widgets import make_button, make_label, set_tone
from inglenook.models.progress import DownloadState


class TransferView(QWidget):
    """Shows one `DownloadState`.

    Signals: `pause_requested(id)`, `resume_requested(id)`, `cancel_requested(id)`.
    """

    pause_requested = Signal(str)
    resume_requested = Signal(str)
    cancel_requested = Signal(str)

    def __init__(self, theme: Theme, name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._id = ""
        self._can_pause = True
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(12)
        self.bar = QProgressBar()
        self.bar.setRange(0, 1000)
        self.bar.setTextVisible(False)
        self.bar.setFixedWidth(theme.px(130))
        self.bar.setAccessibleName(self.tr("Download of {name}").replace("{name}", name))
        self.note = make_label("", "quiet")
        self.button = make_button("")
        self.button.clicked.connect(self._on_clicked)
        self.cancel = IconButton(
            theme, "close", self.tr("Cancel the download of {name}").replace("{name}", name)
        )
        self.cancel.clicked.connect(lambda: self.cancel_requested.emit(self._id))
        for part in (self.bar, self.note, self.button, self.cancel):
            row.addWidget(part)

    def show_state(self, state: DownloadState) -> None:
        """Show where the download is."""
        self._id = state.id
        share = state.done_bytes / state.size_bytes if state.size_bytes else 0.0
        self.bar.setValue(round(share * 1000))
        is_stopped = state.phase in {"paused", "failed"}
        self._can_pause = not is_stopped
        self.note.setText(describe_transfer(state, self.tr))
        set_tone(self.note, "bad" if state.phase == "failed" else "quiet")
        texts = {"paused": self.tr("Resume"), "failed": self.tr("Retry")}
        self.button.setText(texts.get(state.phase, self.tr("Pause")))
        self.button.setVisible(state.phase != "verifying")
        is_waiting = state.phase in {"queued", "failed"}
        self.bar.setVisible(not is_waiting or state.done_bytes > 0)

    def _on_clicked(self) -> None:
        (self.pause_requested if self._can_pause else self.resume_requested).emit(self._id)


def describe_transfer(state: DownloadState, translate: Translate) -> str:
    """Where a download is, in words: `1.6 of 2.6 GB · 24 MB/s · 42 s left`."""
    match state.phase:
        case "queued" if state.place:
            return translate("Waiting, number {n}").replace("{n}", str(state.place))
        case "queued":
            return translate("Waiting")
        case "asking":
            return translate("Asking the hub")
        case "verifying":
            return translate("Checking the file")
        case "done":
            return translate("Done")
        case _:
            pass
    amount = _describe_amount(state, translate)
    match state.phase:
        case "paused":
            return f"{amount} · {translate('paused')}"
        case "failed":
            return f"{amount} · {translate('stopped')}" if state.done_bytes else ""
        case _:
            pass
    parts = [amount]
    if state.bytes_per_s:
        parts.append(f"{format_bytes(state.bytes_per_s)}/s")
    if state.eta_s is not None:
        parts.append(translate("{time} left").replace("{time}", format_time_left(state.eta_s)))
    return " · ".join(parts)


def _describe_amount(state: DownloadState, translate: Translate) -> str:
    size = format_bytes(state.size_bytes) if state.size_bytes else translate("unknown size")
    done = format_bytes(state.done_bytes)
    if done.split(" ")[-1] == size.split(" ")[-1]:
        done = done.split(" ")[0]
    return translate("{done} of {size}").replace("{done}", done).replace("{size}", size)
