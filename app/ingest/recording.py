"""One batch of matches into one open transaction: known already, suppressed, or into its alert."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.detection.rule import Rule
from app.domain.alert import (
    Grouping,
    Priority,
    Status,
    Verdict,
    bounded,
    fingerprint,
    grouping,
    priority,
    severity_of,
)
from app.domain.event import Event
from app.domain.exclusion import Exclusion
from app.domain.text import clipped
from app.store import alerts, matches, revisions
from app.store.database import Session
from app.store.tables import Alert

# A megabyte of arguments belongs in the event, not in every line of a list.
SHOWN_LIMIT = 4_000
NAME_LIMIT = 500


@dataclass(frozen=True, slots=True)
class NewMatch:
    """`raw` is the event as its agent wrote it."""

    key_id: int
    rule: Rule
    event: Event
    raw: bytes


@dataclass(slots=True)
class Outcome:
    """Matches of one batch. `matched` were stored now, `suppressed` are those of them that an exclusion
    covered, `duplicates` were stored before.
    """

    matched: int = 0
    suppressed: int = 0
    duplicates: int = 0


def record(
    session: Session,
    batch: Sequence[NewMatch],
    *,
    exclusions: Mapping[str, Sequence[Exclusion]],
    at: datetime,
) -> Outcome:
    """Store what is new of `batch` as received `at`; the caller commits. `exclusions` are by rule."""
    outcome = Outcome()
    seen = matches.known(session, {_identity(match) for match in batch})
    rows: list[dict[str, Any]] = []
    alerting: list[tuple[NewMatch, Grouping, dict[str, Any]]] = []
    for match in batch:
        if _identity(match) in seen:
            outcome.duplicates += 1
            continue
        seen.add(_identity(match))
        outcome.matched += 1
        row = _row(match, at)
        rows.append(row)
        excluded_by = covering(exclusions, match.event, match.rule.id, at)
        if excluded_by is not None:
            outcome.suppressed += 1
            row["exclusion_id"] = excluded_by.id
            row["exclusion_version"] = excluded_by.version
        else:
            alerting.append((match, grouping(match.rule.id, match.event), row))
    _raise_alerts(session, alerting, at)
    matches.insert_many(session, rows)
    if alerting:
        revisions.bump(session, revisions.ALERTS)
    return outcome


def _identity(match: NewMatch) -> matches.Identity:
    return match.key_id, match.event.id, match.rule.id


def covering(
    exclusions: Mapping[str, Sequence[Exclusion]], event: Event, rule_id: str, at: datetime
) -> Exclusion | None:
    """The first exclusion of the rule that covers `event`, None when it should alert."""
    own = exclusions.get(rule_id, ())
    return next((one for one in own if one.covers(event, rule_id=rule_id, at=at)), None)


def _row(match: NewMatch, at: datetime) -> dict[str, Any]:
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


def _raise_alerts(
    session: Session,
    alerting: Sequence[tuple[NewMatch, Grouping, dict[str, Any]]],
    at: datetime,
) -> None:
    """Open or bump the alert of each match, and name it in the match's row."""
    prints = [fingerprint(shared) for _, shared, _ in alerting]
    unclosed = alerts.unclosed(session, prints)
    closed = alerts.last_closed(session, set(prints).difference(unclosed))
    opened: list[Alert] = []
    for shared_print, (match, shared, _) in zip(prints, alerting, strict=True):
        alert = unclosed.get(shared_print)
        if alert is None:
            before = closed.get(shared_print)
            alert = unclosed[shared_print] = _opened(match, shared, shared_print, before, at)
            opened.append(alert)
        else:
            _bump(alert, match, at)
    # One flush for all: one for each would hold the write lock for half a minute in a flood.
    session.add_all(unclosed.values())
    session.flush()
    for alert in opened:
        _tell_opened(session, alert, closed.get(alert.fingerprint), at)
    for shared_print, (_, _, row) in zip(prints, alerting, strict=True):
        row["alert_id"] = unclosed[shared_print].id


def _opened(
    match: NewMatch, shared: Grouping, shared_print: str, previous: Alert | None, at: datetime
) -> Alert:
    last_verdict = Verdict(previous.verdict) if previous and previous.verdict else None
    ranked = priority(match.rule.risk_score, match.event, last_verdict)
    event = match.event
    return Alert(
        rule_id=match.rule.id,
        rule_name=match.rule.name,
        fingerprint=shared_print,
        status=Status.OPEN,
        version=1,
        first_seen=at,
        last_seen=at,
        match_count=1,
        assignee_id=None,
        verdict=None,
        reason=None,
        closed_at=None,
        closed_by=None,
        previous_id=previous.id if previous else None,
        host=_name(shared.host),
        container_id=_name(event.container_id),
        container=_name(event.container),
        image=_name(event.image),
        namespace=_name(event.namespace),
        pod=_name(event.pod),
        user_name=_name(shared.account),
        process_name=_name(shared.process),
        destination=_name(shared.destination),
        **_telling(match, ranked),
    )


def _tell_opened(session: Session, alert: Alert, previous: Alert | None, at: datetime) -> None:
    alerts.add_activity(
        session,
        alert.id or 0,
        at=at,
        actor="Deckwatch",
        kind="opened",
        before=str(previous.id) if previous else None,
        after=previous.verdict if previous else None,
    )


def _bump(alert: Alert, match: NewMatch, at: datetime) -> None:
    alert.match_count += 1
    alert.last_seen = max(alert.last_seen, at)
    history = [part for part in alert.priority_parts if part.get("history")]
    ranked = priority(match.rule.risk_score, match.event, None)
    points = [part.points for part in ranked.parts] + [int(part["points"]) for part in history]
    if bounded(points) > alert.priority:
        # The list shows the worst that an alert holds, not what happened to come first.
        for name, value in _telling(match, ranked, history).items():
            setattr(alert, name, value)


def _telling(
    match: NewMatch, ranked: Priority, history: Sequence[dict[str, Any]] = ()
) -> dict[str, Any]:
    """What a list shows of the match that ranks highest."""
    event = match.event
    line = event.process.command_line
    title = event.headline
    parts = [
        {"why": part.why, "points": part.points, "history": part.from_history}
        for part in ranked.parts
    ] + list(history)
    total = bounded(int(part["points"]) for part in parts)
    searched = [
        title,
        line,
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
        "severity": severity_of(total),
        "priority": total,
        "priority_parts": parts,
        "headline": clipped(title, NAME_LIMIT),
        "command_line": clipped(line, SHOWN_LIMIT),
        "ssh_role": str(event.ssh.role) if event.ssh else None,
        "chips": [
            {"label": found.short, "risk": found.risk, "title": clipped(found.sentence, NAME_LIMIT)}
            for found in (event.ssh.findings if event.ssh else ())
            if found.risk > 0
        ][:12],
        "search_text": clipped("\n".join(filter(None, searched)), 2 * SHOWN_LIMIT).casefold(),
    }


def _name(value: str | None) -> str | None:
    return clipped(value, NAME_LIMIT) if value else None
