"""The composition root: `open_app` makes every part and hands them over as one `App`.

The only place that names concrete classes. The window and each command open an app on the main
thread, and close it. No Qt.

For the window only the settings are read at once; store, library and chat are made when they are
first asked for, on a worker thread: their libraries take longer to import than the window to open.

Several processes may have one profile open: a command works beside the window. The window alone
holds the profile's lock, so there is one window for each profile; the database takes care of the
rest (`store/gate.py`).
"""

import logging
import os
import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from filelock import FileLock, Timeout

from inglenook.base.errors import StorageError
from inglenook.base.events import EventHub
from inglenook.base.log import Log, open_log
from inglenook.base.models_folder import ModelsFolder, read_models_folder
from inglenook.base.network import Network
from inglenook.base.paths import Profile, find_asset, open_profile
from inglenook.base.records import InstalledModel
from inglenook.base.settings import SettingChanged, Settings
from inglenook.engine.client import ChildEngine
from inglenook.engine.seam import Engine
from inglenook.store.opening import Prepared, prepare_database

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from inglenook.base.setting import Value
    from inglenook.chat.chat import Chat
    from inglenook.chat.forecasts import Forecasts
    from inglenook.models.adopt import Neighbours
    from inglenook.models.adopted.candidates import Place
    from inglenook.models.catalogue import Catalogue
    from inglenook.models.download import Allowance
    from inglenook.models.downloads import Downloads
    from inglenook.models.duplicates import Duplicates
    from inglenook.models.hub import Hub
    from inglenook.models.hub_token import HubToken
    from inglenook.models.intake import Intake
    from inglenook.models.library import Library
    from inglenook.models.placing import Bringing
    from inglenook.models.predict.remote import RemoteShapes
    from inglenook.models.relocation import Relocation
    from inglenook.models.updates import Updates
    from inglenook.models.verifying import Verifier
    from inglenook.store.store import Store

log = logging.getLogger(__name__)

GUIDE_ID: Final = "builtin/guide"
HUB_ENDPOINT: Final = "https://huggingface.co"
_COMMAND_WAIT_S: Final = 10.0
_WINDOW_WAIT_S: Final = 0.2


