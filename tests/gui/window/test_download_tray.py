"""The tray of downloads in the sidebar, and the cards of the Downloads tab, in every state."""

import hashlib
from collections.abc import Callable

import pytest

from inglenook.gui.download_tray import DownloadTray
from inglenook.gui.models_page.downloads_tab import TransferCard
from inglenook.models.events import DownloadChanged
from inglenook.models.progress import DownloadState
from support.loopback_hub import LoopbackHub
from support.models import make_model
from support.window import WindowKit, wait_until

REPO = "maker/Tiny-GGUF"
FILE = "tiny-Q4_K_M.gguf"


class FakeDownloads:
    """Downloads whose states a test sets; writes down what it is asked for."""

    def __init__(self) -> None:
        self.states: dict[str, DownloadState] = {}
        self.calls: list[tuple[str, str]] = []

    def start(self, name: str, *, takes_update: bool = False) -> str:
        self.calls.append(("update" if takes_update else "start", name))
        return "d1"

    def list(self) -> tuple[DownloadState, ...]:
        return tuple(self.states.values())

    def __getattr__(self, verb: str) -> Callable[..., None]:
        return lambda *given: self.calls.append((verb, str(given[0]) if given else ""))


@pytest.fixture
def downloads(kit: WindowKit) -> FakeDownloads:
    fake = FakeDownloads()
    kit.app._downloads = fake  # type: ignore[assignment]
    return fake


def make_state(number: int, phase: str, **more: object) -> DownloadState:
    facts: dict[str, object] = {
        "id": f"d{number}",
        "name": f"maker/m{number}",
        "phase": phase,
        "repo": f"maker/m{number}",
        "filename": f"m{number}-Q4_K_M.gguf",
        "size_bytes": 2_000_000_000,
        "done_bytes": 500_000_000,
    }
    return DownloadState(**(facts | more))  # type: ignore[arg-type]


def put(kit: WindowKit, downloads: FakeDownloads, *states: DownloadState) -> DownloadTray:
    downloads.states = {state.id: state for state in states}
    for state in states:
        kit.app.hub.publish(DownloadChanged(state))
    wait_until(lambda: kit.window.transfers.states == states)
    return kit.window.sidebar.downloads


def test_the_tray_is_hidden_until_there_is_a_download(kit: WindowKit) -> None:
    assert not kit.window.sidebar.downloads.isVisible()
    assert kit.app._downloads is None


def test_the_tray_tells_what_runs_and_leads_to_it(kit: WindowKit, downloads: FakeDownloads) -> None:
    tray = put(kit, downloads, make_state(1, "downloading", bytes_per_s=25e6, eta_s=60.0))
    assert tray.isVisible()
    assert tray.text() == "m1-Q4_K_M"
    assert tray.note == "1 min"
    assert "m1-Q4_K_M" in tray.accessibleName()
    tray.click()
    page = kit.window._models_page
    assert page is not None
    assert page.downloads.isVisible()
    put(
        kit, downloads, make_state(1, "downloading"), make_state(2, "queued", done_bytes=0, place=1)
    )
    assert tray.text() == "2 downloads"
    assert tray.note == "12%"
    put(kit, downloads, make_state(1, "verifying"))
    assert tray.note == "checking"


def test_the_tray_tells_what_stands_still_and_what_is_done(
    kit: WindowKit, downloads: FakeDownloads
) -> None:
    tray = put(kit, downloads, make_state(1, "paused"))
    assert tray.text() == "m1-Q4_K_M · paused"
    failed = make_state(2, "failed", error="huggingface.co cannot be reached.", code="unreachable")
    put(kit, downloads, make_state(1, "paused"), failed)
    assert tray.text() == "m2-Q4_K_M · stopped"
    put(kit, downloads, make_state(3, "downloading"))
    put(kit, downloads, make_state(3, "done"))
    assert (tray.text(), tray.note) == ("m3-Q4_K_M", "installed")
    tray._forget.timeout.emit()
    assert not tray.isVisible()


