"""The models page: cards, downloads in place, what a name means, installed, import."""

from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtWidgets import QPushButton

from inglenook.base.errors import NetworkError, UserError
from inglenook.base.records import InstalledModel
from inglenook.gui.dialogs import Question
from inglenook.gui.models_page import ModelsPage
from inglenook.gui.models_page.file_row import FileRow
from inglenook.gui.models_page.offers import parse_repo
from inglenook.gui.models_page.transfer_view import describe_transfer
from inglenook.models.events import DownloadChanged
from inglenook.models.progress import DownloadState
from support.tiny_gguf import write_tiny_gguf
from support.window import WindowKit, wait_until

type OpenKit = Callable[..., WindowKit]


class FakeDownloads:
    """Downloads whose states a test sets."""

    def __init__(self) -> None:
        self.states: dict[str, DownloadState] = {}
        self.calls: list[tuple[str, str]] = []
        self.refusal: UserError | None = None

    def start(self, name: str, *, takes_update: bool = False) -> str:
        self.calls.append(("update" if takes_update else "start", name))
        if self.refusal is not None:
            raise self.refusal
        self.states["d1"] = DownloadState(id="d1", name=name, phase="asking")
        return "d1"

    def list(self) -> tuple[DownloadState, ...]:
        return tuple(self.states.values())

    def pause(self, download_id: str) -> None:
        self.calls.append(("pause", download_id))

    def resume(self, download_id: str) -> None:
        self.calls.append(("resume", download_id))

    def cancel(self, download_id: str) -> None:
        self.calls.append(("cancel", download_id))
        self.states.pop(download_id, None)

    def close(self) -> None:
        pass


@pytest.fixture
def downloads(kit: WindowKit) -> FakeDownloads:
    fake = FakeDownloads()
    kit.app._downloads = fake  # type: ignore[assignment]
    return fake


@pytest.fixture
def page(kit: WindowKit, downloads: FakeDownloads) -> ModelsPage:
    kit.window.show_models()
    found = kit.window._models_page
    assert found is not None
    wait_until(lambda: len(found.discover.cards()) == len(kit.app.catalogue.entries))
    return found


def first_row(page: ModelsPage) -> FileRow:
    return page.discover.cards()[0].rows[0]


def set_state(kit: WindowKit, downloads: FakeDownloads, state: DownloadState) -> None:
    downloads.states[state.id] = state
    kit.app.hub.publish(DownloadChanged(state))


def test_every_model_of_the_catalogue_has_a_card(kit: WindowKit, page: ModelsPage) -> None:
    for facts, card in page.discover.catalogue.made:
        assert card.rows, facts.title
        assert facts.offers


def test_what_does_not_fit_is_hidden_until_asked_for(page: ModelsPage) -> None:
    hidden = [facts for facts, card in page.discover.catalogue.made if not card.isVisible()]
    assert all(not facts.can_run for facts in hidden)
    page.discover.fits.click()
    assert all(card.isVisible() for card in page.discover.cards())


def test_the_other_sizes_are_folded(page: ModelsPage) -> None:
    card = next(card for card in page.discover.cards() if len(card.offers) > 1)
    assert len(card.rows) == 1
    assert card.rows[0].offer.is_recommended
    card.unfold()
    assert len(card.rows) == len(card.offers)


def test_a_download_shows_its_progress_in_place(
    kit: WindowKit, page: ModelsPage, downloads: FakeDownloads
) -> None:
    row = first_row(page)
    row._button.click()
    wait_until(lambda: row._transfer is not None and row._transfer.isVisible())
    assert downloads.calls == [("start", row.offer.name)]
    state = DownloadState(
        id="d1",
        name=row.offer.name,
        phase="downloading",
        repo=row.offer.repo,
        filename=row.offer.pattern.replace("*", "x"),
        size_bytes=2_600_000_000,
        done_bytes=1_600_000_000,
        bytes_per_s=24_000_000,
        eta_s=42,
    )
    set_state(kit, downloads, state)
    transfer = row._transfer
    assert transfer is not None
    wait_until(lambda: transfer.note.text() == "1.6 of 2.6 GB · 24 MB/s · 42 s left")
    assert not row._button.isVisible()
    transfer.button.click()
    wait_until(lambda: ("pause", "d1") in downloads.calls)
    transfer.cancel.click()
    wait_until(lambda: ("cancel", "d1") in downloads.calls)
    wait_until(row._button.isVisible)
    assert page._tabs[2].text() == "Downloads"


