"""A download that quitting interrupted goes on by itself when the window is open again."""

from collections.abc import Callable

import pytest

from support.loopback_hub import LoopbackHub
from support.models import make_model
from support.window import WindowKit, wait_until

REPO = "maker/Tiny-GGUF"
FILE = "tiny-Q4_K_M.gguf"


def test_D08_what_quitting_interrupted_goes_on_at_the_next_start(
    open_kit: Callable[..., WindowKit], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    with LoopbackHub() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        data = make_model()
        hub.add_repo(REPO, {FILE: data})
        hub.faults.bytes_per_s = len(data) // 4
        first = open_kit()
        downloads = first.app.downloads
        download_id = downloads.start(REPO)
        wait_until(lambda: downloads.get(download_id).done_bytes > 0)
        first.session.close()
        first.app.close()
        hub.faults.bytes_per_s = 0
        second = open_kit()
        wait_until(lambda: second.window.models.find(f"{REPO}/{FILE}") is not None)
        assert hub.bytes_served < 2 * len(data)
        second.session.close()
        second.app.close()


def test_a_start_without_downloads_does_not_make_their_machinery(kit: WindowKit) -> None:
    kit.app.resume_downloads()
    assert kit.app._downloads is None
