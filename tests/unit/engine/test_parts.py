"""A reply's parts: any cut gives the same, marks count only where they may, the budget ends it."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inglenook.engine.parts import Begins, Marks, ReplyStream, wrap_control
from inglenook.engine.protocol import Part

THINK = Marks(("<think>",), ("</think>",))
TURNS = Marks(
    openings=(wrap_control("<|a|>"),),
    closings=(wrap_control("<|e|>"),),
    answer_openings=(wrap_control("<|f|>"),),
    reopens=True,
    controls={1: "<|a|>", 2: "<|e|>", 3: "<|f|>"},
)


def run(stream: ReplyStream, pieces: list[bytes], *, is_whole: bool = True) -> dict[Part, str]:
    told = [piece for p in pieces for piece in stream.feed(0, p)]
    return join([*told, *stream.finish(is_whole=is_whole)])


def join(told: list[tuple[Part, str]]) -> dict[Part, str]:
    parts: dict[Part, str] = {"reasoning": "", "answer": ""}
    for part, text in told:
        parts[part] += text
    return parts


def cut(text: str, cuts: list[int]) -> list[bytes]:
    data = text.encode()
    places = sorted({0, len(data), *(c % (len(data) + 1) for c in cuts)})
    return [data[a:b] for a, b in itertools.pairwise(places)]


@pytest.mark.parametrize(
    ("text", "begins", "thought", "said"),
    [
        ("<think>\nHm.\n</think>\n\nYes.", "unknown", "Hm.", "Yes."),
        (" \n<think>Hm. </think> Yes. ", "unknown", "Hm.", "Yes. "),
        ("Hm.</think>Yes.", "reasoning", "Hm.", "Yes."),
        ("<think></think>\n\nYes.", "unknown", "", "Yes."),
        ("\n\n</think>\n\nYes.", "reasoning", "", "Yes."),
        ("  Yes.", "unknown", "", "  Yes."),
        ("Yes.", "answer", "", "Yes."),
        ("<think>", "unknown", "", ""),
        ("<thin", "unknown", "", "<thin"),
        ("<thing> it is", "unknown", "", "<thing> it is"),
        ("<think>Hm", "unknown", "Hm", ""),
        ("<think>a\n\nb</thin c</think>d", "unknown", "a\n\nb</thin c", "d"),
        # Only the beginning of a reply opens reasoning, and it is closed once.
        ("Say `<think>x</think>`.", "unknown", "", "Say `<think>x</think>`."),
        ("```\n<think>\nx\n</think>\n```", "unknown", "", "```\n<think>\nx\n</think>\n```"),
        ("<think>a</think><think>b</think>", "unknown", "a", "<think>b</think>"),
        ("<think>a</think>b </think> c", "unknown", "a", "b </think> c"),
        ("<think>x</think>", "answer", "", "<think>x</think>"),
        ("🔥<think>é</think>ü", "unknown", "", "🔥<think>é</think>ü"),
        ("<think>🔥</think>é", "unknown", "🔥", "é"),
    ],
)
@given(cuts=st.lists(st.integers(0, 200)))
def test_parts_are_the_same_however_they_are_cut(
    text: str, begins: Begins, thought: str, said: str, cuts: list[int]
) -> None:
    stream = ReplyStream(marks=THINK, begins=begins)
    assert run(stream, cut(text, cuts)) == {"reasoning": thought, "answer": said}


@given(st.text(), st.lists(st.integers(0, 1000)))
def test_without_marks_all_is_answer(text: str, cuts: list[int]) -> None:
    pieces = cut(text.encode("utf-8", "replace").decode(), cuts)
    assert run(ReplyStream(), pieces)["answer"] == b"".join(pieces).decode()


def test_what_is_certain_is_told_at_once() -> None:
    stream = ReplyStream(marks=THINK)
    assert stream.feed(0, b"<think>") == []
    assert stream.n_reasoning == 1
    assert stream.feed(0, b"Let me see") == [("reasoning", "Let me see")]
    assert stream.feed(0, b" now.\n") == [("reasoning", " now.")]
    assert stream.feed(0, b"</thi") == []
    assert stream.feed(0, b"nk>\n\nWell") == [("answer", "Well")]
    assert stream.feed(0, b" then") == [("answer", " then")]


def test_a_mark_in_half_is_dropped_where_the_reply_was_cut() -> None:
    assert run(ReplyStream(marks=THINK), [b"<thi"], is_whole=False)["answer"] == ""
    cut_off = run(ReplyStream(marks=THINK), [b"<think>Hm. \n</thi"], is_whole=False)
    assert cut_off["reasoning"].startswith("Hm.")


def test_stop_texts_count_in_the_answer_alone() -> None:
    stream = ReplyStream(["STOP"], THINK)
    told = [p for piece in (b"<think>no STOP", b" here</think>", b"a STOP b") for p in
            stream.feed(0, piece)]  # fmt: skip
    assert join(told) == {"reasoning": "no STOP here", "answer": "a "}
    assert stream.is_stopped
    assert stream.finish() == []


def test_spelling_a_control_token_is_no_mark() -> None:
    stream = ReplyStream(marks=TURNS)
    told = [
        *stream.feed(1, b""),
        *stream.feed(0, b"It ends with <|e|>, spelled. "),
        *stream.feed(0, b"Done."),
        *stream.feed(2, b""),
        *stream.feed(3, b""),
        *stream.feed(0, b"Yes."),
        *stream.finish(),
    ]
    assert join(told) == {"reasoning": "It ends with <|e|>, spelled. Done.", "answer": "Yes."}


def test_a_row_of_messages_may_reason_again() -> None:
    stream = ReplyStream(marks=TURNS)
    tokens = [(1, b""), (0, b"a"), (2, b""), (3, b""), (0, b"b"), (2, b""), (1, b""), (0, b"c"),
              (2, b""), (3, b""), (0, b"d")]  # fmt: skip
    told = [piece for token, data in tokens for piece in stream.feed(token, data)]
    assert join([*told, *stream.finish()]) == {"reasoning": "a\n\nc", "answer": "b\n\nd"}


def test_reasoning_is_counted_with_its_marks() -> None:
    stream = ReplyStream(marks=THINK)
    for piece in (b"<th", b"ink>", b"a", b"b", b"</thi", b"nk>", b"\n\n", b"c", b"d"):
        stream.feed(0, piece)
    assert stream.n_reasoning == 6


def test_a_continued_reasoning_keeps_its_count_and_its_space() -> None:
    stream = ReplyStream(marks=THINK, begins="reasoning", n_reasoning=10)
    assert stream.feed(0, b" and so") == [("reasoning", " and so")]
    assert stream.n_reasoning == 11