def test_a_failed_download_says_why_and_offers_retry(
    kit: WindowKit, page: ModelsPage, downloads: FakeDownloads
) -> None:
    row = first_row(page)
    row._button.click()
    wait_until(lambda: row._transfer is not None)
    set_state(
        kit,
        downloads,
        DownloadState(
            id="d1", name=row.offer.name, phase="failed", error="The hub is away.", hint="Later."
        ),
    )
    wait_until(lambda: row._error.text() == "The hub is away. Later.")
    transfer = row._transfer
    assert transfer is not None
    assert transfer.button.text() == "Retry"
    transfer.button.click()
    wait_until(lambda: ("resume", "d1") in downloads.calls)
    page.show_tab("downloads")
    assert page._tabs[2].text() == "Downloads 1"
    assert "The hub is away. Later." in page.downloads._cards["d1"]._error.text()


def test_a_download_that_is_refused_says_so_in_its_row(
    page: ModelsPage, downloads: FakeDownloads
) -> None:
    downloads.refusal = NetworkError("Inglenook works offline.", "Switch it off in Settings.")
    row = first_row(page)
    row._button.click()
    wait_until(lambda: "works offline" in row._error.text())
    assert row._button.isEnabled()


def test_an_installed_model_can_be_used_from_its_card(kit: WindowKit, page: ModelsPage) -> None:
    row = first_row(page)
    filename = row.offer.pattern.replace("*", "x")
    path = kit.app.profile.models / "x.gguf"
    path.write_bytes(b"GGUF")
    kit.app.store.put_model(
        InstalledModel(
            id="hub/x",
            name="X",
            path=str(path),
            size_bytes=4,
            origin="hub",
            repo=row.offer.repo,
            filename=filename,
        )
    )
    kit.window.models.reload()
    wait_until(row._use.isVisible)
    assert not row._button.isVisible()
    row._use.click()
    wait_until(lambda: kit.app.settings.get("models.default") == "hub/x")
    assert kit.window._stack.currentWidget() is kit.window.chat_page


@pytest.mark.parametrize(
    ("text", "repo"),
    [
        ("owner/repo", "owner/repo"),
        (" owner/repo:Q4_K_M ", "owner/repo"),
        ("owner/repo/file.gguf", "owner/repo"),
        ("https://huggingface.co/owner/repo/tree/main", "owner/repo"),
        ("huggingface.co/owner/repo", "owner/repo"),
        ("hf.co/owner/repo", "owner/repo"),
        ("https://huggingface.co/owner/repo?show_file_info=x-Q8_0.gguf", "owner/repo"),
        ("https://huggingface.co/owner/repo/blob/main/x.gguf#L1", "owner/repo"),
        ("https://[::1", None),
        ("https://example.org/owner/repo", None),
        ("llama", None),
        ("../..", None),
        ("a b/c", None),
        ("", None),
    ],
)
def test_a_pasted_name_is_understood(text: str, repo: str | None) -> None:
    assert parse_repo(text) == repo


def test_removing_asks_first_and_says_what_it_frees(kit: WindowKit, page: ModelsPage) -> None:
    path = kit.app.profile.models / "owner" / "repo" / "x.gguf"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"GGUF" * 500_000)
    model = InstalledModel(
        id="owner/repo/x.gguf",
        name="X",
        path=str(path),
        size_bytes=2_000_000,
        origin="hub",
        repo="owner/repo",
        filename="x.gguf",
    )
    kit.app.store.put_model(model)
    kit.window.models.reload()
    wait_until(lambda: kit.window.models.find(model.id) is not None)
    page.show_tab("installed")
    page.installed.ask_to_remove(model)
    question = page.installed.findChild(Question)
    assert question is not None
    assert question.cancel_button.isDefault()
    assert path.exists()
    question.action_button.click()
    wait_until(lambda: kit.window.models.find(model.id) is None)
    assert not path.exists()
    wait_until(lambda: "was removed" in page.notice.label.text())


