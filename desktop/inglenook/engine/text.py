"""Tokens' bytes to text, piece by piece, nothing decoded twice; and text that is fit to send on.

Called by the scheduler on the worker thread; pure.
"""

import codecs
from collections.abc import Sequence
from typing import Final

_LIMIT_STOPS: Final = 16
_LIMIT_STOP_CHARACTERS: Final = 1024


def clean_text(text: str) -> str:
    """Replace lone surrogates, which no encoding can carry, by U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def check_stops(stops: Sequence[str]) -> str:
    """Say what is wrong with stop strings, or return an empty text."""
    if len(stops) > _LIMIT_STOPS:
        return f"At most {_LIMIT_STOPS} stop texts are possible."
    if any(len(stop) > _LIMIT_STOP_CHARACTERS for stop in stops):
        return f"A stop text may have at most {_LIMIT_STOP_CHARACTERS:,} characters."
    return ""


class StopFilter:
    """Passes text on until a stop text comes; holds back what may be the beginning of one."""

    def __init__(self, stops: Sequence[str] = ()) -> None:
        self._stops = tuple(stop for stop in stops if stop)
        self._held = ""
        self.is_stopped = False

    def feed(self, text: str) -> str:
        """Take more text; returns what is certain now. After `is_stopped` nothing is."""
        if not self._stops or self.is_stopped:
            return "" if self.is_stopped else text
        text = self._held + text
        found = min((at for at in map(text.find, self._stops) if at >= 0), default=-1)
        if found >= 0:
            self.is_stopped = True
            self._held = ""
            return text[:found]
        n_held = count_overlap(text, self._stops)
        self._held = text[len(text) - n_held :]
        return text[: len(text) - n_held]

    def finish(self) -> str:
        """No more comes: what was held back."""
        text, self._held = self._held, ""
        return text


class TextStream:
    """Turns the bytes of one reply into text that can be shown at once.

    Held back: the bytes of a character that is not complete, and text that may be the beginning
    of a stop string. Bytes that are no UTF-8 become U+FFFD. After `is_stopped` no more comes.
    """

    def __init__(self, stops: Sequence[str] = ()) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._filter = StopFilter(stops)

    @property
    def is_stopped(self) -> bool:
        """Whether a stop text came."""
        return self._filter.is_stopped

    @property
    def is_between_characters(self) -> bool:
        """Whether no character is half there."""
        return not self._decoder.getstate()[0]

    def feed(self, piece: bytes) -> str:
        """Take the next token's bytes; returns the text that is certain now, often empty."""
        if self.is_stopped:
            return ""
        return self._filter.feed(self._decoder.decode(piece))

    def finish(self, *, is_whole: bool = True) -> str:
        """The reply ended: what is left of the held text.

        Half a character becomes U+FFFD when the model ended there itself, and nothing otherwise.
        """
        if self.is_stopped:
            return ""
        text = self._filter.feed(self._decoder.decode(b"", final=True)) if is_whole else ""
        return text + self._filter.finish()


def count_overlap(text: str, marks: Sequence[str]) -> int:
    """How many characters at the end of `text` may begin one of the marks."""
    return max((_count_overlap(text, mark) for mark in marks), default=0)


def _count_overlap(text: str, mark: str) -> int:
    for n in range(min(len(text), len(mark) - 1), 0, -1):
        if text.endswith(mark[:n]):
            return n
    return 0
