"""Sends fuzz requests to the application through ASGI, and checks each response and the stored rows."""

import asyncio
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

from fastapi import FastAPI
from sqlmodel import col, select

from app.actions import api_keys
from app.bootstrap import open_migrated_database
from app.clock import utc_now
from app.domain.principal import CLI_PRINCIPAL, Role
from app.main import create_app
from app.settings import read_settings
from app.store.database import Database
from app.store.tables import Match
from tests.fuzz.bodies import CREATED, EVENTS, REJECTED, REPEATED, FuzzRequest
from tests.fuzz.lines import is_json
from tests.quarantined import take_quarantined

TIMEOUT_SECONDS = 1.0
"""The longest time that a request may take."""


@dataclass
class FuzzResponse:
    status: int
    headers: dict[str, str]
    body: bytes
    seconds: float


@dataclass
class ExpectedRows:
    """The rows that must be in the database according to the responses so far.

    `stored` and `absent` are ids of events that must and must not have a match.
    """

    stored: set[str] = field(default_factory=set)
    absent: set[str] = field(default_factory=set)
    # The bytes of the rejected events that can be predicted, and the smallest and the largest possible
    # number of all rejected events.
    rejected: Counter[bytes] = field(default_factory=Counter)
    min_rejected: int = 0
    max_rejected: int = 0


class FrontDoor:
    """The running application with its database and an API key. It must be used on one event loop."""

    def __init__(self, app: FastAPI, database: Database, key: str) -> None:
        self._app = app
        self._database = database
        self._authorization = (b"authorization", b"Bearer " + key.encode())
        self._last_match = 0
        self.slowest = 0.0

    async def send_all(self, some: Sequence[FuzzRequest]) -> None:
        """Send the requests concurrently; raises AssertionError if a response or a stored row is wrong."""
        answers = await asyncio.gather(*(self.ask(one) for one in some))
        expected = ExpectedRows()
        for one, answer in zip(some, answers, strict=True):
            try:
                check(one, answer, expected)
            except AssertionError as error:
                raise AssertionError(f"{error}\n{one}\n{answer}") from error
        try:
            self._compare_with_database(expected)
        except AssertionError as error:
            raise AssertionError(f"{error}\nin cases {[one.case for one in some]}") from error
        for one, answer in zip(some, answers, strict=True):
            self.slowest = max(self.slowest, await self._seconds(one, answer))

    async def _seconds(self, one: FuzzRequest, answer: FuzzResponse) -> float:
        """Return the duration of a request; raises AssertionError if it is TIMEOUT_SECONDS or more."""
        if answer.seconds < TIMEOUT_SECONDS:
            return answer.seconds
        # The concurrent requests or another process may be the cause, so send the request alone, twice.
        seconds = min([(await self.ask(one)).seconds for _ in range(2)])
        assert seconds < TIMEOUT_SECONDS, f"{seconds:.1f} s: {one}"
        self._new_matches()
        take_quarantined(self._database)
        return seconds

    async def ask(self, one: FuzzRequest) -> FuzzResponse:
        answer_json: dict[str, Any] = {}
        parts: list[bytes] = []
        chunks = iter(one.chunks)
        left = len(one.chunks)

        async def receive() -> dict[str, Any]:
            nonlocal left
            left -= 1
            return {"type": "http.request", "body": next(chunks), "more_body": left > 0}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                answer_json.update(message)
            else:
                parts.append(message.get("body", b""))

        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": one.path,
            "raw_path": one.path.encode(),
            "root_path": "",
            "query_string": b"",
            "headers": [(b"host", b"127.0.0.1:8000"), self._authorization, *one.headers.items()],
            "client": ("127.0.0.1", 40_000),
            "server": ("127.0.0.1", 8000),
        }
        begun = perf_counter()
        await self._app(scope, receive, send)
        seconds = perf_counter() - begun
        headers = {name.decode().lower(): value.decode() for name, value in answer_json["headers"]}
        return FuzzResponse(answer_json["status"], headers, b"".join(parts), seconds)

    def _compare_with_database(self, expected: ExpectedRows) -> None:
        """Compare `expected` with the rows that were stored since the last comparison."""
        matches = self._new_matches()
        assert all(matches.values()), "a match without an alert"
        assert expected.stored <= matches.keys(), expected.stored - matches.keys()
        assert not expected.absent & matches.keys(), expected.absent & matches.keys()
        rejected = take_quarantined(self._database)
        assert expected.rejected <= rejected, expected.rejected - rejected
        assert expected.min_rejected <= rejected.total() <= expected.max_rejected, (
            expected,
            rejected,
        )

    def _new_matches(self) -> dict[str, int | None]:
        """Return the event ids of the matches since the last call, each with the id of its alert."""
        wanted = select(Match.id, Match.event_id, Match.alert_id).where(
            col(Match.id) > self._last_match
        )
        with self._database.read() as session:
            rows = session.exec(wanted).all()
        self._last_match = max([self._last_match, *(row[0] or 0 for row in rows)])
        return {event_id: alert_id for _, event_id, alert_id in rows}


