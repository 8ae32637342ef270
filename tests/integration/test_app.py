"""The composition root: what may be open at once on one profile (FAULTS C10), and closing."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from inglenook.app import open_app
from inglenook.base.errors import StorageError
from inglenook.store.opening import Prepared

HOLD_WINDOW = (
    "import sys, time; from pathlib import Path; from inglenook.app import open_app\n"
    "app = open_app(Path(sys.argv[1]), is_window=True); print('open', flush=True); time.sleep(60)"
)


@pytest.fixture(autouse=True)
def keep_umask() -> Iterator[None]:
    mask = os.umask(0o077)
    yield
    os.umask(mask)


def test_C10_a_second_window_is_told_so(tmp_path: Path) -> None:
    first = open_app(tmp_path, is_window=True)
    with pytest.raises(StorageError) as caught:
        open_app(tmp_path, is_window=True)
    assert caught.value.code == "profile_in_use"
    first.close()
    open_app(tmp_path, is_window=True).close()


def test_C10_a_command_works_beside_the_window(tmp_path: Path) -> None:
    with open_app(tmp_path, is_window=True) as window, open_app(tmp_path) as command:
        user, reply = window.store.start_conversation(
            title="T", system_prompt=None, text="Hi", model_id="", model_name=""
        )
        assert [c.id for c in command.store.list_conversations()] == [user.conversation_id]
        assert command.chat.recover() == ()
        assert window.store.get_message(reply.id).status == "streaming"
        command.store.update_conversation(user.conversation_id, title="Renamed")
        assert window.store.get_conversation(user.conversation_id).title == "Renamed"


def test_C10_a_killed_window_leaves_no_lock(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD_WINDOW, str(tmp_path)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"open\n"
    with pytest.raises(StorageError):
        open_app(tmp_path, is_window=True)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    open_app(tmp_path, is_window=True).close()


ONLY_OPEN = (
    "import sys; from pathlib import Path; from inglenook.app import open_app\n"
    "app = open_app(Path(sys.argv[1]), is_window=True)\n"
    "print(app.settings.get('replies.top_k'), *sys.modules)\n"
    "print(app.store.is_read_only, 'sqlalchemy' in sys.modules); app.close()"
)


def test_a_window_opens_before_the_store_does(tmp_path: Path) -> None:
    with open_app(tmp_path) as app:
        app.settings.set("replies.top_k", 5)
    done = subprocess.run(
        [sys.executable, "-c", ONLY_OPEN, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    first, second = done.stdout.splitlines()
    top_k, *modules = first.split()
    assert top_k == "5"
    assert not {"sqlalchemy", "alembic", "huggingface_hub", "httpx2"} & set(modules)
    assert second == "False True"


def test_settings_that_only_the_store_can_read_are_read_by_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_app(tmp_path) as app:
        app.settings.set("replies.top_k", 5)
    monkeypatch.setattr(Prepared, "read_settings", lambda _: None)
    with open_app(tmp_path, is_window=True) as app:
        assert app.settings.get("replies.top_k") == 5


def test_what_was_never_asked_for_is_not_opened_by_closing(tmp_path: Path) -> None:
    open_app(tmp_path).close()
    app = open_app(tmp_path, is_window=True)
    app.close()
    with pytest.raises(StorageError) as caught:
        app.store.list_conversations()
    assert caught.value.code == "closed"


def test_closing_is_quick_and_may_be_done_twice(tmp_path: Path) -> None:
    app = open_app(tmp_path)
    app.settings.set("replies.top_k", 5)
    began = time.monotonic()
    app.close()
    app.close()
    assert time.monotonic() - began < 1
    with open_app(tmp_path) as again:
        assert again.settings.get("replies.top_k") == 5


def test_a_profile_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(StorageError) as caught:
        open_app(blocked)
    assert "cannot be used" in caught.value.message
