"""What an agent's minutes tell: steps of a chart, when it was silent, and how far its clock is off.

Plain values in and out; where the minutes are kept is the store's matter.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median

MINUTE = timedelta(minutes=1)
# An agent that usually speaks every few seconds and has not for this long is worth a look.
SILENT_AFTER = timedelta(minutes=15)
# Events travel and wait in batches, so they always come late; none comes from the future.
MAX_CLOCK_AHEAD = timedelta(minutes=1)
MAX_DELAY = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class TrafficMinute:
    """What one agent sent in the minute that begins at `at`."""

    start: datetime
    received: int = 0
    bytes: int = 0
    matched: int = 0
    duplicates: int = 0
    rejected: int = 0


@dataclass(frozen=True, slots=True)
class TrafficBucket:
    """Sums over `minutes` minutes, the first of which begins at `at`."""

    start: datetime
    minutes: int
    received: int
    bytes: int
    matched: int
    duplicates: int
    rejected: int

    @property
    def received_per_minute(self) -> float:
        return self.received / self.minutes

    @property
    def bytes_per_minute(self) -> float:
        return self.bytes / self.minutes


@dataclass(frozen=True, slots=True)
class SilentPeriod:
    """From the end of one minute with events to the next one; `end` is None while it lasts."""

    start: datetime
    end: datetime | None

    def duration(self, now: datetime) -> timedelta:
        return (self.end or now) - self.start


def aggregate_traffic(
    minutes: Iterable[TrafficMinute], *, end: datetime, bucket_minutes: int, count: int
) -> tuple[TrafficBucket, ...]:
    """`count` steps up to the whole minute `end`, oldest first; a step without minutes is zero.

    The minute that is still going on is in none of them: half a minute would look like a fall.
    """
    size = bucket_minutes * MINUTE
    start = end - count * size
    sums = [[0, 0, 0, 0, 0] for _ in range(count)]
    for minute in minutes:
        at = (minute.start - start) // size
        if 0 <= at < count:
            counts = (
                minute.received,
                minute.bytes,
                minute.matched,
                minute.duplicates,
                minute.rejected,
            )
            for column, count_in_minute in enumerate(counts):
                sums[at][column] += count_in_minute
    return tuple(
        TrafficBucket(start + at * size, bucket_minutes, *totals) for at, totals in enumerate(sums)
    )


def find_silent_periods(
    active_minutes: Sequence[datetime], *, since: datetime | None, now: datetime
) -> tuple[SilentPeriod, ...]:
    """The stretches of SILENT_AFTER or more without a minute in `spoke` (in order), newest first.

    `since` is when the stretch looked at begins, if the agent had spoken before that; with None the
    looking begins at its first minute.
    """
    periods: list[SilentPeriod] = []
    silent_since = since
    for at in active_minutes:
        if silent_since is not None and at - silent_since >= SILENT_AFTER:
            periods.append(SilentPeriod(silent_since, at))
        silent_since = at + MINUTE
    if silent_since is not None and now - silent_since >= SILENT_AFTER:
        periods.append(SilentPeriod(silent_since, None))
    return tuple(reversed(periods))


def clock_skew(times: Iterable[tuple[datetime | None, datetime]]) -> timedelta | None:
    """How far the events' own times lie ahead of their receipt (negative: behind), None without any.

    `times` are pairs of both. The middle one counts, so that a forged time among honest ones does not.
    """
    offsets = [(own - received).total_seconds() for own, received in times if own is not None]
    return timedelta(seconds=round(median(offsets))) if offsets else None


def is_skewed(skew: timedelta | None) -> bool:
    """Whether so much is more than the usual lateness of events."""
    return skew is not None and (skew > MAX_CLOCK_AHEAD or skew < -MAX_DELAY)


_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"))


def format_duration(duration: timedelta) -> str:
    """A length of time in words, to the minute: its largest unit, and the next unless it is nothing."""
    seconds = abs(round(duration.total_seconds()))
    if seconds >= 60:
        seconds = (seconds + 30) // 60 * 60
    for at, (size, unit) in enumerate(_UNITS):
        if seconds >= size:
            whole, rest = divmod(seconds, size)
            smaller = rest // _UNITS[at + 1][0] if at + 1 < len(_UNITS) else 0
            more = f" {smaller} {_UNITS[at + 1][1]}" if smaller else ""
            return f"{whole:,} {unit}{more}"
    return f"{seconds} s"
