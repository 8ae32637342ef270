"""Which folder holds the models: the profile's own, or one that a person moved them to.

A small file in the data folder says so, for it must be known before the database is open. Written
whole and renamed, so it is the old one or the new one.
"""

import logging
from pathlib import Path
from typing import Final

import msgspec

from inglenook.base.whole_file import write_whole

log = logging.getLogger(__name__)

_NAME: Final = "models-folder.json"
_MAX_BYTES: Final = 1 << 16


class ModelsFolder(msgspec.Struct, frozen=True, kw_only=True):
    """Where the models are. All are absolute paths, "" for none.

    folder: where a person moved them; "" is the profile's own. target: where a move that is not
    done goes. left: where they were before the last move, while files of theirs are there.
    """

    folder: str = ""
    target: str = ""
    left: str = ""


def read_models_folder(data: Path) -> ModelsFolder:
    """What is known; the profile's own folder where nothing is, or where it cannot be read."""
    path = data / _NAME
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ValueError("too large")  # noqa: TRY301
        found = msgspec.json.decode(path.read_bytes(), type=ModelsFolder)
        if not all(not name or Path(name).is_absolute() for name in msgspec.structs.astuple(found)):
            raise ValueError("not a path")  # noqa: TRY301
    except (FileNotFoundError, NotADirectoryError):
        return ModelsFolder()
    except (OSError, ValueError, msgspec.MsgspecError):
        log.warning("what tells where the models are cannot be read; the usual folder is used")
        return ModelsFolder()
    return found


def write_models_folder(data: Path, found: ModelsFolder) -> None:
    """Remember it. Raises `OSError`."""
    write_whole(data / _NAME, msgspec.json.encode(found))
