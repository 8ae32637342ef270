from hypothesis import given
from hypothesis import strategies as st

from inglenook.store.snippets import LENGTH, cut_around_part, cut_around_words, fold


@given(st.text())
def test_folding_keeps_every_place(text: str) -> None:
    assert len(fold(text)) == len(text)


@given(st.text(), st.text(alphabet="abcéÄß", min_size=1, max_size=3))
def test_spans_lie_in_the_snippet_and_hold_what_was_searched(text: str, word: str) -> None:
    snippet, spans = cut_around_words(f"{text} {word}", (word,))
    assert len(snippet) <= LENGTH + 2
    for start, end in spans:
        assert fold(snippet[start:end]).startswith(fold(word))
    snippet, spans = cut_around_part(f"{text}{word}{text}", word)
    assert spans
    assert all(fold(snippet[start:end]) == fold(word) for start, end in spans)


def test_a_long_text_is_cut_at_words() -> None:
    snippet, spans = cut_around_words(
        "one two " * 50 + "target here " + "three four " * 50, ("targ",)
    )
    assert snippet.startswith("…")
    assert snippet.endswith("…")
    assert [snippet[start:end] for start, end in spans] == ["target"]
