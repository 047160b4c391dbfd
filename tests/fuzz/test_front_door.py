"""Fuzz tests of both endpoints for events: each request is answered, and each line is accounted for."""

import asyncio
import itertools
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.bodies import build_request
from tests.fuzz.client import FrontDoor, front_door

CASES = int(os.environ.get("FUZZ_CASES", "2000"))
"""The number of random requests. `make torture` sets 1,000,000."""
FIRST_CASE = int(os.environ.get("FUZZ_FIRST", "0"))
"""The number of the first case. To repeat one case, set FUZZ_FIRST to its number and FUZZ_CASES to 1."""

CONCURRENT_REQUESTS = 8
# A new database is used after this many cases, because requests become slower as the database grows.
CASES_PER_DATABASE = 20_000


def test_random_requests_are_answered_and_accounted_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Test more requests than Hypothesis could generate in the same time.

    A failure names the numbers of the cases, so they can be repeated.
    """
    slowest = 0.0
    for begin in range(FIRST_CASE, FIRST_CASE + CASES, CASES_PER_DATABASE):
        folder = tmp_path / str(begin)
        folder.mkdir()
        with front_door(folder) as (door, runner):
            end = min(begin + CASES_PER_DATABASE, FIRST_CASE + CASES)
            for first in range(begin, end, CONCURRENT_REQUESTS):
                numbers = range(first, min(first + CONCURRENT_REQUESTS, end))
                runner.run(door.send_all([build_request(Random(n), n) for n in numbers]))  # noqa: S311 (test data)
            slowest = max(slowest, door.slowest)
        shutil.rmtree(folder)
        with capsys.disabled():
            answer_json = (
                f"{end - FIRST_CASE:,} cases, 0 server errors, slowest {slowest * 1000:.0f} ms"
            )
            print("\n" + answer_json, end="", flush=True)


_numbers = itertools.count(1 << 40)


@pytest.fixture(scope="module")
def door(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[FrontDoor, asyncio.Runner]]:
    with front_door(tmp_path_factory.mktemp("door")) as found:
        yield found


@settings(
    max_examples=max(200, CASES // 1_000),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(rng=st.randoms(use_true_random=False))
def test_hypothesis_requests_are_answered_and_accounted_for(
    door: tuple[FrontDoor, asyncio.Runner], rng: Random
) -> None:
    found, runner = door
    runner.run(found.send_all([build_request(rng, next(_numbers))]))
