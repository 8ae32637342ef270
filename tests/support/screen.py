"""What is on an X display: reads the frame buffer that Xvfb keeps in a file; compares pictures.

The file is an XWD dump (X11/XWDFile.h): a header of 25 big-endian numbers, a colour map, pixels.
"""

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

type Picture = NDArray[np.uint8]
"""Height x width x (red, green, blue)."""

_N_FIELDS = 25
_COLOUR_BYTES = 12
_DARK = 80


@dataclass(frozen=True, slots=True)
class Area:
    """A rectangle in pixels of the screen, or of a picture."""

    left: int
    top: int
    width: int
    height: int

    @property
    def right(self) -> int:
        return self.left + self.width

    @property
    def bottom(self) -> int:
        return self.top + self.height

    @property
    def middle(self) -> tuple[int, int]:
        return self.left + self.width // 2, self.top + self.height // 2

    def shift(self, right: int, down: int) -> "Area":
        """The same area elsewhere."""
        return Area(self.left + right, self.top + down, self.width, self.height)


class Screen:
    """Reads the screen of a display that was opened with a folder for its frames."""

    def __init__(self, folder: Path) -> None:
        path = folder / "Xvfb_screen0"
        with path.open("rb") as file:
            fields = struct.unpack(f">{_N_FIELDS}I", file.read(4 * _N_FIELDS))
        header_size, width, height = fields[0], fields[4], fields[5]
        n_bits, n_line_bytes, n_colours = fields[11], fields[12], fields[19]
        assert (n_bits, fields[7]) == (32, 0), "pixels of four bytes, blue first"
        self._pixels = np.memmap(
            path,
            np.uint8,
            "r",
            offset=header_size + n_colours * _COLOUR_BYTES,
            shape=(height, n_line_bytes // 4, 4),
        )
        self.area = Area(0, 0, width, height)

    def look(self, area: Area | None = None) -> Picture:
        """A copy of what is shown in an area now."""
        area = area or self.area
        shown = self._pixels[area.top : area.bottom, area.left : area.right, 2::-1]
        return np.array(shown)


def find_changes(before: Picture, after: Picture) -> Area | None:
    """The smallest area that holds all differences between two pictures; None when alike."""
    return _bound(np.any(before != after, axis=2))


def find_ink(picture: Picture) -> Area | None:
    """The smallest area that holds all that is not the ground of the upper left corner."""
    return _bound(np.any(picture != picture[0, 0], axis=2))


def find_colour(picture: Picture, colour: str) -> Area | None:
    """The smallest area that holds all pixels of a colour, given as #rrggbb."""
    return _bound(np.all(picture == list(bytes.fromhex(colour.removeprefix("#"))), axis=2))


def count_dark(picture: Picture) -> int:
    """How many pixels are nearly black: text in full ink, in a light window."""
    return int(np.count_nonzero(picture.max(axis=2) < _DARK))


def save_picture(picture: Picture, path: Path) -> None:
    """Keep a picture, as a portable pixmap."""
    height, width, _ = picture.shape
    path.write_bytes(b"P6 %d %d 255\n" % (width, height) + picture.tobytes())


def _bound(mask: NDArray[np.bool_]) -> Area | None:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return None
    left, top = int(columns[0]), int(rows[0])
    return Area(left, top, int(columns[-1]) - left + 1, int(rows[-1]) - top + 1)
