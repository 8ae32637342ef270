"""Where the window stood: its geometry, the panes' widths, the conversation that was open.

Read on the window's thread, written there at the end and else by a task: a few hundred bytes in the
profile's data folder. It holds ids and numbers, no text of a conversation.
"""

import logging
import threading
from pathlib import Path

import msgspec

log = logging.getLogger(__name__)


class Placement(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept between two starts."""

    geometry: bytes = b""
    pane_widths: tuple[int, ...] = ()
    has_inspector: bool = False
    conversation_id: str = ""


def load_placement(path: Path) -> Placement:
    """What was kept; the default where nothing or nonsense is there."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Placement)
    except FileNotFoundError:
        return Placement()
    except (OSError, msgspec.MsgspecError):
        log.warning("the window's placement could not be read; the default is used")
        return Placement()


def save_placement(path: Path, placement: Placement) -> None:
    """Keep it, replacing the file as a whole; a full disk costs only the placement."""
    fresh = path.with_suffix(f".{threading.get_ident()}.new")
    try:
        fresh.write_bytes(msgspec.json.encode(placement))
        fresh.replace(path)
    except OSError:
        log.warning("the window's placement could not be saved")