class App:
    """All parts of one open profile. Made by `open_app`; `close` ends every thread and process.

    Store, library and chat come into being together, at the first use of any: whoever is not to
    wait for that asks for them on a worker thread. That use raises what opening the store raises.
    """

    def __init__(
        self,
        profile: Profile,
        database: Prepared,
        hub: EventHub,
        *,
        in_process: bool,
        keeps: "_Keeps",
    ) -> None:
        self._keeps = keeps
        self._lock = threading.RLock()
        self._database = database
        self._store: Store | None = None
        self._rooms: _Rooms | None = None
        self._catalogue: Catalogue | None = None
        self._hub_client: Hub | None = None
        self._hub_token: HubToken | None = None
        self._downloads: Downloads | None = None
        self._neighbours: Neighbours | None = None
        self._remote_shapes: RemoteShapes | None = None
        self._moves = threading.Lock()
        self.profile = profile
        self.hub = hub
        self.settings = Settings(self._load_settings, self._save_setting, hub)
        self.network = Network(self._is_offline, hub.publish, self._find_proxy)
        hub.subscribe(self._on_event)
        self.engine = _make_engine(hub, in_process=in_process)

    @property
    def store(self) -> "Store":
        """Everything that is kept."""
        return self._get_rooms().store

    @property
    def library(self) -> "Library":
        """The models on this disk."""
        return self._get_rooms().library

    @property
    def chat(self) -> "Chat":
        """What a person does with conversations. Replies that a crash cut off are marked by now."""
        return self._get_rooms().chat

    @property
    def forecasts(self) -> "Forecasts":
        """What models will take and how fast they will run here."""
        return self._get_rooms().forecasts

    def finish_opening(self) -> None:
        """Make what the window leaves for later. Raises `StorageError`."""
        self._get_rooms()

    def warm_up(self, model_id: str) -> None:
        """Load a model ahead of its first prompt. Raises `ModelError`, `StorageError`.

        The built-in one does not wait for the store: at a start the engine loads it meanwhile.
        """
        guide = _find_guide()
        with self._lock:
            if self._rooms is None and model_id == GUIDE_ID and guide.exists():
                from inglenook.chat.options import make_load

                model = InstalledModel(
                    id=GUIDE_ID, name="", path=str(guide), size_bytes=0, origin="builtin"
                )
                # Before the first use of the store nothing runs that this load could end.
                self.engine.submit(make_load(model, self.settings, self._snapshot_folder))
                return
        self.chat.warm_up(model_id)

    def _get_rooms(self) -> "_Rooms":
        with self._lock:
            if self._rooms is None:
                self._rooms = self._make_rooms()
            return self._rooms

    @property
    def _snapshot_folder(self) -> Path:
        return self.profile.cache / "kv"

    def _make_rooms(self) -> "_Rooms":
        if self._keeps.is_closed:
            raise StorageError("The database of conversations is closed.", code="closed")
        from inglenook.chat.chat import Chat
        from inglenook.chat.forecasts import Forecasts
        from inglenook.models.library import Library

        store = self._open_store()
        publish = self.hub.publish
        library = Library(self.profile, store, _find_guide(), publish, lambda: self.catalogue)
        chat = Chat(
            store,
            self.engine,
            library,
            self.settings,
            self.hub,
            snapshot_folder=self._snapshot_folder,
        )
        try:
            chat.recover()
        except BaseException:
            chat.close()
            raise
        if self.models_folder.left:
            self._finish_move(library)
        forecasts = Forecasts(
            self.hub,
            self.engine,
            self.settings,
            self.profile.cache / "forecasts",
            lambda: self.remote_shapes,
        )
        log.debug("the store is open")
        return _Rooms(store, library, chat, forecasts)

    def _open_store(self) -> "Store":
        if self._store is None:
            from inglenook.store.store import Store

            self._store = Store(self._database)
        return self._store

    # Made at first use: a conversation needs none of them.

    @property
    def catalogue(self) -> "Catalogue":
        """The built-in list of models."""
        with self._lock:
            if self._catalogue is None:
                from inglenook.models.catalogue import load_catalogue

                self._catalogue = load_catalogue(find_asset("models.toml"))
            return self._catalogue

    @property
    def hub_client(self) -> "Hub":
        """The way to the hub of models."""
        with self._lock:
            if self._hub_client is None:
                from inglenook.models.hub import Hub

                self._hub_client = Hub(
                    self.network,
                    self._find_endpoint(),
                    lambda: self.catalogue,
                    self.hub_token.load,
                )
            return self._hub_client

    @property
    def hub_token(self) -> "HubToken":
        """The access token of the hub, where a person gave one."""
        with self._lock:
            if self._hub_token is None:
                from inglenook.models.hub_names import find_host
                from inglenook.models.hub_token import HubToken

                file = self.profile.data / "hub-token.json"
                self._hub_token = HubToken(file, find_host(self._find_endpoint()))
            return self._hub_token

    @property
    def downloads(self) -> "Downloads":
        """The downloads, with those that an earlier start left unfinished."""
        with self._lock:
            if self._downloads is None:
                from inglenook.models.downloads import Downloads

                self._downloads = Downloads(
                    self.profile,
                    self.hub_client,
                    self.library,
                    self.network,
                    self.hub.publish,
                    find_allowance=self._find_allowance,
                )
            return self._downloads

    @property
    def updates(self) -> "Updates":
        """What tells whether the hub has newer files of installed models."""
        from inglenook.models.updates import Updates

        return Updates(self.library, self.hub_client)

    @property
    def remote_shapes(self) -> "RemoteShapes":
        """What the headers of models on the hub say, read without downloading them."""
        with self._lock:
            if self._remote_shapes is None:
                from inglenook.models.predict.remote import RemoteShapes

                folder = self.profile.cache / "forecasts" / "shapes"
                self._remote_shapes = RemoteShapes(self.network, self.hub_client.locate, folder)
            return self._remote_shapes

    @property
    def neighbours(self) -> "Neighbours":
        """The models that other apps on this computer have."""
        with self._lock:
            if self._neighbours is None:
                from inglenook.models.adopt import Neighbours

                memory = self.profile.cache / "found.json"
                self._neighbours = Neighbours(self.library, self._find_places, memory)
            return self._neighbours

    @property
    def intake(self) -> "Intake":
        """What brings model files into the models folder."""
        from inglenook.models.intake import Intake

        return Intake(self.profile.models, self.library, self.find_owner)

    @property
    def duplicates(self) -> "Duplicates":
        """Models that are on this computer more than once."""
        from inglenook.models.duplicates import Duplicates

        return Duplicates(
            self.profile.models, self.library, self.neighbours, self.profile.cache / "hashes.json"
        )

    @property
    def verifier(self) -> "Verifier":
        """What checks whether models' files are as they were downloaded."""
        from inglenook.models.verifying import Verifier

        return Verifier(self.library, self.profile.data / "verified.json")

    @property
    def relocation(self) -> "Relocation":
        """What finds models again whose files were moved."""
        from inglenook.models.relocation import Relocation

        return Relocation(
            self.profile.models, self.library, self.neighbours, self.profile.cache / "hashes.json"
        )

    def _find_places(self) -> "tuple[Place, ...]":
        from inglenook.models.adopted.places import find_places

        folders = str(self.settings.get("models.folders")).splitlines()
        return find_places(Path.home(), os.environ, sys.platform, folders)

    def find_owner(self, path: Path) -> str:
        """The app on this computer that a file belongs to; "" for none."""
        for place in self._find_places():
            if place.app != "folder" and path.is_relative_to(place.folder):
                return place.app
        return ""

    @property
    def models_folder(self) -> ModelsFolder:
        """Where the models are, and what a move of them has left to do."""
        return read_models_folder(self.profile.data)

    def move_models(
        self,
        target: Path,
        tell: "Callable[[Bringing], None]" = lambda _: None,
        stop: threading.Event | None = None,
    ) -> Path:
        """Move the models folder; a move that was broken off goes on where it was.

        Until all is copied and verified, nothing at the old place changes. Raises `StorageError`
        (busy, gone, bad_folder, not_writable, disk_full, unverified, taken), `StoppedWorkError`.
        """
        from inglenook.models.moving import FolderMove

        stop = stop or threading.Event()
        target = Path(os.path.abspath(target.expanduser()))  # noqa: PTH100  # keeps links
        if not self._moves.acquire(blocking=False):
            raise StorageError("The models are being moved already.", code="busy")
        try:
            with self._keeps.hold(self.profile):
                self._check_downloads_rest()
                move = FolderMove(self.profile, self.library)
                move.run(target, tell, stop, self._use_models_folder)
        finally:
            self._moves.release()
        return target

    def _finish_move(self, library: "Library") -> None:
        """Make up for what a crash left of a move."""
        from inglenook.models.moving import FolderMove

        try:
            FolderMove(self.profile, library).finish()
        except StorageError as error:
            log.warning("a move of the models folder is not finished: %s", error.code)

    def _check_downloads_rest(self) -> None:
        with self._lock:
            downloads = self._downloads
        if downloads is not None and not all(state.is_over for state in downloads.list()):
            raise StorageError(
                "A download is under way.", "Pause it, or wait for its end.", code="busy"
            )

    def _use_models_folder(self, models: Path) -> None:
        """From now on the models are there."""
        with self._lock:
            self.profile = replace(self.profile, models=models)
            self.library.use_folder(models)
            downloads, self._downloads = self._downloads, None
        if downloads is not None:
            downloads.close()

    def resume_downloads(self) -> bool:
        """Go on with what a quit or a crash interrupted; False where there is nothing at all."""
        from inglenook.models.journal import Journal

        if Journal(self.profile.models).is_empty():
            return False
        self.downloads.resume_interrupted()
        return True

    def close(self) -> None:
        """Stop replies and downloads, save, and end all threads and processes; idempotent."""
        with self._lock:
            if self._keeps.is_closed:
                return
            self._keeps.is_closed = True
            if self._downloads is not None:
                self._downloads.close()
            if self._remote_shapes is not None:
                self._remote_shapes.stop()
            if self._hub_client is not None:
                self._hub_client.close()
            if self._rooms is not None:
                self._rooms.chat.close()
                self._rooms.forecasts.close()
            self.engine.close()
            if self._store is not None:
                self._store.close()
            self._database.close()
            self._keeps.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _is_offline(self) -> bool:
        return bool(self.settings.get("privacy.offline"))

    def _find_proxy(self) -> str:
        return str(self.settings.get("network.proxy")).strip()

    def _find_endpoint(self) -> str:
        chosen = str(self.settings.get("network.mirror")).strip()
        return chosen or os.environ.get("HF_ENDPOINT") or HUB_ENDPOINT

    def _find_allowance(self) -> "Allowance":
        from inglenook.models.download import Allowance

        limit_mb = self.settings.get("network.download_limit")
        return Allowance(
            n_at_once=self.settings.get("network.downloads_at_once"),
            bytes_per_s=None if limit_mb is None else limit_mb * 1e6,
            n_connections=self.settings.get("network.connections"),
        )

    def _on_event(self, event: object) -> None:
        """Put changed settings in force that are not asked for at every use."""
        match event:
            case SettingChanged(key="privacy.offline", value=True):
                self.network.hang_up()
            case SettingChanged(key="network.downloads_at_once") if self._downloads is not None:
                self._downloads.adjust()
            case SettingChanged(key="network.mirror"):
                self._change_hub()
            case _:
                pass

    def _change_hub(self) -> None:
        """Ask another hub from now on; what is on its way comes to its end."""
        with self._lock:
            old, self._hub_client, self._hub_token = self._hub_client, None, None
            if self._downloads is not None:
                self._downloads.use_hub(self.hub_client)
        if old is not None:
            old.close()

    def _load_settings(self) -> "Mapping[str, Value]":
        loaded = self._database.read_settings()
        if loaded is not None:
            return loaded
        # The store knows how to mend a database, or to say what is wrong with it.
        store = self._open_store()
        try:
            return store.load_settings()
        except BaseException:
            store.close()
            raise

    def _save_setting(self, key: str, value: "Value", is_default: bool) -> None:
        self.store.save_setting(key, value, is_default)


