"""How many connections pay, and how a limit holds: with a clock that a test moves."""

import threading

from inglenook.models.ramp import Ramp, Throttle


class Line:
    """A line on which `rate(n)` bytes a second come over n connections."""

    def __init__(self, per_connection: float, whole: float) -> None:
        self.now = 0.0
        self.n_done = 0.0
        self._per_connection = per_connection
        self._whole = whole

    def clock(self) -> float:
        return self.now

    def run(self, ramp: Ramp, seconds: float, *, left: float = 1e12, **more: bool) -> int:
        end = self.now + seconds
        while self.now < end:
            self.now += 0.1
            self.n_done += 0.1 * min(self._per_connection * ramp.wanted, self._whole)
            ramp.look(round(self.n_done), round(left), **more)
        return ramp.wanted


def test_one_connection_that_fills_the_line_stays_alone() -> None:
    line = Line(10e6, 10e6)
    ramp = Ramp(clock=line.clock)
    assert line.run(ramp, 2.5) == 1
    counts = {line.run(ramp, 1.0) for _ in range(20)}
    assert counts <= {1, 2}
    assert line.run(ramp, 10) == 1


def test_more_connections_are_opened_while_the_rate_rises() -> None:
    line = Line(10e6, 42e6)
    ramp = Ramp(clock=line.clock)
    assert line.run(ramp, 30) == 4
    assert line.run(ramp, 20) == 4
    assert ramp.bytes_per_s > 39e6


def test_never_more_than_eight() -> None:
    line = Line(1e6, 1e12)
    ramp = Ramp(clock=line.clock)
    assert line.run(ramp, 120) == 8


def test_what_is_soon_done_needs_no_more() -> None:
    line = Line(10e6, 100e6)
    assert line.run(Ramp(clock=line.clock), 30, left=50e6) == 1


def test_a_limit_makes_more_connections_useless() -> None:
    line = Line(10e6, 100e6)
    assert line.run(Ramp(clock=line.clock), 30, is_limited=True) == 1


def test_a_chosen_number_is_kept() -> None:
    line = Line(10e6, 10e6)
    ramp = Ramp(5, line.clock)
    assert line.run(ramp, 30) == 5
    assert ramp.choose_piece(1, 10**9) == round(10e6 * 4 / 5)


def test_a_refused_connection_is_not_asked_for_again() -> None:
    line = Line(10e6, 100e6)
    ramp = Ramp(clock=line.clock)
    line.run(ramp, 4)
    ramp.step_back(1, is_final=True)
    assert line.run(ramp, 300) == 1
    ramp = Ramp(clock=line.clock)
    line.run(ramp, 4)
    ramp.step_back(1, is_final=False)
    assert line.run(ramp, 30) == 1
    assert line.run(ramp, 90) > 1


def test_pieces_last_some_seconds_within_bounds() -> None:
    ramp = Ramp()
    assert ramp.choose_piece(4, 64) is None
    ramp.wanted, ramp.bytes_per_s = 4, 8e6
    assert ramp.choose_piece(1_000_000, 64_000_000) == 8_000_000
    assert ramp.choose_piece(9_000_000, 64_000_000) == 9_000_000
    assert ramp.choose_piece(1_000_000, 2_000_000) == 2_000_000


class Waiting(threading.Event):
    """An event that passes time instead of waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 100.0

    def wait(self, timeout: float | None = None) -> bool:
        self.now += timeout or 0.0
        return False


def test_a_limit_holds_over_time_and_may_change() -> None:
    waiting = Waiting()
    limit: list[float | None] = [1e6]
    throttle = Throttle(lambda: limit[0], lambda: waiting.now)
    for _ in range(100):
        throttle.take(100_000, waiting)
    assert 9.5 <= waiting.now - 100.0 <= 10.0
    limit[0] = 2e6
    before = waiting.now
    for _ in range(100):
        throttle.take(100_000, waiting)
    assert 4.7 <= waiting.now - before <= 5.2
    limit[0] = None
    before = waiting.now
    throttle.take(10**12, waiting)
    assert waiting.now == before


def test_a_limit_that_is_taken_off_is_felt_soon() -> None:
    waiting = Waiting()
    limit: list[float | None] = [1.0]

    def find() -> float | None:
        return None if waiting.now > 101.0 else limit[0]

    Throttle(find, lambda: waiting.now).take(1000, waiting)
    assert waiting.now < 101.5
