"""The map of a file's bytes and its log: whatever connections do, nothing is lost nor claimed."""

import itertools
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inglenook.models.ranges import RangeLog, RangeMap, Segment, measure_part, merge_spans, name_log

SIZE = 1000
SPANS = st.lists(st.tuples(st.integers(-50, 1100), st.integers(-50, 1100)), max_size=12)


@given(SPANS)
def test_merged_spans_hold_exactly_the_bytes_of_all(spans: list[tuple[int, int]]) -> None:
    wanted = {i for begin, end in spans for i in range(max(0, begin), min(end, SIZE))}
    merged = merge_spans(spans, SIZE)
    assert {i for begin, end in merged for i in range(begin, end)} == wanted
    assert all(a[1] < b[0] for a, b in itertools.pairwise(merged))


@given(SPANS, st.integers(0, 1 << 32))
def test_connections_together_fetch_every_byte_and_none_twice_without_need(
    spans: list[tuple[int, int]], seed: int
) -> None:
    chance = random.Random(seed)
    done = merge_spans(spans, SIZE)
    ranges = RangeMap(SIZE, done)
    fetched = [0] * SIZE
    working: list[Segment] = []
    for _ in range(10_000):
        if ranges.is_complete:
            break
        if len(working) < 3 and (
            segment := ranges.take(chance.choice([None, 40, 150]), least_bytes=20)
        ):
            working.append(segment)
        if not working:
            continue
        segment = chance.choice(working)
        n_bytes = min(chance.randrange(1, 60), ranges.find_room(segment))
        for at in range(segment.position, segment.position + n_bytes):
            fetched[at] += 1
        ranges.advance(segment, n_bytes)
        if not ranges.find_room(segment) or chance.random() < 0.1:
            ranges.release(segment)
            working.remove(segment)
    assert ranges.is_complete
    assert ranges.n_done == SIZE
    before = {i for begin, end in done for i in range(begin, end)}
    assert all(count == (0 if at in before else 1) for at, count in enumerate(fetched))


def test_the_rest_of_the_longest_piece_is_shared() -> None:
    ranges = RangeMap(SIZE)
    first = ranges.take(None)
    assert first is not None
    ranges.advance(first, 200)
    second = ranges.take(100, least_bytes=50)
    assert (first.end, second and (second.begin, second.end)) == (300, (300, 400))
    third = ranges.take(None)
    assert third is not None
    assert (third.begin, third.end) == (400, SIZE)
    assert ranges.take(None, least_bytes=400) is None


def test_the_frontier_waits_for_gaps() -> None:
    ranges = RangeMap(SIZE, [(0, 100), (300, 400)])
    assert (ranges.frontier, ranges.n_done) == (100, 200)
    segment = ranges.take(None)
    assert segment is not None
    ranges.advance(segment, 150)
    assert ranges.frontier == 250
    ranges.advance(segment, 50)
    assert ranges.frontier == 400
    ranges.take_back(segment, 120)
    assert ranges.frontier == 120


def test_what_was_noted_is_read_again(tmp_path: Path) -> None:
    part = tmp_path / ".x.part"
    part.write_bytes(bytes(SIZE))
    log = RangeLog(part, SIZE, "a" * 64)
    assert log.read() is None
    log.note(0, 10)
    assert not log.path.exists()
    log.begin([(0, 100)])
    log.note(200, 300)
    log.note(100, 150)
    log.close()
    assert RangeLog(part, SIZE, "a" * 64).read() == [(0, 150), (200, 300)]
    assert measure_part(part) == 250
    assert log.path.stat().st_mode & 0o077 == 0
    log.delete()
    assert log.read() is None
    assert measure_part(part) == SIZE


def test_a_log_of_something_else_is_of_no_use(tmp_path: Path) -> None:
    part = tmp_path / ".x.part"
    log = RangeLog(part, SIZE, "a" * 64)
    log.begin([(0, 100)])
    log.close()
    assert RangeLog(part, SIZE, "b" * 64).read() == []
    assert RangeLog(part, SIZE + 1, "a" * 64).read() == []
    name_log(part).write_bytes(b"nonsense")
    assert log.read() == []
    assert measure_part(part) == 0


@pytest.mark.parametrize("cut", range(1, 21))
def test_D08_a_torn_record_ends_the_log(tmp_path: Path, cut: int) -> None:
    log = RangeLog(tmp_path / ".x.part", SIZE, "a" * 64)
    log.begin([(0, 100)])
    log.note(500, 600)
    log.close()
    data = log.path.read_bytes()
    log.path.write_bytes(data[:-cut])
    assert log.read() == [(0, 100)]
    log.path.write_bytes(data[:-cut] + bytes(cut))
    assert log.read() == [(0, 100)]


def test_a_log_through_a_link_is_not_followed(tmp_path: Path) -> None:
    log = RangeLog(tmp_path / ".x.part", SIZE, "a" * 64)
    canary = tmp_path / "canary"
    canary.write_text("untouched")
    log.path.symlink_to(canary)
    assert log.read() == []
    log.begin([(0, 1)])
    log.close()
    assert canary.read_text() == "untouched"
