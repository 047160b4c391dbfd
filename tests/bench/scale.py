"""The amount of work of a benchmark run."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BenchScale:
    """The amount of work of each kind of benchmark.

    Detection evaluates `events` events in each of `rounds` rounds. A server is put under load for
    `load_rounds` rounds of `seconds` seconds. The alert list has `alerts` alerts.
    """

    events: int
    rounds: int
    load_rounds: int
    seconds: float
    alerts: int


FULL = BenchScale(events=2_000, rounds=15, load_rounds=5, seconds=3.0, alerts=1_000_000)
QUICK = BenchScale(events=200, rounds=2, load_rounds=1, seconds=0.5, alerts=5_000)
