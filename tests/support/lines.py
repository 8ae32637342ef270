"""The lines of the engine's bench: what is compared with what, by runs that took turns."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final, Literal

import msgspec

from support.figures import format_table

type Unit = Literal["tokens/s", "s", "ms", "steps", "MB"]
type Aim = tuple[Literal["at least", "at most"], float]

_HEAD: Final = ("", "Inglenook", "compared with", "", "ratio", "spread", "aim", "")


def at_least(bound: float) -> Aim:
    """The median ratio should not be below this."""
    return ("at least", bound)


def at_most(bound: float) -> Aim:
    """The median ratio should not be above this."""
    return ("at most", bound)


@dataclass(frozen=True, slots=True)
class Line:
    """One comparison: values of runs that stood side by side, and the ratio of each pair.

    Without peers it is no comparison: the values themselves are held against the aim.
    """

    what: str
    ours: tuple[float, ...]
    unit: Unit
    peer: str = ""
    peers: tuple[float, ...] = ()
    aim: Aim | None = None
    counts_speedup: bool = False
    """The ratio says how many times shorter our time is."""

    @property
    def ratios(self) -> list[float]:
        """Ours over the peer's, or how many times faster; the values where there is no peer."""
        if not self.peers:
            return list(self.ours)
        pairs = zip(self.ours, self.peers, strict=True)
        return [peer / own if self.counts_speedup else own / peer for own, peer in pairs]

    @property
    def is_met(self) -> bool | None:
        """Whether the median reaches the aim; None where there is none."""
        if self.aim is None:
            return None
        kind, bound = self.aim
        middle = median(self.ratios)
        return middle >= bound if kind == "at least" else middle <= bound


def format_lines(lines: Sequence[Line]) -> str:
    """One table."""
    return format_table(_HEAD, [_describe(line) for line in lines])


def describe_lines(lines: Sequence[Line]) -> list[dict[str, object]]:
    """The same for programs."""
    return [
        msgspec.to_builtins(line) | {"ratio": median(line.ratios), "is_met": line.is_met}
        for line in lines
    ]


def _describe(line: Line) -> tuple[str, ...]:
    ratios = line.ratios
    spread = f"{_round(min(ratios))} to {_round(max(ratios))}"
    aim = f"{'>=' if line.aim[0] == 'at least' else '<='} {line.aim[1]:g}" if line.aim else ""
    verdict = {None: "", True: "met", False: "missed"}[line.is_met]
    return (
        line.what,
        _write(median(line.ours), line.unit),
        line.peer,
        _write(median(line.peers), line.unit) if line.peers else "",
        _round(median(ratios)) if line.peers else "",
        spread if len(ratios) > 1 else "",
        aim,
        verdict,
    )


def _write(value: float, unit: Unit) -> str:
    if unit == "s":
        return f"{_round(value * 1000)} ms" if value < 10 else f"{_round(value)} s"
    return f"{_round(value)} {unit}"


def _round(value: float) -> str:
    """Three digits that mean something."""
    size = abs(value)
    if size >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if size >= 10 else f"{value:.2f}"
