"""Events in quarantine judged again, by today's formats, rules and exclusions.

What can be read now leaves the quarantine: as a match like any other, or, when no rule matches, as an
event that is not kept. What still cannot be read stays, with today's reason.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from app.detection.detector import Detector
from app.domain.event import event_from_ecs
from app.domain.principal import Principal
from app.ingest.evaluate import evaluate
from app.ingest.events import RawEvent
from app.ingest.record import NewMatch, record_matches
from app.store import audit, quarantine
from app.store.database import Database
from app.store.exclusions import LiveExclusionCache

# Bytes of events judged at once: what matches among them is held in memory until it is stored.
MAX_BYTES_PER_RETRY = 64 * 1024 * 1024


@dataclass(slots=True)
class RetryResult:
    """What became of the events looked at. `became` are those that matched, of which `matched` matches
    were stored, `suppressed` of these by an exclusion; `duplicates` were stored before. `unmatched`
    could be read and match no rule. `unreadable` stay.
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
    """What one event is today: why it is refused, or its matches."""

    rejection_reason: str | None
    matches: tuple[NewMatch, ...] = ()

    @property
    def rule_names(self) -> tuple[str, ...]:
        return tuple(match.rule.name for match in self.matches)


def evaluate_quarantined(
    raw: bytes, key_id: int, detector: Detector, max_event_bytes: int
) -> QuarantinedEvaluation:
    evaluation = next(iter(evaluate([RawEvent(0, 1, raw)], detector, max_event_bytes)), None)
    if evaluation is None:
        return QuarantinedEvaluation(None)
    if evaluation.rejection_reason is not None or evaluation.document is None:
        return QuarantinedEvaluation(evaluation.rejection_reason)
    event = event_from_ecs(evaluation.document)
    return QuarantinedEvaluation(
        None, tuple(NewMatch(key_id, rule, event, raw) for rule in evaluation.matching_rules)
    )


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
    """Judge these events, as many as BYTES_LIMIT allows, in one transaction. Raises Unavailable.

    `why` tells the audit log how they were chosen.
    """
    evaluations = _evaluate_all(database, ids, detector, max_event_bytes)
    result = RetryResult()
    with database.write() as session:
        present_ids = quarantine.existing_ids(session, evaluations)
        exclusions = LiveExclusionCache().by_rule(session)
        accepted_ids: list[int] = []
        match_batches: list[Sequence[NewMatch]] = []
        for quarantine_id in sorted(present_ids):  # in the order of their receipt
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
        for outcome in record_matches(session, match_batches, exclusions=exclusions, at=at):
            result.matched += outcome.matched
            result.suppressed += outcome.suppressed
            result.duplicates += outcome.duplicates
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
    """For the audit log and the notice."""
    text = f"{result.events_matched:,} matched a rule ({result.matched:,} new matches"
    if result.suppressed:
        text += f", {result.suppressed:,} of them suppressed by an exclusion"
    if result.duplicates:
        text += f", {result.duplicates:,} stored before"
    return (
        f"{text}), {result.events_unmatched:,} could be read and match no rule, "
        f"{result.still_rejected:,} still cannot be read"
    )


def _evaluate_all(
    database: Database, ids: Sequence[int], detector: Detector, max_event_bytes: int
) -> dict[int, QuarantinedEvaluation]:
    """Outside the write lock: judging a megabyte takes a while."""
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
