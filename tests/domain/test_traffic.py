"""Traffic charts, silent periods, clock skew and the format of durations."""

from datetime import UTC, datetime, timedelta

import pytest

from app.domain.traffic import (
    TrafficMinute,
    aggregate_traffic,
    clock_skew,
    find_silent_periods,
    format_duration,
    is_skewed,
)

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)


def test_each_complete_minute_is_in_exactly_one_bucket() -> None:
    minutes_sent = [TrafficMinute(NOON - minutes(back), received=1) for back in range(200)]
    buckets = aggregate_traffic(minutes_sent, end=NOON, bucket_minutes=15, count=4)
    assert [bucket.received for bucket in buckets] == [15, 15, 15, 15]
    assert [bucket.start for bucket in buckets] == [
        NOON - minutes(back) for back in (60, 45, 30, 15)
    ]
    assert buckets[0].received_per_minute == 1.0


@pytest.mark.parametrize(
    ("active", "since", "expected"),
    [
        ([], None, []),
        ([], 60, [(60, None)]),
        ([30], None, [(29, None)]),
        ([30], 60, [(29, None), (60, 30)]),
        ([16], None, [(15, None)]),
        ([15], None, []),
        ([40, 24, 9], None, [(39, 24)]),
        ([40, 25, 5], None, [(24, 5)]),
    ],
)
def test_a_silent_period_is_15_minutes_or_more_without_events(
    active: list[int], since: int | None, expected: list[tuple[int, int | None]]
) -> None:
    periods = find_silent_periods(
        [NOON - minutes(back) for back in active],
        since=None if since is None else NOON - minutes(since),
        now=NOON,
    )
    back = [
        (
            (NOON - period.start) // minutes(1),
            None if period.end is None else (NOON - period.end) // minutes(1),
        )
        for period in periods
    ]
    assert back == expected


@pytest.mark.parametrize(
    ("seconds", "skew", "skewed"),
    [
        ([], None, False),
        ([None, None], None, False),
        ([-3, -2, None], -2, False),
        ([-3, 10**9, -5], -3, False),
        ([240, 241, 239], 240, True),
        ([60], 60, False),
        ([-601], -601, True),
        ([-600], -600, False),
    ],
)
def test_a_single_forged_time_does_not_change_the_clock_skew(
    seconds: list[float | None], skew: int | None, skewed: bool
) -> None:
    median = clock_skew(
        (None if offset is None else NOON + timedelta(seconds=offset), NOON) for offset in seconds
    )
    assert median == (None if skew is None else timedelta(seconds=skew))
    assert is_skewed(median) is skewed


def test_clock_skew_covers_the_full_datetime_range() -> None:
    first = datetime(1, 1, 1, tzinfo=UTC)
    last = datetime(9999, 12, 31, tzinfo=UTC)
    assert clock_skew([(last, first)]) == last - first
    assert format_duration(last - first) == "3,652,058 d"


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "0 s"),
        (59, "59 s"),
        (-59, "59 s"),
        (60, "1 min"),
        (235, "4 min"),
        (3_599, "1 h"),
        (12_000, "3 h 20 min"),
        (86_400, "1 d"),
        (90_000, "1 d 1 h"),
    ],
)
def test_a_duration_is_formatted_with_at_most_two_units(seconds: int, expected: str) -> None:
    assert format_duration(timedelta(seconds=seconds)) == expected