@dataclass(frozen=True, slots=True)
class _Rooms:
    """What rests on the open store."""

    store: "Store"
    library: "Library"
    chat: "Chat"
    forecasts: "Forecasts"


class _Keeps:
    """What is held as long as the app is open: the log, and the window's lock."""

    def __init__(self, log_file: Log, lock: FileLock | None) -> None:
        self.is_closed = False
        self._log_file = log_file
        self._lock = lock

    @contextmanager
    def hold(self, profile: Profile) -> "Iterator[None]":
        """Hold the profile's lock for a while, where it is not held anyway."""
        lock = None if self._lock is not None else _claim(profile)
        try:
            yield
        finally:
            if lock is not None:
                lock.release()

    def close(self) -> None:
        if self._lock is not None:
            self._lock.release()
        self._log_file.close()


def open_app(home: Path | None = None, *, in_process: bool = False, is_window: bool = False) -> App:
    """Open a profile: the platform's own, or the one below `home`.

    `in_process` runs the model in this process instead of a child's: for tests and a debugger.
    `is_window` claims the profile for the one window. Raises `StorageError`: profile_in_use when
    there is a window on it already, newer_schema, and what `Store.open` and `open_profile` raise.
    """
    profile = open_profile(home)
    log_file = open_log(profile.logs)
    keeps = _Keeps(log_file, None)
    database: Prepared | None = None
    try:
        keeps = _Keeps(log_file, _claim(profile) if is_window else None)
        database = prepare_database(
            profile.database, wait_s=_WINDOW_WAIT_S if is_window else _COMMAND_WAIT_S
        )
        app = App(profile, database, EventHub(), in_process=in_process, keeps=keeps)
    except BaseException:
        if database is not None:
            database.close()
        keeps.close()
        raise
    log.debug("the profile is open")
    if not is_window:
        try:
            app.finish_opening()
        except BaseException:
            app.close()
            raise
    return app


def _claim(profile: Profile) -> FileLock:
    lock = FileLock(profile.lock, mode=0o600, thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise StorageError(
            "Inglenook is open already.",
            "Its window may be on another desktop; --home opens another profile beside it.",
            code="profile_in_use",
        ) from error
    except OSError as error:
        # A folder that may only be read has one reader's window more, and no harm done.
        log.warning("the profile cannot be locked (errno %s)", error.errno)
    return lock


def _make_engine(hub: EventHub, *, in_process: bool) -> Engine:
    if in_process:
        from inglenook.engine.local import LocalEngine

        return LocalEngine(hub.publish)
    return ChildEngine(hub.publish)


def _find_guide() -> Path:
    try:
        return find_asset("assets", "guide.gguf")
    except StorageError:
        # The library tells of a missing file where models are shown.
        return Path("assets") / "guide.gguf"
