"""What a search of the hub has found so far: pages come one after another, the newest words win."""

from typing import TYPE_CHECKING, Final, Literal

from PySide6.QtCore import QObject, QTimer, Signal

from inglenook.app import App
from inglenook.base.errors import UserError
from inglenook.gui.tasks import Tasks
from inglenook.models.hub_search import Query, RepoSummary, SearchPage

if TYPE_CHECKING:
    from collections.abc import Callable

PAUSE_MS: Final = 300
MAX_RESULTS: Final = 2000
MAX_EMPTY_PAGES: Final = 4
"""So many pages in a row are asked for by themselves where the filters leave nothing of them."""

type Phase = Literal["idle", "asking", "done", "failed"]


class HubResults(QObject):
    """Asks while a person types, after a pause; a former question is stopped.

    Signals: `changed()` when there is more, less, or something to say.
    """

    changed = Signal()

    def __init__(self, app: App, tasks: Tasks, parent: QObject) -> None:
        super().__init__(parent)
        self._app = app
        self._tasks = tasks
        self._ticket = 0
        self._following = ""
        self._n_empty = 0
        self._is_begun = False
        self.query: Query | None = None
        self.phase: Phase = "idle"
        self.found: list[RepoSummary] = []
        self.error: UserError | None = None
        self.is_wanted: Callable[[RepoSummary], bool] = lambda _: True
        """Which results count as something to show; others do not end the search for more."""
        self._pause = QTimer(self)
        self._pause.setSingleShot(True)
        self._pause.setInterval(PAUSE_MS)
        self._pause.timeout.connect(self._begin)

    @property
    def has_more(self) -> bool:
        """Whether another page can be asked for."""
        return bool(self._following) and len(self.found) < MAX_RESULTS

    def ask(self, query: Query, *, at_once: bool = False) -> None:
        """Look for something else, after a pause unless `at_once`."""
        if query == self.query and self.phase in {"asking", "done"}:
            return
        self._stop()
        self.query, self.found, self.error = query, [], None
        self._following, self._n_empty = "", 0
        self.phase = "asking"
        if at_once:
            self._pause.stop()
            self._begin()
        else:
            self._pause.start()
        self.changed.emit()

    def ask_again(self) -> None:
        """Try once more what failed: the first page, or the one that did not come."""
        if self.query is not None and self.phase == "failed":
            self.phase, self.error = "asking", None
            self._begin()
            self.changed.emit()

    def ask_for_more(self) -> None:
        """The next page, unless one is on its way."""
        if self.phase == "done" and self.has_more:
            self.phase = "asking"
            self._begin()
            self.changed.emit()

    def clear(self) -> None:
        """Nothing is looked for."""
        if self.query is None:
            return
        self._stop()
        self.query, self.found, self.error, self.phase = None, [], None, "idle"
        self.changed.emit()

    def _stop(self) -> None:
        """Whatever is on its way is not wanted any more."""
        self._pause.stop()
        self._ticket += 1
        if self._is_begun:
            self._is_begun = False
            self._app.hub_client.stop_search()

    def _begin(self) -> None:
        query, following = self.query, self._following
        self._ticket += 1
        ticket = self._ticket
        if query is None:
            return
        self._is_begun = True

        def work() -> SearchPage | None:
            # Many words may have been typed while all threads were busy.
            if ticket != self._ticket:
                return None
            return self._app.hub_client.search(query, following)

        def done(page: SearchPage | None) -> None:
            if page is not None and ticket == self._ticket:
                self._on_page(page)

        def failed(error: UserError) -> None:
            if ticket == self._ticket:
                self._is_begun = False
                self.phase, self.error = "failed", error
                self.changed.emit()

        self._tasks.run(work, done, failed, owner=self)

    def _on_page(self, page: SearchPage) -> None:
        known = {found.repo for found in self.found}
        new = [found for found in page.results if found.repo not in known]
        self.found += new
        self._following = page.following
        self.phase = "done"
        self._is_begun = False
        has_some = any(self.is_wanted(found) for found in new)
        self._n_empty = 0 if has_some else self._n_empty + 1
        if not has_some and self.has_more and self._n_empty < MAX_EMPTY_PAGES:
            self.phase = "asking"
            self._begin()
        self.changed.emit()
