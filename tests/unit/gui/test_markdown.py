"""Markdown becomes the right records, and the same ones however it arrives."""

import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inglenook.gui.transcript.blocks import (
    BOX_DONE,
    BOX_OPEN,
    BULLET,
    Code,
    Line,
    Piece,
    Span,
    Table,
)
from inglenook.gui.transcript.healing import heal, hold_back
from inglenook.gui.transcript.parse import ROW_LIMIT, Parser, count_open
from inglenook.gui.transcript.stream import TAIL_LIMIT, MarkdownStream

SAMPLE = """# Title

A paragraph with **bold**, *italic*, ~~gone~~ and `code`.
It goes on here.

- one
- two
  1. inner
  2. next
- [ ] open
- [x] done

> quoted
>
> - in a list

| a | b |
|:--|--:|
| 1 | **2** |

```python
def f():
    return "```"
```

~~~
tildes
~~~

    indented code

---

Last [link](https://example.org/a) and https://example.com/b.
"""


def parse(text: str) -> tuple[Piece, ...]:
    return Parser().parse(text).pieces


def read_whole(text: str, step: int = 1_000_000) -> list[Piece]:
    stream = MarkdownStream()
    for start in range(0, len(text), step):
        stream.feed(text[start : start + step])
    stream.feed("", is_last=True)
    return [*stream.settled, *stream.tail]


def line(piece: Piece) -> Line:
    assert isinstance(piece, Line)
    return piece


def test_inline_styles() -> None:
    spans = line(parse("a **b** *c* ~~d~~ `e`")[0]).spans
    assert spans == (
        Span("a "),
        Span("b", is_bold=True),
        Span(" "),
        Span("c", is_italic=True),
        Span(" "),
        Span("d", is_struck=True),
        Span(" "),
        Span("e", is_code=True),
    )


def test_headings_and_rules() -> None:
    pieces = parse("## Two\n\n---\n")
    assert (line(pieces[0]).style, line(pieces[0]).level) == ("heading", 2)
    assert line(pieces[1]).style == "rule"


def test_nested_lists_number_and_indent() -> None:
    pieces = [line(piece) for piece in parse("3. a\n   - b\n4. c\n\n   more\n")]
    assert [(p.marker, p.containers, p.text) for p in pieces] == [
        ("3.", ("list",), "a"),
        (BULLET, ("list", "list"), "b"),
        ("4.", ("list",), "c"),
        ("", ("list",), "more"),
    ]


def test_task_lists() -> None:
    pieces = [line(piece) for piece in parse("- [ ] a\n- [X] b\n- [x]c\n")]
    assert [p.marker for p in pieces] == [BOX_OPEN, BOX_DONE, BULLET]
    assert pieces[1].text == "b"


def test_empty_items_keep_their_marker() -> None:
    assert [line(p).marker for p in parse("- \n- b\n")] == [BULLET, BULLET]


def test_quotes() -> None:
    pieces = [line(piece) for piece in parse("> a\n>> b\n")]
    assert [p.containers for p in pieces] == [("quote",), ("quote", "quote")]


def test_table() -> None:
    (table,) = parse("| a | b | c |\n|:--|:-:|--:|\n| 1 | `2` | 3 |\n")
    assert isinstance(table, Table)
    assert table.alignments == ("left", "center", "right")
    assert table.rows[0][1] == (Span("2", is_code=True),)


def test_code_blocks() -> None:
    pieces = parse("```py extra\na\n\nb\n```\n\n    indented\n")
    assert pieces[0] == Code("py", "a\n\nb")
    assert pieces[1] == Code("", "indented")


def test_F03_html_is_text() -> None:
    text = "<b>x</b> <img src='file:///etc/passwd'>\n\n<script>alert(1)</script>\n"
    assert "<b>x</b> <img src='file:///etc/passwd'>" in line(parse(text)[0]).text
    assert line(parse(text)[1]).text == "<script>alert(1)</script>"


