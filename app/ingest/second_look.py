"""Events in quarantine judged again, by today's formats, rules and exclusions.

What can be read now leaves the quarantine: as a match like any other, or, when no rule matches, as an
event that is not kept. What still cannot be read stays, with today's reason.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from app.detection.detector import Detector
from app.domain.event import event_from_ecs
from app.domain.roles import Principal
from app.ingest.judging import judge
from app.ingest.lines import Item
from app.ingest.recording import NewMatch, record
from app.store import audit, quarantine
from app.store.database import Database
from app.store.exclusions import LiveExclusions

# Bytes of events judged at once: what matches among them is held in memory until it is stored.
BYTES_LIMIT = 64 * 1024 * 1024


@dataclass(slots=True)
class SecondLook:
    """What became of the events looked at. `became` are those that matched, of which `matched` matches
    were stored, `suppressed` of these by an exclusion; `duplicates` were stored before. `unmatched`
    could be read and match no rule. `unreadable` stay.
    """

    became: int = 0
    matched: int = 0
    suppressed: int = 0
    duplicates: int = 0
    unmatched: int = 0
    unreadable: int = 0

    @property
    def looked_at(self) -> int:
        return self.became + self.unmatched + self.unreadable


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one event is today: why it is refused, or its matches."""

    refusal: str | None
    matches: tuple[NewMatch, ...] = ()

    @property
    def rule_names(self) -> tuple[str, ...]:
        return tuple(match.rule.name for match in self.matches)


def verdict(raw: bytes, key_id: int, detector: Detector, max_event_bytes: int) -> Verdict:
    judged = next(iter(judge([Item(0, 1, raw)], detector, max_event_bytes)), None)
    if judged is None:
        return Verdict(None)
    if judged.refusal is not None or judged.document is None:
        return Verdict(judged.refusal)
    event = event_from_ecs(judged.document)
    return Verdict(None, tuple(NewMatch(key_id, rule, event, raw) for rule in judged.rules))


def look_again(
    database: Database,
    ids: Sequence[int],
    detector: Detector,
    max_event_bytes: int,
    *,
    why: str,
    who: Principal,
    at: datetime,
) -> SecondLook:
    """Judge these events, as many as BYTES_LIMIT allows, in one transaction. Raises Unavailable.

    `why` tells the audit log how they were chosen.
    """
    verdicts = _verdicts(database, ids, detector, max_event_bytes)
    found = SecondLook()
    with database.write() as session:
        there = quarantine.present(session, verdicts)
        exclusions = LiveExclusions().as_of(session)
        leaving: list[int] = []
        matching: list[Sequence[NewMatch]] = []
        for quarantine_id in sorted(there):  # in the order of their receipt
            one = verdicts[quarantine_id]
            if one.refusal is not None:
                found.unreadable += 1
                quarantine.set_reason(session, quarantine_id, one.refusal)
                continue
            leaving.append(quarantine_id)
            if one.matches:
                found.became += 1
                matching.append(one.matches)
            else:
                found.unmatched += 1
        for outcome in record(session, matching, exclusions=exclusions, at=at):
            found.matched += outcome.matched
            found.suppressed += outcome.suppressed
            found.duplicates += outcome.duplicates
        if there:
            quarantine.delete_many(session, leaving)
            audit.record(
                session,
                at=at,
                actor=who.name,
                action="quarantine.retried",
                subject=f"quarantine {min(there)}" if len(there) == 1 else "quarantine",
                detail=f"{why}: {in_words(found)}",
                address=who.address,
            )
    return found


def in_words(found: SecondLook) -> str:
    """For the audit log and the notice."""
    told = f"{found.became:,} matched a rule ({found.matched:,} new matches"
    if found.suppressed:
        told += f", {found.suppressed:,} of them suppressed by an exclusion"
    if found.duplicates:
        told += f", {found.duplicates:,} stored before"
    return (
        f"{told}), {found.unmatched:,} could be read and match no rule, "
        f"{found.unreadable:,} still cannot be read"
    )


def _verdicts(
    database: Database, ids: Sequence[int], detector: Detector, max_event_bytes: int
) -> dict[int, Verdict]:
    """Outside the write lock: judging a megabyte takes a while."""
    found: dict[int, Verdict] = {}
    size = 0
    with database.read() as session:
        for quarantine_id in ids:
            row = quarantine.get(session, quarantine_id)
            if row is None:
                continue
            size += len(row.event)
            if found and size > BYTES_LIMIT:
                break
            found[quarantine_id] = verdict(row.event, row.key_id, detector, max_event_bytes)
            session.expunge(row)
    return found
