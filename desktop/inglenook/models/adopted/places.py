"""Where each app keeps its models on this system, as far as that can be known.

`find_places` only names folders that exist. The defaults are those that the apps document; where a
person moved them, the app's own settings file tells, and is read as text of strangers.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from inglenook.models.adopted.candidates import AppName, Place
from inglenook.models.adopted.walk import read_small

_MAX_SETTINGS_BYTES: Final = 1 << 20
_MAX_POINTER_BYTES: Final = 4096


def find_places(
    home: Path, environ: Mapping[str, str], platform: str, folders: Sequence[str] = ()
) -> tuple[Place, ...]:
    """The folders of other apps that exist, each once, then those that a person named.

    `platform` is as in `sys.platform`.
    """
    machine = _Machine(home, environ, platform)
    named: list[tuple[AppName, Path]] = [
        *(("ollama", path) for path in machine.list_ollama()),
        *(("lm_studio", path) for path in machine.list_lm_studio()),
        *(("jan", path) for path in machine.list_jan()),
        *(("gpt4all", path) for path in machine.list_gpt4all()),
        *(("llama_cpp", path) for path in machine.list_llama_cpp()),
        *(("hugging_face", path) for path in machine.list_hugging_face()),
        *(("folder", _expand(folder, home)) for folder in folders if folder.strip()),
    ]
    places: dict[Path, Place] = {}
    for app, path in named:
        try:
            if path.is_absolute() and path.is_dir():
                places.setdefault(path.resolve(), Place(app, path))
        except (OSError, ValueError, RuntimeError):
            continue
    return tuple(places.values())


class _Machine:
    """A person's home folder, the environment, and the system's customs."""

    def __init__(self, home: Path, environ: Mapping[str, str], platform: str) -> None:
        self._home = home
        self._environ = environ
        self._is_mac = platform == "darwin"
        self._is_windows = platform == "win32"

    def _data(self) -> Path:
        if self._is_mac:
            return self._home / "Library" / "Application Support"
        if self._is_windows:
            return self._named("APPDATA") or self._home / "AppData" / "Roaming"
        return self._named("XDG_DATA_HOME") or self._home / ".local" / "share"

    def _local_data(self) -> Path:
        if self._is_windows:
            return self._named("LOCALAPPDATA") or self._home / "AppData" / "Local"
        return self._data()

    def _config(self) -> Path:
        if self._is_mac or self._is_windows:
            return self._data()
        return self._named("XDG_CONFIG_HOME") or self._home / ".config"

    def _cache(self) -> Path:
        if self._is_mac:
            return self._home / "Library" / "Caches"
        if self._is_windows:
            return self._local_data()
        return self._named("XDG_CACHE_HOME") or self._home / ".cache"

    def _named(self, variable: str) -> Path | None:
        value = self._environ.get(variable, "").strip()
        return _expand(value, self._home) if value else None

    def list_ollama(self) -> Iterator[Path]:
        if (named := self._named("OLLAMA_MODELS")) is not None:
            yield named
        yield self._home / ".ollama" / "models"
        if not self._is_windows and not self._is_mac:
            yield Path("/usr/share/ollama/.ollama/models")

    def list_lm_studio(self) -> Iterator[Path]:
        pointer = read_small(self._home / ".lmstudio-home-pointer", _MAX_POINTER_BYTES) or b""
        homes = [self._home / ".lmstudio", self._home / ".cache" / "lm-studio"]
        if told := pointer.decode("utf-8", "replace").strip():
            homes.insert(0, _expand(told, self._home))
        for root in homes:
            moved = _read_settings(root / "settings.json").get("downloadsFolder")
            if isinstance(moved, str) and moved:
                yield _expand(moved, self._home)
            yield root / "models"

    def list_jan(self) -> Iterator[Path]:
        for settings in (self._config() / "Jan", self._data() / "Jan"):
            moved = _read_settings(settings / "settings.json").get("data_folder")
            if isinstance(moved, str) and moved:
                yield _expand(moved, self._home)
        yield self._data() / "Jan" / "data"
        yield self._config() / "Jan" / "data"
        yield self._home / "jan"

    def list_gpt4all(self) -> Iterator[Path]:
        folder = self._local_data() / "nomic.ai" / "GPT4All"
        for config in (self._config() / "nomic.ai" / "GPT4All.ini", folder / "GPT4All.ini"):
            data = read_small(config, _MAX_SETTINGS_BYTES) or b""
            for line in data.decode("utf-8", "replace").splitlines():
                key, _, value = line.partition("=")
                if key.strip() == "modelPath" and value.strip():
                    yield _expand(value.strip(), self._home)
        yield folder

    def list_llama_cpp(self) -> Iterator[Path]:
        if (named := self._named("LLAMA_CACHE")) is not None:
            yield named
        yield self._cache() / "llama.cpp"

    def list_hugging_face(self) -> Iterator[Path]:
        for variable in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
            if (named := self._named(variable)) is not None:
                yield named
        if (root := self._named("HF_HOME")) is not None:
            yield root / "hub"
        # The library uses ~/.cache on every system.
        cache = self._named("XDG_CACHE_HOME") or self._home / ".cache"
        yield cache / "huggingface" / "hub"


def _expand(text: str, home: Path) -> Path:
    """A path as a person or an app wrote it; `~` is `home`."""
    text = text.replace("\0", "")
    if text == "~" or text.startswith(("~/", "~\\")):
        return home / text[2:]
    return Path(text)


def _read_settings(path: Path) -> dict[str, Any]:
    data = read_small(path, _MAX_SETTINGS_BYTES)
    try:
        return msgspec.json.decode(data, type=dict[str, Any]) if data else {}
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return {}
