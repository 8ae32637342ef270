"""Where the app keeps its files: one profile, either the platform's folders or one `--home` folder.

Every folder is 0700 and every file 0600 on POSIX: `open_profile` sets the process's umask.
"""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from platformdirs import PlatformDirs

from inglenook.base.errors import StorageError
from inglenook.base.models_folder import read_models_folder


@dataclass(frozen=True, slots=True)
class Profile:
    """The folders of one profile; all exist after `open_profile`.

    But for `models`, where a person moved them to a disk that is not connected now.
    """

    data: Path
    models: Path
    own_models: Path
    """Where the models are when nobody moved them."""
    cache: Path
    logs: Path

    @property
    def database(self) -> Path:
        """The SQLite file that holds conversations, messages, models and settings."""
        return self.data / "inglenook.db"

    @property
    def lock(self) -> Path:
        """Held while a window or a command that writes is open on this profile."""
        return self.data / "inglenook.lock"


def find_profile(home: Path | None = None) -> Profile:
    """Name the folders of a profile without touching the disk.

    `home` puts everything below one folder; `INGLENOOK_HOME` does the same.
    """
    named = home or (Path(os.environ["INGLENOOK_HOME"]) if "INGLENOOK_HOME" in os.environ else None)
    if named is not None:
        root = named.expanduser().absolute()
        return _make_profile(root / "data", root / "models", root / "cache", root / "logs")
    dirs = PlatformDirs("inglenook", appauthor=False)
    data = Path(dirs.user_data_dir)
    return _make_profile(data, data / "models", Path(dirs.user_cache_dir), Path(dirs.user_log_dir))


def _make_profile(data: Path, own_models: Path, cache: Path, logs: Path) -> Profile:
    chosen = read_models_folder(data).folder
    return Profile(data, Path(chosen) if chosen else own_models, own_models, cache, logs)


def open_profile(home: Path | None = None) -> Profile:
    """Find the profile and make its folders, readable by their owner alone.

    Raises `StorageError` when a folder cannot be made.
    """
    os.umask(0o077)
    profile = find_profile(home)
    folders = [profile.data, profile.cache, profile.logs]
    if profile.models == profile.own_models:
        folders.append(profile.models)  # Another disk's is not made up where that disk is not.
    for folder in folders:
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if folder.stat().st_mode & 0o077:
                folder.chmod(0o700)
        except OSError as error:
            raise StorageError(
                f"The folder {folder} cannot be used: {error.strerror or error}.",
                "Choose another place with --home, or mend the folder's permissions.",
            ) from error
    return profile


def find_asset(*parts: str) -> Path:
    """Find a file that ships with the app, in a source checkout or in an installed wheel."""
    package = Path(__file__).resolve().parents[1]
    frozen = Path(getattr(sys, "_MEIPASS", package))
    for root in (package / "data", frozen / "inglenook" / "data", package.parents[1]):
        candidate = root.joinpath(*parts)
        if candidate.exists():
            return candidate
    name = "/".join(parts)
    raise StorageError(
        f"The file {name} that ships with Inglenook is missing.", "Install it again."
    )
