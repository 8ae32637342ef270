import pytest
from hypothesis import given
from hypothesis import strategies as st

from inglenook.store.text import clean_text, compute_checksum, decode_stored, show_stored

any_text = st.text(alphabet=st.characters(codec=None))


@given(any_text)
def test_clean_text_can_always_be_stored(text: str) -> None:
    clean_text(text).encode("utf-8")


@given(st.text())
def test_clean_text_leaves_valid_text_alone(text: str) -> None:
    assert clean_text(text) == text


def test_clean_text_joins_surrogate_pairs_and_replaces_halves() -> None:
    assert clean_text("a\ud83d\ude00b") == "a😀b"
    assert clean_text("a\ud83db") == "a\ufffdb"


@given(st.binary())
def test_any_bytes_decode_and_keep_their_checksum(data: bytes) -> None:
    text = decode_stored(data)
    assert text.encode("utf-8", "surrogateescape") == data
    show_stored(text).encode("utf-8")


@given(st.text(), st.text())
def test_checksum_goes_on_from_a_start(head: str, tail: str) -> None:
    assert compute_checksum(tail, compute_checksum(head)) == compute_checksum(head + tail)


@pytest.mark.parametrize("bit", range(8))
def test_C09_checksum_finds_every_flipped_bit(bit: int) -> None:
    data = bytearray(b"A short reply, in plain words.")
    original = compute_checksum(decode_stored(bytes(data)))
    for position in range(len(data)):
        data[position] ^= 1 << bit
        assert compute_checksum(decode_stored(bytes(data))) != original
        data[position] ^= 1 << bit