def test_F02_pictures_become_their_description() -> None:
    (span,) = line(parse("![a cat](file:///dev/zero)")[0]).spans
    assert span == Span("a cat", is_image=True)


@pytest.mark.parametrize(
    "address",
    [
        "file:///etc/passwd",
        "javascript:alert(1)",
        "data:text/html,x",
        "smb://host/x",
        "vscode://x",
        "http://user@evil.example/",
        "relative/path",
        "#part",
        "https://" + "x" * 10_000 + ".example",
    ],
)
def test_F05_other_addresses_are_inert_text(address: str) -> None:
    spans = line(parse(f"[here](<{address}>)")[0]).spans
    assert all(not span.href for span in spans)
    assert spans[0].text == "here"
    assert address[:20] in spans[1].text


def test_F05_links_keep_their_real_target() -> None:
    spans = line(parse("[bank.example](https://evil.example/x)")[0]).spans
    assert spans == (Span("bank.example", href="https://evil.example/x"),)


def test_bare_addresses_are_links() -> None:
    spans = line(parse("See https://example.org/a_(b), or (https://x.example/).")[0]).spans
    assert [s.href for s in spans if s.href] == ["https://example.org/a_(b)", "https://x.example/"]


def test_addresses_in_code_are_not_links() -> None:
    assert all(not s.href for s in line(parse("`https://example.org`")[0]).spans)


@pytest.mark.parametrize("step", [1, 3, 17, 200])
def test_arriving_in_pieces_gives_the_same(step: int) -> None:
    assert read_whole(SAMPLE, step) == list(parse(SAMPLE))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(SAMPLE.split("\n\n")), max_size=8), st.integers(1, 60))
def test_any_order_of_blocks_in_any_pieces(blocks: list[str], step: int) -> None:
    text = "\n\n".join(blocks)
    assert read_whole(text, step) == read_whole(text)


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet="ab*_`~[]()!#->|1.\n \t\\:\u202e\x00", max_size=200), st.integers(1, 40))
def test_no_text_breaks_it_or_is_lost(text: str, step: int) -> None:
    pieces = read_whole(text, step)
    shown = "".join(
        p.text if isinstance(p, (Line, Code)) else str(p.header) + str(p.rows) for p in pieces
    )
    for letter in "ab":
        wanted = 0 if "[" in text else min(1, text.count(letter))
        assert shown.count(letter) >= wanted


def test_settled_pieces_never_change() -> None:
    stream = MarkdownStream()
    before: list[Piece] = []
    for start in range(0, len(SAMPLE), 5):
        stream.feed(SAMPLE[start : start + 5])
        assert stream.settled[: len(before)] == before
        before = list(stream.settled)
    assert len(before) > 8


def test_long_lists_are_cut_without_a_trace() -> None:
    text = "\n".join(f"1. item {n} with some words in it" for n in range(400))
    for step in (90, 100_000):
        pieces = [line(piece) for piece in read_whole(text, step)]
        assert [p.marker for p in pieces] == [f"{n}." for n in range(1, 401)]
        assert {p.gap for p in pieces[1:]} == {"item"}


def test_long_paragraphs_are_cut_and_marked() -> None:
    text = "word " * 3000
    pieces = [line(piece) for piece in read_whole(text, 500)]
    assert len(pieces) > 2
    assert not pieces[0].continues
    assert all(p.continues and p.gap == "none" for p in pieces[1:])
    assert sum(p.text.count("word") for p in pieces) == 3000


def test_F04_unbroken_text_is_cut() -> None:
    pieces = read_whole("a" * 100_000, 4000)
    assert max(len(line(p).text) for p in pieces) <= 2000
    assert sum(len(line(p).text) for p in pieces) == 100_000