def test_a_file_is_imported_where_it_lies(kit: WindowKit, page: ModelsPage, tmp_path: Path) -> None:
    path = write_tiny_gguf(tmp_path / "mine.gguf")
    page.import_file(path)
    wait_until(lambda: any(m.path == str(path) for m in kit.window.models.models))
    assert page.notice.isVisible()
    assert path.exists()


@pytest.mark.parametrize("kind", ["missing", "directory", "text", "fifo"])
def test_A13_what_is_no_model_is_refused_in_one_sentence(
    kit: WindowKit, page: ModelsPage, tmp_path: Path, kind: str
) -> None:
    import os

    path = tmp_path / "bad.gguf"
    if kind == "directory":
        path.mkdir()
    elif kind == "text":
        path.write_text("hello")
    elif kind == "fifo":
        os.mkfifo(path)
    page.import_file(path)
    wait_until(page.notice.isVisible)
    assert page.notice.label.text()
    assert page.notice.property("surface") == "bad"
    assert len(kit.window.models.models) == 1


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (DownloadState(id="1", name="n", phase="queued"), "Waiting"),
        (DownloadState(id="1", name="n", phase="asking"), "Asking the hub"),
        (DownloadState(id="1", name="n", phase="verifying"), "Checking the file"),
        (
            DownloadState(
                id="1", name="n", phase="paused", size_bytes=2_000_000_000, done_bytes=5_000_000
            ),
            "5 MB of 2.0 GB · paused",
        ),
        (
            DownloadState(
                id="1",
                name="n",
                phase="downloading",
                size_bytes=2_000_000_000,
                done_bytes=1_000_000_000,
            ),
            "1.0 of 2.0 GB",
        ),
    ],
)
def test_a_download_in_words(state: DownloadState, words: str) -> None:
    assert describe_transfer(state, lambda text: text) == words


def test_D09_offline_the_page_says_what_does_not_work(kit: WindowKit, page: ModelsPage) -> None:
    assert not page.offline.isVisible()
    kit.app.settings.set("privacy.offline", True)
    wait_until(page.offline.isVisible)
    page.offline.button.click()
    wait_until(lambda: not page.offline.isVisible())
    assert kit.app.settings.get("privacy.offline") is False


def test_A01_a_marked_model_is_tried_again_only_when_asked(
    kit: WindowKit, page: ModelsPage, tmp_path: Path
) -> None:
    model = kit.app.library.import_file(write_tiny_gguf(tmp_path / "bad.gguf"))
    kit.app.library.mark_problem(model.id, "The engine stopped when it loaded this model.")
    wait_until(lambda: any(m.problem for m in kit.window.models.models))
    page.show_tab("installed")
    button = next(b for b in page.installed.findChildren(QPushButton) if b.text() == "Try again")
    button.click()
    wait_until(lambda: kit.window.chat.model_id == model.id)
    assert kit.app.library.find(model.id).problem == ""


def test_in_a_narrow_window_nothing_is_cut_off(kit: WindowKit, page: ModelsPage) -> None:
    kit.window.resize(820, 640)
    wait_until(lambda: len(page.discover.catalogue.made) > 20)
    row = page.discover.catalogue.made[0][1].rows[0]
    button = row._button
    wait_until(lambda: row._recommended is not None and row._recommended.isHidden())
    right = button.mapTo(page, button.rect().topRight()).x()
    assert right <= page.width() - 28
    assert page.field.mapTo(page, page.field.rect().topRight()).x() < page.width()
    kit.window.resize(1180, 800)
    wait_until(lambda: row._recommended is not None and row._recommended.isVisible())


def test_cards_that_come_later_do_not_squeeze_the_first(
    kit: WindowKit, downloads: FakeDownloads
) -> None:
    kit.window.show_models()
    page = kit.window._models_page
    assert page is not None
    heights: set[int] = set()

    def is_full() -> bool:
        cards = page.discover.cards()
        if len(cards) > 2:
            heights.add(cards[0].rows[0].height())
        return len(cards) == len(kit.app.catalogue.entries)

    wait_until(is_full)
    assert min(heights) >= page.discover.cards()[0].rows[0].minimumSizeHint().height()
