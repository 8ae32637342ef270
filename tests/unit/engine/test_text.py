"""Bytes to text piece by piece, stop texts, and text that any encoding can carry."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from inglenook.engine.text import TextStream, check_stops, clean_text


def cut(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(data), *(c % (len(data) + 1) for c in cuts)})
    return [data[a:b] for a, b in itertools.pairwise(places)]


def run(stream: TextStream, pieces: list[bytes], *, is_whole: bool = True) -> list[str]:
    return [*(stream.feed(piece) for piece in pieces), stream.finish(is_whole=is_whole)]


@given(st.text(), st.lists(st.integers(0, 1000)))
def test_B10_any_cut_gives_the_same_text(text: str, cuts: list[int]) -> None:
    data = text.encode("utf-8", "replace")
    assert "".join(run(TextStream(), cut(data, cuts))) == data.decode()


@given(st.binary(), st.lists(st.integers(0, 1000)))
def test_B10_bytes_that_are_no_text_become_replacement_marks(data: bytes, cuts: list[int]) -> None:
    pieces = run(TextStream(), cut(data, cuts))
    assert "".join(pieces) == data.decode("utf-8", "replace")
    for piece in pieces:
        piece.encode()


def test_B10_split_emoji_is_held_back_until_it_is_whole() -> None:
    stream = TextStream()
    data = "🔥".encode()
    assert [stream.feed(data[i : i + 1]) for i in range(4)] == ["", "", "", "🔥"]


def test_B10_nul_passes() -> None:
    assert TextStream().feed(b"a\0b") == "a\0b"


def test_half_a_character_is_dropped_when_the_reply_was_cut() -> None:
    half = "🔥".encode()[:2]
    assert run(TextStream(), [b"a", half], is_whole=False) == ["a", "", ""]
    assert run(TextStream(), [b"a", half]) == ["a", "", "\ufffd"]


@given(
    st.text("abc", max_size=30),
    st.lists(st.text("abc", min_size=1, max_size=4), min_size=1, max_size=3),
    st.lists(st.integers(0, 100)),
)
def test_stop_texts_never_show_and_nothing_else_is_lost(
    text: str, stops: list[str], cuts: list[int]
) -> None:
    stream = TextStream(stops)
    shown = "".join(run(stream, cut(text.encode(), cuts)))
    found = [text.find(stop) for stop in stops if stop in text]
    assert stream.is_stopped == bool(found)
    if not found:
        assert shown == text
    else:
        assert text.startswith(shown)
        assert not any(stop in shown for stop in stops)
        assert len(shown) >= min(found) - max(map(len, stops))


def test_text_before_a_possible_stop_is_shown_at_once() -> None:
    stream = TextStream(["STOP"])
    assert stream.feed(b"hello S") == "hello "
    assert stream.feed(b"T") == ""
    assert stream.feed(b"ay") == "STay"


def test_clean_text_replaces_lone_surrogates_only() -> None:
    assert clean_text("a\ud800b") == "a\ufffdb"
    assert clean_text("\ud83d\ude00") == "\U0001f600"
    assert clean_text("plain é 🔥 \0") == "plain é 🔥 \0"


def test_too_many_or_too_long_stops_are_refused() -> None:
    assert check_stops(["x"]) == ""
    assert "16" in check_stops(["x"] * 17)
    assert "1,024" in check_stops(["x" * 1025])
