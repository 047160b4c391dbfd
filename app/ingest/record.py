"""Record matches: skip duplicates, suppress matches that an exclusion covers, open or update alerts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.domain.event import Event
from app.domain.exclusion import Exclusion
from app.ingest.alert_updates import open_or_update_alerts
from app.ingest.new_match import NewMatch
from app.store import change_counters, matches
from app.store.database import Session


@dataclass(slots=True)
class RecordResult:
    """Counts of the matches of one batch.

    `matched` counts the matches that were stored, and `suppressed` counts the stored matches that an
    exclusion covers. `duplicates` counts the matches that were not stored, because the same match was already
    stored. `repeated` contains the digests of the rejected events that were already in quarantine.
    """

    matched: int = 0
    suppressed: int = 0
    duplicates: int = 0
    repeated: frozenset[bytes] = frozenset()


def record_matches(
    session: Session,
    batches: Sequence[Sequence[NewMatch]],
    *,
    exclusions: Mapping[str, Sequence[Exclusion]],
    at: datetime,
) -> list[RecordResult]:
    """Store the matches of each batch, except duplicates, and return the counts of each batch.

    `exclusions` contains the exclusions by rule id. `at` is the time of receipt of all matches. The caller
    commits the transaction.
    """
    known = matches.stored_identities(
        session, {_match_identity(match) for batch in batches for match in batch}
    )
    results: list[RecordResult] = []
    rows: list[dict[str, Any]] = []
    unsuppressed: list[tuple[NewMatch, dict[str, Any]]] = []
    for batch in batches:
        results.append(result := RecordResult())
        for match in batch:
            if _match_identity(match) in known:
                result.duplicates += 1
                continue
            known.add(_match_identity(match))
            result.matched += 1
            rows.append(row := _match_row(match, at))
            exclusion = first_matching_exclusion(exclusions, match.event, match.rule.id, at)
            if exclusion is not None:
                result.suppressed += 1
                row["exclusion_id"] = exclusion.id
                row["exclusion_version"] = exclusion.version
            else:
                unsuppressed.append((match, row))
    if unsuppressed:
        open_or_update_alerts(session, unsuppressed, at)
        change_counters.bump(session, change_counters.ALERTS)
    matches.insert_many(session, rows)
    return results


def _match_identity(match: NewMatch) -> matches.MatchIdentity:
    return match.key_id, match.event.id, match.rule.id


def first_matching_exclusion(
    exclusions: Mapping[str, Sequence[Exclusion]], event: Event, rule_id: str, at: datetime
) -> Exclusion | None:
    """Return the first exclusion of the rule that covers `event` at the time `at`, or None."""
    for exclusion in exclusions.get(rule_id, ()):
        if exclusion.covers(event, rule_id=rule_id, at=at):
            return exclusion
    return None


def _match_row(match: NewMatch, at: datetime) -> dict[str, Any]:
    return {
        "rule_id": match.rule.id,
        "key_id": match.key_id,
        "event_id": match.event.id,
        "received_at": at,
        "occurred_at": match.event.occurred_at,
        "alert_id": None,
        "exclusion_id": None,
        "exclusion_version": None,
        "event": match.raw,
    }