def test_F04_many_rows_are_counted_not_laid_out() -> None:
    text = "| a | b |\n|---|---|\n" + "| 1 | 2 |\n" * 5000 + "\nafter\n"
    for step in (700, 10_000_000):
        pieces = read_whole(text, step)
        (table,) = [p for p in pieces if isinstance(p, Table)]
        assert (len(table.rows), table.n_left_out) == (ROW_LIMIT, 5000 - ROW_LIMIT)
        assert line(pieces[-1]).text == "after"


def test_F04_deep_nesting_is_shown_as_text() -> None:
    text = ">" * 20_000 + " hi"
    assert "hi" in "".join(line(p).text for p in read_whole(text))
    deep = "\n".join("  " * n + f"- x{n}" for n in range(200))
    shown = "".join(line(p).text for p in read_whole(deep))
    assert all(f"x{n}" in shown for n in range(200))


def test_F04_open_brackets_do_not_stall() -> None:
    assert count_open("[[a]] \\[ [") == 2
    text = "[" * 3000 + "x"
    assert "".join(line(p).text for p in read_whole(text)) == text


def test_code_grows_without_being_read_again() -> None:
    stream = MarkdownStream()
    stream.feed("```py\n")
    for n in range(300):
        stream.feed(f"x = {n}\n")
        (code,) = stream.tail
        assert isinstance(code, Code)
        assert not code.is_closed
        assert code.text.endswith(f"x = {n}")
    stream.feed("``")
    assert "``" not in getattr(stream.tail[0], "text", "")
    stream.feed("`\n")
    assert isinstance(stream.settled[0], Code)
    assert stream.settled[0].is_closed


def test_carriage_returns_split_between_pieces() -> None:
    stream = MarkdownStream()
    for part in ("a\r", "\n\r", "\nb"):
        stream.feed(part)
    stream.feed("", is_last=True)
    assert [line(p).text for p in (*stream.settled, *stream.tail)] == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "held"),
    [
        ("Items:\n-", "Items:"),
        ("Items:\n- a", "Items:\n- a"),
        ("Text\n1", "Text"),
        ("Text\n12.", "Text"),
        ("in 2025", "in 2025"),
        ("Text\n```py", "Text"),
        ("| a | b", ""),
        ("| a | b |\n|--", ""),
        ("| a |\n|---|\n| 1", "| a |\n|---|\n| 1"),
        ("#", ""),
    ],
)
def test_undecided_lines_wait(text: str, held: str) -> None:
    assert hold_back(text) == held


@pytest.mark.parametrize(
    ("text", "healed"),
    [
        ("so **bold", "so **bold**"),
        ("so **", "so "),
        ("`code", "`code`"),
        ("`a` and `b", "`a` and `b`"),
        ("**a `b", "**a `b`**"),
        ("see [the docs](https://exam", "see the docs"),
        ("2 * 3", "2 * 3"),
        ("**a**\n\nplain", "**a**\n\nplain"),
    ],
)
def test_open_marks_are_closed(text: str, healed: str) -> None:
    assert heal(text) == healed


def test_no_flicker_while_a_list_begins() -> None:
    """No prefix of a sentence with a list shows a heading or a stray mark."""
    text = "Some **bold** words:\n- first **one**\n- second\n"
    stream = MarkdownStream()
    for character in text:
        stream.feed(character)
        for piece in stream.tail:
            assert line(piece).style == "text"
            assert "*" not in line(piece).text


def test_shown_text_only_grows_while_it_arrives() -> None:
    rng = random.Random(7)
    stream = MarkdownStream()
    lengths = []
    text = "Plain words arrive one by one and " * 20
    start = 0
    while start < len(text):
        step = rng.randint(1, 9)
        stream.feed(text[start : start + step])
        start += step
        lengths.append(sum(len(line(p).text) for p in (*stream.settled, *stream.tail)))
    assert all(first <= second for first, second in pairwise(lengths))
    assert lengths[-1] <= TAIL_LIMIT
