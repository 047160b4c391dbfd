"""Removing what is too old, a little at a time: as a command, and beside a running server."""

import logging
import secrets
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from time import perf_counter

from app.domain.errors import Conflict, Unavailable
from app.domain.principal import Principal, Role
from app.settings import Settings
from app.store import audit, change_counters, pruning, retention
from app.store.database import Database
from app.store.retention import DeletedCounts, RetentionLimits

RETENTION_PRINCIPAL = Principal(name="Deckwatch", role=Role.ADMIN, address="local")

# Others wait for the write lock while a piece goes: the next one is halved when that took too long, and
# doubled when it took next to nothing.
MAX_BATCH_ROWS = 400
SLOW_BATCH_SECONDS = 0.02
FAST_BATCH_SECONDS = 0.008
# For so many times as long nothing is removed.
PAUSE_FACTOR = 4
# A run that has died is over after this long.
LEASE_DURATION = timedelta(minutes=1)
# After the start of a server, and then again and again, in seconds.
FIRST_RUN_DELAY_SECONDS = 10.0
RUN_INTERVAL_SECONDS = 3600.0
STOP_TIMEOUT_SECONDS = 0.5

log = logging.getLogger(__name__)


def retention_limits(settings: Settings, at: datetime) -> RetentionLimits:
    """What the settings say of this moment."""
    old = at - timedelta(days=settings.retention_days)
    return RetentionLimits(
        closed_before=old,
        suppressed_before=old,
        quarantined_before=at - timedelta(days=settings.retention_quarantine_days),
        minutes_before=at - timedelta(days=settings.retention_traffic_days),
        max_bytes=settings.retention_max_bytes,
    )


def prune(
    database: Database,
    limits: RetentionLimits,
    *,
    clock: Callable[[], datetime],
    principal: Principal,
    on_progress: Callable[[DeletedCounts], None] = lambda _: None,
    stop_event: threading.Event | None = None,
) -> DeletedCounts:
    """Remove what may go, until nothing is left or `stopping` is set; `told` hears the sum after each
    piece. One entry in the audit log tells the whole. Raises Conflict when another run is at it.
    """
    stop_event = stop_event or threading.Event()
    holder = secrets.token_hex(8)
    with database.write() as session:
        found = pruning.acquire_lease(session, holder, clock(), clock() + LEASE_DURATION)
    if found is None:
        raise Conflict("Something else is removing what is too old; try again in a minute.")
    before = deleted = found
    rows = MAX_BATCH_ROWS // 4
    try:
        while not stop_event.is_set():
            with database.read() as session:
                batch = retention.next_batch(session, limits, clock(), rows)
            if batch is None:
                break
            with database.write() as session:
                begun = perf_counter()
                deleted += (removed := pruning.delete_batch(session, batch))
                if not pruning.renew_lease(session, holder, clock() + LEASE_DURATION, deleted):
                    raise Conflict("Something else has gone on with this; nothing is lost.")
            took = perf_counter() - begun
            on_progress(deleted)
            rows = _next_batch_rows(rows, took)
            if removed.total_rows == 0:
                break  # somebody has just reopened it; the next run looks again
            stop_event.wait(PAUSE_FACTOR * took)
    finally:
        _finish_run(database, holder, deleted, principal=principal, at=clock())
    return DeletedCounts(
        *(after - ago for after, ago in zip(_as_tuple(deleted), _as_tuple(before), strict=True))
    )


def _next_batch_rows(rows: int, took: float) -> int:
    if took > SLOW_BATCH_SECONDS:
        return max(1, rows // 2)
    return min(MAX_BATCH_ROWS, rows * 2) if took < FAST_BATCH_SECONDS else rows


def _as_tuple(pruned: DeletedCounts) -> tuple[int, ...]:
    return pruned.alerts, pruned.matches, pruned.suppressed, pruned.quarantined, pruned.minutes


def _finish_run(
    database: Database, holder: str, deleted: DeletedCounts, *, principal: Principal, at: datetime
) -> None:
    with database.write() as session:
        if not pruning.release_lease(session, holder) or deleted.total_rows == 0:
            return
        change_counters.bump(session, change_counters.ALERTS)
        audit.record(
            session,
            at=at,
            actor=principal.name,
            action="retention.pruned",
            subject="database",
            detail=deleted.describe(),
            address=principal.address,
        )


class RetentionJob:
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

    def begin_shutdown(self) -> None:
        self._stopping.set()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(STOP_TIMEOUT_SECONDS)

    def _run(self) -> None:
        wait = FIRST_RUN_DELAY_SECONDS
        while not self._stopping.wait(wait):
            self._run_once()
            wait = RUN_INTERVAL_SECONDS

    def _run_once(self) -> None:
        limits = retention_limits(self._settings, self._clock())
        try:
            deleted = prune(
                self._database,
                limits,
                clock=self._clock,
                principal=RETENTION_PRINCIPAL,
                stop_event=self._stopping,
            )
            if deleted.total_rows:
                log.info("removed what was too old", extra={"removed": deleted.describe()})
            with self._database.read() as session:
                still = not self._stopping.is_set() and retention.exceeds_max_size(session, limits)
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
