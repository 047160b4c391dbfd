"""Traffic of an agent: chart buckets, silent periods and clock skew.

The functions here are pure. `store/traffic.py` reads the counts per minute from the database.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import median

MINUTE = timedelta(minutes=1)
# Agents usually send every few seconds, so a gap of at least this length counts as silence.
SILENT_AFTER = timedelta(minutes=15)
# Limits for a normal clock skew. An event normally arrives some time after it occurred, because agents send
# events in batches over a network. This delay looks like an agent's clock that is behind. MAX_DELAY is
# therefore larger than MAX_CLOCK_AHEAD.
MAX_CLOCK_AHEAD = timedelta(minutes=1)
MAX_DELAY = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class TrafficMinute:
    """Counts of one API key in the minute that begins at `start`."""

    start: datetime
    received: int = 0
    bytes: int = 0
    matched: int = 0
    duplicates: int = 0
    rejected: int = 0


@dataclass(frozen=True, slots=True)
class TrafficBucket:
    """Sums of the counts over a period of `minutes` minutes that begins at `start`."""

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
    """A period without events; `end` is None while it continues."""

    start: datetime
    end: datetime | None

    def duration(self, now: datetime) -> timedelta:
        return (self.end or now) - self.start


def aggregate_traffic(
    minutes: Iterable[TrafficMinute], *, end: datetime, bucket_minutes: int, count: int
) -> tuple[TrafficBucket, ...]:
    """Return `count` buckets, oldest first. The last bucket ends at `end`; missing minutes count as zero.

    Pass the start of the current minute as `end`. The current minute is incomplete, so including it would
    look like a drop in traffic.
    """
    size = bucket_minutes * MINUTE
    start = end - count * size
    sums = [[0, 0, 0, 0, 0] for _ in range(count)]
    for minute in minutes:
        index = (minute.start - start) // size
        if 0 <= index < count:
            counts = (
                minute.received,
                minute.bytes,
                minute.matched,
                minute.duplicates,
                minute.rejected,
            )
            for column, count_in_minute in enumerate(counts):
                sums[index][column] += count_in_minute
    return tuple(
        TrafficBucket(start + index * size, bucket_minutes, *totals)
        for index, totals in enumerate(sums)
    )


def find_silent_periods(
    active_minutes: Sequence[datetime], *, since: datetime | None, now: datetime
) -> tuple[SilentPeriod, ...]:
    """Return the periods without events, newest first. Each period lasts at least SILENT_AFTER.

    `active_minutes` are the starts of the minutes with events, in ascending order. The search begins at
    `since`. If the agent is new, pass None as `since`: the search then begins at the first active minute.
    The time before the first event of a new agent is not a silent period. If a period continues at `now`,
    the `end` of this period is None.
    """
    periods: list[SilentPeriod] = []
    silent_since = since
    for minute in active_minutes:
        if silent_since is not None and minute - silent_since >= SILENT_AFTER:
            periods.append(SilentPeriod(silent_since, minute))
        silent_since = minute + MINUTE
    if silent_since is not None and now - silent_since >= SILENT_AFTER:
        periods.append(SilentPeriod(silent_since, None))
    return tuple(reversed(periods))


def clock_skew(times: Iterable[tuple[datetime | None, datetime]]) -> timedelta | None:
    """Return the median of occurrence time minus receipt time, or None if no occurrence time is known.

    A positive result means that the agent's clock is ahead. `times` are pairs (occurrence, receipt). The
    median is used because a few forged times hardly change it.
    """
    offsets = [
        (occurred - received).total_seconds()
        for occurred, received in times
        if occurred is not None
    ]
    return timedelta(seconds=round(median(offsets))) if offsets else None


def is_skewed(skew: timedelta | None) -> bool:
    """Return whether an agent's clock differs too much from the clock of the server.

    The limits are MAX_CLOCK_AHEAD for a clock that is ahead and MAX_DELAY for a clock that is behind. If
    `skew` is None, the difference is unknown and the result is False.
    """
    return skew is not None and (skew > MAX_CLOCK_AHEAD or skew < -MAX_DELAY)


_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"))


def format_duration(duration: timedelta) -> str:
    """Format `duration` in at most two adjacent units, such as "2 h 5 min", rounded to minutes.

    A duration below one minute is in seconds.
    """
    seconds = abs(round(duration.total_seconds()))
    if seconds >= 60:
        seconds = (seconds + 30) // 60 * 60
    for (size, unit), (next_size, next_unit) in pairwise((*_UNITS, (1, ""))):
        if seconds >= size:
            count, rest = divmod(seconds, size)
            smaller = rest // next_size
            return f"{count:,} {unit}" + (f" {smaller} {next_unit}" if smaller else "")
    return f"{seconds} s"
