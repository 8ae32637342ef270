"""The lines of the engine's bench: ratios by pairs, aims, and the words of the table."""

from support.lines import Line, at_least, at_most, describe_lines, format_lines


def test_a_ratio_is_the_median_of_pairs_and_not_of_sides() -> None:
    line = Line("writing", (10.0, 40.0, 20.0), "tokens/s", "peer", (5.0, 40.0, 10.0))
    assert sorted(line.ratios) == [1.0, 2.0, 2.0]
    assert line.is_met is None
    (told,) = describe_lines([line])
    assert told["ratio"] == 2.0


def test_a_speedup_of_times_counts_the_other_way() -> None:
    line = Line("restart", (0.1,), "s", "reading", (20.0,), at_least(100), counts_speedup=True)
    assert line.ratios == [200.0]
    assert line.is_met


def test_an_aim_holds_for_the_median() -> None:
    def is_met(*values: float) -> bool | None:
        return Line("steps", values, "steps", aim=at_most(3.0)).is_met

    assert is_met(2.0, 2.5, 9.0)
    assert not is_met(2.0, 3.5, 9.0)
    assert Line("x", (0.97, 0.98, 0.99), "steps", aim=at_least(0.98)).is_met


def test_the_table_names_what_is_compared_and_whether_the_aim_is_met() -> None:
    text = format_lines(
        [
            Line("writing", (45.0, 44.0), "tokens/s", "llama-bench", (45.0, 50.0), at_least(0.98)),
            Line("first token", (0.0525,), "s", "empty", (0.05,)),
            Line("reading again", (24.2,), "s"),
            Line("memory", (123.4,), "MB", aim=at_most(220.0)),
        ]
    )
    _, writing, first, again, memory = text.splitlines()
    told = "writing 44.5 tokens/s llama-bench 47.5 tokens/s 0.94 0.88 to 1.00 >= 0.98 missed"
    assert " ".join(writing.split()) == told
    assert "52.5 ms" in first
    assert "1.05" in first
    assert "24.2 s" in again
    assert " ".join(memory.split()) == "memory 123 MB <= 220 met"
