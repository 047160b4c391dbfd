"""Benchmark of the alert list with a million alerts: every filter, its first page and a deep page.

The application runs in this process, without a network. The time of a request includes the session check
and the template, until the last byte of the page. The figure is the p99 of the slowest view.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any
from urllib.parse import urlencode

import uvloop
from fastapi import FastAPI
from sqlalchemy import ColumnElement, Select, func, select

from app.actions import api_keys, sessions, users
from app.bootstrap import open_migrated_database
from app.clock import utc_now
from app.domain.alert import Status, Verdict
from app.domain.principal import CLI_PRINCIPAL, Role
from app.domain.severity import Severity
from app.domain.ssh import SshRole
from app.main import create_app
from app.settings import Settings, read_settings
from app.store.alerts import Cursor, Sort
from app.store.database import Database
from app.store.tables import metadata
from app.web.alert_query import EXACT_FILTERS, NO_ASSIGNEE
from app.web.paths import ALERTS_PATH
from app.web.services import Services
from app.web.urls import encode_cursor
from tests.bench.events import events
from tests.bench.many_alerts import fill
from tests.bench.report import TARGETS, Measurement, NotMeasured, without_peer
from tests.bench.scale import BenchScale

ALERT = metadata.tables["alert"].c
# A view is requested until it reaches one of these limits, and at least once.
REQUESTS = 100
SECONDS = 1.0
PASSWORD = "correct horse battery staple"
ORIGINALS = 2_000


@dataclass(frozen=True, slots=True)
class View:
    """A query string of the page, and the same filters as column values and as text to search for."""

    query: dict[str, str]
    equal: dict[str, Any] = field(default_factory=dict)
    contains: str = ""

    @property
    def sort(self) -> Sort:
        return Sort(self.query.get("sort", Sort.TIME))

    def clauses(self) -> Iterator[ColumnElement[bool]]:
        status = self.query.get("status", Status.OPEN)
        if status != "all":
            yield ALERT.status == status
        for name, value in self.equal.items():
            yield ALERT[name] == value
        if self.contains:
            yield ALERT.search_text.contains(self.contains)


def alert_list_latency(scale: BenchScale) -> Measurement:
    with TemporaryDirectory() as folder:
        settings = read_settings(database_url=f"sqlite:///{Path(folder) / 'deckwatch.db'}")
        with closing(open_migrated_database(settings, on_migrated=lambda _: None)) as database:
            cookie = _people(database)
            key = api_keys.create(
                database, "fleet", Role.AGENT, principal=CLI_PRINCIPAL, at=utc_now()
            )[0]
            times = uvloop.run(_timed(settings, database, cookie, key.id or 0, scale))
    slowest = sorted(times, key=lambda view: -times[view])
    floor = TARGETS["alert-list"].floor or 0.0
    within = sum(time < floor for time in times.values())
    note = f"{within} of {len(times)} views within {floor:g} ms; slowest: " + ", ".join(
        f"{view} {times[view]:,.0f} ms" for view in slowest[:3]
    )
    details = {view: round(times[view], 2) for view in slowest}
    return without_peer(times[slowest[0]], "ms", note, details)


def _people(database: Database) -> str:
    """Create the users to whom alerts are assigned; return the session token of the first one."""
    now = utc_now()
    for name in ("ada", "ana", "bob"):
        users.create_user(
            database, name, Role.ANALYST, password=PASSWORD, principal=CLI_PRINCIPAL, at=now
        )
    return sessions.sign_in(
        database, "ada", PASSWORD, address="127.0.0.1", browser="benchmark", at=now
    ).token


async def _timed(
    settings: Settings, database: Database, cookie: str, key_id: int, scale: BenchScale
) -> dict[str, float]:
    """Return the p99 of each view in milliseconds, by its URL."""
    app = create_app(settings)
    services: Services = app.state.services
    async with app.router.lifespan_context(app):
        await services.pipeline.ingest_stream(_originals(), encoding="", key_id=key_id)
        await asyncio.to_thread(fill, settings.database_url, scale.alerts, [1, 2, 3])
        return {_said(query): await _p99(app, query, cookie) for query in _queries(database)}


async def _originals() -> AsyncIterator[bytes]:
    yield b"\n".join(events(ORIGINALS))


def _said(query: dict[str, str]) -> str:
    shown = {name: value for name, value in query.items() if name != "cursor"}
    return f"{ALERTS_PATH}?{urlencode(shown)}" + (", deep" if "cursor" in query else "")


def _queries(database: Database) -> Iterator[dict[str, str]]:
    with database.engine.connect() as connection:

        def first(query: Select[Any]) -> Any:
            return connection.execute(query).first()

        def usual(name: str, *, rare: bool = False) -> str:
            """Return the most frequent value of a column, or the least frequent if `rare`."""
            many = func.count() if rare else func.count().desc()
            return str(first(select(ALERT[name]).group_by(ALERT[name]).order_by(many))[0])

        for view in _views(usual):
            yield view.query
            clauses = list(view.clauses())
            count = first(
                select(func.count()).where(*clauses).select_from(metadata.tables["alert"])
            )
            key = {Sort.TIME: ALERT.last_seen, Sort.PRIORITY: ALERT.priority}.get(
                view.sort, ALERT.match_count
            )
            order = key.asc() if view.sort is Sort.RARITY else key.desc()
            deep = select(key, ALERT.id).where(*clauses).order_by(order, ALERT.id.desc())
            found = first(deep.offset(count[0] // 2))
            if found is not None:
                yield view.query | {"cursor": encode_cursor(Cursor(found[0], found[1]))}


def _views(usual: Any) -> Iterator[View]:
    for status in ({}, {"status": "acknowledged"}, {"status": "closed"}, {"status": "all"}):
        for sort in ({}, {"sort": "priority"}, {"sort": "rarity"}):
            yield View(status | sort)
    for status in ({}, {"status": "all"}):
        for name, (column, _) in EXACT_FILTERS.items():
            value = usual(column)
            yield View(status | {name: value}, {column: value})
        rare = usual("host", rare=True)
        yield View(status | {"host": rare}, {"host": rare})
        for severity in (Severity.CRITICAL, Severity.MEDIUM):
            yield View(status | {"severity": severity}, {"severity": severity})
        role = SshRole(usual("ssh_role"))
        yield View(status | {"role": role}, {"ssh_role": role})
        yield View(status | {"assignee": NO_ASSIGNEE}, {"assignee_id": None})
        yield View(status | {"assignee": "me"}, {"assignee_id": 1})
        for word in ("ssh", "node-1", usual("destination", rare=True), "nowhere"):
            yield View(status | {"q": word}, contains=word)
    verdict = Verdict.FALSE_POSITIVE
    yield View({"status": "closed", "verdict": verdict}, {"verdict": verdict})


async def _p99(app: FastAPI, query: dict[str, str], cookie: str) -> float:
    times: list[float] = []
    await _get(app, query, cookie)  # a warm-up that is not measured
    until = perf_counter() + SECONDS
    while not times or (len(times) < REQUESTS and perf_counter() < until):
        times.append(await _get(app, query, cookie))
    times.sort()
    return times[ceil(len(times) * 0.99) - 1] * 1_000


async def _get(app: FastAPI, query: dict[str, str], cookie: str) -> float:
    """Request the page and return the duration in seconds."""
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": ALERTS_PATH,
        "raw_path": ALERTS_PATH.encode(),
        "query_string": urlencode(query).encode(),
        "root_path": "",
        "headers": [(b"host", b"127.0.0.1"), (b"cookie", f"deckwatch={cookie}".encode())],
        "client": ("127.0.0.1", 50_000),
        "server": ("127.0.0.1", 8000),
    }
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    started = perf_counter()
    await app(scope, receive, send)
    took = perf_counter() - started
    if sent[0]["status"] != 200:
        raise NotMeasured(f"{ALERTS_PATH} answers {sent[0]['status']}")
    return took