def check(one: FuzzRequest, answer: FuzzResponse, expected: ExpectedRows) -> None:
    """Check a response and add to `expected` what must be stored now; raises AssertionError."""
    assert answer.status in one.statuses, f"answered {answer.status}"
    answer_json = json.loads(answer.body)
    if answer.status != 200:
        assert answer_json["status"] == answer.status
        assert answer_json["detail"]
        expected.absent.update(one.good)
        return
    if one.is_intact:
        expected.stored.update(one.good)
    if one.path == EVENTS:
        rejected = _check_receipt(one, answer_json, expected)
        expected.min_rejected += rejected
        expected.max_rejected += rejected
    else:
        assert answer.headers["x-elastic-product"] == "Elasticsearch"
        _check_items(one, answer_json, expected)


def _check_receipt(one: FuzzRequest, answer_json: dict[str, Any], expected: ExpectedRows) -> int:
    rejected = answer_json["rejected"]
    places = [each["index"] for each in rejected]
    assert places == sorted(set(places)), "places out of order"
    assert all(0 <= place < answer_json["received"] for place in places), (
        "a place beyond the events"
    )
    assert all(each["error"] for each in rejected)
    # The receipt can count more: other events of the body may match, and an event may match several rules.
    assert answer_json["matched"] + answer_json["duplicates"] >= len(one.good) * one.is_intact
    assert answer_json["suppressed"] == 0
    if one.received is not None:
        assert answer_json["received"] == one.received, "not all events were received"
    if one.lines is not None:
        _check_lines(one.lines, answer_json, expected)
    return len(rejected)


def _check_lines(
    lines: Sequence[bytes], answer_json: dict[str, Any], expected: ExpectedRows
) -> None:
    there = [(number, raw) for number, line in enumerate(lines, 1) if (raw := line.strip())]
    assert answer_json["received"] == len(there), "not all lines were received"
    errors = {(each["index"], each["line"]): each["error"] for each in answer_json["rejected"]}
    for index, (number, raw) in enumerate(there):
        error = errors.pop((index, number), None)
        verdict = is_json(raw)
        if error is None:
            assert verdict is not False, f"accepted, and no JSON: {raw[:100]!r}"
        else:
            assert not (verdict and error.startswith("not ")), f"{error}, and it is: {raw[:100]!r}"
            expected.rejected[raw] += 1
    assert not errors, "an error for no line of the body"


def _check_items(one: FuzzRequest, answer_json: dict[str, Any], expected: ExpectedRows) -> None:
    items = [(verb, item) for each in answer_json["items"] for verb, item in each.items()]
    statuses = [item["status"] for _, item in items]
    assert set(statuses) <= {CREATED, REJECTED, REPEATED}
    assert answer_json["errors"] is (REJECTED in statuses)
    assert all(item["error"]["reason"] for _, item in items if item["status"] == REJECTED)
    if one.items is not None:
        assert len(items) == len(one.items), "not all actions were answered"
        for (verb, item), (wanted_verb, wanted) in zip(items, one.items, strict=True):
            assert wanted_verb in (None, verb), f"{verb}, not {wanted_verb}"
            status = REJECTED if item["status"] == REPEATED else item["status"]
            assert wanted in (None, status), f"{item}, not {wanted}"
    rejected = statuses.count(REJECTED) + statuses.count(REPEATED)
    min_rejected, max_rejected = one.unanswered_bounds or (
        0,
        one.most_lines if one.is_intact else 1 << 30,
    )
    expected.min_rejected += rejected + min_rejected
    expected.max_rejected += rejected + max_rejected


@contextmanager
def front_door(folder: Path) -> Iterator[tuple[FrontDoor, asyncio.Runner]]:
    """Return a `FrontDoor` with a new database in `folder`, and the runner of its event loop."""
    settings = read_settings(database_url=f"sqlite:///{folder / 'deckwatch.db'}")
    database = open_migrated_database(settings, on_migrated=lambda _: None)
    key = api_keys.create(database, "fleet", Role.AGENT, principal=CLI_PRINCIPAL, at=utc_now())[1]
    app = create_app(settings)
    with asyncio.Runner() as runner:
        lifespan = app.router.lifespan_context(app)
        runner.run(lifespan.__aenter__())
        try:
            yield FrontDoor(app, database, key), runner
        finally:
            runner.run(lifespan.__aexit__(None, None, None))
            database.close()
