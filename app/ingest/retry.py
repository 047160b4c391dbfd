"""Evaluate quarantined events again, with the current formats, rules and exclusions.

An event that can now be parsed is deleted from the quarantine. If the event matches rules, its matches are
stored. An event that still cannot be parsed stays in quarantine, and its stored reason is updated.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from app.detection.detector import Detector
from app.domain.principal import Principal
from app.ingest.evaluate import evaluate
from app.ingest.events import RawEvent, RejectedEvent
from app.ingest.new_match import NewMatch, new_matches
from app.ingest.record import record_matches
from app.store import audit, quarantine
from app.store.database import Database
from app.store.exclusions import LiveExclusionCache

# Maximum size in bytes of the events of one transaction. It limits the memory for their matches.
MAX_BYTES_PER_RETRY = 64 * 1024 * 1024


@dataclass(slots=True)
class RetryResult:
    """Counts of a retry.

    `events_matched` counts the events that match at least one rule. `events_unmatched` counts the events that
    match no rule. `still_rejected` counts the events that stay in quarantine.

    The other counts are numbers of matches. `matched` counts the matches that were stored, and `suppressed`
    counts the stored matches that an exclusion covers. `duplicates` counts the matches that were not stored,
    because the same match was already stored.
    """

    events_matched: int = 0
    matched: int = 0
    suppressed: int = 0
    duplicates: int = 0
    events_unmatched: int = 0
    still_rejected: int = 0

    @property
    def retried(self) -> int:
        return self.events_matched + self.events_unmatched + self.still_rejected


@dataclass(frozen=True, slots=True)
class QuarantinedEvaluation:
    """The result of evaluating one quarantined event again.

    If the event still cannot be parsed, `rejection_reason` is set. Otherwise `rejection_reason` is None, and
    `matches` contains the matches of the event.
    """

    rejection_reason: str | None
    matches: tuple[NewMatch, ...] = ()

    @property
    def rule_names(self) -> tuple[str, ...]:
        return tuple(match.rule.name for match in self.matches)


def evaluate_quarantined(
    raw: bytes, key_id: int, detector: Detector, max_event_bytes: int
) -> QuarantinedEvaluation:
    """Evaluate one quarantined event again, without storing the result."""
    evaluation = next(evaluate([RawEvent(0, 1, raw)], detector, max_event_bytes), None)
    if evaluation is None:
        return QuarantinedEvaluation(None)
    if isinstance(evaluation, RejectedEvent):
        return QuarantinedEvaluation(evaluation.reason)
    return QuarantinedEvaluation(None, tuple(new_matches(evaluation, key_id)))


def retry_quarantined(
    database: Database,
    ids: Sequence[int],
    detector: Detector,
    max_event_bytes: int,
    *,
    why: str,
    principal: Principal,
    at: datetime,
) -> RetryResult:
    """Evaluate quarantined events again, and store the results in one transaction.

    `why` is a text for the audit log. It describes how the user selected the events.

    The events are evaluated in the order of `ids`. The total size of the events in one retry is limited to
    MAX_BYTES_PER_RETRY. The first event that would exceed this limit is not retried, and neither are the
    events after it. The first event in `ids` is always retried, even if this event alone exceeds the limit.

    Raises Unavailable if the database cannot be written.
    """
    evaluations = _evaluate_all(database, ids, detector, max_event_bytes)
    result = RetryResult()
    with database.write() as session:
        present_ids = quarantine.existing_ids(session, evaluations)
        exclusions = LiveExclusionCache().by_rule(session)
        accepted_ids: list[int] = []
        match_batches: list[Sequence[NewMatch]] = []
        for quarantine_id in sorted(present_ids):  # This is the order of receipt.
            evaluation = evaluations[quarantine_id]
            if evaluation.rejection_reason is not None:
                result.still_rejected += 1
                quarantine.set_reason(session, quarantine_id, evaluation.rejection_reason)
                continue
            accepted_ids.append(quarantine_id)
            if evaluation.matches:
                result.events_matched += 1
                match_batches.append(evaluation.matches)
            else:
                result.events_unmatched += 1
        for recorded in record_matches(session, match_batches, exclusions=exclusions, at=at):
            result.matched += recorded.matched
            result.suppressed += recorded.suppressed
            result.duplicates += recorded.duplicates
        if present_ids:
            quarantine.delete_many(session, accepted_ids)
            audit.record(
                session,
                at=at,
                actor=principal.name,
                action="quarantine.retried",
                subject=f"quarantine {min(present_ids)}" if len(present_ids) == 1 else "quarantine",
                detail=f"{why}: {describe_retry(result)}",
                address=principal.address,
            )
    return result


def describe_retry(result: RetryResult) -> str:
    """Return the counts as text for the audit log and for the notice on the page."""
    matches = "match" if result.matched == 1 else "matches"
    text = f"{result.events_matched:,} matched a rule ({result.matched:,} new {matches}"
    if result.suppressed:
        text += f", {result.suppressed:,} of them suppressed by an exclusion"
    if result.duplicates:
        text += f", {result.duplicates:,} {'duplicate' if result.duplicates == 1 else 'duplicates'}"
    return (
        f"{text}), {result.events_unmatched:,} matched no rule, "
        f"{result.still_rejected:,} still cannot be parsed"
    )


def _evaluate_all(
    database: Database, ids: Sequence[int], detector: Detector, max_event_bytes: int
) -> dict[int, QuarantinedEvaluation]:
    """Evaluate the events, and return the results by quarantine id.

    Evaluation takes long, so call this function before taking the write lock.
    """
    result: dict[int, QuarantinedEvaluation] = {}
    size = 0
    with database.read() as session:
        for quarantine_id in ids:
            row = quarantine.get(session, quarantine_id)
            if row is None:
                continue
            size += len(row.event)
            if result and size > MAX_BYTES_PER_RETRY:
                break
            result[quarantine_id] = evaluate_quarantined(
                row.event, row.key_id, detector, max_event_bytes
            )
            session.expunge(row)
    return result