def show_cards(kit: WindowKit, downloads: FakeDownloads) -> list[TransferCard]:
    kit.window.show_models("downloads")
    page = kit.window._models_page
    assert page is not None
    states = (
        make_state(1, "done", model_id="maker/m1"),
        make_state(2, "downloading", n_connections=3, bytes_per_s=5e6, eta_s=300.0),
        make_state(3, "queued", place=1),
        make_state(4, "queued", place=2),
        make_state(5, "failed", error="The disk is full.", hint="Make room.", code="disk_full"),
        make_state(6, "failed", error="The hub has a newer file.", code="update_available"),
        make_state(7, "downloading", note="The connection broke off. Trying again in 4 s."),
    )
    put(kit, downloads, *states)
    column = page.downloads._column
    items = [column.itemAt(i) for i in range(column.count())]
    return [w for item in items if item and isinstance(w := item.widget(), TransferCard)]


def test_cards_stand_in_the_order_of_the_queue(kit: WindowKit, downloads: FakeDownloads) -> None:
    cards = show_cards(kit, downloads)
    assert [card._state.id for card in cards] == ["d2", "d7", "d3", "d4", "d5", "d6", "d1"]
    waiting = {card._state.id: card for card in cards}
    assert not waiting["d3"].up.isVisible()
    waiting["d4"].up.click()
    wait_until(lambda: ("move_up", "d4") in downloads.calls)
    waiting["d1"].forget.click()
    wait_until(lambda: ("forget", "d1") in downloads.calls)


def test_cards_tell_connections_notes_and_newer_files(
    kit: WindowKit, downloads: FakeDownloads
) -> None:
    cards = {card._state.id: card for card in show_cards(kit, downloads)}
    assert cards["d2"]._file.text() == "maker/m2 · 2.0 GB · 3 connections"
    assert cards["d7"]._note.text().startswith("The connection broke off.")
    assert cards["d5"]._error.text() == "The disk is full. Make room."
    assert not cards["d6"].transfer.isVisible()
    cards["d6"].update_button.click()
    wait_until(lambda: ("update", "maker/m6") in downloads.calls)


def test_D08_the_tray_shows_what_an_earlier_start_left(
    open_kit: Callable[..., WindowKit], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    with LoopbackHub() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        data = make_model()
        hub.add_repo(REPO, {FILE: data})
        hub.faults.bytes_per_s = len(data) // 4
        first = open_kit()
        download_id = first.app.downloads.start(REPO)
        wait_until(lambda: first.app.downloads.get(download_id).done_bytes > 0)
        first.app.downloads.pause(download_id)
        wait_until(lambda: first.app.downloads.get(download_id).phase == "paused")
        first.session.close()
        first.app.close()
        second = open_kit()
        tray = second.window.sidebar.downloads
        wait_until(tray.isVisible)
        assert tray.text() == "tiny-Q4_K_M · paused"
        second.session.close()
        second.app.close()


def test_a_newer_file_is_shown_on_demand_and_taken_by_a_click(
    kit: WindowKit, downloads: FakeDownloads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    with LoopbackHub() as hub:
        kit.app.settings.set("network.mirror", hub.endpoint)
        data = make_model()
        hub.add_repo(REPO, {FILE: data})
        path = kit.app.profile.models / REPO / FILE
        path.parent.mkdir(parents=True)
        path.write_bytes(data)
        digest = hashlib.sha256(data).hexdigest()
        kit.app.library.add_downloaded(
            path, repo=REPO, filename=FILE, revision=hub.repos[REPO].revision, sha256=digest
        )
        kit.window.show_models("installed")
        page = kit.window._models_page
        assert page is not None
        view = page.installed.updates
        view.look()
        wait_until(page.notice.isVisible)
        assert not view.isVisible()
        hub.add_repo(REPO, {FILE: make_model(seed=2)})
        view.look()
        wait_until(lambda: len(view.buttons) == 1)
        assert view.label.text() == "1 model has a newer file on the hub"
        taken = [verb for verb, _ in downloads.calls if verb in {"start", "update"}]
        assert taken == [], "nothing is taken by itself"
        view.buttons[0].click()
        wait_until(lambda: ("update", f"{REPO}/{FILE}") in downloads.calls)
