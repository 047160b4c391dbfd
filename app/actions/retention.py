"""Removing what is too old, a little at a time: as a command, and beside a running server."""

import logging
import secrets
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from time import perf_counter

from app.domain.errors import Conflict, Unavailable
from app.domain.roles import Principal, Role
from app.settings import Settings
from app.store import audit, pruning, retention, revisions
from app.store.database import Database
from app.store.retention import Bounds, Pruned

DECKWATCH = Principal(name="Deckwatch", role=Role.ADMIN, address="local")

# Others wait for the write lock while a piece goes: the next one is halved when that took too long, and
# doubled when it took next to nothing.
MOST_ROWS = 400
LONG_SECONDS = 0.02
SHORT_SECONDS = 0.008
# For so many times as long nothing is removed.
REST = 4
# A run that has died is over after this long.
TURN = timedelta(minutes=1)
# After the start of a server, and then again and again, in seconds.
FIRST_AFTER = 10.0
EVERY = 3600.0
STOP_SECONDS = 0.5

log = logging.getLogger(__name__)


def bounds_of(settings: Settings, at: datetime) -> Bounds:
    """What the settings say of this moment."""
    old = at - timedelta(days=settings.retention_days)
    return Bounds(
        closed=old,
        suppressed=old,
        quarantined=at - timedelta(days=settings.retention_quarantine_days),
        minutes=at - timedelta(days=settings.retention_traffic_days),
        most_bytes=settings.retention_max_bytes,
    )


def prune(
    database: Database,
    bounds: Bounds,
    *,
    clock: Callable[[], datetime],
    who: Principal,
    told: Callable[[Pruned], None] = lambda _: None,
    stopping: threading.Event | None = None,
) -> Pruned:
    """Remove what may go, until nothing is left or `stopping` is set; `told` hears the sum after each
    piece. One entry in the audit log tells the whole. Raises Conflict when another run is at it.
    """
    stopping = stopping or threading.Event()
    holder = secrets.token_hex(8)
    with database.write() as session:
        found = pruning.take_turn(session, holder, clock(), clock() + TURN)
    if found is None:
        raise Conflict("Something else is removing what is too old; try again in a minute.")
    before = went = found
    rows = MOST_ROWS // 4
    try:
        while not stopping.is_set():
            with database.read() as session:
                piece = retention.next_piece(session, bounds, clock(), rows)
            if piece is None:
                break
            with database.write() as session:
                begun = perf_counter()
                went += (removed := pruning.remove(session, piece))
                if not pruning.keep_turn(session, holder, clock() + TURN, went):
                    raise Conflict("Something else has gone on with this; nothing is lost.")
            took = perf_counter() - begun
            told(went)
            rows = _next_rows(rows, took)
            if removed.rows == 0:
                break  # somebody has just reopened it; the next run looks again
            stopping.wait(REST * took)
    finally:
        _end(database, holder, went, who=who, at=clock())
    return Pruned(*(after - ago for after, ago in zip(_row(went), _row(before), strict=True)))


def _next_rows(rows: int, took: float) -> int:
    if took > LONG_SECONDS:
        return max(1, rows // 2)
    return min(MOST_ROWS, rows * 2) if took < SHORT_SECONDS else rows


def _row(pruned: Pruned) -> tuple[int, ...]:
    return pruned.alerts, pruned.matches, pruned.suppressed, pruned.quarantined, pruned.minutes


def _end(database: Database, holder: str, went: Pruned, *, who: Principal, at: datetime) -> None:
    with database.write() as session:
        if not pruning.end_turn(session, holder) or went.rows == 0:
            return
        revisions.bump(session, revisions.ALERTS)
        audit.record(
            session,
            at=at,
            actor=who.name,
            action="retention.pruned",
            subject="database",
            detail=went.text(),
            address=who.address,
        )


class Retention:
    """Started with `start`; `hurry` lets it end soon, `stop` waits for that. Of several worker processes
    one at a time does it, and the others find nothing left.
    """

    def __init__(
        self, database: Database, settings: Settings, *, clock: Callable[[], datetime]
    ) -> None:
        self._database = database
        self._settings = settings
        self._clock = clock
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="retention", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def hurry(self) -> None:
        self._stopping.set()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(STOP_SECONDS)

    def _run(self) -> None:
        wait = FIRST_AFTER
        while not self._stopping.wait(wait):
            self._once()
            wait = EVERY

    def _once(self) -> None:
        bounds = bounds_of(self._settings, self._clock())
        try:
            went = prune(
                self._database, bounds, clock=self._clock, who=DECKWATCH, stopping=self._stopping
            )
            if went.rows:
                log.info("removed what was too old", extra={"removed": went.text()})
            with self._database.read() as session:
                still = not self._stopping.is_set() and retention.too_large(session, bounds)
        except Conflict:
            return
        except Unavailable as error:
            log.warning("what is too old could not be removed: %s", error)
            return
        except Exception:
            log.exception("what is too old could not be removed")
            return
        if still:
            log.warning(
                "the database is above DECKWATCH_RETENTION_MAX_BYTES and nothing more may go"
            )
