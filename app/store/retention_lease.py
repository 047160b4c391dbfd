"""The lease that lets only one process delete expired rows at a time.

A run acquires the lease, deletes expired rows, records their numbers in the audit log and releases the
lease. The lease is a row of the database. It also holds the numbers of rows that the run has deleted so far.

If a run is killed, its numbers remain in the lease. The next run starts counting from these numbers instead
of zero. The audit log then contains the total of both runs. For example, if the killed run has deleted 5
alerts and the next run deletes 2 alerts, the audit log contains the number 7.
"""

from dataclasses import asdict
from datetime import datetime

from sqlmodel import Session

from app.store.deleted_counts import DeletedCounts
from app.store.tables import RetentionRun

_ROW_ID = 1


def acquire_lease(
    session: Session, holder: str, at: datetime, ends_at: datetime
) -> DeletedCounts | None:
    """Acquire the lease; return the numbers of rows that a killed run has deleted but not recorded.

    The numbers are zero if no run was killed. Return None if another holder has the lease.
    """
    run = session.get(RetentionRun, _ROW_ID)
    if run is None:
        run = RetentionRun(id=_ROW_ID, holder=None, ends_at=None, pruned={})
    elif run.holder is not None and run.ends_at is not None and run.ends_at > at:
        return None
    run.holder, run.ends_at = holder, ends_at
    session.add(run)
    return DeletedCounts(**run.pruned)


def renew_lease(session: Session, holder: str, ends_at: datetime, deleted: DeletedCounts) -> bool:
    """Extend the lease and store the counts so far; return False if another holder has the lease.

    Call this function in the transaction that deletes the rows, so that the counts are always correct.
    """
    run = _held_run(session, holder)
    if run is None:
        return False
    run.ends_at, run.pruned = ends_at, asdict(deleted)
    return True


def release_lease(session: Session, holder: str) -> bool:
    """Release the lease; return False if another holder has the lease."""
    run = _held_run(session, holder)
    if run is None:
        return False
    run.holder, run.ends_at, run.pruned = None, None, {}
    return True


def _held_run(session: Session, holder: str) -> RetentionRun | None:
    run = session.get(RetentionRun, _ROW_ID)
    return run if run is not None and run.holder == holder else None
