"""Attached files in the window: read off its thread, counted by the engine, weighed before sending.

On the window's thread; what reads the disk runs through `Tasks`.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from PySide6.QtCore import QObject, Qt
from PySide6.QtWidgets import QFileDialog

from inglenook.app import App
from inglenook.base.errors import UserError
from inglenook.chat.attachments import (
    COUNT_LIMIT,
    check_attachments,
    estimate_tokens,
    read_attachment,
)
from inglenook.chat.events import AttachmentCounted
from inglenook.engine.protocol import Loaded
from inglenook.gui.bridge import Bridge
from inglenook.gui.chat_page import ChatPage
from inglenook.gui.composer_parts import TIGHT_SHARE
from inglenook.gui.file_view import FileView
from inglenook.gui.formats import format_count
from inglenook.gui.tasks import Tasks
from inglenook.store.records import Attachment

type Taken = Callable[[tuple[Attachment, ...]], None]

_TOLD: Final = 3
"""So many files that cannot be attached are named; the rest is counted."""


class Attachments(QObject):
    """Reads files, and says of those in the composer what they take of the context."""

    def __init__(
        self,
        app: App,
        page: ChatPage,
        tasks: Tasks,
        bridge: Bridge,
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self._app = app
        self._page = page
        self._composer = composer = page.composer
        self._tasks = tasks
        self._sizes: dict[Attachment, int] = {}
        self._asked: set[Attachment] = set()
        self._n_ctx = 0
        self._model_id = ""
        self._reading: set[object] = set()
        self._has_warned = False
        self._error = self._fit = ""
        self._is_too_large = False
        bridge.happened.connect(self._on_event)
        bridge.engine_changed.connect(self._on_engine_changed)
        composer.context_shown.connect(self.weigh)
        composer.file_opened.connect(self.show_file)

    @property
    def is_reading(self) -> bool:
        """Whether files are being read that will then be attached."""
        return bool(self._reading)

    def hold_up(self) -> bool:
        """Whether sending should wait for files that are being read; asked again, it need not.

        A disk that does not answer shall not keep anybody from talking.
        """
        holds_up = self.is_reading and not self._has_warned
        self._has_warned = self.is_reading
        return holds_up

    # --- reading ---

    def choose(self, take: Taken) -> None:
        """Let the person choose files, read them, and hand them over."""
        dialog = QFileDialog(self._page.window(), self.tr("Attach text files"))
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setFileMode(QFileDialog.FileMode.ExistingFiles)
        dialog.filesSelected.connect(lambda names: self.read([Path(n) for n in names], take))
        dialog.open()

    def read(self, paths: Sequence[Path], take: Taken) -> None:
        """Read files and hand over those that are text; the others are told of, each by name."""
        some = list(paths[: COUNT_LIMIT + 1])
        errand = object()
        self._reading.add(errand)
        self._has_warned = False

        def done(answer: tuple[tuple[Attachment, ...], list[UserError]]) -> None:
            self._reading.discard(errand)
            files, errors = answer
            if errors or self._error:
                self.tell_errors(errors)
            if files:
                take(files)

        self._tasks.run(lambda: _read_all(some), done, owner=self)

    def tell_errors(self, errors: Sequence[UserError]) -> None:
        """Say why files could not be attached."""
        text = " ".join(str(error) for error in errors[:_TOLD])
        if len(errors) > _TOLD:
            text += " " + self.tr("{n} more files could not be attached.").format(
                n=len(errors) - _TOLD
            )
        self._error = text
        self._show_notice()

    def add(self, files: tuple[Attachment, ...]) -> None:
        """Attach files to what is being written, unless they are too many."""
        shown = self._composer.chips.files
        try:
            check_attachments((*shown, *(file for file in files if file not in shown)))
        except UserError as error:
            self.tell_errors([error])
            return
        self._composer.add_files(files)

    def show_file(self, file: Attachment) -> None:
        """Open a file's text to read it."""
        FileView(self._page.theme, file, self._page.window()).show()

    # --- weighing ---

    def forget_notices(self) -> None:
        """What was said of files is said no more: they were sent, or others are on show."""
        self._error = self._fit = ""

    def weigh(self) -> None:
        """Say what the files take, and before anything is sent, whether that fits."""
        files = self._composer.chips.files
        # Of those that are gone nothing is kept: they may be large.
        self._sizes = {file: n for file, n in self._sizes.items() if file in files}
        self._asked &= set(files)
        self._ask_for([file for file in files if file not in self._asked])
        counts = {file: self._sizes.get(file, -1) for file in files}
        likely = {file: estimate_tokens(file.text) if n < 0 else n for file, n in counts.items()}
        n_files = sum(likely.values())
        loaded = self._app.engine.state.loaded
        n_ctx = self._composer.n_ctx or (loaded.n_ctx if loaded is not None else self._n_ctx)
        n_total = self._composer.n_used + n_files
        too_large: list[Attachment] = []
        if 0 < n_ctx <= n_total:
            room = n_ctx - self._composer.n_used
            too_large = [file for file, n in likely.items() if n >= room] or list(files)
        self._composer.chips.show_sizes(
            {file: self._describe(n, is_exact=counts[file] >= 0) for file, n in likely.items()},
            too_large,
        )
        self._composer.set_attached(n_files, n_ctx)
        fit = ""
        if files:
            fit = self._explain_fit(n_total, n_ctx, is_exact=min(counts.values()) >= 0)
        if fit != self._fit:
            self._fit, self._is_too_large = fit, n_total >= n_ctx
            self._show_notice()

    def _describe(self, n_tokens: int, *, is_exact: bool) -> str:
        text = self.tr("{n} tokens") if is_exact else self.tr("about {n} tokens")
        return text.replace("{n}", format_count(n_tokens))

    def _explain_fit(self, n_total: int, n_ctx: int, *, is_exact: bool) -> str:
        if not n_ctx or n_total <= TIGHT_SHARE * n_ctx:
            return ""
        if n_total >= n_ctx:
            text = self.tr(
                "This does not fit: {what} take {about}{n} tokens, and the model's context holds "
                "{all}. Remove files, attach a smaller part, or choose a longer context in "
                "Settings > Engine."
            )
        else:
            text = self.tr(
                "The attached files fill most of the context: {about}{left} tokens are left for "
                "your message and its reply."
            )
        what = self.tr("the attached files")
        if self._composer.n_used:
            what = self.tr("the conversation and the attached files")
        for key, value in (
            ("{what}", what),
            ("{about}", "" if is_exact else self.tr("about ")),
            ("{n}", format_count(n_total)),
            ("{all}", format_count(n_ctx)),
            ("{left}", format_count(n_ctx - n_total)),
        ):
            text = text.replace(key, value)
        return text

    def _show_notice(self) -> None:
        text = " ".join(part for part in (self._error, self._fit) if part)
        is_bad = bool(self._error) or self._is_too_large
        self._composer.set_notice(text, "bad" if is_bad else "quiet")

    def _ask_for(self, files: list[Attachment]) -> None:
        """Have the loaded model count files; each answer is an event."""
        loaded = self._app.engine.state.loaded
        if not files or loaded is None:
            return
        self._model_id = loaded.model_id
        self._asked |= set(files)
        self._tasks.run(
            lambda: self._app.chat.count_attachments(files), failed=lambda _: None, owner=self
        )

    def _on_event(self, event: object) -> None:
        if isinstance(event, AttachmentCounted) and event.is_exact and event.file in self._asked:
            self._sizes[event.file] = event.n_tokens
            self.weigh()

    def _on_engine_changed(self, event: object) -> None:
        if isinstance(event, Loaded):
            self._n_ctx = event.n_ctx
            if event.model_id != self._model_id:
                self._sizes.clear()  # Another model, other tokens.
            self._asked &= set(self._sizes)  # What was not answered may never be.
            self.weigh()


def _read_all(paths: Sequence[Path]) -> tuple[tuple[Attachment, ...], list[UserError]]:
    """Those that are text, and why the others are not; on a worker thread."""
    files: list[Attachment] = []
    errors: list[UserError] = []
    for path in paths:
        try:
            files.append(read_attachment(path))
        except UserError as error:
            errors.append(error)
    return tuple(files), errors
