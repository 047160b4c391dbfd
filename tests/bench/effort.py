"""How much of everything a run does."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Effort:
    """`events` and `rounds` are of detection, `turns` of `seconds` each are of a server under load,
    `alerts` are in the list.
    """

    events: int
    rounds: int
    turns: int
    seconds: float
    alerts: int


FULL = Effort(events=2_000, rounds=15, turns=5, seconds=3.0, alerts=1_000_000)
QUICK = Effort(events=200, rounds=2, turns=1, seconds=0.5, alerts=5_000)
