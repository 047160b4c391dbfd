"""Batches of matches into one open transaction: known already, suppressed, or into its alert."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.detection.rule import Rule
from app.domain.alert import (
    GroupingKey,
    Priority,
    Status,
    Verdict,
    clamp_priority,
    compute_priority,
    fingerprint,
    grouping_key,
    severity_for_priority,
)
from app.domain.event import Event
from app.domain.exclusion import Exclusion
from app.domain.text import truncate
from app.store import alert_writes, change_counters, matches
from app.store.database import Session

# A megabyte of arguments belongs in the event, not in every line of a list.
MAX_SUMMARY_LENGTH = 4_000
MAX_NAME_LENGTH = 500


@dataclass(frozen=True, slots=True)
class NewMatch:
    """`raw` is the event as its agent wrote it."""

    key_id: int
    rule: Rule
    event: Event
    raw: bytes


@dataclass(slots=True)
class RecordResult:
    """Matches of one batch. `matched` were stored now, `suppressed` are those of them that an exclusion
    covered, `duplicates` were stored before.
    """

    matched: int = 0
    suppressed: int = 0
    duplicates: int = 0


@dataclass(slots=True)
class _AlertUpdate:
    """What one transaction does to one alert, new or open_alerts; `row` is a new one's."""

    id: int
    priority: int
    history_parts: Sequence[Mapping[str, Any]]
    last_seen: datetime
    new_row: dict[str, Any] | None = None
    added_matches: int = 0
    new_summary: dict[str, Any] | None = None


def record_matches(
    session: Session,
    batches: Sequence[Sequence[NewMatch]],
    *,
    exclusions: Mapping[str, Sequence[Exclusion]],
    at: datetime,
) -> list[RecordResult]:
    """Store what is new of each batch as received `at`; the caller commits. `exclusions` are by rule."""
    seen = matches.stored_identities(
        session, {_match_identity(match) for batch in batches for match in batch}
    )
    results: list[RecordResult] = []
    rows: list[dict[str, Any]] = []
    unsuppressed: list[tuple[NewMatch, GroupingKey, dict[str, Any]]] = []
    for batch in batches:
        results.append(result := RecordResult())
        for match in batch:
            if _match_identity(match) in seen:
                result.duplicates += 1
                continue
            seen.add(_match_identity(match))
            result.matched += 1
            rows.append(row := _match_row(match, at))
            excluded_by = first_matching_exclusion(exclusions, match.event, match.rule.id, at)
            if excluded_by is not None:
                result.suppressed += 1
                row["exclusion_id"] = excluded_by.id
                row["exclusion_version"] = excluded_by.version
            else:
                unsuppressed.append((match, grouping_key(match.rule.id, match.event), row))
    if unsuppressed:
        _open_or_update_alerts(session, unsuppressed, at)
        change_counters.bump(session, change_counters.ALERTS)
    matches.insert_many(session, rows)
    return results


def _match_identity(match: NewMatch) -> matches.MatchIdentity:
    return match.key_id, match.event.id, match.rule.id


def first_matching_exclusion(
    exclusions: Mapping[str, Sequence[Exclusion]], event: Event, rule_id: str, at: datetime
) -> Exclusion | None:
    """The first exclusion of the rule that covers `event`, None when it should alert."""
    candidates = exclusions.get(rule_id, ())
    return next((one for one in candidates if one.covers(event, rule_id=rule_id, at=at)), None)


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


def _open_or_update_alerts(
    session: Session,
    unsuppressed: Sequence[tuple[NewMatch, GroupingKey, dict[str, Any]]],
    at: datetime,
) -> None:
    """Open or bump the alert of each match, and name it in the match's row."""
    fingerprints = [fingerprint(group) for _, group, _ in unsuppressed]
    open_alerts = alert_writes.open_alerts(session, fingerprints)
    closed = alert_writes.last_closed_alerts(session, set(fingerprints).difference(open_alerts))
    updates = {
        key: _AlertUpdate(alert.id, alert.priority, _history_parts(alert), alert.last_seen)
        for key, alert in open_alerts.items()
    }
    for key, (match, group, _) in zip(fingerprints, unsuppressed, strict=True):
        if key in updates:
            _add_match(updates[key], match)
        else:
            before = closed.get(key)
            updates[key] = _open_alert(match, group, key, before, at)
    _store_updates(session, updates, closed, at)
    for key, (_, _, row) in zip(fingerprints, unsuppressed, strict=True):
        row["alert_id"] = updates[key].id


