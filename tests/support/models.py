"""What tests of models share: an index, models to download, and a rig of all the parts."""

import random
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from inglenook.base.network import Network
from inglenook.base.paths import Profile, find_asset
from inglenook.base.records import InstalledModel
from inglenook.models.catalogue import Catalogue
from inglenook.models.connection import TransferOptions
from inglenook.models.download import Allowance
from inglenook.models.downloads import Downloads
from inglenook.models.events import DownloadChanged
from inglenook.models.hub import Hub
from inglenook.models.library import Library
from support.gguf_bytes import I32, U16, Raw, Tensor, make_gguf, make_keys

FAST: Final = TransferOptions(
    first_wait_s=0.002, longest_wait_s=0.02, read_timeout_s=5.0, reserve_bytes=0
)


class MemoryIndex:
    """Records of installed models in memory, or in one JSON file so that a restart finds them."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._models: dict[str, InstalledModel] = {}
        if path is not None and path.exists():
            for model in msgspec.json.decode(path.read_bytes(), type=list[InstalledModel]):
                self._models[model.id] = model

    def list_models(self) -> tuple[InstalledModel, ...]:
        return tuple(self._models.values())

    def put_model(self, model: InstalledModel, /) -> None:
        self._models[model.id] = model
        self._save()

    def remove_model(self, model_id: str, /) -> None:
        self._models.pop(model_id, None)
        self._save()

    def _save(self) -> None:
        if self._path is not None:
            fresh = self._path.with_suffix(".new")
            fresh.write_bytes(msgspec.json.encode(list(self._models.values())))
            fresh.replace(self._path)


def make_model(n_bytes: int = 3_000_000, seed: int = 1) -> bytes:
    """A GGUF file of about `n_bytes` that passes every check; no two seeds are alike."""
    n_elements = n_bytes // 4 // 32 * 32
    weights = random.Random(seed).randbytes(n_elements * 4)
    tensors = [Tensor("token_embd.weight", (n_elements,))]
    return make_gguf(make_keys(general__name=f"Model {seed}"), tensors, data=weights)


def make_parts(count: int = 3, n_bytes: int = 600_000) -> dict[str, bytes]:
    """The files of a split model by name."""
    files = {}
    for index in range(count):
        keys: list[tuple[str, object]] = list(make_keys()) if index == 0 else []
        keys += [
            ("split.no", Raw(U16, struct.pack("<H", index))),
            ("split.count", Raw(U16, struct.pack("<H", count))),
            ("split.tensors.count", Raw(I32, struct.pack("<i", count))),
        ]
        n_elements = n_bytes // 4 // 32 * 32
        weights = random.Random(index).randbytes(n_elements * 4)
        name = f"big-Q8_0-{index + 1:05d}-of-{count:05d}.gguf"
        files[name] = make_gguf(keys, [Tensor(f"t{index}", (n_elements,))], data=weights)
    return files


class Rig:
    """Everything a download needs, on a profile of its own, against a loopback hub.

    `events` holds what was published; `is_offline` is the switch, `token` the hub's
    access token. Instantly patient: waits between
    tries are milliseconds, and no space has to stay free, unless `options` says otherwise.
    """

    def __init__(
        self,
        profile: Profile,
        endpoint: str,
        *,
        options: TransferOptions | None = None,
        catalogue: Catalogue | None = None,
        find_allowance: Callable[[], Allowance] = Allowance,
    ) -> None:
        self.events: list[object] = []
        self.is_offline = False
        self.token = ""
        self.profile = profile
        self.index = MemoryIndex(profile.data / "index.json")
        known = catalogue or Catalogue(entries=())
        publish = self.events.append
        self.network = Network(lambda: self.is_offline, publish)
        self.hub = Hub(self.network, endpoint, lambda: known, lambda: self.token)
        self.library = Library(
            profile, self.index, find_asset("assets", "guide.gguf"), publish, lambda: known
        )
        self.downloads = Downloads(
            profile,
            self.hub,
            self.library,
            self.network,
            publish,
            options=options or FAST,
            find_allowance=find_allowance,
        )

    def get(self, name: str, timeout_s: float = 30.0) -> InstalledModel:
        """Download and wait."""
        return self.downloads.wait(self.downloads.start(name), timeout_s)

    def find_phases(self) -> list[str]:
        """The phases that were published, in order."""
        return [e.state.phase for e in self.events if isinstance(e, DownloadChanged)]

    def list_files(self) -> list[str]:
        """Every file below the models folder but the journals, by its path there."""
        root = self.profile.models
        files = (path for path in root.rglob("*") if path.is_file() or path.is_symlink())
        names = (path.relative_to(root).as_posix() for path in files)
        return sorted(name for name in names if not name.startswith(".downloads/"))

    def list_journals(self) -> list[str]:
        """The journals' names."""
        return sorted(p.name for p in (self.profile.models / ".downloads").glob("*"))
