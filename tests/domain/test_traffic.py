"""Steps of a chart, silences, skew and lengths of time, as tables."""

from datetime import UTC, datetime, timedelta

import pytest

from app.domain.traffic import Minute, clock_skew, silences, skewed, span, steps

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)


def test_every_minute_is_in_just_one_step_and_the_running_one_in_none() -> None:
    sent = [Minute(NOON - minutes(back), received=1) for back in range(200)]
    found = steps(sent, end=NOON, step_minutes=15, count=4)
    assert [step.received for step in found] == [15, 15, 15, 15]
    assert [step.at for step in found] == [NOON - minutes(back) for back in (60, 45, 30, 15)]
    assert found[0].received_a_minute == 1.0


@pytest.mark.parametrize(
    ("spoke", "since", "wanted"),
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
def test_a_silence_is_a_quarter_of_an_hour_or_more_without_a_minute(
    spoke: list[int], since: int | None, wanted: list[tuple[int, int | None]]
) -> None:
    found = silences(
        [NOON - minutes(back) for back in spoke],
        since=None if since is None else NOON - minutes(since),
        now=NOON,
    )
    back = [
        (
            (NOON - one.start) // minutes(1),
            None if one.end is None else (NOON - one.end) // minutes(1),
        )
        for one in found
    ]
    assert back == wanted


@pytest.mark.parametrize(
    ("seconds", "skew", "wrong"),
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
def test_one_forged_time_does_not_move_the_clock(
    seconds: list[float | None], skew: int | None, wrong: bool
) -> None:
    found = clock_skew(
        (None if one is None else NOON + timedelta(seconds=one), NOON) for one in seconds
    )
    assert found == (None if skew is None else timedelta(seconds=skew))
    assert skewed(found) is wrong


def test_the_whole_range_of_times_can_be_compared() -> None:
    first = datetime(1, 1, 1, tzinfo=UTC)
    last = datetime(9999, 12, 31, tzinfo=UTC)
    assert clock_skew([(last, first)]) == last - first
    assert span(last - first) == "3,652,058 d"


@pytest.mark.parametrize(
    ("seconds", "words"),
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
def test_a_length_of_time_in_words(seconds: int, words: str) -> None:
    assert span(timedelta(seconds=seconds)) == words
