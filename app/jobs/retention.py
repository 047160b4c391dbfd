"""Deletion of expired rows in small batches, every hour or by the command `deckwatch db prune`."""

import logging
import secrets
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from time import perf_counter

from app.domain.errors import Conflict, Unavailable
from app.domain.principal import Principal, Role
from app.settings import Settings
from app.store import audit, change_counters, pruning, retention, retention_lease
from app.store.database import Database
from app.store.deleted_counts import DeletedCounts
from app.store.retention import RetentionLimits

RETENTION_PRINCIPAL = Principal(name="Deckwatch", role=Role.ADMIN, address="local")

# Other writers wait while a batch is deleted, so each batch must be short. The batch size is halved after
# a batch slower than SLOW_BATCH_SECONDS, and doubled after a batch faster than FAST_BATCH_SECONDS.
MAX_BATCH_ROWS = 400
SLOW_BATCH_SECONDS = 0.02
FAST_BATCH_SECONDS = 0.008
# After each batch, the run sleeps for the duration of the batch times this factor, so that other writers can
# continue.
PAUSE_FACTOR = 4
# Each batch renews the lease. The lease of a killed run expires after this time.
LEASE_DURATION = timedelta(minutes=1)
FIRST_RUN_DELAY_SECONDS = 10.0
RUN_INTERVAL_SECONDS = 3600.0
STOP_TIMEOUT_SECONDS = 0.5

log = logging.getLogger(__name__)


def retention_limits(settings: Settings, at: datetime) -> RetentionLimits:
    """Return the retention limits that the settings define, calculated for the time `at`."""
    closed_before = at - timedelta(days=settings.retention_days)
    return RetentionLimits(
        closed_before=closed_before,
        suppressed_before=closed_before,
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
    """Delete expired rows until none are left or `stop_event` is set; return the numbers of deleted rows.

    After each batch, `on_progress` is called with the numbers of rows deleted so far. If any rows were
    deleted, the run writes one audit entry at the end. Raises Conflict if another run holds the lease.

    An earlier run may have been killed before it wrote its audit entry. The rows that the killed run deleted
    are then included in the audit entry of this run and in the numbers for `on_progress`. The returned
    numbers do not include the rows of the killed run.
    """
    stop_event = stop_event or threading.Event()
    holder = secrets.token_hex(8)
    with database.write() as session:
        before = retention_lease.acquire_lease(session, holder, clock(), clock() + LEASE_DURATION)
    if before is None:
        raise Conflict("Another process is deleting expired data; try again in a minute.")
    deleted = before
    rows = MAX_BATCH_ROWS // 4
    try:
        while not stop_event.is_set():
            with database.read() as session:
                batch = retention.next_batch(session, limits, clock(), rows)
            if batch is None:
                break
            with database.write() as session:
                started_at = perf_counter()
                batch_counts = pruning.delete_batch(session, batch)
                deleted += batch_counts
                ends_at = clock() + LEASE_DURATION
                if not retention_lease.renew_lease(session, holder, ends_at, deleted):
                    raise Conflict("Another process has taken over the deletion of expired data.")
            duration = perf_counter() - started_at
            on_progress(deleted)
            rows = _next_batch_rows(rows, duration)
            if batch_counts.total_rows == 0:
                # No row was deleted, because a user has just reopened the alerts of this batch. This run
                # ends. The next run deletes the remaining expired rows.
                break
            stop_event.wait(PAUSE_FACTOR * duration)
    finally:
        _finish_run(database, holder, deleted, principal=principal, at=clock())
    return deleted - before


def _next_batch_rows(rows: int, duration: float) -> int:
    if duration > SLOW_BATCH_SECONDS:
        return max(1, rows // 2)
    return min(MAX_BATCH_ROWS, rows * 2) if duration < FAST_BATCH_SECONDS else rows


def _finish_run(
    database: Database, holder: str, deleted: DeletedCounts, *, principal: Principal, at: datetime
) -> None:
    with database.write() as session:
        if not retention_lease.release_lease(session, holder) or deleted.total_rows == 0:
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
    """A thread that deletes expired rows after FIRST_RUN_DELAY_SECONDS and then every RUN_INTERVAL_SECONDS.

    `begin_shutdown` tells the thread to end. `stop` does the same, and then waits up to STOP_TIMEOUT_SECONDS
    for the thread to end.
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
        delay = FIRST_RUN_DELAY_SECONDS
        while not self._stopping.wait(delay):
            self._run_once()
            delay = RUN_INTERVAL_SECONDS

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
                log.info("deleted expired data", extra={"removed": deleted.describe()})
            with self._database.read() as session:
                too_large = not self._stopping.is_set() and retention.exceeds_max_size(
                    session, limits
                )
        except Conflict:
            return  # another worker process holds the lease
        except Unavailable as error:
            log.warning("expired data could not be deleted: %s", error)
            return
        except Exception:
            log.exception("expired data could not be deleted")
            return
        if too_large:
            log.warning(
                "the database exceeds DECKWATCH_RETENTION_MAX_BYTES, but no more data can be deleted"
            )
