"""The Qt-free parts of the transcript: cleaning, links, pace, sections, thread, colours."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inglenook.gui.transcript.blocks import Code, Line, Piece, Span
from inglenook.gui.transcript.cleaning import RUN_LIMIT, break_lines, clean_text, split_long
from inglenook.gui.transcript.highlight import LANGUAGES, Colourist, can_colour, find_language
from inglenook.gui.transcript.links import find_addresses, is_openable
from inglenook.gui.transcript.pace import AT_ONCE, MOST, TICK_MS, Pacer
from inglenook.gui.transcript.prefill import PrefillClock
from inglenook.gui.transcript.sections import RUN_CHARS, Run, Sections
from inglenook.gui.transcript.thread import Thread
from inglenook.store.records import Message


def test_F06_hidden_characters_become_visible() -> None:
    assert clean_text("a\u202eb") == "a\u2039U+202E\u203ab"
    assert clean_text("x\U000e0041\U000e0042") == "x\u20392 hidden characters\u203a"
    flag = "\U0001f3f4\U000e0067\U000e0062\U000e007f"
    assert clean_text(flag) == flag
    family = "\U0001f468\u200d\U0001f469"
    assert clean_text(family) == family


def test_B10_control_characters_and_surrogates() -> None:
    assert clean_text("a\x00b\ud800c\r\nd\re") == "a\ufffdb\ufffdc\nd\ne"
    assert clean_text("tab\tstays") == "tab\tstays"


def test_F04_stacked_accents_are_cut() -> None:
    assert len(clean_text("e" + "\u0301" * 500)) == 9


@given(st.text(max_size=300), st.integers(5, 40))
def test_splitting_loses_nothing(text: str, limit: int) -> None:
    pieces = split_long(text, limit)
    assert "".join(pieces) == text
    assert all(len(piece) <= limit for piece in pieces)


def test_long_lines_are_broken_and_marked() -> None:
    lines, continued = break_lines("short\n" + "x" * (2 * RUN_LIMIT + 1) + "\nend")
    assert [len(line) for line in lines] == [5, RUN_LIMIT, RUN_LIMIT, 1, 3]
    assert continued == {2, 3}


@pytest.mark.parametrize(
    "address", ["https://a.example", "http://a.example/x?y=1#z", "mailto:me@a.example"]
)
def test_F05_web_and_mail_addresses_open(address: str) -> None:
    assert is_openable(address)


@pytest.mark.parametrize(
    "address",
    [
        "", "file:///x", "//host/x", "qrc:/x", ":/x", "http://", "https:///x", "javascript:1",
        "http://a@b.example", "http://[bad", "https://a.example/\u202e", "https://a b", "mailto:",
        "HTTPS", "https://" + "a" * 3000,
    ],
)  # fmt: skip
def test_F05_all_else_stays_closed(address: str) -> None:
    assert not is_openable(address)


def test_addresses_end_before_punctuation() -> None:
    text = "go to https://a.example/x. Or https://b.example!"
    assert [text[a:b] for a, b in find_addresses(text)] == [
        "https://a.example/x",
        "https://b.example",
    ]


def test_a_trickle_is_shown_at_once() -> None:
    pacer = Pacer()
    pacer.add("a" * AT_ONCE)
    assert len(pacer.take()) == AT_ONCE
    assert pacer.n_waiting == 0


def test_a_burst_is_shown_over_a_third_of_a_second() -> None:
    pacer = Pacer()
    pacer.add("a" * 1500)
    ticks = 0
    while pacer.n_waiting:
        assert pacer.take()
        ticks += 1
    assert 0.15 <= ticks * TICK_MS / 1000 <= 0.6


def test_a_fast_model_is_never_far_behind() -> None:
    pacer = Pacer()
    for _ in range(200):
        pacer.add("a" * 300)
        pacer.take()
        assert pacer.n_waiting < 1200


def test_a_late_tick_shows_more_and_never_more_than_is_soon_laid_out() -> None:
    pacer = Pacer()
    pacer.add("a" * 1500)
    assert len(pacer.take(0.02)) < len(pacer.take(0.035)) < MOST
    pacer.add("a" * 3000)
    assert len(pacer.take(1.0)) == MOST


def test_a_model_faster_than_the_eye_is_caught_up() -> None:
    pacer = Pacer()
    pacer.add("a" * 120_000)
    ticks = 0
    while pacer.n_waiting:
        pacer.take()
        ticks += 1
    assert ticks * TICK_MS / 1000 < 2.0


def test_prefill_time_left() -> None:
    clock = PrefillClock()
    assert clock.tell(100, 1000, 100, now_s=0.0) is None
    assert clock.tell(150, 1000, 100, now_s=0.2) is None
    assert clock.tell(400, 1000, 100, now_s=1.0) == pytest.approx(2.0)


def make_lines(n: int, text: str = "x") -> list[Piece]:
    return [Line((Span(f"{text}{i}"),)) for i in range(n)]


def test_sections_group_lines_and_stay() -> None:
    sections = Sections()
    first = make_lines(3)
    assert sections.update(first, [Line((Span("tail"),))]) == 0
    assert [type(s) for s in sections.all] == [Run]
    pieces = [*first, Code("py", "x"), *make_lines(2, "y")]
    sections.update(pieces, [])
    assert [type(s) for s in sections.all] == [Run, Code, Run]
    assert sections.update(pieces, [Line((Span("tail"),))]) == 2
    run = sections.all[2]
    assert isinstance(run, Run)
    assert [line.text for line in run.lines] == ["y0", "y1", "tail"]


def test_runs_are_kept_short() -> None:
    sections = Sections()
    sections.update([Line((Span("x" * 1000),)) for _ in range(50)], [])
    assert len(sections.all) > 50 * 1000 // (RUN_CHARS + 2000)


def make_message(number: int, parent: str | None, content: str = "") -> Message:
    return Message(
        id=f"m{number}", conversation_id="c", parent_id=parent, role="user", content=content,
        status="complete", created_at=datetime(2025, 1, 1, tzinfo=UTC),
    )  # fmt: skip


def test_thread_keeps_what_is_the_same() -> None:
    thread = Thread()
    a, b, c = make_message(1, None), make_message(2, "m1"), make_message(3, "m2")
    assert thread.set_messages([a, b, c]) == 0
    kept = thread.entries[0]
    other = make_message(9, "m1")
    assert thread.set_messages([a, other]) == 1
    assert thread.entries[0] is kept
    assert thread.find("m3") is None
    assert thread.place("m9") == 1


def test_a_new_version_takes_the_place_below_its_parent() -> None:
    thread = Thread()
    thread.set_messages([make_message(1, None), make_message(2, "m1"), make_message(3, "m2")])
    assert thread.place_for(make_message(8, "m1")) == 1
    assert thread.place_for(make_message(8, "m3")) == 3
    assert thread.place_for(make_message(8, None)) == 0
    assert thread.place_for(make_message(2, "m1")) == 1


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_every_named_language_can_be_coloured(language: str) -> None:
    colourist = Colourist()
    assert not colourist.is_ready(language)
    colourist.load(language)
    assert colourist.is_ready(language)
    text = 'if x == "y": return f(1)  # note\n'
    stretches = list(colourist.colour(text, language))
    assert "".join(text[start : start + length] for start, length, _ in stretches) == text


def test_colours_by_role() -> None:
    colourist = Colourist()
    colourist.load("py")
    text = 'def f():\n    return "x", 12  # hi\n'
    roles = {text[s : s + n]: role for s, n, role in colourist.colour(text, "python")}
    assert roles["def"] == "syntax_keyword"
    assert roles["f"] == "syntax_name"
    assert roles["12"] == "syntax_number"
    assert roles["# hi"] == "syntax_comment"


def test_unknown_and_huge_code_stays_plain() -> None:
    assert find_language("nonsense") == ""
    assert find_language("Python3") == "python"
    assert not can_colour("x" * 100_000)
    assert not can_colour("y" * 2000)
    colourist = Colourist()
    colourist.load("nonsense")
    assert not list(colourist.colour("x", "nonsense"))