def _store_updates(
    session: Session,
    updates: Mapping[str, _AlertUpdate],
    closed: Mapping[str, alert_writes.ClosedAlert],
    at: datetime,
) -> None:
    """One statement for all of a kind: one for each would hold the write lock for long in a flood."""
    opened: list[tuple[str, _AlertUpdate, dict[str, Any]]] = []
    added: list[tuple[int, int, datetime]] = []
    summaries: list[tuple[int, Mapping[str, Any]]] = []
    for key, update in updates.items():
        if update.new_row is not None:
            row = update.new_row | (update.new_summary or {})
            opened.append((key, update, row | {"match_count": 1 + update.added_matches}))
            continue
        added.append((update.id, update.added_matches, max(update.last_seen, at)))
        if update.new_summary is not None:
            summaries.append((update.id, update.new_summary))
    ids = alert_writes.insert_alerts(session, [row for _, _, row in opened])
    for (_, update, _), made in zip(opened, ids, strict=True):
        update.id = made
    alert_writes.add_match_counts(session, added)
    alert_writes.update_summaries(session, summaries)
    alert_writes.insert_activities(
        session,
        [_opened_activity(update.id, closed.get(key), at) for key, update, _ in opened],
    )


def _history_parts(alert: alert_writes.OpenAlert) -> list[Mapping[str, Any]]:
    return [part for part in alert.priority_parts if part.get("history")]


def _open_alert(
    match: NewMatch,
    group: GroupingKey,
    key: str,
    previous: alert_writes.ClosedAlert | None,
    at: datetime,
) -> _AlertUpdate:
    last_verdict = Verdict(previous.verdict) if previous and previous.verdict else None
    match_priority = compute_priority(match.rule.risk_score, match.event, last_verdict)
    event = match.event
    summary = _summary_columns(match, match_priority)
    row = {
        "rule_id": match.rule.id,
        "rule_name": match.rule.name,
        "fingerprint": key,
        "status": str(Status.OPEN),
        "version": 1,
        "first_seen": at,
        "last_seen": at,
        "assignee_id": None,
        "verdict": None,
        "reason": None,
        "closed_at": None,
        "closed_by": None,
        "previous_id": previous.id if previous else None,
        "host": _clip_name(group.host),
        "container_id": _clip_name(event.container_id),
        "container": _clip_name(event.container),
        "image": _clip_name(event.image),
        "namespace": _clip_name(event.namespace),
        "pod": _clip_name(event.pod),
        "user_name": _clip_name(group.user_name),
        "process_name": _clip_name(group.process),
        "destination": _clip_name(group.destination),
        **summary,
    }
    history = [part for part in summary["priority_parts"] if part["history"]]
    return _AlertUpdate(0, summary["priority"], history, at, row)


def _opened_activity(
    alert_id: int, previous: alert_writes.ClosedAlert | None, at: datetime
) -> dict[str, Any]:
    return {
        "alert_id": alert_id,
        "at": at,
        "actor": "Deckwatch",
        "kind": "opened",
        "before": str(previous.id) if previous else None,
        "after": previous.verdict if previous else None,
        "comment": None,
    }


def _add_match(update: _AlertUpdate, match: NewMatch) -> None:
    update.added_matches += 1
    match_priority = compute_priority(match.rule.risk_score, match.event, None)
    points = [part.points for part in match_priority.factors]
    points += [int(part["points"]) for part in update.history_parts]
    if (total := clamp_priority(points)) > update.priority:
        # The list shows the worst that an alert holds, not what happened to come first.
        update.new_summary = _summary_columns(match, match_priority, update.history_parts)
        update.priority = total


def _summary_columns(
    match: NewMatch, match_priority: Priority, history: Sequence[Mapping[str, Any]] = ()
) -> dict[str, Any]:
    """What a list shows of the match that ranks highest."""
    event = match.event
    command_line = event.process.command_line
    title = event.headline
    parts: list[Mapping[str, Any]] = [
        {"why": part.label, "points": part.points, "history": part.from_last_verdict}
        for part in match_priority.factors
    ]
    parts += history
    total = clamp_priority(int(part["points"]) for part in parts)
    searched_texts = [
        title,
        command_line,
        event.host_name,
        event.container,
        event.container_id,
        event.image,
        event.namespace,
        event.pod,
        event.user_name,
        event.ssh.destination if event.ssh else None,
    ]
    return {
        "shown_key_id": match.key_id,
        "shown_event_id": event.id,
        "severity": str(severity_for_priority(total)),
        "priority": total,
        "priority_parts": parts,
        "headline": truncate(title, MAX_NAME_LENGTH),
        "command_line": truncate(command_line, MAX_SUMMARY_LENGTH),
        "ssh_role": str(event.ssh.role) if event.ssh else None,
        "chips": [
            {
                "label": found.label,
                "risk": found.risk,
                "title": truncate(found.message, MAX_NAME_LENGTH),
            }
            for found in (event.ssh.findings if event.ssh else ())
            if found.risk > 0
        ][:12],
        "search_text": truncate(
            "\n".join(filter(None, searched_texts)), 2 * MAX_SUMMARY_LENGTH
        ).casefold(),
    }


def _clip_name(value: str | None) -> str | None:
    return truncate(value, MAX_NAME_LENGTH) if value else None
