"""How much of everything a run does."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BenchScale:
    """`events` and `rounds` are of detection, `turns` of `seconds` each are of a server under load,
    `alerts` are in the list.
    """

    events: int
    rounds: int
    load_rounds: int
    seconds: float
    alerts: int


FULL = BenchScale(events=2_000, rounds=15, load_rounds=5, seconds=3.0, alerts=1_000_000)
QUICK = BenchScale(events=200, rounds=2, load_rounds=1, seconds=0.5, alerts=5_000)
