"""Open or update the alerts of new matches, and compute the columns that the alert list shows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

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
from app.domain.text import truncate
from app.ingest.new_match import NewMatch
from app.store import alert_writes
from app.store.database import Session

# Maximum lengths, in characters, of text in the columns that the alert list shows. The stored event contains
# the full values, which may be megabytes long.
MAX_SUMMARY_LENGTH = 4_000
MAX_NAME_LENGTH = 500


@dataclass(slots=True)
class _AlertUpdate:
    """The changes to one alert in one transaction.

    An alert has a list of priority parts. Each part adds or subtracts points. For example, one part is the
    risk score of the rule, and another part is the verdict of the previous alert with the same fingerprint.
    `history_parts` contains only the part for this verdict.

    `new_row` contains the columns of a new alert. If the alert already exists, `new_row` is None.
    `added_matches` is the number of new matches. The match that opens a new alert is not counted.
    `new_summary` is set if a match raises the priority. It then contains the summary columns for this match.
    """

    id: int
    priority: int
    history_parts: Sequence[Mapping[str, Any]]
    last_seen: datetime
    new_row: dict[str, Any] | None = None
    added_matches: int = 0
    new_summary: dict[str, Any] | None = None


def open_or_update_alerts(
    session: Session,
    unsuppressed: Sequence[tuple[NewMatch, dict[str, Any]]],
    at: datetime,
) -> None:
    """Open or update the alert of each match, and set `alert_id` in the row of the match.

    `unsuppressed` is a list of pairs. The first element of a pair is a match that no exclusion suppresses.
    The second element is the row for this match. The caller inserts the row into the match table later.
    """
    groups = [grouping_key(match.rule.id, match.event) for match, _ in unsuppressed]
    fingerprints = list(map(fingerprint, groups))
    open_alerts = alert_writes.open_alerts(session, fingerprints)
    closed = alert_writes.last_closed_alerts(session, set(fingerprints).difference(open_alerts))
    updates = {
        key: _AlertUpdate(alert.id, alert.priority, _history_parts(alert), alert.last_seen)
        for key, alert in open_alerts.items()
    }
    for key, group, (match, _) in zip(fingerprints, groups, unsuppressed, strict=True):
        if key in updates:
            _add_match(updates[key], match)
        else:
            updates[key] = _open_alert(match, group, key, closed.get(key), at)
    _store_updates(session, updates, closed, at)
    for key, (_, row) in zip(fingerprints, unsuppressed, strict=True):
        row["alert_id"] = updates[key].id


def _store_updates(
    session: Session,
    updates: Mapping[str, _AlertUpdate],
    closed: Mapping[str, alert_writes.ClosedAlert],
    at: datetime,
) -> None:
    """Store all updates with one SQL statement for each kind of change.

    With one statement for each alert, the write lock would be held too long when many alerts change.
    """
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
    for (_, update, _), alert_id in zip(opened, ids, strict=True):
        update.id = alert_id
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
    points = [factor.points for factor in match_priority.factors]
    points += [int(part["points"]) for part in update.history_parts]
    if (total := clamp_priority(points)) > update.priority:
        # The alert list shows the match with the highest priority, not the first match.
        update.new_summary = _summary_columns(match, match_priority, update.history_parts)
        update.priority = total


def _summary_columns(
    match: NewMatch, match_priority: Priority, history: Sequence[Mapping[str, Any]] = ()
) -> dict[str, Any]:
    """Return the summary columns of an alert, computed from `match`.

    `match` is the alert's match with the highest priority. The alert's priority is the sum of the points in
    `match_priority` and in `history`, limited to the range 0 to 100. `history` contains the priority
    part for the verdict of the previous alert. If `match_priority` already includes this part, `history` is
    empty.
    """
    event = match.event
    command_line = event.process.command_line
    title = event.headline
    parts: list[Mapping[str, Any]] = [
        {"why": factor.label, "points": factor.points, "history": factor.from_last_verdict}
        for factor in match_priority.factors
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
                "label": str(finding.kind),
                "risk": finding.risk,
                "title": truncate(finding.message, MAX_NAME_LENGTH),
            }
            for finding in (event.ssh.findings if event.ssh else ())
            if finding.risk > 0
        ][:12],
        "search_text": truncate(
            "\n".join(filter(None, searched_texts)), 2 * MAX_SUMMARY_LENGTH
        ).casefold(),
    }


def _clip_name(value: str | None) -> str | None:
    return truncate(value, MAX_NAME_LENGTH) if value else None
