"""The benchmark's figures with their limits, and the report that compares measurements with them."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Bound(StrEnum):
    """The comparison that a value must satisfy with its floor and its goal."""

    AT_LEAST = "≥"
    AT_MOST = "≤"
    BELOW = "<"

    def is_met(self, value: float, limit: float) -> bool:
        match self:
            case Bound.AT_LEAST:
                return value >= limit
            case Bound.AT_MOST:
                return value <= limit
            case Bound.BELOW:
                return value < limit


@dataclass(frozen=True, slots=True)
class Target:
    """A figure of the benchmark and the limits of its measured value.

    `unit` is the unit of `floor` and `goal`, with a leading space if one is printed. A figure without a
    floor is measured for comparison only.
    """

    name: str
    description: str
    bound: Bound
    floor: float | None
    goal: float | None
    unit: str

    def is_met(self, value: float, limit: float | None) -> bool:
        return limit is None or self.bound.is_met(value, limit)

    def format_limit(self, limit: float | None) -> str:
        return "none" if limit is None else f"{self.bound} {_short(limit)}{self.unit}"


class NotMeasured(Exception):
    """A figure could not be measured; the first argument is the reason."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """A measurement of Deckwatch and, if there is a peer, of the peer.

    `ours` and `peer` are in `unit`. `value` is compared with the limits of the target. `note` is printed
    below the line of the report, and `details` go into the JSON report only.
    """

    value: float
    ours: float
    peer: float | None
    unit: str
    note: str = ""
    details: Any = None


def compare_time(ours: float, peer: float, unit: str, note: str = "") -> Measurement:
    """Return a measurement whose value is the peer's time divided by ours."""
    return Measurement(peer / ours, ours, peer, unit, note)


def compare_rate(ours: float, peer: float, unit: str, note: str = "") -> Measurement:
    """Return a measurement whose value is our rate divided by the peer's rate."""
    return Measurement(ours / peer, ours, peer, unit, note)


def compare_growth(more: float, less: float, unit: str, note: str = "") -> Measurement:
    """Return a measurement whose value is Deckwatch's time for more work divided by its time for less."""
    return Measurement(more / less, more, less, unit, note)


def without_peer(value: float, unit: str, note: str = "", details: Any = None) -> Measurement:
    """Return a measurement that has no peer."""
    return Measurement(value, value, None, unit, note, details)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the report: a target with its measurement, or with the problem if it has none."""

    target: Target
    measurement: Measurement | None
    problem: str = ""

    @property
    def holds(self) -> bool:
        found = self.measurement
        return found is not None and self.target.is_met(found.value, self.target.floor)

    @property
    def reaches_goal(self) -> bool:
        found = self.measurement
        return found is not None and self.target.is_met(found.value, self.target.goal)

    @property
    def verdict(self) -> str:
        if self.target.floor is None and self.holds:
            return "no floor set"
        return "holds" if self.holds else "below floor"

    def caption(self) -> str:
        """Return the description of the figure and the note of its measurement."""
        note = self.measurement.note if self.measurement else ""
        return f"{self.target.description}; {note}" if note else self.target.description

    def row(self) -> str:
        """Return the line as text, in the columns of `HEADING`."""
        target, found = self.target, self.measurement
        floor, goal = target.format_limit(target.floor), target.format_limit(target.goal)
        if found is None:
            told = f"{self.problem:<40}"
        else:
            peer = "" if found.peer is None else f"{_short(found.peer)} {found.unit}"
            ratio = "" if found.peer is None else f"{_short(found.value)}×"
            told = f"{_short(found.ours) + ' ' + found.unit:>15} {peer:>16} {ratio:>7}"
        return f"{target.name:<11} {told} {floor:>9} {goal:>9}  {self.verdict}"

    def as_json(self) -> dict[str, Any]:
        found = self.measurement
        told: dict[str, Any] = {
            "name": self.target.name,
            "said": self.target.description,
            "bound": str(self.target.bound),
            "floor": self.target.floor,
            "goal": self.target.goal,
            "holds": self.holds,
            "reaches_goal": self.reaches_goal,
            "problem": self.problem,
        }
        if found is not None:
            told |= {
                "value": found.value,
                "ours": found.ours,
                "peer": found.peer,
                "unit": found.unit,
                "note": found.note,
                "details": found.details,
            }
        return told


HEADING = f"{'figure':<11} {'ours':>15} {'peer':>16} {'ratio':>7} {'floor':>9} {'goal':>9}"


def exit_code(lines: Iterable[Line]) -> int:
    """Return 0 if every figure reaches its floor, else 1."""
    return 0 if all(line.holds for line in lines) else 1


def _short(value: float) -> str:
    """Format a value with three significant digits; runs differ by more than further digits would show."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


TARGETS: dict[str, Target] = {
    target.name: target
    for target in (
        Target("decide-1", "1 rule: decode + decide", Bound.AT_LEAST, 5, 8, "×"),
        Target("decide-10", "10 rules: decode + decide", Bound.AT_LEAST, 15, 30, "×"),
        Target("decide-100", "100 rules: decode + decide", Bound.AT_LEAST, 150, 300, "×"),
        Target("rules-300", "300 rules against 1, ours alone", Bound.AT_MOST, 1.3, 1.1, "×"),
        Target("mixed-10", "10 rules of a mix: decode + decide", Bound.AT_LEAST, None, None, "×"),
        Target("mixed-100", "100 rules of a mix: decode + decide", Bound.AT_LEAST, None, None, "×"),
        Target("mixed-300", "300 rules of a mix against 1", Bound.AT_MOST, None, None, "×"),
        Target("events", "POST /api/v1/events, 1,000 events", Bound.AT_LEAST, 0.25, 0.5, "×"),
        Target("bulk", "POST /elastic/_bulk, 1,000 events", Bound.AT_LEAST, 0.20, 0.4, "×"),
        Target("pydantic", "POST, 100 rules, 100 events", Bound.AT_LEAST, 50, 150, "×"),
        Target("browsers", "POST to 500 browsers, p99", Bound.BELOW, 50, 15, " ms"),
        Target("alert-list", "a page of a million alerts, p99", Bound.BELOW, 20, 5, " ms"),
        Target("memory", "eight bodies of 64 MiB at once", Bound.BELOW, 400, 250, " MB"),
        Target("start", "start to ready", Bound.BELOW, 2, 1, " s"),
    )
}
